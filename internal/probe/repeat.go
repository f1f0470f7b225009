package probe

import (
	"context"
	"iter"
	"slices"
	"time"

	"hale/internal/elb"
)

// Repeat sends the probe n times, 0 for until ctx ends, each an interval after
// the one before was begun, and yields the answers. A probe that takes longer
// than the interval delays the next: there is never more than one under way.
// One that ctx interrupts is not yielded.
func (p Probe) Repeat(ctx context.Context, n int, interval time.Duration) iter.Seq[Answer] {
	return repeat(ctx, n, interval, p.Send)
}

func repeat(ctx context.Context, n int, interval time.Duration, send func(context.Context) Answer) iter.Seq[Answer] {
	return func(yield func(Answer) bool) {
		for i := 0; n == 0 || i < n; i++ {
			next := time.NewTimer(interval)
			a := send(ctx)
			if ctx.Err() != nil || !yield(a) || i == n-1 {
				next.Stop()
				return
			}
			select {
			case <-next.C:
			case <-ctx.Done():
				next.Stop()
				return
			}
		}
	}
}

// Tally is what a prober makes of several answers in a row. The zero value but
// for Timing has heard none.
type Tally struct {
	Timing Timing
	// Passed and Failed are how many answers there were, Reasons those of the
	// failures, in the order in which they first came.
	Passed, Failed int
	Reasons        []ReasonCount
	// Took are how long the answers took, in order.
	Took []time.Duration

	state elb.State
	run   int // answers of one kind at the end
	last  bool
}

// ReasonCount is how often a reason came.
type ReasonCount struct {
	Reason elb.Reason `json:"reason"`
	Times  int        `json:"times"`
}

// Add counts an answer.
func (t *Tally) Add(a *Answer) {
	t.Took = append(t.Took, a.Times.Total)
	if a.Healthy {
		t.Passed++
	} else {
		t.Failed++
		t.blame(a.Reason)
	}
	if a.Healthy != t.last {
		t.run = 0
	}
	t.run, t.last = t.run+1, a.Healthy
	switch now := t.State(); {
	case a.Healthy && now == elb.Initial && t.run >= t.Timing.First,
		a.Healthy && now == elb.Unhealthy && t.run >= t.Timing.Healthy:
		t.state = elb.Healthy
	case !a.Healthy && now != elb.Unhealthy && t.run >= t.Timing.Unhealthy:
		t.state = elb.Unhealthy
	}
}

func (t *Tally) blame(reason elb.Reason) {
	i := slices.IndexFunc(t.Reasons, func(c ReasonCount) bool { return c.Reason == reason })
	if i < 0 {
		t.Reasons = append(t.Reasons, ReasonCount{reason, 1})
		return
	}
	t.Reasons[i].Times++
}

// State returns what the prober holds a target for that was new before these
// answers. One that takes new targets unasked holds them for healthy.
func (t *Tally) State() elb.State {
	switch {
	case t.state != "":
		return t.state
	case t.Timing.First == 0:
		return elb.Healthy
	}
	return elb.Initial
}

// Span returns the shortest, the middle and the longest time that an answer
// took.
func (t *Tally) Span() (shortest, middle, longest time.Duration) {
	if len(t.Took) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(t.Took))
	return sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]
}
