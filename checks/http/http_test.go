package http_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hale/checks"
	check "hale/checks/http"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(answers())
	t.Cleanup(api.Close)
	other := httptest.NewServer(answers())
	t.Cleanup(other.Close)
	where, gone := api.Listener.Addr().String(), servers.FreeAddress(t)
	for _, test := range []struct {
		name    string
		check   check.Check // URL without scheme and host
		timeout time.Duration
		want    string // the error; empty: it passes
	}{
		{name: "200", check: check.Check{URL: "/status/200"}},
		{name: "204", check: check.Check{URL: "/status/204"}},
		{name: "as expected", check: check.Check{URL: "/status/418", Status: checks.Statuses(418, 418)}},
		{name: "host", check: check.Check{URL: "/host", Host: "api.example", Contains: "api.example"}},
		{name: "basic authentication", check: check.Check{URL: "user:pass@/auth"}},
		{name: "header field", check: check.Check{URL: "/auth", Headers: map[string]string{"Authorization": "Basic dXNlcjpwYXNz"}}},
		{name: "agent", check: check.Check{URL: "/agent", Matches: checks.MustPattern(`^hale/\S+ http check$`)}},
		{name: "method", check: check.Check{URL: "/method", Method: "OPTIONS", Contains: "OPTIONS"}},
		{name: "redirect followed", check: check.Check{URL: "/to?" + other.URL + "/status/200", Follow: 1}},

		{name: "500", check: check.Check{URL: "/status/500"}, want: "GET URL/status/500: 500, expected 200-299"},
		{name: "redirect", check: check.Check{URL: "/to?/login?token=hunter2"}, want: "GET URL/to?...: 301 to URL/login?..., expected 200-299"},
		{name: "redirect to a dead server", check: check.Check{URL: "/to?http://" + gone + "/", Follow: 1}, want: "GET URL/to?...: connection refused: " + gone},
		{name: "secrets", check: check.Check{URL: "user:hunter2@/status/401?key=hunter2"}, want: "GET URL/status/401?...: 401, expected 200-299"},
		{name: "another host", check: check.Check{URL: "/status/421", Host: "api.example"}, want: "GET URL/status/421 as api.example: 421, expected 200-299"},
		{name: "does not match", check: check.Check{URL: "/host", Matches: checks.MustPattern("^nothing$")}, want: `GET URL/host: 200, but the page does not match "^nothing$"`},
		{name: "hangs", check: check.Check{URL: "/hang?key=hunter2"}, timeout: time.Second, want: "GET URL/hang?...: no answer within 1s: " + where},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			user, path, ok := strings.Cut(test.check.URL, "@")
			if !ok {
				user, path = "", test.check.URL
			} else {
				user += "@"
			}
			test.check.URL = "http://" + user + where + path
			expect(t, &test.check, test.timeout, strings.ReplaceAll(test.want, "URL", api.URL))
		})
	}
}

func answers() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/host", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	mux.HandleFunc("/agent", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.UserAgent()) })
	mux.HandleFunc("/method", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "pass" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.RawQuery)
		w.WriteHeader(http.StatusMovedPermanently)
	})
	return mux
}

func TestTLSAndNetwork(t *testing.T) {
	t.Parallel()
	serve := func(cert servers.Certificate, change func(*tls.Config)) string {
		server := httptest.NewUnstartedServer(answers())
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
		if change != nil {
			change(server.TLS)
		}
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // of failed handshakes
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	good := serve(servers.NewCertificate(t, "127.0.0.1"), nil)
	expired := serve(servers.ExpiredCertificate(t, "127.0.0.1"), nil)
	otherName := serve(servers.NewCertificate(t, "api.example", "www.api.example"), nil)
	old := serve(servers.NewCertificate(t, "127.0.0.1"), func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS11
		c.MinVersion = tls.VersionTLS10
	})
	client := serve(servers.NewCertificate(t, "127.0.0.1"), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	plain := httptest.NewServer(answers())
	t.Cleanup(plain.Close)
	plainAddress := plain.Listener.Addr().String()
	proxy := func(fault servers.Fault) string {
		p := servers.Proxy(t, good)
		p.Break(fault)
		return p.Address()
	}
	refused, reset, closed, hanging := proxy(servers.Refuse), proxy(servers.Reset), proxy(servers.Close), proxy(servers.BlackHole)

	for _, test := range []struct {
		name, url string
		insecure  bool
		timeout   time.Duration
		want      string // the error's end, or, with "...", a part; empty: it passes
	}{
		{name: "any certificate", url: "https://" + good, insecure: true},
		{name: "any certificate, expired", url: "https://" + expired, insecure: true},

		{name: "unknown authority", url: "https://" + good, want: "TLS: certificate signed by an unknown authority: " + good},
		{name: "expired", url: "https://" + expired, want: "...TLS: certificate expired on "},
		{name: "another name", url: "https://" + otherName, want: "TLS: certificate is not for 127.0.0.1 but for api.example, www.api.example: " + otherName},
		{name: "too old", url: "https://" + old, insecure: true, want: "...TLS: "},
		{name: "wants a client certificate", url: "https://" + client, insecure: true, want: "...certificate required"},
		{name: "https asked, http spoken", url: "https://" + plainAddress, want: "TLS: the server does not speak TLS on this port: " + plainAddress},
		{name: "http asked, https spoken", url: "http://" + good, want: "400, expected 200-299"},
		{name: "nobody listens", url: "https://" + refused, want: "connection refused: " + refused},
		{name: "resets", url: "https://" + reset, want: "connection reset: " + reset},
		{name: "closes", url: "https://" + closed, want: "connection closed without an answer: " + closed},
		{name: "hangs", url: "https://" + hanging, timeout: time.Second, want: "no answer within 1s: " + hanging},
		{name: "unknown name", url: "https://api.invalid", want: "name does not resolve: api.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &check.Check{URL: test.url + "/status/200", Insecure: test.insecure}
			if part, ok := strings.CutPrefix(test.want, "..."); ok {
				if _, err := run(t, c, test.timeout); err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error = %v, want %q in it", err, part)
				}
				return
			}
			want := test.want
			if want != "" {
				want = "GET " + c.URL + ": " + want
			}
			expect(t, c, test.timeout, want)
		})
	}
}

// nginx, which is what most of these checks meet.
func TestNginx(t *testing.T) {
	t.Parallel()
	address, dir := servers.FreeAddress(t), t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	content := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr; worker_processes 1; events {}
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen %[2]s; location = /up { return 200 "up"; } location = /old { return 301 https://$host/new; } location = /gone { return 444; } } }`, dir, address)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := servers.Run(t, servers.Spec{
		Name: "nginx", Args: []string{"-c", config, "-e", "stderr"}, Listens: []string{address}, URL: "http://" + address,
	})
	expect(t, &check.Check{URL: nginx.URL() + "/up", Contains: "up"}, 0, "")
	expect(t, &check.Check{URL: nginx.URL() + "/absent"}, 0, "GET "+nginx.URL()+"/absent: 404, expected 200-299")
	expect(t, &check.Check{URL: nginx.URL() + "/old", Host: "mysite.com"}, 0, "GET "+nginx.URL()+"/old as mysite.com: 301 to https://mysite.com/new, expected 200-299")
	expect(t, &check.Check{URL: nginx.URL() + "/gone"}, 0, "GET "+nginx.URL()+"/gone: connection closed without an answer: "+address)
	nginx.Pause()
	expect(t, &check.Check{URL: nginx.URL() + "/up"}, time.Second, "GET "+nginx.URL()+"/up: no answer within 1s: "+address)
	nginx.Resume()
	nginx.Stop()
	expect(t, &check.Check{URL: nginx.URL() + "/up"}, 0, "GET "+nginx.URL()+"/up: connection refused: "+address)
}

func TestLeavesNothingOpen(t *testing.T) {
	api := httptest.NewServer(answers())
	defer api.Close()
	proxy := servers.Proxy(t, api.Listener.Addr().String())
	before := runtime.NumGoroutine()
	for i := range 1000 {
		c, timeout := &check.Check{URL: "http://" + proxy.Address() + "/host"}, time.Minute
		if i%50 == 0 {
			c.URL, timeout = "http://"+proxy.Address()+"/hang", 20*time.Millisecond
		}
		if _, err := run(t, c, timeout); (err != nil) != (i%50 == 0) {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	checktest.Eventually(t, "no connection and no goroutine is left", func() bool { return proxy.Open() == 0 && runtime.NumGoroutine() <= before })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, want string }{
		{"http://h", ""},
		{"https://u:p@h:8443/x?y=z", ""},
		{"http://[::1]:80/", ""},
		{"", "url: is missing: write https://HOST/PATH"},
		{"h.example/x", "url: is neither an http nor an https URL: write https://HOST:PORT/PATH"},
		{"ftp://u:hunter2@h/", "url: is neither an http nor an https URL: write https://HOST:PORT/PATH"},
		{"http://u:hunter2%@h/", "url: is not a URL: write https://HOST:PORT/PATH, and percent-encode special characters in user and password"},
		{"http:///x", "url: has no host: write https://HOST:PORT/PATH"},
	} {
		err := (&check.Check{URL: test.url}).Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%q: error = %v, want %s", test.url, err, test.want)
		}
		if option, ok := errors.AsType[*checks.OptionError](err); err != nil && (!ok || option.Key != "url") {
			t.Errorf("%q: not an OptionError for url: %#v", test.url, err)
		}
	}
	for _, test := range []struct {
		check check.Check
		want  string
	}{
		{check.Check{URL: "http://h/", CA: "ca.pem", Follow: 1}, ""},
		{check.Check{URL: "http://h/", CA: "ca.pem"}, "ca: has no effect without TLS: write https:// in url"},
		{check.Check{URL: "http://h/", Certificate: "c.pem", Key: "k.pem"}, "certificate: has no effect without TLS: write https:// in url"},
		{check.Check{URL: "https://h/", Certificate: "c.pem"}, "key: is missing: the file of the private key that belongs to certificate"},
	} {
		if err := test.check.Validate(); test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("error = %v, want %s", err, test.want)
		}
	}
}

// expect runs a check once and compares its error; zero timeout is one that
// should not be needed.
func expect(t *testing.T, c *check.Check, timeout time.Duration, want string) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	output, err := run(t, c, timeout)
	switch {
	case want == "" && (err != nil || output == ""):
		t.Errorf("got %q, %v; want it to pass", output, err)
	case want != "" && (err == nil || checktest.OnTime(err.Error(), timeout) != want):
		t.Errorf("error = %v\nwant    %s", err, want)
	}
	u, parseErr := url.Parse(c.URL)
	if parseErr != nil {
		t.Fatal(parseErr)
	}
	if password, ok := u.User.Password(); ok && err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the password is in %q", err)
	}
}

func run(t *testing.T, c *check.Check, timeout time.Duration) (string, error) {
	t.Helper()
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return c.Run(ctx)
}
