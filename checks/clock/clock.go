// Package clock checks that the machine's clock is right.
package clock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hale/checks"
	"hale/checks/internal/report"
)

// Defaults of a Check's zero fields.
const (
	DefaultWarnOffset = 500 * time.Millisecond
	DefaultMaxOffset  = 10 * time.Second
)

// Check compares the machine's clock with those of NTP servers, or, without
// any, asks the kernel whether a time service keeps it right.
//
// With servers, it proves how far the clock is off (RFC 5905), as exactly as
// half the way to a server and back takes; of several, the one in the middle
// counts, so that one that is wrong is outvoted. Without, it proves that
// chronyd, systemd-timesyncd, ntpd or the like has set the clock lately, and what
// it thinks of the error; that is for Linux. It costs one packet a server and
// run, two if one got lost, or one system call. It needs no rights.
//
//	&clock.Check{Servers: []string{"169.254.169.123"}}
type Check struct {
	Servers    []string      `yaml:"servers" jsonschema_description:"NTP servers to compare with, host or host:port; without any, the kernel is asked whether its clock is synchronised."`
	WarnOffset time.Duration `yaml:"warn_offset" jsonschema:"default=500ms" jsonschema_description:"Warn when the clock is off by more than this."`
	MaxOffset  time.Duration `yaml:"max_offset" jsonschema:"default=10s" jsonschema_description:"Fail when the clock is off by more than this."`

	kernel func() (state, error) // nil means the machine's own
}

// Validate refuses what is no server, and a warning that would come after the
// failure.
func (c *Check) Validate() error {
	var errs []error
	for _, server := range c.Servers {
		host, _, err := net.SplitHostPort(withPort(server))
		if err != nil || host == "" || strings.ContainsAny(server, " /") {
			errs = append(errs, checks.Optionf("servers", "%q is neither host nor host:port", server))
		}
	}
	if most := cmp.Or(c.MaxOffset, DefaultMaxOffset); c.WarnOffset > most {
		errs = append(errs, checks.Optionf("warn_offset", "%v is more than max_offset (%v): the check would fail before it warns", c.WarnOffset, most))
	}
	if c.WarnOffset < 0 || c.MaxOffset < 0 {
		errs = append(errs, checks.Optionf("max_offset", "is negative: write a duration such as 10s"))
	}
	return errors.Join(errs...)
}

// withPort completes the address of a server.
func withPort(server string) string {
	if _, err := netip.ParseAddr(server); err == nil {
		return net.JoinHostPort(server, "123")
	}
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(server, "123")
}

// Run compares the clock, and judges how far it is off.
func (c *Check) Run(ctx context.Context) (string, error) {
	if len(c.Servers) == 0 {
		return c.askKernel()
	}
	// Those who answer are to be heard, however long the others are silent.
	if deadline, ok := ctx.Deadline(); ok && len(c.Servers) > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
	}
	answers := make([]answer, len(c.Servers))
	var all sync.WaitGroup
	for i, server := range c.Servers {
		all.Go(func() { answers[i] = ask(ctx, withPort(server)) })
	}
	all.Wait()
	return c.conclude(answers)
}

// conclude judges by the server in the middle, and tells of those that did not
// answer.
func (c *Check) conclude(answers []answer) (string, error) {
	var good []answer
	var failed []error
	for _, a := range answers {
		if a.err != nil {
			failed = append(failed, a.err)
		} else {
			good = append(good, a)
		}
	}
	if len(good) == 0 {
		return "", joined(failed)
	}
	slices.SortFunc(good, func(a, b answer) int { return cmp.Compare(a.offset, b.offset) })
	// Of an even number, that of the two in the middle which is better for the
	// clock: the other may be the wrong one.
	middle := good[len(good)/2]
	if other := good[(len(good)-1)/2]; other.offset.Abs() < middle.offset.Abs() {
		middle = other
	}
	text := "the clock is right to " + fine(middle.distance())
	if off := middle.offset; off.Abs() > middle.distance() {
		text = "the clock is " + direction(off)
	}
	text += ", by " + middle.server
	if len(answers) > 1 {
		text = fmt.Sprintf("%s of %d servers", text, len(answers))
	}
	var found report.Report
	c.judge(&found, middle.offset.Abs(), text)
	for _, err := range failed {
		found.Warnf("%v", err)
	}
	return found.Result()
}

// judge compares how far the clock is off with the limits.
func (c *Check) judge(found *report.Report, off time.Duration, text string) {
	most := cmp.Or(c.MaxOffset, DefaultMaxOffset)
	warn := cmp.Or(c.WarnOffset, min(DefaultWarnOffset, most))
	switch {
	case off > most:
		found.Failf("%s, more than %v", text, most)
	case off > warn:
		found.Warnf("%s, more than %v", text, warn)
	default:
		found.Passf("%s", text)
	}
}

// direction tells an offset, which is what would have to be added to the clock.
func direction(offset time.Duration) string {
	if offset < 0 {
		return fine(-offset) + " fast"
	}
	return fine(offset) + " slow"
}

// fine rounds a time for people.
func fine(d time.Duration) string {
	switch {
	case d >= 2*time.Minute:
		return checks.Span(d.Round(time.Minute)).Coarse() // Coarse rounds down: 2h59m59.9s is no "2h"
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return max(d.Round(time.Microsecond), time.Microsecond).String()
	}
}

// askKernel judges what the kernel thinks of its clock.
func (c *Check) askKernel() (string, error) {
	kernel := c.kernel
	if kernel == nil {
		kernel = readKernel
	}
	s, err := kernel()
	if err != nil {
		return "", err
	}
	var found report.Report
	if !s.synchronised {
		found.Warnf("no time service (chronyd, systemd-timesyncd, ntpd) keeps the clock right: the kernel calls it unsynchronised")
		return found.Result()
	}
	text := "the clock is synchronised"
	if s.estimated > 0 { // systemd-timesyncd does not estimate
		text += ", and thought to be right to " + fine(s.estimated)
	}
	c.judge(&found, s.estimated, text+fmt.Sprintf(" (at worst %s off)", fine(s.worst)))
	return found.Result()
}

// state is what the kernel knows of its clock from the service that sets it.
type state struct {
	synchronised     bool
	estimated, worst time.Duration // errors
}

// joined makes one line of what failed.
func joined(failed []error) error {
	if len(failed) == 1 {
		return failed[0]
	}
	var found report.Report
	for _, err := range failed {
		found.Failf("%v", err)
	}
	_, err := found.Result()
	return err
}
