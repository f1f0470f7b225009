package servers

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// python is Debian's, which has Debian's Django; another python3 may come first
// in PATH.
const python = "/usr/bin/python3"

// NeedDjango skips the test, or fails it if HALE_REAL is 1, unless Debian's
// Django is installed. It returns the path of Debian's Python.
func NeedDjango(t testing.TB) string {
	t.Helper()
	if err := exec.Command(python, "-c", "import django").Run(); err != nil {
		missing(t, "Django is not installed for "+python+": apt-get install python3-django")
	}
	return python
}

// UWSGI starts uWSGI in the foreground on a WSGI application: dir is where to
// import module from ("mysite.wsgi" or "mysite.wsgi:application"), address an
// app.url as in hale.yaml: http://127.0.0.1:8000, uwsgi://127.0.0.1:3031 or
// uwsgi+unix:///run/app.sock. env is in addition to the test's own environment.
func UWSGI(t testing.TB, dir, module, address string, env ...string) *Process {
	t.Helper()
	u := parse(t, address)
	socket := map[string]string{"http": "--http-socket", "uwsgi": "--socket", "uwsgi+unix": "--socket"}[u.Scheme]
	if socket == "" {
		t.Fatalf("uWSGI cannot serve %s", address)
	}
	if !strings.Contains(module, ":") {
		module += ":application"
	}
	return Run(t, Spec{
		Name: "uwsgi",
		Args: []string{
			"--plugin", "python3", "--chdir", dir, "--module", module, socket, bind(u),
			"--master", "--processes", "2", "--need-app", "--disable-logging",
		},
		Dir:     dir,
		Env:     env,
		URL:     address,
		Listens: []string{bind(u)},
		// uWSGI listens before it has imported the application.
		Ready: func(ctx context.Context) error {
			if u.Scheme == "http" {
				return answers(ctx, bind(u))
			}
			return takesPacket(ctx, bind(u))
		},
		// A worker that is just starting misses the signal to end which its
		// master passes on, and has 60 s of mercy then; even at best the master
		// looks for the end of its workers but once a second.
		StopSignal: syscall.SIGKILL,
	})
}

// Gunicorn starts gunicorn on a WSGI application. address is
// http://127.0.0.1:8000 or unix:///run/app.sock; the rest as for UWSGI.
func Gunicorn(t testing.TB, dir, module, address string, env ...string) *Process {
	t.Helper()
	u := parse(t, address)
	listen := bind(u)
	if u.Scheme == "unix" {
		listen = "unix:" + u.Path
	}
	return Run(t, Spec{
		Name: "gunicorn",
		Args: []string{"--chdir", dir, "--bind", listen, "--workers", "2", module},
		Dir:  dir,
		Env:  env,
		URL:  address,
		// gunicorn listens before its workers have imported the application.
		Ready: func(ctx context.Context) error { return answers(ctx, bind(u)) },
	})
}

// answers reports whether an HTTP server answers a request, whatever it says.
func answers(ctx context.Context, address string) error {
	transport := &http.Transport{DisableKeepAlives: true}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network(address), address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// takesPacket reports whether a uWSGI worker takes a packet: upon an empty one
// it closes the connection.
func takesPacket(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network(address), address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write(make([]byte, 4)); err != nil { // modifiers and size
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

func parse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err == nil && u.Host == "" && u.Path == "" {
		err = errors.New("no host and no path")
	}
	if err != nil {
		t.Fatalf("address %q: %v", address, err)
	}
	return u
}

// bind is the host:port or socket path of an app.url.
func bind(u *url.URL) string {
	if u.Host != "" {
		return u.Host
	}
	return u.Path
}
