package balancer

import (
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// at is a connection that has addresses, and nothing else.
type at struct {
	net.Conn
	peer, local netip.AddrPort
}

func (c at) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.peer) }
func (c at) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }

// What was shown is known as long as the connection is there, and not kept longer.
func TestShown(t *testing.T) {
	var s shown
	first := at{peer: netip.MustParseAddrPort("192.0.2.1:1000"), local: netip.MustParseAddrPort("[::ffff:127.0.0.1]:443")}
	second := at{peer: netip.MustParseAddrPort("192.0.2.1:1001"), local: first.local}
	local := netip.MustParseAddrPort("127.0.0.1:443")
	gone, held := new(tls.Config), new(tls.Config)
	s.remember(first, gone, "one")
	s.remember(second, held, "two")
	runtime.GC()
	if got := s.to(first.peer, local); got != "one" {
		t.Errorf("got %q", got)
	}
	// A later connection with the same addresses is not forgotten with the earlier one.
	again := new(tls.Config)
	s.remember(first, again, "another")
	runtime.KeepAlive(gone)
	for deadline := time.Now().Add(100 * time.Millisecond); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if got := s.to(first.peer, local); got != "another" {
			t.Fatalf("got %q", got)
		}
	}
	runtime.KeepAlive(again)
	for deadline := time.Now().Add(time.Minute); s.to(first.peer, local) != ""; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatal("a connection that has ended is remembered")
		}
	}
	if got := s.to(second.peer, local); got != "two" {
		t.Errorf("got %q", got)
	}
	runtime.KeepAlive(held)
}
