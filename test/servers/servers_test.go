package servers_test

import (
	"database/sql"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/lib/pq"

	"hale/test/servers"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	testDatabase(t, "postgres", func(url string) string { return url }, servers.Postgres(t))
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	testDatabase(t, "mysql", func(url string) string {
		rest := url[strings.LastIndex(url, "@")+1:]
		config := mysql.NewConfig()
		config.User, config.Passwd, config.Net = servers.User, servers.Password, "tcp"
		config.Addr, config.DBName, _ = strings.Cut(rest, "/")
		config.Timeout, config.ReadTimeout = silence, silence
		return config.FormatDSN()
	}, servers.MariaDB(t))
}

// silence is what the drivers take for a server that hangs: more than a busy
// machine takes to answer.
const silence = 5 * time.Second

// testDatabase takes a server through its life: up, frozen, up, down, up.
func testDatabase(t *testing.T, driver string, dsn func(string) string, server *servers.Process) {
	ask := func() error {
		db, err := sql.Open(driver, dsn(server.URL())+map[string]string{"postgres": "&connect_timeout=5"}[driver])
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var one int
		return db.QueryRowContext(t.Context(), "select 1").Scan(&one)
	}
	if err := ask(); err != nil {
		t.Fatalf("running: %v", err)
	}
	server.Pause()
	start := time.Now()
	if err := ask(); err == nil || time.Since(start) < silence/2 {
		t.Errorf("paused: error = %v after %v, want the driver's time-out after %v", err, time.Since(start), silence)
	}
	server.Resume()
	if err := ask(); err != nil {
		t.Errorf("resumed: %v", err)
	}
	server.Stop()
	if err := ask(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("stopped: error = %v, want connection refused", err)
	}
	server.Start()
	if err := ask(); err != nil {
		t.Errorf("started again: %v", err)
	}
}

const application = `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
`

func TestGunicorn(t *testing.T) {
	t.Parallel()
	url := "http://" + servers.FreeAddress(t)
	servers.Gunicorn(t, site(t), "site_wsgi", url)
	get(t, url)
}

func TestUWSGI(t *testing.T) {
	t.Parallel()
	url := "http://" + servers.FreeAddress(t)
	server := servers.UWSGI(t, site(t), "site_wsgi", url)
	get(t, url)
	server.Kill()
	if resp, err := http.Get(url); err == nil {
		resp.Body.Close()
		t.Error("uWSGI answers after it was killed")
	}
	server.Start()
	get(t, url)

	socket := filepath.Join(t.TempDir(), "uwsgi.sock")
	servers.UWSGI(t, site(t), "site_wsgi", "uwsgi+unix://"+socket)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func site(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "site_wsgi.py"), []byte(application), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func get(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
		t.Errorf("body = %q, %v; want hello", body, err)
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	p := servers.Program(t, "sh", "-c", "echo started; sleep 600 & wait")
	for !strings.Contains(p.Output(), "started") {
		time.Sleep(10 * time.Millisecond)
	}
	p.Stop()
	if p.Running() {
		t.Error("runs after Stop")
	}
	// The child has been killed; whoever adopted it may not have reaped it yet.
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if err := syscall.Kill(-p.PID(), 0); errors.Is(err, syscall.ESRCH) {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("its child is still there")
		}
	}
	if code := servers.Program(t, "sh", "-c", "exit 7").Wait(); code != 7 {
		t.Errorf("exit code = %d, want 7", code)
	}
}

func TestNeedNamesThePackage(t *testing.T) {
	t.Setenv("HALE_REAL", "")
	rec := &recorder{TB: t}
	servers.Need(rec, "surely-not-installed")
	if want := "surely-not-installed is not installed: apt-get install surely-not-installed"; rec.skipped != want {
		t.Errorf("skipped with %q, want %q", rec.skipped, want)
	}
	t.Setenv("HALE_REAL", "1")
	servers.Need(rec, "surely-not-installed")
	if !strings.Contains(rec.fatal, "HALE_REAL=1") {
		t.Errorf("failed with %q, want HALE_REAL=1 in it", rec.fatal)
	}
}

type recorder struct {
	testing.TB
	skipped, fatal string
}

func (r *recorder) Helper()           {}
func (r *recorder) Skip(args ...any)  { r.skipped, _ = args[0].(string) }
func (r *recorder) Fatal(args ...any) { r.fatal, _ = args[0].(string) }

func TestProxy(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	proxy := servers.Proxy(t, echo.Addr().String())

	patience := time.Minute
	say := func(conn net.Conn) error {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 5))
		return err
	}
	dialAndSay := func() error {
		conn, err := net.Dial("tcp", proxy.Address())
		if err != nil {
			return err
		}
		defer conn.Close()
		return say(conn)
	}
	for _, step := range []struct {
		fault servers.Fault
		want  error
	}{
		{servers.None, nil},
		{servers.Refuse, syscall.ECONNREFUSED},
		{servers.None, nil},
		{servers.BlackHole, os.ErrDeadlineExceeded},
		{servers.None, nil},
		{servers.Reset, syscall.ECONNRESET},
		{servers.None, nil},
		{servers.Close, io.EOF},
		{servers.None, nil},
	} {
		proxy.Break(step.fault)
		patience = time.Minute
		if step.fault == servers.BlackHole {
			patience = 300 * time.Millisecond
		}
		err := dialAndSay()
		// What a client of these meets first depends on when it writes.
		hungUp := err != nil && (step.fault == servers.Reset || step.fault == servers.Close)
		if !errors.Is(err, step.want) && !hungUp {
			t.Errorf("fault %d: error = %v, want %v", step.fault, err, step.want)
		}
	}

	conn, err := net.Dial("tcp", proxy.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := say(conn); err != nil {
		t.Fatal(err)
	}
	proxy.Break(servers.Refuse)
	if err := say(conn); err == nil {
		t.Error("a connection outlived Refuse")
	}
	proxy.Break(servers.None)
	proxy.Delay(100 * time.Millisecond)
	start := time.Now()
	if err := dialAndSay(); err != nil || time.Since(start) < 200*time.Millisecond {
		t.Errorf("delayed both ways: %v after %v, want at least 200ms", err, time.Since(start))
	}
	if proxy.Accepted() < 8 {
		t.Errorf("accepted %d connections, want 8 and more", proxy.Accepted())
	}
}
