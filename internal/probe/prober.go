// Package probe sends health requests exactly as load balancers send them, and
// judges the answers as they do. Each load balancer is a row of one table.
package probe

import (
	"time"
)

// Prober is a load balancer, seen from the instance that it asks: what it
// sends, and when it is content. Each is a row of the table in probers.go.
type Prober struct {
	// Name is what --as says: "alb", "classic", "kubelet", ...
	Name string
	// Title is the name that people know: "AWS Application Load Balancer".
	Title string
	// Protocols are what it can speak; the first is its default for a URL
	// of http.
	Protocols []Protocol
	// Method, Version and Fields make the request of HTTP/1: "GET",
	// "HTTP/1.1", and the header in the order and case that goes over the
	// wire. The value HostField stands for the Host that Form makes.
	Method, Version string
	Fields          []Field
	// Host tells what it puts into Host.
	Host HostForm
	// Matcher is the codes that pass by default: "200", "200-399".
	Matcher string
	// Timing is when it asks, and how often it has to hear the same thing.
	Timing Timing
	// Redirects tells what it makes of a 3xx.
	Redirects Redirects
	// VerifiesTLS tells whether it checks the target's certificate.
	VerifiesTLS bool
	// Unconfirmed are the parts of this row that no document and no capture
	// confirms, a sentence each.
	Unconfirmed []string
}

// Field is one line of a header, in the case that goes over the wire.
type Field struct{ Name, Value string }

// HostField is the value in Prober.Fields that stands for the Host to send.
const HostField = "{host}"

// Timing is a health check's clock.
type Timing struct {
	Interval, Timeout time.Duration
	// Healthy and Unhealthy are how many answers of one kind in a row turn
	// the verdict; First is how many passes a new target needs.
	Healthy, Unhealthy, First int
}

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

// HostForm is how a prober makes its Host line.
type HostForm int

// Forms of Host.
const (
	HostNone         HostForm = iota // no Host at all
	HostAddress                      // the target's IP, without the port
	HostAddressPort                  // the target's IP:port, always with the port
	HostUsualPort                    // the target's IP:port, 80 and 443 left out
	HostNode                         // the load balancer's own node: IP:listener port
	HostURL                          // host of the URL as given, 80 and 443 left out
	HostURLPort                      // host:port of the URL as given
	HostLocalhostV4                  // 127.0.0.1
)

// Redirects is what a prober makes of an answer 3xx.
type Redirects int

// Rules for 3xx.
const (
	RedirectsJudged   Redirects = iota // the 3xx itself is the answer
	RedirectsFollowed                  // it follows them
	RedirectsSameHost                  // it follows them on the same host name; to another, that is a success
)
