package proxy

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"

	"hale/internal/upstream"
)

// A Policy decides what becomes of each request; the Engine does it. Its
// methods are called by many goroutines at once.
//
// A policy knows a request by its Head and owes nothing to the server that
// read it, so that it can be tested as a table and the server be changed.
type Policy interface {
	// Decide says what to do with a request. It does not wait for anything.
	Decide(*Head) Action

	// Done is told what came of the action, once for each try. Returning true
	// asks for another try of a Forward, at the upstream that Done may have
	// changed in the action; the engine makes it only if Outcome.CanRetry.
	Done(*Head, *Action, *Outcome) (again bool)
}

// An ErrorPolicy is a Policy that words the engine's own answers: to requests
// that are refused, and in place of an answer that no upstream gave.
type ErrorPolicy interface {
	Policy

	// Page returns what to answer with instead of the engine's page of that
	// status. err is why, an *Error, or nil for a method that the engine does not
	// support. It is asked before Done is. Of a request that was no valid one,
	// the Head has Peer, Local, ConnID, TLS, Handshake and Start alone, and the
	// Action is Refused.
	Page(h *Head, a *Action, status int, err error) Page
}

// Page is an answer of the engine's own.
type Page struct {
	Status int
	Reason string      // the phrase in the status line; empty is the usual one
	Header http.Header // names in canonical form; may be shared: nobody changes it
	Body   []byte
}

// An AnswerPolicy is a Policy that sees the head of an upstream's answer before
// the client does.
type AnswerPolicy interface {
	Policy

	// Answered may change the action's Append, Drop and Response. It is not
	// asked about interim answers, nor about the engine's own.
	Answered(h *Head, a *Action, status int, header Header)
}

// Head is the part of a request that a policy sees. It is valid until Done
// returns false.
type Head struct {
	Method   string
	Host     string // the Host field, or the authority of an absolute target (they never differ); may have a port
	Path     string // escaped, as sent; "*" for OPTIONS *
	RawQuery string // without the question mark

	// ForceQuery says that the target ends with a question mark and nothing after it.
	ForceQuery bool

	Proto  string // "HTTP/1.0", "HTTP/1.1" or "HTTP/2.0"
	Header Header // without Host and Transfer-Encoding

	// Chunked says that the body comes in chunks, which is all that a
	// Transfer-Encoding can say here.
	Chunked bool

	Peer  netip.AddrPort // zero if it came over a unix socket
	Local netip.AddrPort // the address it came in at; zero likewise
	TLS   bool           // whether it came over TLS

	// ConnID numbers the clients' connections of this process, from 1; 0 is
	// unknown.
	ConnID uint64

	// Handshake is what was agreed on when the connection began: version, cipher,
	// server name. Nil without TLS. Nobody changes it.
	Handshake *tls.ConnectionState

	Start time.Time // when the head was complete; of one that was Refused, when its first byte came, or its turn did
}

// Header gives access to a request's header fields. Names in canonical form
// ("X-Forwarded-For") are found fastest.
type Header interface {
	Get(name string) string // the first value, or ""
	Values(name string) []string

	// Each calls f with each field's name and values. A name may come more
	// than once, and in any case. The slices are valid until Done returns.
	Each(f func(name string, values []string))

	// Len and At give the same, value by value, at no cost.
	Len() int
	At(i int) (name, value string)
}

// Field is one header field. It is no type of its own, so that a policy's rules
// can make the same without knowing this package.
type Field = struct{ Name, Value string }

// Kind is what an Action does.
type Kind uint8

const (
	Answer  Kind = iota + 1 // answer with Status, Header, Response and Body
	Forward                 // send it to Upstream

	// Refused is no action a policy takes: Done gets it for what was no valid
	// request, and was answered so. Its Head has Peer, Local and Start alone.
	Refused
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Answer:
		return "answer"
	case Forward:
		return "forward"
	case Refused:
		return "refused"
	default:
		return "none"
	}
}

// Action is what to do with a request.
type Action struct {
	Kind Kind

	// What to Answer with. A Status of 0 means 200. Header and Body may be
	// shared with other answers: nobody changes them. The Header, its names in
	// canonical form, may have a Content-Length, where HEAD is answered with no
	// Body for one.
	Status int
	Reason string // the phrase in the status line; empty is the usual one
	Header http.Header
	Body   []byte

	// The upstream to Forward to, and the edits of the request's header: Remove
	// first, then Set, which replaces all fields of that name. Names may be in
	// any case; a Host in Set changes the Host. The fields of one connection
	// alone (RFC 9110, 7.6.1) never get through, and names with an underscore do
	// with Settings.Underscores alone; Set may put them back, but not those that
	// frame a message. What Remove and Set name is dropped from trailers too.
	Upstream upstream.Upstream
	Set      []Field
	Remove   []string

	// Target is the path and query to ask for, escaped, in place of the
	// request's own; empty: as sent.
	Target string

	// Owns reports whether a header field, its name in canonical form, is the
	// policy's alone to set, whether or not this action does. Remove and Set see
	// to those of the header; trailers come when the action is long decided, and
	// none of that name gets through. Nil is none. It is called by another
	// goroutine, until Done.
	Owns func(name string) bool

	// Upgrade is the protocol ("websocket") that the connection may change to
	// if the client asks for it. Without it, or if the client asks for others
	// alone, the request goes on as one that asks for none (RFC 9110, 7.8).
	Upgrade string

	// Client is whom the app is to take for the client, and Scheme what by
	// ("https" or "http"): uwsgi has variables for them. The zero values mean
	// the peer and http.
	Client netip.Addr
	Scheme string

	// Response fields are added to the answer, whoever gives it, unless it has
	// fields of that name already.
	Response []Field

	// Drop names fields of an upstream's answer that the client does not get;
	// Append are fields that it gets besides the answer's own, as Set-Cookie for
	// one. Neither concerns the engine's own answers.
	Drop   []string
	Append []Field

	// Close makes the answer the last one on the client's connection.
	Close bool

	// RequestID is shown on the engine's own pages, such as 502.
	RequestID string

	// Data is the policy's own, to be found again in Done.
	Data any
}

// Outcome is what came of an action, or of one try of it.
type Outcome struct {
	// Status is the status that the client is or will be answered with: 101
	// for an upgrade, 499 if it left before there was one.
	Status int

	BytesIn  int64 // of the request's body that were read
	BytesOut int64 // of the answer's body that were written; for an upgrade, of all that followed

	// Connect is the time that connecting took, 0 if the connection was
	// Reused; FirstByte the time until the answer's head was there, 0 if none
	// came; both counted within this try. Total is the time since Head.Start.
	Connect, FirstByte, Total time.Duration

	// The three times of a load balancer's log: from Head.Start until this try's
	// request went out, from then until the answer's head was there, and from then
	// until that began to go to the client. Each is 0 if it did not come to that.
	RequestTime, TargetTime, ResponseTime time.Duration

	// Upstream is who was asked, Try the number of this try, from 1.
	Upstream upstream.Upstream
	Try      int
	Reused   bool // the connection had carried a request before

	// Err is why there is no complete answer, nil if there is. It is an *Error.
	Err error

	// Sent says whether any byte of the request may have reached the upstream;
	// Answered whether the upstream gave a whole head; CanRetry whether
	// another try is possible: the client has seen nothing yet, and no part
	// of the body is gone.
	Sent, Answered, CanRetry bool
}
