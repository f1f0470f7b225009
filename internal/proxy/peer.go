package proxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"

	"hale/internal/proxy/guard"
)

// peer is what is known of a client's connection.
type peer struct {
	id            uint64
	remote, local netip.AddrPort
	handshake     *tls.ConnectionState // nil without TLS
	since         time.Time            // when it was made
	server        *Server              // nil without one
	conn          *guard.Conn          // nil without a guard
	decided       *Action              // for the next request, if that is decided already
}

type peerKey struct{}

// peerOf returns what Server put into the connection's context, or what
// net/http has to say.
func peerOf(r *http.Request) *peer {
	if p, ok := r.Context().Value(peerKey{}).(*peer); ok {
		return p
	}
	p := &peer{handshake: r.TLS}
	p.remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		p.local = addrPort(a)
	}
	return p
}

// over reports whether the connection's next answer is to be its last.
func (p *peer) over(e *Engine) bool {
	if e.closing.Load() || p.server != nil && p.server.closing.Load() {
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
