package listenqueue

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestQueue lets connections pile up on sockets of each kind, and looks on while
// the server accepts them.
func TestQueue(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "app.sock")
	for _, test := range []struct{ name, network, listen, ask string }{
		{"IPv4", "tcp", "127.0.0.1:0", ""},
		{"all IPv4 addresses", "tcp4", "0.0.0.0:0", "127.0.0.1"},
		{"IPv6 that takes IPv4", "tcp", "[::]:0", "127.0.0.1"},
		{"by name", "tcp", "127.0.0.1:0", "localhost"},
		{"unix", "unix", socket, socket},
		{"abstract unix", "unix", "@hale-listenqueue-" + strconv.Itoa(os.Getpid()), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen(test.network, test.listen)
			if err != nil {
				t.Skip(err) // no IPv6, for one
			}
			defer listener.Close()
			address := listener.Addr().String()
			if test.ask != "" && test.network != "unix" {
				_, port, _ := net.SplitHostPort(address)
				address = net.JoinHostPort(test.ask, port)
			}
			expect := func(waiting, accepted int) {
				t.Helper()
				var sockets []Socket
				// The kernel puts a connection into the queue when it gets round to it.
				eventually(t, fmt.Sprintf("%d wait and %d are accepted", waiting, accepted), func() bool {
					var err error
					if sockets, err = At(t.Context(), address); err != nil || len(sockets) != 1 || sockets[0].Limit < 100 {
						t.Fatalf("%+v, %v", sockets, err)
					}
					connections, err := Accepted(sockets[0])
					if err != nil {
						t.Fatal(err)
					}
					return sockets[0].Waiting == waiting && len(connections) == accepted
				})
				mine, err := Of(os.Getpid())
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range mine {
					if s.Inode == sockets[0].Inode {
						return
					}
				}
				t.Errorf("not among this process's: %v", mine)
			}
			expect(0, 0)
			for range 3 {
				conn, err := net.Dial(test.network, address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			expect(3, 0)
			conn, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			expect(2, 1)
			conn.Close()
			expect(2, 0)
		})
	}
}

// eventually waits up to a minute for something to become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("not after a minute: %s", what)
		}
	}
}

// The kernel counts the connections that it turns away.
func TestDrops(t *testing.T) {
	t.Parallel()
	address := narrow(t, 0)
	count := func() Socket {
		sockets, err := At(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		return sockets[0]
	}
	if s := count(); s.Limit != 0 || s.Drops != 0 {
		t.Fatalf("at first %+v", s)
	}
	dialer := net.Dialer{Timeout: 200 * time.Millisecond}
	for range 4 {
		if conn, err := dialer.Dial("tcp", address); err == nil {
			defer conn.Close()
		}
	}
	eventually(t, "one fits in, three do not", func() bool { s := count(); return s.Waiting == 1 && s.Drops > 0 })
}

// narrow listens with a backlog, which net.Listen does not allow to set.
func narrow(t *testing.T, backlog int) (address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file.sock")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		address, want string
		is            error
	}{
		{"127.0.0.1:1", "nobody listens on this machine: 127.0.0.1:1", ErrAbsent},
		{file, "nobody listens on this machine: " + file, ErrAbsent},
		{dir + "/no.sock", "no such socket: " + dir + "/no.sock", os.ErrNotExist},
		{"app.invalid:80", "name does not resolve: app.invalid", nil},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := At(ctx, test.address)
		cancel()
		if err == nil || err.Error() != test.want || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("error = %v, want %s", err, test.want)
		}
	}
	if _, err := Of(1 << 30); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a process that is not: %v", err)
	}
}

// A server that was replaced may still listen, without a way to it.
func TestReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.sock")
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	current, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer current.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sockets, err := At(t.Context(), path)
	if err != nil || len(sockets) != 1 || sockets[0].Waiting != 1 {
		t.Errorf("%+v, %v", sockets, err)
	}
}

func TestAmong(t *testing.T) {
	t.Parallel()
	socket := func(address string) Socket { return Socket{Address: address, bound: netip.MustParseAddrPort(address)} }
	for _, test := range []struct {
		name string
		all  []string
		ask  string
		want []string
	}{
		{"exact before all", []string{"0.0.0.0:80", "127.0.0.1:80"}, "127.0.0.1", []string{"127.0.0.1:80"}},
		{"all", []string{"0.0.0.0:80", "127.0.0.2:80"}, "127.0.0.1", []string{"0.0.0.0:80"}},
		{"IPv4 by IPv6", []string{"[::]:80"}, "127.0.0.1", []string{"[::]:80"}},
		{"IPv4 mapped", []string{"[::ffff:127.0.0.1]:80"}, "127.0.0.1", []string{"[::ffff:127.0.0.1]:80"}},
		{"IPv6 not by IPv4", []string{"0.0.0.0:80"}, "::1", nil},
		{"shared port", []string{"0.0.0.0:80", "0.0.0.0:80"}, "127.0.0.1", []string{"0.0.0.0:80", "0.0.0.0:80"}},
		{"another port", []string{"0.0.0.0:81"}, "127.0.0.1", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var all []Socket
			for _, address := range test.all {
				all = append(all, socket(address))
			}
			got := among(all, []netip.Addr{netip.MustParseAddr(test.ask)}, 80)
			if len(got) != len(test.want) {
				t.Fatalf("%v, want %v", got, test.want)
			}
			for i := range got {
				if got[i].Address != test.want[i] {
					t.Errorf("%v, want %v", got, test.want)
				}
			}
		})
	}
}

// /proc tells the same of a socket as sock_diag does.
func TestProc(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp4", "tcp6"} {
		listener, err := net.Listen(network, "localhost:0")
		if err != nil {
			continue
		}
		defer listener.Close()
		address := listener.Addr().(*net.TCPAddr).AddrPort()
		for range 2 {
			conn, err := net.Dial("tcp", address.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		var byProc []Socket
		eventually(t, "two wait", func() bool {
			var err error
			if byProc, err = listeningProc(address.Port(), errShort); err != nil || len(byProc) != 1 {
				t.Fatalf("%+v, %v", byProc, err)
			}
			return byProc[0].Waiting == 2
		})
		byDiag, err := listeningTCP(address.Port())
		if err != nil {
			t.Fatal(err)
		}
		if len(byDiag) != 1 {
			t.Fatalf("%+v", byDiag)
		}
		byDiag[0].Limit, byDiag[0].V6Only = 0, false // which /proc does not tell
		if byProc[0] != byDiag[0] {
			t.Errorf("/proc says  %+v\nsock_diag %+v", byProc[0], byDiag[0])
		}
	}
}

func TestAskRefused(t *testing.T) {
	t.Parallel()
	err := ask([]byte{255, 255, 0, 0, 0, 0, 0, 0}, func([]byte) {})
	if _, ok := errors.AsType[syscall.Errno](err); !ok {
		t.Errorf("error = %v, want one of the kernel's", err)
	}
}

func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"1400000003000200000000000000000000000000",
		"24000000020000000000000000000000feffffff4800000014000103000000000000000000000000",
	} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = messages(b, func(message []byte) {
			parseConnection(message)
			parseUnix(message)
		})
		parseConnection(b)
		parseUnix(b)
	})
}

func FuzzProc(f *testing.F) {
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:36B1 00000000:0000 0A 00000000:00000004 00:00000000 00000000     0        0 2304066 5 0 100 0 0 10 0\n")
	f.Fuzz(func(t *testing.T, table string) {
		for _, s := range parseProc(table) {
			if s.Waiting < 0 || !s.bound.IsValid() {
				t.Errorf("%+v", s)
			}
		}
	})
}
