package elb

import (
	"fmt"
	"time"
)

// Contradiction is two times that do not fit together.
type Contradiction struct {
	// ID is the way of failing that follows, as the doctor names it; empty: it
	// has no name there.
	ID string `json:"id,omitempty"`
	// What is the sentence for people, Have and Need the two times in figures.
	What string `json:"what"`
	Have string `json:"have"`
	Need string `json:"need"`
	// Way is what to change.
	Way string `json:"way"`
}

// Contradictions returns what of the times does not fit together, the worst
// first. What is not known is taken to fit.
func (t Timing) Contradictions() []Contradiction {
	var found []Contradiction
	for _, rule := range []func(Timing) (Contradiction, bool){
		answerTooSlow, answerWithoutRoom, probesOverlap,
		startTooLong, noticeTooShort, noDraining, drainingTooShort, finishInVain, idleTooShort,
		oldGoneTooSoon, checkSlowest,
	} {
		if c, ok := rule(t); ok {
			found = append(found, c)
		}
	}
	return found
}

// roomFactor is how many times the slowest usual answer a time-out should be.
const roomFactor = 3

func answerTooSlow(t Timing) (Contradiction, bool) {
	return Contradiction{
		ID:   "tight-timeout-flapping",
		What: "some health answers take longer than the time-out, so probes fail by chance",
		Have: "time-out " + short(t.Timeout), Need: "p99 of the answer " + short(t.P99),
		Way: fmt.Sprintf("make the check cheaper, or the time-out at least %s", short(roomFactor*t.P99)),
	}, t.P99 > 0 && t.P99 >= t.Timeout
}

func answerWithoutRoom(t Timing) (Contradiction, bool) {
	return Contradiction{
		What: "the time-out leaves the health answer little room: under load, probes may fail by chance",
		Have: "time-out " + short(t.Timeout), Need: fmt.Sprintf("%d x p99 of the answer, %s", roomFactor, short(roomFactor*t.P99)),
		Way: "make the check cheaper, or the time-out longer",
	}, t.P99 < t.Timeout && roomFactor*t.P99 > t.Timeout
}

func probesOverlap(t Timing) (Contradiction, bool) {
	return Contradiction{
		What: "the next probe begins before the time of the one before is up",
		Have: "interval " + short(t.Interval), Need: "more than the time-out, " + short(t.Timeout),
		Way: "make the time-out shorter than the interval; an Application Load Balancer takes nothing else",
	}, t.Timeout > t.Interval || t.Timeout == t.Interval && t.Balancer == Application
}

// startTooLong: Auto Scaling and ECS act on unhealthy, not on initial. An
// instance that never turns unhealthy while it starts needs no grace.
func startTooLong(t Timing) (Contradiction, bool) {
	grace, known := t.Grace.Get()
	_, unhealthy := t.unhealthyFirst()
	need := t.newcomer().Worst
	return Contradiction{
		ID:   "asg-cold-start-vs-grace",
		What: "a new instance is still unhealthy when the grace period ends, and is replaced before it ever served",
		Have: "grace period " + short(grace), Need: short(need) + " until it is healthy (" + t.newcomer().How + ")",
		Way: fmt.Sprintf("a grace period of at least %s: twice the start, or the time until it is healthy", short(max(2*t.StartUp, need))),
	}, known && unhealthy && grace < need
}

func noticeTooShort(t Timing) (Contradiction, bool) {
	notice, known := t.Instance.Notice.Get()
	need := t.letGo().Worst
	return Contradiction{
		ID:   "shutdown-order-502",
		What: "hale stops serving before the load balancer has noticed that the instance stops, unless something deregisters it first, as Auto Scaling and ECS do",
		Have: "drain notice " + short(notice), Need: short(need) + " (" + t.letGo().How + ")",
		Way: fmt.Sprintf("in hale.yaml, drain: {notice: %s} or more, or a shorter interval in the target group", short(need.Round(time.Second)+time.Second)),
	}, known && notice < need
}

func noDraining(t Timing) (Contradiction, bool) {
	delay, known := t.Deregistration.Get()
	return Contradiction{
		What: "requests in flight are cut off the moment an instance is removed, and their users get 502",
		Have: "deregistration delay 0s", Need: "as long as the slowest request takes",
		Way: "set the attribute deregistration_delay.timeout_seconds",
	}, known && delay == 0
}

func drainingTooShort(t Timing) (Contradiction, bool) {
	delay, known := t.Deregistration.Get()
	return Contradiction{
		What: "requests that still run when the deregistration delay is over are cut off, and their users get 502",
		Have: "deregistration delay " + short(delay), Need: "slowest request " + short(t.Request),
		Way: fmt.Sprintf("set the attribute deregistration_delay.timeout_seconds to %d or more", int((t.Request+time.Second-1)/time.Second)),
	}, known && delay > 0 && delay < t.Request
}

func finishInVain(t Timing) (Contradiction, bool) {
	delay, known := t.Deregistration.Get()
	finish, set := t.Instance.Finish.Get()
	return Contradiction{
		What: "hale gives requests in flight more time than the load balancer, which cuts them off before",
		Have: "deregistration delay " + short(delay), Need: "drain finish " + short(finish),
		Way: "make deregistration_delay.timeout_seconds as long as drain: finish in hale.yaml",
	}, known && set && delay > 0 && delay < finish
}

func idleTooShort(t Timing) (Contradiction, bool) {
	return Contradiction{
		What: "the load balancer gives up before the slowest request is answered, and its user gets 504",
		Have: "idle time-out " + short(t.Idle), Need: "slowest request " + short(t.Request),
		Way: "raise the load balancer's attribute idle_timeout.timeout_seconds, or answer sooner",
	}, t.Idle > 0 && t.Idle < t.Request
}

// oldGoneTooSoon: one pass makes a new instance healthy, so a version that fails
// afterwards is found out later than the old one has gone.
func oldGoneTooSoon(t Timing) (Contradiction, bool) {
	delay, known := t.Deregistration.Get()
	need := t.takenOut().Worst
	return Contradiction{
		What: "in a deployment the old instances may be gone before it shows that the new ones fail: one pass lets a new one in, and until it is taken out again takes longer than the old ones drain",
		Have: "deregistration delay " + short(delay), Need: short(need) + " until a failing instance is taken out",
		Way: "a longer deregistration delay, a shorter interval, or a pause before the old instances are removed",
	}, known && delay > 0 && delay < need
}

// checkSlowest: what hale's thresholds add is more than the load balancer's own.
func checkSlowest(t Timing) (Contradiction, bool) {
	c, ok := t.slowestCheck(Check.failing)
	_, own := c.failing()
	elb := t.takenOut().Worst
	return Contradiction{
		What: "hale takes longer to fail its verdict than the load balancer to act on it, so a short interval of the load balancer gains little",
		Have: fmt.Sprintf("check %s: fall %d, interval %s, time-out %s: up to %s", c.Name, c.Fall, short(c.Interval), short(c.Timeout), short(own)),
		Need: "the load balancer's own: up to " + short(elb),
		Way:  "in hale.yaml, a smaller fall or a shorter interval for this check; the load balancer counts failures as well",
	}, ok && own > elb
}
