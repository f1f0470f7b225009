package machine

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hale/test/servers"
)

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func addrPort(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// setBacklog changes how many connections may wait.
func setBacklog(t *testing.T, l net.Listener, n int) {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), n) }); err != nil || listenErr != nil {
		t.Fatal(err, listenErr)
	}
}

func TestListenersNamesEachSocketAndItsOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.sock")
	abstract := fmt.Sprintf("@hale-machine-%d", os.Getpid())
	tcp := listen(t, "tcp", "127.0.0.5:0")
	listen(t, "unix", path)
	listen(t, "unix", abstract)
	all, err := Listeners()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{tcp.Addr().String(), path, abstract} {
		i := slices.IndexFunc(all, func(s Socket) bool { return s.String() == want })
		if i < 0 {
			t.Errorf("%s is not among %d listeners", want, len(all))
			continue
		}
		s := all[i]
		if s.Owner().PID != os.Getpid() || s.Owner().Program == "" || s.Inode == 0 || s.Waiting != 0 || s.Backlog < 1 || s.Full() {
			t.Errorf("%+v", s)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Socket) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("the unix sockets do not come last, by their paths")
	}
}

func TestListenersOnAPort(t *testing.T) {
	t.Parallel()
	address := addrPort(listen(t, "tcp", "127.0.0.5:0"))
	found, err := ListenersOn(address.Port())
	if err != nil || !slices.ContainsFunc(found, func(s Socket) bool { return s.Address == address }) {
		t.Errorf("%+v, %v", found, err)
	}
	if slices.ContainsFunc(found, func(s Socket) bool { return s.Address.Port() != address.Port() || s.Path != "" }) {
		t.Errorf("on other ports: %+v", found)
	}
}

// A worker that inherited the socket comes behind the server that opened it.
func TestOwnersParentFirst(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.5:0")
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("sleep", "600")
	cmd.ExtraFiles = []*os.File{file}
	pid := start(t, cmd)
	await(t, func() string {
		found, err := ListenerAt(addrPort(l))
		if err != nil || len(found) != 1 {
			return fmt.Sprintf("%+v, %v", found, err)
		}
		owners := found[0].Owners
		if len(owners) != 2 || owners[0].PID != os.Getpid() || owners[1] != (Owner{pid, "sleep"}) {
			return fmt.Sprintf("owners %+v, want %d and its child sleep, %d", owners, os.Getpid(), pid)
		}
		return ""
	})
}

func TestWaitingAndFull(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.5:0")
	setBacklog(t, l, 1)
	at := func() Socket {
		t.Helper()
		found, err := ListenerAt(addrPort(l))
		if err != nil || len(found) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		return found[0]
	}
	dial(t, "tcp", l.Addr().String())
	await(t, func() string {
		if s := at(); s.Waiting != 1 || s.Backlog != 1 || s.Full() {
			return fmt.Sprintf("with one client: %+v", s)
		}
		return ""
	})
	before, err := ReadCounters()
	if err != nil {
		t.Fatal(err)
	}
	dial(t, "tcp", l.Addr().String()) // one more than the backlog says
	await(t, func() string {
		if s := at(); s.Waiting != 2 || !s.Full() {
			return fmt.Sprintf("with two clients: %+v", s)
		}
		return ""
	})
	// Who comes now gets no answer, and is counted.
	await(t, func() string {
		if c, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Millisecond); err == nil {
			c.Close()
		}
		after, err := ReadCounters()
		if err != nil {
			t.Fatal(err)
		}
		if s := at(); s.Drops == 0 || after.Overflows <= before.Overflows || after.Drops <= before.Drops {
			return fmt.Sprintf("%d dropped at the socket; counters %+v, then %+v", s.Drops, before, after)
		}
		return ""
	})
}

func TestAccepts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		socket Socket
		ip     string
		want   bool
	}{
		{Socket{Address: netip.MustParseAddrPort("127.0.0.1:80")}, "127.0.0.1", true},
		{Socket{Address: netip.MustParseAddrPort("127.0.0.1:80")}, "10.0.0.10", false},
		{Socket{Address: netip.MustParseAddrPort("0.0.0.0:80")}, "10.0.0.10", true},
		{Socket{Address: netip.MustParseAddrPort("0.0.0.0:80")}, "::ffff:10.0.0.10", true},
		{Socket{Address: netip.MustParseAddrPort("0.0.0.0:80")}, "2001:db8::5", false},
		{Socket{Address: netip.MustParseAddrPort("[::]:80")}, "10.0.0.10", true},
		{Socket{Address: netip.MustParseAddrPort("[::]:80"), V6Only: true}, "10.0.0.10", false},
		{Socket{Address: netip.MustParseAddrPort("[::]:80"), V6Only: true}, "2001:db8::5", true},
		{Socket{Address: netip.MustParseAddrPort("[::ffff:10.0.0.10]:80")}, "10.0.0.10", true},
		{Socket{Address: netip.MustParseAddrPort("[fe80::1%eth0]:80")}, "fe80::1", true},
		{Socket{Path: "/run/app.sock"}, "10.0.0.10", false},
		{Socket{}, "10.0.0.10", false},
	} {
		if got := test.socket.Accepts(netip.MustParseAddr(test.ip)); got != test.want {
			t.Errorf("%s (IPv6 only: %v) accepts for %s: %v", test.socket, test.socket.V6Only, test.ip, got)
		}
	}
}

// The kernel prefers a socket that is bound to just that address.
func TestListenerAtTheNearest(t *testing.T) {
	t.Parallel()
	shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var optErr error
		err := c.Control(func(fd uintptr) { optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		if err != nil {
			return err
		}
		return optErr
	}}
	listenOn := func(address string) netip.AddrPort {
		t.Helper()
		l, err := shared.Listen(t.Context(), "tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return addrPort(l)
	}
	near := listenOn(net.JoinHostPort("127.0.0.5", strconv.Itoa(servers.FreePort(t)))) // which nobody has on any address
	wide := listenOn(netip.AddrPortFrom(netip.IPv4Unspecified(), near.Port()).String())
	for _, test := range []struct {
		at   string
		want netip.AddrPort
	}{
		{"127.0.0.5", near},
		{"127.0.0.6", wide},
	} {
		found, err := ListenerAt(netip.AddrPortFrom(netip.MustParseAddr(test.at), near.Port()))
		if err != nil || len(found) != 1 || found[0].Address != test.want {
			t.Errorf("%s: %+v, %v; want %s", test.at, found, err, test.want)
		}
	}
	if found, err := ListenerAt(netip.AddrPortFrom(netip.MustParseAddr("::1"), near.Port())); err != nil || len(found) != 0 {
		t.Errorf("by IPv6: %+v, %v", found, err)
	}
}
