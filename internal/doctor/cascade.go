package doctor

import (
	"cmp"
	"context"
	"slices"

	"hale/internal/elb"
	"hale/internal/targetgroup"
)

// examined is a target of a group, with all that was learnt of it.
type examined struct {
	target      targetgroup.Target
	examination *examination
	report      *Report
}

// shareable are the failure modes of one instance whose cause may be one for
// all instances.
var shareable = []string{"dependency-down-500", "db-pool-exhausted"}

// lacks is what the target's app says that it cannot reach, "" if that is not
// what fails its check.
func (e *examined) lacks() string {
	for _, f := range e.report.Findings {
		if !slices.Contains(shareable, f.ID) {
			continue
		}
		if name := dependencyIn(string(e.examination.current.answer.Body)); name != "" {
			return name
		}
		for _, seen := range f.Evidence { // of a log, for an answer's text is cut short there
			if name := dependencyIn(seen.Before); name != "" {
				return name
			}
		}
	}
	return ""
}

// cascade finds one dependency that fails the check of every target: each
// target fails, all for want of the same thing, which is no instance's own, and
// a path that does not ask it passes on each of them.
func (x *groupExamination) cascade(ctx context.Context, r *GroupReport) {
	if !x.allFail() {
		return
	}
	shared := x.allLack()
	if shared == "" {
		r.Undecided = append(r.Undecided, x.maybeShared()...)
		return
	}
	path, passed := x.shallow(ctx)
	if path == "" {
		r.Undecided = append(r.Undecided, Undecided{
			"whether the targets are well but for " + printable(shared, 80) + ", which the checks of all of them lack (deep-check-cascade): no path is known that answers without it",
			"give one with --path, such as a page that needs no data",
		})
		return
	}
	mode, ok := findMode("deep-check-cascade")
	if !ok {
		panic("doctor: deep-check-cascade is no failure mode")
	}
	data := x.fixData()
	f := Finding{
		ID: mode.ID, Title: mode.Title, Because: mode.because(data) + " Here that is " + printable(shared, 80) + ".",
		Fixes: fixesFor(mode.ID, x.software, data),
	}
	for i, e := range x.done {
		f.Targets = append(f.Targets, e.target.Name())
		f.Evidence = append(f.Evidence, Evidence{
			Change: e.target.Name() + ", " + printable(path, 80) + " instead of " + printable(e.examination.current.probe.Path, 80),
			Before: e.examination.brief(e.examination.current) + ", for want of " + printable(shared, 80),
			After:  e.examination.brief(passed[i]),
		})
	}
	r.Findings = append(r.Findings, f)
}

// allFail tells whether there are several targets, and every one that takes part
// fails.
func (x *groupExamination) allFail() bool {
	taking := 0
	for _, t := range x.Group.Targets {
		if t.State != elb.Draining && t.State != elb.Unused {
			taking++
		}
	}
	return taking > 1 && len(x.done) == taking && !slices.ContainsFunc(x.done, func(e *examined) bool { return e.report.Healthy })
}

// allLack is what every target fails for want of; "" if one does not tell, or
// fails for want of something else.
func (x *groupExamination) allLack() string {
	shared := x.done[0].lacks()
	for _, e := range x.done {
		if e.lacks() != shared {
			return ""
		}
	}
	if isOwn(shared) {
		return ""
	}
	return shared
}

// maybeShared asks whether errors that are alike have one cause, where the
// targets do not all tell it. Where two tell different ones, they have not.
func (x *groupExamination) maybeShared() []Undecided {
	class := x.done[0].examination.current.sign.class
	told := ""
	for _, e := range x.done {
		lacks := e.lacks()
		if e.examination.current.sign.class != class || told != "" && lacks != "" && lacks != told || lacks != "" && isOwn(lacks) {
			return nil
		}
		told = cmp.Or(told, lacks)
	}
	if !class.in(classServerError, classUnavailable, classSilent) {
		return nil
	}
	what := "whether one shared dependency fails all targets (deep-check-cascade): their answers are alike, " + x.done[0].examination.brief(x.done[0].examination.current)
	if told != "" {
		what += ", one of them for want of " + printable(told, 80)
	}
	return []Undecided{{what, "read the app's log on each of them, or run this there with --from-inside: do all name the same database, cache or service?"}}
}

// mostShallow is how many paths are asked of each target at most.
const mostShallow = 4

// shallow looks for a path that passes on every target, and returns it with
// each target's answer.
func (x *groupExamination) shallow(ctx context.Context) (path string, passed []exchange) {
	candidates := append(slices.Clone(x.Paths), "/", "/livez", "/ping")
	for _, path := range candidates[:min(len(candidates), mostShallow)] {
		passed = passed[:0]
		for _, e := range x.done {
			one := e.examination
			if !one.going() || path == one.current.probe.Path {
				break
			}
			answer := one.send(ctx, pathIs("path", path).apply(one.current.probe))
			e.report.Requests = len(one.sent) + one.watched
			if answer.sign.class != classHealthy {
				break
			}
			passed = append(passed, answer)
		}
		if len(passed) == len(x.done) {
			return path, passed
		}
	}
	return "", nil
}
