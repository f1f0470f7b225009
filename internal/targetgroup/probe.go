package targetgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"hale/internal/elb"
	"hale/internal/probe"
)

// Prober is the name of who probes the group's targets, in the table of
// probers. For a Gateway Load Balancer, whose probe is not documented, it is the
// nearest.
func (g *Group) Prober() string {
	switch {
	case g.Balancer() != elb.Application:
		return "nlb"
	case g.Version == elb.GRPC:
		return "alb-grpc"
	default:
		return "alb"
	}
}

// Probe returns what the load balancer sends to a target.
func (g *Group) Probe(ctx context.Context, t Target) (probe.Probe, error) {
	switch {
	case g.Kind.Targets == elb.Lambda:
		return probe.Probe{}, fmt.Errorf("%s is a Lambda function: it is invoked with an event, there is nothing to connect to", t.ID)
	case g.Kind.Targets == elb.Balancers:
		return probe.Probe{}, fmt.Errorf("%s is a load balancer: run the doctor with the target groups behind it", t.ID)
	case !t.Address.IsValid():
		return probe.Probe{}, fmt.Errorf("the API tells the instance %s, but not its address: %s", t.ID, addressOf(t.ID))
	case t.CheckPort == 0:
		return probe.Probe{}, fmt.Errorf("neither the group nor the target %s has a port", t.ID)
	}
	return g.probe(ctx, net.JoinHostPort(t.Address.String(), strconv.Itoa(t.CheckPort)))
}

func addressOf(id string) string {
	return fmt.Sprintf("aws ec2 describe-instances --instance-ids %s --query 'Reservations[].Instances[].PrivateIpAddress' --output text", id)
}

// ProbeURL returns what the load balancer would send to an address, which may be
// written as a URL. A port and a path in it go before the settings'.
func (g *Group) ProbeURL(ctx context.Context, address string) (probe.Probe, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return probe.Probe{}, errors.New("the URL is none: write it as http://10.0.1.5:8080/health")
	}
	check := g.HealthCheck
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		check.Path = u.RequestURI()
	}
	port := cmp.Or(u.Port(), decimal(check.Port), decimal(g.Port))
	if port == "" {
		port = "80"
		if check.Protocol == elb.HTTPS {
			port = "443"
		}
	}
	with := *g
	with.HealthCheck = check
	return with.probe(ctx, net.JoinHostPort(u.Hostname(), port))
}

func decimal(port int) string {
	if port == 0 {
		return ""
	}
	return strconv.Itoa(port)
}

func (g *Group) probe(ctx context.Context, address string) (probe.Probe, error) {
	prober, ok := probe.Find(g.Prober())
	if !ok {
		return probe.Probe{}, fmt.Errorf("no prober %s", g.Prober())
	}
	check := g.HealthCheck
	o := probe.Options{Timeout: check.Timeout}
	if check.Protocol != elb.TCP {
		o.Path, o.Matcher = check.Path, check.Matcher
	}
	if g.Attributes["proxy_protocol_v2.enabled"] == "true" {
		o.ProxyProtocol = 2
	}
	if node, ok := g.node(); ok {
		o.NodeAddress = node
	}
	p, err := probe.New(ctx, prober, g.scheme(prober)+"://"+address, o)
	if err != nil {
		return probe.Probe{}, fmt.Errorf("the probe for %s: %w", address, err)
	}
	return p, nil
}

// scheme is the URL's for the health check's protocol.
func (g *Group) scheme(prober *probe.Prober) string {
	secure := g.HealthCheck.Protocol == elb.HTTPS
	switch {
	case g.HealthCheck.Protocol == elb.TCP:
		return string(probe.TCP)
	case g.Version == elb.GRPC && secure:
		return string(probe.GRPCS)
	case g.Version == elb.GRPC:
		return string(probe.GRPC)
	case g.Version == elb.HTTP2 && secure && prober.Speaks(probe.H2):
		return string(probe.H2)
	case g.Version == elb.HTTP2 && !secure && prober.Speaks(probe.H2C):
		return string(probe.H2C)
	case secure:
		return string(probe.HTTPS)
	default:
		return string(probe.HTTP)
	}
}

// node is what a Network Load Balancer sends as Host: a node's address, and the
// port of the listener.
func (g *Group) node() (netip.AddrPort, bool) {
	for _, b := range g.Balancers {
		i := slices.IndexFunc(b.Zones, func(z Zone) bool { return z.Node.IsValid() })
		j := slices.IndexFunc(g.Routes, func(r Route) bool { return r.Balancer == b.Name })
		if i >= 0 && j >= 0 && g.Routes[j].Port > 0 && g.Routes[j].Port <= 65535 {
			return netip.AddrPortFrom(b.Zones[i].Node, uint16(g.Routes[j].Port)), true
		}
	}
	return netip.AddrPort{}, false
}
