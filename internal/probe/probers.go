package probe

import (
	"crypto/tls"
	"time"
)

// Matchers that several share.
const (
	only200 = "200"
	upTo399 = "200-399"
)

// unimplemented is the gRPC status that an Application Load Balancer takes for
// success, unless told otherwise: any gRPC server answers so.
const unimplemented = "12"

// table is all probers. The facts are those of the load balancers' own
// documents, of captures and of source code; what none of them tells is in
// Unconfirmed.
var table = []Prober{
	{
		Name: "alb", Title: "AWS Application Load Balancer",
		Protocols: []Protocol{HTTP, HTTPS, H2C, H2},
		Method:    "GET", Version: "HTTP/1.1",
		Fields:  []Field{{"Host", HostField}, {"Connection", "close"}, {"User-Agent", "ELB-HealthChecker/2.0"}},
		Host:    HostUsualPort,
		Matcher: only200,
		Timing:  Timing{Interval: 30 * time.Second, Timeout: 5 * time.Second, Healthy: 5, Unhealthy: 2, First: 1},
		MinTLS:  tls.VersionTLS10, MaxTLS: tls.VersionTLS12, // ELBSecurityPolicy-2016-08
		Reasons: true,
		Unconfirmed: []string{
			"The order and case of the header's lines.",
			"Over TLS: whether it offers TLS 1.3 by now; the policy that its guide of 2023 names ends at 1.2.",
			"Whether Host has the port where it is 80 or 443: AWS documents IP:port, reports show the bare IP.",
			"Whether it sends Accept-Encoding: gzip, compressed; it is left out here.",
			"That it follows no redirect and sends no X-Forwarded-Proto: every report says so, no document does.",
			"Over HTTP/2: the probe's form for target groups of HTTP2.",
			"Over IPv6: whether Host has the address in brackets.",
		},
	},
	{
		Name: "classic", Title: "AWS Classic Load Balancer",
		Protocols: []Protocol{HTTP, HTTPS, TCP, TLS},
		Method:    "GET", Version: "HTTP/1.1",
		Fields: []Field{
			{"Host", HostField},
			{"User-Agent", "ELB-HealthChecker/1.0"},
			{"Accept", "*/*"},
			{"Connection", "keep-alive"},
		},
		Host:        HostAddress,
		Matcher:     only200,
		NeedsLength: true,
		Timing:      Timing{Interval: 30 * time.Second, Timeout: 5 * time.Second, Healthy: 10, Unhealthy: 2, First: 1},
		MinTLS:      tls.VersionTLS10, MaxTLS: tls.VersionTLS12,
		Unconfirmed: []string{
			"Host, Accept and Connection are from one capture, not from a document; older reports have no Host at all.",
			"That each probe has a connection of its own.",
			"Over TLS: the versions that it offers; TLS 1.0 to 1.2 here.",
		},
	},
	{
		Name: "nlb", Title: "AWS Network Load Balancer",
		Protocols: []Protocol{HTTP, HTTPS, TCP},
		Method:    "GET", Version: "HTTP/1.1",
		Fields:   []Field{{"Host", HostField}},
		Host:     HostNode,
		Matcher:  upTo399,
		Timing:   Timing{Interval: 30 * time.Second, Timeout: 6 * time.Second, Healthy: 5, Unhealthy: 2, First: 1},
		Timeouts: map[Protocol]time.Duration{HTTPS: 10 * time.Second, TCP: 10 * time.Second},
		MinTLS:   tls.VersionTLS10, MaxTLS: tls.VersionTLS12, // a target of TLS 1.3 alone fails
		ProxyHeader: ProxyNLB,
		OneReason:   true,
		Reasons:     true,
		Unconfirmed: []string{
			"All but Host: the version of HTTP, User-Agent, and whether there are other lines.",
			"Host is the load balancer's own IP and its listener's port; port 80, or 443 for https, is assumed here.",
		},
	},
	{
		Name: "alb-grpc", Title: "AWS Application Load Balancer, target group of gRPC",
		Protocols: []Protocol{GRPC, GRPCS},
		Path:      "/AWS.ALB/healthcheck",
		Method:    "GET", Version: "HTTP/1.1",
		Fields: []Field{
			{"Host", HostField},
			{"Content-Type", "application/grpc"},
			{"User-Agent", "ELB-HealthChecker/2.0"},
			{"TE", "trailers"},
		},
		Host:    HostUsualPort,
		Matcher: unimplemented,
		Timing:  Timing{Interval: 30 * time.Second, Timeout: 5 * time.Second, Healthy: 5, Unhealthy: 2, First: 1},
		MinTLS:  tls.VersionTLS10, MaxTLS: tls.VersionTLS12,
		Reasons: true,
		Unconfirmed: []string{
			"User-Agent and :authority, which are those of its HTTP probes here, and whether there are other fields.",
			"The message of the call; it is empty here.",
			"Over TLS: whether it offers TLS 1.3 by now; the policy that its guide of 2023 names ends at 1.2.",
			"Over IPv6: whether :authority has the address in brackets.",
		},
	},
	{
		Name: "route53", Title: "AWS Route 53 health check",
		Protocols: []Protocol{HTTP, HTTPS, TCP},
		Method:    "GET", Version: "HTTP/1.1",
		Fields: []Field{
			{"Host", HostField},
			{"User-Agent", "Amazon-Route53-Health-Check-Service (ref 01234567-89ab-cdef-0123-456789abcdef; report http://amzn.to/1vsZADi)"},
			{"Accept-Encoding", "*"},
		},
		Host:         HostURL,
		Matcher:      upTo399,
		SearchLimit:  5120,
		SearchLength: 255,
		BodySearched: true,
		Timing:       Timing{Interval: 30 * time.Second, Timeout: 8 * time.Second, Healthy: 3, Unhealthy: 3},
		Timeouts:     map[Protocol]time.Duration{TCP: 10 * time.Second},
		Phases:       Phases{Connect: 4 * time.Second, Head: 2 * time.Second, Body: 2 * time.Second},
		Resolves:     true,
		IPv4:         true,
		ServerName:   true,
		NamedByHost:  true,
		Unconfirmed: []string{
			"The order and case of the header's lines, and whether there are others.",
			"The id in User-Agent is that of your health check; the one here stands in its place.",
			"Over TLS: the versions that it offers. SNI is sent here; it can be switched off.",
		},
	},
	{
		Name: "kubelet", Title: "Kubernetes kubelet",
		Protocols: []Protocol{HTTP, HTTPS, TCP, GRPC},
		Method:    "GET", Version: "HTTP/1.1",
		Fields: []Field{
			{"Host", HostField},
			{"User-Agent", "kube-probe/1.33"},
			{"Accept", "*/*"},
			{"Connection", "close"},
		},
		GRPCFields: []Field{
			{"Host", HostField},
			{"Content-Type", "application/grpc"},
			{"User-Agent", "kube-probe/1.33"},
			{"TE", "trailers"},
		},
		Host:       HostAddressPort,
		Matcher:    upTo399,
		BodyLimit:  10 << 10,
		GRPCHealth: true,
		Timing:     Timing{Interval: 10 * time.Second, Timeout: time.Second, Healthy: 1, Unhealthy: 3, First: 1},
		Redirects:  RedirectsSameHost,
		ALPN:       []string{"h2", "http/1.1"},
		Unconfirmed: []string{
			"The version in User-Agent is your cluster's; 1.33 is written here.",
			"Over gRPC: what its library adds to User-Agent, and the field grpc-timeout, which is left out here.",
		},
	},
	{
		Name: "gcp", Title: "Google Cloud load balancer",
		Protocols: []Protocol{HTTP, HTTPS, H2, GRPC, GRPCS, TCP, TLS},
		Method:    "GET", Version: "HTTP/1.1",
		Fields: []Field{{"Host", HostField}, {"User-Agent", "GoogleHC/1.0"}},
		GRPCFields: []Field{
			{"Host", HostField},
			{"Content-Type", "application/grpc"},
			{"User-Agent", "GoogleHC/1.0"},
			{"TE", "trailers"},
		},
		Host:        HostAddress,
		Matcher:     only200,
		SearchLimit: 1024,
		GRPCHealth:  true,
		Timing:      Timing{Interval: 5 * time.Second, Timeout: 5 * time.Second, Healthy: 2, Unhealthy: 2, First: 2},
		Unconfirmed: []string{
			"The version of HTTP, the order and case of the header's lines, and whether there are others.",
			"Whether Host has a port; it is the bare IP that the probe is sent to here.",
			"Over TLS: that it does not check certificates is common report; the versions that it offers.",
			"With a PROXY header: what is in it; the connection's two ends stand there here.",
		},
	},
	{
		Name: "azure", Title: "Azure Load Balancer",
		Protocols: []Protocol{HTTP, HTTPS, TCP},
		Method:    "GET", Version: "HTTP/1.1",
		Fields:  []Field{{"Host", HostField}, {"User-Agent", "Load Balancer Agent"}},
		Host:    HostAddressPort,
		Matcher: only200,
		Timing:  Timing{Interval: 15 * time.Second, Timeout: 30 * time.Second, Healthy: 1, Unhealthy: 2, First: 1},
		Unconfirmed: []string{
			"User-Agent, the form of Host, the version of HTTP, and whether there are other lines.",
			"Over TLS: whether it checks certificates, and the versions that it offers.",
			"How many failures in a row count: that is the probe's numberOfProbes; 2 is assumed here.",
		},
	},
	{
		Name: "consul", Title: "Consul HTTP check",
		Protocols: []Protocol{HTTP, HTTPS, TCP, GRPC, GRPCS},
		Method:    "GET", Version: "HTTP/1.1",
		Fields: []Field{
			{"Host", HostField},
			{"User-Agent", "Consul Health Check"},
			{"Accept", "text/plain, text/*, */*"},
			{"Accept-Encoding", "gzip"},
			{"Connection", "close"},
		},
		GRPCFields: []Field{
			{"Host", HostField},
			{"Content-Type", "application/grpc"},
			{"TE", "trailers"},
		},
		Host:         HostURLPort,
		Matcher:      "200-299",
		Warns:        "429",
		BodyForgiven: true,
		GRPCHealth:   true,
		Timing:       Timing{Timeout: 10 * time.Second, Healthy: 1, Unhealthy: 1, First: 1},
		Redirects:    RedirectsFollowed,
		Resolves:     true,
		VerifiesTLS:  true,
		ServerName:   true,
		ALPN:         []string{"h2", "http/1.1"},
		Unconfirmed: []string{
			"Over gRPC: User-Agent and grpc-timeout, which are left out here.",
		},
	},
	{
		Name: "haproxy", Title: "HAProxy with option httpchk",
		Protocols: []Protocol{HTTP, HTTPS, TCP},
		Method:    "OPTIONS", Version: "HTTP/1.0",
		Host:        HostNone,
		Matcher:     upTo399,
		HeadEnough:  true,
		Timing:      Timing{Interval: 2 * time.Second, Timeout: 2 * time.Second, Healthy: 2, Unhealthy: 3},
		VerifiesTLS: true,
		AnyName:     true,
		ProxyHeader: ProxyLocal,
	},
	{
		Name: "nginx-plus", Title: "nginx Plus with health_check",
		Protocols: []Protocol{HTTP, HTTPS, TCP, GRPC, GRPCS},
		Method:    "GET", Version: "HTTP/1.0",
		Fields: []Field{{"Host", HostField}, {"Connection", "close"}},
		GRPCFields: []Field{
			{"Host", HostField},
			{"Content-Type", "application/grpc"},
			{"TE", "trailers"},
		},
		Host:       HostURL,
		Matcher:    upTo399,
		GRPCHealth: true,
		Timing:     Timing{Interval: 5 * time.Second, Timeout: 60 * time.Second, Healthy: 1, Unhealthy: 1},
		Resolves:   true,
		Unconfirmed: []string{
			"The version of HTTP, and User-Agent, which is left out here.",
			"The rest of the header is what proxy_set_header says at the location; nginx's defaults stand here, with the URL's host for $proxy_host.",
			"The time-outs are proxy_connect_timeout, proxy_send_timeout and proxy_read_timeout, one after the other; here 60 s are for all.",
		},
	},
	{
		Name: "docker", Title: "Docker HEALTHCHECK, ECS health check",
		Protocols: []Protocol{HTTP, HTTPS},
		Method:    "GET", Version: "HTTP/1.1",
		Fields:      []Field{{"Host", HostField}, {"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}},
		Host:        HostURL,
		Matcher:     upTo399,
		Timing:      Timing{Interval: 30 * time.Second, Timeout: 30 * time.Second, Healthy: 1, Unhealthy: 3, First: 1},
		Resolves:    true,
		VerifiesTLS: true,
		ServerName:  true,
		ALPN:        []string{"h2", "http/1.1"},
		Unconfirmed: []string{
			"Docker and ECS run a command of yours inside the container; this is what curl -f sends, and takes for success.",
		},
	},
}
