package listen

import (
	"net/netip"
	"strings"
	"time"

	"hale/internal/probe"
)

// Visit is what a client did: a request, or a connection without one.
type Visit struct {
	// Number counts visits, Connection connections, Nth the requests on this
	// one, all from 1.
	Number, Connection, Nth int
	// Time is when its first byte came; if none did, when it connected.
	Time        time.Time
	Peer, Local netip.AddrPort
	// Waited is how long that took from the connection's beginning, or from the
	// answer before.
	Waited time.Duration
	Kind   Kind
	// Why tells how it ended, for kinds other than Whole.
	Why string
	// Proxy is the PROXY header, TLS the client's hello that came first.
	Proxy *ProxyHeader
	TLS   *Hello
	// PlainOnTLS tells that HTTP came without TLS to a port for HTTPS.
	PlainOnTLS bool
	// Request is what was asked; nil for kinds other than Whole.
	Request *Request
	// Raw is what came, after the PROXY header and inside TLS: its first 32 KiB
	// of Size bytes. HTTP/2 comes in frames.
	Raw  []byte
	Size int64
	head int // how much of Raw is the head of HTTP/1
	// Reply is what it is answered.
	Reply Reply
	// Looks are the probers that it looks like, the likeliest first; none if it
	// looks like none that is known.
	Looks    []Likeness
	Stumbles []Stumble
}

// Kind is what came.
type Kind string

// Kinds of visits.
const (
	Whole     Kind = "request"    // a whole request
	Bare      Kind = "connection" // connected and closed, without a byte
	Silent    Kind = "silence"    // connected, and said nothing
	Handshake Kind = "handshake"  // a TLS handshake, completed or not, and no request
	Foreign   Kind = "foreign"    // not HTTP
	Broken    Kind = "broken"     // begins as a PROXY header, TLS or HTTP/2 does, and is none
	Cut       Kind = "cut"        // the beginning of a request
)

// Reply is what a visit is answered; the zero value is nothing.
type Reply struct {
	Status int
	GRPC   int // the gRPC status; -1: no gRPC
	Delay  time.Duration
	// Keep tells that the connection stays open afterwards.
	Keep bool
}

// Left is how a connection ended that brought a request.
type Left struct {
	Connection int
	// Visit is the number of its last visit, Visits how many it brought.
	Visit, Visits int
	// Answered tells whether the last one was; if not, the client did not wait
	// for it.
	Answered bool
	// After is how long after the last request or, if that was answered, after
	// the answer.
	After time.Duration
	// ByUs tells that the server's patience was over; Reset that the client cut
	// the connection (RST).
	ByUs, Reset bool
}

// Request is a request as it came.
type Request struct {
	// Version is "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2" or whatever was
	// written.
	Method, Target, Version string
	// Fields are the header, in order and case; HTTP/2's begin with the
	// pseudo-fields such as ":method".
	Fields []probe.Field
	// Body is how many bytes followed.
	Body int64
	// Flaws are what is wrong in its form, each a few words.
	Flaws []string
}

// Get returns the first value of a field, and whether there is one.
func (r *Request) Get(name string) (value string, ok bool) {
	return fieldOf(r.Fields, name)
}

// Host returns the host that the request is for, and whether it names one:
// Host, or HTTP/2's :authority.
func (r *Request) Host() (host string, ok bool) {
	if r.HTTP2() {
		if host, ok := r.Get(":authority"); ok {
			return host, true
		}
	}
	return r.Get("Host")
}

// HTTP2 tells whether it came in frames.
func (r *Request) HTTP2() bool { return r.Version == http2Version }

// GRPC tells whether it is a gRPC call.
func (r *Request) GRPC() bool {
	kind, _ := r.Get("content-type")
	return r.HTTP2() && strings.HasPrefix(kind, "application/grpc")
}

// has tells whether a field lists a token, as Connection lists "close".
func (r *Request) has(name, token string) bool {
	for _, f := range r.Fields {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		for item := range strings.SplitSeq(f.Value, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}
