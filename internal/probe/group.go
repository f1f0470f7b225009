package probe

import (
	"context"
	"fmt"
	"net/netip"

	"hale/internal/elb"
)

// ProberOf returns the name of who probes the targets of a group, in the table
// of probers. For a Gateway Load Balancer, whose probe is not documented, it is
// the nearest.
func ProberOf(k elb.Kind) string {
	switch {
	case k.Balancer() != elb.Application:
		return "nlb"
	case k.Version == elb.GRPC:
		return "alb-grpc"
	default:
		return "alb"
	}
}

// ForGroup returns the probe that a prober, usually ProberOf's, sends to an address
// (host:port) for a target group. The node is the load balancer's own address and
// listener's port, for those that send it as Host; the zero value: as in
// Options. ProxyProtocol is 2 where the group has it on, else 0.
func ForGroup(ctx context.Context, name string, k elb.Kind, check elb.HealthCheck, address string, proxyProtocol int, node netip.AddrPort) (Probe, error) {
	prober, ok := Find(name)
	if !ok {
		return Probe{}, fmt.Errorf("no prober %s", name)
	}
	o := Options{Timeout: check.Timeout, ProxyProtocol: proxyProtocol, NodeAddress: node}
	if check.Protocol != elb.TCP {
		o.Path = check.Path
		if name == ProberOf(k) { // another's success is its own
			o.Matcher = check.Matcher
		}
	}
	p, err := New(ctx, prober, schemeOf(k, check, prober)+"://"+address, o)
	if err != nil {
		return Probe{}, fmt.Errorf("the probe for %s: %w", address, err)
	}
	return p, nil
}

// schemeOf is the URL's for a health check's protocol.
func schemeOf(k elb.Kind, check elb.HealthCheck, prober *Prober) string {
	secure := check.Protocol == elb.HTTPS
	switch {
	case check.Protocol == elb.TCP:
		return string(TCP)
	case k.Version == elb.GRPC && secure:
		return string(GRPCS)
	case k.Version == elb.GRPC:
		return string(GRPC)
	case k.Version == elb.HTTP2 && secure && prober.Speaks(H2):
		return string(H2)
	case k.Version == elb.HTTP2 && !secure && prober.Speaks(H2C):
		return string(H2C)
	case secure:
		return string(HTTPS)
	default:
		return string(HTTP)
	}
}
