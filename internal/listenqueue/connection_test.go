package listenqueue

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Connections tells how much came over each, by what the kernel counts.
func TestConnections(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen(network, "localhost:0")
			if err != nil {
				t.Skip(err)
			}
			defer listener.Close()
			silent, talking := dial(t, listener), dial(t, listener)
			for range 2 {
				conn, err := listener.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			if _, err := talking.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			at := listener.Addr().(*net.TCPAddr).AddrPort()
			var byDiag map[netip.AddrPort]Connection
			for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(time.Millisecond) {
				byDiag = inbound(t, at, Connections)
				if byDiag[own(talking)].Received == 5 {
					break
				}
			}
			if len(byDiag) != 2 {
				t.Fatalf("%+v, want two connections", byDiag)
			}
			if c := byDiag[own(silent)]; c.Received != 0 || c.State != Established || c.Inode == 0 {
				t.Errorf("who is silent: %+v", c)
			}
			if c := byDiag[own(talking)]; c.Received != 5 || c.State != Established {
				t.Errorf("who sent five bytes: %+v", c)
			}
			byProc := inbound(t, at, func() ([]Connection, error) { return connectionsProc(errShort) })
			for remote, c := range byDiag {
				c.Received = -1
				if byProc[remote] != c {
					t.Errorf("/proc says  %+v\nsock_diag %+v", byProc[remote], c)
				}
			}
			talking.Close()
			for start := time.Now(); ; time.Sleep(time.Millisecond) {
				if c := inbound(t, at, Connections)[own(talking)]; c.State == CloseWait {
					break
				} else if time.Since(start) > 10*time.Second {
					t.Fatalf("whom the client closed: %+v, want CLOSE-WAIT", c)
				}
			}
		})
	}
}

func dial(t *testing.T, listener net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func own(conn net.Conn) netip.AddrPort { return conn.LocalAddr().(*net.TCPAddr).AddrPort() }

// inbound returns the connections to an address by who made them.
func inbound(t *testing.T, at netip.AddrPort, ask func() ([]Connection, error)) map[netip.AddrPort]Connection {
	t.Helper()
	all, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[netip.AddrPort]Connection)
	for _, c := range all {
		if c.Local == at {
			found[c.Remote] = c
		}
	}
	return found
}

func TestV6Only(t *testing.T) {
	t.Parallel()
	only, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		t.Skip(err)
	}
	defer only.Close()
	both, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for listener, want := range map[net.Listener]bool{only: true, both: false} {
		at := listener.Addr().(*net.TCPAddr).AddrPort()
		i := slices.IndexFunc(all, func(s Socket) bool { return s.Bound() == at })
		if i < 0 || all[i].Limit == 0 {
			t.Fatalf("%v is not among %+v", at, all)
		}
		if all[i].V6Only != want {
			t.Errorf("%v: V6Only = %v, want %v", at, all[i].V6Only, want)
		}
		if got := among(all, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, at.Port()); (len(got) == 0) != want {
			t.Errorf("127.0.0.1 comes to %v", got)
		}
	}
}

func FuzzConnections(f *testing.F) {
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:36B1 0100007F:D431 01 00000000:00000004 00:00000000 00000000     0        0 2304066 5 0 100 0 0 10 0\n")
	f.Fuzz(func(t *testing.T, table string) {
		for _, c := range parseConnections(table) {
			if !c.Local.IsValid() || !c.Remote.IsValid() || c.State.String() == "" {
				t.Errorf("%+v", c)
			}
		}
	})
}
