package balancer_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// A target that cannot be connected to is counted, also where another one answers
// in its place.
func TestConnectionErrorsAreCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	one, two := newApp(t, "one"), newApp(t, "two")
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.await(two.AddrPort, elb.Healthy)
	two.server.Close() // its health check says so later, perhaps
	const requests = 4
	for range requests {
		get(t, h.url)
	}
	got := h.Snapshot().Groups[0].Traffic.Total
	if got.Requests != requests || got.Target["2xx"] != requests || len(got.ELB) > 0 || got.ConnectionErrors == 0 && h.TargetHealth(h.group)[1].State == elb.Healthy {
		t.Errorf("got %+v", got)
	}
}

// A snapshot has all that goes on: rules, states, probes, and what became of
// requests.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	h.change(func(e *inventory.Edit) error {
		_, err := e.CreateRule(h.listener, rule.Rule{
			Priority:   10,
			Conditions: []rule.Condition{{Field: rule.PathPattern, Values: []string{"/closed"}}},
			Actions:    []rule.Action{{Type: rule.FixedResponse, FixedResponseConfig: &rule.FixedResponseConfig{StatusCode: "404", ContentType: "text/plain", MessageBody: "closed"}}},
		}, nil)
		return err
	})
	one, two := newApp(t, "one"), newApp(t, "two")
	two.health.Store(500)
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.await(two.AddrPort, elb.Unhealthy)
	began := time.Now()
	for range 3 {
		get(t, h.url)
	}
	get(t, h.url+"/closed")

	s := h.Snapshot()
	if len(s.LoadBalancers) != 1 || len(s.Groups) != 1 {
		t.Fatalf("%d load balancers, %d groups", len(s.LoadBalancers), len(s.Groups))
	}
	lb, g := s.LoadBalancers[0], s.Groups[0]
	if l := lb.Listeners[0]; lb.Name != "site" || !l.Listening || len(l.Addresses) != 1 || len(l.Rules) != 2 ||
		l.Rules[0].Priority != "10" || !slices.Equal(l.Rules[0].If, []string{"path is /closed"}) || l.Rules[0].Then != "answer 404: closed" ||
		l.Rules[1].Priority != "default" || l.Rules[1].Then != "forward to blue" || !slices.Equal(l.Rules[1].Groups, []string{"blue"}) {
		t.Errorf("load balancer %+v", lb)
	}
	if got := lb.Traffic.Total; got.Requests != 3 || got.Target["2xx"] != 3 || got.ELB["4xx"] != 1 {
		t.Errorf("traffic of the load balancer: %+v", got)
	}
	if got := g.Traffic.Total; got.Requests != 3 || got.Target["2xx"] != 3 || got.ELB["4xx"] != 0 {
		t.Errorf("traffic of the group: %+v", got)
	}
	if g.LoadBalancer != "site" || g.States[elb.Healthy] != 1 || g.States[elb.Unhealthy] != 1 || g.FailOpen ||
		g.HealthCheck != "HTTP /health each 5s, time-out 2s, healthy after 2, unhealthy after 2, wants 200" {
		t.Errorf("group %+v", g)
	}
	if g.Probes.Sent < 3 || g.Probes.Failed[elb.ResponseCodeMismatch] < 2 {
		t.Errorf("probes %+v", g.Probes)
	}
	sick := g.Targets[1]
	if sick.Port != int(two.Port()) || sick.Reason != elb.ResponseCodeMismatch || sick.Since.IsZero() || len(sick.Probes) < 2 ||
		sick.Probes[0].Status != 500 || sick.Probes[0].Healthy || sick.Probes[0].Reason != elb.ResponseCodeMismatch || sick.Probes[0].Because == "" {
		t.Errorf("target %+v", sick)
	}
	if well := g.Targets[0]; well.State != elb.Healthy || !well.Probes[0].Healthy || well.Probes[0].Status != 200 {
		t.Errorf("target %+v", well)
	}

	// As JSON it comes back as it was, but for what JSON has not.
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again balancer.Snapshot
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if again.Groups[0].Targets[1].Reason != sick.Reason || again.Groups[0].Traffic.Total.Requests != 3 {
		t.Errorf("as JSON: %s", text)
	}

	from, to := began.Add(-time.Hour).Truncate(time.Minute), time.Now().Add(time.Minute)
	if got := h.LoadBalancerCounts(h.loadBalancer, from, to); got.Requests != 3 || got.ELB[4] != 1 || got.Took.Count != 3 {
		t.Errorf("counts of the load balancer: %+v", got)
	}
	if got := h.GroupCounts(h.group, from, to); got.Requests != 3 {
		t.Errorf("counts of the group: %+v", got)
	}
	if got := h.GroupHosts(h.group, from, to); got.Healthy.Max != 1 || got.Unhealthy.Max != 1 || got.Healthy.Time == 0 {
		t.Errorf("hosts: %+v", got)
	}
	if got := h.GroupCounts("none", from, to); got.Requests != 0 {
		t.Errorf("counts of no group: %+v", got)
	}
}
