package link

import (
	"context"
	"sync/atomic"
	"time"
)

// Attempt is the context of asking one of several servers that are tried one
// after the other. It has a share of the time that there is, until the server is
// found to answer: from then on it has all of it.
type Attempt struct {
	context.Context // cancelled by the timer, too
	deadline        time.Time
	timer           *time.Timer
	settled         atomic.Bool // the server answers
	expired         atomic.Bool // the share was not enough
	parent          context.Context
}

// NewAttempt returns an attempt with one of n equal parts of the time that ctx
// has left, where n is the number of servers that have yet to be tried. The
// caller cancels it when it is done with the server.
func NewAttempt(ctx context.Context, n int) (*Attempt, context.CancelFunc) {
	inner, cancel := context.WithCancel(ctx)
	a := &Attempt{Context: inner, parent: ctx}
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		a.settled.Store(true)
		return a, cancel
	}
	share := time.Until(deadline) / time.Duration(n)
	a.deadline = time.Now().Add(share)
	a.timer = time.AfterFunc(share, func() {
		a.expired.Store(true)
		cancel()
	})
	return a, func() { a.timer.Stop(); cancel() }
}

// Settle gives the attempt all the time that there is.
func (a *Attempt) Settle() {
	if a.timer == nil || a.timer.Stop() {
		a.settled.Store(true)
	}
}

// Deadline implements context.Context.
func (a *Attempt) Deadline() (time.Time, bool) {
	if a.settled.Load() {
		return a.parent.Deadline()
	}
	return a.deadline, true
}

// Err implements context.Context.
func (a *Attempt) Err() error {
	switch err := a.parent.Err(); {
	case err != nil:
		return err
	case a.expired.Load():
		return context.DeadlineExceeded
	default:
		return a.Context.Err()
	}
}
