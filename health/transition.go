package health

import (
	"context"
	"log/slog"
	"time"
)

// Transition is a change of the Status of a check, or of the verdict.
type Transition struct {
	Check       string // name of the check; empty: the verdict
	From, To    Status
	Explanation string // the check's output, or the verdict's reason
	Time        time.Time
}

// Worse reports whether the transition leads away from Pass. A first answer
// that passes is no worsening, a first one that warns or fails is.
func (t Transition) Worse() bool { return t.To > max(t.From, Pass) }

func (m *Monitor) checkChangedLocked(r *Result, was Status) {
	if r.Status != was {
		m.announceLocked(Transition{Check: r.Name, From: was, To: r.Status, Explanation: r.Output, Time: r.Since})
	}
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
	status, was := slog.String("status", t.To.String()), slog.String("was", t.From.String())
	explanation := slog.String("explanation", t.Explanation)
	if t.Check == "" {
		logger.LogAttrs(ctx, level, "verdict changed", status, was, explanation)
		return
	}
	logger.LogAttrs(ctx, level, "check changed", slog.String("check", t.Check), status, was, explanation)
}
