package command

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

var errInterrupted = notAsked(errors.New("interrupted"))

// interruptible returns a context that SIGINT and SIGTERM end, so that what a
// command has begun is ended with it, a check's own program for one. After stop
// they end this process outright again.
func interruptible(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
