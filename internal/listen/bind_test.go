package listen_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hale/internal/listen"
	"hale/test/servers"
)

func TestBind(t *testing.T) {
	free := servers.FreePort(t)
	for name, test := range map[string]struct{ address, want string }{
		"a port alone":     {strconv.Itoa(free), fmt.Sprintf("[::]:%d", free)},
		"with a colon":     {fmt.Sprintf(":%d", free), fmt.Sprintf("[::]:%d", free)},
		"with an address":  {fmt.Sprintf("127.0.0.1:%d", free), fmt.Sprintf("127.0.0.1:%d", free)},
		"with a name":      {fmt.Sprintf("localhost:%d", free), ""},
		"any port":         {"127.0.0.1:0", ""},
		"IPv6, in its way": {fmt.Sprintf("[::1]:%d", free), ""},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := listen.Bind(t.Context(), test.address)
			if err != nil && strings.Contains(test.address, "::1") {
				t.Skip("no IPv6 here:", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			got := ln.Addr().String()
			if test.want != "" && got != test.want && got != strings.Replace(test.want, "[::]", "0.0.0.0", 1) {
				t.Errorf("listens on %s, want %s", got, test.want)
			}
			for _, reached := range listen.Reached(ln) {
				conn, err := net.Dial("tcp", reached)
				if err != nil {
					t.Errorf("said to be reached at %s: %v", reached, err)
					continue
				}
				conn.Close()
			}
		})
	}
}

// Each fault is one line that says what to do.
func TestBindFaults(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	holder, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holder = holder[strings.LastIndex(holder, "/")+1:]
	holder = holder[:min(15, len(holder))]

	for name, test := range map[string]struct {
		address string
		want    []string
	}{
		"a port that is taken": {taken.Addr().String(), []string{
			fmt.Sprintf("%s (pid %d) has the port; ", holder, os.Getpid()), "hale listen 127.0.0.1:",
		}},
		"an address of another machine": {"192.0.2.1:8080", []string{"this machine has no such address, but 127.0.0.1", "hale listen :8080"}},
		"a name that is none":           {"no-such-host.invalid:8080", []string{"listen on no-such-host.invalid:8080: ", "write [HOST]:PORT"}},
		"no port":                       {"localhost", []string{`"localhost" is no address to listen on: write [HOST]:PORT`}},
		"a port that is none":           {":99999", []string{`":99999" is no address to listen on`}},
		"a URL":                         {"http://127.0.0.1:8080", []string{"is no address to listen on"}},
		"too many colons":               {"::1:8080", []string{"is no address to listen on"}},
		"escapes":                       {"\x1b[2J:80", []string{`"\x1b[2J:80" is no address`}},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := listen.Bind(t.Context(), test.address)
			if err == nil {
				ln.Close()
				t.Fatal("listens")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v\nwant %q", err, want)
				}
			}
		})
	}
}

// Root loses the right to low ports on a thread that ends with the test.
func TestALowPortNeedsRoot(t *testing.T) {
	start, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(start)) != "1024" {
		t.Skip("anybody may listen on low ports here")
	}
	refused := make(chan error)
	go func() {
		runtime.LockOSThread()       // never unlocked
		var none [2]unix.CapUserData // of 64 rights, two halves
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			refused <- err
			return
		}
		ln, err := listen.Bind(t.Context(), "127.0.0.1:81")
		if err == nil {
			ln.Close()
		}
		refused <- err
	}()
	const want = "listen on 127.0.0.1:81: only root may listen on so low a port; use sudo, or a port from 1024: hale listen 127.0.0.1:8080"
	if err := <-refused; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

// Instead of a port that is taken, one is proposed that is not.
func TestBindProposesAFreePort(t *testing.T) {
	for try := 1; ; try++ { // another program may take what was free
		taken, proposed := proposal(t)
		ln, err := listen.Bind(t.Context(), proposed)
		switch {
		case err == nil:
			ln.Close()
			if port := ln.Addr().(*net.TCPAddr).Port; port <= taken+1 {
				t.Errorf("port %d is proposed instead of %d and the next", port, taken)
			}
			return
		case try == 10:
			t.Fatal(err)
		}
	}
}

// proposal asks for a port that is taken, as is the next, and returns the address
// that is proposed instead.
func proposal(t *testing.T) (taken int, proposed string) {
	t.Helper()
	for {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		at := ln.Addr().(*net.TCPAddr)
		if at.Port > 65000 {
			continue
		}
		next, err := net.ListenTCP("tcp", &net.TCPAddr{IP: at.IP, Port: at.Port + 1})
		if err == nil {
			defer next.Close()
		}
		_, err = listen.Bind(t.Context(), at.String())
		if err == nil {
			t.Fatal("a port that is taken was taken")
		}
		_, proposed, _ = strings.Cut(err.Error(), "hale listen ")
		return at.Port, proposed
	}
}
