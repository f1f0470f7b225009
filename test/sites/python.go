package sites

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hale/test/servers"
)

// python is a web application in Python, and how a server is told to run it.
type python struct {
	dir    string // to import it from
	module string // "mysite.wsgi:application"
	env    []string
	args   []string // of the server, in addition
	// contain changes how the server is run, such as in a container; nil: as it is.
	contain func(servers.Spec) servers.Spec
}

func (p python) contained(spec servers.Spec) servers.Spec {
	if p.contain == nil {
		return spec
	}
	return p.contain(spec)
}

// environment is the server's: the sources are only read.
func (p python) environment() []string {
	return append([]string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"}, p.env...)
}

// bind is what a server listens on that is reached at address: all of the
// instance's addresses, unless only that machine itself is to reach it.
func bind(address string) string {
	if port, ok := strings.CutPrefix(address, Private); ok {
		return "0.0.0.0" + port
	}
	return address
}

// gunicorn runs the application on address, or on the path of a unix socket,
// and returns gunicorn's error log. It leaves an idle connection open for
// longer than a load balancer does.
func (p python) gunicorn(t testing.TB, address string) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "gunicorn.log")
	socket := bind(address)
	if strings.HasPrefix(address, "/") {
		socket = "unix:" + address
	}
	run(t, servers.Spec{
		Name: "gunicorn",
		Args: append([]string{
			"--chdir", p.dir, "--bind", socket, "--threads", "4", "--keep-alive", "75",
			"--error-logfile", log, "--capture-output", p.module,
		}, p.args...),
		Dir: p.dir,
		Env: p.environment(),
	}, address)
	return log
}

// uwsgi runs the application on address, behind uWSGI's own HTTP router, or on
// the path of a unix socket, in uWSGI's own protocol, and returns uWSGI's log.
func (p python) uwsgi(t testing.TB, address string) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "uwsgi.log")
	socket := []string{"--plugin", "http", "--http", bind(address), "--http-keepalive=75", "--http-auto-chunked"}
	if strings.HasPrefix(address, "/") {
		socket = []string{"--socket", address, "--chmod-socket=666"}
	}
	servers.Run(t, p.contained(servers.Spec{
		Name: "uwsgi",
		Args: append(append([]string{
			"--plugin", "python3", "--chdir", p.dir, "--module", p.module, "--master", "--processes", "1", "--threads", "8",
			"--disable-logging", "--logto2", log,
		}, socket...), p.args...),
		Dir: p.dir,
		Env: p.environment(),
		// uWSGI listens before it has imported the application, and starts its
		// workers after, and then its router.
		Ready: func(ctx context.Context) error {
			if err := contains(log, "spawned uWSGI worker 1"); err != nil || strings.HasPrefix(address, "/") {
				return err
			}
			return answers(ctx, address)
		},
		// Its master looks for the end of its workers but once a second.
		StopSignal: syscall.SIGKILL,
	}))
	return log
}

// uvicorn runs an ASGI application on address and returns its log.
func (p python) uvicorn(t testing.TB, address string) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "uvicorn.log")
	host, port, _ := strings.Cut(bind(address), ":")
	write(t, filepath.Join(p.dir, "logging.json"), fmt.Sprintf(`{
		"version": 1, "disable_existing_loggers": false,
		"formatters": {"plain": {"format": "%%(levelname)s: %%(message)s"}},
		"handlers": {"file": {"class": "logging.FileHandler", "filename": %q, "formatter": "plain"}},
		"root": {"handlers": ["file"], "level": "INFO"}
	}`, log))
	run(t, p.contained(servers.Spec{
		Name: "uvicorn",
		Args: append([]string{
			"--app-dir", p.dir, "--host", host, "--port", port, "--timeout-keep-alive", "75",
			"--log-config", filepath.Join(p.dir, "logging.json"), p.module,
		}, p.args...),
		Dir: p.dir,
		Env: p.environment(),
	}), address)
	return log
}

// contains returns an error unless a file has the text.
func contains(file, text string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(content), text) {
		return fmt.Errorf("%s has no %q yet", file, text)
	}
	return nil
}
