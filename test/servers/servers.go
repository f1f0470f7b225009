// Package servers starts real programs for tests: databases, Django under
// uWSGI or gunicorn, anything that listens, and a proxy that breaks the
// connection to them on demand.
//
//	db := servers.Postgres(t)
//	connect(db.URL())
//	db.Pause() // accepts connections, never answers
//	db.Resume()
//	db.Stop()  // refuses connections
//	db.Start() // on the same port, with the same data
//
// Everything listens on a free loopback port, lives in a temporary directory,
// and has ended when the test has. A program that is not installed skips the
// test and says which Debian package brings it; with HALE_REAL=1 in the
// environment it fails the test instead, so that a build that promises to test
// everything does.
package servers

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// packages are the Debian packages of programs that are named otherwise.
var packages = map[string]string{
	"apache2":            "apache2-bin",
	"aws":                "awscli",
	"check_load":         "monitoring-plugins-basic",
	"chronyd":            "chrony",
	"curl":               "curl",
	"dbus-daemon":        "dbus",
	"dnsmasq":            "dnsmasq-base",
	"epmd":               "erlang-base",
	"exim4":              "exim4-daemon-light",
	"gunicorn":           "gunicorn",
	"initdb":             "postgresql",
	"java":               "default-jre-headless",
	"mariadb-install-db": "mariadb-server-core",
	"mariadbd":           "mariadb-server-core",
	"memcached":          "memcached",
	"nft":                "nftables",
	"nginx":              "nginx-light",
	"node":               "nodejs",
	"pg_isready":         "postgresql-client",
	"php-fpm*":           "php-fpm",
	"postgres":           "postgresql",
	"promtool":           "prometheus",
	"python3":            "python3",
	"redis-server":       "redis-server",
	"slapadd":            "slapd",
	"ssh-keygen":         "openssh-client",
	"sshd":               "openssh-server",
	"uvicorn":            "uvicorn",
	"uwsgi":              "uwsgi-core uwsgi-plugin-python3",
	"varnishd":           "varnish",
}

// elsewhere are the directories, beside PATH's, in which Debian keeps servers.
var elsewhere = []string{"/usr/sbin", "/usr/lib/nagios/plugins", "/usr/lib/postgresql/*/bin"}

// Need returns the path of a program. A missing one skips the test, or fails it
// if HALE_REAL is 1.
func Need(t testing.TB, program string) string {
	t.Helper()
	if path := find(program); path != "" {
		return path
	}
	pkg := packages[program]
	if pkg == "" {
		pkg = program
	}
	missing(t, program+" is not installed: apt-get install "+pkg)
	return ""
}

func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range elsewhere {
		// The last match is the newest version.
		if found, _ := filepath.Glob(filepath.Join(dir, program)); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

// missing ends a test that lacks something of the machine it runs on.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("HALE_REAL") == "1" {
		t.Fatal(what + " (HALE_REAL=1 does not allow to skip this test)")
	}
	t.Skip(what)
}

// FreePort returns a port on which nobody listens, on no address. It lies below
// the range from which Linux takes the local ports of outgoing connections
// (32768 and up), so that none of those can take it before the caller does, and
// nobody else gets it until the test has ended.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 12000 + rand.IntN(20000)
		release := reserve(port)
		if release == nil {
			continue
		}
		if !bindable(port) {
			release()
			continue
		}
		t.Cleanup(release)
		return port
	}
	t.Fatal("no free port between 12000 and 32000")
	return 0
}

// bindable tells whether nobody listens on a port. It does not listen there to
// find out: a program that another test starts at that moment has a copy of
// every open file until it runs, and would keep the port from the caller.
func bindable(port int) bool {
	return mayBind(unix.AF_INET, &unix.SockaddrInet4{Port: port}) && mayBind(unix.AF_INET6, &unix.SockaddrInet6{Port: port})
}

// mayBind tells whether a socket may have an address of all interfaces, in a
// family that the machine has.
func mayBind(family int, address unix.Sockaddr) bool {
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return errors.Is(err, unix.EAFNOSUPPORT)
	}
	defer unix.Close(s)
	if unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) != nil {
		return false
	}
	if family == unix.AF_INET6 && unix.SetsockoptInt(s, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1) != nil {
		return false
	}
	err = unix.Bind(s, address)
	return err == nil || errors.Is(err, unix.EADDRNOTAVAIL) // a machine whose IPv6 is switched off
}

// reserve keeps FreePort from giving a port away twice, in this or another
// process, before and while the program of the first listens; nil says that it
// was given away. It is a name among Linux's abstract sockets, which goes with
// the process; elsewhere chance has to do.
func reserve(port int) (release func()) {
	if runtime.GOOS != "linux" {
		return func() {}
	}
	l, err := net.Listen("unix", "@hale-test-port-"+strconv.Itoa(port))
	if err != nil {
		return nil
	}
	return func() { l.Close() }
}

// FreeAddress returns FreePort with its host, such as 127.0.0.1:23456.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}
