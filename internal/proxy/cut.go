package proxy

import "hale/internal/upstream"

// underway is an exchange that can be ended from outside.
type underway interface {
	cut()
	place() *int // its index in pool.underway
}

// Cut ends all that is under way with an upstream, and its idle connections:
// requests without an answer fail with ErrCut, answers end early, upgraded
// connections end. It does not wait for that.
func (e *Engine) Cut(u upstream.Upstream) {
	p := (*e.pools.Load())[u]
	if p == nil {
		return
	}
	e.Forget(u)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.underway {
		x.cut()
	}
}

// begin notes what is under way, until end.
func (p *pool) begin(x underway) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*x.place() = len(p.underway)
	p.underway = append(p.underway, x)
}

func (p *pool) end(x underway) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.underway) - 1
	i := *x.place()
	p.underway[i] = p.underway[last]
	*p.underway[i].place() = i
	p.underway[last] = nil
	p.underway = p.underway[:last]
}

func (c *conn) place() *int { return &c.index }
func (c *call) place() *int { return &c.index }

func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wasCut = true
	c.spoil()
	if c.tunnel != nil { // which sets deadlines of its own
		c.tunnel.cut()
	}
}

func (c *call) cut() { c.cancel(ErrCut) }
