package proxy

import "hale/internal/upstream"

// underway is an exchange that can be ended from outside.
type underway interface{ cut() }

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
	for x := range p.underway {
		x.cut()
	}
}

// begin notes what is under way, until end.
func (p *pool) begin(x underway) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underway == nil {
		p.underway = make(map[underway]struct{})
	}
	p.underway[x] = struct{}{}
}

func (p *pool) end(x underway) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.underway, x)
}

func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wasCut = true
	c.spoil()
}

func (c *call) cut() { c.cancel(ErrCut) }
