package targetgroup_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr("10.0.1.23")
	tcp := elb.Kind{Protocol: elb.TCP, Targets: elb.Addresses}
	for _, test := range []struct {
		name  string
		group targetgroup.Group
		want  probe.Probe // the fields that are compared
		as    string
	}{
		{
			"an ALB's",
			targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTPS}, HealthCheck: elb.HealthCheck{Path: "/health?deep=1", Matcher: "200,204", Timeout: 3 * time.Second}},
			probe.Probe{Protocol: probe.HTTP, Path: "/health?deep=1", Matcher: "200,204", Timeout: 3 * time.Second},
			"alb",
		},
		{
			"an ALB's over TLS",
			targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTPS}, HealthCheck: elb.HealthCheck{Protocol: elb.HTTPS}},
			probe.Probe{Protocol: probe.HTTPS, Path: "/", Matcher: "200", Timeout: 5 * time.Second},
			"alb",
		},
		{
			"an ALB's to a group of HTTP/2",
			targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTP, Version: elb.HTTP2}},
			probe.Probe{Protocol: probe.H2C, Path: "/", Matcher: "200", Timeout: 5 * time.Second},
			"alb",
		},
		{
			"an ALB's to a group of HTTP/2 over TLS",
			targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTPS, Version: elb.HTTP2}, HealthCheck: elb.HealthCheck{Protocol: elb.HTTPS}},
			probe.Probe{Protocol: probe.H2, Path: "/", Matcher: "200", Timeout: 5 * time.Second},
			"alb",
		},
		{
			"an ALB's of gRPC",
			targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTP, Version: elb.GRPC}},
			probe.Probe{Protocol: probe.GRPC, Path: "/AWS.ALB/healthcheck", Matcher: "12", Timeout: 5 * time.Second},
			"alb-grpc",
		},
		{
			"an ALB's of gRPC over TLS",
			targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTPS, Version: elb.GRPC}, HealthCheck: elb.HealthCheck{Protocol: elb.HTTPS, Path: "/grpc.health.v1.Health/Check", Matcher: "0"}},
			probe.Probe{Protocol: probe.GRPCS, Path: "/grpc.health.v1.Health/Check", Matcher: "0", Timeout: 5 * time.Second},
			"alb-grpc",
		},
		{
			"an NLB's connection",
			targetgroup.Group{Kind: tcp},
			probe.Probe{Protocol: probe.TCP, Timeout: 10 * time.Second},
			"nlb",
		},
		{
			"an NLB's request, with its own address as Host",
			targetgroup.Group{
				Kind: tcp, HealthCheck: elb.HealthCheck{Protocol: elb.HTTP, Path: "/up"}, Attributes: map[string]string{"proxy_protocol_v2.enabled": "true"},
				Balancers: []targetgroup.Balancer{{Name: "net", Zones: []targetgroup.Zone{{Name: "a"}, {Name: "b", Node: netip.MustParseAddr("10.0.2.9")}}}},
				Routes:    []targetgroup.Route{{Balancer: "net", Port: 443}},
			},
			probe.Probe{Protocol: probe.HTTP, Path: "/up", Matcher: "200-399", Timeout: 6 * time.Second, ProxyProtocol: 2, Node: netip.MustParseAddrPort("10.0.2.9:443")},
			"nlb",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := test.group
			g.HealthCheck = g.HealthCheck.WithDefaults(g.Kind)
			p, err := g.Probe(t.Context(), targetgroup.Target{ID: "10.0.1.23", Address: address, Port: 8080, CheckPort: 8081})
			if err != nil {
				t.Fatal(err)
			}
			if p.Prober.Name != test.as || p.Address != netip.MustParseAddrPort("10.0.1.23:8081") {
				t.Errorf("%s to %v", p.Prober.Name, p.Address)
			}
			if p.Protocol != test.want.Protocol || p.Matcher != test.want.Matcher || p.Timeout != test.want.Timeout || p.ProxyProtocol != test.want.ProxyProtocol {
				t.Errorf("%s, matcher %q, time-out %v, PROXY %d; want %+v", p.Protocol, p.Matcher, p.Timeout, p.ProxyProtocol, test.want)
			}
			if test.want.Path != "" && p.Path != test.want.Path || test.want.Node.IsValid() && p.Node != test.want.Node {
				t.Errorf("path %s, node %v; want %s, %v", p.Path, p.Node, test.want.Path, test.want.Node)
			}
		})
	}
}

func TestProbeNot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		kind   elb.Kind
		target targetgroup.Target
		want   string
	}{
		{"an instance without an address", elb.Kind{Protocol: elb.HTTP}, targetgroup.Target{ID: "i-0f76fade", CheckPort: 80}, "the API tells the instance i-0f76fade, but not its address: aws ec2 describe-instances --instance-ids i-0f76fade"},
		{"a function", elb.Kind{Targets: elb.Lambda}, targetgroup.Target{ID: "arn:aws:lambda:x"}, "is a Lambda function"},
		{"a load balancer", elb.Kind{Protocol: elb.TCP, Targets: elb.Balancers}, targetgroup.Target{ID: "arn:aws:elasticloadbalancing:x"}, "is a load balancer"},
		{"no port", elb.Kind{Protocol: elb.HTTP}, targetgroup.Target{ID: "10.0.0.1", Address: netip.MustParseAddr("10.0.0.1")}, "has a port"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := targetgroup.Group{Kind: test.kind}
			if _, err := g.Probe(t.Context(), test.target); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestProbeURL(t *testing.T) {
	t.Parallel()
	g := targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTP}, Port: 8080, HealthCheck: elb.HealthCheck{Path: "/health"}.WithDefaults(elb.Kind{Protocol: elb.HTTP})}
	override := g
	override.HealthCheck.Port = 8081
	nothing := g
	nothing.Port, nothing.HealthCheck.Protocol = 0, elb.HTTPS
	for _, test := range []struct {
		group                  targetgroup.Group
		address, dialled, path string
	}{
		{g, "10.0.1.23", "10.0.1.23:8080", "/health"},
		{g, "http://10.0.1.23/", "10.0.1.23:8080", "/health"},
		{g, "http://10.0.1.23:9000", "10.0.1.23:9000", "/health"},
		{g, "http://10.0.1.23:9000/up?x=1", "10.0.1.23:9000", "/up?x=1"},
		{g, "[fd00::1]:9000", "[fd00::1]:9000", "/health"},
		{override, "http://10.0.1.23", "10.0.1.23:8081", "/health"},
		{nothing, "10.0.1.23", "10.0.1.23:443", "/health"},
	} {
		p, err := test.group.ProbeURL(t.Context(), test.address)
		if err != nil || p.Address.String() != test.dialled || p.Path != test.path {
			t.Errorf("%s: %v %s, want %s %s; %v", test.address, p.Address, p.Path, test.dialled, test.path, err)
		}
	}
	for _, none := range []string{"", "http://", "http://[::1", "http:///x"} {
		if _, err := g.ProbeURL(t.Context(), none); err == nil {
			t.Errorf("%q is taken", none)
		}
	}
}
