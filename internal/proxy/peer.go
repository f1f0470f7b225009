package proxy

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// peer is what is known of a client's connection.
type peer struct {
	id            uint64
	remote, local netip.AddrPort
	handshake     *tls.ConnectionState // nil without TLS
	since         time.Time            // when it was made
	server        *Server
}

type peerKey struct{}

// over reports whether the connection's next answer is to be its last.
func (p *peer) over(e *Engine) bool {
	if e.closing.Load() || p.server.closing.Load() {
		return true
	}
	age := e.settings.Load().ConnAge
	return age > 0 && !p.since.IsZero() && time.Since(p.since) >= age
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
