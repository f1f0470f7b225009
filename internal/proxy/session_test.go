package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/upstream"
)

// noted is a policy that answers everything, or forwards what wants to, and
// remembers what it was asked and told.
type noted struct {
	answer  Action
	forward func(*Head) bool
	hold    chan bool // if not nil, Decide waits for it from the second time on

	mu       sync.Mutex
	heads    []Head
	outcomes []Outcome
}

func (p *noted) Decide(h *Head) Action {
	p.mu.Lock()
	asked := len(p.heads)
	p.heads = append(p.heads, *h)
	p.mu.Unlock()
	if asked > 0 && p.hold != nil {
		<-p.hold
	}
	if p.forward != nil && p.forward(h) {
		return Action{Kind: Forward, Upstream: upstream.MustParse("unix:///memory")}
	}
	return p.answer
}

func (p *noted) Done(h *Head, _ *Action, o *Outcome) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heads = append(p.heads, *h)
	p.outcomes = append(p.outcomes, *o)
	return false
}

// told waits for the n-th outcome, from 0.
func (p *noted) told(n int) Outcome {
	for {
		p.mu.Lock()
		if len(p.outcomes) > n {
			defer p.mu.Unlock()
			return p.outcomes[n]
		}
		p.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

var health = Action{
	Kind: Answer, Status: 503, Body: []byte("fail: database\n"),
	Header:   http.Header{"Cache-Control": {"no-store"}, "Content-Type": {"text/plain"}, "Content-Length": {"15"}, "Vary": {"Accept", "Authorization"}},
	Response: []Field{{"X-Frame-Options", "DENY"}, {"content-type", "not this one"}},
}

// inPieces writes to a client's end, a pause after each piece.
func inPieces(c net.Conn, pause time.Duration, pieces ...string) {
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// How long a client may take for its requests.
func TestPatience(t *testing.T) {
	const (
		post   = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
		chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		slow   = time.Second
		over   = "408 Request Timeout"
	)
	for _, tt := range []struct {
		name   string
		pause  time.Duration
		pieces []string
		last   string        // the last answer's status line
		after  time.Duration // when the connection ended
	}{
		{"silent", time.Hour, nil, "", 75 * time.Second},
		{"silent after an empty line", time.Hour, []string{"\r\n"}, "", 75 * time.Second},
		{"silent after an empty line in pieces", time.Second, []string{"\r", "\n"}, "", 75 * time.Second},
		{"half an empty line", time.Hour, []string{"\r"}, over, 10 * time.Second},
		{"head in time", 9 * time.Second, []string{ask[:20], ask[20:]}, "200 OK", 84 * time.Second},
		{"head not in time", 9 * time.Second, []string{ask[:10], ask[10:12], ask[12:]}, over, 10 * time.Second},
		{"head not in time after an empty line", 9 * time.Second, []string{"\r\n", ask[:10], ask[10:12], ask[12:]}, over, 19 * time.Second},
		{"second head not in time", 9 * time.Second, []string{ask, ask[:9]}, over, 19 * time.Second},
		{"second head not in time, begun with the first", 9 * time.Second, []string{ask + ask[:9]}, over, 10 * time.Second},
		{"slow body", 40 * time.Second, append([]string{post}, strings.Split("slow", "")...), "200 OK", (160 + 75) * time.Second},
		{"body stops", time.Hour, []string{post + "sl"}, over, 60 * time.Second},
		{"chunk stops", time.Hour, []string{chunks + "5"}, over, 60 * time.Second},
		{"chunk stops later", 40 * time.Second, []string{chunks + "5\r\n", "hello"}, over, 100 * time.Second},
		{"an empty line after a body", 40 * time.Second, []string{post + "slow\r\n", ask}, "200 OK", 115 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &noted{forward: func(*Head) bool { return true }}
			inBubbleOf(t, p, reading, func(t *testing.T, m *memory, _ *Server) {
				c := m.client()
				start := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { inPieces(c, tt.pause, tt.pieces...) })
				got, _ := io.ReadAll(c)
				if took := time.Since(start); took != tt.after {
					t.Errorf("ended after %v, want %v", took, tt.after)
				}
				last := ""
				if i := strings.LastIndex(string(got), "HTTP/1.1 "); i >= 0 {
					last, _, _ = strings.Cut(string(got)[i+len("HTTP/1.1 "):], "\r\n")
				}
				if last != tt.last {
					t.Errorf("got %q, want %q at last", got, tt.last)
				}
				c.Close()
				sending.Wait()
			})
		})
	}
}

// reading is an app that reads each request's body to its end, and then answers.
func reading(c net.Conn) {
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// What was refused began when its first byte came, whatever came before.
func TestRefusedBegan(t *testing.T) {
	const good, bad = ask, "GET / HTTP/1.1\r\nHost: a\r\n x\r\n\r\n"
	for _, tt := range []struct {
		name   string
		pieces []string // a second apart
		began  time.Duration
	}{
		{"at once", []string{bad}, 0},
		{"in pieces", []string{bad[:3], bad[3:9], "\n"}, 0},
		{"after another", []string{good[:9], good[9:], bad[:9], "\n"}, 2 * time.Second},
		{"with the end of another", []string{good[:9], good[9:] + bad[:9], "\n"}, time.Second},
		{"whole, with the end of another", []string{good[:9], good[9:] + bad}, time.Second},
		{"not in time", []string{good, "G"}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &noted{answer: health}
			inBubbleOf(t, p, nil, func(t *testing.T, m *memory, _ *Server) {
				c := m.client()
				start := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { inPieces(c, time.Second, tt.pieces...) })
				_, _ = io.ReadAll(c)
				c.Close()
				sending.Wait()
				head := p.heads[len(p.heads)-1]
				o := p.outcomes[len(p.outcomes)-1]
				if began := head.Start.Sub(start); began != tt.began || o.Err == nil || head.Method != "" {
					t.Errorf("%v of what began after %v, want %v", o.Err, began, tt.began)
				}
			})
		})
	}
}

const probe = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"

// answerOf reads an answer, and returns its status and body.
func answerOf(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// An answer of a policy's own, byte by byte.
func TestOwnAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		answer        Action
		want          string // but for the Date
	}{
		{
			"GET", probe, health,
			"HTTP/1.1 503 Service Unavailable\r\nCache-Control: no-store\r\nContent-Length: 15\r\nContent-Type: text/plain\r\nVary: Accept\r\nVary: Authorization\r\n" +
				"X-Frame-Options: DENY\r\n\r\nfail: database\n",
		},
		{
			"HEAD", "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n", health,
			"HTTP/1.1 503 Service Unavailable\r\nCache-Control: no-store\r\nContent-Length: 15\r\nContent-Type: text/plain\r\nVary: Accept\r\nVary: Authorization\r\n" +
				"X-Frame-Options: DENY\r\n\r\n",
		},
		{"empty", probe, Action{Kind: Answer}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"no body", probe, Action{Kind: Answer, Status: 204, Body: []byte("not this")}, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"a status of no name", probe, Action{Kind: Answer, Status: 599, Body: []byte("x")}, "HTTP/1.1 599 \r\nContent-Length: 1\r\n\r\nx"},
		{"a reason of one's own", probe, Action{Kind: Answer, Status: 464, Reason: "Odd"}, "HTTP/1.1 464 Odd\r\nContent-Length: 0\r\n\r\n"},
		{"a date of one's own", probe, Action{Kind: Answer, Header: http.Header{"Date": {"today"}}}, "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 0\r\n\r\n"},
		{"HTTP/1.0", "GET /health HTTP/1.0\r\n\r\n", Action{Kind: Answer, Body: []byte("ok")}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"},
		{"HTTP/1.0, kept", "GET /health HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Action{Kind: Answer, Body: []byte("ok")}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"},
		{"asked to close", "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", Action{Kind: Answer, Body: []byte("ok")}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"},
		{"a short body is read past", "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", Action{Kind: Answer}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"chunks are not waited for", "POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Action{Kind: Answer}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"nor a body that waits itself", "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", Action{Kind: Answer}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &noted{answer: tt.answer}
			inBubbleOf(t, p, nil, func(t *testing.T, m *memory, _ *Server) {
				c := m.client()
				defer c.Close()
				again := !strings.Contains(tt.want, "Connection: close")
				requests := tt.request
				if again {
					requests += tt.request
				}
				go func() { _, _ = io.WriteString(c, requests) }()
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				raw, _ := io.ReadAll(c)
				got := anyDate.ReplaceAllString(string(raw), "")
				want := tt.want
				if again {
					want += want
				}
				if got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

var anyDate = regexp.MustCompile("Date: [A-Z][^\r]*\r\n")

// What a request expects that there is not, nobody is asked about.
func TestUnmetExpectation(t *testing.T) {
	p := &noted{answer: health}
	inBubbleOf(t, p, nil, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		go func() { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n") }()
		got, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(got), "HTTP/1.1 417 ") || !strings.Contains(string(got), "\r\nConnection: close\r\n") {
			t.Errorf("got %s", got)
		}
	})
	if len(p.outcomes) != 1 || !errors.Is(p.outcomes[0].Err, ErrBadRequest) {
		t.Errorf("told %+v", p.outcomes)
	}
}

// Requests keep a connection from being idle.
func TestRequestsKeepTheirConnection(t *testing.T) {
	inBubbleOf(t, &noted{answer: health}, nil, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		r := bufio.NewReader(c)
		for range 10 {
			_, _ = io.WriteString(c, probe)
			answerOf(t, r)
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

// Requests may come several at once, and in pieces.
func TestRequestsInARow(t *testing.T) {
	p := &noted{answer: health}
	inBubbleOf(t, p, nil, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		r := bufio.NewReader(c)
		for _, pieces := range [][]string{
			{probe},
			{probe + probe},
			{probe},
			{probe[:10], probe[10:]},
			{probe + probe[:30], probe[30:]},
			{probe},
		} {
			var sending sync.WaitGroup
			sending.Go(func() { inPieces(c, 0, pieces...) })
			for range strings.Count(strings.Join(pieces, ""), "GET ") {
				if got := answerOf(t, r); got != "503 fail: database\n" {
					t.Errorf("got %q", got)
				}
			}
			sending.Wait()
		}
	})
	if len(p.outcomes) != 8 {
		t.Errorf("%d outcomes", len(p.outcomes))
	}
}

// Who asks and never reads the answers does not hold a connection for ever.
func TestNobodyReadsTheAnswers(t *testing.T) {
	inBubbleOf(t, &noted{answer: health}, nil, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		r := bufio.NewReader(c)
		_, _ = io.WriteString(c, probe)
		answerOf(t, r)
		start := time.Now()
		_, _ = io.WriteString(c, probe)
		_, err := io.WriteString(c, probe) // is taken when the first answer was
		if waited := time.Since(start); err == nil || waited < 45*time.Second || waited > 75*time.Second {
			t.Errorf("cut off (%v) after %v, not after body_timeout", err, waited)
		}
	})
}

// A byte now and then is enough; twice the time without one is not.
func TestSlowClientIsWrittenTo(t *testing.T) {
	p := &noted{answer: Action{Kind: Answer, Body: []byte(strings.Repeat("x", 100))}}
	inBubbleOf(t, p, nil, func(t *testing.T, m *memory, s *Server) {
		c := m.client()
		defer c.Close()
		go func() { _, _ = io.WriteString(c, probe) }()
		start := time.Now()
		for range 5 {
			time.Sleep(50 * time.Second)
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		}
		for s.Conns() > 0 {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took < 290*time.Second || took > 370*time.Second {
			t.Errorf("cut off after %v", took)
		}
	})
}

// While an answer is waited for, it is looked whether the client still is; what
// it sends meanwhile is not lost, however much that is.
func TestLookout(t *testing.T) {
	for _, ahead := range []int{0, 1, 500} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			var release chan bool
			app := func(c net.Conn) {
				br := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					if _, waits := <-release; !waits {
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}
			p := &noted{forward: func(h *Head) bool { return h.Path == "/" }, answer: health}
			inBubbleOf(t, p, app, func(t *testing.T, m *memory, _ *Server) {
				release = make(chan bool)
				c := m.client()
				defer c.Close()
				var sending sync.WaitGroup
				sending.Go(func() { _, _ = io.WriteString(c, ask+strings.Repeat(probe, ahead)) })
				time.Sleep(time.Second) // it has long been looking
				release <- true
				r := bufio.NewReader(c)
				if got := answerOf(t, r); got != "200 ok" {
					t.Errorf("got %q", got)
				}
				for range ahead {
					if got := answerOf(t, r); got != "503 fail: database\n" {
						t.Fatalf("got %q", got)
					}
				}
				sending.Wait()

				_, _ = io.WriteString(c, ask)
				time.Sleep(time.Second)
				c.Close()
				synctest.Wait()
				if o := p.told(1 + ahead); o.Status != StatusClientGone || !errors.Is(o.Err, ErrClientGone) {
					t.Errorf("outcome %+v", o)
				}
				close(release)
			})
		})
	}
}

// A client that leaves while its upstream is being connected to ends that.
func TestClientLeavesWhileConnecting(t *testing.T) {
	p := &noted{forward: func(*Head) bool { return true }}
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(nil)
		e := New(p, Settings{}, nil)
		e.dial = func(ctx context.Context, _ upstream.Upstream) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s := NewServer(e, nil)
		var serving sync.WaitGroup
		serving.Go(func() { _ = s.Serve(m) })
		c := m.client()
		start := time.Now()
		_, _ = io.WriteString(c, ask)
		time.Sleep(time.Second)
		c.Close()
		if o := p.told(0); !errors.Is(o.Err, ErrClientGone) || o.Status != StatusClientGone || time.Since(start) > 2*time.Second {
			t.Errorf("after %v: %+v", time.Since(start), o)
		}
		_ = s.Close()
		e.Close()
		serving.Wait()
	})
}

// A request that has been taken is answered, also while the server shuts down; so
// is one that is on its way to an idle connection, or to a new one.
func TestShutdownAnswersWhatIsOnItsWay(t *testing.T) {
	p := &noted{answer: health}
	inBubbleOf(t, p, nil, func(t *testing.T, m *memory, s *Server) {
		p.hold = make(chan bool)
		taken, idle, fresh, silent, line := m.client(), m.client(), m.client(), m.client(), m.client()
		_, _ = io.WriteString(line, "\r\n") // which is ignored
		for _, c := range []net.Conn{taken, idle} {
			if c == idle {
				go func() { p.hold <- true }()
			}
			_, _ = io.WriteString(c, probe)
			answerOf(t, bufio.NewReader(c))
		}
		_, _ = io.WriteString(taken, probe)
		synctest.Wait()
		start := time.Now()
		var down sync.WaitGroup
		down.Go(func() {
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // no time passes
		for _, c := range []net.Conn{idle, fresh} {
			_, _ = io.WriteString(c, probe)
		}
		close(p.hold)
		for _, c := range []net.Conn{taken, idle, fresh, silent, line} {
			got, _ := io.ReadAll(c)
			if closes := strings.Contains(string(got), "Connection: close\r\n"); closes == (c == silent || c == line) {
				t.Errorf("got %q", got)
			}
			c.Close()
		}
		down.Wait()
		if took := time.Since(start); took != newConnTime {
			t.Errorf("took %v", took)
		}
	})
}

// The time for a head that was begun with the request before does not run while
// that is being answered.
func TestHeadBegunWithSlowRequest(t *testing.T) {
	const longer = 30 * time.Second // than the time for a head
	slow := func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			time.Sleep(longer)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
	p := &noted{forward: func(h *Head) bool { return h.Path == "/" }, answer: health}
	inBubbleOf(t, p, slow, func(t *testing.T, m *memory, _ *Server) {
		c := m.client()
		defer c.Close()
		var sending sync.WaitGroup
		sending.Go(func() { inPieces(c, longer+time.Second, ask+probe[:20], probe[20:]) })
		r := bufio.NewReader(c)
		for _, want := range []string{"200 ok", "503 fail: database\n"} {
			if got := answerOf(t, r); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		sending.Wait()
	})
}

// What could not be written is not counted.
func TestBytesOutOfClientThatLeft(t *testing.T) {
	var left chan bool
	app := func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		<-left // less than a look-out ago
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
	p := &noted{forward: func(*Head) bool { return true }}
	inBubbleOf(t, p, app, func(t *testing.T, m *memory, _ *Server) {
		left = make(chan bool)
		c := m.client()
		_, _ = io.WriteString(c, ask)
		c.Close()
		close(left)
		if o := p.told(0); o.BytesOut != 0 || !errors.Is(o.Err, ErrClientGone) {
			t.Errorf("outcome %+v", o)
		}
	})
}

// late is a listener that accepts its one connection when it is closed, as one
// may that a client has connected to in that moment.
type late struct {
	net.Listener
	conn   net.Conn
	closed chan bool
	once   sync.Once
}

func (l *late) Accept() (net.Conn, error) {
	<-l.closed
	time.Sleep(time.Second) // Shutdown goes on meanwhile
	if nc := l.conn; nc != nil {
		l.conn = nil
		return nc, nil
	}
	return nil, net.ErrClosed
}

func (l *late) Addr() net.Addr { return &net.UnixAddr{Name: "late", Net: "unix"} }

func (l *late) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

func TestShutdownAnswersWhatIsAcceptedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(&noted{answer: health}, Settings{}, nil)
		s := NewServer(e, nil)
		ours, theirs := net.Pipe()
		l := &late{conn: theirs, closed: make(chan bool)}
		var doing sync.WaitGroup
		doing.Go(func() {
			if err := s.Serve(l); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		down := make(chan bool)
		doing.Go(func() {
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			close(down)
		})
		_, _ = io.WriteString(ours, probe) // blocks until it is served
		select {
		case <-down:
			t.Error("shut down before the last request was answered")
		default:
		}
		if got := answerOf(t, bufio.NewReader(ours)); got != "503 fail: database\n" {
			t.Errorf("got %q", got)
		}
		ours.Close()
		doing.Wait()
		e.Close()
	})
}

// faulty is a policy that fails when the answer comes.
type faulty struct{ noted }

func (*faulty) Answered(h *Head, _ *Action, _ int, _ Header) {
	if h.Path == "/faulty" {
		panic("a fault of ours")
	}
}

// After a fault in the midst of a request, whose body is still read, others are
// served as ever.
func TestFaultWhileBodyIsRead(t *testing.T) {
	early := func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
	p := &faulty{noted{forward: func(*Head) bool { return true }}}
	inBubbleOf(t, p, early, func(t *testing.T, m *memory, _ *Server) {
		for range 10 {
			c := m.client()
			_, _ = io.WriteString(c, "POST /faulty HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegun")
			if got, _ := io.ReadAll(c); len(got) > 0 {
				t.Errorf("got %q", got)
			}
			c.Close()
			for range 3 {
				c := m.client()
				_, _ = io.WriteString(c, ask)
				if got := answerOf(t, bufio.NewReader(c)); got != "200 ok" {
					t.Errorf("got %q", got)
				}
				c.Close()
			}
		}
	})
}
