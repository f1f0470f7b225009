package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// TestRequiredVariables leaves out what the app needs: nothing starts, and one
// message names every missing variable and where to set it.
func TestRequiredVariables(t *testing.T) {
	dir := t.TempDir()
	env := filepath.Join(dir, "env")
	write(t, env, "DATABASE_URL='postgres://app:geheim@127.0.0.1:5432/app'\n")
	write(t, filepath.Join(dir, "hale.yaml"), fmt.Sprintf(`
listen: %q
admin: off
app:
  command: [touch, started]
  before: [[touch, before]]
  env_file: env
  require_env: [SECRET_KEY, DATABASE_URL, MAIL_HOST]
`, servers.FreeAddress(t)))
	_, stderr, code := run(t, dir, nil, "serve")
	if code != 2 || !strings.Contains(stderr, "SECRET_KEY, MAIL_HOST") || !strings.Contains(stderr, env) {
		t.Errorf("exit %d, %q; want 2, both missing names and %s", code, stderr, env)
	}
	if strings.Contains(stderr, "geheim") {
		t.Errorf("a value was printed: %q", stderr)
	}
	for _, name := range []string{"started", "before"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s ran", name)
		}
	}
}

func TestTheAppsExitCodeIsOurs(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hale.yaml"), fmt.Sprintf("listen: %q\nadmin: off\n", servers.FreeAddress(t)))
	for _, test := range []struct {
		name, script string
		want         int
	}{
		{"done", "exit 0", 0},
		{"failed", "exit 3", 3},
		{"killed", "kill -9 $$", 137},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, stderr, code := run(t, dir, nil, "serve", "--", "sh", "-c", test.script); code != test.want {
				t.Errorf("exit %d, want %d: %s", code, test.want, stderr)
			}
		})
	}
	t.Run("not found", func(t *testing.T) {
		if _, stderr, code := run(t, dir, nil, "serve", "--", "no-such-program-here"); code != 127 || !strings.Contains(stderr, "no-such-program-here") {
			t.Errorf("exit %d, %q; want 127 and the program's name", code, stderr)
		}
	})
}

// TestBeforeCommands runs them in order, logs what they say, and ends with the
// first that fails, before the app starts.
func TestBeforeCommands(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hale.yaml"), fmt.Sprintf(`
listen: %q
admin: off
app:
  command: [touch, started]
  before:
    - [sh, -c, "echo first says hello; touch first"]
    - [sh, -c, "test -e first && echo second fails; exit 7"]
    - [touch, third]
`, servers.FreeAddress(t)))
	_, stderr, code := run(t, dir, nil, "serve")
	if code != 7 || !strings.Contains(stderr, "first says hello") || !strings.Contains(stderr, "second fails") {
		t.Errorf("exit %d, %q; want 7 and both commands' output", code, stderr)
	}
	for _, name := range []string{"started", "third"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was run after a failure", name)
		}
	}
}

// TestTheAppAsAChild runs gunicorn as the child of hale: signals reach it, and
// draining stops it last.
func TestTheAppAsAChild(t *testing.T) {
	servers.Need(t, "gunicorn")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "wsgi.py"), "def application(environ, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n    return [b'from gunicorn\\n']\n")
	address := servers.FreeAddress(t)
	h := serve(t, fmt.Sprintf(`
app:
  url: http://%s
  command: [gunicorn, --chdir, %s, --bind, %[1]s, --graceful-timeout, 5, wsgi]
drain: {notice: 1s, finish: 5s}
health:
  checks:
    - {name: home page, type: page, path: /, interval: 300ms, timeout: 2s}
`, address, dir))
	h.becomes(200, patience)
	if a := h.ask("GET / HTTP/1.1", "Host: x", "Connection: close"); a.status != 200 || a.body != "from gunicorn\n" {
		t.Errorf("got %v", a)
	}
	h.Signal(syscall.SIGUSR1) // gunicorn reopens its logs
	for start := time.Now(); !strings.Contains(h.Output(), "Handling signal: usr1"); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("SIGUSR1 did not reach the app")
		}
	}
	h.Signal(syscall.SIGTERM)
	if code := h.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if _, err := ask(t.Context(), address, "GET / HTTP/1.0"); err == nil {
		t.Error("gunicorn still runs")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
