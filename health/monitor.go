package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slack is what a result's maximum age allows on top of the interval and the
	// time-out, for the machine being busy.
	slack = time.Second
	// firstJitter bounds the delay of a check's first run.
	firstJitter = 50 * time.Millisecond
)

// Options are the settings of a Monitor. The zero value is ready to use.
type Options struct {
	// SharedFailure is what a failing check with scope Shared does to the verdict.
	SharedFailure SharedFailure

	// Logger hears of transitions only: those for the worse as warnings, the
	// others as information. Nil discards them.
	Logger *slog.Logger

	// OnTransition, if not nil, is called for each transition of a check and of
	// the verdict, by Run, one at a time and in order. While it takes its time,
	// later transitions wait for it, but no check and no answer does.
	OnTransition func(Transition)

	// What health+json and the page tell of the service where details may be
	// seen; all optional. Version is the public version of the service,
	// ReleaseID names the build, ServiceID the service or the instance.
	Description, Version, ReleaseID, ServiceID string
}

// Monitor runs checks in the background and judges their results. Its methods
// may be called from any goroutine.
type Monitor struct {
	options   Options
	items     []item   // the checks, groups before their members
	order     []int    // of items: causes first
	endpoints []string // profiles besides ready and startup
	made      time.Time
	state     atomic.Pointer[state]
	settled   chan struct{}
	wake      chan struct{}   // has an element if transitions may be pending
	asks      []chan struct{} // by item: has an element if it is to be asked at once

	mu        sync.Mutex // guards everything that follows
	ran       bool
	results   []Result // of items, by index
	runs      []runs   // likewise
	unsettled int      // checks without an answer to this Monitor
	started   bool     // each critical check has passed once, here or before Adopt
	drain     drain
	news      chan struct{} // closed when the next answer is recorded
	judged    []judged      // ready, then the endpoints
	pending   []Transition  // not announced yet
}

// judged is a profile that has a verdict.
type judged struct {
	profile string
	told    turn // the verdict's last change that was announced, or its beginning
}

// turn is a change of the verdict's status.
type turn struct {
	status Status
	at     time.Time
}

// NewMonitor makes a Monitor, which asks nothing before Run is called. It
// refuses options and checks that cannot work; the error names all the faults,
// joined as by errors.Join.
func NewMonitor(options Options, checks ...Check) (*Monitor, error) {
	if err := validate(options, checks); err != nil {
		return nil, err
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Monitor{
		options: options,
		items:   plan(checks),
		made:    time.Now(),
		settled: make(chan struct{}),
		wake:    make(chan struct{}, 1),
		news:    make(chan struct{}),
	}
	m.order = causesFirst(m.items)
	m.endpoints = endpoints(m.items)
	m.results = newResults(m.items, m.made)
	m.runs = make([]runs, len(m.items))
	for i := range m.items {
		m.asks = append(m.asks, make(chan struct{}, 1))
		if !m.items[i].isGroup() {
			m.unsettled++
		}
	}
	if m.unsettled == 0 {
		close(m.settled)
	}
	for _, profile := range append([]string{ProfileReady}, m.endpoints...) {
		m.judged = append(m.judged, judged{profile: profile})
	}
	m.publishLocked(m.made)
	for i, a := range m.state.Load().judged {
		m.judged[i].told = turn{a.verdict.Status, m.made}
	}
	m.pending = nil // the first verdicts are no transitions
	return m, nil
}

// Run asks the checks, each on its own interval, until ctx is done: all of them
// at once when it starts, then each at a phase of its own, so that neither the
// checks of one instance nor the instances of a fleet ask in step. It returns
// nil when all runs have ended, or one second after ctx is done an error that
// names the checks that ignore their context. Run can be called once.
func (m *Monitor) Run(ctx context.Context) error {
	if !m.begin() {
		return errors.New("health: run monitor: it was started before; make a new one")
	}
	stop := make(chan struct{})
	var announcer, loops sync.WaitGroup
	announcer.Go(func() { m.announce(ctx, stop) })

	left := make([]bool, len(m.items))
	for i := range m.items {
		if !m.items[i].isGroup() {
			loops.Go(func() { left[i] = m.watch(ctx, i) })
		}
	}
	<-ctx.Done()
	loops.Wait()
	close(stop)
	announcer.Wait()

	var ignoring []string
	for i, l := range left {
		if l {
			ignoring = append(ignoring, m.items[i].Name)
		}
	}
	if len(ignoring) > 0 {
		return fmt.Errorf("health: stop checks: still running, since they ignore their context: %s", strings.Join(ignoring, ", "))
	}
	return nil
}

// begin reports whether this is Run's first call.
func (m *Monitor) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := !m.ran
	m.ran = true
	return first
}

// watch asks one check again and again until ctx is done. It reports whether it
// had to leave a run behind.
//
// Who has it asked out of turn (Monitor.ask) gets it at once, but not sooner than
// item.atLeast after the last run that was out of turn: what another check costs
// is not for one that changes sides all the time to say.
func (m *Monitor) watch(ctx context.Context, i int) (left bool) {
	c := &m.items[i].Check
	due := time.Now().Add(jitter(min(firstJitter, c.Interval)))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	next := jitter(c.Interval) // to the second run: the phase
	var free time.Time         // for a run out of turn
	for {
		select {
		case <-timer.C:
			if now := time.Now(); now.Before(due) {
				free = now.Add(m.items[i].atLeast())
			}
		case <-m.asks[i]:
			now := time.Now()
			if now.Before(free) {
				if free.Before(due) {
					timer.Reset(free.Sub(now))
				}
				continue
			}
			free = now.Add(m.items[i].atLeast())
		case <-ctx.Done():
			return false
		}
		if ctx.Err() != nil {
			return false
		}
		m.count(i)
		r := begin(ctx, c)
		if !m.follow(ctx, i, r) {
			return r.outlives(slack)
		}
		// At once if the run took longer than the interval, as stuck ones do.
		due = r.started.Add(next)
		timer.Reset(time.Until(due))
		next = c.Interval
	}
}

// jitter returns a duration below d.
func jitter(d time.Duration) time.Duration {
	return rand.N(d) //nolint:gosec // nobody gains by guessing when a check runs
}

// follow records how a run ends, and each failure that it amounts to while it
// does not. It reports false if ctx was done before the run had returned.
func (m *Monitor) follow(ctx context.Context, i int, r *run) bool {
	a, returned := r.wait(ctx)
	if ctx.Err() != nil {
		return returned // an answer that was cut short says nothing of the instance
	}
	if !m.askCauses(ctx, i, a.status) {
		return returned
	}
	m.record(i, a, !returned)
	if returned {
		return true
	}
	overdue := time.NewTicker(r.check.Interval)
	defer overdue.Stop()
	for {
		select {
		case <-r.done: // too late to count
			m.freed(i)
			return true
		case now := <-overdue.C:
			took := now.Sub(r.started)
			m.record(i, reply{Fail, r.missed(fmt.Sprintf("still running after %v", took.Round(time.Second))), now, took}, true)
		case <-ctx.Done():
			return false
		}
	}
}

// outlives reports whether the run is still going on after d.
func (r *run) outlives(d time.Duration) bool {
	_, returned := r.answered(time.After(d), nil)
	return !returned
}

// record adds an answer to the check's result and publishes what follows.
func (m *Monitor) record(i int, a reply, stuck bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, c := &m.results[i], &m.items[i]
	if !r.answered {
		r.answered = true
		m.unsettled--
	}
	if stuck && !r.Stuck {
		r.Overruns++
	}
	before := r.Status
	r.take(a, c.Rise, c.Fall)
	r.Stuck = stuck
	m.answeredLocked(i, a.status, stuck)
	if before != Fail && r.Status == Fail && r.cause == "" {
		r.cause = m.causeSinceLocked(i)
	}
	m.groupsLocked(i)
	m.publishLocked(time.Now())
	if m.unsettled == 0 && !isClosed(m.settled) {
		close(m.settled)
	}
	close(m.news)
	m.news = make(chan struct{})
}

// groupsLocked makes the results of the groups anew that item i is a member of.
func (m *Monitor) groupsLocked(i int) {
	for g := m.items[i].group; g >= 0; i, g = g, m.items[g].group {
		c := &m.items[g]
		m.results[g].hear(&c.Check, slices.Index(c.members, i), m.membersLocked(g))
	}
}

func (m *Monitor) membersLocked(group int) []*Result {
	var members []*Result
	for _, i := range m.items[group].members {
		members = append(members, &m.results[i])
	}
	return members
}

// freed records that a stuck run has returned.
func (m *Monitor) freed(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results[i].Stuck = false
	m.publishLocked(time.Now())
}

// current returns the state to answer from. It takes no lock unless some result
// has expired meanwhile.
func (m *Monitor) current() *state {
	s := m.state.Load()
	if time.Since(m.made) < s.expires {
		return s
	}
	return m.expire()
}

func (m *Monitor) expire() *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	expired := false
	for i := range slices.Backward(m.items) { // members before their groups
		c := &m.items[i]
		if c.isGroup() {
			m.results[i].collapse(&c.Check, m.membersLocked(i))
		} else if expire(&m.results[i], c.maxAge(), now) {
			expired = true
		}
	}
	if expired {
		m.publishLocked(now)
	}
	return m.state.Load()
}

// publishLocked judges the results and makes the verdicts the current ones.
func (m *Monitor) publishLocked(now time.Time) {
	m.blameLocked()
	m.checksChangedLocked(now)
	expires := neverExpires
	for i := range m.results {
		if r := &m.results[i]; green(r.Status) && !m.items[i].isGroup() {
			expires = min(expires, r.Time.Sub(m.made)+m.items[i].maxAge())
		}
	}
	results := slices.Clone(m.results)
	last := m.state.Load()
	aspects := make([]*aspect, len(m.judged))
	for i := range m.judged {
		j := &m.judged[i]
		found := sortOut(results, m.options.SharedFailure, j.profile)
		verdict := judge(found, m.drain)
		verdict.Since = now
		switch {
		case verdict.Status == j.told.status:
			verdict.Since = j.told.at
		case last != nil && last.judged[i].verdict.Status == verdict.Status:
			verdict.Since = last.judged[i].verdict.Since
		}
		aspects[i] = newAspect(&m.options, j.profile, verdict, plainReady(&verdict, found))
		if verdict.Status != j.told.status && (verdict.Draining || !found.unasked()) {
			m.verdictChangedLocked(j, &verdict, now)
		}
	}
	found := sortOut(results, m.options.SharedFailure, ProfileStartup)
	m.started = m.started || len(found.unproven) == 0
	m.state.Store(newState(&m.options, results, aspects, newStartup(&m.options, found, m.started), expires))
}

// Verdict returns the instance's answer as of now: that of the profile ready. It
// costs one atomic load and a copy of the results.
func (m *Monitor) Verdict() Verdict {
	v, _ := m.VerdictOf(ProfileReady)
	return v
}

// VerdictOf returns the verdict of ProfileReady or of one of the Endpoints; it
// reports false for another profile.
func (m *Monitor) VerdictOf(profile string) (Verdict, bool) {
	a := m.current().endpoint(profile)
	if a == nil {
		return Verdict{}, false
	}
	v := a.verdict
	v.Results = slices.Clone(v.Results)
	return v, true
}

// Results returns what is known of all checks, whatever they count for, in their
// order, groups before their members.
func (m *Monitor) Results() []Result { return slices.Clone(m.current().results) }

// Endpoints returns the profiles of the checks besides ready and startup: each
// has a path of its own below the Handler's.
func (m *Monitor) Endpoints() []string { return slices.Clone(m.endpoints) }

// Settled returns a channel that is closed when each check has answered, or
// missed its deadline, once. It stays open if Run ends before that.
func (m *Monitor) Settled() <-chan struct{} { return m.settled }

// Drain fails the verdict for good, for the reason given, before the instance is
// taken out of service; "draining" is said anyway. Checks go on, and liveness
// stays as it is. Further calls do nothing.
func (m *Monitor) Drain(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drain.draining {
		return
	}
	m.drain = drain{draining: true, reason: clean(reason)}
	m.publishLocked(time.Now())
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
