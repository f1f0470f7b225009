package health

import (
	"fmt"
	"slices"
)

// answerOfGroup is what the members' results amount to: the best or the worst
// of them. It is Unknown while that cannot be told yet.
func answerOfGroup(best bool, members []*Result) reply {
	var a reply
	good, bad, known := Fail, Pass, 0
	for _, m := range members {
		a.took = max(a.took, m.Took)
		if m.Time.After(a.ended) {
			a.ended = m.Time
		}
		if m.Status != Unknown {
			known++
			good, bad = min(good, m.Status), max(bad, m.Status)
		}
	}
	all := known == len(members)
	switch {
	case best && (all || green(good) && known > 0):
		a.status = good
	case !best && (all || bad == Fail):
		a.status = bad
	}
	a.output = explainGroup(a.status, best, members)
	return a
}

// explainGroup tells how many members pass, and what the others say. An answer
// that is no pass is explained by those that make it so. What they follow from is
// not repeated for each: it is what the group follows from.
func explainGroup(status Status, best bool, members []*Result) string {
	passes := 0
	var others []*Result
	for _, m := range members {
		switch {
		case m.Status == Pass:
			passes++
		case m.Status != Unknown && (best || m.Status == status):
			others = append(others, m)
		}
	}
	if status != Pass {
		return explain(others, (*Result).outcome)
	}
	return prefixed(fmt.Sprintf("%d of %d pass", passes, len(members)), explain(others, (*Result).outcome))
}

// hear makes a group's result anew after its member number j has answered.
func (r *Result) hear(c *Check, j int, members []*Result) {
	a := answerOfGroup(len(c.Any) > 0, members)
	if a.status == Unknown {
		return
	}
	r.note(a)
	against := r.Status != Unknown && failing(r.Status) != failing(a.status)
	if against {
		// Counted are the answers of a member that speaks against Status as the
		// group now does, so that members which answer often do not make a row of
		// one failure of a member that answers rarely.
		tally := make([]int, len(members)) // a new one: the old may be another goroutine's by now
		copy(tally, r.tally)
		if failing(members[j].Status) == failing(a.status) {
			tally[j]++
		}
		r.tally = tally
		if slices.Max(tally) < (side{status: r.Status}).needs(c.Rise, c.Fall) {
			return
		}
	}
	r.tally = nil
	r.settle(a)
}

// collapse lets a group fail whose answer is a failure since members expired.
// Fall does not matter, as it does not for a check that expires.
func (r *Result) collapse(c *Check, members []*Result) {
	a := answerOfGroup(len(c.Any) > 0, members)
	expired := slices.ContainsFunc(members, func(m *Result) bool { return m.Expired })
	if !expired || a.status != Fail || !green(r.Status) {
		return
	}
	for _, m := range members {
		if m.Since.After(a.ended) {
			a.ended = m.Since
		}
	}
	r.Last, r.LastOutput, r.tally = a.status, a.output, nil
	r.settle(a)
	r.Expired = true
}

// first gives a group its first answer, if its members have one.
func (r *Result) first(c *Check, members []*Result) {
	if a := answerOfGroup(len(c.Any) > 0, members); a.status != Unknown {
		r.note(a)
		r.settle(a)
	}
}
