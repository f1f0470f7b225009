package machine

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

// As the kernel of a machine with little-endian words writes them.
const (
	tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
`
	tcp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0000000000000000 100 0 0 10 0
`
)

func TestListeningInTables(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, table string
		port        uint16
		inode       string
	}{
		{"of all addresses", tcpTable, 8080, "4711"},
		{"of another port", tcpTable, 22, "4712"},
		{"of version 6", tcp6Table, 8080, "4714"},
		{"nobody", tcpTable, 49153, ""},
		{"nonsense", "a\nb c d e f g h i j k", 8080, ""},
	} {
		got := listening(test.table, test.port)
		if test.inode == "" && len(got) == 0 {
			continue
		}
		if len(got) != 1 || got[0].inode != test.inode {
			t.Errorf("%s: %v, want %s alone", test.name, got, test.inode)
		}
	}
}

// TestListensItself: in our own network, a process sees what we listen on, and
// nothing of that is elsewhere.
func TestListensItself(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	p, err := Inspect(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	if v4, v6, err := p.Listens(port); err != nil || !v4 || v6 {
		t.Errorf("%v, %v, %v", v4, v6, err)
	}
	elsewhere, err := ListenersElsewhere(port)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range elsewhere {
		if p.PID == os.Getpid() {
			t.Error("we are not elsewhere")
		}
	}
}
