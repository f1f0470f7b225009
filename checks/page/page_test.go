package page_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/page"
	"hale/test/checktest"
	"hale/test/servers"
)

// expect runs a check once; want is the beginning of its error.
func expect(t *testing.T, c *page.Check, timeout time.Duration, want string) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	output, err := run(t, c, timeout)
	switch {
	case want == "" && err != nil:
		t.Errorf("error = %v, want none", err)
	case want == "" && output == "":
		t.Error("passed without an output")
	case want != "" && (err == nil || !strings.HasPrefix(checktest.OnTime(err.Error(), timeout), want)):
		t.Errorf("error = %v\nwant    %s", err, want)
	}
}

func run(t *testing.T, c *page.Check, timeout time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return c.Run(ctx)
}

// The app sees what it would see of a user behind a load balancer, and nothing
// more.
func TestRequest(t *testing.T) {
	t.Parallel()
	const agent = "hale/dev page check"
	for _, test := range []struct {
		name  string
		check page.Check
		want  []string // request line, Host, and sorted header fields
	}{
		{"defaults", page.Check{}, []string{
			"GET / HTTP/1.1", "Host: APP", "Accept: */*", "Connection: close", "User-Agent: " + agent,
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: APP", "X-Forwarded-Port: PORT", "X-Forwarded-Proto: https",
		}},
		{"public host", page.Check{Host: "mysite.com", Path: "/a%20b/?q=1"}, []string{
			"GET /a%20b/?q=1 HTTP/1.1", "Host: mysite.com", "Accept: */*", "Connection: close", "User-Agent: " + agent,
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: mysite.com", "X-Forwarded-Port: 443", "X-Forwarded-Proto: https",
		}},
		{"http, a port and a method", page.Check{Host: "mysite.com:8080", ForwardedProto: "http", Method: "HEAD"}, []string{
			"HEAD / HTTP/1.1", "Host: mysite.com:8080", "Accept: */*", "Connection: close", "User-Agent: " + agent,
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: mysite.com:8080", "X-Forwarded-Port: 8080", "X-Forwarded-Proto: http",
		}},
		{"own header fields", page.Check{Host: "mysite.com", Headers: map[string]string{
			"user-agent": "me", "X-Forwarded-For": "192.0.2.1", "Accept-Language": "fr", "Host": "www.mysite.com",
		}}, []string{
			"GET / HTTP/1.1", "Host: www.mysite.com", "Accept-Language: fr", "Accept: */*", "Connection: close", "User-Agent: me",
			"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: www.mysite.com", "X-Forwarded-Port: 443", "X-Forwarded-Proto: https",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				for name, values := range r.Header {
					for _, value := range values {
						got = append(got, name+": "+value)
					}
				}
				slices.Sort(got)
				got = append([]string{r.Method + " " + r.RequestURI + " " + r.Proto, "Host: " + r.Host}, got...)
			}))
			defer app.Close()
			address := app.Listener.Addr().String()
			test.check.URL = app.URL
			expect(t, &test.check, time.Minute, "")
			want := strings.NewReplacer("APP", address, "PORT", address[strings.LastIndex(address, ":")+1:]).Replace(strings.Join(test.want, "\n"))
			if got := strings.Join(got, "\n"); got != want {
				t.Errorf("the app saw\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(answers())
	t.Cleanup(app.Close)
	where := app.Listener.Addr().String()
	as := func(path string) page.Check { return page.Check{Path: path, Host: "mysite.com"} }
	with := func(path string, change func(*page.Check)) page.Check {
		c := as(path)
		change(&c)
		return c
	}
	for _, test := range []struct {
		name    string
		check   page.Check
		timeout time.Duration // 0: a minute, for what should take none
		want    string        // the error; empty: it passes
	}{
		{name: "200", check: as("/status/200")},
		{name: "another status", check: with("/status/204", func(c *page.Check) { c.Status = checks.Statuses(200, 299) })},
		{name: "contains", check: with("/hello", func(c *page.Check) { c.Contains = "hello, world" })},
		{name: "matches", check: with("/hello", func(c *page.Check) { c.Matches = checks.MustPattern(`h.*d$`) })},
		{name: "redirects within the host", check: with("/redirect/3", func(c *page.Check) { c.Follow = 3 })},
		{name: "large page", check: as("/large")},
		{name: "page without end, up to 1 MiB", check: with("/endless", func(c *page.Check) { c.Contains = "yes" })},

		{name: "500", check: as("/status/500"), want: "GET /status/500 as mysite.com: 500, expected 200"},
		{name: "503", check: with("/status/503", func(c *page.Check) { c.Status = checks.Statuses(200, 299) }), want: "GET /status/503 as mysite.com: 503, expected 200-299"},
		{name: "400", check: as("/status/400"), want: "GET /status/400 as mysite.com: 400, expected 200 (is mysite.com among the hosts that the app allows? ALLOWED_HOSTS in Django)"},
		{name: "401", check: as("/status/401"), want: "GET /status/401 as mysite.com: 401, expected 200 (the page wants a login: choose a public one, or expect 401)"},
		{name: "403", check: as("/status/403"), want: "GET /status/403 as mysite.com: 403, expected 200 (does the app refuse mysite.com, or requests without a login?)"},
		{
			name: "to https, though it was https", check: as("/to?https://mysite.com/to"),
			want: "GET /to as mysite.com: 301 to https://mysite.com/to, expected 200 (the app does not believe X-Forwarded-Proto: SECURE_PROXY_SSL_HEADER in Django, forwarded-allow-ips of gunicorn and uvicorn)",
		},
		{name: "to another host", check: as("/to?https://www.mysite.com/"), want: "GET /to as mysite.com: 301 to https://www.mysite.com/, expected 200 (the app knows the site as www.mysite.com: set host to it)"},
		{name: "to the same with a slash", check: as("/to?/to/"), want: "GET /to as mysite.com: 301 to https://mysite.com/to/, expected 200 (set path to /to/)"},
		{
			name: "to a login", check: as("/to?/login/?next=/secret"),
			want: "GET /to as mysite.com: 301 to https://mysite.com/login/?..., expected 200 (choose a page that does not redirect, set follow, or expect this status)",
		},
		{name: "to nowhere", check: as("/status/302"), want: "GET /status/302 as mysite.com: 302, expected 200 (a redirect without a usable Location)"},
		{
			name: "too many redirects", check: with("/redirect/3", func(c *page.Check) { c.Follow = 2 }),
			want: "GET /redirect/3 as mysite.com: 301 to https://mysite.com/redirect/0, expected 200 (choose a page that does not redirect, set follow, or expect this status)",
		},
		{
			name: "redirect to elsewhere is not followed", check: with("/to?http://127.0.0.1:1/", func(c *page.Check) { c.Follow = 5 }),
			want: "GET /to as mysite.com: 301 to http://127.0.0.1:1/, expected 200 (the app knows the site as 127.0.0.1:1: set host to it)",
		},
		{name: "does not contain", check: with("/hello", func(c *page.Check) { c.Contains = "bye" }), want: `GET /hello as mysite.com: 200, but the page does not contain "bye"`},
		{name: "does not match", check: with("/hello", func(c *page.Check) { c.Matches = checks.MustPattern("^world") }), want: `GET /hello as mysite.com: 200, but the page does not match "^world"`},
		{name: "not within 1 MiB", check: with("/endless", func(c *page.Check) { c.Contains = "no" }), want: `GET /endless as mysite.com: 200, but the first 1MiB of the page does not contain "no"`},
		{name: "compressed", check: with("/gzip", func(c *page.Check) { c.Contains = "hello" }), want: `GET /gzip as mysite.com: 200, but the page, which came compressed (gzip) without being asked for, does not contain "hello"`},
		{name: "breaks off", check: as("/short"), want: "GET /short as mysite.com: connection closed in the middle of the answer: " + where},
		{name: "hangs before the answer", check: as("/hang"), timeout: time.Second, want: "GET /hang as mysite.com: no answer within 1s: " + where},
		{name: "hangs within the page", check: as("/drip"), timeout: 2 * time.Second, want: "GET /drip as mysite.com: 200, but the page did not end within 2s: " + where},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.URL = app.URL
			if test.timeout == 0 {
				test.timeout = time.Minute
			}
			expect(t, &test.check, test.timeout, test.want)
			if _, err := run(t, &test.check, test.timeout); test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("error = %v\nwant    %s", err, test.want)
			}
		})
	}
}

// answers is an app with all faults.
func answers() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/redirect/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		if _, _ = fmt.Sscan(r.PathValue("n"), &n); n > 0 {
			w.Header().Set("Location", fmt.Sprintf("https://mysite.com/redirect/%d", n-1))
			w.WriteHeader(http.StatusMovedPermanently)
		}
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.RawQuery)
		w.WriteHeader(http.StatusMovedPermanently)
	})
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello, world") })
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		fmt.Fprint(w, "\x1f\x8b")
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 5<<20)) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprintln(w, "yes, yes, yes")
		}
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "that was all")
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "wait")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return mux
}

func TestFaultsOfTheNetwork(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(answers())
	t.Cleanup(app.Close)
	broken := func(fault servers.Fault) string {
		proxy := servers.Proxy(t, app.Listener.Addr().String())
		proxy.Break(fault)
		return "http://" + proxy.Address()
	}
	for _, test := range []struct{ name, url, want string }{
		{"nobody listens", broken(servers.Refuse), "connection refused: WHERE"},
		{"resets", broken(servers.Reset), "connection reset: WHERE"},
		{"closes", broken(servers.Close), "connection closed without an answer: WHERE"},
		{"hangs", broken(servers.BlackHole), "no answer within 500ms: WHERE"},
		{"unknown name", "http://app.invalid:8000", "name does not resolve: app.invalid"},
		{"no socket", "unix://" + filepath.Join(t.TempDir(), "app.sock"), "no such socket: WHERE"},
		{"no uwsgi socket", "uwsgi+unix://" + filepath.Join(t.TempDir(), "app.sock"), "no such socket: WHERE"},
		{"uwsgi asked, http spoken", "uwsgi://" + app.Listener.Addr().String(), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, where, _ := strings.Cut(test.url, "://")
			want := "GET / as mysite.com: " + strings.ReplaceAll(test.want, "WHERE", where)
			timeout := time.Minute
			if test.want == "" || strings.Contains(test.want, "within") {
				timeout = 500 * time.Millisecond
			}
			expect(t, &page.Check{URL: test.url, Host: "mysite.com"}, timeout, want)
		})
	}
}

func TestLeavesNothingOpen(t *testing.T) {
	app := httptest.NewServer(answers())
	defer app.Close()
	proxy := servers.Proxy(t, app.Listener.Addr().String())
	before := runtime.NumGoroutine()
	for i := range 1000 {
		c := &page.Check{URL: "http://" + proxy.Address(), Path: "/redirect/1", Follow: 1, Host: "mysite.com"}
		timeout, fails := time.Minute, false
		switch i % 100 {
		case 10:
			c.Path, timeout, fails = "/hang", 20*time.Millisecond, true
		case 20:
			c.Path, timeout, fails = "/drip", 20*time.Millisecond, true
		case 30:
			c.Path = "/endless"
		}
		if _, err := run(t, c, timeout); (err != nil) != fails {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	// The server's own connections go away with the client's.
	checktest.Eventually(t, "no connection and no goroutine is left", func() bool { return proxy.Open() == 0 && runtime.NumGoroutine() <= before })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const app = "http://127.0.0.1:8000"
	for _, test := range []struct {
		check     page.Check
		key, want string
	}{
		{page.Check{}, "url", "is missing: set app.url, or write here where the app listens, such as http://127.0.0.1:8000"},
		{page.Check{URL: "https://127.0.0.1"}, "url", "the scheme https is not supported for an upstream: the hop to the app is plain, write http://HOST:PORT"},
		{page.Check{URL: app, Path: "login"}, "path", `"login" is not a path: write it as /login/ or /search?q=x`},
		{page.Check{URL: app, Path: "//evil.example/"}, "path", `"//evil.example/" is not a path: write it as /login/ or /search?q=x`},
		{page.Check{URL: app, Path: "/a#b"}, "path", `"/a#b" is not a path: write it as /login/ or /search?q=x`},
		{page.Check{URL: app, Path: "/%zz"}, "path", `"/%zz" is not a path: write it as /login/ or /search?q=x`},
		{page.Check{URL: app, Host: "https://mysite.com/"}, "host", `"https://mysite.com/" is not a host name: write mysite.com, without https:// and without a path`},
		{page.Check{URL: app, ForwardedProto: "ftp"}, "forwarded_proto", `"ftp" is neither https nor http`},
		{page.Check{URL: app, Method: "GET /"}, "method", `"GET /" is not an HTTP method: write GET or HEAD`},
		{page.Check{URL: app, Method: "HEAD", Contains: "x"}, "method", "the answer to HEAD has no body for contains or matches: write GET"},
		{page.Check{URL: app, Headers: map[string]string{"A B": "x"}}, "headers", `"A B" is not the name of a header field`},
		{page.Check{URL: app, Headers: map[string]string{"authorization": "hunter2\r\nX: y"}}, "headers", "the value of Authorization holds a control character"},
		{page.Check{URL: app, Follow: -1}, "follow", "-1 is not a number of redirects from 0 to 20"},
	} {
		err := test.check.Validate()
		if err == nil || err.Error() != test.key+": "+test.want {
			t.Errorf("error = %v\nwant    %s: %s", err, test.key, test.want)
		}
		if option, ok := errors.AsType[*checks.OptionError](err); !ok || option.Key != test.key {
			t.Errorf("not an OptionError for %s: %#v", test.key, err)
		}
	}
}
