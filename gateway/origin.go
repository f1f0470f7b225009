package gateway

import (
	"net/netip"
	"slices"
	"strings"
)

// origin is where a request came from.
type origin struct {
	client    netip.Addr // invalid if nobody knows
	scheme    string
	requestID string // "" if none was sent that can be kept

	// clientText is client, as X-Forwarded-For has it if it has it in
	// canonical form; chain is what X-Forwarded-For shall say before the peer:
	// nothing, or addresses, perhaps with unknownNode before them.
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
	// A trusted peer that names nobody asks for itself: a load balancer's
	// probe, or somebody on this machine.
	if len(o.chain) > 0 {
		g.followChain(&o)
	}
	return o
}

// unknownNode stands in a chain for whoever asked when nobody knows who that
// was (RFC 7239, 6.2). Without it, the next proxy would pass for the client:
// apps take the first address of X-Forwarded-For, or the last that they do not
// trust.
const unknownNode = "unknown"

// followChain goes from the peer towards the client for as long as it meets
// trusted proxies, and finds the client there. It cuts off the chain at the
// first element, from the peer's side, that is no address: nobody can tell who
// wrote what stands before it. If that is before the client has been found,
// nobody knows the client: it is surely not the last proxy.
func (g *Gateway) followChain(o *origin) {
	lines, found := o.chain, false
	o.client = netip.Addr{}
	for i, line := range slices.Backward(lines) {
		for end := len(line); end >= 0; {
			start := strings.LastIndexByte(line[:end], ',') + 1
			if node := trim(line[start:end]); node != "" {
				a, text := parseNode(node)
				if !a.IsValid() {
					o.cut(i, line[min(end+1, len(line)):], found)
					return
				}
				if !found {
					o.client, o.clientText, found = a, text, !g.trusts(a)
				}
			}
			end = start - 1
		}
	}
	if !o.client.IsValid() { // empty elements only
		o.cut(len(lines)-1, "", false)
	}
}

// cut drops what stands in the chain before rest, the end of the line with the
// given index. Unless the client has been found, it is unknown.
func (o *origin) cut(line int, rest string, found bool) {
	var kept []string // not in place: the lines are the request's
	if !found {
		o.client, o.clientText = netip.Addr{}, ""
		kept = append(kept, unknownNode)
	}
	if rest = strings.Trim(rest, ", \t"); rest != "" {
		kept = append(kept, rest)
	}
	o.chain = append(kept, o.chain[line+1:]...)
}

// parseNode parses an address as proxies write it: 1.2.3.4, 1.2.3.4:5678,
// ::1, [::1], [::1]:80. It returns the address's text too if s holds it in
// canonical form. An invalid address means that s is none.
func parseNode(s string) (a netip.Addr, text string) {
	name, port := s, ""
	if strings.HasPrefix(s, "[") {
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
	if err != nil || a.Zone() != "" && !saneID(a.Zone()) {
		return netip.Addr{}, "" // a zone may hold any bytes
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
