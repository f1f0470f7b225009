// Package memory checks that memory is left: of the machine, and of the
// container if there is one.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"hale/checks"
	"hale/health"
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
// costs reading a few small files of /proc and /sys, and needs no rights.
//
//	&memory.Check{WarnUsed: 80, MaxUsed: 95}
type Check struct {
	WarnUsed checks.Percent `yaml:"warn_used" jsonschema:"default=90%" jsonschema_description:"Warn when more of the memory is used than this."`
	MaxUsed  checks.Percent `yaml:"max_used" jsonschema:"default=97%" jsonschema_description:"Fail when more of the memory is used than this."`

	root string // of the file system; empty means "/"
}

// Validate refuses a warning that would come after the failure.
func (c *Check) Validate() error {
	if most := cmp.Or(c.MaxUsed, DefaultMaxUsed); c.WarnUsed > most {
		return checks.Optionf("warn_used", "%v is more than max_used (%v): the check would fail before it warns", c.WarnUsed, most)
	}
	return nil
}

// Run looks at the machine and at the control groups, and reports the one with
// the least memory left in proportion.
func (c *Check) Run(context.Context) (string, error) {
	tightest, err := c.machine()
	if err != nil {
		return "", err
	}
	for _, group := range c.groups() {
		if group.percent() > tightest.percent() {
			tightest = group
		}
	}
	most := cmp.Or(c.MaxUsed, DefaultMaxUsed)
	warn := cmp.Or(c.WarnUsed, min(DefaultWarnUsed, most))
	switch p := tightest.percent(); {
	case p > most:
		return "", fmt.Errorf("%v, more than %v", tightest, most)
	case p > warn:
		return "", health.Warnf("%v, more than %v", tightest, warn)
	default:
		return tightest.String(), nil
	}
}

// usage is how much memory is used of what there is.
type usage struct {
	whose       string
	used, total checks.Size
}

func (u usage) percent() checks.Percent {
	return checks.Percent(float64(u.used) / float64(u.total) * 100)
}

func (u usage) String() string {
	return fmt.Sprintf("%s uses %.1f%% of %v", u.whose, float64(u.percent()), u.total)
}

var errNoMeminfo = errors.New("no MemTotal and MemAvailable in /proc/meminfo: needs Linux 3.14 or newer with /proc mounted")
