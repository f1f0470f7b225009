package elb_test

import (
	"strings"
	"testing"

	"hale/internal/elb"
)

func TestARNs(t *testing.T) {
	t.Parallel()
	const (
		head     = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
		balancer = head + "loadbalancer/app/site/50dc6c495c0c9188"
		listener = head + "listener/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2"
		rule     = head + "listener-rule/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"
		group    = head + "targetgroup/blue/73e2d6bc24d8a067"
	)
	if got := elb.BalancerARN("eu-west-1", "123456789012", elb.Application, "site", elb.ID(0x50dc6c495c0c9188)); got != balancer {
		t.Error(got)
	}
	if got := elb.GroupARN("eu-west-1", "123456789012", "blue", "73e2d6bc24d8a067"); got != group {
		t.Error(got)
	}
	if got := elb.ListenerARN(balancer, "f2f7dc8efc522ab2"); got != listener {
		t.Error(got)
	}
	if got := elb.RuleARN(listener, "9683b2d02a6cabee"); got != rule {
		t.Error(got)
	}
	for _, test := range []struct {
		arn       string
		kind      elb.ARNKind
		balancer  elb.Balancer
		name      string
		dimension string
	}{
		{balancer, elb.ARNBalancer, elb.Application, "site", "app/site/50dc6c495c0c9188"},
		{listener, elb.ARNListener, elb.Application, "site", "app/site/50dc6c495c0c9188"},
		{rule, elb.ARNRule, elb.Application, "site", "app/site/50dc6c495c0c9188"},
		{group, elb.ARNGroup, "", "blue", "targetgroup/blue/73e2d6bc24d8a067"},
		{head + "loadbalancer/net/tcp/0000000000000001", elb.ARNBalancer, elb.Network, "tcp", "net/tcp/0000000000000001"},
		{head + "loadbalancer/gwy/g/0000000000000001", elb.ARNBalancer, elb.Gateway, "g", "gwy/g/0000000000000001"},
		{strings.Replace(group, "arn:aws:", "arn:aws-cn:", 1), elb.ARNGroup, "", "blue", "targetgroup/blue/73e2d6bc24d8a067"},
	} {
		a, err := elb.ParseARN(test.arn)
		if err != nil || a.Kind != test.kind || a.Balancer != test.balancer || a.Name != test.name || a.Dimension() != test.dimension {
			t.Errorf("%s: %+v, dimension %s, %v", test.arn, a, a.Dimension(), err)
		}
		if a.String() != test.arn {
			t.Errorf("%s is written as %s", test.arn, a)
		}
	}
	a, _ := elb.ParseARN(rule)
	if a.OfListener().String() != listener || a.OfBalancer().String() != balancer {
		t.Errorf("a rule's listener %s, and load balancer %s", a.OfListener(), a.OfBalancer())
	}
	for _, wrong := range []string{
		"", "arn", "blue", "arn:aws:elasticloadbalancing:eu-west-1:123456789012",
		"arn:aws:ec2:eu-west-1:123456789012:targetgroup/blue/73e2d6bc24d8a067",
		"arn:other:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/73e2d6bc24d8a067",
		"arn:aws:elasticloadbalancing::123456789012:targetgroup/blue/73e2d6bc24d8a067",
		"arn:aws:elasticloadbalancing:eu-west-1:12345678901:targetgroup/blue/73e2d6bc24d8a067",
		"arn:aws:elasticloadbalancing:eu-west-1:12345678901x:targetgroup/blue/73e2d6bc24d8a067",
		head + "targetgroup/blue", head + "targetgroup//73e2d6bc24d8a067", head + "targetgroup/blue/73E2D6BC24D8A067",
		head + "targetgroup/blue/73e2d6bc24d8a06", head + "targetgroup/blue/73e2d6bc24d8a067/x",
		head + "loadbalancer/site/50dc6c495c0c9188", head + "loadbalancer/xyz/site/50dc6c495c0c9188",
		head + "listener/app/site/50dc6c495c0c9188", head + "truststore/site/50dc6c495c0c9188",
	} {
		if a, err := elb.ParseARN(wrong); err == nil || a != (elb.ARN{}) || elb.KindOfARN(wrong) != elb.ARNOther {
			t.Errorf("%q: %+v, %v", wrong, a, err)
		}
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee")
	f.Add("arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/73e2d6bc24d8a067")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := elb.ParseARN(text); err == nil && a.String() != text {
			t.Errorf("%q is written as %q", text, a)
		}
	})
}

func TestDNSName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		balancer elb.Balancer
		internal bool
		want     string
	}{
		{elb.Application, false, "site-255.eu-west-1.elb.amazonaws.com"},
		{elb.Application, true, "internal-site-255.eu-west-1.elb.amazonaws.com"},
		{elb.Classic, true, "internal-site-255.eu-west-1.elb.amazonaws.com"},
		{elb.Network, false, "site-00000000000000ff.elb.eu-west-1.amazonaws.com"},
		{elb.Network, true, "site-00000000000000ff.elb.eu-west-1.amazonaws.com"},
	} {
		if got := elb.DNSName("eu-west-1", test.balancer, test.internal, "site", elb.ID(255)); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 33)
	for _, test := range []struct{ name, group, balancer string }{
		{"site", "", ""},
		{"a", "", ""},
		{"Site-2--b", "", ""},
		{long[1:], "", ""},
		{long, "Target group name '" + long + "' cannot be longer than '32' characters", "The load balancer name '" + long + "' cannot be longer than '32' characters"},
		{"", "Target group name '' cannot be empty", "The load balancer name '' cannot be empty"},
		{"-site", "Target group name '-site' cannot begin or end with '-'", "The load balancer name '-site' cannot begin or end with '-'"},
		{"site-", "Target group name 'site-' cannot begin or end with '-'", "The load balancer name 'site-' cannot begin or end with '-'"},
		{
			"my_site", "Target group name 'my_site' can only contain characters that are alphanumeric characters or hyphens(-)",
			"The load balancer name 'my_site' can only contain characters that are alphanumeric characters or hyphens(-)",
		},
		{
			"séjour", "Target group name 'séjour' can only contain characters that are alphanumeric characters or hyphens(-)",
			"The load balancer name 'séjour' can only contain characters that are alphanumeric characters or hyphens(-)",
		},
		{"internal-site", "", "The load balancer name 'internal-site' cannot begin with 'internal-'"},
		{"internal", "", ""},
	} {
		if got := refusal(t, elb.CheckGroupName(test.name)); got != test.group {
			t.Errorf("group %q: %q", test.name, got)
		}
		if got := refusal(t, elb.CheckBalancerName(test.name)); got != test.balancer {
			t.Errorf("load balancer %q: %q", test.name, got)
		}
	}
}
