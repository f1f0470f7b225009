package elb

import (
	"cmp"
	"time"
)

// TargetHealth is what a load balancer holds one target for, and what its
// verdict rests on. It is a value: each event returns the next one. The zero
// value is a target that is not registered.
//
// The transitions are those of the guides' "Health checks for your target
// groups". What no document says is marked as unconfirmed where it is decided.
type TargetHealth struct {
	State  State
	Reason Reason // empty for a healthy one
	// Description is what AWS writes beside the reason.
	Description string
	// Since is when State became what it is.
	Since time.Time
	// Passes and Failures are the probes in a row that say the same thing; one
	// of them is 0.
	Passes, Failures int
	// Until is when a state that time ends is over: Draining, UnhealthyDraining,
	// and Initial while the registration is in progress. Zero: no time ends it.
	Until time.Time
}

// HealthRules is what of a group's settings decides over the health of its
// targets. All of it can change at any time; what is under way keeps its
// deadline (unconfirmed).
type HealthRules struct {
	Balancer Balancer
	// Healthy and Unhealthy are how many passes or failures in a row turn the
	// verdict.
	Healthy, Unhealthy int
	// Disabled: nobody asks. Of groups of Lambda functions alone.
	Disabled bool
	// Registration is how long a new target is in RegistrationInProgress. AWS
	// takes some seconds, a Network Load Balancer "a few minutes"; 0 is no time
	// at all.
	Registration time.Duration
	// UnhealthyDraining is how long a target that turns unhealthy is held for
	// UnhealthyDraining first; 0: not at all.
	UnhealthyDraining time.Duration
}

// registration is a choice of ours: long enough to be seen, short enough to
// wait for.
const registration = time.Second

// HealthRulesOf returns the rules of a group with these settings and attributes.
func HealthRulesOf(k Kind, check HealthCheck, attributes Attributes) HealthRules {
	check = check.WithDefaults(k)
	full := GroupAttributes(k).Full(attributes)
	rules := HealthRules{
		Balancer: k.Balancer(), Healthy: check.Healthy, Unhealthy: check.Unhealthy,
		Disabled: check.Disabled, Registration: registration,
	}
	if !full.Bool(keyCutUnhealthy) {
		rules.UnhealthyDraining = full.Duration(keyUnhealthyDraining)
	}
	return rules
}

// Standing is what must be so for a registered target to be asked at all. The
// zero value is of a target that can be.
type Standing struct {
	// GroupUnused: no listener's rule or default action forwards to the group.
	GroupUnused bool
	// ZoneDisabled: the target's zone is not enabled for the load balancer.
	ZoneDisabled bool
	// Instance is what an instance is that does not run: "stopped",
	// "terminated", "terminated or stopped", "invalid". Empty: it runs, or the
	// target is none.
	Instance string
	// IPUnusable: the address is a load balancer's.
	IPUnusable bool
}

// obstacle returns why a target of this standing is unused. Where several things
// hold, which is told first is unconfirmed.
func (s Standing) obstacle() (Reason, string) {
	switch {
	case s.IPUnusable:
		return IPUnusable, IPUnusable.Description()
	case s.Instance == "invalid":
		return InvalidState, "Target is in an invalid state"
	case s.Instance != "":
		return InvalidState, "Target is in the " + s.Instance + " state"
	case s.GroupUnused:
		return NotInUse, NotInUse.Description()
	case s.ZoneDisabled:
		return NotInUse, "Target is in an Availability Zone that is not enabled for the load balancer"
	default:
		return "", ""
	}
}

// Verdict is what one probe says. The zero value is of one that passed.
type Verdict struct {
	Reason      Reason
	Description string // empty: what goes with the reason
}

// NotRegisteredHealth is what ELB answers for a target that a group does not
// have, or no longer.
func NotRegisteredHealth() TargetHealth {
	return TargetHealth{State: Unused, Reason: NotRegistered, Description: NotRegistered.Description()}
}

// Registered tells whether the target is one of the group's: it was registered,
// and is not draining.
func (h TargetHealth) Registered() bool {
	return h.State != "" && h.State != Draining && h.Reason != NotRegistered
}

// Gone tells whether nothing of the target is left: it was never registered, or
// its draining is over.
func (h TargetHealth) Gone() bool { return h.State == "" || h.Reason == NotRegistered }

// Probed tells whether the target is to be asked. One that is draining, unused
// or still being registered is not.
func (h TargetHealth) Probed() bool {
	switch h.State {
	case Healthy, Unhealthy, UnhealthyDraining:
		return true
	case Initial:
		return h.Reason == InitialHealthChecking
	case Unavailable:
		return h.Reason != HealthCheckDisabled
	default:
		return false
	}
}

// Due returns when the next event comes that time alone brings; ok is false if
// none does. Call After then.
func (h TargetHealth) Due() (at time.Time, ok bool) { return h.Until, !h.Until.IsZero() }

// Register is RegisterTargets. A target that is registered stays as it is; one
// that is draining begins anew (deduced: the guide only says that it becomes
// healthy again).
func (h TargetHealth) Register(r HealthRules, s Standing, now time.Time) TargetHealth {
	if h.Registered() {
		return h
	}
	return TargetHealth{}.begin(r, s, now)
}

// begin is where a target comes to that can be asked from now on, or cannot yet.
func (h TargetHealth) begin(r HealthRules, s Standing, now time.Time) TargetHealth {
	reason, text := s.obstacle()
	switch {
	case reason != "":
		return h.to(Unused, Verdict{reason, text}, now)
	case r.Disabled:
		return h.to(Unavailable, Verdict{Reason: HealthCheckDisabled}, now)
	case r.Registration > 0:
		next := h.to(Initial, Verdict{Reason: RegistrationInProgress}, now)
		next.Until = now.Add(r.Registration)
		return next
	default:
		return h.to(Initial, Verdict{Reason: InitialHealthChecking}, now)
	}
}

// Stand takes what the target's standing and the group's rules are now. A target
// that can be asked again begins anew, as if it were just registered. One that
// drains goes on draining.
func (h TargetHealth) Stand(r HealthRules, s Standing, now time.Time) TargetHealth {
	if !h.Registered() {
		return h
	}
	reason, text := s.obstacle()
	disabled := h.State == Unavailable && h.Reason == HealthCheckDisabled
	switch {
	case reason != "" && h.State == Unused:
		h.Reason, h.Description = reason, text
		return h
	case reason != "", h.State == Unused, r.Disabled != disabled:
		return h.begin(r, s, now)
	default:
		return h
	}
}

// Deregister is DeregisterTargets: new requests stop at once, and what is in
// flight may end until the deregistration delay is over. Until that moment the
// state is draining, even when nothing is in flight. A target that drains
// already keeps its deadline.
//
// Without a delay it is gone at once. Whether targets of a group that is not in
// use drain is unconfirmed: a caller for which they don't gives no delay.
func (h TargetHealth) Deregister(delay time.Duration, now time.Time) TargetHealth {
	switch {
	case !h.Registered():
		return h
	case delay <= 0:
		return h.to(Unused, Verdict{Reason: NotRegistered}, now)
	}
	next := h.to(Draining, Verdict{Reason: DeregistrationInProgress}, now)
	next.Until = now.Add(delay)
	return next
}

// After is the event that time alone brings: registration and draining end. At
// other times it changes nothing.
func (h TargetHealth) After(now time.Time) TargetHealth {
	if h.Until.IsZero() || now.Before(h.Until) {
		return h
	}
	switch h.State {
	case Initial:
		h.Reason, h.Description, h.Until = InitialHealthChecking, InitialHealthChecking.Description(), time.Time{}
		return h
	case UnhealthyDraining:
		passes, failures := h.Passes, h.Failures
		next := h.to(Unhealthy, Verdict{Reason: FailedHealthChecks}, h.Until)
		next.Passes, next.Failures = passes, failures
		return next
	default:
		return h.to(Unused, Verdict{Reason: NotRegistered}, h.Until)
	}
}

// Probe takes a probe's verdict. A target that is not asked ignores it: it was
// under way when the state changed.
//
// A new target is healthy after one pass, and after Unhealthy failures in a row
// unhealthy (that fewer are not enough for a new one is unconfirmed). From then
// on, Healthy passes in a row make it healthy.
func (h TargetHealth) Probe(r HealthRules, v Verdict, now time.Time) TargetHealth {
	h = h.After(now)
	if !h.Probed() {
		return h
	}
	if v.Reason == "" {
		h.Passes, h.Failures = h.Passes+1, 0
		return h.passed(r, now)
	}
	h.Passes, h.Failures = 0, h.Failures+1
	return h.failed(r, r.tell(v), now)
}

func (h TargetHealth) passed(r HealthRules, now time.Time) TargetHealth {
	if h.State == Healthy || h.State != Initial && h.Passes < r.Healthy {
		return h
	}
	passes := h.Passes
	next := h.to(Healthy, Verdict{}, now)
	next.Passes = passes
	return next
}

func (h TargetHealth) failed(r HealthRules, v Verdict, now time.Time) TargetHealth {
	if h.Failures < r.Unhealthy && (h.State == Initial || h.State == Healthy) {
		return h
	}
	state := Unhealthy
	switch {
	case v.Reason == InternalError && r.Balancer == Network:
		state = Unavailable
	case h.State == UnhealthyDraining:
		return h
	case h.State == Healthy && r.UnhealthyDraining > 0:
		state = UnhealthyDraining
	}
	failures := h.Failures
	next := h.to(state, v, now)
	next.Failures = failures
	if state == UnhealthyDraining {
		// ELB gives no reason for it. That new targets, which nobody has used,
		// do without it is unconfirmed.
		next.Reason, next.Description, next.Until = "", "", now.Add(r.UnhealthyDraining)
	}
	return next
}

// tell returns a failure's verdict as this load balancer tells it: a Network
// Load Balancer knows no reason of the target's but one.
func (r HealthRules) tell(v Verdict) Verdict {
	if r.Balancer == Network && v.Reason != InternalError {
		return Verdict{Reason: FailedHealthChecks}
	}
	return v
}

// to returns the health in another state, with nothing counted. A state that is
// entered again keeps the time it was entered.
func (h TargetHealth) to(state State, v Verdict, now time.Time) TargetHealth {
	since := now
	if state == h.State {
		since = h.Since
	}
	return TargetHealth{
		State: state, Reason: v.Reason, Since: since,
		Description: cmp.Or(v.Description, v.Reason.Description()),
	}
}
