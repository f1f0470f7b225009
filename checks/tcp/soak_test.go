package tcp_test

import (
	"testing"

	"hale/checks/tcp"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestSoak(t *testing.T) {
	proxy := servers.Proxy(t, echoServer(t))
	checktest.Soak(t, &tcp.Check{Address: proxy.Address(), Send: "x", Expect: "x"}, proxy.Open)
}
