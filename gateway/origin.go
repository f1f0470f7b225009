package gateway

import (
	"net/netip"
	"slices"
	"strings"
)

// origin is where a request came from.
type origin struct {
	client    netip.Addr
	scheme    string
	requestID string // "" if none was sent that can be kept

	// clientText is client, as X-Forwarded-For has it if it has it in
	// canonical form; chain is what X-Forwarded-For shall say before the peer.
	clientText string
	chain      []string

	host, port string // X-Forwarded-Host and -Port as a trusted peer sent them
	peer       netip.Addr
}

// origin reads where a request came from, from what a trusted peer says about
// it, else from the connection.
func (g *Gateway) origin(r *Request, h *head, peer netip.Addr, trusted bool) origin {
	o := origin{client: peer, peer: peer, scheme: "http"}
	if r.TLS {
		o.scheme = "https"
	}
	if !trusted {
		return o
	}
	if id := h.only(fieldRequestID); saneID(id) {
		o.requestID = id
	}
	o.host, o.port = h.last(fieldForwardedHost), h.last(fieldForwardedPort)
	proto := h.last(fieldForwardedProto)
	o.chain = h.values[fieldForwardedFor]
	if h.has(fieldForwarded) && (proto == "" || len(o.chain) == 0) {
		f := parseForwarded(h.values[fieldForwarded])
		if proto == "" {
			proto = f.proto
		}
		if len(o.chain) == 0 {
			o.chain = f.chain
		}
		if o.host == "" {
			o.host = f.host
		}
	}
	// The proxy's word goes before our own TLS: one that encrypts its way to
	// us may still have been asked over plain http.
	switch {
	case strings.EqualFold(proto, "https"), strings.EqualFold(proto, "wss"):
		o.scheme = "https"
	case strings.EqualFold(proto, "http"), strings.EqualFold(proto, "ws"):
		o.scheme = "http"
	}
	for _, line := range o.chain {
		if !printable(line) {
			o.chain = nil
			break
		}
	}
	g.findClient(&o)
	return o
}

// findClient goes from the peer towards the client for as long as it meets
// trusted proxies. It stops before what is no address ("unknown"), since
// nobody can tell who wrote what stands before it.
func (g *Gateway) findClient(o *origin) {
	for _, line := range slices.Backward(o.chain) {
		for rest := line; rest != ""; {
			var node string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, node = rest[:comma], trim(rest[comma+1:])
			} else {
				rest, node = "", trim(rest)
			}
			if node == "" {
				continue
			}
			a, text := parseNode(node)
			if !a.IsValid() {
				return
			}
			o.client, o.clientText = a, text
			if !g.trusts(a) {
				return
			}
		}
	}
}

// parseNode parses an address as proxies write it: 1.2.3.4, 1.2.3.4:5678,
// ::1, [::1], [::1]:80. It returns the address's text too if s holds it in
// canonical form. An invalid address means that s is none.
func parseNode(s string) (a netip.Addr, text string) {
	name, port := s, ""
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return netip.Addr{}, ""
		}
		name, port = s[1:end], s[end+1:]
	} else if colon := strings.IndexByte(s, ':'); colon >= 0 && strings.IndexByte(s[colon+1:], ':') < 0 {
		name, port = s[:colon], s[colon:]
	}
	if port != "" && (port[0] != ':' || !isNodePort(port[1:])) {
		return netip.Addr{}, ""
	}
	a, err := netip.ParseAddr(name)
	if err != nil {
		return netip.Addr{}, ""
	}
	if a.Is4() {
		return a, name // there is one way to write an IPv4 address
	}
	return plainAddr(a), ""
}

// isNodePort tells whether s is digits or an obfuscated port (RFC 7239, 6.2).
func isNodePort(s string) bool {
	if !strings.HasPrefix(s, "_") {
		return isDigits(s)
	}
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return true
}

// printable tells whether s is visible ASCII, spaces and tabs.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}
