package tcp_test

import (
	"testing"

	"hale/checks"
	"hale/checks/tcp"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestCommonFaults(t *testing.T) {
	address := echoServer(t)
	checktest.Target{
		Address: address,
		New: func(address string) checks.Check {
			return &tcp.Check{Address: address, Send: "ping", Expect: "ping"}
		},
		Connections: func() int { return servers.Connections(t, address) },
	}.Faults(t)
}

func TestSoak(t *testing.T) {
	proxy := servers.Proxy(t, echoServer(t))
	checktest.Soak(t, &tcp.Check{Address: proxy.Address(), Send: "x", Expect: "x"}, proxy.Open)
}
