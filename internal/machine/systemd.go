package machine

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hale/internal/explain"
	"hale/internal/proc"
)

// Unit is one of systemd's services.
type Unit struct {
	Name string // such as "gunicorn.service"
	// Active and Sub are its state (systemctl(1)): "failed", or "activating" with
	// "auto-restart" for one that ends as often as it is started.
	Active, Sub string
	Description string
}

// Troubled returns systemd's services that have failed, or that it starts again
// and again. The error is fs.ErrNotExist where systemd does not run.
func Troubled(ctx context.Context) ([]Unit, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		return nil, &explain.Error{Text: "ask for failed services: systemd does not run here", Err: fs.ErrNotExist}
	}
	return troubled(ctx)
}

func troubled(ctx context.Context) ([]Unit, error) {
	content, err := run(ctx, "systemctl", "list-units", "--type=service", "--state=failed,auto-restart,start,start-pre", "--all", "--plain", "--no-legend", "--no-pager", "--full")
	if err != nil {
		return nil, fmt.Errorf("ask for failed services: %w", err)
	}
	return unitsIn(string(content)), nil
}

// KillSignal returns the signal by which systemd stops a service (KillSignal= of
// systemd.kill(5)), such as "SIGTERM".
func KillSignal(ctx context.Context, unit string) (string, error) {
	if !validUnit.MatchString(unit) {
		return "", fmt.Errorf("ask for the stop signal: %q is not the name of a unit", unit)
	}
	content, err := run(ctx, "systemctl", "show", "--property=KillSignal", "--value", unit)
	if err != nil {
		return "", fmt.Errorf("ask for the stop signal of %s: %w", unit, err)
	}
	return signalNamed(strings.TrimSpace(string(content)))
}

// signalNamed is the name of a signal that systemd gives by number or name.
func signalNamed(text string) (string, error) {
	if name, ok := signals[text]; ok {
		text = name
	}
	if !strings.HasPrefix(text, "SIG") {
		return "", fmt.Errorf("%q is no signal", explain.Line(text))
	}
	return text, nil
}

// signals are those that stop services, by Linux's numbers (signal(7)).
var signals = map[string]string{"1": "SIGHUP", "2": "SIGINT", "3": "SIGQUIT", "9": "SIGKILL", "10": "SIGUSR1", "12": "SIGUSR2", "15": "SIGTERM", "28": "SIGWINCH"}

// unitsIn reads lines of "name loaded failed failed Description".
func unitsIn(content string) []Unit {
	var units []Unit
	for line := range strings.Lines(content) {
		fields := strings.Fields(printable([]byte(line)))
		if len(fields) < 4 || !validUnit.MatchString(fields[0]) {
			continue
		}
		units = append(units, Unit{fields[0], fields[2], fields[3], strings.Join(fields[4:], " ")})
	}
	return units
}

// UnitOf returns systemd's service that a process belongs to, such as
// "gunicorn.service"; "" if it belongs to none (cgroups(7), and the names that
// systemd gives to control groups).
func UnitOf(pid int) string {
	content, err := proc.FS{}.Read("proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return ""
	}
	return unitIn(content)
}

// unitIn reads /proc/PID/cgroup: "0::/system.slice/nginx.service", or of version
// 1, "1:name=systemd:/system.slice/nginx.service".
func unitIn(content string) string {
	for line := range strings.Lines(content) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[1] != "" && parts[1] != "name=systemd" {
			continue
		}
		for _, part := range slices.Backward(strings.Split(parts[2], "/")) {
			if strings.HasPrefix(part, "user@") {
				return "" // a session, or a user's own service
			}
			if strings.HasSuffix(part, ".service") && validUnit.MatchString(part) {
				return part
			}
		}
	}
	return ""
}

var validUnit = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_@:.\\-]*$`)

// journals tells whether systemd's journal can be asked.
func journals() bool {
	_, err := os.Stat("/run/systemd/journal")
	return err == nil && found("journalctl")
}

// Journal returns the last lines of a service's journal, oldest first and ready
// to print, as journalctl(1) gives them: those within its last maxBytes, 0
// meaning DefaultTail, and 1000 lines at most. Other users' services take the
// rights of root, or of the groups adm or systemd-journal.
func Journal(ctx context.Context, unit string, maxBytes int) ([]string, error) {
	if !validUnit.MatchString(unit) {
		return nil, fmt.Errorf("read the journal: %q is not the name of a unit", unit)
	}
	content, err := run(ctx, "journalctl", "--unit="+unit, "--lines=1000", "--no-pager", "--quiet", "--output=short-iso")
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", unit, err)
	}
	begin := max(0, len(content)-cmp.Or(max(maxBytes, 0), DefaultTail))
	all := lines(content[begin:], begin > 0)
	return slices.DeleteFunc(all, func(line string) bool { return strings.HasPrefix(line, "-- ") }), nil
}
