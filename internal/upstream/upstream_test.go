package upstream_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/internal/upstream"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in, out, network, address, host string
		uwsgi                           bool
	}{
		{"http://127.0.0.1:8000", "http://127.0.0.1:8000", "tcp", "127.0.0.1:8000", "127.0.0.1:8000", false},
		{"http://127.0.0.1:8000/", "http://127.0.0.1:8000", "tcp", "127.0.0.1:8000", "127.0.0.1:8000", false},
		{"HTTP://app.internal", "http://app.internal:80", "tcp", "app.internal:80", "app.internal", false},
		{"http://[::1]:8000", "http://[::1]:8000", "tcp", "[::1]:8000", "[::1]:8000", false},
		{"unix:///run/app.sock", "unix:///run/app.sock", "unix", "/run/app.sock", "localhost", false},
		{"unix:///run//x/../app.sock", "unix:///run/app.sock", "unix", "/run/app.sock", "localhost", false},
		{"uwsgi://localhost:3031", "uwsgi://localhost:3031", "tcp", "localhost:3031", "localhost:3031", true},
		{"uwsgi+unix:///tmp/uwsgi.sock", "uwsgi+unix:///tmp/uwsgi.sock", "unix", "/tmp/uwsgi.sock", "localhost", true},
	} {
		t.Run(tt.in, func(t *testing.T) {
			u, err := upstream.Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if u.String() != tt.out || u.Network() != tt.network || u.Address() != tt.address || u.Host() != tt.host || u.UWSGI() != tt.uwsgi || u.IsZero() {
				t.Errorf("%s, %s %s, host %s, uwsgi %v", u, u.Network(), u.Address(), u.Host(), u.UWSGI())
			}
			if again, err := upstream.Parse(u.String()); again != u || err != nil {
				t.Errorf("not the same when parsed again: %v, %v", again, err)
			}
			var v upstream.Upstream
			if text, _ := u.MarshalText(); v.UnmarshalText(text) != nil || v != u {
				t.Errorf("not the same as text: %v", v)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	const forms = "write http://HOST:PORT, unix:///PATH.sock (HTTP over a unix socket), uwsgi://HOST:PORT or uwsgi+unix:///PATH.sock"
	for _, tt := range []struct{ in, want string }{
		{"", "empty: " + forms},
		{"127.0.0.1:8000", "no scheme: " + forms},
		{"ftp://a", "unknown scheme: " + forms},
		{"/run/app.sock", "a path alone does not say the protocol: write unix:///PATH.sock or uwsgi+unix:///PATH.sock"},
		{"unix:/run/app.sock", "two slashes and the absolute path belong after the colon: write unix:///PATH.sock or uwsgi+unix:///PATH.sock"},
		{"https://a", "the scheme https is not supported for an upstream: the hop to the app is plain, write http://HOST:PORT"},
		{"http+unix:///x", "for HTTP over a unix socket write unix:///PATH.sock"},
		{"http://unix:/run/app.sock", "for a unix socket write unix:///PATH.sock or uwsgi+unix:///PATH.sock"},
		{"http://", "no host: write http://HOST:PORT"},
		{"http://:8000", "no host: write http://HOST:PORT"},
		{"http://a:0", "port 0 is not between 1 and 65535"},
		{"http://a:99999", "port 99999 is not between 1 and 65535"},
		{"http://a:b", "not a valid URL: write http://HOST:PORT, with an IPv6 address in brackets"},
		{"http://::1:8000", "not a valid URL: write http://HOST:PORT, with an IPv6 address in brackets"},
		{"uwsgi://::1:8000", "the host is neither a name nor an address: write uwsgi://HOST:PORT, with an IPv6 address in brackets"},
		{"http://[127.0.0.1]:80", "not a valid URL: write http://HOST:PORT, with an IPv6 address in brackets"},
		{"http://a,b:80", "the host is neither a name nor an address: write http://HOST:PORT, with an IPv6 address in brackets"},
		{"http://a:8000/base", "requests keep their own path, so the URL ends after the port: write http://a:8000"},
		{"http://a:8000?x", "requests keep their own path, so the URL ends after the port: write http://a:8000"},
		{"http://joe:secret@a:8000", "a user and password have no place in an upstream's URL: write http://HOST:PORT"},
		{"http://joe:sec ret@a:8000", "not a valid URL: write http://HOST:PORT, with an IPv6 address in brackets"},
		{"uwsgi://127.0.0.1", "no port: write uwsgi://127.0.0.1:PORT"},
		{"unix://run/app.sock", "a socket's path is absolute: write unix:///PATH.sock, with three slashes"},
		{"unix:///run/", "the path names a directory, not a socket: write unix:///PATH.sock"},
		{"unix:///run/app.sock?x", "a socket's path holds no line break, ? or #: write unix:///PATH.sock"},
		{"unix:///" + strings.Repeat("x", 107), "the socket's path has 108 bytes, more than the 107 that the system allows: use a shorter one"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			u, err := upstream.Parse(tt.in)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
			if !u.IsZero() || strings.Contains(tt.want, "secret") {
				t.Errorf("upstream %v", u)
			}
		})
	}
}

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		in, out, host, err string
		tls, http2         bool
	}{
		{"http://127.0.0.1:8000", "http://127.0.0.1:8000", "127.0.0.1:8000", "", false, false},
		{"https://127.0.0.1:8443", "https://127.0.0.1:8443", "127.0.0.1:8443", "", true, false},
		{"HTTPS://app.internal/", "https://app.internal:443", "app.internal", "", true, false},
		{"h2c://[::1]:50051", "h2c://[::1]:50051", "[::1]:50051", "", false, true},
		{"h2://127.0.0.1:443", "h2://127.0.0.1:443", "127.0.0.1", "", true, true},
		{"h2c://127.0.0.1", "", "", "no port: write h2c://127.0.0.1:PORT", false, false},
		{"https://joe:secret@a:1", "", "", "a user and password have no place in an upstream's URL: write https://HOST:PORT", false, false},
		{"h3://a:1", "", "", "unknown scheme: write http://HOST:PORT, unix:///PATH.sock (HTTP over a unix socket), uwsgi://HOST:PORT or uwsgi+unix:///PATH.sock", false, false},
	} {
		t.Run(tt.in, func(t *testing.T) {
			u, err := upstream.ParseTarget(tt.in)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || !u.IsZero() {
					t.Errorf("%v, error %v\nwant %s", u, err, tt.err)
				}
				return
			}
			if err != nil || u.String() != tt.out || u.Host() != tt.host || u.TLS() != tt.tls || u.HTTP2() != tt.http2 || u.UWSGI() || u.Network() != "tcp" {
				t.Errorf("%v, host %s, TLS %v, HTTP/2 %v, error %v", u, u.Host(), u.TLS(), u.HTTP2(), err)
			}
		})
	}
	if u := upstream.New(upstream.H2, "127.0.0.1:443"); u.String() != "h2://127.0.0.1:443" {
		t.Errorf("got %v", u)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"http://a:1", "unix:///x", "unix:///.", "uwsgi://::1", "uwsgi://[::1]:3031", "uwsgi+unix:///a/b", "http://u:p@a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := upstream.Parse(s)
		if err != nil {
			if !u.IsZero() {
				t.Fatalf("error %v, and yet %v", err, u)
			}
			return
		}
		if again, err := upstream.Parse(u.String()); again != u || err != nil {
			t.Fatalf("%v becomes %v, %v", u, again, err)
		}
	})
}

func TestDial(t *testing.T) {
	if _, err := (upstream.Upstream{}).Dial(t.Context()); err == nil {
		t.Error("dialled no upstream")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := upstream.MustParse("http://127.0.0.1:1").Dial(ctx); err == nil {
		t.Error("dialled with a context that is over")
	}
}

func TestRoundTripper(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("Accept-Encoding")+" "+r.Header.Get("Connection"))
	})
	sock := filepath.Join(t.TempDir(), "s")
	for _, network := range []struct{ name, address, url string }{
		{"tcp", "127.0.0.1:0", "http://"}, {"unix", sock, "unix://"},
	} {
		t.Run(network.name, func(t *testing.T) {
			l, err := net.Listen(network.name, network.address)
			if err != nil {
				t.Fatal(err)
			}
			s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}}
			s.Start()
			defer s.Close()
			t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
			rt := upstream.MustParse(network.url + l.Addr().String()).RoundTripper()
			for _, tt := range []struct{ url, body, status string }{
				{"http://mysite.example/", "mysite.example  close", "200 OK"},
				{"https://mysite.example/", "mysite.example  close", "200 OK"},
				{"http://mysite.example/away", "", "302 Found"},
			} {
				r, err := http.NewRequestWithContext(t.Context(), "GET", tt.url, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := rt.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.Status != tt.status || tt.body != "" && string(b) != tt.body {
					t.Errorf("%s: %s %q", tt.url, resp.Status, b)
				}
			}
		})
	}
}
