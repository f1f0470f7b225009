// Package load checks that the machine's processors keep up with their work.
package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/internal/proc"
)

// Defaults of a Check's zero fields.
const (
	DefaultOver          = "5m"
	DefaultWarnLoad      = 2.0
	DefaultWarnSteal     = checks.Percent(10)
	DefaultWarnThrottled = checks.Percent(25)
)

// Check looks at the machine's load average for each processor, at the time
// that its hypervisor gives to others (steal), and at how often the control
// group (cgroup v2) in which this process runs, or one above it, was held back
// by its CPU limit.
//
// It proves that work does not queue up: a load of 1 for each processor keeps
// all of them busy, or waits for disks, which Linux counts as well. Steal and
// throttling are measured from one run to the next, so that the first has none
// to tell. It costs reading a few small files of /proc and /sys, and needs no
// rights. It is for Linux.
//
//	&load.Check{WarnLoad: 1.5, MaxLoad: 8}
type Check struct {
	Over          string         `yaml:"over" jsonschema:"enum=1m,enum=5m,enum=15m,default=5m" jsonschema_description:"Which of the three load averages counts."`
	WarnLoad      float64        `yaml:"warn_load" jsonschema:"default=2" jsonschema_description:"Warn when the load for each processor is higher than this."`
	MaxLoad       float64        `yaml:"max_load" jsonschema_description:"Fail when the load for each processor is higher than this; without it, never."`
	WarnSteal     checks.Percent `yaml:"warn_steal" jsonschema:"default=10%" jsonschema_description:"Warn when more of the processors' time than this went to other virtual machines."`
	MaxSteal      checks.Percent `yaml:"max_steal" jsonschema_description:"Fail when more of the processors' time than this went to other virtual machines; without it, never."`
	WarnThrottled checks.Percent `yaml:"warn_throttled" jsonschema:"default=25%" jsonschema_description:"Warn when the control group was held back by its CPU limit in more of its periods than this."`
	MaxThrottled  checks.Percent `yaml:"max_throttled" jsonschema_description:"Fail when the control group was held back by its CPU limit in more of its periods than this; without it, never."`
	WarnPressure  checks.Percent `yaml:"warn_pressure" jsonschema_description:"Warn when in more of the last minute than this some task waited for a processor (PSI)."`
	MaxPressure   checks.Percent `yaml:"max_pressure" jsonschema_description:"Fail when in more of the last minute than this some task waited for a processor (PSI)."`

	fs       proc.FS
	previous *sample // of the last run
}

// Validate refuses a warning that would come after the failure.
func (c *Check) Validate() error {
	var errs []error
	if _, ok := averages[c.over()]; !ok {
		errs = append(errs, checks.Optionf("over", "%q is none of the load averages: write 1m, 5m or 15m", c.Over))
	}
	if c.WarnLoad < 0 {
		errs = append(errs, checks.Optionf("warn_load", "%v is negative", c.WarnLoad))
	}
	if c.MaxLoad < 0 {
		errs = append(errs, checks.Optionf("max_load", "%v is negative", c.MaxLoad))
	}
	for _, pair := range []struct {
		name       string
		warn, most float64
	}{
		{"load", c.WarnLoad, c.MaxLoad},
		{"steal", float64(c.WarnSteal), float64(c.MaxSteal)},
		{"throttled", float64(c.WarnThrottled), float64(c.MaxThrottled)},
		{"pressure", float64(c.WarnPressure), float64(c.MaxPressure)},
	} {
		if pair.most > 0 && pair.warn > pair.most {
			errs = append(errs, checks.Optionf("warn_"+pair.name, "%v is more than max_%s (%v): the check would fail before it warns", pair.warn, pair.name, pair.most))
		}
	}
	return errors.Join(errs...)
}

// averages are the columns of /proc/loadavg.
var averages = map[string]int{"1m": 0, "5m": 1, "15m": 2}

func (c *Check) over() string {
	if c.Over == "" {
		return DefaultOver
	}
	return c.Over
}

// Run reads the figures, compares them with those of the run before, and
// reports all that are too high.
func (c *Check) Run(context.Context) (string, error) {
	now, err := read(c.fs)
	if err != nil {
		return "", err
	}
	var found report.Report
	load := now.load[averages[c.over()]]
	each := load / float64(now.cpus)
	judge(&found, each, warning(c.WarnLoad, DefaultWarnLoad, c.MaxLoad), c.MaxLoad, "",
		fmt.Sprintf("load of %s for each processor (%s on %d over %s)", figure(each), figure(load), now.cpus, c.over()))

	if share, ok := now.stolenSince(c.previous); ok {
		judge(&found, share, warning(float64(c.WarnSteal), float64(DefaultWarnSteal), float64(c.MaxSteal)), float64(c.MaxSteal), "%",
			fmt.Sprintf("%s%% of the processors' time stolen", figure(share)))
	} else if c.previous == nil {
		found.Passf("time stolen is told from the second run on")
	}
	if share, ok := now.throttledSince(c.previous); ok {
		judge(&found, share, warning(float64(c.WarnThrottled), float64(DefaultWarnThrottled), float64(c.MaxThrottled)), float64(c.MaxThrottled), "%",
			fmt.Sprintf("its control group held back by its CPU limit in %s%% of its periods", figure(share)))
	}
	if c.previous == nil || !now.tooSoonAfter(c.previous) {
		c.previous = now
	}
	if c.WarnPressure > 0 || c.MaxPressure > 0 {
		pressure, err := c.fs.Pressure("proc/pressure/cpu")
		if err != nil {
			return "", err
		}
		judge(&found, float64(pressure.Some), float64(c.WarnPressure), float64(c.MaxPressure), "%",
			fmt.Sprintf("tasks wait for a processor in %s%% of the time", figure(float64(pressure.Some))))
	}
	return found.Result()
}

// warning is the limit of a warning: its default does not come after the
// failure.
func warning(set, byDefault, most float64) float64 {
	switch {
	case set > 0:
		return set
	case most > 0:
		return min(byDefault, most)
	default:
		return byDefault
	}
}

// judge compares a figure with limits, of which 0 is none.
func judge(found *report.Report, n, warn, most float64, unit, text string) {
	switch {
	case most > 0 && n > most:
		found.Failf("%s, more than %s%s", text, figure(most), unit)
	case warn > 0 && n > warn:
		found.Warnf("%s, more than %s%s", text, figure(warn), unit)
	default:
		found.Passf("%s", text)
	}
}

// figure writes a number with at most two decimals.
func figure(n float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(n, 'f', 2, 64), "0"), ".")
}
