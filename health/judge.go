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
	r.note(a)
	next := side{r.Status, r.against}.after(a.status, rise, fall)
	if r.against = next.against; next.against == 0 { // the answer agrees with Status, or decides it
		r.settle(a)
	}
}

// note keeps the last answer, and counts it.
func (r *Result) note(a reply) {
	r.Runs++
	if a.status == Fail {
		r.Failures++
	}
	r.Last, r.LastOutput, r.Time, r.Took = a.status, a.output, a.ended, a.took
}

// settle makes an answer the Status, which it also explains.
func (r *Result) settle(a reply) {
	if a.status != r.Status {
		r.Since = a.ended
	}
	r.Status, r.Output, r.Expired = a.status, a.output, false
	r.passed = r.passed || green(r.Status)
}

// softened returns what the Status of a result, which is one of all, means for
// the verdict. A failure that follows from another has that one's scope: a page
// that fails because the database does, which every instance uses, fails
// everywhere at once too.
func softened(r *Result, all []Result, shared SharedFailure) Status {
	if r.Status != Fail {
		return r.Status
	}
	scope := r.Scope
	if cause := find(all, r.CausedBy); cause != nil {
		scope = cause.Scope
	}
	if r.Impact == Degraded || scope == Shared && shared == SharedWarns {
		return Warn
	}
	return Fail
}

// drain is whether and why the instance is being taken out of service.
type drain struct {
	draining bool
	reason   string
}

// findings sorts the results of a profile by what they do to its verdict.
type findings struct {
	results      []Result
	fails, warns []*Result // to be named
	unproven     []*Result // likewise; critical, and never passed yet
}

// sortOut finds what the results of a profile do to its verdict. Members of
// groups count for nothing. A consequence is not named beside its cause, unless
// it is worse for the verdict than that, or the cause is none of the profile's:
// then both are.
func sortOut(all []Result, shared SharedFailure, profile string) *findings {
	f := findings{results: ofProfile(all, profile)}
	for i := range f.results {
		r := &f.results[i]
		if r.Group != "" {
			continue
		}
		head := find(all, r.behind)
		beside := head != nil && head.countsFor(profile)
		if awaited(r) && (!beside || !awaited(head)) {
			f.unproven = append(f.unproven, r)
		}
		status := softened(r, all, shared)
		if beside && softened(head, all, shared) >= status {
			continue
		}
		switch status {
		case Fail:
			f.fails = named(f.fails, head, r)
		case Warn:
			f.warns = named(f.warns, head, r)
		case Unknown, Pass:
		}
	}
	return &f
}

// awaited reports whether the instance is starting until r has passed.
func awaited(r *Result) bool { return r.Impact == Critical && !r.passed }

// named adds r to those that are named, and before it the check that it is
// behind, if there is one.
func named(list []*Result, head, r *Result) []*Result {
	if head != nil && !slices.ContainsFunc(list, func(n *Result) bool { return n.Name == head.Name }) {
		list = append(list, head)
	}
	return append(list, r)
}

// unasked reports whether a critical check was never asked, so that the verdict
// may yet turn out to be what it was before Adopt.
func (f *findings) unasked() bool {
	return slices.ContainsFunc(f.unproven, func(r *Result) bool { return r.Status == Unknown })
}

// judge makes the verdict, save its Since.
func judge(f *findings, d drain) Verdict {
	v := Verdict{Status: Pass, Starting: len(f.unproven) > 0, Draining: d.draining, Results: f.results}
	switch {
	case d.draining:
		v.Status, v.Reason = Fail, prefixed("draining", d.reason)
	case len(f.fails) > 0:
		v.Status, v.Reason = Fail, explain(f.fails, (*Result).explanation)
	case len(f.unproven) > 0:
		v.Status, v.Reason = Fail, waiting(f)
	case len(f.warns) > 0:
		v.Status, v.Reason = Warn, explain(f.warns, (*Result).explanation)
	}
	return v
}

// Judge returns what the results of RunOnce amount to: Fail if a check failed
// that fails the verdict, Warn if anything else is not as it should be. Members
// of groups do not count.
func Judge(results []Result, shared SharedFailure) Status {
	return judgeAll(results, shared, func(*Result) bool { return true })
}

// JudgeProfile is Judge for a profile: the checks of others say what a failure
// follows from, and do not count themselves.
func JudgeProfile(results []Result, profile string, shared SharedFailure) Status {
	return judgeAll(results, shared, func(r *Result) bool { return r.countsFor(profile) })
}

func judgeAll(results []Result, shared SharedFailure, counts func(*Result) bool) Status {
	worst := Pass
	for i := range results {
		if results[i].Group == "" && counts(&results[i]) {
			worst = max(worst, softened(&results[i], results, shared))
		}
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

// explain tells of each result what say says of it.
func explain(results []*Result, say func(*Result) string) string {
	list := make([]string, len(results))
	for i, r := range results {
		list[i] = prefixed(r.Name, say(r))
	}
	return strings.Join(list, "; ")
}

// explanation is the result's outcome, with what it follows from.
func (r *Result) explanation() string { return r.withCause(r.outcome()) }

// outcome is the result's output, or why it is named though it passes.
func (r *Result) outcome() string {
	if r.Status == Pass && r.Last == Fail {
		return prefixed("last answer", r.LastOutput)
	}
	return r.Output
}

// withCause adds to what is said of r what its failure follows from.
func (r *Result) withCause(text string) string {
	if r.CausedBy == "" {
		return text
	}
	return strings.TrimSpace(text + " (caused by " + r.CausedBy + ")")
}

func waiting(f *findings) string { return "starting: waiting for " + names(f.unproven) }

// prefixed puts a subject before what is said of it, if anything is.
func prefixed(subject, text string) string {
	if text == "" {
		return subject
	}
	return subject + ": " + text
}
