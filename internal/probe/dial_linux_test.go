package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hale/internal/explain"
)

// A socket is what net's Dialer would give: the same ends, bytes and errors.
func TestDialIsAsNets(t *testing.T) {
	t.Parallel()
	ctx, later := t.Context(), time.Now().Add(time.Minute)
	for name, listen := range map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				t.Skip(err) // a machine without IPv6
			}
			defer listener.Close()
			to := netip.MustParseAddrPort(listener.Addr().String())
			conn, err := dial(ctx, netip.Addr{}, to, later)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			far, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if conn.LocalAddr().String() != far.RemoteAddr().String() || conn.RemoteAddr().String() != far.LocalAddr().String() {
				t.Errorf("from %v to %v, and the target says from %v to %v", conn.LocalAddr(), conn.RemoteAddr(), far.RemoteAddr(), far.LocalAddr())
			}
			if _, err := io.WriteString(conn, "there"); err != nil {
				t.Error(err)
			}
			io.WriteString(far, "and back")
			there, back := make([]byte, 5), make([]byte, 8)
			io.ReadFull(far, there)
			io.ReadFull(conn, back)
			if string(there) != "there" || string(back) != "and back" {
				t.Errorf("%q, %q", there, back)
			}

			_ = conn.SetDeadline(longAgo)
			_, err = conn.Read(back)
			if !explain.IsTimeout(err) || !isConnection(err) {
				t.Errorf("after the deadline: %v", err)
			}
			_ = conn.SetDeadline(time.Time{})
			_ = far.(*net.TCPConn).SetLinger(0)
			far.Close() // resets
			_, err = conn.Read(back)
			want := "read tcp " + conn.LocalAddr().String() + "->" + to.String() + ": read: connection reset by peer"
			if err == nil || err.Error() != want || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after a reset: %v, want %s", err, want)
			}
			listener.Close()
			_, err = dial(ctx, netip.Addr{}, to, later)
			_, want2 := dialAny(ctx, netip.Addr{}, to, later)
			if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != want2.Error() {
				t.Errorf("nobody listens: %v, want %v", err, want2)
			}
		})
	}
	t.Run("end", func(t *testing.T) {
		conn, far := socketPair(t)
		far.Close()
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("source", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		to := netip.MustParseAddrPort(listener.Addr().String())
		conn, err := dial(ctx, netip.MustParseAddr("127.0.0.7"), to, later)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if from := conn.LocalAddr().String(); !strings.HasPrefix(from, "127.0.0.7:") {
			t.Errorf("it comes from %s", from)
		}
		for _, source := range []string{"192.0.2.1", "::1"} { // not ours; not of the family
			_, err := dial(ctx, netip.MustParseAddr(source), to, later)
			_, want := dialAny(ctx, netip.MustParseAddr(source), to, later)
			if err == nil || want == nil || errors.Is(err, syscall.EADDRNOTAVAIL) != errors.Is(want, syscall.EADDRNOTAVAIL) {
				t.Errorf("from %s: %v, want %v", source, err, want)
			}
		}
	})
}

// A connection that does not come about ends with the deadline, or with the
// context.
func TestDialWaits(t *testing.T) {
	t.Parallel()
	to := fullQueue(t)
	if _, err := dial(t.Context(), netip.Addr{}, to, time.Now().Add(50*time.Millisecond)); !explain.IsTimeout(err) {
		t.Errorf("after the deadline: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := dial(ctx, netip.Addr{}, to, time.Now().Add(time.Hour)); err == nil {
		t.Error("a connection after the context's end")
	}
	if _, err := dial(ctx, netip.Addr{}, to, time.Now().Add(time.Hour)); err == nil { // ended before
		t.Error("a connection after the context's end")
	}
}

// fullQueue returns the address of a socket that takes no connection any more: the
// kernel drops who comes.
func fullQueue(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := addrPort(name)
	for range 10 {
		filler, err := net.DialTimeout("tcp", to.String(), time.Second)
		if err != nil {
			return to
		}
		t.Cleanup(func() { filler.Close() })
	}
	t.Skip("this system has room for connections that nobody accepts")
	return to
}

// Who connects to a port that nobody listens on may be given that very port, and
// meet itself.
func TestSocketKnowsItself(t *testing.T) {
	t.Parallel()
	conn, _ := socketPair(t)
	if conn.Conn.(*socket).isItself() {
		t.Error("a connection to a listener is taken for one to itself")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "tcp")
	defer file.Close()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, name); err != nil {
		t.Fatal(err)
	}
	if s := (&socket{File: file, fd: fd, to: addrPort(name)}); !s.isItself() {
		t.Error("it does not know itself")
	}
}

func socketPair(t *testing.T) (connection, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort(listener.Addr().String()), time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return conn, far
}
