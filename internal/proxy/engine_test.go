package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

// site is a gateway made of an engine and a server, in front of one upstream.
type site struct {
	addr   string
	engine *proxy.Engine
	server *proxy.Server
}

// policy forwards everything to one upstream, as edited by the tests.
type policy struct {
	action func(*proxy.Head) proxy.Action
	again  func(*proxy.Head, *proxy.Action, *proxy.Outcome) bool

	mu       sync.Mutex
	outcomes []proxy.Outcome
	actions  []proxy.Action
}

func (p *policy) Decide(h *proxy.Head) proxy.Action { return p.action(h) }

func (p *policy) Done(h *proxy.Head, a *proxy.Action, o *proxy.Outcome) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes = append(p.outcomes, *o)
	p.actions = append(p.actions, *a)
	return p.again != nil && p.again(h, a, o)
}

// patience bounds what should take no time, on a busy machine. Only a test that
// fails spends it.
const patience = time.Minute

// outcome waits for the n-th outcome, from 0.
func (p *policy) outcome(t testing.TB, n int) proxy.Outcome {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		if len(p.outcomes) > n {
			defer p.mu.Unlock()
			return p.outcomes[n]
		}
		p.mu.Unlock()
	}
	t.Fatalf("no outcome %d", n)
	return proxy.Outcome{}
}

func forwardTo(u upstream.Upstream) *policy {
	return &policy{action: func(*proxy.Head) proxy.Action {
		return proxy.Action{Kind: proxy.Forward, Upstream: u}
	}}
}

// serve starts a site; it is gone, with all its goroutines, after the test.
func serve(t testing.TB, p proxy.Policy, s proxy.Settings) *site {
	t.Helper()
	return serveBy(t, p, s, (*proxy.Server).Serve)
}

// serveTLS starts a site whose listener speaks TLS.
func serveTLS(t testing.TB, p proxy.Policy, s proxy.Settings) *site {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, MinVersion: tls.VersionTLS12}
	return serveBy(t, p, s, func(srv *proxy.Server, l net.Listener) error { return srv.ServeTLS(l, config) })
}

func serveBy(t testing.TB, p proxy.Policy, s proxy.Settings, by func(*proxy.Server, net.Listener) error) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.New(p, s, nil)
	srv := proxy.NewServer(e, nil)
	done := make(chan error, 1)
	go func() { done <- by(srv, l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		e.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &site{addr: l.Addr().String(), engine: e, server: srv}
}

// appServer starts an app on net/http.
func appServer(t testing.TB, h http.HandlerFunc) upstream.Upstream {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return upstream.MustParse(s.URL)
}

// say sends raw bytes and returns all that comes back until the connection
// ends.
func (s *site) say(t testing.TB, raw string) string {
	t.Helper()
	conn := s.dial(t)
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(conn)
	return string(b)
}

func (s *site) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func TestForward(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-App", "yes")
		fmt.Fprintf(w, "%s %s host=%s body=%s xff=%s hop=%q underscore=%q",
			r.Method, r.RequestURI, r.Host, body, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Hop"), r.Header["X_forged"])
	})
	p := &policy{action: func(h *proxy.Head) proxy.Action {
		return proxy.Action{
			Kind: proxy.Forward, Upstream: u,
			Set:      []proxy.Field{{Name: "X-Forwarded-For", Value: h.Peer.Addr().String()}},
			Response: []proxy.Field{{Name: "X-Frame-Options", Value: "DENY"}, {Name: "X-App", Value: "no"}},
		}
	}}
	s := serve(t, p, proxy.Settings{})
	got := s.say(t, "POST /a%20b?c=d HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 1.2.3.4\r\nX_Forged: 1\r\n"+
		"Connection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nhello")
	for _, want := range []string{
		"HTTP/1.1 200 OK\r\n", "X-Frame-Options: DENY\r\n", "X-App: yes\r\n",
		"POST /a%20b?c=d host=example.org body=hello xff=127.0.0.1 hop=\"\" underscore=[]",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("answer lacks %q:\n%s", want, got)
		}
	}
	o := p.outcome(t, 0)
	if o.Status != 200 || o.Err != nil || o.BytesIn != 5 || !o.Answered || o.Reused || o.FirstByte == 0 || o.Total < o.FirstByte {
		t.Errorf("outcome %+v", o)
	}
}
