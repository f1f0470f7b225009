package health

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Defaults of a Check's zero fields.
const (
	DefaultInterval = 10 * time.Second
	DefaultTimeout  = 5 * time.Second
)

// longest bounds intervals and time-outs, so that their sums cannot overflow.
const longest = 366 * 24 * time.Hour

// Check is one question about something that the instance needs.
type Check struct {
	// Name is unique in its Monitor, and part of the path /health/checks/NAME:
	// it may hold spaces and any letters, but no slash, backslash or control
	// character, and is not "." or "..".
	Name string
	Type string // kind of check, for readers ("sql"); optional

	// Run asks the question. A nil error passes, an error made by Warnf warns,
	// any other error fails; output is a line for people that explains the
	// answer, and may be empty (the error's text is used then). Run should
	// return when ctx is done; one that does not counts as failed at its
	// deadline and is not started again until it has returned. A panic fails,
	// but one in a goroutine that Run itself starts ends the program. A Monitor
	// never calls Run while an earlier call is still going on.
	Run func(ctx context.Context) (output string, err error)

	Interval time.Duration // from start to start; 0 means DefaultInterval
	Timeout  time.Duration // of one run; 0 means DefaultTimeout
	Rise     int           // passes in a row that turn fail into pass; 0 means 1
	Fall     int           // failures in a row that turn pass into fail; 0 means 1
	Impact   Impact        // of a failure on the verdict; the zero value is Critical
	Scope    Scope         // whom a failure is about; the zero value is Instance

	// DependsOn are the names of checks without which this one cannot pass, as
	// the home page's cannot without the database: while one of them fails, this
	// one's failure is its consequence, and not reported beside it. Optional.
	DependsOn []string

	// Profiles are the endpoints that the check counts for: ProfileReady,
	// ProfileStartup, or one of your own, a lower-case word such as "deep", which
	// makes the path /health/deep. None means ready and startup.
	Profiles []string

	// Any or All, instead of Run, make the check a group, whose answer is that
	// of its best or of its worst member. The members are asked in the
	// background like any check, and shown, but only the group counts: Impact,
	// Scope, DependsOn and Profiles are the group's alone, Interval and Timeout
	// the members'. Rise and Fall are for both: the group's are counted in the
	// answers of those of its members that speak against its Status. A member
	// may be a group again.
	Any, All []Check
}

// Func adapts a function that only returns an error, such as
// (*sql.DB).PingContext, to Check.Run.
func Func(f func(context.Context) error) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return "", f(ctx) }
}

// Warnf makes an error that warns instead of failing: the thing works, but
// somebody should look. The verbs are those of fmt.Errorf, %w among them.
func Warnf(format string, args ...any) error {
	return &warning{fmt.Errorf(format, args...)}
}

type warning struct{ err error }

func (w *warning) Error() string { return w.err.Error() }
func (w *warning) Unwrap() error { return w.err }

// withDefaults returns c with its zero fields filled in.
func (c Check) withDefaults() Check {
	if !c.isGroup() {
		c.Interval = cmp.Or(c.Interval, DefaultInterval)
		c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	} else if c.Type == "" {
		c.Type = c.kind()
	}
	c.Rise = cmp.Or(c.Rise, 1)
	c.Fall = cmp.Or(c.Fall, 1)
	return c
}

func (c *Check) isGroup() bool { return len(c.Any)+len(c.All) > 0 }

// members returns those of a group; a check has none.
func (c *Check) members() []Check {
	if len(c.Any) > 0 {
		return c.Any
	}
	return c.All
}

// kind names what kind of group c is.
func (c *Check) kind() string {
	if len(c.Any) > 0 {
		return "any"
	}
	return "all"
}
