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
// whether they have ever passed; name, type, impact, scope, rise and fall are
// m's. What was green goes on growing old, and expires by m's interval and
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
	m.started = m.started || past.started
	m.told = past.told
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
	told    turn
}

func (m *Monitor) standing() standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	return standing{slices.Clone(m.results), m.started, m.drain, m.told}
}

func find(results []Result, name string) *Result {
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
	adopted.Name, adopted.Type, adopted.Impact, adopted.Scope = r.Name, r.Type, r.Impact, r.Scope
	adopted.Stuck, adopted.answered = false, false
	*r = adopted
}
