package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

// A client that leaves takes its request along.
func TestClientGone(t *testing.T) {
	for _, tt := range []struct{ name, request string }{
		{"waiting", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"sending", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			arrived, gone := make(chan bool, 1), make(chan bool, 1)
			u := rawApp(t, func(_ int, _ net.Conn, br *bufio.Reader) {
				readHead(br)
				arrived <- true
				_, _ = io.Copy(io.Discard, br)
				gone <- true
			})
			p := forwardTo(u)
			s := serve(t, p, proxy.Settings{})
			c := s.dial(t)
			_, _ = io.WriteString(c, tt.request)
			<-arrived
			c.Close()
			<-gone
			if o := p.outcome(t, 0); o.Status != proxy.StatusClientGone || !errors.Is(o.Err, proxy.ErrClientGone) || o.CanRetry {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A client that leaves in the middle of its body gets no answer: there is no
// status for it.
func TestClientGoneBeforeItsBody(t *testing.T) {
	for _, tt := range []struct{ name, app, request string }{
		{"short", "http://127.0.0.1:1", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"},
		{"chunked, for uwsgi", "uwsgi://127.0.0.1:1", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(upstream.MustParse(tt.app))
			s := serve(t, p, proxy.Settings{})
			c := s.dial(t)
			_, _ = io.WriteString(c, tt.request)
			_ = c.(*net.TCPConn).CloseWrite()
			if got, _ := io.ReadAll(c); len(got) > 0 {
				t.Errorf("got %q", got)
			}
			if o := p.outcome(t, 0); o.Status != proxy.StatusClientGone || !errors.Is(o.Err, proxy.ErrClientGone) || o.BytesOut != 0 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestEventStream(t *testing.T) {
	next := make(chan bool)
	u := appServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	// Longer silence than StreamTimeout is an event stream's right.
	s := serve(t, forwardTo(u), proxy.Settings{StreamTimeout: 50 * time.Millisecond})
	resp, err := http.Get("http://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	br := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := br.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); line != want {
			t.Fatalf("got %q, error %v, want %q", line, err, want)
		}
		_, _ = br.ReadString('\n')
		time.Sleep(100 * time.Millisecond)
		next <- true
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
}

// The beginning of a slow answer is not held back for its end.
func TestSlowAnswerIsShown(t *testing.T) {
	for _, head := range []string{"Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "\r\nhello"} {
		end := make(chan bool)
		u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head)
			<-end
		})
		s := serve(t, forwardTo(u), proxy.Settings{})
		c := s.dial(t)
		br := bufio.NewReader(c)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		readHead(br)
		buf := make([]byte, 100)
		n, _ := br.Read(buf)
		if !strings.Contains(string(buf[:n]), "hello") {
			t.Errorf("got %q", buf[:n])
		}
		close(end)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int32
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for {
			if h := readHead(br); !strings.HasSuffix(h, "\r\n\r\n") {
				return
			}
			_, _ = io.WriteString(c, okAnswer)
		}
	})
	p := forwardTo(u)
	s := serve(t, p, proxy.Settings{})
	for range 5 {
		s.say(t, closing)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for 5 requests", n)
	}
	if p.outcome(t, 0).Reused || !p.outcome(t, 4).Reused || p.outcome(t, 4).Connect != 0 {
		t.Error("outcomes do not tell which connections were reused")
	}
}

// A connection that the upstream closed while it was idle costs nobody an
// answer, save where sending twice could do harm.
func TestStaleConnections(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
	for _, tt := range []struct {
		name    string
		request string
		// after is what the upstream does on its first connection, which it then
		// closes, after its first answer; the second request waits for done.
		after  func(c net.Conn, br *bufio.Reader, done func())
		status string
		asked  int32 // requests that the upstream has read
	}{
		{"closed, GET", closing, func(net.Conn, *bufio.Reader, func()) {}, "200 OK", 2},
		{"closed, POST", post, func(net.Conn, *bufio.Reader, func()) {}, "200 OK", 2},
		{"unasked answer, POST", post, func(c net.Conn, br *bufio.Reader, done func()) {
			_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n")
			done()
			_, _ = io.Copy(io.Discard, br)
		}, "200 OK", 2},
		{"closed upon the request, GET", closing, func(_ net.Conn, br *bufio.Reader, done func()) { done(); readHead(br) }, "200 OK", 2},
		{"closed upon the request, POST", post, func(_ net.Conn, br *bufio.Reader, done func()) { done(); readHead(br) }, "502 Bad Gateway", 1},
		{"closed within the answer, GET", closing, func(c net.Conn, br *bufio.Reader, done func()) {
			done()
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 2")
		}, "502 Bad Gateway", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			ready := make(chan bool)
			u := rawApp(t, func(n int, c net.Conn, br *bufio.Reader) {
				readHead(br)
				asked.Add(1)
				_, _ = io.WriteString(c, okAnswer)
				if n == 0 {
					done := sync.OnceFunc(func() { close(ready) })
					tt.after(c, br, done)
					c.Close()
					done()
				}
			})
			p := forwardTo(u)
			s := serve(t, p, proxy.Settings{})
			s.say(t, closing)
			<-ready
			if got := s.say(t, tt.request); !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("got %s", got)
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("upstream was asked %d times, want %d", n, tt.asked)
			}
			if o := p.outcome(t, 1); o.Try != 1 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// The policy may ask for another try, at another upstream.
func TestAgain(t *testing.T) {
	bad := answering(t, "")
	good := answering(t, okAnswer)
	p := forwardTo(bad)
	p.again = func(_ *proxy.Head, a *proxy.Action, o *proxy.Outcome) bool {
		a.Upstream = good
		return o.Err != nil
	}
	s := serve(t, p, proxy.Settings{})
	for _, tt := range []struct{ name, request, status string }{
		{"no body", closing, "200 OK"},
		{"short body", "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody", "200 OK"},
		{"body that is gone", "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "502 Bad Gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.say(t, tt.request); !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("got %s", got)
			}
		})
	}
	first, second := p.outcome(t, 0), p.outcome(t, 1)
	if first.Try != 1 || first.Upstream != bad || !first.CanRetry || first.Err == nil || second.Try != 2 || second.Upstream != good || second.Err != nil {
		t.Errorf("outcomes %+v and %+v", first, second)
	}
}

func TestShutdown(t *testing.T) {
	release := make(chan bool)
	arrived := make(chan bool, 1)
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "OPTIONS" {
			return
		}
		arrived <- true
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	})
	t.Run("finishes what is in flight", func(t *testing.T) {
		s := serve(t, forwardTo(u), proxy.Settings{})
		idle := s.dial(t)
		_, _ = io.WriteString(idle, "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n")
		readHead(bufio.NewReaderSize(idle, 1))
		busy := s.dial(t)
		_, _ = io.WriteString(busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		down := make(chan error)
		go func() { down <- s.server.Shutdown(t.Context()) }()
		for {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				break // it accepts no more
			}
			c.Close()
			time.Sleep(time.Millisecond)
		}
		release <- true
		got, _ := io.ReadAll(busy)
		if !strings.HasSuffix(string(got), "\r\n\r\ndone") || !strings.Contains(string(got), "Connection: close\r\n") {
			t.Errorf("got %s", got)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
		if b, _ := io.ReadAll(idle); len(b) > 0 {
			t.Errorf("idle connection got %q", b)
		}
	})
	t.Run("cuts the rest at the deadline", func(t *testing.T) {
		s := serve(t, forwardTo(u), proxy.Settings{})
		busy := s.dial(t)
		_, _ = io.WriteString(busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections were cut") {
			t.Errorf("shutdown: %v", err)
		}
		if n := s.server.Conns(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

func TestCloseAfterAnswer(t *testing.T) {
	s := serve(t, forwardTo(answering(t, okAnswer)), proxy.Settings{})
	c := s.dial(t)
	br := bufio.NewReader(c)
	ask := func() string {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		h := readHead(br)
		_, _ = br.Discard(2)
		return h
	}
	if h := ask(); strings.Contains(h, "Connection:") {
		t.Errorf("got %s", h)
	}
	s.engine.CloseAfterAnswer(true)
	if h := ask(); !strings.Contains(h, "Connection: close\r\n") {
		t.Errorf("got %s", h)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("connection is still open: %v", err)
	}
}

// Nothing is left of a server that was shut down, whatever it went through.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := goroutines()
	t.Run("traffic", func(t *testing.T) {
		u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
			if r.URL.Path == "/die" {
				panic(http.ErrAbortHandler)
			}
		})
		s := serve(t, forwardTo(u), proxy.Settings{})
		for range 20 {
			s.say(t, closing)
			s.say(t, strings.Replace(closing, "/", "/die", 1))
			s.say(t, "nonsense\r\n\r\n")
			s.say(t, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
			c := s.dial(t)
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf")
			c.Close()
		}
	})
	http.DefaultClient.CloseIdleConnections()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		if left := leftover(before, goroutines()); left == "" {
			return
		}
	}
	t.Errorf("left over:\n%s", leftover(before, goroutines()))
}

// goroutines returns the stacks of all goroutines, each without its number.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for i, s := range stacks {
		_, stacks[i], _ = strings.Cut(s, "\n")
	}
	sort.Strings(stacks)
	return stacks
}

func leftover(before, after []string) string {
	var left []string
	for _, s := range after {
		if strings.Contains(s, "hale/internal/proxy.") || strings.Contains(s, "net/http.(*conn).serve") {
			left = append(left, s)
		}
	}
	if len(after) <= len(before) {
		return ""
	}
	return strings.Join(left, "\n\n")
}

// An upstream that is used no more keeps no connection.
func TestForget(t *testing.T) {
	closed := make(chan bool, 1)
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		for strings.HasSuffix(readHead(br), "\r\n\r\n") {
			_, _ = io.WriteString(c, okAnswer)
		}
		closed <- true
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	s.say(t, closing)
	s.engine.Forget(u)
	<-closed
	if got := s.say(t, closing); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %s", got)
	}
}
