package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hale/internal/listenqueue"
)

func TestConnectionsOf(t *testing.T) {
	t.Parallel()
	database := listen(t, "tcp", "127.0.0.7:0")
	pid, address := server(t, database.Addr().String())
	dial(t, "tcp", address) // says nothing
	asking := dial(t, "tcp", address)
	if _, err := asking.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	dial(t, "tcp", address).Close() // which the server does not notice
	want := Connections{
		Outgoing: []Outgoing{{Remote: addrPort(database), Established: 2}},
		Inbound:  2, Idle: 1, IdleKnown: true, CloseWait: 1,
	}
	await(t, func() string {
		got, err := ConnectionsOf(pid)
		if !got.IdleKnown { // where the kernel tells by /proc alone
			want.IdleKnown, want.Idle = false, 0
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			return fmt.Sprintf("%+v, %v\nwant %+v", got, err, want)
		}
		return ""
	})
	if got, err := ConnectionsOf(pid, 1<<30); err != nil || got.Inbound != 2 {
		t.Errorf("with a process that has ended: %+v, %v", got, err)
	}
	if _, err := ConnectionsOf(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no process: %v", err)
	}
}

func TestSummarise(t *testing.T) {
	t.Parallel()
	var (
		app      = netip.MustParseAddrPort("10.0.0.10:8000")
		client   = netip.MustParseAddrPort("10.0.1.1:50000")
		database = netip.MustParseAddrPort("10.0.2.2:5432")
		cache    = netip.MustParseAddrPort("10.0.2.3:6379")
		local    = netip.MustParseAddrPort("10.0.0.10:40000")
	)
	held := map[uint64]bool{1: true, 2: true, 3: true, 4: true, 5: true}
	got := summarise([]listenqueue.Connection{
		{Local: app, Remote: client, State: listenqueue.Established, Inode: 1, Received: -1},
		{Local: app, Remote: client, State: listenqueue.Established, Inode: 9, Received: 0}, // another's
		{Local: app, Remote: client, State: listenqueue.Established, Inode: 0, Received: 0}, // waits
		{Local: local, Remote: cache, State: listenqueue.Established, Inode: 2, Received: 1},
		{Local: local, Remote: database, State: listenqueue.SynSent, Inode: 3, Received: 0},
		{Local: local, Remote: database, State: listenqueue.SynSent, Inode: 4, Received: 0},
		{Local: local, Remote: database, State: listenqueue.FinWait2, Inode: 5, Received: 0},
	}, held, map[uint16]bool{8000: true})
	want := Connections{
		Outgoing: []Outgoing{{database, 0, 2}, {cache, 1, 0}},
		Inbound:  1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// With TCP_DEFER_ACCEPT (tcp(7)) the kernel leaves a connection half-open until
// its client sends something, as it does while its answers get lost.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.5:0")
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60)
	}); err != nil || optErr != nil {
		t.Skip("no TCP_DEFER_ACCEPT here:", err, optErr)
	}
	port := addrPort(l).Port()
	if from, err := HalfOpen(port); err != nil || len(from) != 0 {
		t.Fatalf("before anybody came: %v, %v", from, err)
	}
	client := netip.MustParseAddr("127.0.0.6")
	dialer := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 0))}
	c, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	await(t, func() string {
		from, err := HalfOpen(port)
		if err != nil || !slices.Equal(from, []netip.Addr{client}) {
			return fmt.Sprintf("%v, %v", from, err)
		}
		return ""
	})
}
