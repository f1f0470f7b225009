package probe

import (
	"slices"
	"time"
)

// Prober is a load balancer, seen from the instance that it asks: what it
// sends, and when it is content. Each is a row of the table in probers.go.
type Prober struct {
	// Name is what --as says: "alb", "classic", "kubelet", ...
	Name string
	// Title is the name that people know: "AWS Application Load Balancer".
	Title string
	// Protocols are what it can speak. A URL of http takes the first that is
	// plain, one of https the first over TLS.
	Protocols []Protocol
	// Path is asked for where the URL has none; empty: "/".
	Path string
	// Method, Version and Fields make the request of HTTP/1: "GET",
	// "HTTP/1.1", and the header in the order and case that goes over the
	// wire. The value HostField stands for the Host that Form makes.
	Method, Version string
	Fields          []Field
	// GRPCFields are the header of its gRPC calls; nil: Fields.
	GRPCFields []Field
	// Host tells what it puts into Host.
	Host HostForm
	// Matcher is the codes that pass by default: "200", "200-399". For gRPC
	// they are gRPC's.
	Matcher string
	// Warns are codes that pass, but with a warning; empty: none.
	Warns string
	// NeedsLength tells that an answer without Content-Length and without
	// chunks fails.
	NeedsLength bool
	// HeadEnough tells that the body is not waited for, BodyForgiven that it is,
	// but that it need not come to its end; BodySearched, that it must only where a
	// text is looked for. BodyLimit is how many bytes of it are waited for; 0: all.
	HeadEnough, BodyForgiven, BodySearched bool
	BodyLimit                              int64
	// SearchLimit is in how many bytes of the body it can look for a text;
	// 0: it cannot. SearchLength is how long that text may be; 0: any length.
	SearchLimit, SearchLength int
	// GRPCHealth tells that its gRPC call is grpc.health.v1.Health/Check, and
	// that SERVING alone passes.
	GRPCHealth bool
	// Timing is when it asks, and how often it has to hear the same thing;
	// Timeouts are those of other protocols than the first.
	Timing   Timing
	Timeouts map[Protocol]time.Duration
	// Phases are limits within the time-out.
	Phases Phases
	// Redirects tells what it makes of a 3xx.
	Redirects Redirects
	// Resolves tells that it is told a name, and looks it up itself: a name
	// without an address is then a failed check.
	Resolves bool
	// IPv4 tells that a name's IPv6 addresses are not asked.
	IPv4 bool
	// VerifiesTLS tells whether it checks the target's certificate, AnyName
	// that it does not look at the names in it.
	VerifiesTLS, AnyName bool
	// ServerName tells whether it sends SNI, the URL's host, NamedByHost that
	// SNI is what it sends as Host. ALPN is what it offers over HTTPS.
	ServerName, NamedByHost bool
	ALPN                    []string
	// MinTLS and MaxTLS are the versions that it speaks; 0: those of crypto/tls.
	MinTLS, MaxTLS uint16
	// ProxyHeader is the form of its PROXY protocol header.
	ProxyHeader ProxyForm
	// Reasons tells that it is of ELBv2, which gives the reasons that an Answer
	// has; to others they are a translation. OneReason tells that it gives
	// FailedHealthChecks for whatever failed.
	Reasons, OneReason bool
	// Unconfirmed are the parts of this row that no document and no capture
	// confirms, a sentence each. One that begins with "Over TLS: " and the like
	// is about that alone.
	Unconfirmed []string
}

// Field is one line of a header, in the case that goes over the wire.
type Field struct{ Name, Value string }

// HostField is the value in Prober.Fields that stands for the Host to send.
const HostField = "{host}"

// Timing is a health check's clock.
type Timing struct {
	// Interval is from one probe's start to the next; 0: it has no default.
	Interval, Timeout time.Duration
	// Healthy and Unhealthy are how many answers of one kind in a row turn
	// the verdict; First is how many passes a new target needs, 0 where it
	// takes traffic before it was asked.
	Healthy, Unhealthy, First int
}

// Phases are the limits of a prober that gives each phase its own: Connect is
// for the TCP connection, Head from there to the answer's head, Body from there
// to its end. Zero is no limit but the time-out.
type Phases struct{ Connect, Head, Body time.Duration }

// Protocol is what is spoken on the connection.
type Protocol string

// Protocols.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https"
	TCP   Protocol = "tcp"   // connect, no more
	TLS   Protocol = "tls"   // connect and handshake
	H2C   Protocol = "h2c"   // HTTP/2 with prior knowledge
	H2    Protocol = "h2"    // HTTP/2 over TLS
	GRPC  Protocol = "grpc"  // a unary call over h2c
	GRPCS Protocol = "grpcs" // a unary call over TLS
)

// Secure tells whether a protocol runs over TLS.
func (p Protocol) Secure() bool { return p == HTTPS || p == TLS || p == H2 || p == GRPCS }

// CallsGRPC tells whether a protocol is gRPC.
func (p Protocol) CallsGRPC() bool { return p == GRPC || p == GRPCS }

// opens tells whether a protocol is content with a connection.
func (p Protocol) opens() bool { return p == TCP || p == TLS }

// usualPort is the port that a URL of the protocol leaves out.
func (p Protocol) usualPort() uint16 {
	if p.Secure() {
		return 443
	}
	return 80
}

// HostForm is how a prober makes its Host line.
type HostForm int

// Forms of Host.
const (
	HostNone        HostForm = iota // no Host at all
	HostAddress                     // the target's IP, without the port
	HostAddressPort                 // the target's IP:port, always with the port
	HostUsualPort                   // the target's IP:port, 80 and 443 left out
	HostNode                        // the load balancer's own node: IP:listener port
	HostURL                         // host of the URL as given, 80 and 443 left out
	HostURLPort                     // host:port of the URL as given
)

// Redirects is what a prober makes of an answer 3xx.
type Redirects int

// Rules for 3xx.
const (
	RedirectsJudged   Redirects = iota // the 3xx itself is the answer
	RedirectsFollowed                  // it follows them
	RedirectsSameHost                  // it follows them on the same host name; to another, that is a success
)

// ProxyForm is what a prober writes into a PROXY protocol header.
type ProxyForm int

// Forms of a PROXY protocol header.
const (
	ProxyEnds  ProxyForm = iota // the two ends of its own connection
	ProxyLocal                  // version 2: the command LOCAL, no more; version 1 as ProxyEnds
	ProxyNLB                    // version 2: LOCAL as a Network Load Balancer writes it, 100 bytes in all; version 1 as ProxyEnds
)

// Find returns the prober that --as names.
func Find(name string) (*Prober, bool) {
	i := slices.IndexFunc(table, func(p Prober) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	p := table[i]
	return &p, true
}

// Probers returns all probers: the table.
func Probers() []Prober { return slices.Clone(table) }

// Speaks tells whether the prober can speak a protocol.
func (p *Prober) Speaks(protocol Protocol) bool { return slices.Contains(p.Protocols, protocol) }

// timeout returns the time-out for a protocol.
func (p *Prober) timeout(protocol Protocol) time.Duration {
	if d, ok := p.Timeouts[protocol]; ok {
		return d
	}
	return p.Timing.Timeout
}

// firstPlain and firstSecure return the protocol that a URL of http or https
// stands for.
func (p *Prober) firstPlain() (Protocol, bool)  { return p.first(false) }
func (p *Prober) firstSecure() (Protocol, bool) { return p.first(true) }

func (p *Prober) first(secure bool) (Protocol, bool) {
	i := slices.IndexFunc(p.Protocols, func(of Protocol) bool { return of.Secure() == secure && !of.opens() })
	if i < 0 {
		return "", false
	}
	return p.Protocols[i], true
}
