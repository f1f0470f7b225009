package doctor

import (
	"context"
	"iter"
	"slices"
)

// hypothesis is one row of the doctor's knowledge: on which answers a failure
// mode may be the cause, and what proves it.
type hypothesis struct {
	// id is the failure mode's.
	id string
	// on are the classes of answers that it explains.
	on []class
	// fits tells by what is known already whether it is worth a probe; nil: yes.
	fits func(*examination) bool
	// inside marks one that is provable on the machine alone.
	inside bool
	// after are the failure modes that must have explained the answer already,
	// without a change that turned it; none: nothing may have explained it.
	after []string
	// look proves it without turning the answer: by the answer itself, by what
	// the machine shows, or by a control. It returns what it saw, nothing if
	// that is no proof.
	look func(context.Context, *examination) []Evidence
	// changes are the experiments, one after the other; with a look they only
	// lead on to what is behind, so that one that waited until a fault of the
	// moment was over need not find it there again.
	changes func(*examination) []change
	// accept says which answers to a change prove it; nil: see turns.
	accept func(*examination, step) bool
	// proves is a control after an experiment that turned the answer; nil:
	// none is needed.
	proves func(context.Context, *examination, step) bool
	// also are other changes that are shown where each cures it by itself.
	also func(*examination) []change
	// aside marks a cause of the cause: what explains the answer is still to be
	// found.
	aside bool
	// only says that nothing less than a pass proves it.
	only bool
}

// hypotheses is the table, in the order in which they are tried for an answer:
// the cheapest experiment that tells causes apart comes first.
var hypotheses = slices.Concat(
	socketHypotheses, wireHypotheses, hostHypotheses, refusalHypotheses, redirectHypotheses,
	pathHypotheses, errorHypotheses, timeHypotheses,
)

// eligible tells whether a hypothesis may explain the current answer.
func (h *hypothesis) eligible(x *examination) bool {
	switch {
	case !slices.Contains(h.on, x.current.sign.class), h.inside && !x.Inside, x.found(h.id):
		return false
	case x.explained == "" && len(h.after) > 0, x.explained != "" && !slices.Contains(h.after, x.explained):
		return false
	}
	return h.fits == nil || h.fits(x)
}

// experiments yields the changes to try. An answer may have told of more, such
// as another name of the site, so they are asked for anew each time.
func (h *hypothesis) experiments(x *examination) iter.Seq[change] {
	return func(yield func(change) bool) {
		var done []string
		for {
			all := h.changes(x)
			i := slices.IndexFunc(all, func(c change) bool { return !slices.Contains(done, c.text) })
			if i < 0 || !yield(all[i]) {
				return
			}
			done = append(done, all[i].text)
		}
	}
}

// turns tells whether an experiment moved the answer past the fault: to
// success, or to another answer from deeper inside.
func (h *hypothesis) turns(x *examination, s step) bool {
	before, after := s.before.sign, s.after.sign
	switch {
	case h.accept != nil:
		return h.accept(x, s)
	case after.class == classHealthy:
		return true
	case h.only || after == before || after.class == classLimited:
		return false
	case after.class.redirects() && (x.solved(s.after) || s.after.answer.Get("Location") == s.before.answer.Get("Location")):
		return false
	case before.class.redirects() && after.class.redirects():
		return after.class != before.class || after.location != before.location
	case before.class.transport():
		return !after.class.transport() || depth(after.class) > depth(before.class)
	case after.class.transport():
		return len(s.after.answer.Followed) > len(s.before.answer.Followed) // what it was redirected to is not the target's
	}
	return after.class != before.class || after.by != before.by
}

// depth orders what can go wrong before an HTTP answer.
func depth(c class) int {
	return slices.Index([]class{
		classUnreachable, classConnectTimeout, classRefused, classKilled, classEmpty, classNotHTTP, classTLS,
		classSilent, classCut, classSlowBody,
	}, c)
}

// one is for rows with a single experiment.
func one(c change) func(*examination) []change {
	return func(*examination) []change { return []change{c} }
}

// toDomain asks for the site by its public names.
func toDomain(x *examination) []change {
	var all []change
	for _, name := range x.site.names() {
		if name != x.current.probe.SentHost() {
			all = append(all, hostIs("host", name))
		}
	}
	return all
}

// is is for rows that fit one author of the current answer.
func is(names ...string) func(*examination) bool {
	return func(x *examination) bool { return slices.Contains(names, author(&x.current.answer)) }
}

// has is for rows that fit a text in the current answer's body.
func has(pattern string) func(*examination) bool {
	text := re(pattern)
	return func(x *examination) bool { return text.Match(x.current.answer.Body) }
}

// runs is for rows that fit software seen in any answer so far.
func runs(names ...string) func(*examination) bool {
	return func(x *examination) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(x.site.software, n) })
	}
}

func all(conditions ...func(*examination) bool) func(*examination) bool {
	return func(x *examination) bool {
		return !slices.ContainsFunc(conditions, func(c func(*examination) bool) bool { return !c(x) })
	}
}

func either(conditions ...func(*examination) bool) func(*examination) bool {
	return func(x *examination) bool {
		return slices.ContainsFunc(conditions, func(c func(*examination) bool) bool { return c(x) })
	}
}

func not(c func(*examination) bool) func(*examination) bool {
	return func(x *examination) bool { return !c(x) }
}

// answered shows the current answer itself as evidence.
func (x *examination) answered(what string) []Evidence {
	return []Evidence{{Change: what, Before: x.brief(x.current)}}
}

// unturned is evidence that a change left the answer as it was.
func (x *examination) unturned(c change, e exchange) Evidence {
	return Evidence{Change: c.text, Before: x.brief(x.current), After: x.brief(e)}
}
