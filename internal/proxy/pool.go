package proxy

import (
	"context"
	"net"
	"sync"
	"time"

	"hale/internal/upstream"
)

// pool keeps the idle connections to one upstream, the last used on top: under
// little load the others grow old and are closed.
type pool struct {
	upstream upstream.Upstream
	dial     func(context.Context, upstream.Upstream) (net.Conn, error)

	mu     sync.Mutex
	idle   []*conn // by age, the oldest first
	closed bool
	timer  *time.Timer // closes the old; nil when none is idle
}

// get returns an idle connection that was alive a moment ago, or nil.
func (p *pool) get() *conn {
	for {
		c := p.pop()
		if c == nil || c.alive() {
			return c
		}
		_ = c.Close()
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// connect makes a new connection, within the time-out.
func (p *pool) connect(ctx context.Context, timeout time.Duration) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nc, err := p.dial(ctx, p.upstream)
	if err != nil {
		return nil, err
	}
	return newConn(nc, p), nil
}

// put keeps a connection for later. It closes it instead if there are most
// already, or the pool is closed.
func (p *pool) put(c *conn, most int, timeout time.Duration) {
	c.restore()
	c.reused = true
	c.since = time.Now()
	if !p.keep(c, most, timeout) {
		_ = c.Close()
	}
}

func (p *pool) keep(c *conn, most int, timeout time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= most {
		return false
	}
	p.idle = append(p.idle, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(timeout, func() { p.closeOld(timeout) })
	}
	return true
}

// closeOld closes what has been idle for the time-out, and comes again when
// the oldest of the others will have been.
func (p *pool) closeOld(timeout time.Duration) {
	p.mu.Lock()
	now := time.Now()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= timeout {
		n++
	}
	old := append([]*conn(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
	if len(p.idle) == 0 || p.closed {
		p.timer = nil
	} else {
		p.timer.Reset(timeout - now.Sub(p.idle[0].since))
	}
	p.mu.Unlock()
	for _, c := range old {
		_ = c.Close()
	}
}

// close closes the idle connections, and those in use when they would come
// back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}
