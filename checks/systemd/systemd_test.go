package systemd_test

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/systemd"
	"hale/health"
	"hale/test/checktest"
)

func TestUnits(t *testing.T) {
	t.Parallel()
	m := newMock(t, "", "")
	m.run()
	type properties = map[string]any
	m.add("nginx.service", properties{"ActiveEnterTimestamp": ago(49 * time.Hour)}, properties{"Type": "forking", "Result": "success", "NRestarts": uint32(0)})
	m.add("calm.service", properties{"ActiveEnterTimestamp": ago(2 * time.Hour)}, properties{"Result": "success", "NRestarts": uint32(3)})
	m.add("restless.service", properties{"ActiveEnterTimestamp": ago(70 * time.Second)}, properties{"Result": "success", "NRestarts": uint32(12)})
	m.add("fresh.service", properties{"ActiveEnterTimestamp": ago(70 * time.Second)}, properties{"Result": "success", "NRestarts": uint32(0)})
	m.add("reloading.service", properties{"ActiveState": "reloading", "SubState": "reload", "ActiveEnterTimestamp": ago(2 * time.Hour)}, nil)
	m.add("old.service", nil, properties{"Result": "success"}) // systemd before 235 has no NRestarts
	m.add("looping.service", properties{"ActiveState": "activating", "SubState": "auto-restart"}, properties{"Result": "exit-code", "NRestarts": uint32(7), "ExecMainCode": int32(1), "ExecMainStatus": int32(3)})
	m.add("slow.service", properties{"ActiveState": "activating", "SubState": "start-pre", "StateChangeTimestamp": ago(30 * time.Second)}, properties{"Type": "notify"})
	m.add("stopping.service", properties{"ActiveState": "deactivating", "SubState": "stop-sigterm", "StateChangeTimestamp": ago(30 * time.Second)}, nil)
	m.add("stopped.service", properties{"ActiveState": "inactive", "SubState": "dead", "StateChangeTimestamp": ago(3 * time.Hour)}, properties{"Type": "simple", "Result": "success"})
	m.add("conditional.service", properties{"ActiveState": "inactive", "SubState": "dead", "ConditionResult": false, "ConditionTimestamp": ago(time.Hour)}, properties{"Type": "simple"})
	m.add("masked.service", properties{"LoadState": "masked", "ActiveState": "inactive"}, nil)
	m.add("broken.service", properties{"LoadState": "bad-setting", "ActiveState": "inactive"}, nil)
	for name, result := range map[string]properties{
		"exit":     {"Result": "exit-code", "ExecMainCode": int32(1), "ExecMainStatus": int32(203)},
		"killed":   {"Result": "signal", "ExecMainCode": int32(2), "ExecMainStatus": int32(9)},
		"crashed":  {"Result": "core-dump", "ExecMainCode": int32(3), "ExecMainStatus": int32(11)},
		"timeout":  {"Result": "timeout"},
		"watchdog": {"Result": "watchdog", "ExecMainCode": int32(3), "ExecMainStatus": int32(6)},
		"oom":      {"Result": "oom-kill"},
		"limit":    {"Result": "start-limit-hit"},
		"future":   {"Result": "gone-fishing"},
	} {
		m.add(name+".service", properties{"ActiveState": "failed", "SubState": "failed", "StateChangeTimestamp": ago(10 * time.Minute)}, result)
	}
	m.add("backup.service", properties{"ActiveState": "inactive", "SubState": "dead"}, properties{"Type": "oneshot", "Result": "success", "ExecMainExitTimestamp": ago(30 * time.Hour)})
	m.add("running.service", properties{"ActiveState": "activating", "SubState": "start", "StateChangeTimestamp": ago(5 * time.Minute)}, properties{"Type": "oneshot"})
	m.add("never.service", properties{"ActiveState": "inactive", "SubState": "dead"}, properties{"Type": "oneshot", "Result": "success"})
	m.add("backup.timer", properties{"SubState": "waiting"}, properties{"Result": "success", "LastTriggerUSec": ago(30 * time.Hour)})
	m.add("new.timer", properties{"SubState": "waiting"}, properties{"Result": "success", "LastTriggerUSec": uint64(0)})
	m.add("stopped.timer", properties{"ActiveState": "inactive", "SubState": "dead"}, properties{"Result": "success"})
	m.add("data.mount", properties{"SubState": "mounted", "ActiveEnterTimestamp": ago(3 * time.Hour)}, nil)
	m.add("multi-user.target", properties{"ActiveEnterTimestamp": ago(3 * time.Hour)}, nil)
	m.add("app@blue.socket", properties{"ActiveState": "failed"}, properties{"Result": "resources"})

	for _, test := range []struct {
		name   string
		check  systemd.Check
		status health.Status
		want   string
	}{
		{"active", systemd.Check{Units: []string{"nginx.service"}}, health.Pass, "nginx.service is active, for 2d"},
		{"a service without its kind", systemd.Check{Units: []string{"nginx"}}, health.Pass, "nginx.service is active, for 2d"},
		{"of all kinds", systemd.Check{Units: []string{"nginx", "data.mount", "multi-user.target", "backup.timer"}}, health.Pass, "nginx.service is active, for 2d; data.mount is active, for 3h; multi-user.target is active, for 3h; backup.timer waits for its time, and ran 30h ago"},
		{"restarted long ago", systemd.Check{Units: []string{"calm"}}, health.Pass, "calm.service is active, for 2h"},
		{"restarted just now", systemd.Check{Units: []string{"restless"}}, health.Warn, "restless.service was restarted by systemd 12 times, the last time 1m10s ago"},
		{"restarted long enough ago", systemd.Check{Units: []string{"restless"}, WarnRestarted: time.Minute}, health.Pass, "restless.service is active, for 1m10s"},
		{"started just now", systemd.Check{Units: []string{"fresh"}}, health.Pass, "fresh.service is active, for 1m10s"},
		{"reloads", systemd.Check{Units: []string{"reloading"}}, health.Pass, "reloading.service is reloading, for 2h"},
		{"an old systemd", systemd.Check{Units: []string{"old"}}, health.Pass, "old.service is active"},
		{"starting", systemd.Check{Units: []string{"slow"}}, health.Warn, "slow.service is starting, for 30s"},
		{"ran well", systemd.Check{Units: []string{"backup"}}, health.Pass, "backup.service ended well, and ran 30h ago"},
		{"runs", systemd.Check{Units: []string{"running"}}, health.Pass, "running.service is at work, for 5m"},
		{"a timer before its first time", systemd.Check{Units: []string{"new.timer"}}, health.Pass, "new.timer waits for its time, and has not run yet"},
		{"ran not too long ago", systemd.Check{Units: []string{"backup", "backup.timer"}, MaxAge: 2 * checks.Day}, health.Pass, "backup.service ended well, and ran 30h ago; backup.timer waits for its time, and ran 30h ago"},

		{"no such unit", systemd.Check{Units: []string{"ngnix"}}, health.Fail, "no such unit: ngnix.service"},
		{"masked", systemd.Check{Units: []string{"masked"}}, health.Fail, "masked.service is masked, so that it cannot be started"},
		{"mistake in its file", systemd.Check{Units: []string{"broken"}}, health.Fail, "broken.service cannot be loaded: its unit file has a mistake (bad-setting)"},
		{"in a loop", systemd.Check{Units: []string{"looping"}}, health.Fail, "looping.service ended and waits to be restarted (7 times so far): it ended with exit code 3"},
		{"stopping", systemd.Check{Units: []string{"stopping"}}, health.Fail, "stopping.service is being stopped, for 30s"},
		{"stopped", systemd.Check{Units: []string{"stopped"}}, health.Fail, "stopped.service is stopped, for 3h"},
		{"a stopped timer", systemd.Check{Units: []string{"stopped.timer"}}, health.Fail, "stopped.timer is stopped"},
		{"a condition", systemd.Check{Units: []string{"conditional"}}, health.Fail, "conditional.service was not started: a condition in its unit file does not hold"},
		{"never ran", systemd.Check{Units: []string{"never"}}, health.Fail, "never.service has not run since the machine was started"},
		{"ran too long ago", systemd.Check{Units: []string{"backup", "backup.timer"}, MaxAge: checks.Day}, health.Fail, "backup.service ran 30h ago, more than 1d; backup.timer ran 30h ago, more than 1d"},
		{"a timer that has not run", systemd.Check{Units: []string{"new.timer"}, MaxAge: checks.Day}, health.Fail, "new.timer has not run yet"},
		{"failed: exit", systemd.Check{Units: []string{"exit"}}, health.Fail, "exit.service failed 10m ago: it ended with exit code 203"},
		{"failed: signal", systemd.Check{Units: []string{"killed"}}, health.Fail, "killed.service failed 10m ago: it was killed by SIGKILL"},
		{"failed: crash", systemd.Check{Units: []string{"crashed"}}, health.Fail, "crashed.service failed 10m ago: it crashed with SIGSEGV"},
		{"failed: timeout", systemd.Check{Units: []string{"timeout"}}, health.Fail, "timeout.service failed 10m ago: it did not start, or stop, in time"},
		{"failed: watchdog", systemd.Check{Units: []string{"watchdog"}}, health.Fail, "watchdog.service failed 10m ago: it gave no sign of life in time (watchdog)"},
		{"failed: memory", systemd.Check{Units: []string{"oom"}}, health.Fail, "oom.service failed 10m ago: it, or one of its children, was killed for want of memory (oom-kill)"},
		{"failed: limit", systemd.Check{Units: []string{"limit"}}, health.Fail, "limit.service failed 10m ago: it was restarted too often in too short a time (start limit)"},
		{"failed: unknown", systemd.Check{Units: []string{"future"}}, health.Fail, "future.service failed 10m ago: gone-fishing"},
		{"failed: socket", systemd.Check{Units: []string{"app@blue.socket"}}, health.Fail, "app@blue.socket failed: systemd could not start it for want of something it needs (resources)"},
		{"everything at once", systemd.Check{Units: []string{"nginx", "restless", "exit", "ngnix"}}, health.Fail, "exit.service failed 10m ago: it ended with exit code 203; no such unit: ngnix.service; restless.service was restarted by systemd 12 times, the last time 1m10s ago"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.check.Lookup = func(name string) (string, bool) {
				return "unix:path=" + m.socket + ",guid=abc", name == "DBUS_SYSTEM_BUS_ADDRESS"
			}
			says(t, &test.check, test.status, test.want)
		})
	}
}

// says runs a check. Seconds may have passed since the units were made.
func says(t *testing.T, check *systemd.Check, status health.Status, want string) {
	t.Helper()
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	result := health.RunOnce(t.Context(), nil, health.Check{Name: "systemd", Run: check.Run, Timeout: time.Minute})[0]
	pattern := strings.NewReplacer("1m10s", `1m\d\ds`, "30s", `\d\ds`).Replace(regexp.QuoteMeta(want))
	if result.Status != status || !regexp.MustCompile("^"+pattern+"$").MatchString(result.Output) {
		t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, status, want)
	}
}

func TestFaults(t *testing.T) {
	m := newMock(t, "<auth>EXTERNAL</auth><auth>ANONYMOUS</auth>", "")
	server := m.run()
	m.add("nginx.service", nil, nil)
	check := func(address string) checks.Check {
		return &systemd.Check{Units: []string{"nginx"}, Address: address}
	}
	checktest.Target{Address: m.tcp, New: check, Connections: m.clients}.Faults(t)
	checktest.Soak(t, check(m.socket), m.clients)

	// The bus is well, systemd is not.
	server.Pause()
	if got, want := checktest.Outcome(t, check(m.socket), time.Second), "fail: connected, but no answer within 1s: "+m.socket; got != want {
		t.Errorf("systemd hangs: %q, want %q", got, want)
	}
	server.Stop()
	checktest.Eventually(t, "systemd has left the bus", func() bool {
		_, err := check(m.socket).Run(t.Context())
		return err != nil && err.Error() == "systemd is not on the bus: "+m.socket
	})
}

func TestNoRights(t *testing.T) {
	t.Parallel()
	denied := newMock(t, "", `<deny send_destination="org.freedesktop.systemd1" send_interface="org.freedesktop.systemd1.Manager"/>`)
	denied.runBare()
	says(t, &systemd.Check{Units: []string{"nginx"}, Address: denied.socket}, health.Fail, "the bus does not allow this user to ask systemd: "+denied.socket)

	strange := newMock(t, "<auth>DBUS_COOKIE_SHA1</auth>", "")
	says(t, &systemd.Check{Units: []string{"nginx"}, Address: strange.socket}, health.Fail, "the bus does not let this user in: "+strange.socket)

	says(t, &systemd.Check{Units: []string{"nginx"}, Address: "/nowhere/bus"}, health.Fail, "no such socket (the machine does not run systemd and D-Bus, or a container does not see them): /nowhere/bus")
	odd := &systemd.Check{Units: []string{"nginx"}, Lookup: func(string) (string, bool) { return "autolaunch:", true }}
	says(t, odd, health.Fail, "no address that is known here in DBUS_SYSTEM_BUS_ADDRESS: write unix:path=PATH, unix:abstract=NAME or tcp:host=HOST,port=PORT")
}

// systemd itself, where it runs.
func TestRealSystemd(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Skip("this machine does not run systemd")
	}
	out, err := exec.CommandContext(t.Context(), "systemctl", "show", "--property=ActiveState", "--value", "basic.target").Output()
	if err != nil || strings.TrimSpace(string(out)) != "active" {
		t.Skipf("basic.target is %q, %v", out, err)
	}
	output, err := (&systemd.Check{Units: []string{"basic.target"}}).Run(t.Context())
	if err != nil || !strings.HasPrefix(output, "basic.target is active") {
		t.Errorf("%q, %v", output, err)
	}
	const absent = "surely-not-there.service"
	if _, err := (&systemd.Check{Units: []string{absent}}).Run(t.Context()); err == nil || err.Error() != "no such unit: "+absent {
		t.Errorf("error = %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check systemd.Check
		want  string
	}{
		{systemd.Check{Units: []string{"nginx", "app@1.service", `dev-disk-by\x2duuid-1.swap`}, Address: "127.0.0.1:99"}, ""},
		{systemd.Check{Units: []string{"backup.timer"}, MaxAge: checks.Day}, ""},
		{systemd.Check{}, "units: is missing: write the names of units, such as nginx.service"},
		{systemd.Check{Units: []string{""}}, `units: "" is not the name of a unit`},
		{systemd.Check{Units: []string{"/etc/nginx"}}, `units: "/etc/nginx" is not the name of a unit`},
		{systemd.Check{Units: []string{"data.mount"}, MaxAge: checks.Day}, "max_age: goes with timers and services alone"},
		{systemd.Check{Units: []string{"nginx"}, WarnRestarted: -1}, "warn_restarted: -1ns is negative: write a duration such as 5m"},
		{systemd.Check{Units: []string{"nginx"}, Address: "unix:path=/x"}, `address: "unix:path=/x" is neither the path of a unix socket nor host:port`},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("error = %v, want %s", err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("not an OptionError: %#v", err)
		}
	}
}
