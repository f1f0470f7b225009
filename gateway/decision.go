package gateway

import (
	"fmt"
	"net/netip"
)

// Request is the head of a request: all that a decision rests on.
type Request struct {
	Method   string
	Host     string // Host header, or the target's if it is absolute; as sent
	Path     string // of the target, escaped as sent; "*" for OPTIONS *
	RawQuery string // of the target, as sent, without the "?"
	// ForceQuery says that the target ended with a "?" and nothing after it.
	ForceQuery bool
	Proto      string // "HTTP/1.0", "HTTP/1.1", "HTTP/2.0"; "" means HTTP/1.1
	Header     Header // nil means none

	// Peer is who is at the other end of the connection; the zero value is
	// one without an address, such as on a unix socket.
	Peer netip.AddrPort
	TLS  bool // the connection is encrypted, up to this process
}

// Header is the header fields of a request.
type Header interface {
	// Each calls f with each field's name, in any case, and values. A name
	// may come more than once. The values must stay as they are until the
	// decision has been used.
	Each(f func(name string, values []string))
}

// Map is a Header whose names are in the canonical form of net/textproto.
// net/http's Header converts to it at no cost: gateway.Map(r.Header).
type Map map[string][]string

// Each implements Header.
func (m Map) Each(f func(name string, values []string)) {
	for name, values := range m {
		f(name, values)
	}
}

// Kind is what to do with a request. The zero value is Undecided.
type Kind uint8

const (
	Undecided Kind = iota
	Health         // give the health answer
	Answer         // answer with Status, Response and Body
	Redirect       // answer with Status, Location, Response and Body
	Forward        // hand on to the app, with the edits of Remove and Set
)

var kindNames = [...]string{"undecided", "health", "answer", "redirect", "forward"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("gateway.Kind(%d)", uint8(k))
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Reason is why a request was refused, as a word for logs and metrics.
type Reason string

// The reasons of an Answer.
const (
	NoHost          Reason = "no-host"          // none was named, and one is needed
	BadHost         Reason = "bad-host"         // neither a name nor an address, with or without a port
	SeveralHosts    Reason = "several-hosts"    // the head names more than one
	HostNotAllowed  Reason = "host-not-allowed" // well-formed, but not among Settings.Hosts
	BadMethod       Reason = "bad-method"       // CONNECT, TRACE, or no method at all
	BadTarget       Reason = "bad-target"       // no path, or bytes that cannot be in one
	AmbiguousLength Reason = "ambiguous-length" // where the body ends can be read in two ways
)

// Decision is what to do with a request.
type Decision struct {
	Kind     Kind
	Status   int    // of an Answer or Redirect
	Location string // of a Redirect
	Body     string // of an Answer or Redirect: one line of plain text
	Reason   Reason // of an Answer

	// Close says that the connection shall be closed after the answer, since
	// what follows on it may not be what it seems.
	Close bool

	// Client is the address of who asks. If the peer is a trusted proxy and
	// sent X-Forwarded-For (or, without it, Forwarded), it is the right-most
	// address there that is not a trusted proxy's, or the left-most if all
	// are; else it is the peer's.
	//
	// It is the zero Addr, invalid, if it is unknown: the peer has no address,
	// or what stands next to the trusted proxies is no address ("unknown",
	// bytes that nobody writes, an empty list, a Forwarded that does not
	// parse). An unknown client is to be trusted with nothing: it is surely
	// not the proxy that the request came through. The app then gets no
	// X-Real-Ip, and the word unknown in X-Forwarded-For before the proxies
	// that are known.
	Client netip.Addr

	// Scheme is "https" or "http": how the client asked.
	Scheme string

	// RequestID is the request's X-Request-Id, made anew unless a trusted
	// proxy sent a sane one. For Health it is "" unless one was sent.
	RequestID string

	// WebSocket says that the app may switch the connection to the WebSocket
	// protocol (RFC 6455). No other upgrade is ever forwarded.
	WebSocket bool

	// Remove and Set are the edits of a forwarded request's header: first all
	// fields named in Remove are taken out, then each of Set replaces all
	// fields of its name, both without regard to case. An engine that takes
	// out by itself what Connection lists does so before Set. They are not to
	// be changed, since decisions may share them.
	Remove []string
	Set    []Field

	// Response are header fields for the response. Those of a Forward are
	// defaults: each is added only if the app has not set a field of that
	// name. They are shared between decisions and not to be changed.
	Response []Field
}

// Field is a header field, its name in canonical form. It is an alias, so that
// engines can have the same type without importing this package.
type Field = struct{ Name, Value string }

// Edit applies Remove and Set to a header with canonical names, such as
// net/http's Header.
func (d *Decision) Edit(header map[string][]string) {
	for _, name := range d.Remove {
		delete(header, name)
	}
	// One backing array for all values, instead of one each.
	values := make([]string, len(d.Set))
	for i, f := range d.Set {
		values[i] = f.Value
		header[f.Name] = values[i : i+1 : i+1]
	}
}
