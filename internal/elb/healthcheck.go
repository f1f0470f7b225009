package elb

import (
	"cmp"
	"fmt"
	"time"
)

// HealthCheck is the settings of a target group's health check. A field that is
// zero stands for ELB's default; WithDefaults puts it in.
type HealthCheck struct {
	// Disabled is possible for groups of Lambda functions alone, and their
	// default.
	Disabled bool
	Protocol Protocol
	// Port is asked instead of the port that the target takes traffic on; 0:
	// the same.
	Port int
	// Path and Matcher are of HTTP and HTTPS. The matcher holds status codes
	// ("200,202", "200-299"), for a group of version GRPC its status codes.
	Path, Matcher string
	// Interval lies between the starts of two probes, Timeout is for a whole
	// one.
	Interval, Timeout time.Duration
	// Healthy and Unhealthy are how many passes or failures in a row turn the
	// verdict. A new target needs one pass.
	Healthy, Unhealthy int
}

// defaults is a row of ELB's defaults and limits: intervals and time-outs in
// seconds. Source: the guides "Health checks for your target groups" of the
// three load balancers, and the ELBv2 API, CreateTargetGroup and Matcher.
//
// For HTTP groups the API's page has a time-out of 6 s, for HTTPS 10 s; the
// guide of Application Load Balancers has 5 s for both, and so do their users.
type defaults struct {
	protocol           Protocol
	port               int
	interval, timeout  int
	healthy, unhealthy int
	matcher            string
	lowest, highest    int // status codes that a matcher may hold
}

var (
	ofApplication = defaults{HTTP, 0, 30, 5, 5, 2, "200", 200, 499}
	ofGRPC        = defaults{HTTP, 0, 30, 5, 5, 2, "12", 0, 99}
	ofLambda      = defaults{HTTP, 0, 35, 30, 5, 5, "200", 200, 499}
	ofNetwork     = defaults{TCP, 0, 30, 10, 5, 2, "200-399", 200, 599} // 6 s for HTTP
	ofBalancers   = defaults{HTTP, 0, 30, 6, 5, 2, "200-399", 200, 599}
	ofGateway     = defaults{TCP, 80, 10, 5, 5, 2, "200-399", 200, 399}
)

// Limits of every group: seconds, and answers in a row.
const (
	leastInterval, mostInterval   = 5, 300
	leastTimeout, mostTimeout     = 2, 120
	leastThreshold, mostThreshold = 2, 10
	mostPath                      = 1024
)

const (
	defaultPath     = "/"
	defaultGRPCPath = "/AWS.ALB/healthcheck"
	networkHTTP     = 6 * time.Second
)

func (k Kind) defaults() defaults {
	switch {
	case k.Targets == Lambda:
		return ofLambda
	case k.Targets == Balancers:
		return ofBalancers
	case k.Balancer() == Gateway:
		return ofGateway
	case k.Balancer() == Network:
		return ofNetwork
	case k.Version == GRPC:
		return ofGRPC
	default:
		return ofApplication
	}
}

// WithDefaults returns the settings with ELB's defaults for what is not set.
func (h HealthCheck) WithDefaults(k Kind) HealthCheck {
	d := k.defaults()
	h.Protocol = cmp.Or(h.Protocol, d.protocol)
	h.Port = cmp.Or(h.Port, d.port)
	timeout := time.Duration(d.timeout) * time.Second
	if k.Balancer() == Network && h.Protocol == HTTP {
		timeout = networkHTTP
	}
	h.Interval = cmp.Or(h.Interval, time.Duration(d.interval)*time.Second)
	h.Timeout = cmp.Or(h.Timeout, timeout)
	h.Healthy = cmp.Or(h.Healthy, d.healthy)
	h.Unhealthy = cmp.Or(h.Unhealthy, d.unhealthy)
	if h.asksHTTP() {
		path := defaultPath
		if k.Version == GRPC {
			path = defaultGRPCPath
		}
		h.Path = cmp.Or(h.Path, path)
		h.Matcher = cmp.Or(h.Matcher, d.matcher)
	}
	return h
}

func (h HealthCheck) asksHTTP() bool { return h.Protocol == HTTP || h.Protocol == HTTPS }

// Clock returns when the check asks.
func (h HealthCheck) Clock() Clock {
	return Clock{Interval: h.Interval, Timeout: h.Timeout, Healthy: h.Healthy, Unhealthy: h.Unhealthy, First: 1}
}

// Fault is a setting that ELB does not take. Setting is its name in the API.
type Fault struct {
	Setting, Problem string
}

func (f Fault) Error() string { return f.Setting + " " + f.Problem }

// Faults returns what ELB would refuse of the settings of a group of kind k, in
// the sense of its own errors. Settings that it has taken have none.
func (h HealthCheck) Faults(k Kind) []Fault {
	h = h.WithDefaults(k)
	var faults []Fault
	add := func(setting, format string, args ...any) {
		faults = append(faults, Fault{setting, fmt.Sprintf(format, args...)})
	}
	seconds := func(setting string, d time.Duration, least, most int) {
		switch {
		case d%time.Second != 0:
			add(setting, "%v is not a whole number of seconds", d)
		case d < time.Duration(least)*time.Second || d > time.Duration(most)*time.Second:
			add(setting, "%d is not between %d and %d", d/time.Second, least, most)
		}
	}
	balancer := k.Balancer()
	switch {
	case h.Disabled && k.Targets != Lambda:
		add("HealthCheckEnabled", "false is possible for targets of type lambda alone")
	case h.Protocol != HTTP && h.Protocol != HTTPS && h.Protocol != TCP:
		add("HealthCheckProtocol", "%s is none that health checks speak: HTTP, HTTPS or TCP", h.Protocol)
	case h.Protocol == TCP && (balancer == Application || k.Targets == Balancers):
		add("HealthCheckProtocol", "TCP is not possible for a group of protocol %s with targets of type %s: HTTP or HTTPS", cmp.Or(k.Protocol, HTTP), cmp.Or(k.Targets, Instances))
	}
	if h.Port < 0 || h.Port > 65535 {
		add("HealthCheckPort", "%d is neither traffic-port nor between 1 and 65535", h.Port)
	}
	seconds("HealthCheckIntervalSeconds", h.Interval, leastInterval, mostInterval)
	seconds("HealthCheckTimeoutSeconds", h.Timeout, leastTimeout, mostTimeout)
	switch {
	case balancer == Application && h.Timeout >= h.Interval:
		add("HealthCheckTimeoutSeconds", "%d is not smaller than HealthCheckIntervalSeconds %d", h.Timeout/time.Second, h.Interval/time.Second)
	case h.Timeout > h.Interval:
		add("HealthCheckTimeoutSeconds", "%d is greater than HealthCheckIntervalSeconds %d", h.Timeout/time.Second, h.Interval/time.Second)
	}
	for _, threshold := range []struct {
		setting string
		count   int
	}{{"HealthyThresholdCount", h.Healthy}, {"UnhealthyThresholdCount", h.Unhealthy}} {
		if threshold.count < leastThreshold || threshold.count > mostThreshold {
			add(threshold.setting, "%d is not between %d and %d", threshold.count, leastThreshold, mostThreshold)
		}
	}
	if h.asksHTTP() {
		faults = append(faults, h.requestFaults(k)...)
	} else if h.Matcher != "" {
		add("Matcher", "%s is of no use: a health check of protocol %s sees no status", h.Matcher, h.Protocol)
	}
	return faults
}

// requestFaults are those of the path and the matcher.
func (h HealthCheck) requestFaults(k Kind) []Fault {
	var faults []Fault
	switch {
	case h.Path[0] != '/':
		faults = append(faults, Fault{"HealthCheckPath", fmt.Sprintf("%q does not begin with /", h.Path)})
	case len(h.Path) > mostPath:
		faults = append(faults, Fault{"HealthCheckPath", fmt.Sprintf("is longer than %d characters", mostPath)})
	}
	setting := "Matcher.HttpCode"
	if k.Version == GRPC {
		setting = "Matcher.GrpcCode"
	}
	d := k.defaults()
	switch codes, err := ParseMatcher(h.Matcher); {
	case err != nil:
		faults = append(faults, Fault{setting, err.Error()})
	case codes.Lowest() < d.lowest || codes.Highest() > d.highest:
		faults = append(faults, Fault{setting, fmt.Sprintf("%s is not within %d-%d, the codes that a health check may have there", h.Matcher, d.lowest, d.highest)})
	case k.Balancer() == Gateway && h.Matcher != d.matcher:
		faults = append(faults, Fault{setting, fmt.Sprintf("%s is not %s, the only one that a %s has", h.Matcher, d.matcher, Gateway.Title())})
	}
	return faults
}
