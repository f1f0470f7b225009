package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"hale/internal/explain"
)

// reading is the one reading of the code's migrations, which outlives the run
// that began it: an interpreter may take longer than a run may. Its owner is
// the Check.
type reading struct {
	cancel context.CancelFunc
	began  time.Time
	done   chan struct{} // closed when all that follows is there
	ended  time.Time
	code   code
	err    error
}

// pause is how long a reading that failed is believed: then a run tries again.
const pause = 30 * time.Second

// code returns the code's migrations, and waits for them as long as the run
// that began at start may.
func (c *Check) code(ctx context.Context, start time.Time) (code, error) {
	if c.reading == nil || c.reading.failed() && time.Since(c.reading.ended) > pause {
		c.reading = c.read()
	}
	r := c.reading
	select {
	case <-r.done:
		return r.code, r.err
	case <-ctx.Done():
	}
	select {
	case <-r.done: // in the same moment
		return r.code, r.err
	default:
	}
	if budget, ok := explain.Budget(ctx, start); ok && explain.IsTimeout(ctx.Err()) {
		took := max(budget, time.Since(r.began).Round(100*time.Millisecond))
		return nil, &explain.Error{Text: fmt.Sprintf("the code's migrations are still being read, for %v so far", took), Err: ctx.Err()}
	}
	return nil, &explain.Error{Text: "interrupted while the code's migrations were read", Err: ctx.Err()}
}

// read starts to read the code's migrations.
func (c *Check) read() *reading {
	limit := cmp.Or(c.PlanTimeout, defaultPlanTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	r := &reading{cancel: cancel, began: time.Now(), done: make(chan struct{})}
	s := c.source()
	go func() {
		defer close(r.done)
		defer cancel()
		r.code, r.err = tools[c.Tool].load(ctx, s)
		if r.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			r.err = &explain.Error{Text: fmt.Sprintf("the code's migrations could not be read within %v: %v", limit, r.err), Err: r.err}
		}
		r.ended = time.Now()
	}()
	return r
}

func (r *reading) failed() bool {
	select {
	case <-r.done:
		return r.err != nil
	default:
		return false
	}
}

// stop ends a reading, and returns when it has ended.
func (r *reading) stop() {
	r.cancel()
	<-r.done
}
