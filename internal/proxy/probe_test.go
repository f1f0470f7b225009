package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/proxy/guard"
	"hale/internal/upstream"
)

// probed is a policy that answers everything, or what forward says not, and
// remembers what it was asked.
type probed struct {
	answer  Action
	forward func(asked int) bool
	hold    chan bool // if not nil, Decide waits for it from the second time on

	mu       sync.Mutex
	quick    int // heads that are not net/http's
	heads    []string
	outcomes []Outcome
}

func (p *probed) IsProbe(path string) bool { return strings.HasPrefix(path, "/health") }

func (p *probed) Decide(h *Head) Action {
	p.mu.Lock()
	asked := len(p.heads)
	if _, ok := h.Header.(*fieldList); ok {
		p.quick++
	}
	fields := make(map[string][]string)
	h.Header.Each(func(name string, values []string) {
		name = http.CanonicalHeaderKey(name)
		fields[name] = append(fields[name], values...)
	})
	p.heads = append(p.heads, fmt.Sprint(h.Method, h.Host, h.Path, h.RawQuery, h.ForceQuery, h.Proto, h.TLS, h.Start.IsZero(), fields,
		h.Header.Get("X-Twice"), h.Header.Values("X-Twice"), h.Header.Values("X-None")))
	p.mu.Unlock()
	if asked > 0 && p.hold != nil {
		<-p.hold
	}
	if p.forward != nil && p.forward(asked) {
		return Action{Kind: Forward, Upstream: upstream.MustParse("unix:///memory")}
	}
	return p.answer
}

func (p *probed) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.heads)
}

func (p *probed) Done(_ *Head, _ *Action, o *Outcome) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := *o
	out.Total = 0
	p.outcomes = append(p.outcomes, out)
	return false
}

var health = Action{
	Kind: Answer, Status: 503, Body: []byte("fail: database\n"),
	Header:   http.Header{"Cache-Control": {"no-store"}, "Content-Type": {"text/plain"}, "Content-Length": {"15"}, "Vary": {"Accept", "Authorization"}},
	Response: []Field{{"X-Frame-Options", "DENY"}, {"content-type", "not this one"}},
}

// The quick way and the server's give the same answer, byte for byte, and tell
// the policy the same.
func TestProbesAreAnsweredAsOtherRequests(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		answer        Action
		quick         bool
	}{
		{"GET", "GET /health HTTP/1.1\r\nHost: 10.0.0.5:8080\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n", health, true},
		{"HEAD", "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n", health, true},
		{"kept alive", "GET /health HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", health, true},
		{"with a query", "GET /health?format=json HTTP/1.1\r\nHost: a\r\n\r\n", health, true},
		{"with an empty query", "GET /health? HTTP/1.1\r\nHost: a\r\n\r\n", health, true},
		{"with odd fields", "GET /health HTTP/1.1\r\nhost:a\r\nX-Twice: 1\r\nx-twice:\t2 \r\nEmpty:\r\n\r\n", health, true},
		{"after an empty line", "\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n", health, true},
		{"no body of its own", "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", Action{Kind: Answer}, true},
		{"a status without a body", "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", Action{Kind: Answer, Status: 204}, true},
		{"a status of no name", "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", Action{Kind: Answer, Status: 599, Body: []byte("x")}, true},
		{"length left to the engine", "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n", Action{Kind: Answer, Body: []byte("ok\n")}, true},

		{"another path", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", health, false},
		{"another method", "POST /health HTTP/1.1\r\nHost: a\r\n\r\n", health, false},
		{"absolute form", "GET http://a/health HTTP/1.1\r\nHost: a\r\n\r\n", health, false},
		{"with a body", "GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", health, false},
		{"with an empty body", "GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", health, false},
		{"with trailers asked for", "GET /health HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", health, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &probed{answer: tt.answer}
			inBubbleOf(t, p, nil, func(t *testing.T, m *memory, _ *Server) {
				c := m.client()
				defer c.Close()
				r := bufio.NewReader(c)
				var answers [2]string
				for i := range answers {
					_, _ = io.WriteString(c, tt.request)
					answers[i] = readAnswer(t, r, tt.request)
					synctest.Wait() // until the server looks for the next one
				}
				if answers[0] != answers[1] {
					t.Errorf("by the server\n%s\nthe quick way\n%s", answers[0], answers[1])
				}
				if p.heads[0] != p.heads[1] || p.outcomes[0] != p.outcomes[1] || len(p.heads) != 2 || len(p.outcomes) != 2 {
					t.Errorf("the policy is told\n%v\n%+v", p.heads, p.outcomes)
				}
				if quick := p.quick == 1; quick != tt.quick {
					t.Errorf("answered the quick way: %v, want %v", quick, tt.quick)
				}
			})
		})
	}
}

// anyDate is the one thing in which two answers may differ.
var anyDate = regexp.MustCompile("Date: [^\r]*\r\n|Content-Length: [^\r]*\r\n")

// readAnswer reads an answer, and puts Date and Content-Length at its end: where
// they are is the server's affair.
func readAnswer(t *testing.T, r *bufio.Reader, request string) string {
	t.Helper()
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
		head.WriteString(line)
	}
	length := 0
	if _, after, found := strings.Cut(head.String(), "Content-Length: "); found && !strings.Contains(request, "HEAD ") {
		_, _ = fmt.Sscan(after, &length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	framing := anyDate.FindAllString(head.String(), -1)
	if len(framing) == 2 && strings.HasPrefix(framing[0], "Content-Length") {
		framing[0], framing[1] = framing[1], framing[0]
	}
	return anyDate.ReplaceAllString(head.String(), "") + strings.Join(framing, "") + "\r\n" + string(body)
}

const healthProbe = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"

// Probes keep a connection from being idle.
func TestProbesKeepTheirConnection(t *testing.T) {
	inBubbleOf(t, &probed{answer: health}, nil, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		r := bufio.NewReader(c)
		for range 10 {
			_, _ = io.WriteString(c, healthProbe)
			readAnswer(t, r, healthProbe)
			time.Sleep(30 * time.Second)
		}
		rest := time.Now()
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
			t.Errorf("got %q, %v", got, err)
		}
		if waited := time.Since(rest); waited != 45*time.Second {
			t.Errorf("closed after %v, not after the 75 s less the 30 s that have passed", waited)
		}
	})
}

// Several requests at once, and one in pieces, are the server's.
func TestProbesInARow(t *testing.T) {
	p := &probed{answer: health}
	inBubbleOf(t, p, nil, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		r := bufio.NewReader(c)
		for _, pieces := range [][]string{
			{healthProbe},
			{healthProbe + healthProbe},
			{healthProbe},
			{healthProbe[:10], healthProbe[10:]},
			{healthProbe + healthProbe[:30], healthProbe[30:]},
			{healthProbe},
		} {
			var sending sync.WaitGroup
			sending.Go(func() {
				for _, piece := range pieces {
					_, _ = io.WriteString(c, piece)
				}
			})
			for range strings.Count(strings.Join(pieces, ""), "GET ") {
				readAnswer(t, r, healthProbe)
			}
			sending.Wait()
		}
	})
	if len(p.outcomes) != 8 {
		t.Errorf("%d outcomes", len(p.outcomes))
	}
}

// A policy that answers no more what it took for a probe is asked once.
func TestPolicyChangesBetweenTheQuestions(t *testing.T) {
	p := &probed{answer: health, forward: func(asked int) bool { return asked == 1 }}
	inBubbleOf(t, p, silent("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\napp\n"), func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		r := bufio.NewReader(c)
		for _, want := range []string{"fail: database\n", "app\n", "fail: database\n"} {
			_, _ = io.WriteString(c, healthProbe)
			if got := readAnswer(t, r, healthProbe); !strings.HasSuffix(got, "\r\n\r\n"+want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
	if len(p.heads) != 3 || len(p.outcomes) != 3 {
		t.Errorf("decided %d times, done %d times", len(p.heads), len(p.outcomes))
	}
}

// A shutdown waits for the answer of a probe that was taken. (It waits for a
// mutex, which fake time does not see.)
func TestShutdownDuringAProbe(t *testing.T) {
	p := &probed{answer: health, hold: make(chan bool)}
	m := newMemory(nil)
	s := NewServer(New(p, Settings{}, nil), nil)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		if err := s.Serve(m); err != nil {
			t.Error(err)
		}
	})
	c := m.client()
	defer c.Close()
	r := bufio.NewReader(c)
	_, _ = io.WriteString(c, healthProbe)
	readAnswer(t, r, healthProbe)
	time.Sleep(10 * time.Millisecond) // until the server looks for the next one; later is no harm
	_, _ = io.WriteString(c, healthProbe)
	for p.asked() < 2 {
		time.Sleep(time.Millisecond)
	}
	running.Go(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(10 * time.Millisecond) // until Shutdown closes the connection, likewise
	p.hold <- true
	readAnswer(t, r, healthProbe)
}

// Who asks and never reads the answers does not hold a connection for ever.
func TestProbesNobodyReadsTheAnswersOf(t *testing.T) {
	inBubbleOf(t, &probed{answer: health}, nil, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		r := bufio.NewReader(c)
		_, _ = io.WriteString(c, healthProbe)
		readAnswer(t, r, healthProbe)
		synctest.Wait()
		start := time.Now()
		_, _ = io.WriteString(c, healthProbe)
		_, err := io.WriteString(c, healthProbe) // is taken when the first answer was
		if waited := time.Since(start); err == nil || waited < 45*time.Second || waited > 75*time.Second {
			t.Errorf("cut off (%v) after %v, not after body_timeout", err, waited)
		}
	})
}

// What the guard lets pass and a probe takes, net/http understands likewise.
func FuzzProbe(f *testing.F) {
	for _, seed := range []string{
		healthProbe, "GET /health?a HTTP/1.1\r\nhost:a\r\nX-Twice: 1\r\nx-twice:\t2 \r\nEmpty:\r\n\r\n",
		"GET /health%20/ HTTP/1.1\r\nHost: [::1]:80\r\nA: b:c\r\n\r\n", "HEAD //health HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n",
		"GET /health HTTP/1.1\r\nHost:\r\nConnection: Keep-Alive\r\n\r\n", "GET /health HTTP/1.1\r\nHost: a\r\nConnection: x\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		conn := guard.NewConn(&recorded{Reader: bytes.NewReader(raw)}, Settings{}.withDefaults().guard())
		passed, _ := io.ReadAll(conn)
		if conn.Refused() != nil || !bytes.Equal(passed, raw) || bytes.Index(raw, []byte("\r\n\r\n")) != len(raw)-4 {
			return
		}
		var b probe
		if !b.parse(raw, &probed{}) {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			t.Fatalf("%q: net/http: %v", raw, err)
		}
		header := make(http.Header)
		b.head.Header.Each(func(name string, values []string) {
			for _, value := range values {
				header.Add(name, value)
			}
		})
		if r.ContentLength != 0 || len(r.TransferEncoding) > 0 || r.Close {
			t.Errorf("%q: is more than a probe", raw)
		}
		path, query, asked := strings.Cut(r.RequestURI, "?")
		h := &b.head
		if h.Method != r.Method || h.Host != r.Host || h.Path != path || h.RawQuery != query || h.ForceQuery != (asked && query == "") || h.Proto != r.Proto {
			t.Errorf("%q: %+v, but net/http has %+v", raw, h, r)
		}
		if !reflect.DeepEqual(header, r.Header) {
			t.Errorf("%q: %q, but net/http has %q", raw, header, r.Header)
		}
	})
}

// recorded is a connection that brings what was recorded.
type recorded struct {
	io.Reader
	net.Conn
}

func (r *recorded) Read(p []byte) (int, error)      { return r.Reader.Read(p) }
func (r *recorded) SetReadDeadline(time.Time) error { return nil }
