package elb_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/elb"
)

// event is something that happens to a target at a time.
type event func(h elb.TargetHealth, r elb.HealthRules, now time.Time) elb.TargetHealth

func register(s elb.Standing) event {
	return func(h elb.TargetHealth, r elb.HealthRules, now time.Time) elb.TargetHealth {
		return h.Register(r, s, now)
	}
}

func stand(s elb.Standing) event {
	return func(h elb.TargetHealth, r elb.HealthRules, now time.Time) elb.TargetHealth { return h.Stand(r, s, now) }
}

func deregister(delay time.Duration) event {
	return func(h elb.TargetHealth, _ elb.HealthRules, now time.Time) elb.TargetHealth {
		return h.Deregister(delay, now)
	}
}

func probe(times int, v elb.Verdict) event {
	return func(h elb.TargetHealth, r elb.HealthRules, now time.Time) elb.TargetHealth {
		for range times {
			h = h.Probe(r, v, now)
		}
		return h
	}
}

func pass(times int) event { return probe(times, elb.Verdict{}) }

func fail(times int) event { return probe(times, elb.Verdict{Reason: elb.Timeout}) }

func wait(h elb.TargetHealth, _ elb.HealthRules, now time.Time) elb.TargetHealth { return h.After(now) }

// with has other rules apply from now on.
func with(change func(*elb.HealthRules), e event) event {
	return func(h elb.TargetHealth, r elb.HealthRules, now time.Time) elb.TargetHealth {
		change(&r)
		return e(h, r, now)
	}
}

// String shows a health as the tables have it: state, reason, description.
func shown(h elb.TargetHealth) string {
	return strings.TrimRight(string(h.State)+" "+string(h.Reason)+" "+h.Description, " ")
}

const (
	registering = "initial Elb.RegistrationInProgress Target registration is in progress"
	checking    = "initial Elb.InitialHealthChecking Initial health checks in progress"
	timedOut    = "unhealthy Target.Timeout Request timed out"
	failedNLB   = "unhealthy Target.FailedHealthChecks Health checks failed"
	notInUse    = "unused Target.NotInUse Target group is not configured to receive traffic from the load balancer"
	zoneOff     = "unused Target.NotInUse Target is in an Availability Zone that is not enabled for the load balancer"
	draining    = "draining Target.DeregistrationInProgress Target deregistration is in progress"
	gone        = "unused Target.NotRegistered Target is not registered to the target group"
	disabled    = "unavailable Target.HealthCheckDisabled Health checks are disabled"
	internal    = "Elb.InternalError Health checks failed due to an internal error"
)

// The defaults of an Application Load Balancer: five passes, two failures.
var albRules = elb.HealthRules{Balancer: elb.Application, Healthy: 5, Unhealthy: 2, Registration: time.Second}

var inUse, unusedGroup = elb.Standing{}, elb.Standing{GroupUnused: true}

// The guides' rows, one after the other: what happens after how many seconds, and
// what DescribeTargetHealth then says.
func TestTargetHealth(t *testing.T) {
	t.Parallel()
	type step struct {
		after int // seconds since the step before
		event event
		want  string
	}
	mismatch := elb.Verdict{Reason: elb.ResponseCodeMismatch, Description: elb.Mismatch(301)}
	broken := elb.Verdict{Reason: elb.InternalError}
	nlbRules := elb.HealthRules{Balancer: elb.Network, Healthy: 2, Unhealthy: 2, Registration: time.Second}
	keepsOpen := nlbRules
	keepsOpen.UnhealthyDraining = 60 * time.Second
	lambda := elb.HealthRules{Balancer: elb.Application, Healthy: 5, Unhealthy: 5, Disabled: true}
	enabled := func(r *elb.HealthRules) { r.Disabled = false }
	for _, test := range []struct {
		name  string
		rules elb.HealthRules
		steps []step
	}{
		{"a new target is healthy after one pass, whatever the threshold", albRules, []step{
			{0, register(inUse), registering},
			{1, wait, checking},
			{4, pass(1), "healthy"},
		}},
		{"a failure before it does not matter", albRules, []step{
			{0, register(inUse), registering},
			{1, fail(1), checking},
			{5, pass(1), "healthy"},
		}},
		{"no verdict comes before the registration is done", albRules, []step{
			{0, register(inUse), registering},
			{0, pass(1), registering},
			{0, fail(2), registering},
			{1, wait, checking},
		}},
		{"a new target that fails is unhealthy when the threshold is reached", albRules, []step{
			{0, register(inUse), registering},
			{1, fail(1), checking},
			{5, fail(1), timedOut},
		}},
		{"an unhealthy target needs the whole threshold", albRules, []step{
			{0, register(inUse), registering},
			{1, fail(2), timedOut},
			{5, pass(4), timedOut},
			{5, pass(1), "healthy"},
		}},
		{"a failure between passes begins the count anew", albRules, []step{
			{0, register(inUse), registering},
			{1, fail(2), timedOut},
			{5, pass(4), timedOut},
			{5, fail(1), timedOut},
			{5, pass(4), timedOut},
			{5, pass(1), "healthy"},
		}},
		{"a healthy target is unhealthy after failures in a row", albRules, []step{
			{0, register(inUse), registering},
			{1, pass(3), "healthy"},
			{5, fail(1), "healthy"},
			{5, pass(1), "healthy"},
			{5, fail(1), "healthy"},
			{5, fail(1), timedOut},
		}},
		{"the last failure is told, with its codes", albRules, []step{
			{0, register(inUse), registering},
			{1, fail(2), timedOut},
			{5, probe(1, mismatch), "unhealthy Target.ResponseCodeMismatch Health checks failed with these codes: [301]"},
			{5, probe(1, elb.Verdict{Reason: elb.FailedHealthChecks}), failedNLB},
			{5, probe(1, broken), "unhealthy " + internal},
		}},
		{"a group that no rule uses is not probed", albRules, []step{
			{0, register(unusedGroup), notInUse},
			{5, pass(3), notInUse},
			{5, fail(3), notInUse},
			{5, stand(inUse), registering},
			{1, pass(1), "healthy"},
		}},
		{"a rule that no longer forwards to it takes the group out of use", albRules, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, stand(unusedGroup), notInUse},
			{5, stand(inUse), registering},
			{1, pass(1), "healthy"},
		}},
		{"what stands in the way, one after the other", albRules, []step{
			{0, register(elb.Standing{ZoneDisabled: true}), zoneOff},
			{1, stand(elb.Standing{ZoneDisabled: true, GroupUnused: true}), notInUse},
			{1, stand(elb.Standing{Instance: "stopped", GroupUnused: true}), "unused Target.InvalidState Target is in the stopped state"},
			{1, stand(elb.Standing{Instance: "terminated"}), "unused Target.InvalidState Target is in the terminated state"},
			{1, stand(elb.Standing{Instance: "terminated or stopped"}), "unused Target.InvalidState Target is in the terminated or stopped state"},
			{1, stand(elb.Standing{Instance: "invalid"}), "unused Target.InvalidState Target is in an invalid state"},
			{1, stand(elb.Standing{IPUnusable: true}), "unused Target.IpUnusable The IP address cannot be used as a target, as it is in use by a load balancer"},
			{1, stand(inUse), registering},
			{0, stand(inUse), registering},
		}},
		{"an instance that stops loses its verdict, and gets one anew", albRules, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, stand(elb.Standing{Instance: "stopped"}), "unused Target.InvalidState Target is in the stopped state"},
			{60, stand(inUse), registering},
			{1, fail(2), timedOut},
		}},
		{"draining shows for the whole delay, and nothing is probed", albRules, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, deregister(300 * time.Second), draining},
			{1, fail(5), draining},
			{298, wait, draining},
			{1, wait, gone},
		}},
		{"a second deregistration changes no deadline", albRules, []step{
			{0, register(inUse), registering},
			{1, deregister(30 * time.Second), draining},
			{29, deregister(30 * time.Second), draining},
			{1, wait, gone},
		}},
		{"without a delay a target is gone at once", albRules, []step{
			{0, register(inUse), registering},
			{0, deregister(0), gone},
		}},
		{"draining goes on when the group goes out of use", albRules, []step{
			{0, register(inUse), registering},
			{1, deregister(30 * time.Second), draining},
			{1, stand(unusedGroup), draining},
			{29, stand(unusedGroup), draining},
			{0, wait, gone},
			{0, stand(inUse), gone},
		}},
		{"registered again while draining, a target begins anew", albRules, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, deregister(30 * time.Second), draining},
			{5, register(inUse), registering},
			{1, fail(1), checking},
			{1, pass(1), "healthy"},
			{60, wait, "healthy"},
		}},
		{"registered again when gone, too", albRules, []step{
			{0, register(inUse), registering},
			{1, deregister(0), gone},
			{1, register(inUse), registering},
		}},
		{"registered again while registered, nothing happens", albRules, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, register(inUse), "healthy"},
			{5, fail(2), timedOut},
			{5, register(inUse), timedOut},
		}},
		{"what is not registered can only be registered", albRules, []step{
			{0, stand(inUse), ""},
			{0, pass(1), ""},
			{0, fail(2), ""},
			{0, deregister(300 * time.Second), ""},
			{0, wait, ""},
		}},
		{"a Network Load Balancer has one reason", nlbRules, []step{
			{0, register(inUse), registering},
			{1, fail(2), failedNLB},
			{5, probe(1, mismatch), failedNLB},
			{5, pass(2), "healthy"},
		}},
		{"a Network Load Balancer that fails itself", nlbRules, []step{
			{0, register(inUse), registering},
			{1, probe(2, broken), "unavailable " + internal},
			{5, fail(1), failedNLB},
			{5, probe(1, broken), "unavailable " + internal},
			{5, pass(1), "unavailable " + internal},
			{5, pass(1), "healthy"},
		}},
		{"a Network Load Balancer that leaves connections open", keepsOpen, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, fail(2), "unhealthy.draining"},
			{30, fail(1), "unhealthy.draining"},
			{29, wait, "unhealthy.draining"},
			{1, wait, failedNLB},
			{1, pass(2), "healthy"},
		}},
		{"such a target that recovers in time", keepsOpen, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, fail(2), "unhealthy.draining"},
			{5, pass(1), "unhealthy.draining"},
			{5, pass(1), "healthy"},
			{60, wait, "healthy"},
		}},
		{"a new target has no connections to leave open", keepsOpen, []step{
			{0, register(inUse), registering},
			{1, fail(2), failedNLB},
		}},
		{"passes before the time is over count on", keepsOpen, []step{
			{0, register(inUse), registering},
			{1, pass(1), "healthy"},
			{5, fail(2), "unhealthy.draining"},
			{59, pass(1), "unhealthy.draining"},
			{1, wait, failedNLB},
			{1, pass(1), "healthy"},
		}},
		{"Lambda functions are not probed until it is asked for", lambda, []step{
			{0, register(inUse), disabled},
			{1, fail(5), disabled},
			{1, with(enabled, stand(inUse)), checking},
			{1, with(enabled, pass(1)), "healthy"},
			{1, stand(inUse), disabled},
			{1, stand(unusedGroup), notInUse},
			{1, stand(inUse), disabled},
			{1, deregister(0), gone},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var h elb.TargetHealth
			now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
			for i, step := range test.steps {
				now = now.Add(time.Duration(step.after) * time.Second)
				before := h
				h = step.event(h, test.rules, now)
				if shown(h) != step.want {
					t.Fatalf("step %d: %s\nwant %s", i+1, shown(h), step.want)
				}
				if changed := h.State != before.State; changed && !h.Since.Equal(now) || !changed && !h.Since.Equal(before.Since) {
					t.Errorf("step %d: %s since %v, now is %v, and before it was %s since %v", i+1, h.State, h.Since, now, before.State, before.Since)
				}
			}
		})
	}
}

// What each state means for those who ask, route and wait.
func TestStatesMean(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	nlb := elb.HealthRules{Balancer: elb.Network, Healthy: 2, Unhealthy: 2, UnhealthyDraining: time.Minute}
	alb := elb.HealthRules{Balancer: elb.Application, Healthy: 2, Unhealthy: 2}
	slow := elb.HealthRules{Balancer: elb.Application, Healthy: 2, Unhealthy: 2, Registration: 5 * time.Second}
	off := elb.HealthRules{Balancer: elb.Application, Disabled: true}
	type means struct {
		registered, gone, probed bool
		due                      time.Duration // 0: never
	}
	for _, test := range []struct {
		state  string
		rules  elb.HealthRules
		events []event
		want   means
	}{
		{"", alb, nil, means{gone: true}},
		{registering, slow, []event{register(inUse)}, means{registered: true, due: 5 * time.Second}},
		{checking, alb, []event{register(inUse)}, means{registered: true, probed: true}},
		{"healthy", alb, []event{register(inUse), pass(1)}, means{registered: true, probed: true}},
		{timedOut, alb, []event{register(inUse), fail(2)}, means{registered: true, probed: true}},
		{"unhealthy.draining", nlb, []event{register(inUse), pass(1), fail(2)}, means{registered: true, probed: true, due: time.Minute}},
		{"unavailable " + internal, nlb, []event{register(inUse), probe(2, elb.Verdict{Reason: elb.InternalError})}, means{registered: true, probed: true}},
		{disabled, off, []event{register(inUse)}, means{registered: true}},
		{notInUse, alb, []event{register(unusedGroup)}, means{registered: true}},
		{draining, alb, []event{register(inUse), deregister(time.Hour)}, means{due: time.Hour}},
		{gone, alb, []event{register(inUse), deregister(0)}, means{gone: true}},
	} {
		t.Run(test.state, func(t *testing.T) {
			t.Parallel()
			var h elb.TargetHealth
			for _, event := range test.events {
				h = event(h, test.rules, now)
			}
			got := means{registered: h.Registered(), gone: h.Gone(), probed: h.Probed()}
			if at, ok := h.Due(); ok {
				got.due = at.Sub(now)
			}
			if shown(h) != test.state || got != test.want {
				t.Errorf("%s: %+v\nwant %s: %+v", shown(h), got, test.state, test.want)
			}
			text, err := json.Marshal(h)
			var back elb.TargetHealth
			if err != nil || json.Unmarshal(text, &back) != nil || back != h {
				t.Errorf("as JSON %s, and back %+v, of %+v: %v", text, back, h, err)
			}
		})
	}
	if got := shown(elb.NotRegisteredHealth()); got != gone {
		t.Error(got)
	}
}

// A driver sleeps until the next event is due, and no longer: here through the
// whole life of a target.
func TestDueDrivesATarget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var h elb.TargetHealth
		h = h.Register(albRules, inUse, time.Now())
		var life []string
		for !h.Gone() {
			life = append(life, string(h.State)+" at "+time.Since(began).String())
			if at, ok := h.Due(); ok {
				time.Sleep(time.Until(at))
				h = h.After(time.Now())
				continue
			}
			time.Sleep(5 * time.Second) // the interval between probes
			if h.State == elb.Healthy {
				h = h.Deregister(300*time.Second, time.Now())
			}
			h = h.Probe(albRules, elb.Verdict{}, time.Now())
		}
		life = append(life, "gone at "+time.Since(began).String())
		want := "initial at 0s, initial at 1s, healthy at 6s, draining at 11s, gone at 5m11s"
		if got := strings.Join(life, ", "); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

func TestHealthRulesOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		kind       elb.Kind
		check      elb.HealthCheck
		attributes elb.Attributes
		want       elb.HealthRules
	}{
		{
			"an Application Load Balancer's defaults",
			elb.Kind{Protocol: elb.HTTP},
			elb.HealthCheck{},
			nil,
			elb.HealthRules{Balancer: elb.Application, Healthy: 5, Unhealthy: 2, Registration: time.Second},
		},
		{
			"thresholds that were set",
			elb.Kind{Protocol: elb.HTTP},
			elb.HealthCheck{Healthy: 3, Unhealthy: 10},
			nil,
			elb.HealthRules{Balancer: elb.Application, Healthy: 3, Unhealthy: 10, Registration: time.Second},
		},
		{
			"a Network Load Balancer cuts connections, unless told otherwise",
			elb.Kind{Protocol: elb.TCP},
			elb.HealthCheck{},
			elb.Attributes{"target_health_state.unhealthy.connection_termination.enabled": "false", "target_health_state.unhealthy.draining_interval_seconds": "60"},
			elb.HealthRules{Balancer: elb.Network, Healthy: 5, Unhealthy: 2, Registration: time.Second, UnhealthyDraining: time.Minute},
		},
		{
			"an interval that says nothing",
			elb.Kind{Protocol: elb.TCP},
			elb.HealthCheck{},
			elb.Attributes{"target_health_state.unhealthy.draining_interval_seconds": "60"},
			elb.HealthRules{Balancer: elb.Network, Healthy: 5, Unhealthy: 2, Registration: time.Second},
		},
	} {
		if got := elb.HealthRulesOf(test.kind, test.check, test.attributes); got != test.want {
			t.Errorf("%s: %+v\nwant %+v", test.name, got, test.want)
		}
	}
}
