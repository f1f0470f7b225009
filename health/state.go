package health

import (
	"math"
	"sync"
	"time"
)

const neverExpires = time.Duration(math.MaxInt64)

// state is a verdict with its answers, prepared once and never changed, so that
// any number of requests can be answered from it without a lock.
type state struct {
	service *Options
	verdict Verdict
	expires time.Duration // since the Monitor was made: when to judge anew

	ready, live, startup *aspect
	metrics              lazyViews
}

// aspect is what one path tells: a verdict of its own, in each format.
type aspect struct {
	service *Options
	verdict Verdict
	check   bool // of one check alone, verdict.Results[0]
	text    views
	json    lazyViews
}

// views are a document without and with details; the same if there are none.
type views struct{ brief, full *document }

// lazyViews are rendered when somebody first asks for them.
type lazyViews struct{ brief, full func() *document }

func newState(service *Options, v Verdict, f *findings, started bool, expires time.Duration) *state {
	startup, startupLine := Verdict{Status: Pass}, "ok"
	if !started {
		startup, startupLine = Verdict{Status: Fail, Starting: true, Reason: waiting(f)}, plainStartup(f)
	}
	return &state{
		service: service,
		verdict: v,
		expires: expires,
		ready:   newAspect(service, v, plainReady(&v, f)),
		live:    newAspect(service, Verdict{Status: Pass}, "ok"),
		startup: newAspect(service, startup, startupLine),
		metrics: lazyViews{
			brief: sync.OnceValue(func() *document { return newDocument(typeMetrics, metricsBrief(&v)) }),
			full:  sync.OnceValue(func() *document { return newDocument(typeMetrics, metricsFull(service, &v)) }),
		},
	}
}

func newAspect(service *Options, v Verdict, line string) *aspect {
	a := &aspect{service: service, verdict: v}
	a.text.brief = textDocument(plainBrief(v.Status))
	a.text.full = a.text.brief
	if line != plainBrief(v.Status) {
		a.text.full = textDocument(line)
	}
	a.json.brief = sync.OnceValue(func() *document { return jsonBrief(v.Status) })
	a.json.full = sync.OnceValue(func() *document { return jsonFull(service, &v) })
	return a
}

// check makes the aspect of one check, if there is one of that name.
func (s *state) check(name string) (*aspect, bool) {
	for i := range s.verdict.Results {
		r := &s.verdict.Results[i]
		if r.Name != name {
			continue
		}
		v := Verdict{Status: r.Status, Reason: r.Output, Since: r.Since, Results: s.verdict.Results[i : i+1]}
		switch r.Status {
		case Unknown:
			v.Status, v.Reason = Fail, notAsked
		case Pass:
			v.Reason = ""
		case Warn, Fail:
		}
		a := newAspect(s.service, v, plainCheck(r))
		a.check = true
		return a, true
	}
	return nil, false
}
