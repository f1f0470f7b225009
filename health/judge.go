package health

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The rules of judgement, as functions of values: no clock, no goroutine.

// side is which side a check is on, and how many answers in a row speak against
// it. The zero value is the side of a check that was never asked.
type side struct {
	status  Status
	against int
}

// after returns the side after one more answer.
func (s side) after(answer Status, rise, fall int) side {
	switch {
	case s.status == Unknown, failing(s.status) == failing(answer):
		return side{status: answer}
	case s.against+1 >= s.needs(rise, fall):
		return side{status: answer}
	}
	s.against++
	return s
}

// needs returns how many answers in a row change the side.
func (s side) needs(rise, fall int) int {
	if failing(s.status) {
		return rise
	}
	return fall
}

func failing(s Status) bool { return s == Fail }

// take adds one more answer to the result.
func (r *Result) take(a reply, rise, fall int) {
	r.Runs++
	if a.status == Fail {
		r.Failures++
	}
	r.Last, r.LastOutput, r.Time, r.Took = a.status, a.output, a.ended, a.took

	next := side{r.Status, r.against}.after(a.status, rise, fall)
	if next.status != r.Status {
		r.Since = a.ended
	}
	if next.against == 0 { // the answer agrees with Status, and so explains it
		r.Output, r.Expired = a.output, false
	}
	r.Status, r.against = next.status, next.against
	r.passed = r.passed || green(r.Status)
}

// softened returns what the result's Status means for the verdict.
func softened(r *Result, shared SharedFailure) Status {
	if r.Status == Fail && (r.Impact == Degraded || r.Scope == Shared && shared == SharedWarns) {
		return Warn
	}
	return r.Status
}

// drain is whether and why the instance is being taken out of service.
type drain struct {
	draining bool
	reason   string
}

// findings sorts results by what they do to the verdict.
type findings struct {
	fails, warns []*Result
	unproven     []*Result // critical, and never passed yet
}

func sortOut(results []Result, shared SharedFailure) *findings {
	var f findings
	for i := range results {
		r := &results[i]
		switch softened(r, shared) {
		case Fail:
			f.fails = append(f.fails, r)
		case Warn:
			f.warns = append(f.warns, r)
		case Unknown, Pass:
		}
		if r.Impact == Critical && !r.passed {
			f.unproven = append(f.unproven, r)
		}
	}
	return &f
}

// unasked reports whether a critical check was never asked, so that the verdict
// may yet turn out to be what it was before Adopt.
func (f *findings) unasked() bool {
	return slices.ContainsFunc(f.unproven, func(r *Result) bool { return r.Status == Unknown })
}

// judge makes the verdict, save its Since.
func judge(f *findings, d drain, results []Result) Verdict {
	v := Verdict{Status: Pass, Starting: len(f.unproven) > 0, Draining: d.draining, Results: results}
	switch {
	case d.draining:
		v.Status, v.Reason = Fail, prefixed("draining", d.reason)
	case len(f.fails) > 0:
		v.Status, v.Reason = Fail, explain(f.fails)
	case len(f.unproven) > 0:
		v.Status, v.Reason = Fail, waiting(f)
	case len(f.warns) > 0:
		v.Status, v.Reason = Warn, explain(f.warns)
	}
	return v
}

// Judge returns what the results of RunOnce amount to: Fail if a check failed
// that fails the verdict, Warn if anything else is not as it should be.
func Judge(results []Result, shared SharedFailure) Status {
	worst := Pass
	for i := range results {
		worst = max(worst, softened(&results[i], shared))
	}
	return worst
}

// expire turns r into a failure if it is green and older than maxAge.
func expire(r *Result, maxAge time.Duration, now time.Time) bool {
	if !green(r.Status) || now.Sub(r.Time) < maxAge {
		return false
	}
	r.Status, r.against, r.Expired, r.Since = Fail, 0, true, now
	r.Output = fmt.Sprintf("no answer for %v; the last one is worth nothing after %v",
		now.Sub(r.Time).Round(time.Second), maxAge)
	return true
}

func green(s Status) bool { return s == Pass || s == Warn }

func names(results []*Result) string {
	list := make([]string, len(results))
	for i, r := range results {
		list[i] = r.Name
	}
	return strings.Join(list, ", ")
}

func explain(results []*Result) string {
	list := make([]string, len(results))
	for i, r := range results {
		list[i] = prefixed(r.Name, r.Output)
	}
	return strings.Join(list, "; ")
}

func waiting(f *findings) string { return "starting: waiting for " + names(f.unproven) }

// prefixed puts a subject before what is said of it, if anything is.
func prefixed(subject, text string) string {
	if text == "" {
		return subject
	}
	return subject + ": " + text
}
