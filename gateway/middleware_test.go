package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hale/gateway"
)

// app says what it was asked.
func app(w http.ResponseWriter, r *http.Request) {
	o, ok := gateway.FromContext(r.Context())
	fmt.Fprintf(w, "%s %s%s\n", r.Method, r.Host, r.RequestURI)
	fmt.Fprintf(w, "from %s, %v %s %s, %v\n", r.RemoteAddr, o.Client, o.Scheme, o.RequestID, ok)
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Request-Id", "Connection", "X_forwarded_proto", "Forwarded"} {
		if v := r.Header.Values(name); len(v) > 0 {
			fmt.Fprintf(w, "%s: %s\n", name, strings.Join(v, "|"))
		}
	}
}

// send gives the handler a request as it comes over the wire, and returns its
// response: status, header and body.
func send(t *testing.T, h http.Handler, peer, wire string) (int, http.Header, string) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(wire, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = peer
	before := r.Header.Clone()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if fmt.Sprint(before) != fmt.Sprint(r.Header) {
		t.Errorf("the server's own header was changed from %v to %v", before, r.Header)
	}
	return w.Code, w.Result().Header, w.Body.String()
}

func TestMiddleware(t *testing.T) {
	s := site()
	s.NoSniff = true
	s.HSTS = gateway.HSTS{MaxAge: 60e9}
	health := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, ok := gateway.FromContext(r.Context())
		fmt.Fprintf(w, "ok for %v, %v\n", o.Client, ok)
	})
	h := mustNew(t, s).Middleware(health, http.HandlerFunc(app))

	for _, test := range []struct {
		name, peer, wire string
		status           int
		header           string
		body             string
	}{
		{
			"a probe", "10.0.1.5:4000", "GET /health HTTP/1.1\nHost: 10.0.9.9:8080\nUser-Agent: ELB-HealthChecker/2.0\nConnection: close",
			200, "X-Content-Type-Options: ",
			"ok for 10.0.1.5, true\n",
		},
		{
			"a probe without a Host", "10.0.1.5:4000", "GET /health HTTP/1.0",
			200, "",
			"ok for 10.0.1.5, true\n",
		},
		{
			"a user", "10.0.1.5:4000", "GET /a%2fb?c HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https\nX-Forwarded-For: 203.0.113.7\nX_Forwarded_Proto: http\nConnection: keep-alive\nForwarded: for=1.2.3.4",
			200, "Strict-Transport-Security: max-age=60\nX-Content-Type-Options: nosniff",
			"GET mysite.com/a%2fb?c\nfrom 203.0.113.7:0, 203.0.113.7 https new-id, true\n" +
				"X-Forwarded-For: 203.0.113.7, 10.0.1.5\nX-Forwarded-Proto: https\nX-Forwarded-Host: mysite.com\nX-Forwarded-Port: 443\nX-Request-Id: new-id\n",
		},
		{
			"a user of whom the balancer knows nothing", "10.0.1.5:4000", "GET / HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https\nX-Forwarded-For: 10.0.9.9, \x80",
			200, "",
			"GET mysite.com/\nfrom , invalid IP https new-id, true\n" +
				"X-Forwarded-For: unknown, 10.0.1.5\nX-Forwarded-Proto: https\nX-Forwarded-Host: mysite.com\nX-Forwarded-Port: 443\nX-Request-Id: new-id\n",
		},
		{
			"a probe that is none", "10.0.1.5:4000", "GET /health HTTP/1.1\nHost: mysite.com\nX-Forwarded-For: unknown",
			200, "",
			"ok for invalid IP, true\n",
		},
		{
			"a redirect", "198.51.100.9:4000", "GET /a%2fb? HTTP/1.1\nHost: mysite.com:80\nX-Forwarded-Proto: https",
			301, "Location: https://mysite.com/a%2fb?\nContent-Type: text/plain; charset=utf-8\nStrict-Transport-Security: ",
			"this site is served over https\n",
		},
		{
			"a redirect of what net/url would escape in another way", "198.51.100.9:4000", "GET /a\"b;%7e!'()*|?%zz&\\ HTTP/1.1\nHost: mysite.com",
			301, "Location: https://mysite.com/a\"b;%7e!'()*|?%zz&\\",
			"this site is served over https\n",
		},
		{
			"an absolute target", "198.51.100.9:4000", "GET http://mysite.com//evil.example?a HTTP/1.1\nHost: other.example",
			301, "Location: https://mysite.com//evil.example?a",
			"this site is served over https\n",
		},
		{
			"an absolute target without a path", "198.51.100.9:4000", "GET http://mysite.com?a HTTP/1.1\nHost: mysite.com",
			301, "Location: https://mysite.com/?a",
			"this site is served over https\n",
		},
		{
			"a bare absolute target", "198.51.100.9:4000", "POST http://mysite.com HTTP/1.1\nHost: mysite.com",
			308, "Location: https://mysite.com/",
			"this site is served over https\n",
		},
		{
			"another host", "10.0.1.5:4000", "GET / HTTP/1.1\nHost: evil.example\nX-Forwarded-Proto: https",
			400, "Cache-Control: no-store\nX-Content-Type-Options: nosniff\nConnection: ",
			"400: host \"evil.example\" is not allowed here; to allow it, add it to hosts.allow in hale.yaml\n",
		},
		{
			"a tunnel", "10.0.1.5:4000", "CONNECT mysite.com:443 HTTP/1.1\nHost: mysite.com:443",
			501, "Connection: close",
			"501: this method is not served here\n",
		},
		{
			"a unix socket", "@", "GET / HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https",
			301, "Location: https://mysite.com/",
			"this site is served over https\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, header, body := send(t, h, test.peer, test.wire)
			if status != test.status || body != test.body {
				t.Errorf("got  %d %q\nwant %d %q", status, body, test.status, test.body)
			}
			for line := range strings.Lines(test.header) {
				name, want, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
				if got := header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestMiddlewareWithoutHealthLeavesThePathToTheApp(t *testing.T) {
	h := mustNew(t, site()).Middleware(nil, http.HandlerFunc(app))
	status, _, body := send(t, h, "198.51.100.9:4000", "GET /health HTTP/1.1\nHost: 10.0.9.9\nX-Forwarded-For: 1.2.3.4\nConnection: close")
	want := "GET 10.0.9.9/health\nfrom 198.51.100.9:4000, 198.51.100.9 http , true\nX-Forwarded-For: 1.2.3.4\nConnection: close\n"
	if status != 200 || body != want {
		t.Errorf("got  %d %q\nwant 200 %q", status, body, want)
	}
}

func TestMiddlewareKeepsThePeersPort(t *testing.T) {
	h := mustNew(t, gateway.Settings{}).Middleware(nil, http.HandlerFunc(app))
	for peer, want := range map[string]string{
		"198.51.100.9:4000":          "198.51.100.9:4000",
		"[::ffff:198.51.100.9]:4000": "[::ffff:198.51.100.9]:4000",
		"@":                          "@",
	} {
		if _, _, body := send(t, h, peer, "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 1.2.3.4"); !strings.Contains(body, "from "+want+", ") {
			t.Errorf("peer %s became %s", peer, body)
		}
	}
}

// What the app says about its own responses counts.
func TestMiddlewareDefaultsAreTheAppsToChange(t *testing.T) {
	g := mustNew(t, gateway.Settings{NoSniff: true, FrameOptions: "DENY", ReferrerPolicy: "no-referrer"})
	h := g.Middleware(nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
		w.Header().Del("Referrer-Policy")
	}))
	_, header, _ := send(t, h, "198.51.100.9:4000", "GET / HTTP/1.1\nHost: a")
	for name, want := range map[string]string{"X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "", "X-Content-Type-Options": "nosniff"} {
		if got := strings.Join(header.Values(name), "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// Requests that were made in the process have no target as sent.
func TestMiddlewareTakesRequestsThatWereNotRead(t *testing.T) {
	h := mustNew(t, gateway.Settings{Redirect: 302}).Middleware(nil, http.HandlerFunc(app))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://mysite.com/a%2Fb?c", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Location"); w.Code != 302 || got != "https://mysite.com/a%2Fb?c" {
		t.Errorf("got %d %q", w.Code, got)
	}
}

// In a real server: refusals of what is ambiguous end the connection, others
// keep it; the app can take connections over.
func TestMiddlewareInAServer(t *testing.T) {
	s := site()
	s.Redirect = 0
	g := mustNew(t, s)
	server := httptest.NewServer(g.Middleware(nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			app(w, r)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
	})))
	defer server.Close()

	for _, test := range []struct {
		name, wire string
		want       []string // status of each response until the connection ends
	}{
		{"kept", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\nGET / HTTP/1.1\r\nHost: mysite.com\r\nConnection: close\r\n\r\n", []string{"400 Bad Request", "200 OK"}},
		{"ended", "GET /%00 HTTP/1.1\r\nHost: mysite.com\r\n\r\nGET / HTTP/1.1\r\nHost: mysite.com\r\n\r\n", []string{"400 Bad Request"}},
		{"ended by the client's wish", "GET / HTTP/1.1\r\nHost: mysite.com\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: mysite.com\r\n\r\n", []string{"200 OK"}},
		{"taken over", "GET / HTTP/1.1\r\nHost: mysite.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", []string{"101 Switching Protocols", "hello"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, test.wire); err != nil {
				t.Fatal(err)
			}
			var got []string
			for in := bufio.NewReader(conn); ; {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					break
				}
				got = append(got, resp.Status)
				if resp.StatusCode == http.StatusSwitchingProtocols {
					rest, _ := io.ReadAll(in)
					got = append(got, string(rest))
					break
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			if strings.Join(got, "|") != strings.Join(test.want, "|") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestFromContextWithoutMiddleware(t *testing.T) {
	if o, ok := gateway.FromContext(t.Context()); ok || o != (gateway.Origin{}) {
		t.Errorf("got %+v, %v", o, ok)
	}
}

// BenchmarkMiddleware measures all that the middleware adds to an app that
// does nothing.
func BenchmarkMiddleware(b *testing.B) {
	s := site()
	s.NewRequestID = nil
	h := mustNew(b, s).Middleware(nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://mysite.com/a", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.RequestURI = "/a"
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(balancer), 4000).String()
	r.Header = http.Header{
		"Accept": {"*/*"}, "User-Agent": {"Mozilla/5.0"}, "Connection": {"keep-alive"},
		"X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"},
	}
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
