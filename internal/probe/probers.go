package probe

import (
	"crypto/tls"
	"time"
)

// Matchers that several share.
const (
	only200    = "200"
	upTo399    = "200-399"
	twoHundred = "200-299"
)

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
		Unconfirmed: []string{
			"The order and case of the header's lines.",
			"Whether Host has the port where it is 80 or 443: AWS documents IP:port, reports show the bare IP.",
			"Whether it sends Accept-Encoding: gzip, compressed; it is left out here.",
			"That it follows no redirect and sends no X-Forwarded-Proto: every report says so, no document does.",
			"The probe's form for target groups of HTTP2.",
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
		Unconfirmed: []string{
			"All but Host: the version of HTTP, User-Agent, and whether there are other lines.",
			"Host is the load balancer's own IP and its listener's port; port 80, or 443 for https, is assumed here.",
		},
	},
}
