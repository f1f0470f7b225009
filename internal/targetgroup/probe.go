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

// Prober is the name of who probes the group's targets, in the table of probers.
func (g *Group) Prober() string { return probe.ProberOf(g.Kind) }

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
	proxyProtocol := 0
	if g.Attributes["proxy_protocol_v2.enabled"] == "true" {
		proxyProtocol = 2
	}
	return probe.ForGroup(ctx, g.Prober(), g.Kind, g.HealthCheck, address, proxyProtocol, g.node())
}

// node is what a Network Load Balancer sends as Host: a node's address, and the
// port of the listener; the zero value where that is not known.
func (g *Group) node() netip.AddrPort {
	for _, b := range g.Balancers {
		i := slices.IndexFunc(b.Zones, func(z Zone) bool { return z.Node.IsValid() })
		j := slices.IndexFunc(g.Routes, func(r Route) bool { return r.Balancer == b.Name })
		if i >= 0 && j >= 0 && g.Routes[j].Port > 0 && g.Routes[j].Port <= 65535 {
			return netip.AddrPortFrom(b.Zones[i].Node, uint16(g.Routes[j].Port))
		}
	}
	return netip.AddrPort{}
}
