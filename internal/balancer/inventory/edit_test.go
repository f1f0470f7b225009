package inventory

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// site is an inventory with a load balancer, a listener, a rule and two groups;
// its parts are named by their ARNs.
type site struct {
	*Inventory
	balancer, listener, rule, blue, green string
}

func begin(v *Inventory) *Edit {
	return v.Begin(Place{
		Region: "us-east-1", Account: "123456789012",
		HasCertificate: func(arn string) bool { return arn == "cert-1" || arn == "cert-2" },
		Instance:       func(id string) (netip.Addr, bool) { return netip.MustParseAddr("127.0.0.1"), id == "i-1" },
	}, noon)
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newSite(t *testing.T) site {
	t.Helper()
	e := begin(new(Inventory))
	b := must(e.CreateLoadBalancer(NewLoadBalancer{Name: "site", Scheme: Internal}))(t)
	blue := must(e.CreateGroup(NewGroup{Name: "blue", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 8000}))(t)
	green := must(e.CreateGroup(NewGroup{Name: "green", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 8000}))(t)
	l := must(e.CreateListener(b.ARN, ListenerSettings{Protocol: elb.HTTP, Port: 80, Default: []rule.Action{rule.ForwardTo(blue.ARN)}}))(t)
	r := must(e.CreateRule(l.ARN, path(10, "/api/*", rule.ForwardTo(blue.ARN)), nil))(t)
	return site{e.Inventory(), b.ARN, l.ARN, r.ARN, blue.ARN, green.ARN}
}

// absent returns an ARN like that one, of nothing.
func absent(arn string) string { return arn[:len(arn)-4] + "0000" }

func path(priority int, pattern string, action rule.Action) rule.Rule {
	return rule.Rule{Priority: priority, Conditions: []rule.Condition{{Field: rule.PathPattern, Values: []string{pattern}}}, Actions: []rule.Action{action}}
}

// What ELB refuses is refused, with its code, and leaves everything as it was.
func TestRefusals(t *testing.T) {
	http := elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}
	for _, tt := range []struct {
		name string
		edit func(*Edit, site) error
		code string
	}{
		{"a name with a space", func(e *Edit, _ site) error {
			_, err := e.CreateLoadBalancer(NewLoadBalancer{Name: "my site"})
			return err
		}, elb.CodeValidation},
		{"a name taken", func(e *Edit, _ site) error {
			_, err := e.CreateLoadBalancer(NewLoadBalancer{Name: "site", Type: elb.Network})
			return err
		}, "DuplicateLoadBalancerName"},
		{"a gateway load balancer", func(e *Edit, _ site) error {
			_, err := e.CreateLoadBalancer(NewLoadBalancer{Name: "g", Type: elb.Gateway})
			return err
		}, "InvalidConfigurationRequest"},
		{"two subnets of a zone", func(e *Edit, _ site) error {
			_, err := e.CreateLoadBalancer(NewLoadBalancer{Name: "z", Subnets: []Subnet{{ID: "subnet-a"}, {ID: "subnet-0123"}}})
			return err
		}, "InvalidConfigurationRequest"},
		{"security groups for a network load balancer without", func(e *Edit, _ site) error {
			b, err := e.CreateLoadBalancer(NewLoadBalancer{Name: "net", Type: elb.Network})
			if err != nil {
				return err
			}
			_, err = e.SetSecurityGroups(b.ARN, []string{"sg-1"})
			return err
		}, "InvalidConfigurationRequest"},
		{"a group name taken", func(e *Edit, _ site) error {
			_, err := e.CreateGroup(NewGroup{Name: "blue", Kind: http, Port: 8001})
			return err
		}, "DuplicateTargetGroupName"},
		{"a group without a protocol", func(e *Edit, _ site) error {
			_, err := e.CreateGroup(NewGroup{Name: "g", Port: 8001})
			return err
		}, elb.CodeValidation},
		{"a time-out as long as the interval", func(e *Edit, _ site) error {
			_, err := e.CreateGroup(NewGroup{Name: "g", Kind: http, Port: 80, HealthCheck: elb.HealthCheck{Interval: 5 * time.Second, Timeout: 5 * time.Second}})
			return err
		}, elb.CodeValidation},
		{"an unknown attribute", func(e *Edit, s site) error {
			_, err := e.SetGroupAttributes(s.blue, map[string]string{"stickyness.enabled": "true"})
			return err
		}, elb.CodeValidation},
		{"a group in use", func(e *Edit, s site) error { return e.DeleteGroup(s.blue) }, "ResourceInUse"},
		{"a group of another load balancer", func(e *Edit, s site) error {
			b, err := e.CreateLoadBalancer(NewLoadBalancer{Name: "other"})
			if err != nil {
				return err
			}
			_, err = e.CreateListener(b.ARN, ListenerSettings{Protocol: elb.HTTP, Port: 81, Default: []rule.Action{rule.ForwardTo(s.blue)}})
			return err
		}, "TargetGroupAssociationLimit"},
		{"a group that is not there", func(e *Edit, s site) error {
			_, err := e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTP, Port: 81, Default: []rule.Action{rule.ForwardTo(absent(s.blue))}})
			return err
		}, "TargetGroupNotFound"},
		{"a port taken", func(e *Edit, s site) error {
			_, err := e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTP, Port: 80, Default: []rule.Action{rule.ForwardTo(s.green)}})
			return err
		}, "DuplicateListener"},
		{"HTTPS without a certificate", func(e *Edit, s site) error {
			_, err := e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTPS, Port: 443, Default: []rule.Action{rule.ForwardTo(s.green)}})
			return err
		}, "CertificateNotFound"},
		{"a certificate that is not there", func(e *Edit, s site) error {
			_, err := e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTPS, Port: 443, Certificates: []string{"cert-9"}, Default: []rule.Action{rule.ForwardTo(s.green)}})
			return err
		}, "CertificateNotFound"},
		{"TCP on an application load balancer", func(e *Edit, s site) error {
			_, err := e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.TCP, Port: 81, Default: []rule.Action{rule.ForwardTo(s.green)}})
			return err
		}, "UnsupportedProtocol"},
		{"a TCP group behind HTTP", func(e *Edit, s site) error {
			g, err := e.CreateGroup(NewGroup{Name: "tcp", Kind: elb.Kind{Protocol: elb.TCP}, Port: 81})
			if err != nil {
				return err
			}
			_, err = e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTP, Port: 81, Default: []rule.Action{rule.ForwardTo(g.ARN)}})
			return err
		}, "IncompatibleProtocols"},
		{"a gRPC group behind HTTP", func(e *Edit, s site) error {
			g, err := e.CreateGroup(NewGroup{Name: "calls", Kind: elb.Kind{Protocol: elb.HTTP, Version: elb.GRPC}, Port: 81})
			if err != nil {
				return err
			}
			_, err = e.CreateRule(s.listener, path(11, "/b", rule.ForwardTo(g.ARN)), nil)
			return err
		}, "InvalidConfigurationRequest"},
		{"HTTP in place of HTTPS, with a rule for an HTTP/2 group", func(e *Edit, s site) error {
			g, err := e.CreateGroup(NewGroup{Name: "two", Kind: elb.Kind{Protocol: elb.HTTP, Version: elb.HTTP2}, Port: 81})
			if err != nil {
				return err
			}
			l, err := e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTPS, Port: 443, Certificates: []string{"cert-1"}, Default: []rule.Action{rule.ForwardTo(s.green)}})
			if err != nil {
				return err
			}
			if _, err := e.CreateRule(l.ARN, path(1, "/b", rule.ForwardTo(g.ARN)), nil); err != nil {
				return err
			}
			_, err = e.ModifyListener(l.ARN, ListenerSettings{Protocol: elb.HTTP})
			return err
		}, "InvalidConfigurationRequest"},
		{"a priority taken", func(e *Edit, s site) error {
			_, err := e.CreateRule(s.listener, path(10, "/b", rule.ForwardTo(s.green)), nil)
			return err
		}, "PriorityInUse"},
		{"a priority taken by a move", func(e *Edit, s site) error {
			r, err := e.CreateRule(s.listener, path(20, "/b", rule.ForwardTo(s.green)), nil)
			if err != nil {
				return err
			}
			_, err = e.SetPriorities(map[string]int{r.ARN: 10})
			return err
		}, "PriorityInUse"},
		{"an instance that is not there", func(e *Edit, _ site) error {
			g, err := e.CreateGroup(NewGroup{Name: "i", Kind: elb.Kind{Protocol: elb.HTTP}, Port: 81})
			if err != nil {
				return err
			}
			_, err = e.Register(g.ARN, []Target{{TargetID: TargetID{ID: "i-2"}}})
			return err
		}, "InvalidTarget"},
		{"a target that is no address", func(e *Edit, s site) error {
			_, err := e.Register(s.blue, []Target{{TargetID: TargetID{ID: "localhost"}}})
			return err
		}, elb.CodeValidation},
		{"a protected load balancer", func(e *Edit, s site) error {
			if _, err := e.SetBalancerAttributes(s.balancer, map[string]string{"deletion_protection.enabled": "true"}); err != nil {
				return err
			}
			return e.DeleteLoadBalancer(s.balancer)
		}, "OperationNotPermitted"},
		{"the default certificate's removal", func(e *Edit, s site) error {
			l, err := e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTPS, Port: 443, Certificates: []string{"cert-1"}, Default: []rule.Action{rule.ForwardTo(s.green)}})
			if err != nil {
				return err
			}
			return e.RemoveCertificates(l.ARN, []string{"cert-1"})
		}, "OperationNotPermitted"},
		{"tags of what is not there", func(e *Edit, s site) error {
			return e.AddTags([]string{s.blue, absent(s.green)}, []Tag{{"a", "b"}})
		}, "TargetGroupNotFound"},
		{"a key twice", func(e *Edit, s site) error {
			return e.AddTags([]string{s.blue}, []Tag{{"a", "b"}, {"a", "c"}})
		}, "DuplicateTagKeys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			err := tt.edit(begin(s.Inventory), s)
			refusal, ok := errors.AsType[*elb.Error](err)
			if !ok || refusal.Code != tt.code {
				t.Errorf("got %v (%+v), want the code %s", err, refusal, tt.code)
			}
		})
	}
}

// An edit that is dropped, whatever it did, leaves no trace in what it began from.
func TestEditsDoNotTouchWhatIsPublished(t *testing.T) {
	s := newSite(t)
	e := begin(s.Inventory)
	must(e.Register(s.blue, []Target{{TargetID: TargetID{"127.0.0.1", 0}}}))(t)
	must(e.SetGroupAttributes(s.blue, map[string]string{"stickiness.enabled": "true"}))(t)
	must(e.SetPriorities(map[string]int{s.rule: 99}))(t)
	if err := e.AddTags([]string{s.balancer, s.listener, s.rule, s.blue}, []Tag{{"a", "b"}}); err != nil {
		t.Fatal(err)
	}
	must(e.ModifyListener(s.listener, ListenerSettings{Port: 81, Default: []rule.Action{rule.ForwardTo(s.green)}}))(t)
	if err := e.DeleteRule(s.rule); err != nil {
		t.Fatal(err)
	}
	g, l, r := s.Groups[s.blue], s.Listeners[s.listener], s.Rules[s.rule]
	if len(g.Targets) != 0 || len(g.Attributes) != 0 || len(g.Tags) != 0 {
		t.Errorf("the group has changed: %+v", g)
	}
	if l.Port != 80 || l.Default[0].ForwardConfig.TargetGroups[0].TargetGroupArn != s.blue || len(l.Tags) != 0 {
		t.Errorf("the listener has changed: %+v", l)
	}
	if r == nil || r.Priority != 10 || len(r.Tags) != 0 {
		t.Errorf("the rule has changed: %+v", r)
	}
}

func TestCreatingTheSameAgain(t *testing.T) {
	s := newSite(t)
	e := begin(s.Inventory)
	if b := must(e.CreateLoadBalancer(NewLoadBalancer{Name: "site", Scheme: Internal}))(t); b.ARN != s.balancer {
		t.Error("a second load balancer")
	}
	if g := must(e.CreateGroup(NewGroup{Name: "blue", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 8000}))(t); g.ARN != s.blue {
		t.Error("a second group")
	}
	if l := must(e.CreateListener(s.balancer, ListenerSettings{Protocol: elb.HTTP, Port: 80, Default: []rule.Action{rule.ForwardTo(s.blue)}}))(t); l.ARN != s.listener {
		t.Error("a second listener")
	}
}

func TestDraining(t *testing.T) {
	target := func(port int) Target { return Target{TargetID: TargetID{"127.0.0.1", port}} }
	s := newSite(t)
	e := begin(s.Inventory)
	must(e.Register(s.blue, []Target{target(8001), target(8002), target(0)}))(t)
	must(e.Register(s.green, []Target{target(8001)}))(t)
	v := e.Inventory()

	e = v.Begin(Place{}, noon.Add(time.Minute))
	must(e.Deregister(s.blue, []TargetID{{"127.0.0.1", 8001}, {"127.0.0.9", 8001}}))(t)
	must(e.Deregister(s.green, []TargetID{{ID: "127.0.0.1"}}))(t)
	v = e.Inventory()
	if len(v.Groups[s.green].Targets) != 0 {
		t.Error("a target of a group without traffic is gone at once")
	}
	over := noon.Add(6 * time.Minute) // the default delay is 300 s
	if got := v.Groups[s.blue].Target(TargetID{"127.0.0.1", 8001}).Draining; got == nil || !got.Until.Equal(over) {
		t.Errorf("draining: %+v, want until %v", got, over)
	}
	if got := v.NextDrained(); !got.Equal(over) {
		t.Errorf("the next draining is over at %v, want %v", got, over)
	}

	// Deregistered again, it drains no longer than it did.
	e = v.Begin(Place{}, noon.Add(2*time.Minute))
	must(e.Deregister(s.blue, []TargetID{{"127.0.0.1", 8001}}))(t)
	if got := e.Inventory().NextDrained(); !got.Equal(over) {
		t.Errorf("the draining is over at %v, want %v", got, over)
	}
	// Registered again, it is a target like any other.
	must(e.Register(s.blue, []Target{target(8001)}))(t)
	if got := e.Inventory().NextDrained(); !got.IsZero() {
		t.Errorf("still draining until %v", got)
	}

	e = v.Begin(Place{}, over)
	e.Drained()
	if got := e.Inventory().Groups[s.blue].Targets; len(got) != 2 || got[0].Port != 8002 || got[1].Port != 8000 {
		t.Errorf("left: %+v", got)
	}
}

func TestPrioritiesChangePlaces(t *testing.T) {
	s := newSite(t)
	e := begin(s.Inventory)
	second := must(e.CreateRule(s.listener, path(20, "/b", rule.ForwardTo(s.green)), nil))(t)
	must(e.SetPriorities(map[string]int{s.rule: 20, second.ARN: 10}))(t)
	if rules := e.Inventory().RulesOf(s.listener); rules[0].ARN != second.ARN || rules[1].ARN != s.rule {
		t.Errorf("order: %v", rules)
	}
}

func TestDeletingALoadBalancerTakesItsPartsAlong(t *testing.T) {
	s := newSite(t)
	e := begin(s.Inventory)
	if err := e.DeleteLoadBalancer(s.balancer); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteLoadBalancer(s.balancer); err != nil {
		t.Errorf("gone already: %v", err)
	}
	if v := e.Inventory(); len(v.Listeners)+len(v.Rules) != 0 || len(v.Groups) != 2 {
		t.Errorf("left: %+v", v)
	}
	if err := e.DeleteGroup(s.blue); err != nil {
		t.Errorf("the group is free now: %v", err)
	}
}
