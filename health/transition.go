package health

import (
	"context"
	"log/slog"
	"time"
)

// Transition is a change of the Status of a check, or of a verdict. A failure
// that follows from another check's is none, as long as it does: only the
// verdict and that other check's transitions tell of it. But it is one if it is
// worse for the verdict than that other's.
type Transition struct {
	Check       string // name of the check; empty: the verdict
	Group       string // that the check is a member of, if it is
	Profile     string // whose verdict it is, if it is one of the Endpoints; empty: the instance's
	From, To    Status
	Explanation string // the check's output, or the verdict's reason
	Time        time.Time
}

// Worse reports whether the transition leads away from Pass. A first answer
// that passes is no worsening, a first one that warns or fails is.
func (t Transition) Worse() bool { return t.To > max(t.From, Pass) }

// checksChangedLocked announces the checks whose Status is another one than was
// announced last. Consequences wait until they are none any more.
func (m *Monitor) checksChangedLocked(now time.Time) {
	for i := range m.results {
		r := &m.results[i]
		switch {
		case r.Status == r.told:
			r.untold = false
		case r.CausedBy != "" && !m.worseThanCauseLocked(r):
			r.untold = true
		default:
			at := r.Since
			if r.untold {
				at = now
			}
			m.announceLocked(Transition{
				Check: r.Name, Group: r.Group, From: r.told, To: r.Status, Explanation: r.Output, Time: at,
			})
			r.told, r.untold = r.Status, false
		}
	}
}

// worseThanCauseLocked reports whether a consequence does more to the verdict
// than what is reported in its place.
func (m *Monitor) worseThanCauseLocked(r *Result) bool {
	head := find(m.results, r.behind)
	return head != nil && head.Status == Fail && softened(r, m.results, m.options.SharedFailure) > softened(head, m.results, m.options.SharedFailure)
}

func (m *Monitor) verdictChangedLocked(j *judged, v *Verdict, now time.Time) {
	t := Transition{From: j.told.status, To: v.Status, Explanation: v.Reason, Time: now}
	if j.profile != ProfileReady {
		t.Profile = j.profile
	}
	m.announceLocked(t)
	j.told = turn{v.Status, v.Since}
}

// announceLocked leaves t to be announced by Run, so that nobody who records or
// reads a result ever waits for a listener or for a log.
func (m *Monitor) announceLocked(t Transition) {
	m.pending = append(m.pending, t)
	select {
	case m.wake <- struct{}{}:
	default: // somebody was there before
	}
}

// announce tells the logger and the listener of transitions until stop is
// closed and none is left.
func (m *Monitor) announce(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case <-m.wake:
			m.tell(ctx)
		case <-stop:
			m.tell(ctx)
			return
		}
	}
}

func (m *Monitor) tell(ctx context.Context) {
	for _, t := range m.takePending() {
		t.log(ctx, m.options.Logger)
		if m.options.OnTransition != nil {
			m.options.OnTransition(t)
		}
	}
}

func (m *Monitor) takePending() []Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	pending := m.pending
	m.pending = nil
	return pending
}

func (t *Transition) log(ctx context.Context, logger *slog.Logger) {
	level := slog.LevelInfo
	if t.Worse() {
		level = slog.LevelWarn
	}
	attrs := make([]slog.Attr, 0, 6)
	for _, a := range []slog.Attr{slog.String("check", t.Check), slog.String("group", t.Group), slog.String("profile", t.Profile)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	attrs = append(attrs, slog.String("status", t.To.String()), slog.String("was", t.From.String()),
		slog.String("explanation", t.Explanation))
	if t.Check == "" {
		logger.LogAttrs(ctx, level, "verdict changed", attrs...)
	} else {
		logger.LogAttrs(ctx, level, "check changed", attrs...)
	}
}
