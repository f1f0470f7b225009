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
	came := Evidence{Change: "bytes of the body that came", Before: strconv.FormatInt(a.BodySize, 10)}
	if length := a.Get("Content-Length"); length != "" {
		came = Evidence{Change: "Content-Length", Before: printable(length, 20) + ", came: " + strconv.FormatInt(a.BodySize, 10)}
	}
	seen = append(seen, came)
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
	first := own[0].sign.class
	i := slices.IndexFunc(own, func(e exchange) bool { return e.sign.class != first })
	switch {
	case i < 0 && (first != classHealthy || !x.wavers(own)):
	case i < 0 || !x.limits(ctx, own[0], own[i]):
		x.judgeFlapping(ctx, own)
	case x.going():
		x.limit(own[0], own[i])
	}
}

// spread is the time between two probes that no limit counts together.
const spread = time.Second

// limits tells a refusal for asking too often from an answer that comes and
// goes: it stays as long as one goes on asking, and goes away with patience.
func (x *examination) limits(ctx context.Context, before, after exchange) bool {
	switch {
	case after.sign.class == classLimited:
		return true
	case after.sign.class != classUnavailable || before.sign.status >= 500:
		return false
	case after.answer.Get("Retry-After") != "":
		return true
	}
	refused := 0
	for range 4 {
		if x.send(ctx, after.probe).sign.class == classUnavailable {
			refused++
		}
	}
	for i := 0; refused < 4 && i < 4; i++ {
		select {
		case <-ctx.Done():
		case <-time.After(spread):
		}
		if x.send(ctx, after.probe).sign.class == classUnavailable || !x.going() {
			return false
		}
	}
	return true
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
func (x *examination) wavers(own []exchange) bool { return slices.ContainsFunc(own, x.near) }

// near tells an answer that came in time, and took a third of it.
func (x *examination) near(e exchange) bool {
	return e.answer.Outcome == probe.Answered && e.answer.Times.Total*3 > x.Probe.Timeout
}

// flappingSample is how many probes tell how often a check flaps; half of them
// are enough where nothing but the first answer, of a server that was cold,
// took its time.
const flappingSample = 20

// judgeFlapping sends the probe more often, and tells what share of the
// answers is too late.
func (x *examination) judgeFlapping(ctx context.Context, own []exchange) {
	x.say("answers differ; sending the probe more often")
	calm := func(e exchange) bool { return e.answer.Healthy && !x.near(e) }
	for len(own) < flappingSample && (len(own) < flappingSample/2 || slices.ContainsFunc(own[1:], func(e exchange) bool { return !calm(e) }) || !own[0].answer.Healthy) {
		own = append(own, x.send(ctx, x.Probe))
		if !x.going() {
			return
		}
	}
	var times []time.Duration
	var pass, other exchange
	late, others, near := 0, 0, 0
	for _, e := range own {
		switch {
		case e.answer.Healthy:
			pass = e
			times = append(times, e.answer.Times.Total)
			if x.near(e) {
				near++
			}
		case e.sign.class.in(classSilent, classSlowBody, classConnectTimeout):
			late++
		default:
			other = e
			others++
		}
	}
	if others > 0 && len(times) > 0 {
		x.unsteady(own, len(times), others, other)
		return
	}
	slices.Sort(times)
	if len(times) == 0 || late == 0 && near < 2 {
		return
	}
	if late == 1 && near == 0 {
		x.stalled(len(own), times)
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

// unsteady ends the examination of a check that fails at times, and not for
// want of time: what changes the answer is not in the request.
func (x *examination) unsteady(own []exchange, passed, failed int, other exchange) {
	x.flapping, x.wavering = true, true
	if failed == 1 && !own[0].answer.Healthy {
		x.undecided = append(x.undecided, Undecided{
			fmt.Sprintf("why the first probe was answered %s, and the %d after it passed", x.brief(other), passed),
			"it may be what a request meets after a pause, such as a connection to the database that has ended, or a start that was not over; read the log of that time, wait some minutes, and run this again",
		})
		return
	}
	x.undecided = append(x.undecided, Undecided{
		fmt.Sprintf("why the same probe passes at times: of %d, %d passed and %d were answered %s or so", len(own), passed, failed, x.brief(other)),
		"look whether several processes or machines answer here in turn, such as the upstreams of a proxy or two versions of the app, and examine each by itself",
	})
}

// stalled ends the examination of a check of which one answer did not come in
// time, once, and all others came at once: more patience would not mend that.
func (x *examination) stalled(sent int, times []time.Duration) {
	x.flapping, x.wavering = true, true
	x.undecided = append(x.undecided, Undecided{
		fmt.Sprintf("why one probe was not answered within %v: of %d, the %d others passed, the slowest in %s", x.Probe.Timeout, sent, len(times), rough(times[len(times)-1])),
		"look what keeps the app busy for so long at times: few workers and a slow request, a job in the same process, collecting garbage, a processor that is taken away from it; and run this again",
	})
}

// elsewhere tells whether a server that is silent answers another path: then it
// is the handler that waits for something.
func (x *examination) elsewhere(ctx context.Context) string {
	c := randomPath()
	e := x.with(ctx, c)
	switch {
	case !x.going():
		return ""
	case e.sign.class == classSilent:
		return "; a path that does not exist is not answered, either, so nobody takes requests, or all wait for the same"
	}
	return "; a path that does not exist is answered " + x.brief(e) + " in " + rough(e.answer.Times.Total) + ", so it is the handler of this path that waits, for a lock or a dependency, or that forgets to answer"
}
