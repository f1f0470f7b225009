package clock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hale/internal/explain"
)

// answer is what one server said.
type answer struct {
	server string
	offset time.Duration // to be added to the clock
	trip   time.Duration // there and back
	err    error         // it said nothing of use
}

// distance is how exact the offset is.
func (a answer) distance() time.Duration { return max(a.trip/2, time.Microsecond) }

// patience bounds a run without a deadline.
const patience = 10 * time.Second

// ask asks one server. A packet may get lost: after half of the time, it is
// asked again.
func ask(ctx context.Context, server string) answer {
	start := time.Now()
	budget, hasBudget := explain.Budget(ctx, start)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	deadline, _ := ctx.Deadline()
	half, cancelHalf := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancelHalf()
	r, asked, trip, err := exchange(half, server)
	if err != nil && half.Err() != nil && ctx.Err() == nil {
		r, asked, trip, err = exchange(ctx, server)
	}
	switch {
	case err != nil && hasBudget && explain.IsTimeout(err):
		err = &explain.Error{Text: fmt.Sprintf("no answer within %v: %s", budget, server), Err: err}
	case errors.Is(err, errNotNTP):
		err = &explain.Error{Text: "the answer is not that of a time server: " + server, Err: err}
	case err != nil:
		err = explain.Network(err, server)
	default:
		if text := r.useless(trip); text != "" {
			err = errors.New(text + ": " + server)
		}
	}
	if err != nil {
		return answer{server: server, err: err}
	}
	return answer{server: server, offset: r.offset(asked, trip), trip: trip}
}
