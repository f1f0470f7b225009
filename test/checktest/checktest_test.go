package checktest_test

import (
	"net"
	"testing"

	"hale/checks"
	"hale/checks/tcp"
	"hale/test/checktest"
	"hale/test/servers"
)

// A check that is known to be good passes the table.
func TestFaults(t *testing.T) {
	address := servers.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	servers.Run(t, servers.Spec{
		Name:    "redis-server",
		Args:    []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()},
		Listens: []string{address},
	})
	ping := func(address string) checks.Check {
		return &tcp.Check{Address: address, Send: "PING\r\n", Expect: "+PONG"}
	}
	checktest.Target{Address: address, New: ping}.Faults(t)
	checktest.Soak(t, ping(address), nil)
}
