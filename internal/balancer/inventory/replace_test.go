package inventory_test

import (
	"testing"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// Who used a group that is replaced uses the new one; the inventory before is as it
// was.
func TestReplaceGroup(t *testing.T) {
	place := inventory.Place{Region: "us-east-1", Account: "000000000000"}
	web := inventory.NewGroup{Name: "web", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 80}
	e := new(inventory.Inventory).Begin(place, time.Now())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g, err := e.CreateGroup(web)
	must(err)
	b, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "site"})
	must(err)
	forward := []rule.Action{rule.ForwardTo(g.ARN)}
	l, err := e.CreateListener(b.ARN, inventory.ListenerSettings{Protocol: elb.HTTP, Port: 80, Default: forward})
	must(err)
	r, err := e.CreateRule(l.ARN, rule.Rule{Priority: 1, Conditions: []rule.Condition{{Field: rule.PathPattern, Values: []string{"/a"}}}, Actions: forward}, nil)
	must(err)
	before := e.Inventory()

	e = before.Begin(place, time.Now())
	web.Kind.Protocol = elb.HTTPS
	next, err := e.ReplaceGroup(g.ARN, web)
	must(err)
	must(e.CheckUse(next.ARN))
	after := e.Inventory()
	for _, v := range []struct {
		what string
		of   *inventory.Inventory
		want string
	}{{"before", before, g.ARN}, {"after", after, next.ARN}} {
		uses := [2]string{
			v.of.Listeners[l.ARN].Default[0].ForwardConfig.TargetGroups[0].TargetGroupArn,
			v.of.Rules[r.ARN].Actions[0].ForwardConfig.TargetGroups[0].TargetGroupArn,
		}
		if uses != [2]string{v.want, v.want} || len(v.of.Groups) != 1 || v.of.Groups[v.want] == nil {
			t.Errorf("%s: %v, want %s", v.what, uses, v.want)
		}
	}

	e = before.Begin(place, time.Now())
	web.Name = "not_a_name"
	if _, err := e.ReplaceGroup(g.ARN, web); err == nil || e.Inventory().Groups[g.ARN] == nil {
		t.Errorf("refused with %v, and the group is gone: %v", err, e.Inventory().Groups[g.ARN] == nil)
	}
	web.Name, web.Kind.Protocol = "web", elb.TCP
	next, err = e.ReplaceGroup(g.ARN, web)
	must(err)
	if e.CheckUse(next.ARN) == nil {
		t.Error("a TCP group is good for an HTTP listener")
	}
}
