package page_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/page"
	"hale/test/servers"
)

// A real Django site, with ALLOWED_HOSTS and SECURE_SSL_REDIRECT, under the
// servers and protocols by which Hale reaches an app.
func TestDjango(t *testing.T) {
	t.Parallel()
	python := servers.NeedDjango(t)
	site, err := filepath.Abs("../../examples/django")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	breakHome := filepath.Join(dir, "break")
	database := filepath.Join(dir, "db.sqlite3")
	env := []string{
		"SECRET_KEY=for the test alone", "DATABASE_URL=sqlite:///" + database, "BREAK_HOME=" + breakHome, "PYTHONDONTWRITEBYTECODE=1",
	}
	migrate := exec.CommandContext(t.Context(), python, "manage.py", "migrate", "--noinput")
	migrate.Dir, migrate.Env = site, append(os.Environ(), env...)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}

	apps := map[string]*servers.Process{
		"uwsgi":             servers.UWSGI(t, site, "mysite.wsgi", "uwsgi://"+servers.FreeAddress(t), env...),
		"uwsgi over unix":   servers.UWSGI(t, site, "mysite.wsgi", "uwsgi+unix://"+filepath.Join(dir, "uwsgi.sock"), env...),
		"gunicorn":          servers.Gunicorn(t, site, "mysite.wsgi", "http://"+servers.FreeAddress(t), env...),
		"gunicorn and unix": servers.Gunicorn(t, site, "mysite.wsgi", "unix://"+filepath.Join(dir, "gunicorn.sock"), env...),
	}
	for name, app := range apps {
		t.Run(name, func(t *testing.T) {
			for _, test := range []struct {
				name  string
				check page.Check
				want  string // the error's beginning; empty: it passes
			}{
				{"as a user", page.Check{Host: "mysite.com", Contains: "<html"}, ""},
				{"as a user of a subdomain", page.Check{Host: "www.mysite.com"}, ""},
				{"with a query", page.Check{Host: "mysite.com", Path: "/?page=1"}, ""},
				{"expecting the redirect", page.Check{Host: "mysite.com", ForwardedProto: "http", Status: checks.Statuses(301, 301)}, ""},
				{"following the redirect", page.Check{Host: "mysite.com", ForwardedProto: "http", Follow: 1}, ""},

				{
					"by a name that is not allowed",
					page.Check{Host: "evil.example"},
					"GET / as evil.example: 400, expected 200 (is evil.example among the hosts that the app allows? ALLOWED_HOSTS in Django)",
				},
				{
					"without https",
					page.Check{Host: "mysite.com", ForwardedProto: "http"},
					"GET / as mysite.com: 301 to https://mysite.com/, expected 200 (the app wants https: set forwarded_proto to https)",
				},
				{"a page that is not there", page.Check{Host: "mysite.com", Path: "/absent/"}, "GET /absent/ as mysite.com: 404, expected 200"},
				{"a page without that text", page.Check{Host: "mysite.com", Contains: "surely not there"}, `GET / as mysite.com: 200, but the page does not contain "surely not there"`},
			} {
				t.Run(test.name, func(t *testing.T) {
					test.check.URL = app.URL()
					expect(t, &test.check, 30*time.Second, test.want)
				})
			}
		})
	}
	for name, app := range apps {
		t.Run(name+" and a broken page", func(t *testing.T) {
			c := &page.Check{URL: app.URL(), Host: "mysite.com"}
			if err := os.WriteFile(breakHome, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			expect(t, c, 30*time.Second, "GET / as mysite.com: 500, expected 200")
			if err := os.Remove(breakHome); err != nil {
				t.Fatal(err)
			}
			expect(t, c, 30*time.Second, "")
		})
		t.Run(name+" hanging, gone and back", func(t *testing.T) {
			c := &page.Check{URL: app.URL(), Host: "mysite.com"}
			_, where, _ := strings.Cut(app.URL(), "://")
			app.Pause()
			expect(t, c, time.Second, "GET / as mysite.com: no answer within 1s: "+where)
			app.Resume()
			expect(t, c, 30*time.Second, "")
			app.Kill()
			// A killed server leaves its socket file; nobody listens there either.
			// While the kernel is still closing its port, other errors come first.
			refused := "GET / as mysite.com: connection refused: " + where
			_, err := run(t, c, 30*time.Second)
			for start := time.Now(); (err == nil || err.Error() != refused) && time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
				if err == nil {
					t.Error("passed though the app was killed")
				}
				_, err = run(t, c, 30*time.Second)
			}
			if err == nil || err.Error() != refused {
				t.Errorf("error = %v, want %s", err, refused)
			}
			if strings.HasPrefix(where, "/") {
				if err := os.Remove(where); err != nil {
					t.Fatal(err)
				}
			}
			app.Start()
			expect(t, c, 30*time.Second, "")
		})
	}
}
