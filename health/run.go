package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// grace is how long after its deadline, or after being cancelled, a run may
// still return on its own. One that honours its context does so within a moment,
// and explains itself better than we could ("dial tcp 10.0.0.7:5432: i/o
// timeout"). It is a failure as of the deadline either way.
const grace = 100 * time.Millisecond

// maxOutput bounds what is kept of one output, in bytes.
const maxOutput = 4 << 10

// RunOnce asks all checks once, at the same time, each within its own time-out,
// and returns their results in the order given, groups before their members. It
// returns as soon as the last check has answered or missed its deadline. A run
// that ignores its context is left behind, with Stuck set in its result. If done
// is not nil, it is called with each result as it comes in, one call at a time,
// for a group after its last member. Rise, Fall and Interval do not matter here.
// A Check that NewMonitor would refuse has failed; a check in DependsOn that is
// not among those given is passed over.
func RunOnce(ctx context.Context, done func(Result), checks ...Check) []Result {
	items := plan(checks)
	results := newResults(items, time.Now())
	if done == nil {
		done = func(Result) {}
	}
	finished := make(chan int)
	asked := 0
	for i := range items {
		if !items[i].isGroup() {
			asked++
			go func() {
				results[i].once(ctx, &items[i])
				finished <- i
			}()
		}
	}
	open := make([]int, len(items)) // members of a group that are still to answer
	for i := range items {
		open[i] = len(items[i].members)
	}
	for range asked {
		i := <-finished
		done(results[i])
		for g := items[i].group; g >= 0; g = items[g].group {
			if open[g]--; open[g] > 0 {
				break
			}
			results[g].onceGroup(&items[g], results)
			done(results[g])
		}
	}
	for _, i := range causesFirst(items) {
		root, head := rootOf(items, results, i)
		if root >= 0 && results[i].ailing() {
			results[i].cause = items[root].Name
		}
		results[i].blame(items, head)
	}
	return results
}

// once asks a check.
func (r *Result) once(ctx context.Context, it *item) {
	if r.refused(it) {
		return
	}
	a, returned := begin(ctx, &it.Check).wait(ctx)
	r.take(a, 1, 1)
	r.Stuck = !returned
}

// onceGroup answers for a group whose members have answered.
func (r *Result) onceGroup(it *item, results []Result) {
	if r.refused(it) {
		return
	}
	var members []*Result
	for _, i := range it.members {
		members = append(members, &results[i])
	}
	r.first(&it.Check, members)
}

// refused fails a check that cannot work.
func (r *Result) refused(it *item) bool {
	var f faults
	it.validate(&f, nil)
	if len(f) == 0 {
		return false
	}
	r.take(reply{status: Fail, output: f.err().Error(), ended: time.Now()}, 1, 1)
	return true
}

// reply is how one run ended.
type reply struct {
	status Status
	output string
	ended  time.Time
	took   time.Duration
}

// run is one run of a check under way.
type run struct {
	check   *Check
	started time.Time
	done    chan reply // has room for the answer, so that nobody need wait for it
}

// begin starts a run of c in a goroutine of its own: there is no other way to
// go on without one that ignores its context.
func begin(ctx context.Context, c *Check) *run {
	r := &run{check: c, started: time.Now(), done: make(chan reply, 1)}
	ctx, cancel := context.WithDeadline(ctx, r.deadline())
	go func() {
		defer cancel()
		r.ask(ctx)
	}()
	return r
}

func (r *run) deadline() time.Time { return r.started.Add(r.check.Timeout) }

// ask runs the check and sends exactly one answer, whatever the check does.
func (r *run) ask(ctx context.Context) {
	a := reply{status: Fail, output: "ended its goroutine without an answer"}
	defer func() {
		if reason := recover(); reason != nil {
			a = reply{status: Fail, output: clean(fmt.Sprintf("panic: %v", reason))}
		}
		a.ended = time.Now()
		a.took = a.ended.Sub(r.started)
		r.done <- a
	}()
	output, err := r.check.Run(ctx)
	a = r.judge(output, err)
}

// judge turns what the check returned into an answer.
func (r *run) judge(output string, err error) reply {
	late := time.Since(r.started) >= r.check.Timeout
	a := reply{status: Pass, output: clean(output)}
	if err != nil {
		a.status = Fail
		if isWarning(err) {
			a.status = Warn
		}
		// The bare error of a context says less than we do.
		if bare := err == context.DeadlineExceeded && late; a.output == "" && !bare { //nolint:errorlint // wrapped, it says more
			a.output = clean(err.Error())
		}
	}
	if late {
		a.status, a.output = Fail, r.missed(a.output)
	}
	return a
}

// missed explains a missed deadline, with what the check itself says of it.
func (r *run) missed(output string) string {
	missed := fmt.Sprintf("no answer within %v", r.check.Timeout)
	switch {
	case output == "":
		return missed
	case strings.Contains(output, fmt.Sprintf(" within %v", r.check.Timeout)): // the check knows its deadline too
		return output
	}
	return output + " (" + missed + ")"
}

// wait returns the run's answer, and whether the run has returned. If it is
// still going on when its time is up, or when ctx is done, the answer is a
// failure.
func (r *run) wait(ctx context.Context) (a reply, returned bool) {
	timer := time.NewTimer(time.Until(r.deadline()) + grace)
	defer timer.Stop()
	if a, returned = r.answered(timer.C, ctx.Done()); returned {
		return a, true
	}
	if ctx.Err() == nil {
		return reply{Fail, r.missed(""), r.deadline(), r.check.Timeout}, false
	}
	timer.Reset(grace)
	if a, returned = r.answered(timer.C, nil); returned {
		return a, true
	}
	return reply{Fail, "no answer: " + context.Cause(ctx).Error(), time.Now(), time.Since(r.started)}, false
}

// answered waits for the answer until the time is up or nobody cares. An answer
// that is there by then counts: that we had to wait for a processor to see it is
// not the check's fault.
func (r *run) answered(timeUp <-chan time.Time, done <-chan struct{}) (reply, bool) {
	select {
	case a := <-r.done:
		return a, true
	case <-timeUp:
	case <-done:
	}
	select {
	case a := <-r.done:
		return a, true
	default:
		return reply{}, false
	}
}

func isWarning(err error) bool {
	_, ok := errors.AsType[*warning](err)
	return ok
}

// clean makes an output fit to be shown: valid UTF-8, not endless, and without
// control characters that could play tricks on a terminal or in a log.
func clean(output string) string {
	output = strings.TrimSpace(output)
	cut := len(output) > maxOutput
	if cut {
		output = output[:maxOutput]
	}
	output = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(output, ""))
	if cut {
		output += "…"
	}
	return output
}
