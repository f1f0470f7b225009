// Package memory checks that memory is left: of the machine, and of the
// container if there is one.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/internal/proc"
)

// Defaults of a Check's zero fields.
const (
	DefaultWarnUsed = checks.Percent(90)
	DefaultMaxUsed  = checks.Percent(97)
)

// Check looks at how much memory is used.
//
// It proves that the machine has memory available for new work without
// swapping, by the kernel's own estimate (MemAvailable, see proc(5)), and that
// the same holds within the limit of the control group (cgroup v2) in which
// this process runs, and of those above it: a container's limit, or systemd's
// MemoryMax=. Page cache that the kernel can drop does not count as used. It
// costs reading a few small files of /proc and /sys, and needs no rights. It is
// for Linux. Swap, and the time that tasks lose waiting for memory (PSI), are
// looked at where there is a limit for them.
//
//	&memory.Check{WarnUsed: 80, MaxUsed: 95}
type Check struct {
	WarnUsed checks.Percent `yaml:"warn_used" jsonschema:"default=90%" jsonschema_description:"Warn when more of the memory is used than this."`
	MaxUsed  checks.Percent `yaml:"max_used" jsonschema:"default=97%" jsonschema_description:"Fail when more of the memory is used than this."`
	WarnSwap checks.Percent `yaml:"warn_swap" jsonschema_description:"Warn when more of the swap space is used than this."`
	MaxSwap  checks.Percent `yaml:"max_swap" jsonschema_description:"Fail when more of the swap space is used than this."`

	WarnPressure checks.Percent `yaml:"warn_pressure" jsonschema_description:"Warn when in more of the last minute than this some task waited for memory (PSI)."`
	MaxPressure  checks.Percent `yaml:"max_pressure" jsonschema_description:"Fail when in more of the last minute than this some task waited for memory (PSI)."`

	fs proc.FS
}

// Validate refuses a warning that would come after the failure.
func (c *Check) Validate() error {
	var errs []error
	for _, pair := range []struct {
		name       string
		warn, most checks.Percent
	}{
		{"used", c.WarnUsed, cmp.Or(c.MaxUsed, DefaultMaxUsed)},
		{"swap", c.WarnSwap, cmp.Or(c.MaxSwap, 100)},
		{"pressure", c.WarnPressure, cmp.Or(c.MaxPressure, 100)},
	} {
		if pair.warn > pair.most {
			errs = append(errs, checks.Optionf("warn_"+pair.name, "%v is more than max_%s (%v): the check would fail before it warns", pair.warn, pair.name, pair.most))
		}
	}
	return errors.Join(errs...)
}

// Run looks at the machine and at the control groups, and reports the one with
// the least memory left in proportion; then at swap and pressure.
func (c *Check) Run(context.Context) (string, error) {
	machine, err := c.machine()
	if err != nil {
		return "", err
	}
	tightest := machine.memory
	for _, group := range c.groups() {
		if group.percent() > tightest.percent() {
			tightest = group
		}
	}
	var found report.Report
	most := cmp.Or(c.MaxUsed, DefaultMaxUsed)
	judge(&found, tightest.percent(), cmp.Or(c.WarnUsed, min(DefaultWarnUsed, most)), most, tightest.String())
	if c.WarnSwap > 0 || c.MaxSwap > 0 {
		text := "the machine has no swap"
		if machine.swap.total > 0 {
			text = machine.swap.String() + " of swap"
		}
		judge(&found, machine.swap.percent(), c.WarnSwap, c.MaxSwap, text)
	}
	if c.WarnPressure > 0 || c.MaxPressure > 0 {
		whose, share, err := c.pressure()
		if err != nil {
			return "", err
		}
		judge(&found, share, c.WarnPressure, c.MaxPressure, fmt.Sprintf("%s has tasks waiting for memory in %v of the time", whose, share))
	}
	return found.Result()
}

// judge compares a share with limits, of which 0 is none.
func judge(found *report.Report, share, warn, most checks.Percent, text string) {
	switch {
	case most > 0 && share > most:
		found.Failf("%s, more than %v", text, most)
	case warn > 0 && share > warn:
		found.Warnf("%s, more than %v", text, warn)
	default:
		found.Passf("%s", text)
	}
}

// usage is how much memory is used of what there is.
type usage struct {
	whose       string
	used, total checks.Size
}

// percent is 0 of nothing: a machine without swap uses none of it.
func (u usage) percent() checks.Percent {
	if u.total == 0 {
		return 0
	}
	return checks.Percent(float64(u.used) / float64(u.total) * 100)
}

func (u usage) String() string {
	return fmt.Sprintf("%s uses %.1f%% of %v", u.whose, float64(u.percent()), u.total)
}

var errNoMeminfo = errors.New("no MemTotal and MemAvailable in /proc/meminfo: needs Linux 3.14 or newer with /proc mounted")
