package memcached_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/memcached"
	"hale/test/checktest"
	"hale/test/servers"
)

const password = "corr3ct_horse/battery@staple"

// server is a real memcached.
type server struct{ address string }

func start(t *testing.T, args ...string) server {
	t.Helper()
	port := strconv.Itoa(servers.FreePort(t))
	address := "127.0.0.1:" + port
	servers.Run(t, servers.Spec{
		Name:    "memcached",
		Args:    append([]string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-u", "root", "-t", "1", "-m", "8"}, args...),
		Listens: []string{address},
	})
	return server{address}
}

func secured(t *testing.T, cert servers.Certificate, args ...string) server {
	t.Helper()
	return start(t, append([]string{"-Z", "-o", "ssl_chain_cert=" + cert.CertFile, "-o", "ssl_key=" + cert.KeyFile}, args...)...)
}

// locked starts memcached with a user and a password.
func locked(t *testing.T) server {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("app:"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "-Y", users)
}

// stat asks the server itself, past the check, for a number of its statistics.
func (s server) stat(t *testing.T, name string) int {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "stats\r\n")
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "END" {
		if value, ok := strings.CutPrefix(lines.Text(), "STAT "+name+" "); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no statistic %s", name)
	return 0
}

// clients counts the clients that the server sees beyond those of before.
func (s server) clients(t *testing.T) func() int {
	t.Helper()
	// The connection that showed that it listens may still be counted, for a
	// moment after it is closed.
	checktest.Eventually(t, "nobody is connected", func() bool { return servers.Connections(t, s.address) == 0 })
	before := s.stat(t, "curr_connections")
	for range 10 {
		before = min(before, s.stat(t, "curr_connections"))
	}
	return func() int { return s.stat(t, "curr_connections") - before }
}

// expect runs a check once and compares the end of it, to the letter. A star in
// want stands for anything.
func expect(t *testing.T, c *memcached.Check, want string) {
	t.Helper()
	got := checktest.Outcome(t, c, 0)
	before, after, star := strings.Cut(want, "*")
	if got != want && (!star || !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after)) {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if strings.Contains(got, password) || strings.Contains(got, "hunter2") {
		t.Errorf("the password is in %q", got)
	}
}

func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name  string
		check memcached.Check
	}{
		{"ping", memcached.Check{}},
		{"write", memcached.Check{Mode: "write"}},
		{"everything", memcached.Check{Mode: "write", MaxConnections: 90}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t)
			checktest.Target{
				Address: s.address,
				New: func(address string) checks.Check {
					check := row.check
					check.Address = address
					return &check
				},
				Connections: s.clients(t),
			}.Faults(t)
			// No run, of those that were cut off neither, has left its item.
			if items := s.stat(t, "curr_items"); items != 0 {
				t.Errorf("%d items are left", items)
			}
		})
	}
}

func TestFaultsWithPassword(t *testing.T) {
	s := locked(t)
	checktest.Target{
		Address: s.address,
		New: func(address string) checks.Check {
			return &memcached.Check{Address: address, User: "app", Password: password, Mode: "write"}
		},
		Secrets: []string{password},
	}.Faults(t)
}

// A server that asks for no login takes one for an item to be stored.
func TestPasswordIsNotStored(t *testing.T) {
	t.Parallel()
	s := start(t)
	expect(t, &memcached.Check{Address: s.address, User: "app", Password: password, Mode: "write"}, "pass: stored, read and deleted an item: "+s.address)
	if n := s.stat(t, "cmd_set"); n != 2 {
		t.Errorf("%d items were set, not the login and the one of mode write", n)
	}
	if n := s.stat(t, "curr_items"); n != 0 {
		t.Errorf("%d items are left", n)
	}
}

func TestSoak(t *testing.T) {
	s := start(t)
	checktest.Soak(t, &memcached.Check{Address: s.address, Mode: "write", WarnConnections: 80}, s.clients(t))
	if items := s.stat(t, "curr_items"); items != 0 {
		t.Errorf("%d items are left", items)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) string { return secured(t, cert).address },
		New: func(address, ca string, insecure bool) checks.Check {
			return &memcached.Check{Address: address, Mode: "write", TLS: true, CA: ca, Insecure: insecure}
		},
	}.Faults(t)

	cert := servers.NewCertificate(t, "127.0.0.1")
	strict := secured(t, cert, "-o", "ssl_verify_mode=2", "-o", "ssl_ca_cert="+cert.CertFile).address
	expect(t, &memcached.Check{Address: strict, TLS: true, CA: cert.CertFile, Certificate: cert.CertFile, Key: cert.KeyFile}, "pass: answers, version *: "+strict)
	expect(t, &memcached.Check{Address: strict, TLS: true, CA: cert.CertFile}, "fail: *: "+strict)
	plain := start(t).address
	expect(t, &memcached.Check{Address: plain, TLS: true, Insecure: true}, "fail: *: "+plain)
}

func TestRun(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "memcached.sock")
	servers.Run(t, servers.Spec{Name: "memcached", Args: []string{"-s", socket, "-u", "root"}, Listens: []string{socket}})
	a, keys, full := start(t).address, locked(t).address, start(t, "-m", "2", "-M").address
	fill(t, full)
	closed := servers.FreeAddress(t)
	for _, test := range []struct {
		name  string
		check memcached.Check
		want  string
	}{
		{"ping", memcached.Check{Address: a}, "pass: answers, version *: " + a},
		{"write", memcached.Check{Address: a, Mode: "write"}, "pass: stored, read and deleted an item: " + a},
		{"longest prefix", memcached.Check{Address: a, Mode: "write", KeyPrefix: strings.Repeat("x", 224)}, "pass: stored, read and deleted an item: " + a},
		{"socket", memcached.Check{Address: socket, Mode: "write"}, "pass: stored, read and deleted an item: " + socket},
		{"password", memcached.Check{Address: keys, Mode: "write", User: "app", Password: password}, "pass: stored, read and deleted an item: " + keys},
		{"few connections", memcached.Check{Address: a, WarnConnections: 50, MaxConnections: 90}, "pass: answers, version *%): " + a},
		{"many connections", memcached.Check{Address: a, WarnConnections: 0.01}, "warn: *, more than 0.01%: " + a},
		{"too many connections", memcached.Check{Address: a, MaxConnections: 0.01}, "fail: *, more than 0.01%: " + a},

		{"password missing", memcached.Check{Address: keys}, "fail: the server wants a user and a password: " + keys},
		{"password missing for an item", memcached.Check{Address: keys, Mode: "write"}, "fail: the server wants a user and a password: " + keys},
		{"wrong password", memcached.Check{Address: keys, User: "app", Password: "hunter2"}, `fail: wrong user or password: user "app": ` + keys},
		{"unknown user", memcached.Check{Address: keys, User: "nobody", Password: "hunter2"}, `fail: wrong user or password: user "nobody": ` + keys},
		{"full", memcached.Check{Address: full, Mode: "write"}, "fail: the server is full, and evicts nothing: SERVER_ERROR out of memory storing object: " + full},
		{"full, but answers", memcached.Check{Address: full}, "pass: answers, version *: " + full},
		{"nobody listens", memcached.Check{Address: closed}, "fail: connection refused: " + closed},
		{"no socket", memcached.Check{Address: "/nowhere.sock"}, "fail: no such socket: /nowhere.sock"},
		{"unknown name", memcached.Check{Address: "cache.invalid:11211"}, "fail: name does not resolve: cache.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, &test.check, test.want)
		})
	}
}

// fill stores items until the server has no room for another.
func fill(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	for i := range 200_000 {
		// Items of about the size of the check's, so that they share a slab class.
		fmt.Fprintf(conn, "set hale:check:filling%019d 0 0 26\r\n%s\r\n", i, strings.Repeat("x", 26))
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(answer, "SERVER_ERROR") {
			return
		}
	}
	t.Fatal("the server does not fill up")
}

func TestNoConnectionLeft(t *testing.T) {
	t.Parallel()
	a := start(t, "-c", "20").address
	checktest.Eventually(t, "all connections are taken", func() bool {
		conn, err := net.Dial("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return checktest.Outcome(t, &memcached.Check{Address: a}, 2*time.Second) == "fail: the server has no connection left: as many are open as it allows: "+a
	})
}
