package health

import (
	"context"
	"fmt"
	"time"
)

// Defaults of a Check's zero fields.
const (
	DefaultInterval = 10 * time.Second
	DefaultTimeout  = 5 * time.Second
)

// Check is one question about something that the instance needs.
type Check struct {
	Name string // unique in its Monitor
	Type string // kind of check, for readers ("sql"); optional

	// Run asks the question. A nil error passes, an error made by Warnf warns,
	// any other error fails; output is a line for people that explains the
	// answer, and may be empty (the error's text is used then). Run should
	// return when ctx is done; one that does not counts as failed at its
	// deadline and is not started again until it has returned.
	Run func(ctx context.Context) (output string, err error)

	Interval time.Duration // from start to start; 0 means DefaultInterval
	Timeout  time.Duration // of one run; 0 means DefaultTimeout
	Rise     int           // passes in a row that turn fail into pass; 0 means 1
	Fall     int           // failures in a row that turn pass into fail; 0 means 1
	Impact   Impact
	Scope    Scope
}

// Func adapts a function that only returns an error, such as
// (*sql.DB).PingContext, to Check.Run.
func Func(f func(context.Context) error) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return "", f(ctx) }
}

// Warnf makes an error that warns instead of failing.
func Warnf(format string, args ...any) error {
	return &warning{fmt.Errorf(format, args...)}
}

type warning struct{ err error }

func (w *warning) Error() string { return w.err.Error() }
func (w *warning) Unwrap() error { return w.err }
