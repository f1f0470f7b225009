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
func (m *Monitor) announce(stop <-chan struct{}) {
	for {
		select {
		case <-m.wake:
			m.tell()
		case <-stop:
			m.tell()
			return
		}
	}
}

func (m *Monitor) tell() {
	for _, t := range m.takePending() {
		m.log(t)
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

func (m *Monitor) log(t Transition) {
	level := slog.LevelInfo
	if t.Worse() {
		level = slog.LevelWarn
	}
	message, attrs := "verdict changed", []slog.Attr{
		slog.String("status", t.To.String()),
		slog.String("was", t.From.String()),
		slog.String("explanation", t.Explanation),
	}
	if t.Check != "" {
		message, attrs = "check changed", append([]slog.Attr{slog.String("check", t.Check)}, attrs...)
	}
	m.options.Logger.LogAttrs(context.Background(), level, message, attrs...)
}
