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
	options Options
	checks  []Check // with defaults filled in
	made    time.Time
	state   atomic.Pointer[state]
	settled chan struct{}
	wake    chan struct{} // has an element if transitions may be pending

	mu        sync.Mutex // guards everything that follows
	ran       bool
	results   []Result // of checks, by index
	unsettled int      // checks without an answer to this Monitor
	started   bool     // each critical check has passed once, here or before Adopt
	drain     drain
	told      turn         // the verdict's last change that was announced, or its beginning
	pending   []Transition // not announced yet
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
		options:   options,
		made:      time.Now(),
		settled:   make(chan struct{}),
		wake:      make(chan struct{}, 1),
		unsettled: len(checks),
	}
	for _, c := range checks {
		c = c.withDefaults()
		m.checks = append(m.checks, c)
		m.results = append(m.results, newResult(&c, m.made))
	}
	if m.unsettled == 0 {
		close(m.settled)
	}
	m.publishLocked(m.made)
	m.told = turn{m.state.Load().verdict.Status, m.made}
	m.pending = nil // the first verdict is no transition
	return m, nil
}

func validate(options Options, checks []Check) error {
	var faults []error
	if int(options.SharedFailure) >= len(sharedFailureNames) {
		faults = append(faults, fmt.Errorf("shared failure %v: use SharedFails or SharedWarns", options.SharedFailure))
	}
	seen := make(map[string]bool, len(checks))
	for _, c := range checks {
		if err := c.validate(); err != nil {
			faults = append(faults, err)
		}
		if seen[c.Name] {
			faults = append(faults, fmt.Errorf("check %q: another check has the same name", c.Name))
		}
		seen[c.Name] = true
	}
	return errors.Join(faults...)
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

	left := make([]bool, len(m.checks))
	for i := range m.checks {
		loops.Go(func() { left[i] = m.watch(ctx, i) })
	}
	<-ctx.Done()
	loops.Wait()
	close(stop)
	announcer.Wait()

	var ignoring []string
	for i, l := range left {
		if l {
			ignoring = append(ignoring, m.checks[i].Name)
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
func (m *Monitor) watch(ctx context.Context, i int) (left bool) {
	c := &m.checks[i]
	timer := time.NewTimer(jitter(min(firstJitter, c.Interval)))
	defer timer.Stop()
	next := jitter(c.Interval) // to the second run: the phase
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
		if ctx.Err() != nil {
			return false
		}
		r := begin(ctx, c)
		if !m.follow(ctx, i, r) {
			return r.outlives(slack)
		}
		// At once if the run took longer than the interval, as stuck ones do.
		timer.Reset(time.Until(r.started.Add(next)))
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
	r, c := &m.results[i], &m.checks[i]
	if !r.answered {
		r.answered = true
		m.unsettled--
	}
	if stuck && !r.Stuck {
		r.Overruns++
	}
	was := r.Status
	r.take(a, c.Rise, c.Fall)
	r.Stuck = stuck
	m.checkChangedLocked(r, was)
	m.publishLocked(time.Now())
	if m.unsettled == 0 && !isClosed(m.settled) {
		close(m.settled)
	}
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
	for i := range m.results {
		r := &m.results[i]
		was := r.Status
		if expire(r, m.checks[i].maxAge(), now) {
			expired = true
			m.checkChangedLocked(r, was)
		}
	}
	if expired {
		m.publishLocked(now)
	}
	return m.state.Load()
}

// publishLocked judges the results and makes the verdict the current one.
func (m *Monitor) publishLocked(now time.Time) {
	expires := neverExpires
	for i := range m.results {
		if r := &m.results[i]; green(r.Status) {
			expires = min(expires, r.Time.Sub(m.made)+m.checks[i].maxAge())
		}
	}
	results := slices.Clone(m.results)
	found := sortOut(results, m.options.SharedFailure)
	verdict := judge(found, m.drain, results)
	verdict.Since = now
	last := m.state.Load()
	switch {
	case verdict.Status == m.told.status:
		verdict.Since = m.told.at
	case last != nil && last.verdict.Status == verdict.Status:
		verdict.Since = last.verdict.Since
	}
	m.started = m.started || !verdict.Starting
	m.state.Store(newState(&m.options, verdict, found, m.started, expires))
	if verdict.Status != m.told.status && (verdict.Draining || !found.unasked()) {
		m.announceLocked(Transition{
			From: m.told.status, To: verdict.Status, Explanation: verdict.Reason, Time: now,
		})
		m.told = turn{verdict.Status, verdict.Since}
	}
}

// Verdict returns the instance's answer as of now. It costs one atomic load and
// a copy of the results.
func (m *Monitor) Verdict() Verdict {
	v := m.current().verdict
	v.Results = slices.Clone(v.Results)
	return v
}

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
