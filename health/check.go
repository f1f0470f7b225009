package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
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
	c.Interval = cmp.Or(c.Interval, DefaultInterval)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Rise = cmp.Or(c.Rise, 1)
	c.Fall = cmp.Or(c.Fall, 1)
	return c
}

// maxAge is how long a pass or a warning is believed.
func (c Check) maxAge() time.Duration { return c.Interval + c.Timeout + slack }

// validate returns all that is wrong with c, joined.
func (c Check) validate() error {
	var faults []error
	add := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("check %q: "+format, append([]any{c.Name}, args...)...))
	}
	if why := unusableName(c.Name); why != "" {
		add("name %s; it is used in the path /health/checks/NAME", why)
	}
	if c.Run == nil {
		add("nothing to run: set Run")
	}
	duration := func(what string, d, byDefault time.Duration) {
		if d < 0 || d > longest {
			add("%s %v: must be above 0 and at most a year; 0 means %v", what, d, byDefault)
		}
	}
	duration("interval", c.Interval, DefaultInterval)
	duration("time-out", c.Timeout, DefaultTimeout)
	if c.Rise < 0 {
		add("rise %d: must be at least 1; 0 means 1", c.Rise)
	}
	if c.Fall < 0 {
		add("fall %d: must be at least 1; 0 means 1", c.Fall)
	}
	if int(c.Impact) >= len(impactNames) {
		add("impact %v: use Critical or Degraded", c.Impact)
	}
	if int(c.Scope) >= len(scopeNames) {
		add("scope %v: use Instance or Shared", c.Scope)
	}
	return errors.Join(faults...)
}

// unusableName says why name cannot be a segment of a URL's path, or nothing.
// A slash can be escaped, but many proxies unescape it on the way.
func unusableName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case name == "." || name == "..":
		return "is a relative path segment"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsAny(name, `/\`):
		return "has a slash or backslash"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character"
	case strings.TrimSpace(name) != name:
		return "begins or ends with a space"
	}
	return ""
}
