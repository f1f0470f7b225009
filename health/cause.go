package health

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// A check that fails while one fails on which it depends is a consequence, and
// is not reported beside its cause. Two moments need care, since each check is
// asked on its own interval:
//
//   - A failure may be seen before that of its cause. So when a check is about
//     to turn to fail while nothing that it depends on fails, those are asked
//     again at once, and its failure waits for their answers: at most their
//     longest time-out and two seconds (item.patience). Its last pass is believed
//     that much longer (item.maxAge).
//   - A cause may be well again before its consequence was asked. So the
//     consequence is asked again at once, and stays one until it has answered
//     that, or has turned out to be stuck. What depends on it in turn waits for
//     it: in a chain one check after the other answers, from the root onwards,
//     and all of them follow from the root until they do. The same goes for a
//     check whose run began before the recovery, and turns to fail after it.
//
// Neither makes a check run much more often than its interval says, however
// often another changes sides: see Monitor.watch.

// runs counts those of one check.
type runs struct {
	begun    uint64 // the last one of which may be going on
	answered uint64 // the number of the last one that has answered
	excused  uint64 // the first one that a consequence without a cause answers for itself; 0 if it is none

	started   time.Time // the last one
	ails      string    // while the check ails, the root of that
	ailed     string    // likewise, before it recovered last
	recovered time.Time // when that was
}

// count counts a run that is about to begin.
func (m *Monitor) count(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runs[i].begun++
	m.runs[i].started = time.Now()
}

// ask has a check asked at once, or as soon as its run has ended.
func (m *Monitor) ask(i int) {
	select {
	case m.asks[i] <- struct{}{}:
	default: // somebody was there before
	}
}

// askCauses asks what a check depends on, if the answer that it is about to give
// turns it to fail and nothing explains that yet, and waits for the answers. It
// reports false if ctx was done before.
func (m *Monitor) askCauses(ctx context.Context, i int, answer Status) bool {
	asked := m.question(i, answer)
	if len(asked) == 0 {
		return true
	}
	timer := time.NewTimer(m.items[i].patience)
	defer timer.Stop()
	for {
		news, open := m.await(i, asked)
		if !open {
			return true
		}
		select {
		case <-news:
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// question is a check that was asked, and the first run that answers it.
type question struct {
	item int
	run  uint64
}

// question asks what is to be asked before check i turns to fail, if anything.
func (m *Monitor) question(i int, answer Status) []question {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, r := &m.items[i], &m.results[i]
	turned := side{r.Status, r.against}.after(answer, c.Rise, c.Fall).status
	if len(c.needs) == 0 || answer != Fail || r.Status == Fail || turned != Fail || m.causeFailsLocked(i) {
		return nil
	}
	var asked []question
	for _, leaf := range leaves(m.items, c.needs) {
		asked = append(asked, question{leaf, m.runs[leaf].begun + 1})
		m.ask(leaf)
	}
	return asked
}

// await reports whether check i is to wait for more answers, and returns a
// channel that is closed when there is one.
func (m *Monitor) await(i int, asked []question) (news <-chan struct{}, open bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	waits := func(leaf int) bool {
		return slices.ContainsFunc(asked, func(q question) bool { return q.item == leaf && m.runs[leaf].answered < q.run })
	}
	for _, n := range m.items[i].needs {
		if slices.ContainsFunc(leaves(m.items, []int{n}), waits) {
			open = true
		} else if m.results[n].Last == Fail {
			return nil, false // whatever the others say
		}
	}
	return m.news, open && !m.causeFailsLocked(i)
}

// causeFailsLocked reports whether something fails that check i depends on. A
// last answer that Fall forgives does not do: it may be an old one.
func (m *Monitor) causeFailsLocked(i int) bool {
	return slices.ContainsFunc(m.items[i].needs, func(n int) bool { return m.results[n].Status == Fail })
}

// answeredLocked notes that the last run of check i has answered: a consequence
// whose cause is well again now fails by itself, if it does.
func (m *Monitor) answeredLocked(i int, answer Status, stuck bool) {
	n := &m.runs[i]
	n.answered = n.begun
	if answer == Fail && n.excused > 0 && (n.begun >= n.excused || stuck) {
		m.results[i].cause, n.excused = "", 0
	}
}

// causeSinceLocked names the root of what check i depends on that has failed
// since its last run began, and is well again; "" if there is none.
func (m *Monitor) causeSinceLocked(i int) string {
	cause := ""
	for _, n := range m.items[i].needs {
		if past := &m.runs[n]; past.recovered.After(m.runs[i].started) {
			if root := find(m.results, past.ailed); root != nil && (cause == "" || root.Scope == Instance) {
				cause = root.Name
			}
		}
	}
	return cause
}

// blameLocked finds out which failures follow from which.
func (m *Monitor) blameLocked() {
	for _, i := range m.order {
		r, n := &m.results[i], &m.runs[i]
		root, head := rootOf(m.items, m.results, i)
		switch {
		case !r.ailing():
			r.cause, n.excused = "", 0
		case root >= 0:
			r.cause, n.excused = m.items[root].Name, 0
		case m.items[i].isGroup():
			if r.Last == Fail {
				r.cause = causeOfGroup(&m.items[i].Check, m.membersLocked(i))
			}
		case r.cause == "":
		case n.excused == 0:
			n.excused = n.begun + 1
			m.ask(i)
		}
		r.blame(m.items, head)
		switch {
		case r.ailing():
			n.ails = cmp.Or(r.cause, r.Name)
		case n.ails != "":
			n.ailed, n.recovered, n.ails = n.ails, time.Now(), ""
		}
	}
}

// blame says of a failure what it follows from, and which check is reported in
// its place.
func (r *Result) blame(items []item, head int) {
	r.CausedBy, r.behind = "", ""
	if r.Status != Fail {
		return
	}
	r.CausedBy = r.cause
	if head >= 0 {
		r.behind = items[head].Name
	}
}

// causeOfGroup names what the failure of a group follows from whose members do
// not have a cause that fails: that of those which have yet to answer since it is
// well again, if the group would not fail without them.
func causeOfGroup(c *Check, members []*Result) string {
	cause := ""
	for _, m := range members {
		switch {
		case !failing(m.Status):
		case m.cause != "":
			cause = m.cause
		case len(c.All) > 0: // by itself
			return ""
		}
	}
	return cause
}
