package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Adopt makes m go on where old stands, before m is run in its place: a program
// that reads its configuration again has not become a new instance by that.
//
// The named checks, which are to ask in m what they ask in old, keep all that
// their results say, with how many answers in a row speak against Status and
// whether they have ever passed; name, type, impact, scope, profiles, rise and
// fall are m's. A group is adopted like a check, and so is each of its members. What was green goes on growing old, and expires by m's interval and
// time-out. If old was started (each critical check had passed once), so is m
// for the path /health/startup, though a check that is new fails the verdict
// until it has passed. A Monitor that adopts a draining one drains.
//
// No transition is announced for what did not change. If the verdict is another
// one, since a failing check is gone or a new one fails, that is announced when
// each critical check that was not adopted has answered.
//
// Settled waits for each check's own first answer to m all the same. Old may be
// running, and is not changed.
//
// It is an error, and nothing is adopted, if Run was called on m already, or if
// a name is not that of a check in both.
func (m *Monitor) Adopt(old *Monitor, names ...string) error {
	past := old.standing()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ran {
		return errors.New("health: adopt: the monitor runs already; adopt before Run")
	}
	var strange []string
	for _, name := range names {
		if find(m.results, name) == nil || find(past.results, name) == nil {
			strange = append(strange, fmt.Sprintf("%q", name))
		}
	}
	if len(strange) > 0 {
		return fmt.Errorf("health: adopt: not the name of a check in both monitors: %s", strings.Join(strange, ", "))
	}
	for _, name := range names {
		find(m.results, name).adopt(find(past.results, name))
	}
	for i := range m.items { // a consequence stays one, if it still depends on its cause
		if r := &m.results[i]; !slices.ContainsFunc(m.items[i].needs, func(n int) bool { return m.items[n].Name == r.cause }) {
			r.cause = ""
		}
	}
	for i := range slices.Backward(m.items) { // groups that are new, of members that are not
		if c := &m.items[i]; c.isGroup() && m.results[i].Status == Unknown {
			m.results[i].first(&c.Check, m.membersLocked(i))
		}
	}
	m.started = m.started || past.started
	for i := range m.judged {
		if was := slices.IndexFunc(past.judged, func(j judged) bool { return j.profile == m.judged[i].profile }); was >= 0 {
			m.judged[i].told = past.judged[was].told
		}
	}
	if past.drain.draining {
		m.drain = past.drain
	}
	m.publishLocked(time.Now())
	return nil
}

// standing is what a Monitor hands on.
type standing struct {
	results []Result
	started bool
	drain   drain
	judged  []judged
}

func (m *Monitor) standing() standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	return standing{slices.Clone(m.results), m.started, m.drain, slices.Clone(m.judged)}
}

func find(results []Result, name string) *Result {
	if name == "" {
		return nil
	}
	i := slices.IndexFunc(results, func(r Result) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &results[i]
}

// adopt takes over what is known of the same check. A run of old's that is stuck
// is not one of r's, whose check is asked at once.
func (r *Result) adopt(old *Result) {
	adopted := *old
	adopted.Name, adopted.Type, adopted.Group = r.Name, r.Type, r.Group
	adopted.Impact, adopted.Scope, adopted.Profiles = r.Impact, r.Scope, r.Profiles
	adopted.Stuck, adopted.answered = false, false
	*r = adopted
}
