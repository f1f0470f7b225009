package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/upstream"
)

// memory is a network of pipes: a listener for clients, and a dial for the
// engine, each of whose connections an app handles.
type memory struct {
	conns chan net.Conn
	app   func(net.Conn)
	once  sync.Once
	done  chan struct{}
	apps  sync.WaitGroup
}

func newMemory(app func(net.Conn)) *memory {
	return &memory{conns: make(chan net.Conn), app: app, done: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.done) }); return nil }
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (m *memory) client() net.Conn {
	ours, theirs := net.Pipe()
	m.conns <- theirs
	return ours
}

func (m *memory) dial(context.Context, upstream.Upstream) (net.Conn, error) {
	ours, theirs := net.Pipe()
	m.apps.Go(func() {
		defer theirs.Close()
		m.app(theirs)
	})
	return ours, nil
}

// inBubble runs a site with default settings in fake time.
func inBubble(t *testing.T, app func(net.Conn), test func(t *testing.T, m *memory, e *Engine)) {
	t.Helper()
	inBubbleOf(t, toMemory{}, app, func(t *testing.T, m *memory, s *Server) { test(t, m, s.engine) })
}

func inBubbleOf(t *testing.T, policy Policy, app func(net.Conn), test func(t *testing.T, m *memory, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(app)
		e := New(policy, Settings{}, nil)
		e.dial = m.dial
		s := NewServer(e, nil)
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := s.Serve(m); err != nil {
				t.Error(err)
			}
		})
		test(t, m, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		e.Close()
		serving.Wait()
		m.apps.Wait()
	})
}

type toMemory struct{}

func (toMemory) Decide(*Head) Action {
	return Action{Kind: Forward, Upstream: upstream.MustParse("unix:///memory")}
}
func (toMemory) Done(*Head, *Action, *Outcome) bool { return false }

// silent is an app that reads, and says nothing but first.
func silent(first string) func(net.Conn) {
	return func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" && first != "" {
				_, _ = io.WriteString(c, first)
			}
		}
	}
}

const ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// The default time-outs, to the second.
func TestTimes(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
	for _, tt := range []struct {
		name, answer string
		send         []string // by the client, a second between two
		status       string
		after        time.Duration // when the client's connection ended
	}{
		{"no answer", "", []string{ask}, "504 Gateway Timeout", 60*time.Second + 75*time.Second},
		{"half a head", head, []string{ask}, "504 Gateway Timeout", 60*time.Second + 75*time.Second},
		{"half a body", head + "\r\nhalf", []string{ask}, "200 OK", 60*time.Second + graceWithLength},
		{"answered, and then idle", head + "\r\ncomplete!", []string{ask}, "200 OK", 75 * time.Second},
		{"idle from the start", "", nil, "", 75 * time.Second},
		{"half a request", "", []string{ask[:20]}, "408 Request Timeout", 10 * time.Second},
		{"half a request, by drops", "", strings.Split(ask[:24], ""), "408 Request Timeout", 10 * time.Second},
		{"no body", "", []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"}, "408 Request Timeout", 60 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, silent(tt.answer), func(t *testing.T, m *memory, _ *Engine) {
				c := m.client()
				defer c.Close()
				start := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() {
					for _, s := range tt.send {
						_, _ = io.WriteString(c, s)
						time.Sleep(time.Second)
					}
				})
				got, _ := io.ReadAll(c)
				if took := time.Since(start); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
				if line, _, _ := strings.Cut(string(got), "\r\n"); line != strings.TrimSpace("HTTP/1.1 "+tt.status) && tt.status != "" || tt.status == "" && line != "" {
					t.Errorf("got %q, want %q", line, tt.status)
				}
				c.Close()
				sending.Wait()
			})
		})
	}
}

// Kept connections are closed when they have been idle for long, one by one.
func TestIdleConnections(t *testing.T) {
	var ended []time.Duration
	var mu sync.Mutex
	var start time.Time
	app := func(c net.Conn) {
		silent("HTTP/1.1 204 No Content\r\n\r\n")(c)
		mu.Lock()
		defer mu.Unlock()
		ended = append(ended, time.Since(start))
	}
	inBubble(t, app, func(t *testing.T, m *memory, e *Engine) {
		start = time.Now()
		get := func(clients ...net.Conn) {
			for _, c := range clients {
				_, _ = io.WriteString(c, ask)
			}
			for _, c := range clients {
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			synctest.Wait()
		}
		a, b := m.client(), m.client()
		defer a.Close()
		defer b.Close()
		get(a)
		time.Sleep(20 * time.Second)
		get(a, b)
		p := e.pool(upstream.MustParse("unix:///memory"))
		p.mu.Lock()
		idle := len(p.idle)
		p.mu.Unlock()
		time.Sleep(30 * time.Second)
		get(a) // the one on top is used again, so the other grows old
		time.Sleep(70 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		want := 80 * time.Second
		if idle == 2 && (len(ended) != 2 || ended[0] != want || ended[1] != 110*time.Second) || idle == 1 && (len(ended) != 1 || ended[0] != 110*time.Second) {
			t.Errorf("%d connections ended at %v", idle, ended)
		}
	})
}

// written is where an answer goes in FuzzAnswer.
type written struct {
	head    answerHead
	body    bytes.Buffer
	trailed []Field
}

func (w *written) attend(watcher)      {}
func (w *written) leave()              {}
func (w *written) inform(int, []Field) {}
func (w *written) begin(h *answerHead, _ bool) {
	w.head = *h
	w.head.fields = slices.Clone(h.fields) // which are the connection's
}
func (w *written) Write(p []byte) (int, error)             { return w.body.Write(p) }
func (w *written) Flush() error                            { return nil }
func (*written) cut()                                      {}
func (w *written) trailer(fields []Field)                  { w.trailed = fields }
func (w *written) upgrade(*answerHead) (clientConn, error) { return clientConn{}, io.EOF }

// canned is a connection to an upstream that has said it all already.
type canned struct {
	net.Conn
	r io.Reader
}

func (c *canned) Read(p []byte) (int, error)    { return c.r.Read(p) }
func (*canned) Write(p []byte) (int, error)     { return len(p), nil }
func (*canned) Close() error                    { return nil }
func (*canned) SetDeadline(time.Time) error     { return nil }
func (*canned) SetReadDeadline(time.Time) error { return nil }

// FuzzAnswer holds the reading of answers against net/http's: what is relayed
// as complete is what http.ReadResponse reads, and the bytes after it are
// nobody's answer.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", "HTTP/1.1 304\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\nX: a\n b\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\r\nConnection: keep-alive, x\r\nX: 1\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, answer []byte, headRequest bool) {
		method := "GET"
		if headRequest {
			method = "HEAD"
		}
		w := new(written)
		e := New(toMemory{}, Settings{}, nil)
		e.dial = func(context.Context, upstream.Upstream) (net.Conn, error) {
			return &canned{r: bytes.NewReader(answer)}, nil
		}
		x := &exchange{engine: e, settings: e.settings.Load(), req: &request{method: method, target: "/", host: "a"}, answer: w, out: new(Outcome)}
		u := upstream.MustParse("unix:///memory")
		defer e.Close()
		if err := x.run(t.Context(), e.pool(u), false); err != nil {
			return
		}
		resp, body, err := readResponse(answer, method) //nolint:bodyclose // read to its end
		if err != nil {
			t.Fatalf("net/http does not read what was relayed: %v", err)
		}
		if resp.StatusCode != w.head.status || !bytes.Equal(body, w.body.Bytes()) {
			t.Fatalf("relayed %d %q, net/http reads %d %q", w.head.status, w.body.Bytes(), resp.StatusCode, body)
		}
		for _, field := range w.head.fields {
			// net/http leaves a space where an empty line was folded in.
			same := func(v string) bool { return strings.Trim(v, " \t") == field.Value }
			if !slices.ContainsFunc(resp.Header.Values(field.Name), same) {
				t.Fatalf("relayed %q, net/http reads %q", field, resp.Header)
			}
		}
	})
}

// readResponse reads an answer by net/http, past interim ones.
func readResponse(answer []byte, method string) (*http.Response, []byte, error) {
	br := bufio.NewReader(bytes.NewReader(answer))
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return nil, nil, err
		}
		if resp.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, nil, err
		}
		return resp, body, err
	}
}

// The time between two requests can be changed while connections are open: it
// counts from their next answer on.
func TestIdleTimeoutChanges(t *testing.T) {
	app := silent("HTTP/1.1 204 No Content\r\n\r\n")
	inBubble(t, app, func(t *testing.T, m *memory, e *Engine) {
		c := m.client()
		defer c.Close()
		br := bufio.NewReader(c)
		for _, idle := range []time.Duration{200 * time.Second, 75 * time.Second, 10 * time.Second} {
			e.Configure(Settings{IdleTimeout: idle, IdleConnTimeout: time.Hour})
			_, _ = io.WriteString(c, ask)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("with %v: %v", idle, err)
			}
			resp.Body.Close()
			synctest.Wait()
			time.Sleep(idle - time.Second)
		}
		start := time.Now()
		if _, err := br.ReadByte(); err != io.EOF || time.Since(start) != time.Second {
			t.Errorf("end: %v, after %v more", err, time.Since(start))
		}
	})
}
