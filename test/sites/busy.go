package sites

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// crowd is connections of users to a site, which are there until they are told
// to go, or the test ends.
type crowd struct {
	t     testing.TB
	mu    sync.Mutex
	conns []net.Conn
}

func newCrowd(t testing.TB) *crowd {
	c := &crowd{t: t}
	t.Cleanup(c.leave)
	return c
}

// connect makes n connections, and asks for something on each; the empty
// request is not sent.
func (c *crowd) connect(n int, address, request string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		conn, err := net.DialTimeout("tcp", address, time.Minute)
		if err != nil {
			c.t.Fatal(err)
		}
		c.conns = append(c.conns, conn)
		if _, err := conn.Write([]byte(request)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// slowPage is the request of a user for a page that takes long.
func slowPage(address string) string {
	return fmt.Sprintf("GET /slow HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address)
}

// gated is an application whose page /slow takes until the file GATE is there.
const gated = `
import os, time

pages = {"/health": b"healthy\n", "/": b"welcome\n", "/slow": b"done\n"}

def application(environ, start_response):
    path = environ["PATH_INFO"]
    while path == "/slow" and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.05)
    page = pages.get(path, b"not found\n")
    start_response("200 OK" if path in pages else "404 Not Found",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(page)))])
    return [page]
`

// busyGunicorn is a site under gunicorn with one sync worker, which is busy
// with what crowd does to it.
func busyGunicorn(args []string, occupy func(t testing.TB, c *crowd, s Site)) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		gate := filepath.Join(s.dir(), "open")
		s.file("gated.py", gated)
		log := filepath.Join(s.dir(), "gunicorn.log")
		servers.Run(t, servers.Spec{
			Name: "gunicorn",
			Args: append([]string{
				"--chdir", s.dir(), "--bind", s.address, "--workers", "1", "--timeout", "600",
				"--error-logfile", log, "gated:application",
			}, args...),
			Env: []string{"GATE=" + gate, "PYTHONDONTWRITEBYTECODE=1"}, Listens: []string{s.address},
			StopSignal: syscall.SIGKILL,
		})
		site := s.site(log)
		users := newCrowd(t)
		occupy(t, users, site)
		site.relief = func() {
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Error(err)
			}
			users.leave()
		}
		return site
	}
}

// waiting waits until at least n connections wait to be accepted at an address.
func waiting(t testing.TB, address string, n int) {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(5 * time.Millisecond) {
		if queue := acceptQueue(t, address); queue >= n {
			return
		}
	}
	t.Fatalf("no %d connections wait at %s", n, address)
}

// acceptQueue is how many connections wait to be accepted at an address.
func acceptQueue(t testing.TB, address string) int {
	t.Helper()
	for _, s := range tcpSockets(t) {
		if s.listens && s.local == address {
			return s.received
		}
	}
	t.Fatalf("nobody listens on %s", address)
	return 0
}

// tcpSocket is a line of /proc/net/tcp.
type tcpSocket struct {
	local, remote string
	listens       bool
	synReceived   bool
	received      int // bytes, or of one that listens, connections
}

// tcpSockets reads the kernel's table of sockets, those of IPv6 too.
func tcpSockets(t testing.TB) []tcpSocket {
	t.Helper()
	var all []tcpSocket
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil {
			continue // a machine without IPv6
		}
		for line := range strings.Lines(string(table)) {
			var local, remote string
			var number, state, sent, received int
			if _, err := fmt.Sscanf(line, "%d: %s %s %x %x:%x", &number, &local, &remote, &state, &sent, &received); err != nil {
				continue // the heading
			}
			const synReceived, listens = 3, 10
			all = append(all, tcpSocket{
				local: kernelAddress(local), remote: kernelAddress(remote),
				listens: state == listens, synReceived: state == synReceived, received: received,
			})
		}
	}
	return all
}

// kernelAddress reads 0500007F:1F90, which is 127.0.0.5:8080, and the like of
// IPv6.
func kernelAddress(s string) string {
	var port int
	digits, hexPort, _ := strings.Cut(s, ":")
	if _, err := fmt.Sscanf(hexPort, "%x", &port); err != nil {
		return s
	}
	ip := make(net.IP, 0, 16)
	for i := 0; i+8 <= len(digits); i += 8 { // words, as the machine orders bytes: little-endian on all that run tests
		var a, b, c, d byte
		if _, err := fmt.Sscanf(digits[i:i+8], "%2x%2x%2x%2x", &a, &b, &c, &d); err != nil {
			return s
		}
		ip = append(ip, d, c, b, a)
	}
	return net.JoinHostPort(ip.String(), fmt.Sprint(port))
}

// busy are sites that take connections, or the kernel does, and do not answer.
func busy() []Case {
	return []Case{
		{
			Name: "gunicorn-backlog-full", Row: "listen-backlog-full", Findings: []string{"listen-backlog-full"}, Inside: true, Slow: true,
			Start: busyGunicorn([]string{"--backlog", "4"}, func(t testing.TB, c *crowd, s Site) {
				c.connect(1, s.Address, slowPage(s.Address))
				waitAccepted(t, s.Address)
				c.connect(5, s.Address, slowPage(s.Address)) // the kernel takes one more than the backlog
				waiting(t, s.Address, 5)
			}),
		},
		{
			Name: "gunicorn-workers-busy", Row: "worker-exhaustion", Findings: []string{"worker-exhaustion"}, Inside: true, Slow: true,
			Start: busyGunicorn(nil, func(t testing.TB, c *crowd, s Site) {
				c.connect(4, s.Address, slowPage(s.Address))
				waiting(t, s.Address, 3)
			}),
		},
		{
			Name: "gunicorn-idle-connection", Row: "idle-connection-holds-sync-worker", Findings: []string{"idle-connection-holds-sync-worker"}, Fresh: true,
			Inside: true, Slow: true,
			Start: busyGunicorn(nil, func(t testing.TB, c *crowd, s Site) {
				c.connect(1, s.Address, "")
				waitAccepted(t, s.Address)
			}),
		},
		{
			Name: "node-event-loop", Row: "event-loop-blocked", Findings: []string{"event-loop-blocked"}, Inside: true, Slow: true,
			Start: blockedLoop,
		},
		{
			Name: "nginx-open-files", Row: "fd-exhaustion", Findings: []string{"fd-exhaustion"}, Inside: true, Slow: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				site := serveNginxWith(s, "worker_rlimit_nofile 24;", `
client_header_timeout 600s;
server { listen @address@; `+nginxWell+`}`)
				users := newCrowd(t)
				users.connect(40, s.address, "")
				waiting(t, s.address, 1)
				site.relief = users.leave
				return site
			},
		},
	}
}

// waitAccepted waits until nobody waits to be accepted at an address.
func waitAccepted(t testing.TB, address string) {
	t.Helper()
	for start := time.Now(); acceptQueue(t, address) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("connections wait at %s", address)
		}
	}
}

// blockedLoop is a site in Node.js, in which a handler computes.
func blockedLoop(t testing.TB) Site {
	s := newSetting(t)
	gate, began := filepath.Join(s.dir(), "open"), filepath.Join(s.dir(), "began")
	p := startNode(s, `
const fs = require('fs');
server.on('request', (req) => {
	if (req.url !== '/slow') return;
	fs.writeFileSync('`+began+`', '');
	while (!fs.existsSync('`+gate+`'));
});
server.listen(@port@, '127.0.0.5');
`, servers.Spec{Listens: []string{s.address}, StopSignal: syscall.SIGKILL})
	// It is to be in nobody's way.
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, p.PID(), 19); err != nil {
		t.Fatal(err)
	}
	users := newCrowd(t)
	users.connect(1, s.address, slowPage(s.address))
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(began); err == nil {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("the handler does not begin to compute")
		}
	}
	site := s.site(p.OutputFile())
	site.relief = func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
		users.leave()
	}
	return site
}
