package sql_test

import (
	"errors"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/sql"
	"hale/test/checktest"
	"hale/test/servers"
)

// expect runs a check once and compares the end of it, in time and in words.
func expect(t *testing.T, c *sql.Check, timeout time.Duration, want string) {
	t.Helper()
	defer c.Close()
	if err := c.Validate(); err != nil {
		t.Fatalf("Validate: %v", err)
	}
	if timeout == 0 {
		timeout = time.Minute
	}
	start := time.Now()
	output, err := run(t, c, timeout)
	if took := time.Since(start); took > timeout+15*time.Second {
		t.Errorf("took %v, time-out is %v", took, timeout)
	}
	switch {
	case want == "" && err != nil:
		t.Fatalf("error = %v, want none", err)
	case want == "" && output == "":
		t.Error("passed without an output")
	case want != "" && (err == nil || !strings.Contains(checktest.OnTime(err.Error(), timeout), want)):
		t.Fatalf("error = %v, want %q in it", err, want)
	}
	noSecret(t, c.URL, output, err)
}

// noSecret fails if a text holds the password of a URL.
func noSecret(t *testing.T, raw, output string, err error) {
	t.Helper()
	text := output
	if err != nil {
		text += err.Error()
	}
	u, parseErr := url.Parse(raw)
	if parseErr != nil {
		return
	}
	if password, ok := u.User.Password(); ok && (strings.Contains(text, password) || strings.Contains(text, url.QueryEscape(password))) {
		t.Errorf("the password is in %q", text)
	}
}

// comesAndGoes takes a server through its life under the eyes of one check.
func comesAndGoes(t *testing.T, server *servers.Process, c *sql.Check) {
	t.Helper()
	const timeout = time.Minute
	well := func(when string) {
		t.Helper()
		for range 2 { // on a new connection and on a kept one
			if _, err := run(t, c, timeout); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
		}
	}
	broken := func(when string, timeout time.Duration, want string) {
		t.Helper()
		_, err := run(t, c, timeout)
		if err == nil || !strings.Contains(checktest.OnTime(err.Error(), timeout), want) {
			t.Errorf("%s: error = %v, want %q in it", when, err, want)
		}
		noSecret(t, c.URL, "", err)
	}
	well("up")
	server.Stop()
	broken("stopped", timeout, "connection refused: 127.0.0.1:")
	server.Start()
	well("started again")
	server.Stop()
	server.Start()
	well("restarted between two runs")
	server.Pause()
	broken("paused", time.Second, "no answer within ")
	broken("still paused", time.Second, "no answer within ")
	server.Resume()
	well("resumed")
	server.Kill()
	broken("killed", timeout, "connection refused: 127.0.0.1:")
	server.Start()
	well("started after a crash")
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// keepsOneConnection runs two checks a thousand times, through all that can
// happen to a connection, and counts what stays. It counts goroutines, so no
// other test may run at the same time.
func keepsOneConnection(t *testing.T, proxy *servers.FaultProxy, check, slow *sql.Check) {
	t.Helper()
	if _, err := run(t, check, time.Minute); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	faults := []servers.Fault{servers.BlackHole, servers.Reset, servers.Close, servers.Refuse}
	var passed, failed int
	for i := range 1000 {
		c, timeout := check, time.Minute
		switch i % 50 {
		case 20: // cut off while it waits for the network
			proxy.Break(faults[i/50%len(faults)])
			timeout = 50 * time.Millisecond
		case 21:
			proxy.Break(servers.None)
		case 40: // cut off while it waits for the query
			c, timeout = slow, 100*time.Millisecond
		}
		if _, err := run(t, c, timeout); err != nil {
			failed++
		} else {
			passed++
		}
		// One for each check, and those whose server has yet to notice that the
		// client is gone; of 40 runs that are cut off, 40 if they leaked.
		if n := proxy.Open(); n > 12 {
			t.Fatalf("%d connections open after run %d", n, i)
		}
	}
	if passed != 960 || failed != 40 {
		t.Errorf("%d runs passed, %d failed; want 960 and 40", passed, failed)
	}
	eventually(t, "more than one connection is open", func() bool { return proxy.Open() <= 1 })
	eventually(t, "there are more goroutines than before", func() bool { return runtime.NumGoroutine() <= before+2 })
	for _, c := range []*sql.Check{check, slow} {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	eventually(t, "connections are open after Close", func() bool { return proxy.Open() == 0 })
}

// eventually waits until something is so.
func eventually(t *testing.T, otherwise string, so func() bool) {
	t.Helper()
	for start := time.Now(); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal(otherwise)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, url, want string // want: the whole error; empty: good
	}{
		{"PostgreSQL", "postgres://u:p@h:5432/d", ""},
		{"PostgreSQL, long", "postgresql://u:p@h/d?sslmode=require", ""},
		{"PostGIS", "postgis://u:p@h/d", ""},
		{"SQLAlchemy", "postgresql+psycopg2://u:p@h/d", ""},
		{"IPv6", "postgres://u:p@[::1]:5432/d", ""},
		{"socket", "postgres://u@%2Fvar%2Frun%2Fpostgresql/d", ""},
		{"socket as parameter", "postgres:///d?host=/var/run/postgresql", ""},
		{"escaped password", "postgres://u:p%40%2F%23@h/d", ""},
		{"bare percent sign and @ in the password", "postgres://u:100%@more@h/d", ""},
		{"Neon", "postgres://u:p@h/d?sslmode=require&channel_binding=require", ""},
		{"Rails", "postgres://u:p@h/d?pool=5&timeout=5000", ""},
		{"MySQL", "mysql://u:p@h:3306/d?charset=utf8mb4", ""},
		{"MariaDB", "mariadb://u:p@h/d?ssl-mode=REQUIRED", ""},
		{"mysql2 of Rails", "mysql2://u:p@h/d?pool=5", ""},
		{"SQLite", "sqlite:///db.sqlite3", ""},
		{"SQLite, absolute", "sqlite:////var/lib/db.sqlite3", ""},
		{"SQLite, plain", "sqlite:db.sqlite3", ""},

		{"nothing", "", "url: is missing: " + forms},
		{"no scheme", "hunter2@h/d", "url: has no scheme: " + forms},
		{"file name", "/var/lib/db.sqlite3", "url: has no scheme: " + forms},
		{"unknown scheme", "oracle://u:hunter2@h/d", `url: has the scheme "oracle", which no driver here knows: ` + forms},
		{"slash in the password", "postgres://u:hunter2/x@h/d", unescaped},
		{"slash after a number in the password", "postgres://u:12/hunter2@h/d", unescaped},
		{"hash in the password", "postgres://u:hunter2#x@h/d", unescaped},
		{"question mark in the password", "postgres://u:hunter2?x@h/d", unescaped},
		{"port is none", "postgres://u:p@h:hunter2/d", unescaped},
		{"port too large", "postgres://u:p@h:65536/d", unescaped},
		{"bracket", "postgres://u:p@[hunter2/d", unescaped},
		{"line break", "postgres://u:hunter2@h/d\n", "url: holds a control character, perhaps a line break at its end"},
		{"unknown parameter", "postgres://u:hunter2@h/d?ssl_mode=require", "url: has a parameter that is not known here: ssl_mode; remove it, or give the check a URL of its own"},
		{"unknown sslmode", "postgres://u:hunter2@h/d?sslmode=maybe", `url: cannot be used: wrong value for "sslmode": "maybe" is not supported; supported values are disable, allow, prefer, require, verify-full, or verify-ca`},
		{"unknown ssl-mode", "mysql://u:hunter2@h/d?ssl-mode=maybe", "url: has an unknown ssl-mode: write DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY"},
		{"missing CA", "mysql://u:hunter2@h/d?ssl-ca=/nowhere.pem", "url: names a CA file that cannot be read: open /nowhere.pem: no such file or directory"},
		{"SQLite with a host", "sqlite://db.sqlite3", "url: has a host, which SQLite does not: write sqlite:///FILE (relative) or sqlite:////FILE (absolute)"},
		{"SQLite in memory", "sqlite://:memory:", "url: has a host, which SQLite does not: write sqlite:///FILE (relative) or sqlite:////FILE (absolute)"},
		{"SQLite without a file", "sqlite:///", "url: names no file: write sqlite:///FILE (relative) or sqlite:////FILE (absolute)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := (&sql.Check{URL: test.url}).Validate()
			if test.want == "" {
				if err != nil {
					t.Fatalf("error = %v, want none", err)
				}
				return
			}
			if err == nil || err.Error() != test.want {
				t.Fatalf("error = %v\nwant    %v", err, test.want)
			}
			if option, ok := errors.AsType[*checks.OptionError](err); !ok || option.Key != "url" {
				t.Errorf("not an OptionError for url: %#v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

const (
	forms     = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, mysql://..., mariadb://... or sqlite:///FILE"
	unescaped = "url: cannot be read: " + forms + ", with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, : as %3A)"
)

// with returns a URL with something changed.
func with(t *testing.T, raw string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(u)
	}
	return u.String()
}

func address(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func host(hostPort string) func(*url.URL) { return func(u *url.URL) { u.Host = hostPort } }
func path(p string) func(*url.URL)        { return func(u *url.URL) { u.Path = p } }

func user(name, password string) func(*url.URL) {
	return func(u *url.URL) { u.User = url.UserPassword(name, password) }
}

func param(key, value string) func(*url.URL) { return params(key, value) }

func params(pairs ...string) func(*url.URL) {
	return func(u *url.URL) {
		query := u.Query()
		for i := 0; i < len(pairs); i += 2 {
			query.Del(pairs[i])
			if pairs[i+1] != "" {
				query.Set(pairs[i], pairs[i+1])
			}
		}
		u.RawQuery = query.Encode()
		if query.Get("host") != "" {
			u.Host = ""
		}
	}
}

func both(a, b func(*url.URL)) func(*url.URL) { return func(u *url.URL) { a(u); b(u) } }

// broken returns the address of a proxy to a server that has a fault.
func broken(t *testing.T, server *servers.Process, fault servers.Fault) string {
	t.Helper()
	proxy := servers.Proxy(t, address(t, server.URL()))
	proxy.Break(fault)
	return proxy.Address()
}
