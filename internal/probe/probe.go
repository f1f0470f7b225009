package probe

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"hale/internal/elb"
)

// Probe is one health request: a prober's form, filled in for one target. It
// is a value; an experiment is a copy with one thing changed.
type Probe struct {
	Prober   *Prober
	Protocol Protocol
	// Address is the IP and port that is dialled; Source the local address
	// that the connection comes from (the zero value: the kernel's choice).
	Address netip.AddrPort
	Source  netip.Addr
	// Name is the host of the URL as given; equal to the address where that
	// was an IP.
	Name string
	// Method, Path (with query) and Version make the request line.
	Method, Path, Version string
	// Host overrides what the prober's form makes; NoHost leaves the line out.
	Host   string
	NoHost bool
	// Fields is the rest of the header, in order and case; a field with the
	// value HostField stands where Host goes.
	Fields []Field
	// ServerName is sent as SNI; empty: none. MaxTLS caps the version (0: none).
	ServerName string
	MaxTLS     uint16
	// ProxyProtocol is the version of the PROXY header that goes first, 1 or
	// 2; 0: none.
	ProxyProtocol int
	// Timeout is for the whole exchange, from the dialling to the body's end.
	Timeout time.Duration
	// Matcher is the codes that pass; empty: the prober's.
	Matcher string
	// Service is what a gRPC call asks for: /package.Service/Method.
}

// Send sends the probe once, on a connection of its own, and judges the answer.
func (p Probe) Send(ctx context.Context) Answer { panic("not yet") }

// With returns the probe with a field of the header set: in its place where it
// stands already, else at the end.
func (p Probe) With(name, value string) Probe { panic("not yet") }

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

// Answer is what came back, and what the prober makes of it.
type Answer struct {
	Outcome Outcome
	// Err is the cause, where there was no whole answer.
	Err error
	// Sent and Received are the bytes on the connection (inside TLS),
	// Received up to 64 KiB. For HTTP/2 they are frames.
	Sent, Received []byte
	// Proto ("HTTP/1.1"), Status, Header (in order and case), Body (the first
	// 64 KiB, decoded from chunks) and BodySize are of the last answer;
	// GRPC is the gRPC status, -1: none.
	Proto    string
	Status   int
	Header   []Field
	Body     []byte
	BodySize int64
	GRPC     int
	// TLS is the connection's state after a handshake.
	TLS *tls.ConnectionState
	// Times are measured from the start of each phase.
	Times Times
	// Followed are the answers 3xx that were followed, first to last.
	Followed []Answer
	// Healthy is the prober's verdict on this one probe; Reason and
	// Description are why not, in ELB's words.
	Healthy     bool
	Reason      elb.Reason
	Description string
}

// Times are how long each phase took; zero for one that was not reached.
type Times struct {
	Resolve, Connect, TLS, FirstByte, Body, Total time.Duration
}

// Get returns the first value of a header field, "" if it has none.
func (a *Answer) Get(name string) string { panic("not yet") }
