package health

import (
	"math"
	"slices"
	"sync"
	"time"
)

const neverExpires = time.Duration(math.MaxInt64)

// state is the verdicts with their answers, prepared once and never changed, so
// that any number of requests can be answered from it without a lock.
type state struct {
	service *Options
	results []Result      // of all checks
	expires time.Duration // since the Monitor was made: when to judge anew

	live, startup *aspect
	judged        []*aspect // of the profiles with a verdict: ready, then the endpoints
	metrics       lazyViews
}

// ready is the aspect of the verdict on the instance.
func (s *state) ready() *aspect { return s.judged[0] }

// endpoint finds the aspect of a profile of the program's own.
func (s *state) endpoint(profile string) *aspect {
	for _, a := range s.judged {
		if a.profile == profile {
			return a
		}
	}
	return nil
}

// aspect is what one path tells: a verdict of its own, in each format.
type aspect struct {
	service *Options
	profile string // of the checks behind it, if it is a profile's
	verdict Verdict
	check   bool // of one check, verdict.Results[0]
	text    views
	json    lazyViews
}

// views are a document without and with details; the same if there are none.
type views struct{ brief, full *document }

// lazyViews are rendered when somebody first asks for them.
type lazyViews struct{ brief, full func() *document }

func newState(service *Options, results []Result, judged []*aspect, startup *aspect, expires time.Duration) *state {
	s := &state{
		service: service,
		results: results,
		expires: expires,
		live:    newAspect(service, "", Verdict{Status: Pass}, "ok"),
		startup: startup,
		judged:  judged,
	}
	s.metrics = lazyViews{
		brief: sync.OnceValue(func() *document { return newDocument(typeMetrics, metricsBrief(s)) }),
		full:  sync.OnceValue(func() *document { return newDocument(typeMetrics, metricsFull(s)) }),
	}
	return s
}

// newStartup makes the aspect of starting, which once over is over for good.
func newStartup(service *Options, f *findings, started bool) *aspect {
	v, line := Verdict{Status: Pass, Results: f.results}, "ok"
	if !started {
		v.Status, v.Starting, v.Reason = Fail, true, waiting(f)
		line = plainStartup(f)
	}
	return newAspect(service, ProfileStartup, v, line)
}

func newAspect(service *Options, profile string, v Verdict, line string) *aspect {
	a := &aspect{service: service, profile: profile, verdict: v}
	a.text.brief = textDocument(plainBrief(v.Status))
	a.text.full = a.text.brief
	if line != plainBrief(v.Status) {
		a.text.full = textDocument(line)
	}
	a.json.brief = sync.OnceValue(func() *document { return jsonBrief(v.Status) })
	a.json.full = sync.OnceValue(func() *document { return jsonFull(service, &v) })
	return a
}

// check makes the aspect of one check, if there is one of that name, or of a
// group with its members.
func (s *state) check(name string) (*aspect, bool) {
	i := slices.IndexFunc(s.results, func(r Result) bool { return r.Name == name })
	if i < 0 {
		return nil, false
	}
	r := &s.results[i]
	v := Verdict{Status: r.Status, Reason: r.withCause(r.Output), Since: r.Since, Results: withMembers(s.results[i:])}
	switch r.Status {
	case Unknown:
		v.Status, v.Reason = Fail, notAsked
	case Pass:
		v.Reason = ""
	case Warn, Fail:
	}
	a := newAspect(s.service, "", v, plainCheck(r))
	a.check = true
	return a, true
}

// withMembers returns the first of results with the members that follow it, and
// theirs.
func withMembers(results []Result) []Result {
	within := []string{results[0].Name}
	for i := 1; i < len(results); i++ {
		if !slices.Contains(within, results[i].Group) {
			return results[:i]
		}
		within = append(within, results[i].Name)
	}
	return results
}
