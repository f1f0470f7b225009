package elb_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
)

// healths are made by name: h healthy, u unhealthy, i initial, r being
// registered, d draining, n not in use, g gone, x health checks disabled, v
// unhealthy.draining, e the load balancer's error.
func healths(names string) []elb.Member {
	members := make([]elb.Member, 0, len(names))
	for _, name := range names {
		members = append(members, elb.Member{Health: map[rune]elb.TargetHealth{
			'h': {State: elb.Healthy},
			'u': {State: elb.Unhealthy, Reason: elb.Timeout},
			'i': {State: elb.Initial, Reason: elb.InitialHealthChecking},
			'r': {State: elb.Initial, Reason: elb.RegistrationInProgress},
			'd': {State: elb.Draining, Reason: elb.DeregistrationInProgress},
			'n': {State: elb.Unused, Reason: elb.NotInUse},
			'g': elb.NotRegisteredHealth(),
			'x': {State: elb.Unavailable, Reason: elb.HealthCheckDisabled},
			'v': {State: elb.UnhealthyDraining},
			'e': {State: elb.Unavailable, Reason: elb.InternalError},
		}[name]})
	}
	return members
}

func TestRoute(t *testing.T) {
	t.Parallel()
	alb := elb.GroupRulesOf(elb.Kind{Protocol: elb.HTTP}, nil, nil)
	nlb := elb.GroupRulesOf(elb.Kind{Protocol: elb.TCP}, nil, elb.Attributes{"load_balancing.cross_zone.enabled": "true"})
	classic := elb.GroupRules{Balancer: elb.Classic}
	count := func(n int) elb.GroupRules {
		return elb.GroupRules{Balancer: elb.Application, Routing: elb.Minimum{Count: n}}
	}
	share := func(n int) elb.GroupRules {
		return elb.GroupRules{Balancer: elb.Application, Routing: elb.Minimum{Count: 1, Percentage: n}}
	}
	for _, test := range []struct {
		name    string
		rules   elb.GroupRules
		members string
		want    string // those of them that take traffic, by place: "h.h"
		open    bool
	}{
		{"healthy ones take traffic", alb, "huhi", "h.h.", false},
		{"without a healthy one, all do", alb, "uuu", "uuu", true},
		{"without a verdict is not healthy", alb, "iur", "iur", true},
		{"the first verdict ends it", alb, "ihr", ".h.", false},
		{"draining and unused ones never take part", alb, "udngu", "u...u", true},
		{"healthy ones alone, beside draining ones", alb, "dhd", ".h.", false},
		{"nothing but draining ones is nothing", alb, "dd", "..", false},
		{"nobody", alb, "", "", false},
		{"an empty group fails open for a Network Load Balancer", nlb, "", "", true},
		{"a Network Load Balancer, too, routes to all", nlb, "uve", "uve", true},
		{"its own errors and open connections are not health", nlb, "hve", "h..", false},
		{"a Classic Load Balancer routes to none", classic, "uui", "...", false},
		{"and to the healthy", classic, "uhi", ".h.", false},
		{"a function that nobody asks is good", alb, "xu", "x.", false},
		{"as many as asked for", count(2), "hhu", "hh.", false},
		{"one less", count(3), "hhu", "hhu", true},
		{"a minimum of none is one", count(0), "uu", "uu", true},
		{"as great a share as asked for", share(50), "hu", "h.", false},
		{"a lower one", share(51), "hu", "hu", true},
		{"shares are of those registered", share(50), "hudn", "h...", false},
		{"either minimum counts", elb.GroupRules{Routing: elb.Minimum{Count: 1, Percentage: 100}}, "hhu", "hhu", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := test.rules.Route(healths(test.members), "")
			shown := []byte(strings.Repeat(".", len(test.members)))
			for _, i := range got.Targets {
				shown[i] = test.members[i]
			}
			if string(shown) != test.want || got.FailOpen != test.open {
				t.Errorf("%s of %s, fail-open %v; want %s, %v", shown, test.members, got.FailOpen, test.want, test.open)
			}
			registered := len(test.members) - strings.Count(test.members, "d") - strings.Count(test.members, "n") - strings.Count(test.members, "g")
			good := strings.Count(test.members, "h") + strings.Count(test.members, "x")
			if got.Registered != registered || got.Healthy != good {
				t.Errorf("%d registered, %d healthy; want %d, %d", got.Registered, got.Healthy, registered, good)
			}
		})
	}
}

func TestOutOfDNS(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		minimum elb.Minimum
		members string
		want    bool
	}{
		{elb.Minimum{Count: 1}, "hu", false},
		{elb.Minimum{Count: 1}, "uu", true},
		{elb.Minimum{Count: 1}, "", true},
		{elb.Minimum{}, "uu", false},
		{elb.Minimum{Count: 2}, "hu", true},
		{elb.Minimum{Percentage: 50}, "hu", false},
		{elb.Minimum{Percentage: 50}, "huu", true},
	} {
		rules := elb.GroupRules{Balancer: elb.Application, DNS: test.minimum}
		if got := rules.Route(healths(test.members), "").OutOfDNS; got != test.want {
			t.Errorf("%+v of %q: %v", test.minimum, test.members, got)
		}
	}
}

// With cross-zone load balancing off, each zone is judged by its own targets.
func TestRouteOwnZone(t *testing.T) {
	t.Parallel()
	members := healths("hudu")
	for i, zone := range []string{"a", "b", "b", ""} {
		members[i].Zone = zone
	}
	for _, test := range []struct {
		ownZone bool
		zone    string
		want    []int
		open    bool
	}{
		{false, "b", []int{0}, false},
		{true, "a", []int{0}, false},
		{true, "b", []int{1, 3}, true},
		{true, "c", []int{3}, true},
	} {
		got := elb.GroupRules{Balancer: elb.Application, OwnZone: test.ownZone}.Route(members, test.zone)
		if !slices.Equal(got.Targets, test.want) || got.FailOpen != test.open {
			t.Errorf("own zone %v, zone %s: %v, fail-open %v", test.ownZone, test.zone, got.Targets, got.FailOpen)
		}
	}
}

func TestGroupRulesOf(t *testing.T) {
	t.Parallel()
	on := elb.Attributes{"load_balancing.cross_zone.enabled": "true"}
	off := elb.Attributes{"load_balancing.cross_zone.enabled": "false"}
	one := elb.Minimum{Count: 1}
	for _, test := range []struct {
		name            string
		kind            elb.Kind
		group, balancer elb.Attributes
		want            elb.GroupRules
	}{
		{"an Application Load Balancer's defaults", elb.Kind{Protocol: elb.HTTP}, nil, nil, elb.GroupRules{Balancer: elb.Application, Routing: one, DNS: one}},
		{"its group keeps to its zones", elb.Kind{Protocol: elb.HTTP}, off, nil, elb.GroupRules{Balancer: elb.Application, Routing: one, DNS: one, OwnZone: true}},
		{"a Network Load Balancer's defaults", elb.Kind{Protocol: elb.TCP}, nil, nil, elb.GroupRules{Balancer: elb.Network, Routing: one, DNS: one, OwnZone: true}},
		{"the group asks for all zones", elb.Kind{Protocol: elb.TCP}, on, off, elb.GroupRules{Balancer: elb.Network, Routing: one, DNS: one}},
		{"the load balancer does", elb.Kind{Protocol: elb.TCP}, nil, on, elb.GroupRules{Balancer: elb.Network, Routing: one, DNS: one}},
		{"minimums", elb.Kind{Protocol: elb.HTTP}, elb.Attributes{
			"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      "2",
			"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "30",
			"target_group_health.dns_failover.minimum_healthy_targets.count":                 "off",
			"target_group_health.dns_failover.minimum_healthy_targets.percentage":            "40",
		}, nil, elb.GroupRules{Balancer: elb.Application, Routing: elb.Minimum{Count: 2, Percentage: 30}, DNS: elb.Minimum{Percentage: 40}}},
	} {
		if got := elb.GroupRulesOf(test.kind, test.group, test.balancer); got != test.want {
			t.Errorf("%s: %+v\nwant %+v", test.name, got, test.want)
		}
	}
}

// A target's way to traffic: what its events make of it, its group routes by.
func TestRouteFollowsHealth(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	rules := elb.HealthRulesOf(elb.Kind{Protocol: elb.HTTP}, elb.HealthCheck{}, nil)
	group := elb.GroupRulesOf(elb.Kind{Protocol: elb.HTTP}, nil, nil)
	var old, young elb.TargetHealth
	old = old.Register(rules, inUse, now).Probe(rules, elb.Verdict{}, now.Add(time.Second))
	young = young.Register(rules, inUse, now.Add(time.Minute))
	route := func() []int { return group.Route([]elb.Member{{Health: old}, {Health: young}}, "").Targets }
	if got := route(); !slices.Equal(got, []int{0}) {
		t.Errorf("a new target gets traffic: %v", got)
	}
	young = young.Probe(rules, elb.Verdict{}, now.Add(2*time.Minute))
	if got := route(); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("after one pass: %v", got)
	}
	old = old.Deregister(300*time.Second, now.Add(3*time.Minute))
	if got := route(); !slices.Equal(got, []int{1}) {
		t.Errorf("a draining target gets traffic: %v", got)
	}
}
