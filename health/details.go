package health

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"
)

// Details is which clients may see the names and outputs of checks. Outputs can
// hold addresses, user names and versions, so the zero value is DetailsNever.
//
// DetailsLoopback and DetailsPrivate go by the client's address, and so are not
// for a server behind a proxy that hides it: one that passes on TCP connections
// in its own name, or HTTP requests without saying for whom.
type Details uint8

const (
	DetailsNever    Details = iota // nobody
	DetailsLoopback                // clients on this machine
	DetailsPrivate                 // clients with a private, link-local or loopback address
	DetailsAlways                  // everybody
)

var detailsNames = [...]string{
	DetailsNever: "never", DetailsLoopback: "loopback", DetailsPrivate: "private", DetailsAlways: "always",
}

func (d Details) String() string { return nameOf(detailsNames[:], d) }

// MarshalText implements encoding.TextMarshaler.
func (d Details) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText accepts "never", "loopback", "private" and "always".
func (d *Details) UnmarshalText(b []byte) error {
	v, err := parseName[Details](detailsNames[:], string(b))
	*d = v
	return err
}

func (d Details) needsAddress() bool { return d == DetailsLoopback || d == DetailsPrivate }

// admits reports whether a client may see details by its address alone. An
// unknown client's is the zero Addr, which is neither loopback nor private.
func (d Details) admits(client netip.Addr) bool {
	client = client.Unmap()
	switch d {
	case DetailsLoopback:
		return client.IsLoopback()
	case DetailsPrivate:
		return client.IsLoopback() || client.IsPrivate() || client.IsLinkLocalUnicast() || sharedRange.Contains(client)
	case DetailsAlways:
		return true
	default:
		return false
	}
}

// sharedRange is RFC 6598's, not routed on the internet; clouds use it for pods.
var sharedRange = netip.MustParsePrefix("100.64.0.0/10")

// sees reports whether q's client may see details.
func (h *Handler) sees(q *Query) bool {
	return h.details.admits(q.Client) || h.token != nil && h.knowsToken(q.Authorization)
}

// knowsToken compares digests, in constant time, so that neither the token nor
// its length can be learnt from how long the answer takes.
func (h *Handler) knowsToken(authorization string) bool {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	digest := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
	return subtle.ConstantTimeCompare(digest[:], h.token[:]) == 1
}

// isBearerToken reports whether s is a b64token (RFC 6750, section 2.1).
func isBearerToken(s string) bool {
	s = strings.TrimRight(s, "=")
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/", r)
	})
}

// proxied reports whether a request came through a proxy, so that its peer is
// not its client.
func proxied(h http.Header) bool {
	for _, name := range [...]string{
		"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip",
	} {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}
