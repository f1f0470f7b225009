package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hale/internal/explain"
)

// IdleClose sends a GET that keeps the connection, reads the whole answer, and
// watches how long the idle connection stays open: until the target closes it,
// limit is over or ctx ends. closed is false if it was still open then; an
// answer that ends with the connection gives 0, true. A target that says
// something on the idle connection, as 408, gives it up as well.
func (p Probe) IdleClose(ctx context.Context, limit time.Duration) (closedAfter time.Duration, closed bool, err error) {
	if p.Protocol != HTTP && p.Protocol != HTTPS {
		return 0, false, fmt.Errorf("a probe over %s has no connection to keep", p.Protocol)
	}
	p = p.Without("Connection").With("Connection", "keep-alive")
	p.Method, p.Version = "GET", "HTTP/1.1"
	if p.SentHost() == "" {
		p.Host, p.NoHost = p.Address.String(), false
	}
	own := *p.prober()
	own.HeadEnough, own.BodyLimit = false, 0
	p.Prober = &own
	a := Answer{GRPC: -1}
	c := conversation{Probe: p, a: &a, ctx: ctx, deadline: time.Now().Add(p.Timeout), limits: p.phases()}
	defer c.close()
	if c.open() {
		c.speak()
	}
	switch {
	case a.Err != nil:
		return 0, false, a.Err
	case a.Unread, c.in == nil:
		return 0, false, errors.New("the answer was not read to its end")
	case a.Unsized || says(&a, "close") || a.Proto == "HTTP/1.0" && !says(&a, "keep-alive"):
		return 0, true, nil
	}
	return c.idle(ctx, limit)
}

// idle waits for the connection's end.
func (c *conversation) idle(ctx context.Context, limit time.Duration) (time.Duration, bool, error) {
	start := time.Now()
	_ = c.raw.SetDeadline(start.Add(limit)) // the time-out was for the answer alone
	if ctx.Err() != nil {                   // ended meanwhile: the deadline was in the past already
		_ = c.raw.SetDeadline(longAgo)
	}
	_, err := c.in.Peek(1)
	if err != nil && explain.IsTimeout(err) {
		return time.Since(start), false, ctx.Err()
	}
	return time.Since(start), true, nil
}

// says tells whether Connection has a word.
func says(a *Answer, word string) bool {
	for _, value := range values(a.Header, "Connection") {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), word) {
				return true
			}
		}
	}
	return false
}
