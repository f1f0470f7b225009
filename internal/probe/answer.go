package probe

import (
	"crypto/tls"
	"strings"
	"time"

	"hale/internal/elb"
)

// Outcome is how far a probe came.
type Outcome int

// Outcomes, in the order of the way.
const (
	Unresolved     Outcome = iota // the name has no address
	Unreachable                   // no route, no such host, administratively prohibited
	ConnectTimeout                // no answer to the connection attempt
	Refused                       // nobody listens
	TLSFailed                     // the handshake ended with an error
	TLSTimeout                    // the handshake did not end in time
	Empty                         // closed (FIN or RST) before any byte came
	Silent                        // connected, no byte until the time-out
	NotHTTP                       // bytes that are no HTTP answer
	HeadCut                       // closed or timed out within the head
	BodyCut                       // closed before the body's announced end
	BodyTimeout                   // the head came, the body did not end in time
	Answered                      // a whole answer
	Connected                     // what TCP and TLS probes are content with
)

// String returns the outcome as JSON names it.
func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomes) {
		return "unknown"
	}
	return outcomes[o]
}

// MarshalText writes the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

var outcomes = [...]string{
	Unresolved: "unresolved", Unreachable: "unreachable", ConnectTimeout: "connect-timeout", Refused: "refused",
	TLSFailed: "tls-failed", TLSTimeout: "tls-timeout", Empty: "closed", Silent: "silent", NotHTTP: "not-http",
	HeadCut: "head-cut", BodyCut: "body-cut", BodyTimeout: "body-timeout", Answered: "answered", Connected: "connected",
}

// Answer is what came back, and what the prober makes of it.
type Answer struct {
	Outcome Outcome
	// Err is the cause, where there was no whole answer.
	Err error
	// Sent and Received are the bytes on the connection (inside TLS), up to
	// 64 KiB each. For HTTP/2 they are frames. The first ProxyHeader bytes of
	// Sent are the PROXY protocol's.
	Sent, Received []byte
	ProxyHeader    int
	// Proto ("HTTP/1.1", "HTTP/2"), Status, Header (in order and case), Body
	// (the first 64 KiB, decoded from chunks) and BodySize are of the last
	// answer; Trailer is the fields after the body. GRPC is the gRPC status,
	// -1: none.
	Proto    string
	Status   int
	Text     string // after the status: "Not Found"
	Header   []Field
	Trailer  []Field
	Body     []byte
	BodySize int64
	GRPC     int
	// Unsized tells that the body ended with the connection alone: no
	// Content-Length, no chunks.
	Unsized bool
	// Unread tells that the body's end was not waited for: the prober had
	// enough, or there was too much of it.
	Unread bool
	// TLS is the connection's state after a handshake, or after one that
	// failed on the certificate.
	TLS *tls.ConnectionState
	// WantsCertificate tells that the target asked for a client certificate. A
	// prober has none.
	WantsCertificate bool
	// Times are measured from the start of each phase.
	Times Times
	// Followed are the answers 3xx that were followed, first to last.
	Followed []Answer
	// Healthy is the prober's verdict on this one probe; Reason and
	// Description are why not, in ELB's words. Because is why not, or why
	// only with a warning, in a few plain words; empty for a plain pass.
	Healthy     bool
	Reason      elb.Reason
	Description string
	Because     string
}

// Times are how long each phase took; zero for one that was not reached.
// FirstByte is from the request's first byte to the answer's, Body from there
// to the end. Total is all but Resolve, which is done once, when a probe is
// made.
type Times struct {
	Resolve, Connect, TLS, FirstByte, Body, Total time.Duration
}

// Get returns the first value of a header field, "" if it has none.
func (a *Answer) Get(name string) string {
	value, _ := first(a.Header, name)
	return value
}

// sized tells whether the head says how long the body is (RFC 9112, 6.3).
func (a *Answer) sized() bool {
	_, length := first(a.Header, "Content-Length")
	_, coded := first(a.Header, "Transfer-Encoding")
	return length && !coded
}

// Warned tells whether the probe passed with a warning; Because says which.
func (a *Answer) Warned() bool { return a.Healthy && a.Because != "" }

func first(fields []Field, name string) (value string, ok bool) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// values returns all values of a field.
func values(fields []Field, name string) []string {
	var all []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}
