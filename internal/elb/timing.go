package elb

import (
	"encoding/json"
	"fmt"
	"time"
)

// Clock is when a load balancer asks, and how often in a row it has to hear the
// same thing before its verdict turns.
type Clock struct {
	Interval, Timeout time.Duration
	// Healthy and Unhealthy are for a target that had another verdict, First
	// for a new one.
	Healthy, Unhealthy, First int
}

// Timing is what is known of the times in an instance's life: settings and
// measurements. From it follow how long things take (Rows), and which of them do
// not fit together (Contradictions). The zero value of a field is "not known".
//
// All sums count from the event to the load balancer's verdict. Probes start
// one interval apart however long their answers take (guide of Application Load
// Balancers, "Health checks for your target groups"), and the event may come at
// any moment between two of them: at best just before a probe, at worst just
// after one. Each node of the load balancer counts on its own; at worst is when
// the last of them has noticed.
type Timing struct {
	Clock
	Balancer Balancer

	// P99 is how long the slowest of a hundred health answers takes.
	P99 time.Duration
	// StartUp lies between the start of an instance, when it is registered, and
	// its first good answer.
	StartUp time.Duration
	// Grace is how long after the start Auto Scaling or ECS ignore the verdict.
	Grace Span
	// Deregistration is how long what is in flight may go on after an instance
	// was removed.
	Deregistration Span
	// SlowStart is how long a new instance gets less than its share.
	SlowStart time.Duration
	// Idle is after how long without a byte the load balancer gives up.
	Idle time.Duration
	// Request is how long the slowest request of the site's users takes.
	Request time.Duration
	// Instance is what hale's own settings add.
	Instance Instance
}

// Instance is hale's own clock, as hale.yaml sets it.
type Instance struct {
	// Checks are those whose failing fails the verdict.
	Checks []Check
	// Notice is how long the instance goes on serving after SIGTERM, when its
	// health answer has turned to fail; Finish how long requests in flight have
	// after that.
	Notice, Finish Span
}

// Check is one check's clock: a run each Interval, each for Timeout at most;
// Fall failures in a row fail it, Rise passes mend it.
type Check struct {
	Name              string
	Interval, Timeout time.Duration
	Rise, Fall        int
}

// Span is a duration that may be unknown; its zero value is.
type Span struct {
	of    time.Duration
	known bool
}

// Known returns the span of a known duration.
func Known(d time.Duration) Span { return Span{d, true} }

// Get returns the duration, and whether it is known.
func (s Span) Get() (time.Duration, bool) { return s.of, s.known }

// NewInstance is the event of the row that counts until a new instance takes
// traffic.
const NewInstance = "a new instance takes traffic"

// Row is how long something takes.
type Row struct {
	// Event is what is waited for: "a dead instance is taken out".
	Event string
	// Best and Worst are the bounds; they are equal where there is no chance.
	Best, Worst time.Duration
	// How is the sum behind Worst, with its numbers; Note what it leaves out.
	How, Note string
}

// MarshalJSON writes the bounds in seconds.
func (r Row) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Event string  `json:"event"`
		Best  float64 `json:"best_seconds"`
		Worst float64 `json:"worst_seconds"`
		How   string  `json:"how"`
		Note  string  `json:"note,omitempty"`
	}{r.Event, r.Best.Seconds(), r.Worst.Seconds(), r.How, r.Note})
}

// Rows returns how long things take, for a table. Rows of which nothing is known
// are left out.
func (t Timing) Rows() []Row {
	rows := []Row{t.takenOut(), t.newcomer(), t.recovered()}
	if slowest, ok := t.slowestCheck(Check.failing); ok {
		rows = append(rows, t.breaks(slowest))
	}
	if slowest, ok := t.slowestCheck(Check.mending); ok {
		rows = append(rows, t.mends(slowest))
	}
	if t.SlowStart > 0 {
		row := t.newcomer()
		row.Event = "a new one has its full share"
		row.Best, row.Worst = row.Best+t.SlowStart, row.Worst+t.SlowStart
		row.How += ", and then slow start " + short(t.SlowStart)
		rows = append(rows, row)
	}
	if notice, ok := t.Instance.Notice.Get(); ok {
		row := t.letGo()
		row.Note = "hale serves for " + short(notice) + " meanwhile (drain: notice)"
		rows = append(rows, row)
	}
	if delay, ok := t.Deregistration.Get(); ok {
		rows = append(rows, Row{
			Event: "requests of a removed instance may go on for", Best: delay, Worst: delay,
			How: "deregistration delay " + short(delay), Note: "new requests stop at once; the state stays draining for all of it, even when nothing is in flight",
		})
	}
	return rows
}

// takenOut: the next probes fail, at best at once. The last of the row counts
// when it has failed, at worst after its time-out.
func (t Timing) takenOut() Row {
	return Row{
		Event: "a dead instance is taken out",
		Best:  times(t.Unhealthy-1, t.Interval),
		Worst: times(t.Unhealthy, t.Interval) + t.Timeout,
		How:   fmt.Sprintf("unhealthy threshold %d x interval %s + time-out %s of the last probe", t.Unhealthy, short(t.Interval), short(t.Timeout)),
	}
}

// newcomer: First passes suffice, unless so many probes met an instance that was
// still starting that it turned unhealthy.
func (t Timing) newcomer() Row {
	first := max(t.First, 1)
	row := Row{
		Event: NewInstance,
		Best:  times(first-1, t.Interval) + t.StartUp,
		Worst: times(first, t.Interval) + t.answer() + t.StartUp,
		How:   fmt.Sprintf("%s x interval %s + %s", passes(first), short(t.Interval), t.answerWords()),
	}
	surely, maybe := t.unhealthyFirst()
	if maybe {
		row.Worst = t.StartUp + times(t.Healthy, t.Interval) + t.answer()
		row.How = fmt.Sprintf("unhealthy while it starts, so healthy threshold %d x interval %s + %s", t.Healthy, short(t.Interval), t.answerWords())
	}
	if surely {
		row.Best = t.StartUp + times(t.Healthy-1, t.Interval)
	}
	if t.StartUp > 0 {
		row.How = "start " + short(t.StartUp) + ", then " + row.How
	} else {
		row.Note = "plus the start itself, which was not measured"
	}
	if t.Balancer == Network {
		row.Note = join(row.Note, "plus the registration, which takes a Network Load Balancer up to a few minutes")
	}
	return row
}

// unhealthyFirst tells whether an instance turns unhealthy while it starts. In
// a time of n intervals, n probes begin, rounded down or up.
func (t Timing) unhealthyFirst() (surely, maybe bool) {
	if t.Interval <= 0 || t.StartUp <= 0 || t.Unhealthy <= 0 {
		return false, false
	}
	least := int(t.StartUp / t.Interval)
	most := int((t.StartUp + t.Interval - 1) / t.Interval)
	return least >= t.Unhealthy, most >= t.Unhealthy
}

// recovered: the same as takenOut, with answers that come.
func (t Timing) recovered() Row {
	return Row{
		Event: "a recovered instance is back",
		Best:  times(t.Healthy-1, t.Interval),
		Worst: times(t.Healthy, t.Interval) + t.answer(),
		How:   fmt.Sprintf("healthy threshold %d x interval %s + %s", t.Healthy, short(t.Interval), t.answerWords()),
	}
}

// letGo: an instance that stops says so, so its probes fail as fast as it
// answers.
func (t Timing) letGo() Row {
	return Row{
		Event: "an instance that stops gets no more requests",
		Best:  times(t.Unhealthy-1, t.Interval),
		Worst: times(t.Unhealthy, t.Interval) + t.answer(),
		How:   fmt.Sprintf("unhealthy threshold %d x interval %s + %s", t.Unhealthy, short(t.Interval), t.answerWords()),
	}
}

// breaks and mends: hale's verdict turns first, then the load balancer's.
func (t Timing) breaks(c Check) Row {
	best, worst := c.failing()
	elb := t.letGo()
	return Row{
		Event: "what " + c.Name + " checks breaks: the instance is taken out",
		Best:  best + elb.Best, Worst: worst + elb.Worst,
		How: fmt.Sprintf("hale's fall %d x interval %s + time-out %s, then %s", c.Fall, short(c.period()), short(c.Timeout), elb.How),
	}
}

func (t Timing) mends(c Check) Row {
	best, worst := c.mending()
	elb := t.recovered()
	return Row{
		Event: "what " + c.Name + " checks works again: the instance is back",
		Best:  best + elb.Best, Worst: worst + elb.Worst,
		How: fmt.Sprintf("hale's rise %d x interval %s + time-out %s, then %s", c.Rise, short(c.period()), short(c.Timeout), elb.How),
	}
}

// failing is how long hale's verdict takes to turn when what is checked breaks.
func (c Check) failing() (best, worst time.Duration) { return c.turning(c.Fall) }

// mending is how long it takes when what is checked works again.
func (c Check) mending() (best, worst time.Duration) { return c.turning(c.Rise) }

func (c Check) turning(answers int) (best, worst time.Duration) {
	answers = max(answers, 1)
	return times(answers-1, c.Interval), times(answers, c.period()) + c.Timeout
}

// period lies between two runs at most: one that takes longer than the interval
// is followed at once by the next.
func (c Check) period() time.Duration { return max(c.Interval, c.Timeout) }

// slowestCheck returns the check for which something takes longest.
func (t Timing) slowestCheck(how func(Check) (best, worst time.Duration)) (slowest Check, ok bool) {
	var longest time.Duration
	for _, c := range t.Instance.Checks {
		c.Fall, c.Rise = max(c.Fall, 1), max(c.Rise, 1)
		if _, worst := how(c); worst > longest {
			slowest, longest, ok = c, worst, true
		}
	}
	return slowest, ok
}

// answer is how long a good answer may take: as measured, or as long as it may.
func (t Timing) answer() time.Duration {
	if t.P99 > 0 && t.P99 < t.Timeout {
		return t.P99
	}
	return t.Timeout
}

func (t Timing) answerWords() string {
	if t.answer() < t.Timeout {
		return short(t.P99) + " for the answer"
	}
	return "at most " + short(t.Timeout) + " for the answer"
}

func passes(n int) string {
	if n == 1 {
		return "1 pass"
	}
	return fmt.Sprintf("%d passes", n)
}

func times(n int, d time.Duration) time.Duration { return time.Duration(max(n, 0)) * d }

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// short prints a duration as people write it: 30s, 1m5s, 240ms.
func short(d time.Duration) string {
	if d >= time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
