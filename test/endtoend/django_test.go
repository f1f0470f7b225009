package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hale/test/servers"
)

const djangoDir = "../../examples/django"

// The interval and the time-out of the tests' checks: short, so that the tests are.
const (
	interval = time.Second
	timeout  = 4 * time.Second // a busy machine may take its time over what is well
	// latest is when a failure must be seen: interval + time-out, and some room
	// for a busy machine.
	latest = interval + timeout + 20*time.Second
)

// django is the example site behind hale, with uWSGI on a unix socket and PostgreSQL.
type django struct {
	*hale
	database, uwsgi *servers.Process
	breakHome       string // while this file exists, the home page answers 500
}

func serveDjango(t *testing.T) *django {
	t.Helper()
	python := servers.NeedDjango(t)
	site, err := filepath.Abs(djangoDir)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &django{database: servers.Postgres(t), breakHome: filepath.Join(dir, "break-home")}
	socket := filepath.Join(dir, "app.sock")
	env := []string{"SECRET_KEY=only for tests", "DATABASE_URL=" + d.database.URL(), "BREAK_HOME=" + d.breakHome, "TRYOUT=1", "PYTHONDONTWRITEBYTECODE=1"}
	migrate := exec.Command(python, "manage.py", "migrate", "--noinput")
	migrate.Dir, migrate.Env = site, append(os.Environ(), env...)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	d.uwsgi = servers.UWSGI(t, site, "mysite.wsgi", "uwsgi+unix://"+socket, env...)
	d.hale = serve(t, fmt.Sprintf(`
app: {url: "uwsgi+unix://%s"}
hosts: {allow: [mysite.com, .mysite.com]}
https: {redirect: 301, hsts: 60s}
health:
  checks:
    - {name: database, type: sql, url: "${DATABASE_URL}", interval: %v, timeout: %v, scope: shared}
    - {name: home page, type: page, path: /, status: 200, interval: %[2]v, timeout: 30s}
`, socket, interval, timeout), env...)
	d.becomes(200, patience)
	return d
}

func TestDjangoOnUWSGIAndPostgreSQL(t *testing.T) {
	d := serveDjango(t)

	t.Run("the probe passes with an address for a Host and no forwarded header", func(t *testing.T) {
		if a := d.probe(); a.status != 200 || strings.TrimSpace(a.body) != "ok" {
			t.Errorf("got %v, want 200 ok", a)
		}
		classic := d.ask("GET /health/ HTTP/1.1", "Host: 10.0.1.23", "User-Agent: ELB-HealthChecker/1.0", "Accept: */*", "Connection: keep-alive")
		if classic.status != 200 {
			t.Errorf("classic, with a slash: got %v, want 200", classic)
		}
		bare := d.ask("GET /health HTTP/1.0")
		if bare.status != 200 {
			t.Errorf("HTTP/1.0 without Host: got %v, want 200", bare)
		}
	})
	t.Run("a user behind the load balancer gets the app's page", func(t *testing.T) {
		a := d.ask(user...)
		if a.status != 200 || !strings.Contains(a.body, "Guest book") {
			t.Errorf("got %v, want the guest book", a)
		}
		if got := a.header.Get("Strict-Transport-Security"); !strings.Contains(got, "max-age=60") {
			t.Errorf("Strict-Transport-Security is %q", got)
		}
	})
	t.Run("plain http is sent on to https with path and query", func(t *testing.T) {
		a := d.ask("GET /a%2Fb//c?x=1&y=%20z HTTP/1.1", "Host: www.mysite.com", "X-Forwarded-Proto: http", "Connection: close")
		if want := "https://www.mysite.com/a%2Fb//c?x=1&y=%20z"; a.status != 301 || a.header.Get("Location") != want {
			t.Errorf("got %v, want 301 %s", a, want)
		}
		a = d.ask("GET /?q HTTP/1.1", "Host: mysite.com", "Connection: close")
		if want := "https://mysite.com/?q"; a.status != 301 || a.header.Get("Location") != want {
			t.Errorf("without the header: got %v, want 301 %s", a, want)
		}
	})
	t.Run("another host is refused, and the way out told", func(t *testing.T) {
		a := d.ask("GET / HTTP/1.1", "Host: evil.example", "X-Forwarded-Proto: https", "Connection: close")
		if a.status != 400 || !strings.Contains(a.body, "hosts.allow") {
			t.Errorf("got %v, want 400 that names hosts.allow", a)
		}
	})
	t.Run("the app sees the user, not the proxies' word", func(t *testing.T) {
		a := d.ask(append(slices.Replace(slices.Clone(user), 0, 1, "GET /echo HTTP/1.1"), "X_Forwarded_Host: evil.example")...)
		for _, want := range []string{`203.0.113.7`, `https`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("the app was not told %s: %v", want, a)
			}
		}
		if strings.Contains(a.body, "evil.example") {
			t.Errorf("a forged header reached the app: %v", a)
		}
	})

	t.Run("PostgreSQL stopped", func(t *testing.T) {
		d.database.Stop()
		took := d.becomes(503, latest)
		t.Logf("503 after %v: %s", took, d.tellsOf("database", latest))
		d.database.Start()
		t.Logf("200 again after %v", d.becomes(200, patience))
	})
	t.Run("PostgreSQL accepting but never answering", func(t *testing.T) {
		d.database.Pause()
		took := d.becomes(503, latest)
		t.Logf("503 after %v: %s", took, d.tellsOf("database", latest))
		// Through a run of the check, at least: none of them waits for its end.
		var times []time.Duration
		for start := time.Now(); time.Since(start) < interval+timeout+time.Second || len(times) < 100; time.Sleep(5 * time.Millisecond) {
			times = append(times, d.probe().took)
		}
		slices.Sort(times)
		slowest := times[len(times)-1]
		t.Logf("%d health answers while the database hangs: p50 %v, p99 %v, the slowest %v", len(times), times[len(times)/2], times[len(times)*99/100], slowest)
		if slowest > timeout*3/4 { // the figures themselves are measured in bench
			t.Errorf("an answer took %v: it waits for something", slowest)
		}
		d.database.Resume()
		t.Logf("200 again after %v", d.becomes(200, patience))
	})
	t.Run("the home page answering 500", func(t *testing.T) {
		if err := os.WriteFile(d.breakHome, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		d.becomes(503, latest)
		if got := d.tellsOf("home page", latest); !strings.Contains(got, "500") {
			t.Errorf("the details do not tell of the 500: %q", got)
		}
		if err := os.Remove(d.breakHome); err != nil {
			t.Fatal(err)
		}
		d.becomes(200, patience)
	})
	t.Run("details are for this network alone", func(t *testing.T) {
		a := d.ask("GET /health HTTP/1.1", "Host: mysite.com", "X-Forwarded-For: 203.0.113.7", "Accept: application/health+json", "Connection: close")
		if strings.Contains(a.body, "database") {
			t.Errorf("a user from outside sees the checks: %v", a)
		}
	})
	t.Run("the app killed under load", d.appKilled)
}

// appKilled kills the app while requests run: users get 502s at once, the
// verdict follows, and all is well when the app is back.
func (d *django) appKilled(t *testing.T) {
	stop := make(chan struct{})
	done := make(chan map[int]int)
	var well atomic.Bool // some page was served
	go func() {
		seen := map[int]int{}
		for {
			select {
			case <-stop:
				done <- seen
				return
			default:
			}
			a, err := ask(t.Context(), d.listen, user...)
			if err != nil {
				seen[-1]++
				t.Logf("no answer: %v", err)
			} else {
				seen[a.status]++
				if a.status == 200 {
					well.Store(true)
				}
				if a.took > 20*time.Second {
					t.Errorf("an answer took %v", a.took)
				}
				if a.status == 502 && strings.Contains(a.body, "goroutine") {
					t.Errorf("a stack trace: %v", a)
				}
			}
		}
	}()
	for start := time.Now(); !well.Load() && time.Since(start) < patience; {
		time.Sleep(10 * time.Millisecond)
	}
	d.uwsgi.Kill()
	d.becomes(503, latest)
	d.uwsgi.Start()
	d.becomes(200, patience)
	close(stop)
	seen := <-done
	t.Logf("answers: %v", seen)
	if seen[200] == 0 || seen[502] == 0 || seen[-1] > 0 {
		t.Errorf("answers by status %v: want 200s and 502s, and each request answered", seen)
	}
}
