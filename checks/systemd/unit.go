package systemd

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/internal/explain"
)

// unit is what systemd tells of a unit, in the words of
// org.freedesktop.systemd1(5).
type unit struct {
	name                 string
	load, active, sub    string // LoadState, ActiveState, SubState
	changed              time.Time
	activated            time.Time // ActiveEnterTimestamp
	unconditional        bool      // false: a Condition...= did not hold when it was last started
	kind                 string    // Type of a service
	result               string
	restarts             uint32 // NRestarts
	exitCode, exitStatus int32  // ExecMainCode, ExecMainStatus
	ended, lastTriggered time.Time
	isService, isTimer   bool
}

// judge has the limits.
type judge struct {
	now           time.Time
	warnRestarted time.Duration
	maxAge        checks.Span
}

// judge notes how a unit is.
func (j *judge) judge(found *report.Report, u *unit) {
	switch u.load {
	case "loaded":
	case "not-found":
		found.Failf("no such unit: %s", u.name)
		return
	case "masked":
		found.Failf("%s is masked, so that it cannot be started", u.name)
		return
	default:
		found.Failf("%s cannot be loaded: its unit file has a mistake (%s)", u.name, explain.Line(u.load))
		return
	}
	switch u.active {
	case "active", "reloading", "refreshing":
		j.judgeActive(found, u)
	case "activating":
		j.judgeStarting(found, u)
	case "deactivating":
		found.Failf("%s is being stopped%s", u.name, j.since(u.changed))
	case "failed":
		found.Failf("%s failed%s: %s", u.name, j.ago(u.changed), u.reason())
	case "inactive":
		j.judgeInactive(found, u)
	default:
		found.Failf("%s is %s", u.name, explain.Line(u.active))
	}
}

func (j *judge) judgeActive(found *report.Report, u *unit) {
	if u.isTimer {
		j.judgeLastRun(found, u.name, "waits for its time", u.lastTriggered)
		return
	}
	if u.restarts > 0 && !u.activated.IsZero() && j.now.Sub(u.activated) < j.warnRestarted {
		found.Warnf("%s was restarted by systemd %s, the last time %s ago", u.name, times(u.restarts), coarse(j.now.Sub(u.activated)))
		return
	}
	found.Passf("%s is %s%s", u.name, u.active, j.since(u.activated))
}

func (j *judge) judgeStarting(found *report.Report, u *unit) {
	switch {
	case strings.HasPrefix(u.sub, "auto-restart"):
		found.Failf("%s ended and waits to be restarted (%s so far): %s", u.name, times(u.restarts), u.reason())
	case u.kind == "oneshot":
		found.Passf("%s is at work%s", u.name, j.since(u.changed))
	default:
		found.Warnf("%s is starting%s", u.name, j.since(u.changed))
	}
}

func (j *judge) judgeInactive(found *report.Report, u *unit) {
	switch {
	case !u.unconditional:
		found.Failf("%s was not started: a condition in its unit file does not hold", u.name)
	case u.isService && u.kind == "oneshot" && u.ended.IsZero():
		found.Failf("%s has not run since the machine was started", u.name)
	case u.isService && u.kind == "oneshot":
		j.judgeLastRun(found, u.name, "ended well", u.ended)
	default:
		found.Failf("%s is stopped%s", u.name, j.since(u.changed))
	}
}

// judgeLastRun judges what runs now and then.
func (j *judge) judgeLastRun(found *report.Report, name, state string, last time.Time) {
	switch {
	case last.IsZero() && j.maxAge > 0:
		found.Failf("%s has not run yet", name)
	case last.IsZero():
		found.Passf("%s %s, and has not run yet", name, state)
	case j.maxAge > 0 && checks.Span(j.now.Sub(last)) > j.maxAge:
		found.Failf("%s ran %s ago, more than %v", name, coarse(j.now.Sub(last)), j.maxAge)
	default:
		found.Passf("%s %s, and ran %s ago", name, state, coarse(j.now.Sub(last)))
	}
}

// reason explains a result (systemd.exec(5), "$SERVICE_RESULT").
func (u *unit) reason() string {
	const exited = 1 // CLD_EXITED; otherwise a signal ended it
	switch u.result {
	case "exit-code":
		return fmt.Sprintf("it ended with exit code %d", u.exitStatus)
	case "signal":
		return "it was killed by " + signal(u.exitStatus)
	case "core-dump":
		return "it crashed with " + signal(u.exitStatus)
	case "timeout":
		return "it did not start, or stop, in time"
	case "watchdog":
		return "it gave no sign of life in time (watchdog)"
	case "oom-kill":
		return "it, or one of its children, was killed for want of memory (oom-kill)"
	case "start-limit-hit":
		return "it was restarted too often in too short a time (start limit)"
	case "protocol":
		return "it did not behave as its Type= says"
	case "resources":
		return "systemd could not start it for want of something it needs (resources)"
	case "success":
		if u.exitCode > exited {
			return "it ended by " + signal(u.exitStatus)
		}
		return "it ended by itself"
	case "":
		return "systemd does not say why"
	default:
		return explain.Line(u.result)
	}
}

func signal(number int32) string {
	if name := unix.SignalName(syscall.Signal(number)); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", number)
}

func (j *judge) since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", for " + coarse(j.now.Sub(t))
}

func (j *judge) ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " " + coarse(j.now.Sub(t)) + " ago"
}

func coarse(d time.Duration) string { return checks.Span(max(0, d)).Coarse() }

func times(n uint32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
