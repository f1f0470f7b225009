package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/probe"
)

// timeHypotheses are about patience, lengths, and what counts as success.
var timeHypotheses = []hypothesis{
	{id: "body-never-ends", on: []class{classCut, classSlowBody}, look: unfinished},
	{id: "worker-killed", on: []class{classKilled}, look: closesAlike},
	{id: "worker-killed", on: []class{classSilent}, changes: wait, accept: closedLater},
	{id: "slow-handler", on: []class{classSilent}, changes: wait},
	{id: "no-length-no-chunked", on: []class{classUnexpected}, fits: noLength, look: theHeader},
	{id: "success-matcher-mismatch", on: []class{classUnexpected}, changes: toAccept},
}

func wait(x *examination) []change { return []change{patience(x.current.probe)} }

func toAccept(x *examination) []change {
	return []change{accepting(x.current.probe, x.current.answer.Status)}
}

// closedLater tells whether the server gave up by itself.
func closedLater(_ *examination, s step) bool { return s.after.sign.class == classKilled }

// unfinished shows how much of the body came.
func unfinished(_ context.Context, x *examination) []Evidence {
	a := &x.current.answer
	seen := x.answered("the probe itself")
	if length := a.Get("Content-Length"); length != "" {
		seen = append(seen, Evidence{Change: "Content-Length", Before: printable(length, 20) + ", came: " + strconv.FormatInt(a.BodySize, 10)})
	}
	return append(seen, Evidence{Change: "first byte after", Before: rough(a.Times.FirstByte)})
}

// closesAlike sends the probe again: a server's own time-out closes at the
// same time each time.
func closesAlike(ctx context.Context, x *examination) []Evidence {
	again := x.send(ctx, x.current.probe)
	if again.sign.class != x.current.sign.class {
		return nil
	}
	return []Evidence{{Change: "the same probe again", Before: x.brief(x.current), After: x.brief(again)}}
}

// noLength fits the Classic Load Balancer's rule that a body needs a length.
func noLength(x *examination) bool {
	a := &x.current.answer
	return x.Probe.Prober.Name == "classic" && a.Status == 200 && a.Get("Content-Length") == "" &&
		!strings.Contains(strings.ToLower(a.Get("Transfer-Encoding")), "chunked")
}

func theHeader(_ context.Context, x *examination) []Evidence {
	return []Evidence{{Change: "the answer's header", Before: x.brief(x.current) + ", neither Content-Length nor chunked"}}
}

// judgeRepeats looks at the same probe sent several times.
func (x *examination) judgeRepeats(ctx context.Context, own []exchange) {
	alike := true
	for _, e := range own[1:] {
		alike = alike && e.sign.class == own[0].sign.class
	}
	if alike && !x.wavers(own) {
		return
	}
	if i := slices.IndexFunc(own, limitedOne); i > 0 && !alike {
		x.limit(own[0], own[i])
		return
	}
	x.judgeFlapping(ctx, own)
}

// limitedOne tells a refusal for asking too often: 429, or 503 after another
// answer.
func limitedOne(e exchange) bool {
	return e.sign.class == classLimited || e.sign.class == classUnavailable
}

// limit ends the examination of a target that limits how often it is asked:
// that is found first, for it makes the check fail at times whatever else.
func (x *examination) limit(before, after exchange) {
	x.limited, x.flapping = true, true
	if x.found("rate-limited") {
		return
	}
	seen := []Evidence{{Change: "the same probe again", Before: x.brief(before), After: x.brief(after)}}
	if wait := after.answer.Get("Retry-After"); wait != "" {
		seen = append(seen, Evidence{Change: "Retry-After", Before: printable(wait, 60)})
	}
	found := x.findings
	x.findings = nil
	x.conclude("rate-limited", after, seen)
	x.findings = append(x.findings, found...)
}

// wavers tells whether the answers' times come near the time-out though they
// pass.
func (x *examination) wavers(own []exchange) bool {
	return slices.ContainsFunc(own, func(e exchange) bool {
		return e.answer.Outcome == probe.Answered && e.answer.Times.Total*3 > x.Probe.Timeout
	})
}

// flappingSample is how many probes tell how often a check flaps.
const flappingSample = 20

// judgeFlapping sends the probe more often, and tells what share of the
// answers is too late.
func (x *examination) judgeFlapping(ctx context.Context, own []exchange) {
	x.say("answers differ; sending the probe more often")
	for len(own) < flappingSample {
		own = append(own, x.send(ctx, x.Probe))
		if !x.going() {
			return
		}
	}
	var times []time.Duration
	var pass exchange
	late := 0
	for _, e := range own {
		switch {
		case e.answer.Healthy:
			pass = e
			times = append(times, e.answer.Times.Total)
		case e.sign.class == classSilent || e.sign.class == classSlowBody || e.sign.class == classConnectTimeout:
			late++
		}
	}
	slices.Sort(times)
	if len(times) == 0 || late == 0 && times[len(times)-1]*3 <= x.Probe.Timeout {
		return
	}
	x.flapping = late > 0
	x.conclude("tight-timeout-flapping", own[0], []Evidence{{
		Change: fmt.Sprintf("the same probe, %d times", len(own)),
		Before: fmt.Sprintf("%d passed, the middle one in %s, the slowest in %s", len(times), rough(times[len(times)/2]), rough(times[len(times)-1])),
		After:  fmt.Sprintf("%d not within %v", late, x.Probe.Timeout),
	}})
	x.move(pass)
}
