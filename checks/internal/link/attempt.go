package link

import (
	"context"
	"sync"
	"time"
)

// Attempt is the context of asking one of several servers that are tried one
// after the other. It has a share of the time that there is, until the server is
// found to answer: from then on it has all of it.
type Attempt struct {
	parent context.Context
	share  time.Time // when the share ends; zero: it is all the time there is
	done   chan struct{}
	timer  *time.Timer
	stop   func() bool // ends the watch over parent

	mu      sync.Mutex // guards everything that follows
	settled bool
	err     error // not nil once done is closed
}

// NewAttempt returns an attempt with one of n equal parts of the time that ctx
// has left, where n is the number of servers that have yet to be tried. The
// caller cancels it when it is done with the server.
func NewAttempt(ctx context.Context, n int) (*Attempt, context.CancelFunc) {
	a := &Attempt{parent: ctx, done: make(chan struct{})}
	a.stop = context.AfterFunc(ctx, func() { a.end(ctx.Err(), false) })
	if deadline, ok := ctx.Deadline(); ok && n > 1 {
		share := time.Until(deadline) / time.Duration(n)
		a.share = time.Now().Add(share)
		a.timer = time.AfterFunc(share, func() { a.end(context.DeadlineExceeded, true) })
	}
	return a, func() {
		a.end(context.Canceled, false)
		a.stop()
		if a.timer != nil {
			a.timer.Stop()
		}
	}
}

// Settle gives the attempt all the time that there is.
func (a *Attempt) Settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settled = true
}

// end ends the attempt, unless it is only the share that is over and the server
// has answered.
func (a *Attempt) end(err error, share bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil && (!share || !a.settled) {
		a.err = err
		close(a.done)
	}
}

// Deadline implements context.Context.
func (a *Attempt) Deadline() (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.settled || a.share.IsZero() {
		return a.parent.Deadline()
	}
	return a.share, true
}

// Done implements context.Context.
func (a *Attempt) Done() <-chan struct{} { return a.done }

// Err implements context.Context.
func (a *Attempt) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Value implements context.Context.
func (a *Attempt) Value(key any) any { return a.parent.Value(key) }
