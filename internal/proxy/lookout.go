package proxy

import (
	"errors"
	"time"

	"hale/internal/proxy/guard"
)

// A watcher is interested in whether a client is still there.
type watcher interface {
	// clientGone is called at most once.
	clientGone()
}

// lookout sees whether a client is still there while its request is being
// answered. Most answers come before it is worth looking.
type lookout struct {
	watcher watcher       // nil while nobody asks
	timer   *time.Timer   // nil before the first time
	looking chan struct{} // closed when the goroutine that looks has ended; nil if there is none
	gone    bool          // reading has failed for good
}

// lookAfter is how long an answer may take before it is looked whether anybody
// still waits for it.
const lookAfter = 10 * time.Millisecond

// lost tells the watcher. The caller holds the session's mu.
func (l *lookout) lost() {
	if !l.gone && l.watcher != nil {
		l.watcher.clientGone()
	}
	l.gone = true
}

// attend has w told when reading from the client fails, which is when it has
// left: at once if that was so before.
func (c *session) attend(w watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.lookout
	if l.watcher = w; l.gone {
		w.clientGone()
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(lookAfter, c.look)
		return
	}
	l.timer.Reset(lookAfter)
}

// unattend ends that; a call of clientGone that is under way is waited for.
func (c *session) unattend() {
	c.mu.Lock()
	l := &c.lookout
	l.watcher = nil
	looking := l.looking
	if l.timer != nil {
		l.timer.Stop()
	}
	if looking != nil {
		c.interrupt()
	}
	c.mu.Unlock()
	if looking != nil {
		<-looking
	}
}

// look is the timer's goroutine: it reads ahead until it is told to stop.
func (c *session) look() {
	c.mu.Lock()
	l := &c.lookout
	switch {
	case l.watcher == nil || l.looking != nil || l.gone:
		c.mu.Unlock()
		return
	case !c.bodyRead.Load(): // who reads that sees it
		l.timer.Reset(lookAfter)
		c.mu.Unlock()
		return
	}
	over := make(chan struct{})
	l.looking = over
	c.mu.Unlock()
	defer close(over)

	var err error
	for err == nil {
		err = c.in.ReadAhead()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.looking = nil
	switch {
	case errors.Is(err, guard.ErrFull):
	case l.watcher == nil:
		// It was interrupted, unless the client has left in the same moment,
		// which the next read will tell.
		c.in.Forgive(err)
	default:
		l.lost()
	}
}
