package health_test

import (
	"errors"
	"testing"
	"time"

	"hale/health"
)

func TestWarnf(t *testing.T) {
	cause := errors.New("91% used")
	if err := health.Warnf("disk %s: %w", "/", cause); err.Error() != "disk /: 91% used" || !errors.Is(err, cause) {
		t.Errorf("%q, which is its cause: %v", err, errors.Is(err, cause))
	}
}

func TestNewMonitorRefuses(t *testing.T) {
	run := pass
	for _, tt := range []struct {
		name  string
		check health.Check
		want  string
	}{
		{"no name", health.Check{Run: run}, `check "": name is empty; it is used in the path /health/checks/NAME`},
		{"slash", health.Check{Name: "a/b", Run: run}, `check "a/b": name has a slash or backslash; it is used in the path /health/checks/NAME`},
		{"dots", health.Check{Name: "..", Run: run}, `check "..": name is a relative path segment; it is used in the path /health/checks/NAME`},
		{"newline", health.Check{Name: "a\nb", Run: run}, `check "a\nb": name has a control character; it is used in the path /health/checks/NAME`},
		{"space at the end", health.Check{Name: "a ", Run: run}, `check "a ": name begins or ends with a space; it is used in the path /health/checks/NAME`},
		{"not UTF-8", health.Check{Name: "a\xff", Run: run}, `check "a\xff": name is not valid UTF-8; it is used in the path /health/checks/NAME`},
		{"nothing to run", health.Check{Name: "a"}, `check "a": nothing to run: set Run`},
		{"negative interval", health.Check{Name: "a", Run: run, Interval: -1}, `check "a": interval -1ns: must be above 0 and at most a year; 0 means 10s`},
		{"endless interval", health.Check{Name: "a", Run: run, Interval: 1 << 62}, `check "a": interval 1281023h53m38.427387904s: must be above 0 and at most a year; 0 means 10s`},
		{"negative time-out", health.Check{Name: "a", Run: run, Timeout: -time.Second}, `check "a": time-out -1s: must be above 0 and at most a year; 0 means 5s`},
		{"negative rise", health.Check{Name: "a", Run: run, Rise: -1}, `check "a": rise -1: must be at least 1; 0 means 1`},
		{"negative fall", health.Check{Name: "a", Run: run, Fall: -2}, `check "a": fall -2: must be at least 1; 0 means 1`},
		{"no such impact", health.Check{Name: "a", Run: run, Impact: 7}, `check "a": impact health.Impact(7): use Critical or Degraded`},
		{"no such scope", health.Check{Name: "a", Run: run, Scope: 7}, `check "a": scope health.Scope(7): use Instance or Shared`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := health.NewMonitor(health.Options{}, tt.check)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v\nwant  %v", err, tt.want)
			}
			if r := health.RunOnce(t.Context(), nil, tt.check)[0]; r.Status != health.Fail || r.Output != tt.want {
				t.Errorf("once: %v %q", r.Status, r.Output)
			}
		})
	}
	t.Run("all faults at once", func(t *testing.T) {
		_, err := health.NewMonitor(health.Options{SharedFailure: 9},
			health.Check{Name: "a", Run: run}, health.Check{Name: "a", Run: run}, health.Check{Name: "b", Rise: -1})
		want := `shared failure health.SharedFailure(9): use SharedFails or SharedWarns
check "a": another check has the same name
check "b": nothing to run: set Run
check "b": rise -1: must be at least 1; 0 means 1`
		if err == nil || err.Error() != want {
			t.Errorf("error\n%v\nwant\n%v", err, want)
		}
	})
	t.Run("but takes names that can be escaped", func(t *testing.T) {
		for _, name := range []string{"home page", "größe", "100%?#", "a:b", "...", "a&b=c"} {
			if _, err := health.NewMonitor(health.Options{}, health.Check{Name: name, Run: run}); err != nil {
				t.Error(err)
			}
		}
	})
}
