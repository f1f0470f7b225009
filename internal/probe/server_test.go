package probe_test

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/probe"
)

// patience is the time-out of probes that are to be answered; a busy machine
// takes its time.
const patience = time.Minute

// target is a server that handles each connection with a function, and is
// stopped when the test ends. It returns the address.
func target(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, handle)
	return l.Addr().String()
}

func serve(t *testing.T, l net.Listener, handle func(net.Conn)) {
	var running sync.WaitGroup
	var open sync.Map
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(conn, true)
			running.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Range(func(conn, _ any) bool {
			conn.(net.Conn).Close()
			return true
		})
		running.Wait()
	})
}

// readRequest reads one request without a body.
func readRequest(conn net.Conn) string {
	var request strings.Builder
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		request.WriteString(line)
		if err != nil || line == "\r\n" {
			return request.String()
		}
	}
}

// says is a handler that reads a request, answers with bytes, and closes.
func says(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		io.WriteString(conn, answer)
	}
}

// holds is says, but leaves the connection open.
func holds(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		io.WriteString(conn, answer)
		io.Copy(io.Discard, conn)
	}
}

// reset closes a connection with RST.
func reset(conn net.Conn) {
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

func find(t *testing.T, name string) *probe.Prober {
	t.Helper()
	prober, ok := probe.Find(name)
	if !ok {
		t.Fatalf("no prober %q", name)
	}
	return prober
}

// filled returns a probe that has time, unless the options say otherwise.
func filled(t *testing.T, as, url string, o probe.Options) probe.Probe {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	p, err := probe.New(t.Context(), find(t, as), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func send(t *testing.T, as, url string, o probe.Options) probe.Answer {
	t.Helper()
	return filled(t, as, url, o).Send(t.Context())
}

func portOf(address string) string {
	return netip.MustParseAddrPort(address).String()[strings.LastIndexByte(address, ':')+1:]
}
