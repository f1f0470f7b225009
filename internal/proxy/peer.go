package proxy

import (
	"net"
	"net/http"
	"net/netip"

	"hale/internal/proxy/guard"
)

// peer is what is known of a client's connection.
type peer struct {
	remote, local netip.AddrPort
	conn          *guard.Conn // nil without a guard
	ended         func()      // to be called when an upgraded connection has ended; may be nil
	decided       *Action     // for the next request, if that is decided already
}

type peerKey struct{}

// peerOf returns what Server put into the connection's context, or what
// net/http has to say.
func peerOf(r *http.Request) *peer {
	if p, ok := r.Context().Value(peerKey{}).(*peer); ok {
		return p
	}
	p := new(peer)
	p.remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		p.local = addrPort(a)
	}
	return p
}

// addrPort returns a TCP address's parts, IPv4 as such; the zero value for
// others.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
