package gateway

import (
	"math/bits"
	"net/textproto"
	"strings"
)

// edit makes the edits of a request that is forwarded.
func (g *Gateway) edit(d *Decision, r *Request, h *head, o *origin, asked host) {
	if h.has(fieldConnection) {
		h.addListed()
	}
	e := edits{set: make([]Field, 0, 6)}
	for f := fieldUnknown + 1; f <= lastOwn; f++ {
		e.remove(h, f)
	}
	if d.WebSocket = isWebSocket(r, h); d.WebSocket {
		e.put(h, fieldConnection, "Upgrade")
		e.put(h, fieldUpgrade, "websocket")
	}
	if h.has(fieldTE) {
		// "trailers" is the one member that concerns the app too: gRPC
		// servers ask for it.
		if h.lists(fieldTE, "trailers") {
			e.put(h, fieldTE, "trailers")
		} else {
			e.remove(h, fieldTE)
		}
	}

	chain := forwardedForOf(o)
	client := o.clientText
	switch {
	case client != "":
	case len(o.chain) == 0:
		client = chain // of one address, the peer's
	case d.Client.IsValid():
		client = d.Client.String()
	}
	e.put(h, fieldForwardedFor, chain)
	e.put(h, fieldRealIP, client)
	e.put(h, fieldForwardedProto, d.Scheme)
	name, port := r.Host, asked.port
	if believed := g.believedHost(o, d.Scheme); believed.name != "" {
		name, port = o.host, believed.port
	}
	e.put(h, fieldForwardedHost, name)
	e.put(h, fieldForwardedPort, publicPort(o.port, port, d.Scheme))
	e.put(h, fieldRequestID, d.RequestID)
	d.Set, d.Remove = e.set, h.removed(e.removed)
}

// edits collects edits, leaving out those that would change nothing. It does
// not hold the head that it compares with: that would move it to the heap.
type edits struct {
	set     []Field
	removed uint32 // a bit for each field
}

// put makes value the only one of a field; "" means no such field.
func (e *edits) put(h *head, f field, value string) {
	if value == "" {
		e.remove(h, f)
		return
	}
	e.removed &^= 1 << f
	if v := h.values[f]; len(v) != 1 || v[0] != value || h.atRisk&(1<<f) != 0 {
		e.set = append(e.set, Field{fieldNames[f], value})
	}
}

func (e *edits) remove(h *head, f field) {
	if h.has(f) {
		e.removed |= 1 << f
	}
}

// removed lists the names of known fields, a bit for each, and strange ones.
func (h *head) removed(known uint32) []string {
	n := bits.OnesCount32(known)
	switch {
	case n == 0:
		return h.strange
	case n == 1 && len(h.strange) == 0: // mostly Connection: keep-alive
		i := bits.TrailingZeros32(known)
		return fieldNames[i : i+1 : i+1]
	}
	names := make([]string, 0, n+len(h.strange))
	for known != 0 {
		names = append(names, fieldNames[bits.TrailingZeros32(known)])
		known &= known - 1
	}
	return append(names, h.strange...)
}

// forwardedForOf is the X-Forwarded-For for the app: what is known from a
// trusted peer, and the peer.
func forwardedForOf(o *origin) string {
	if len(o.chain) == 0 {
		if !o.peer.IsValid() {
			return ""
		}
		return o.peer.String()
	}
	var buf [128]byte
	b := buf[:0]
	for _, line := range o.chain {
		b = appendElement(b, line)
	}
	if o.peer.IsValid() {
		b = append(b, ", "...)
		b = o.peer.AppendTo(b)
	}
	return string(b)
}

func appendElement(b []byte, s string) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	return append(b, s...)
}

// believedHost is the host in a trusted peer's X-Forwarded-Host, if it is
// allowed. It has to be, since load balancers that do not write this header
// pass it on as the user wrote it (AWS's do), and apps make links of it.
func (g *Gateway) believedHost(o *origin, scheme string) host {
	if o.host == "" {
		return host{}
	}
	h, ok := parseHost(o.host)
	if !ok || !g.hosts.allow(h, scheme) {
		return host{}
	}
	return h
}

// isWebSocket tells whether a request asks for the WebSocket protocol, and so
// that nothing else can be meant (RFC 6455, 4.1; RFC 9110, 7.8).
func isWebSocket(r *Request, h *head) bool {
	return r.Method == "GET" && (r.Proto == "HTTP/1.1" || r.Proto == "") &&
		h.lists(fieldUpgrade, "websocket") && h.lists(fieldConnection, "upgrade") &&
		!h.has(fieldTransferEncoding) && (h.only(fieldContentLength) == "0" || !h.has(fieldContentLength))
}

// publicPort is the port that the client asked at: the one that a trusted peer
// told, else the host's, else the scheme's.
func publicPort(told, ofHost, scheme string) string {
	if _, ok := parsePort(told); ok {
		return told
	}
	switch {
	case ofHost != "":
		return ofHost
	case scheme == "https":
		return "443"
	}
	return "80"
}

// addListed adds to the strange fields those that Connection lists, which are
// meant for this connection alone (RFC 9110, 7.6.1). Fields that the rules know
// are not among them, so that nobody can have those taken out; since engines
// remove what Connection lists too, they are noted to be at risk.
func (h *head) addListed() {
	for _, v := range h.values[fieldConnection] {
		for v != "" {
			var name string
			name, v, _ = strings.Cut(v, ",")
			name = trim(name)
			if name == "" || strings.EqualFold(name, "keep-alive") || strings.EqualFold(name, "close") {
				continue
			}
			name = textproto.CanonicalMIMEHeaderKey(name)
			if plain, _ := checkFieldName(name); !plain {
				continue
			}
			if f := identify(name); f != fieldUnknown {
				h.atRisk |= 1 << f
			} else {
				h.strange = append(h.strange, name)
			}
		}
	}
}
