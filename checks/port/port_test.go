package port

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hale/checks"
	"hale/health"
	"hale/internal/proc"
	"hale/internal/proc/proctest"
	"hale/test/checktest"
	"hale/test/servers"
)

// redis starts Redis with a short queue, on addresses and a unix socket.
func redis(t *testing.T, port int, addresses, socket string) *servers.Process {
	t.Helper()
	return servers.Run(t, servers.Spec{
		Name:    "redis-server",
		Args:    []string{"--port", strconv.Itoa(port), "--bind", addresses, "--unixsocket", socket, "--tcp-backlog", "4", "--save", "", "--dir", t.TempDir()},
		Listens: []string{fmt.Sprintf("127.0.0.1:%d", port), socket},
		// Who asks waits behind those who only looked whether it listens, and so none
		// of them is left in a queue.
		Ready: func(ctx context.Context) error {
			return errors.Join(ping(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port)), ping(ctx, "unix", socket))
		},
	})
}

func ping(ctx context.Context, network, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Both ways to ask the kernel are held to the same.
func TestRedis(t *testing.T) {
	t.Parallel()
	local, every := servers.FreePort(t), servers.FreePort(t)
	socket := filepath.Join(t.TempDir(), "local.sock")
	server := redis(t, local, "127.0.0.1", socket)
	redis(t, every, "0.0.0.0", filepath.Join(t.TempDir(), "every.sock"))
	free := servers.FreePort(t)
	link := filepath.Join(t.TempDir(), "local.sock")
	if err := os.Symlink(socket, link); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "left.sock")
	leave(t, left)

	for _, test := range []struct {
		name   string
		check  Check
		status health.Status
		want   string // of netlink; QUEUE stands for what only that tells
	}{
		{"listens", Check{Port: local}, health.Pass, "something listens on port LOCAL/tcp, on 127.0.0.1QUEUE"},
		{"on every address", Check{Port: every, Address: "all"}, health.Pass, "something listens on port EVERY/tcp, on all addressesQUEUE"},
		{"on every address, so on this one", Check{Port: every, Address: "127.0.0.1"}, health.Pass, "something listens on port EVERY/tcp, on all addressesQUEUE"},
		{"on this address alone", Check{Port: local, Address: "127.0.0.1", Only: true}, health.Pass, "something listens on port LOCAL/tcp, on 127.0.0.1QUEUE"},
		{"on loopback alone", Check{Port: local, Address: "loopback", Only: true}, health.Pass, "something listens on port LOCAL/tcp, on 127.0.0.1QUEUE"},
		{"by the program", Check{Port: local, Program: "redis-server"}, health.Pass, "redis-server (process PID) listens on port LOCAL/tcp, on 127.0.0.1QUEUE"},
		{"on a socket", Check{Socket: socket}, health.Pass, "something listens on SOCKETQUEUE"},
		{"on a socket by another path", Check{Socket: link}, health.Pass, "something listens on LINKQUEUE"},
		{"on a socket, by the program", Check{Socket: socket, Program: "redis-server"}, health.Pass, "redis-server (process PID) listens on SOCKETQUEUE"},

		{"nothing listens", Check{Port: free}, health.Fail, "nothing listens on port FREE/tcp"},
		{"not with this protocol", Check{Port: local, Protocol: "udp"}, health.Fail, "nothing listens on port LOCAL/udp"},
		{"nothing listens on a socket", Check{Socket: "/nowhere.sock"}, health.Fail, "nothing listens on /nowhere.sock"},
		{"its program has ended", Check{Socket: left}, health.Fail, "nothing listens on LEFT: the file is there, but its program has ended, or never accepted connections"},
		{"on loopback only", Check{Port: local, Address: "all"}, health.Fail, "port LOCAL/tcp is reachable on 127.0.0.1 alone, not on all addresses"},
		{"on another address", Check{Port: local, Address: "10.0.0.1"}, health.Fail, "port LOCAL/tcp is reachable on 127.0.0.1, not on 10.0.0.1"},
		{"on IPv4 only", Check{Port: every, Address: "::1"}, health.Fail, "port EVERY/tcp is reachable on all addresses, not on ::1"},
		{"open to all", Check{Port: every, Address: "127.0.0.1", Only: true}, health.Fail, "port EVERY/tcp is reachable on all addresses, not on 127.0.0.1 alone"},
		{"open to more than loopback", Check{Port: every, Address: "loopback", Only: true}, health.Fail, "port EVERY/tcp is reachable on all addresses, not on loopback alone"},
		{"by another program", Check{Port: local, Program: "sleep-nobody-runs"}, health.Fail, "sleep-nobody-runs does not run, and something else listens on port LOCAL/tcp"},
	} {
		for _, way := range []struct {
			name, root string
		}{{"netlink", ""}, {"proc", "/"}} {
			t.Run(test.name+", by "+way.name, func(t *testing.T) {
				check := test.check
				check.fs.Root = way.root
				want := regexp.QuoteMeta(strings.NewReplacer(
					"LOCAL", strconv.Itoa(local), "EVERY", strconv.Itoa(every), "FREE", strconv.Itoa(free), "SOCKET", socket, "LINK", link, "LEFT", left,
					"PID", strconv.Itoa(server.PID())).Replace(test.want))
				queue := ""
				if way.root == "" {
					queue = `; 0 connections wait of \d+ that may`
				}
				says(t, &check, test.status, strings.ReplaceAll(want, "QUEUE", queue))
			})
		}
	}

	// Another program of which one runs as well.
	sleep := servers.Program(t, "sleep", "3600")
	checktest.Eventually(t, "it goes by its name", func() bool {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", sleep.PID()))
		return string(name) == "sleep\n"
	})
	says(t, &Check{Port: local, Program: "sleep"}, health.Fail, fmt.Sprintf("sleep runs, but something else listens on port %d/tcp", local))
	sleep.Stop()

	// It has seen nobody connect but the test, once for each address.
	server.Stop()
	says(t, &Check{Port: local}, health.Fail, fmt.Sprintf("nothing listens on port %d/tcp", local))
	server.Start()
	says(t, &Check{Port: local}, health.Pass, fmt.Sprintf(`something listens on port %d/tcp, on 127\.0\.0\.1; 0 connections wait of 4 that may`, local))
}

// leave makes the file of a socket that nobody listens on.
func leave(t *testing.T, path string) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close()
}

// A server that hangs has connections waiting: it is busy before it is broken.
func TestQueue(t *testing.T) {
	t.Parallel()
	port := servers.FreePort(t)
	socket := filepath.Join(t.TempDir(), "redis.sock")
	server := redis(t, port, "127.0.0.1", socket)
	server.Pause()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for i, step := range []struct {
		check  Check
		status health.Status
		want   string
	}{
		{Check{Port: port}, health.Pass, fmt.Sprintf(`something listens on port %d/tcp, on 127\.0\.0\.1; 1 connection waits of 4 that may`, port)},
		{Check{Port: port}, health.Pass, fmt.Sprintf(`something listens on port %d/tcp, on 127\.0\.0\.1; 2 connections wait of 4 that may`, port)},
		{Check{Port: port}, health.Warn, fmt.Sprintf(`something listens on port %d/tcp, on 127\.0\.0\.1; 3 connections wait of 4 that may: the program accepts too slowly, or hangs`, port)},
		{Check{Port: port, MaxQueue: 90}, health.Fail, fmt.Sprintf(`something listens on port %d/tcp, on 127\.0\.0\.1; 4 connections wait of 4 that may: more than 90%%`, port)},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		defer conn.Close()
		checktest.Eventually(t, "connections wait", func() bool {
			output, err := step.check.Run(t.Context())
			return strings.Contains(fmt.Sprint(output, err), fmt.Sprintf("; %d connection", i+1))
		})
		says(t, &step.check, step.status, step.want)
	}
	says(t, &Check{Port: port, fs: proc.FS{Root: "/"}}, health.Pass, fmt.Sprintf(`something listens on port %d/tcp, on 127\.0\.0\.1; 4 connections wait`, port))
	server.Resume()
	checktest.Eventually(t, "they are accepted", func() bool {
		output, err := (&Check{Port: port}).Run(t.Context())
		return err == nil && strings.Contains(output, "; 0 connections")
	})

	server.Pause()
	for range 4 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	says(t, &Check{Socket: socket}, health.Warn, regexp.QuoteMeta("something listens on "+socket+"; 4 connections wait of 4 that may: the program accepts too slowly, or hangs"))
	server.Resume()
}

func TestUDP(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := conn.LocalAddr().(*net.UDPAddr).Port
	check := &Check{Port: port, Protocol: "udp", Address: "127.0.0.1"}
	says(t, check, health.Pass, fmt.Sprintf(`something listens on port %d/udp, on 127\.0\.0\.1`, port))
	conn.Close()
	says(t, check, health.Fail, fmt.Sprintf("nothing listens on port %d/udp", port))
}

func TestIPv6AndAbstractNames(t *testing.T) {
	t.Parallel()
	if listener, err := net.Listen("tcp", "[::1]:0"); err == nil {
		defer listener.Close()
		port := listener.Addr().(*net.TCPAddr).Port
		says(t, &Check{Port: port, Address: "::1", Only: true}, health.Pass, fmt.Sprintf(`something listens on port %d/tcp, on ::1; 0 connections wait of \d+ that may`, port))
		says(t, &Check{Port: port, Address: "loopback", Only: true, fs: proc.FS{Root: "/"}}, health.Pass, fmt.Sprintf(`something listens on port %d/tcp, on ::1`, port))
	} else {
		t.Log("without IPv6: ", err)
	}
	name := fmt.Sprintf("@hale-test-%d", os.Getpid())
	listener, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, root := range []string{"", "/"} {
		says(t, &Check{Socket: name, fs: proc.FS{Root: root}}, health.Pass, "something listens on "+name+".*")
	}
}

// Many sockets are told apart.
func TestManySockets(t *testing.T) {
	var ports []int
	for range 400 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if errors.Is(err, syscall.EMFILE) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	for _, port := range ports {
		says(t, &Check{Port: port}, health.Pass, fmt.Sprintf(`something listens on port %d/tcp, on 127\.0\.0\.1; 0 connections wait of \d+ that may`, port))
	}
	checktest.Soak(t, &Check{Port: ports[0]}, nil)
}

func TestNoLinux(t *testing.T) {
	t.Parallel()
	check := &Check{Port: 80, fs: proctest.FS(t, nil)}
	says(t, check, health.Fail, regexp.QuoteMeta("no such file (this needs Linux with /proc and /sys mounted): /proc/net/tcp"))
}

// says runs a check. The text is a regular expression.
func says(t *testing.T, check *Check, status health.Status, want string) {
	t.Helper()
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	result := health.RunOnce(t.Context(), nil, health.Check{Name: "port", Run: check.Run})[0]
	if result.Status != status || !regexp.MustCompile("^"+want+"$").MatchString(result.Output) {
		t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, status, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check Check
		want  string
	}{
		{Check{Port: 80, Address: "::1", Only: true, MaxQueue: 90, WarnQueue: 90}, ""},
		{Check{Socket: "@app", Program: "app"}, ""},
		{Check{}, "port: is missing: write its number, or the path of a unix socket as socket"},
		{Check{Port: 80, Socket: "/x"}, "socket: and port are two questions: make two checks of them"},
		{Check{Port: 65536}, "port: 65536 is not a port from 1 to 65535"},
		{Check{Socket: "app.sock"}, `socket: "app.sock" is not an absolute path: that is how the kernel knows it`},
		{Check{Socket: "/x", Address: "::1"}, "socket: has neither protocol nor address: remove them"},
		{Check{Port: 80, Protocol: "sctp"}, `protocol: "sctp" is neither tcp nor udp`},
		{Check{Port: 80, Address: "localhost"}, `address: "localhost" is not an address: write 127.0.0.1 or ::1, loopback, or all`},
		{Check{Port: 80, Only: true}, "only: goes with an address, or loopback, which is missing"},
		{Check{Port: 80, Program: "/usr/sbin/nginx"}, `program: "/usr/sbin/nginx" has a directory: write "nginx"`},
		{Check{Port: 80, WarnQueue: 95, MaxQueue: 90}, "warn_queue: 95% is more than max_queue (90%): the check would fail before it warns"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("error = %v, want %s", err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("not an OptionError: %#v", err)
		}
	}
}

const (
	tcpTable  = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 12345 1 0000000083d35147 100 0 0 10 0\n   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 20 4 30 10 -1\n"
	tcp6Table = "  sl  local_address\n   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0 100 0 0 10 0\n   1: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 778 1 0 100 0 0 10 0\n"
	unixTable = "Num       RefCount Protocol Flags    Type St Inode Path\n0000000083d35147: 00000002 00000000 00010000 0001 01 2222 /run/my app.sock\n0000000083d35148: 00000003 00000000 00000000 0001 03 2223 /run/my app.sock\n0000000083d35149: 00000002 00000000 00010000 0001 01 2224 @abstract\n0000000083d35150: 00000002 00000000 00010000 0001 01 2225\n"
)

func TestParse(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH == "s390x" || runtime.GOARCH == "mips" {
		t.Skip("the tables are those of a little-endian machine")
	}
	for content, want := range map[string]string{
		tcpTable:  "[127.0.0.1:8080 inode 12345 waiting 3]",
		tcp6Table: "[:::80 inode 777 waiting 0 127.0.0.1:81 inode 778 waiting 0]",
	} {
		var texts []string
		for _, l := range parseInet(content, "tcp") {
			texts = append(texts, fmt.Sprintf("%v:%d inode %d waiting %d", l.address, l.port, l.inode, l.waiting))
		}
		if got := fmt.Sprint(texts); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	var texts []string
	for _, l := range parseUnix(unixTable) {
		texts = append(texts, fmt.Sprintf("%s inode %d", l.path, l.inode))
	}
	if got, want := fmt.Sprint(texts), "[/run/my app.sock inode 2222 @abstract inode 2224]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzTables(f *testing.F) {
	f.Add(tcpTable)
	f.Add(tcp6Table)
	f.Add(unixTable)
	f.Fuzz(func(t *testing.T, content string) {
		for _, protocol := range []string{"tcp", "udp"} {
			for _, l := range parseInet(content, protocol) {
				if !l.address.IsValid() || l.port < 0 || l.port > 65535 {
					t.Errorf("%+v", l)
				}
			}
		}
		for _, l := range parseUnix(content) {
			if l.path == "" {
				t.Errorf("%+v", l)
			}
		}
	})
}
