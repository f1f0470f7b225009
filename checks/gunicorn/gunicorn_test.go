package gunicorn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/gunicorn"
	"hale/test/checktest"
	"hale/test/servers"
)

// site is a gunicorn whose requests stand before a gate.
type site struct {
	*servers.Process
	gate            *servers.Gate
	serve, pid, dir string
}

// start starts gunicorn on an address, host:port or the path of a unix socket.
func start(t *testing.T, serve string, options ...string) *site {
	t.Helper()
	gate, dir := servers.GateApp(t)
	s := &site{gate: gate, serve: serve, pid: filepath.Join(t.TempDir(), "gunicorn.pid"), dir: dir}
	bind := serve
	if strings.HasPrefix(serve, "/") {
		bind = "unix:" + serve
	}
	args := []string{"--chdir", dir, "--bind", bind, "--pid", s.pid, "--workers", "2", "--backlog", "10", "gate"}
	s.Process = servers.Run(t, servers.Spec{
		Name: "gunicorn", Args: append(options, args...), Dir: dir, Env: []string{gate.Env()}, Listens: []string{serve},
		// Its workers finish what they do, which stands before the gate.
		StopSignal: syscall.SIGKILL,
	})
	// It listens before it writes the file and starts its workers.
	checktest.Eventually(t, "the pid file is there, and the workers are", func() bool {
		_, err := os.Stat(s.pid)
		return err == nil && len(s.children(t)) == 2
	})
	return s
}

func (s *site) hold(n int) { s.gate.Hold(n, servers.Get(s.serve)) }

// Busy warns, a full queue fails.
func TestBusy(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]string{"TCP": servers.FreeAddress(t), "unix": filepath.Join(t.TempDir(), "app.sock")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, serve)
			check := &gunicorn.Check{PIDFile: s.pid, Workers: 2}
			byAddress := &gunicorn.Check{PIDFile: s.pid, Address: serve, BusyLimits: checks.BusyLimits{WarnBusy: 40, MaxBusy: 90}}
			checktest.Become(t, check, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
			s.hold(1)
			checktest.Become(t, check, 0, "pass: 1 of 2 workers busy, 0 waiting in a queue of 10")
			checktest.Become(t, byAddress, 0, "warn: 1 of 2 workers busy, 0 waiting in a queue of 10: more than 40%")
			s.hold(1)
			checktest.Become(t, check, 0, "pass: 2 of 2 workers busy, 0 waiting in a queue of 10")
			checktest.Become(t, byAddress, 0, "fail: 2 of 2 workers busy, 0 waiting in a queue of 10: more than 90%")
			s.hold(3)
			checktest.Become(t, check, 0, "warn: 2 of 2 workers busy, 3 waiting in a queue of 10")
			s.hold(3)
			checktest.Become(t, check, 0, "warn: 2 of 2 workers busy, 6 waiting in a queue of 10: more than 50% of the queue is taken")
			s.hold(4)
			checktest.Become(t, check, 0, "fail: 2 of 2 workers busy, 10 waiting in a queue of 10: more than 90% of the queue is taken")
			stuck := &gunicorn.Check{PIDFile: s.pid, BusyLimits: checks.BusyLimits{MaxQueue: 100, WarnQueue: 100, MaxStuck: 500 * time.Millisecond}}
			checktest.BecomeLike(t, stuck, 0, `^fail: 2 of 2 workers busy, 10 waiting in a queue of 10: stuck, no request was finished for \d+s$`)
			s.gate.Open()
			checktest.Become(t, check, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
		})
	}
}

func TestThreads(t *testing.T) {
	t.Parallel()
	s := start(t, servers.FreeAddress(t), "--threads", "3")
	check := &gunicorn.Check{PIDFile: s.pid, Threads: 3}
	checktest.Become(t, check, 0, "pass: 0 of 6 threads busy, 0 waiting in a queue of 10")
	s.hold(4)
	checktest.Become(t, check, 0, "pass: 4 of 6 threads busy, 0 waiting in a queue of 10")
}

// gunicorn kills a worker whose request takes too long, and puts another in its
// place.
func TestTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, servers.FreeAddress(t), "--timeout", "3") // more than a busy machine takes to start a worker
	shown, told := &gunicorn.Check{PIDFile: s.pid}, &gunicorn.Check{PIDFile: s.pid, WarnRestarts: 1}
	checktest.Become(t, shown, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
	checktest.Outcome(t, told, 0)
	s.hold(2)
	checktest.Eventually(t, "both are replaced", func() bool { return strings.Count(s.Output(), "Booting worker") >= 4 })
	checktest.BecomeLike(t, shown, 0, `^pass: .* waiting in a queue of 10; [2-9] workers gone since the last run$`)
	checktest.BecomeLike(t, told, 0, `^warn: (.*; )?[2-9] workers gone since the last run, more than 1$`)
	s.gate.Open()
	checktest.Become(t, shown, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
}

// children returns the process ids of gunicorn's workers.
func (s *site) children(t *testing.T) (pids []int) {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for field := range strings.FieldsSeq(string(content)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func signal(t *testing.T, sig syscall.Signal, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
}

// What happens to the processes.
func TestProcesses(t *testing.T) {
	t.Parallel()
	s := start(t, servers.FreeAddress(t))
	check := &gunicorn.Check{PIDFile: filepath.Base(s.pid), Dir: filepath.Dir(s.pid), Workers: 2}
	const well = "pass: 0 of 2 workers busy, 0 waiting in a queue of 10"
	checktest.Become(t, check, 0, well)
	checktest.Become(t, &gunicorn.Check{PIDFile: s.pid, Workers: 3}, 0, "warn: 2 workers there, expected 3")
	workers := s.children(t)

	signal(t, syscall.SIGSTOP, s.PID())
	checktest.Become(t, check, 0, fmt.Sprintf("warn: the master is stopped by a signal, and replaces no worker: process %d", s.PID()))
	signal(t, syscall.SIGKILL, workers[0])
	checktest.BecomeLike(t, check, 0, fmt.Sprintf("^warn: 1 worker there, expected 2; the master is stopped by a signal, and replaces no worker: process %d", s.PID()))
	signal(t, syscall.SIGKILL, workers[1])
	checktest.Become(t, check, 0, fmt.Sprintf("fail: no worker is left: gunicorn is process %d", s.PID()))
	signal(t, syscall.SIGCONT, s.PID())
	checktest.Become(t, check, 0, well)

	// The dead are reaped by the master a moment later.
	checktest.Eventually(t, "there are two children", func() bool { workers = s.children(t); return len(workers) == 2 })
	signal(t, syscall.SIGSTOP, workers[0])
	checktest.Become(t, check, 0, "warn: 1 worker stopped by a signal")
	signal(t, syscall.SIGSTOP, workers[1])
	checktest.Become(t, check, 0, fmt.Sprintf("fail: no worker can serve, 2 stopped by a signal: gunicorn is process %d", s.PID()))
	signal(t, syscall.SIGCONT, workers...)
	checktest.Become(t, check, 0, well)

	signal(t, syscall.SIGHUP, s.PID()) // reload
	checktest.BecomeLike(t, check, 0, regexp.QuoteMeta(well)+"; (1 worker|2 workers) gone since the last run$")
	checktest.Become(t, check, 0, well)

	s.Kill()
	checktest.Become(t, check, 0, fmt.Sprintf("fail: stale: there is no process %d (any more): %s", s.PID(), s.pid))
	s.Start()
	checktest.Become(t, check, 0, well)
}

// Workers that load the app for ever take no connection.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	s := start(t, servers.FreeAddress(t))
	if err := os.WriteFile(filepath.Join(s.dir, "slow.py"), []byte("import time\ntime.sleep(600)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, pid := servers.FreeAddress(t), filepath.Join(t.TempDir(), "pid")
	servers.Run(t, servers.Spec{Name: "gunicorn", Args: []string{"--chdir", s.dir, "--bind", address, "--pid", pid, "--backlog", "10", "slow"}, Dir: s.dir, StopSignal: syscall.SIGKILL, Listens: []string{address}})
	checktest.Eventually(t, "the pid file is there", func() bool { _, err := os.Stat(pid); return err == nil })
	check := &gunicorn.Check{PIDFile: pid, BusyLimits: checks.BusyLimits{MaxStuck: 500 * time.Millisecond}}
	// The test's own look whether it listens waits there already.
	checktest.BecomeLike(t, check, 0, `^fail: 0 of 1 workers busy, 1 waiting in a queue of 10: stuck, no request was finished for \d+s$`)
}

func TestNobody(t *testing.T) {
	t.Parallel()
	s := start(t, servers.FreeAddress(t))
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	gone, rubbish := write("gone", "999999999\n"), write("rubbish", "gunicorn\n")
	for _, test := range []struct {
		name  string
		check *gunicorn.Check
		want  string
	}{
		{"no pid file", &gunicorn.Check{PIDFile: dir + "/none"}, "fail: no such file: " + dir + "/none"},
		{"stale pid file", &gunicorn.Check{PIDFile: gone}, "fail: stale: there is no process 999999999 (any more): " + gone},
		{"no pid in it", &gunicorn.Check{PIDFile: rubbish}, "fail: holds no process number: " + rubbish},
		{"another address", &gunicorn.Check{PIDFile: s.pid, Address: "127.0.0.1:1"}, "fail: nobody listens on this machine: 127.0.0.1:1"},
		{"no socket", &gunicorn.Check{PIDFile: s.pid, Address: dir + "/app.sock"}, "fail: no such socket: " + dir + "/app.sock"},
		{"unknown name", &gunicorn.Check{PIDFile: s.pid, Address: "app.invalid:8000"}, "fail: name does not resolve: app.invalid"},
	} {
		if got := checktest.Outcome(t, test.check, 0); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
}

// Another user sees the processes, but not where they listen.
func TestNotPermitted(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	s := start(t, servers.FreeAddress(t))
	checktest.Become(t, &gunicorn.Check{PIDFile: s.pid, Workers: 2}, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
	content, err := os.ReadFile(s.pid)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "hale-gunicorn-") //nolint:usetesting // nobody may not enter those of testing
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pid := filepath.Join(dir, "pid")
	if err := errors.Join(os.WriteFile(pid, content, 0o644), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	servers.AsNobody(t, func() {
		for want, check := range map[string]*gunicorn.Check{
			"2 workers there, but where gunicorn listens only its user may see: run as that, or set address": {PIDFile: pid},
			"": {PIDFile: pid, Address: s.serve},
		} {
			var got string
			if _, err := check.Run(t.Context()); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}

// The check makes no connection; what it leaves would be descriptors.
func TestSoak(t *testing.T) {
	s := start(t, servers.FreeAddress(t))
	check := &gunicorn.Check{PIDFile: s.pid}
	checktest.Become(t, check, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
	checktest.Soak(t, check, nil)
}

// A run that is cut off ends at once: nobody can keep it waiting but a name
// server.
func TestCutOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := start(t, servers.FreeAddress(t))
	_, port, _ := net.SplitHostPort(s.serve)
	_, err := (&gunicorn.Check{PIDFile: s.pid, Address: "some.example.com:" + port}).Run(ctx)
	if err == nil {
		t.Error("no error")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check *gunicorn.Check
		want  string // empty: it is good
	}{
		{"nothing", &gunicorn.Check{}, ""},
		{"all", &gunicorn.Check{PIDFile: "gunicorn.pid", Address: "/run/app.sock", Workers: 4, Threads: 2, WarnRestarts: 1}, ""},
		{"no port", &gunicorn.Check{Address: "localhost"}, `address: "localhost" is not host:port or the path of a unix socket: write it as 127.0.0.1:8000`},
		{"less than none", &gunicorn.Check{Workers: -1}, "workers: -1 is negative"},
		{"late warning", &gunicorn.Check{BusyLimits: checks.BusyLimits{WarnQueue: 95}}, "warn_queue: 95% is more than max_queue (90%): the check would fail before it warns"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s: error = %v\nwant %s", test.name, err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
	}
}
