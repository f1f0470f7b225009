package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

// certificate is one that nobody trusts.
var certificate = sync.OnceValue(func() tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Certificates[0]
})

// protocols are what apps and clients speak in these tests.
var protocols = []upstream.Protocol{upstream.HTTP, upstream.HTTPS, upstream.H2C, upstream.H2}

// appSpeaking starts an app on net/http that speaks one protocol alone.
func appSpeaking(t testing.TB, p upstream.Protocol, h http.HandlerFunc) upstream.Upstream {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	switch p {
	case upstream.HTTP, upstream.HTTPS:
		s.Config.Protocols.SetHTTP1(true)
	case upstream.H2C:
		s.Config.Protocols.SetUnencryptedHTTP2(true)
	case upstream.H2:
		s.Config.Protocols.SetHTTP2(true)
		s.EnableHTTP2 = true
	}
	if p == upstream.HTTPS || p == upstream.H2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return upstream.New(p, s.Listener.Addr().String())
}

// clientOf returns a client for a site, and the site's URL.
func clientOf(t testing.TB, s *site, p upstream.Protocol) (*http.Client, string) {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "site.example"}, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	scheme := "https"
	switch p {
	case upstream.HTTP:
		tr.Protocols.SetHTTP1(true)
		scheme = "http"
	case upstream.HTTPS:
		tr.Protocols.SetHTTP1(true)
	default:
		tr.Protocols.SetHTTP2(true)
	}
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, scheme + "://" + s.addr
}

// serveTo starts a site that speaks a client's protocol.
func serveTo(t testing.TB, p proxy.Policy, client upstream.Protocol, s proxy.Settings) *site {
	if client == upstream.HTTP {
		return serve(t, p, s)
	}
	return serveTLS(t, p, s)
}

// Every protocol of clients goes with every protocol of apps.
func TestProtocols(t *testing.T) {
	for _, from := range []upstream.Protocol{upstream.HTTP, upstream.HTTPS, upstream.H2} {
		for _, to := range protocols {
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) { testProtocols(t, from, to) })
		}
	}
}

func testProtocols(t *testing.T, from, to upstream.Protocol) {
	u := appSpeaking(t, to, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hints":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		case "/none":
			w.WriteHeader(http.StatusNoContent)
			return
		}
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Head", fmt.Sprintf("%s %s %s host=%s agent=%q encoding=%q hop=%q underscore=%q",
			r.Method, r.RequestURI, r.Proto, r.Host, r.Header["User-Agent"], r.Header["Accept-Encoding"], r.Header["X-Hop"], r.Header["X_forged"]))
		fmt.Fprintf(w, "%d bytes, %v, trailer %s", n, err, r.Trailer.Get("X-Trailing"))
		if r.URL.Path == "/large" {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 300_000))
		}
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sum.Sum(nil)))
	})
	p := forwardTo(u)
	var head atomic.Pointer[proxy.Head]
	forward := p.action
	p.action = func(h *proxy.Head) proxy.Action {
		c := *h
		head.Store(&c)
		return forward(h)
	}
	s := serveTo(t, p, from, proxy.Settings{})
	client, base := clientOf(t, s, from)
	version := map[upstream.Protocol]string{upstream.HTTP: "HTTP/1.1", upstream.HTTPS: "HTTP/1.1", upstream.H2C: "HTTP/2.0", upstream.H2: "HTTP/2.0"}
	large := strings.Repeat("body ", 100_000)
	for i, tt := range []struct {
		name, method, path string
		body               io.Reader
		want               string // of the body's start
		status             int
	}{
		{"GET", "GET", "/a%20b//c?d=%2f&e", nil, "0 bytes, <nil>, trailer ", 200},
		{"two slashes", "GET", "//a%2Fb?", nil, "0 bytes, <nil>, trailer ", 200},
		{"early hints", "GET", "/hints", nil, "0 bytes", 200},
		{"HEAD", "HEAD", "/", nil, "", 200},
		{"no content", "GET", "/none", nil, "", 204},
		{"redirect", "GET", "/redirect", nil, "<a href", 302},
		{"small body", "POST", "/", strings.NewReader("hello"), "5 bytes, <nil>", 200},
		{"large body and answer", "PUT", "/large", strings.NewReader(large), "500000 bytes, <nil>", 200},
		{"body of unknown length", "POST", "/", struct{ io.Reader }{strings.NewReader(large)}, "500000 bytes, <nil>, trailer yes", 200},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, base+tt.path, tt.body)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "site.example"
		r.Header.Set("User-Agent", "test")
		r.Header["X_forged"] = []string{"1"}
		if from != upstream.H2 { // HTTP/2 has no such field
			r.Header.Set("Connection", "X-Hop")
			r.Header.Set("X-Hop", "1")
		}
		if r.ContentLength < 0 || strings.Contains(tt.name, "unknown") {
			r.Trailer = http.Header{"X-Trailing": {"yes"}}
		}
		var hint atomic.Value
		ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hint.Store(fmt.Sprint(code, h.Get("Link")))
			return nil
		}})
		resp, err := client.Do(r.WithContext(ctx))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.HasPrefix(string(body), tt.want) || (tt.want == "") != (len(body) == 0) {
			t.Errorf("%s: %s, %d bytes %.60q, error %v", tt.name, resp.Status, len(body), body, err)
		}
		if resp.Proto != version[from] {
			t.Errorf("%s: answered in %s", tt.name, resp.Proto)
		}
		if h := resp.Header.Get("X-Head"); tt.status == 200 {
			want := fmt.Sprintf("%s %s %s host=site.example agent=[\"test\"] encoding=[] hop=[] underscore=[]", tt.method, tt.path, version[to])
			if h != want {
				t.Errorf("%s: the app got  %s\nwant %s", tt.name, h, want)
			}
		}
		if tt.status == 200 && tt.method != "HEAD" && len(resp.Trailer.Get("X-Sum")) != 64 {
			t.Errorf("%s: trailer %v", tt.name, resp.Trailer)
		}
		if tt.path == "/hints" && hint.Load() != "103</a.css>" {
			t.Errorf("hints %v", hint.Load())
		}
		o := p.outcome(t, i)
		if o.Err != nil || o.Status != tt.status || o.BytesOut != int64(len(body)) || !o.Sent || !o.Answered || o.Reused != (i > 0) ||
			(o.Connect > 0) != (i == 0) || o.RequestTime <= 0 || o.TargetTime <= 0 || o.RequestTime+o.TargetTime+o.ResponseTime > o.Total {
			t.Errorf("%s: outcome %+v", tt.name, o)
		}
		if tt.body != nil && o.BytesIn == 0 || tt.body == nil && o.BytesIn != 0 {
			t.Errorf("%s: %d bytes in", tt.name, o.BytesIn)
		}
		h := head.Load()
		if h.Proto != version[from] || h.TLS != (from != upstream.HTTP) || h.TLS != (h.Handshake != nil) || h.ConnID == 0 || !h.Peer.IsValid() || !h.Local.IsValid() {
			t.Errorf("%s: head %+v", tt.name, h)
		}
		if h.TLS && (h.Handshake.ServerName != "site.example" || h.Handshake.Version != tls.VersionTLS13 || h.Handshake.CipherSuite == 0) {
			t.Errorf("%s: handshake %+v", tt.name, h.Handshake)
		}
	}
}

// An answer that ends early ends early for the client too, whatever is spoken.
func TestCutOffProtocols(t *testing.T) {
	for _, from := range []upstream.Protocol{upstream.HTTP, upstream.HTTPS, upstream.H2} {
		for _, to := range protocols {
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				u := appSpeaking(t, to, func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprint(w, "half")
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				})
				p := forwardTo(u)
				client, base := clientOf(t, serveTo(t, p, from, proxy.Settings{}), from)
				resp, err := client.Get(base)
				if err == nil {
					body, readErr := io.ReadAll(resp.Body)
					resp.Body.Close()
					if readErr == nil {
						t.Errorf("got %q as if it were all", body)
					}
				}
				if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrCutOff) || o.CanRetry || o.Status != 200 {
					t.Errorf("outcome %+v", o)
				}
			})
		}
	}
}

// What goes wrong with an upstream has the same names whatever it speaks.
func TestFaultProtocols(t *testing.T) {
	var silent upstream.Upstream
	get := func(t *testing.T, u upstream.Upstream, late bool) (int, proxy.Outcome) {
		p := forwardTo(u)
		settings := proxy.Settings{TLSTimeout: patience}
		if late {
			settings = proxy.Settings{ResponseTimeout: 200 * time.Millisecond, TLSTimeout: patience}
		}
		if u == silent {
			settings.TLSTimeout = 200 * time.Millisecond
		}
		s := serveTLS(t, p, settings)
		client, base := clientOf(t, s, upstream.H2)
		resp, err := client.Get(base)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, p.outcome(t, 0)
	}
	says := func(t *testing.T, what string) string {
		u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
			if start, _ := br.Peek(3); string(start) == "PRI" {
				_, _ = br.Discard(len(http2.ClientPreface))
				for f := http2.NewFramer(nil, br); ; { // until the request is there
					if frame, err := f.ReadFrame(); err != nil || frame.Header().Type == http2.FrameHeaders {
						break
					}
				}
			}
			_, _ = io.WriteString(c, what)
			if what == "" {
				_, _ = io.Copy(io.Discard, br)
			}
		})
		return u.Address()
	}
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	dies := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, tt := range []struct {
		name     string
		upstream func(*testing.T) upstream.Upstream
		status   int
		kind     error
		timeout  bool
	}{
		{"https: nobody listens", func(t *testing.T) upstream.Upstream { return upstream.New(upstream.HTTPS, refusing(t).Address()) }, 502, proxy.ErrConnect, false},
		{"h2c: nobody listens", func(t *testing.T) upstream.Upstream { return upstream.New(upstream.H2C, refusing(t).Address()) }, 502, proxy.ErrConnect, false},
		{"h2: nobody listens", func(t *testing.T) upstream.Upstream { return upstream.New(upstream.H2, refusing(t).Address()) }, 502, proxy.ErrConnect, false},
		{"https: no TLS", func(t *testing.T) upstream.Upstream {
			return upstream.New(upstream.HTTPS, says(t, "HTTP/1.1 400 Bad Request\r\n\r\n"))
		}, 502, proxy.ErrTLS, false},
		{"h2: no TLS", func(t *testing.T) upstream.Upstream {
			return upstream.New(upstream.H2, says(t, "HTTP/1.1 400 Bad Request\r\n\r\n"))
		}, 502, proxy.ErrTLS, false},
		{"https: silent", func(t *testing.T) upstream.Upstream {
			silent = upstream.New(upstream.HTTPS, says(t, ""))
			return silent
		}, 502, proxy.ErrTLS, true},
		{"h2: HTTP/1.1 alone", func(t *testing.T) upstream.Upstream {
			return upstream.New(upstream.H2, appSpeaking(t, upstream.HTTPS, hangs).Address())
		}, 502, proxy.ErrTLS, false},
		{"h2c: HTTP/1.1 alone", func(t *testing.T) upstream.Upstream {
			return upstream.New(upstream.H2C, says(t, "HTTP/1.1 400 Bad Request\r\n\r\n"))
		}, 502, proxy.ErrBadAnswer, false},
		{"https: late", func(t *testing.T) upstream.Upstream { return appSpeaking(t, upstream.HTTPS, hangs) }, 504, proxy.ErrTimeout, true},
		{"h2c: late", func(t *testing.T) upstream.Upstream { return appSpeaking(t, upstream.H2C, hangs) }, 504, proxy.ErrTimeout, true},
		{"h2: late", func(t *testing.T) upstream.Upstream { return appSpeaking(t, upstream.H2, hangs) }, 504, proxy.ErrTimeout, true},
		{"https: closed", func(t *testing.T) upstream.Upstream { return appSpeaking(t, upstream.HTTPS, dies) }, 502, proxy.ErrNoAnswer, false},
		{"h2c: reset", func(t *testing.T) upstream.Upstream { return appSpeaking(t, upstream.H2C, dies) }, 502, proxy.ErrNoAnswer, false},
		{"h2: reset", func(t *testing.T) upstream.Upstream { return appSpeaking(t, upstream.H2, dies) }, 502, proxy.ErrNoAnswer, false},
		{"h2c: closed", func(t *testing.T) upstream.Upstream {
			return upstream.New(upstream.H2C, says(t, "\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
		}, 502, proxy.ErrNoAnswer, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, o := get(t, tt.upstream(t), tt.timeout)
			if status != tt.status || o.Status != tt.status || !errors.Is(o.Err, tt.kind) || !o.CanRetry {
				t.Errorf("%d; outcome %+v", status, o)
			}
			if err := new(proxy.Error); !errors.As(o.Err, &err) || err.Timeout() != tt.timeout {
				t.Errorf("error %v", o.Err)
			}
			if unsent := errors.Is(tt.kind, proxy.ErrConnect) || errors.Is(tt.kind, proxy.ErrTLS); o.Sent == unsent {
				t.Errorf("sent %v: %v", o.Sent, o.Err)
			}
		})
	}
}

// A client that leaves takes its request along.
func TestClientGoneProtocols(t *testing.T) {
	for _, from := range []upstream.Protocol{upstream.HTTPS, upstream.H2} {
		for _, to := range protocols {
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				arrived, gone := make(chan bool, 1), make(chan bool, 1)
				u := appSpeaking(t, to, func(_ http.ResponseWriter, r *http.Request) {
					arrived <- true
					<-r.Context().Done()
					gone <- true
				})
				p := forwardTo(u)
				client, base := clientOf(t, serveTLS(t, p, proxy.Settings{}), from)
				ctx, cancel := context.WithCancel(t.Context())
				go func() { <-arrived; cancel() }()
				r, _ := http.NewRequestWithContext(ctx, "GET", base, nil)
				if resp, err := client.Do(r); err == nil {
					resp.Body.Close()
					t.Error("answered")
				}
				<-gone
				if o := p.outcome(t, 0); o.Status != proxy.StatusClientGone || !errors.Is(o.Err, proxy.ErrClientGone) || o.CanRetry {
					t.Errorf("outcome %+v", o)
				}
			})
		}
	}
}

// A request is tried at another upstream as long as nothing of its body is gone.
func TestAnotherUpstreamHTTP2(t *testing.T) {
	good := appSpeaking(t, upstream.H2, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d bytes", n)
	})
	dies := appSpeaking(t, upstream.H2C, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	nobody := upstream.New(upstream.H2, refusing(t).Address())
	stream := func(n int) io.Reader { return struct{ io.Reader }{strings.NewReader(strings.Repeat("x", n))} }
	for _, from := range []upstream.Protocol{upstream.HTTP, upstream.H2} {
		for _, tt := range []struct {
			name  string
			first upstream.Upstream
			body  io.Reader
			want  string
		}{
			{"nobody listens", nobody, nil, "0 bytes"},
			{"nobody listens, stream", nobody, stream(100_000), "100000 bytes"},
			{"reset, small body", dies, strings.NewReader("hello"), "5 bytes"},
			{"reset, stream", dies, stream(5), ""},
		} {
			t.Run(from.String()+", "+tt.name, func(t *testing.T) {
				p := forwardTo(tt.first)
				p.again = func(_ *proxy.Head, a *proxy.Action, o *proxy.Outcome) bool {
					a.Upstream = good
					return o.Err != nil
				}
				client, base := clientOf(t, serveTo(t, p, from, proxy.Settings{}), from)
				resp, err := client.Post(base, "text/plain", tt.body)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if tt.want == "" && resp.StatusCode != 502 || tt.want != "" && string(body) != tt.want {
					t.Errorf("%s %s; outcome %+v", resp.Status, body, p.outcome(t, 0))
				}
			})
		}
	}
}

// WebSockets go over TLS on both sides.
func TestWebSocketTLS(t *testing.T) {
	u := appSpeaking(t, upstream.HTTPS, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		kind, msg, err := c.Read(r.Context())
		if err == nil {
			_ = c.Write(r.Context(), kind, msg)
		}
		_, _, _ = c.Read(r.Context())
	})
	for _, from := range []upstream.Protocol{upstream.HTTP, upstream.HTTPS} {
		p := upgradeTo(u, "websocket")
		s := serveTo(t, p, from, proxy.Settings{TunnelTimeout: patience})
		client, base := clientOf(t, s, from)
		client.Timeout = 0
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, _, err := websocket.Dial(ctx, base, &websocket.DialOptions{HTTPClient: client}) //nolint:bodyclose // c has it
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, msg, err := c.Read(ctx); string(msg) != "hello" || err != nil {
			t.Errorf("got %q, %v", msg, err)
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
		if o := p.outcome(t, 0); o.Status != 101 || o.Err != nil {
			t.Errorf("outcome %+v", o)
		}
	}
}

// HTTP/2 can be switched off while it serves.
func TestNoHTTP2(t *testing.T) {
	u := appServer(t, func(http.ResponseWriter, *http.Request) {})
	s := serveTLS(t, forwardTo(u), proxy.Settings{})
	for _, tt := range []struct {
		off  bool
		want string
	}{{false, "h2"}, {true, "http/1.1"}, {false, "h2"}} {
		s.engine.Configure(proxy.Settings{NoHTTP2: tt.off})
		c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != tt.want {
			t.Errorf("off %v: %q", tt.off, got)
		}
		c.Close()
	}
}

// The guard reads what TLS has hidden.
func TestGuardOverTLS(t *testing.T) {
	p := forwardTo(refusing(t))
	s := serveTLS(t, p, proxy.Settings{})
	c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
	if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
		t.Errorf("got %q", got)
	}
	if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrBadRequest) {
		t.Errorf("outcome %+v", o)
	}
}

// Who speaks plain HTTP to a port for TLS is told so.
func TestPlainOverTLS(t *testing.T) {
	p := forwardTo(refusing(t))
	s := serveTLS(t, p, proxy.Settings{})
	if got := s.say(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "speaks TLS") {
		t.Errorf("got %q", got)
	}
	if o := p.outcome(t, 0); o.Status != 400 || !errors.Is(o.Err, proxy.ErrBadRequest) {
		t.Errorf("outcome %+v", o)
	}
	if got := s.say(t, "\x00\x01\x02\x03\x04\x05"); strings.Contains(got, "HTTP") {
		t.Errorf("got %q", got)
	}
}

// frames is a client of HTTP/2 that can write what no client would.
type frames struct {
	*http2.Framer
	conn net.Conn
	head bytes.Buffer
	enc  *hpack.Encoder
}

func newFrames(t *testing.T, s *site) *frames {
	t.Helper()
	c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	f := &frames{Framer: http2.NewFramer(c, c), conn: c}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.enc = hpack.NewEncoder(&f.head)
	_, _ = io.WriteString(c, http2.ClientPreface)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// ask sends a request's head, as names and values.
func (f *frames) ask(t *testing.T, stream uint32, end bool, fields ...string) {
	t.Helper()
	f.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.head.Bytes(), EndStream: end, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
}

// status returns the status that a stream is answered with, or the code that it
// is reset with.
func (f *frames) status(t *testing.T, stream uint32) string {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				return frame.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return frame.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			return "GOAWAY " + frame.ErrCode.String()
		}
	}
}

// A request over HTTP/2 that could become two over HTTP/1.1 goes no further.
func TestGuardHTTP2(t *testing.T) {
	const method, scheme, path, authority = ":method", ":scheme", ":path", ":authority"
	for _, tt := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"good", []string{method, "GET", scheme, "https", path, "/", authority, "a.example"}, "204"},
		{"host beside", []string{method, "GET", scheme, "https", path, "/", authority, "a.example", "host", "a.example"}, "204"},
		{"another host", []string{method, "GET", scheme, "https", path, "/", authority, "a.example", "host", "b.example"}, "400"},
		{"no host", []string{method, "GET", scheme, "https", path, "/"}, "400"},
		{"space in the path", []string{method, "GET", scheme, "https", path, "/ HTTP/1.1", authority, "a.example"}, "400"},
		{"space in the method", []string{method, "GET /x", scheme, "https", path, "/", authority, "a.example"}, "400"},
		{"line in a value", []string{method, "GET", scheme, "https", path, "/", authority, "a.example", "x", "a\r\nY: b"}, "PROTOCOL_ERROR"},
		{"Connection", []string{method, "GET", scheme, "https", path, "/", authority, "a.example", "connection", "close"}, "400"},
		{"Transfer-Encoding", []string{method, "GET", scheme, "https", path, "/", authority, "a.example", "transfer-encoding", "chunked"}, "400"},
		{"CONNECT", []string{method, "CONNECT", authority, "a.example:443"}, "405"},
		{"TRACE", []string{method, "TRACE", scheme, "https", path, "/", authority, "a.example"}, "405"},
		{"long path", []string{method, "GET", scheme, "https", path, "/" + strings.Repeat("a", 9000), authority, "a.example"}, "414"},
		{"large field", []string{method, "GET", scheme, "https", path, "/", authority, "a.example", "x", strings.Repeat("a", 9000)}, "431"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := appServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
			s := serveTLS(t, forwardTo(u), proxy.Settings{TargetSize: 8000, FieldSize: 8000})
			f := newFrames(t, s)
			f.ask(t, 1, true, tt.fields...)
			if got := f.status(t, 1); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A client that begins requests and takes them back at once has no more of them
// under way than its limit allows.
func TestRapidReset(t *testing.T) {
	u := appSpeaking(t, upstream.HTTP, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	p := &underWay{Upstream: u}
	s := serveTLS(t, p, proxy.Settings{Streams: 10})
	f := newFrames(t, s)
	for i := range uint32(1000) {
		f.head.Reset()
		for _, field := range []string{":method GET", ":scheme https", ":path /", ":authority a"} {
			name, value, _ := strings.Cut(field, " ")
			_ = f.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
		}
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: f.head.Bytes(), EndStream: true, EndHeaders: true}) != nil ||
			f.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
			break // cut off: as well
		}
	}
	_ = f.WritePing(false, [8]byte{})
	for answered := false; !answered; { // until all of it was read, or it was cut off
		frame, err := f.ReadFrame()
		ping, ok := frame.(*http2.PingFrame)
		answered = err != nil || ok && ping.IsAck()
	}
	f.conn.Close()
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most == 0 || p.most > 10 || p.now != 0 {
		t.Errorf("%d requests at once, %d left", p.most, p.now)
	}
}

// underWay forwards everything, and counts what is under way.
type underWay struct {
	upstream.Upstream
	mu        sync.Mutex
	now, most int
}

func (p *underWay) Decide(*proxy.Head) proxy.Action {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	p.most = max(p.most, p.now)
	return proxy.Action{Kind: proxy.Forward, Upstream: p.Upstream}
}

func (p *underWay) Done(*proxy.Head, *proxy.Action, *proxy.Outcome) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
	return false
}

// An answer that is the connection's last says so to HTTP/2 too.
func TestConnAgeHTTP2(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	s := serveTLS(t, forwardTo(u), proxy.Settings{ConnAge: time.Nanosecond})
	f := newFrames(t, s)
	f.ask(t, 1, true, ":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a")
	var got []string
	for len(got) < 2 {
		got = append(got, f.status(t, 1))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"204", "GOAWAY NO_ERROR"}) {
		t.Errorf("got %v", got)
	}
}

// A client over HTTP/2 that takes nothing of its answer is not waited for.
func TestSlowReaderHTTP2(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20)) })
	p := forwardTo(u)
	s := serveTLS(t, p, proxy.Settings{BodyTimeout: 200 * time.Millisecond})
	f := newFrames(t, s)
	f.ask(t, 1, true, ":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a")
	if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrClientGone) {
		t.Errorf("outcome %+v", o)
	}
}

// A client over HTTP/2 that sends no more of its body is told so.
func TestSlowBodyHTTP2(t *testing.T) {
	for _, to := range protocols {
		u := appSpeaking(t, to, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		p := forwardTo(u)
		s := serveTLS(t, p, proxy.Settings{BodyTimeout: 200 * time.Millisecond, ResponseTimeout: 200 * time.Millisecond})
		f := newFrames(t, s)
		f.ask(t, 1, false, ":method", "POST", ":scheme", "https", ":path", "/", ":authority", "a")
		_ = f.WriteData(1, false, []byte("hello"))
		if got := f.status(t, 1); got != "408" {
			t.Errorf("%s: got %s", to, got)
		}
		if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrBodyTimeout) || o.BytesIn > 5 {
			t.Errorf("%s: outcome %+v", to, o)
		}
	}
}

// A listener that is closed leaves its connections; Shutdown ends them.
func TestListenersOfOneEngine(t *testing.T) {
	arrived, release := make(chan bool), make(chan bool)
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			arrived <- true
			<-release
		}
		fmt.Fprint(w, "done")
	})
	e := proxy.New(forwardTo(u), proxy.Settings{}, nil)
	defer e.Close()
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	type running struct {
		site
		l    net.Listener
		done chan error
	}
	start := func(secure bool) *running {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r := &running{site{addr: l.Addr().String(), engine: e, server: proxy.NewServer(e, nil)}, l, make(chan error, 1)}
		go func() {
			if secure {
				r.done <- r.server.ServeTLS(l, config)
			} else {
				r.done <- r.server.Serve(l)
			}
		}()
		return r
	}
	for _, from := range []upstream.Protocol{upstream.HTTP, upstream.HTTPS, upstream.H2} {
		t.Run(from.String(), func(t *testing.T) {
			one, other := start(from != upstream.HTTP), start(from != upstream.HTTP)
			client, base := clientOf(t, &one.site, from)
			otherClient, otherBase := clientOf(t, &other.site, from)
			get := func(c *http.Client, url string) string {
				resp, err := c.Get(url)
				if err != nil {
					return err.Error()
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				return string(body)
			}
			if got := get(client, base); got != "done" {
				t.Fatal(got)
			}
			one.l.Close()
			if err := <-one.done; err != nil {
				t.Errorf("serve: %v", err)
			}
			if got := get(client, base); got != "done" {
				t.Errorf("after the listener was closed: %s", got)
			}
			waiting := make(chan string)
			go func() { waiting <- get(client, base+"/wait") }()
			<-arrived
			ended := make(chan error)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				ended <- one.server.Shutdown(ctx)
			}()
			release <- true
			if got := <-waiting; got != "done" {
				t.Errorf("during shutdown: %s", got)
			}
			if err := <-ended; err != nil || one.server.Conns() != 0 {
				t.Errorf("shutdown: %v, %d connections", err, one.server.Conns())
			}
			if got := get(otherClient, otherBase); got != "done" {
				t.Errorf("the other listener: %s", got)
			}
			if err := other.server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-other.done; err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
}
