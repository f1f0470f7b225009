package link

import (
	"context"
	"time"
)

// Share returns a context with one of n equal parts of the time that ctx has
// left: for the first of n servers that are tried one after the other.
func Share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}
