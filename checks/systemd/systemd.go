// Package systemd checks that units of systemd are as they should be.
package systemd

import (
	"cmp"
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hale/checks"
	"hale/checks/internal/report"
)

// DefaultWarnRestarted is that of a Check's zero field.
const DefaultWarnRestarted = 5 * time.Minute

// Check asks systemd for units.
//
// It proves that each unit is loaded and active, in systemd's eyes; a service
// that was restarted by systemd a short while ago warns. A service of
// Type=oneshot passes, too, when it has run and ended well; a timer, when it
// waits for its time. It does not prove that the service does its work. It costs
// one connection to the system's D-Bus a run, and three questions a unit. It
// needs the right to use the bus, which every user has as a rule.
//
//	&systemd.Check{Units: []string{"nginx.service", "backup.timer"}, MaxAge: 26 * checks.Span(time.Hour)}
type Check struct {
	Units         []string      `yaml:"units" jsonschema:"required" jsonschema_description:"The units; a name without a kind is that of a service."`
	WarnRestarted time.Duration `yaml:"warn_restarted" jsonschema:"default=5m" jsonschema_description:"Warn for this long after systemd has restarted a service that ended."`
	MaxAge        checks.Span   `yaml:"max_age" jsonschema_description:"The longest time since the timers, and services of Type=oneshot, among the units have run."`
	Address       string        `yaml:"address" jsonschema_description:"Where the bus listens: the path of a unix socket, or host:port; the default is that of DBUS_SYSTEM_BUS_ADDRESS, or /run/dbus/system_bus_socket."`

	// Lookup finds DBUS_SYSTEM_BUS_ADDRESS; nil means in this process's
	// environment.
	Lookup func(name string) (value string, ok bool) `yaml:"-"`
}

// kinds are those that systemd has (systemd.unit(5)).
var kinds = []string{"service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"}

// Validate refuses names that no unit has.
func (c *Check) Validate() error {
	var errs []error
	if len(c.Units) == 0 {
		errs = append(errs, checks.Optionf("units", "is missing: write the names of units, such as nginx.service"))
	}
	for _, unit := range c.Units {
		if strings.Trim(unit, unitLetters) != "" || unit == "" {
			errs = append(errs, checks.Optionf("units", "%q is not the name of a unit", unit))
		}
	}
	if c.MaxAge > 0 && len(c.Units) > 0 && !slices.ContainsFunc(c.Units, func(unit string) bool { return kind(unit) == "service" || kind(unit) == "timer" }) {
		errs = append(errs, checks.Optionf("max_age", "goes with timers and services alone"))
	}
	if c.WarnRestarted < 0 {
		errs = append(errs, checks.Optionf("warn_restarted", "%v is negative: write a duration such as 5m", c.WarnRestarted))
	}
	host, port, err := net.SplitHostPort(c.Address)
	if c.Address != "" && !filepath.IsAbs(c.Address) && (err != nil || host == "" || strings.Trim(port, "0123456789") != "") {
		errs = append(errs, checks.Optionf("address", "%q is neither the path of a unix socket nor host:port", c.Address))
	}
	return errors.Join(errs...)
}

const unitLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"

// full is a unit's name with its kind.
func full(unit string) string {
	if i := strings.LastIndexByte(unit, '.'); i >= 0 && slices.Contains(kinds, unit[i+1:]) {
		return unit
	}
	return unit + ".service"
}

func kind(unit string) string {
	unit = full(unit)
	return unit[strings.LastIndexByte(unit, '.')+1:]
}

// Run asks for the units, and reports all that are not well.
func (c *Check) Run(ctx context.Context) (string, error) {
	bus, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer bus.close()
	j := judge{now: time.Now(), warnRestarted: cmp.Or(c.WarnRestarted, DefaultWarnRestarted), maxAge: c.MaxAge}
	var found report.Report
	for _, name := range c.Units {
		u, err := bus.unit(ctx, full(name))
		if err != nil {
			return "", err
		}
		j.judge(&found, u)
	}
	return found.Result()
}
