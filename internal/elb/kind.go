package elb

// Kind is what a target group is made for. It decides which load balancer can
// use the group, and what its health check may be.
type Kind struct {
	Protocol Protocol
	// Version is of HTTP, for a group of an Application Load Balancer; empty:
	// HTTP1.
	Version Version
	// Targets is what is registered; empty: instances.
	Targets TargetType
}

// Protocol is what a group speaks with its targets, or its health check with
// them (ELBv2 API, ProtocolEnum).
type Protocol string

// Protocols. A health check speaks one of the first three.
const (
	HTTP    Protocol = "HTTP"
	HTTPS   Protocol = "HTTPS"
	TCP     Protocol = "TCP"
	TLS     Protocol = "TLS"
	UDP     Protocol = "UDP"
	TCPUDP  Protocol = "TCP_UDP"
	QUIC    Protocol = "QUIC"
	TCPQUIC Protocol = "TCP_QUIC"
	GENEVE  Protocol = "GENEVE"
)

// Protocols returns all protocols.
func Protocols() []Protocol {
	return []Protocol{HTTP, HTTPS, TCP, TLS, UDP, TCPUDP, QUIC, TCPQUIC, GENEVE}
}

// Version is the version of HTTP that a group speaks with its targets.
type Version string

// Versions.
const (
	HTTP1 Version = "HTTP1"
	HTTP2 Version = "HTTP2"
	GRPC  Version = "GRPC"
)

// TargetType is what is registered with a group (ELBv2 API, TargetTypeEnum).
type TargetType string

// Target types.
const (
	Instances TargetType = "instance"
	Addresses TargetType = "ip"
	Lambda    TargetType = "lambda"
	Balancers TargetType = "alb" // an Application Load Balancer behind a Network Load Balancer
)

// Balancer is a type of load balancer (ELBv2 API, LoadBalancerTypeEnum).
type Balancer string

// Load balancers. That API does not know the classic one.
const (
	Application Balancer = "application"
	Network     Balancer = "network"
	Gateway     Balancer = "gateway"
	Classic     Balancer = "classic"
)

// Balancer returns which load balancer a group of this kind is for.
func (k Kind) Balancer() Balancer {
	switch {
	case k.Protocol == GENEVE:
		return Gateway
	case k.Protocol == HTTP || k.Protocol == HTTPS || k.Targets == Lambda:
		return Application
	default:
		return Network
	}
}

// Title is the name that people know.
func (b Balancer) Title() string {
	switch b {
	case Network:
		return "Network Load Balancer"
	case Gateway:
		return "Gateway Load Balancer"
	case Classic:
		return "Classic Load Balancer"
	default:
		return "Application Load Balancer"
	}
}
