package machine

import (
	"strings"
	"testing"
)

func TestParseCounters(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]Counters{
		"TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts\nTcpExt: 0 7 9 3\nIpExt: InNoRoutes ListenDrops\nIpExt: 1 2\n": {7, 9},
		"IpExt: ListenOverflows ListenDrops\nIpExt: 1 2\nTcpExt: ListenDrops ListenOverflows\nTcpExt: 4 3\n":                           {3, 4},
	} {
		if got, ok := parseCounters(content); !ok || got != want {
			t.Errorf("%q: %+v, %v", content, got, ok)
		}
	}
	for _, content := range []string{"", "TcpExt: ListenOverflows ListenDrops\n", "TcpExt: ListenOverflows ListenDrops\nTcpExt: 1\n", "TcpExt: A\nTcpExt: 1\n", "TcpExt: ListenOverflows ListenDrops\nTcpExt: -1 x\n"} {
		if got, ok := parseCounters(content); ok {
			t.Errorf("%q is read as %+v", content, got)
		}
	}
}

func TestParseFileLimit(t *testing.T) {
	t.Parallel()
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max processes             63430                63430                processes \n" +
		"Max open files            1024                 524288               files     \n"
	if got, ok := parseFileLimit(limits); !ok || got != 1024 {
		t.Errorf("%d, %v", got, ok)
	}
	for _, content := range []string{"", "Max open files\n", "Max open files  unlimited  unlimited  files\n"} {
		if got, ok := parseFileLimit(content); ok {
			t.Errorf("%q is read as %d", content, got)
		}
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	if first, last, ok := parsePortRange("32768\t60999\n"); !ok || first != 32768 || last != 60999 {
		t.Errorf("%d to %d, %v", first, last, ok)
	}
	for _, content := range []string{"", "32768\n", "60999 32768\n", "1 65536\n", "a b\n"} {
		if first, last, ok := parsePortRange(content); ok {
			t.Errorf("%q is read as %d to %d", content, first, last)
		}
	}
	first, last, err := LocalPorts()
	if err != nil {
		t.Fatal(err)
	}
	// What the kernel chooses comes from there.
	if port := addrPort(listen(t, "tcp", "127.0.0.5:0")).Port(); port < first || port > last {
		t.Errorf("port %d is not within %d to %d", port, first, last)
	}
	if port, err := FirstUnprivilegedPort(); err != nil {
		t.Errorf("%d, %v", port, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("TcpExt: ListenOverflows ListenDrops\nTcpExt: 1 2\n")
	f.Add("Max open files            1024                 524288               files\n")
	f.Add("32768\t60999\n")
	f.Fuzz(func(t *testing.T, content string) {
		if _, ok := parseCounters(content); ok && !strings.Contains(content, "ListenDrops") {
			t.Error("counters of nothing")
		}
		parseFileLimit(content)
		if first, last, ok := parsePortRange(content); ok && first > last {
			t.Errorf("%d to %d", first, last)
		}
	})
}
