package process_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/process"
	"hale/health"
	"hale/test/checktest"
	"hale/test/servers"
)

// program makes a program of its own name, that sleeps.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	from, err := os.Open(servers.Need(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// runs waits until a program that was started is the one that runs, and not the
// copy of the test that becomes it.
func runs(t *testing.T, pid int, name string) {
	t.Helper()
	checktest.Eventually(t, name+" runs", func() bool {
		content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return strings.HasPrefix(name, strings.TrimSpace(string(content))) && len(content) > 0
	})
}

func TestByName(t *testing.T) {
	t.Parallel()
	const short, long = "hale-worker", "hale-worker-with-a-long-name"
	workers := program(t, short)
	for range 3 {
		runs(t, servers.Program(t, workers, "3600").PID(), short)
	}
	runs(t, servers.Program(t, program(t, long), "3600", "0.25").PID(), long)
	user := strconv.Itoa(os.Geteuid())

	for _, test := range []struct {
		name   string
		check  process.Check
		status health.Status
		want   string // AGE and NUMBER stand for any
	}{
		{"runs", process.Check{Program: short}, health.Pass, "hale-worker runs 3 times, the oldest for AGE (process NUMBER)"},
		{"runs as often as it should", process.Check{Program: short, Min: 3, Max: 3}, health.Pass, "hale-worker runs 3 times, the oldest for AGE (process NUMBER)"},
		{"has a long name", process.Check{Program: long}, health.Pass, "hale-worker-with-a-long-name runs once, the oldest for AGE (process NUMBER)"},
		{"by its arguments", process.Check{Command: checks.MustPattern(`hale-worker\S* 3600 0.25$`)}, health.Pass, `a process with a command that matches "hale-worker\\S* 3600 0.25$" runs once, the oldest for AGE (process NUMBER)`},
		{"by name and user", process.Check{Program: short, User: user}, health.Pass, "hale-worker of user " + user + " runs 3 times, the oldest for AGE (process NUMBER)"},

		{"does not run", process.Check{Program: "hale-work"}, health.Fail, "hale-work does not run"},
		{"runs as another user", process.Check{Program: short, User: "4294967294"}, health.Fail, "hale-worker of user 4294967294 does not run"},
		{"of a user who is not there", process.Check{Program: short, User: "nobody-by-this-name"}, health.Fail, "no such user: nobody-by-this-name"},
		{"runs too seldom", process.Check{Program: short, Min: 4}, health.Fail, "hale-worker runs 3 times, expected at least 4"},
		{"runs too often", process.Check{Program: short, Max: 2}, health.Fail, "hale-worker runs 3 times, expected at most 2"},
		{"was started just now", process.Check{Program: short, WarnAge: time.Hour}, health.Warn, "hale-worker was started AGE ago, less than 1h0m0s"},
		{"was started long enough ago", process.Check{Program: short, WarnAge: time.Millisecond}, health.Pass, "hale-worker runs 3 times, the oldest for AGE (process NUMBER)"},
	} {
		t.Run(test.name, func(t *testing.T) { says(t, &test.check, test.status, test.want) })
	}
}

// A program that has ended, but whose parent does not ask for its exit code.
func TestZombie(t *testing.T) {
	t.Parallel()
	const name = "hale-zombie"
	child := exec.Command(program(t, name), "3600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	runs(t, child.Process.Pid, name)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	check := &process.Check{Program: name}
	want := fmt.Sprintf("hale-zombie does not run; 1 has ended, but process %d has not noticed that of %d (zombie)", os.Getpid(), child.Process.Pid)
	checktest.Eventually(t, "it ends", func() bool { _, err := check.Run(t.Context()); return err != nil })
	_, err := check.Run(t.Context())
	if err == nil || err.Error() != want {
		t.Errorf("error = %v\nwant    %s", err, want)
	}
	_ = child.Wait()
	says(t, check, health.Fail, "hale-zombie does not run")
}

func TestStopped(t *testing.T) {
	t.Parallel()
	const name = "hale-stopped"
	server := servers.Program(t, program(t, name), "3600")
	runs(t, server.PID(), name)
	server.Signal(syscall.SIGSTOP)
	check := &process.Check{Program: name}
	checktest.Eventually(t, "it stops", func() bool { _, err := check.Run(t.Context()); return err != nil })
	says(t, check, health.Fail, "hale-stopped does not run; 1 is stopped by a signal: process NUMBER")
	server.Signal(syscall.SIGCONT)
	checktest.Eventually(t, "it goes on", func() bool { _, err := check.Run(t.Context()); return err == nil })
}

func TestPIDFile(t *testing.T) {
	t.Parallel()
	const name = "hale-daemon"
	daemon := servers.Program(t, program(t, name), "3600")
	runs(t, daemon.PID(), name)
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	write := func(name, content string, age time.Duration) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		written := time.Now().Add(-age)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pid := strconv.Itoa(daemon.PID())
	write("good", pid+"\n", 0)
	write("postgres", pid+"\n/var/lib/postgresql\n1700000000\n", 0)
	write("stale", strconv.Itoa(ended.Process.Pid)+"\n", 0)
	write("reused", pid+"\n", 2*time.Hour)
	write("empty", "", 0)
	write("words", "running\n", 0)
	write("negative", "-1\n", 0)

	for _, test := range []struct {
		name   string
		check  process.Check
		status health.Status
		want   string
	}{
		{"runs", process.Check{PIDFile: "good"}, health.Pass, "process NUMBER, hale-daemon, has run for AGE"},
		{"runs, and is the program", process.Check{PIDFile: "good", Program: name}, health.Pass, "process NUMBER, hale-daemon, has run for AGE"},
		{"PostgreSQL's file has more lines", process.Check{PIDFile: filepath.Join(dir, "postgres")}, health.Pass, "process NUMBER, hale-daemon, has run for AGE"},
		{"the clock was set since, but it is the program", process.Check{PIDFile: "reused", Program: name}, health.Pass, "process NUMBER, hale-daemon, has run for AGE"},
		{"just started", process.Check{PIDFile: "good", WarnAge: time.Hour}, health.Warn, "process NUMBER, hale-daemon, was started AGE ago, less than 1h0m0s"},

		{"has ended", process.Check{PIDFile: "stale"}, health.Fail, "stale: there is no process NUMBER (any more): DIR/stale"},
		{"number is another process's", process.Check{PIDFile: "reused"}, health.Fail, "stale: process NUMBER is another one by now, hale-daemon, which began AGE after the file was written: DIR/reused"},
		{"number is another program's", process.Check{PIDFile: "good", Program: "nginx"}, health.Fail, "stale: process NUMBER is hale-daemon by now, not nginx: DIR/good"},
		{"is another user's", process.Check{PIDFile: "good", User: "4294967294"}, health.Fail, "stale: process NUMBER is hale-daemon by now, not a process of user 4294967294: DIR/good"},
		{"no file", process.Check{PIDFile: "absent"}, health.Fail, "no such file: DIR/absent"},
		{"empty", process.Check{PIDFile: "empty"}, health.Fail, "holds no process number: DIR/empty"},
		{"words", process.Check{PIDFile: "words"}, health.Fail, "holds no process number: DIR/words"},
		{"negative", process.Check{PIDFile: "negative"}, health.Fail, "holds no process number: DIR/negative"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.check.Dir = dir
			says(t, &test.check, test.status, strings.ReplaceAll(test.want, "DIR", dir))
		})
	}
	// The process is frozen, and then gone.
	check := &process.Check{PIDFile: filepath.Join(dir, "good")}
	daemon.Stop()
	says(t, check, health.Fail, "stale: there is no process NUMBER (any more): "+filepath.Join(dir, "good"))
}

func TestLeavesNothingOpen(t *testing.T) {
	const name = "hale-soak"
	runs(t, servers.Program(t, program(t, name), "3600").PID(), name)
	checktest.Soak(t, &process.Check{Program: name}, nil)
}

// says runs a check. AGE and NUMBER stand for any.
func says(t *testing.T, check *process.Check, status health.Status, want string) {
	t.Helper()
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	result := health.RunOnce(t.Context(), nil, health.Check{Name: "process", Run: check.Run})[0]
	pattern := regexp.QuoteMeta(want)
	pattern = strings.NewReplacer("AGE", `[0-9hms]+`, "NUMBER", `\d+`).Replace(pattern)
	if result.Status != status || !regexp.MustCompile("^"+pattern+"$").MatchString(result.Output) {
		t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, status, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check process.Check
		want  string
	}{
		{process.Check{Program: "nginx", Min: 2, Max: 2}, ""},
		{process.Check{}, "program: is missing: write a program's name, or say command or pid_file"},
		{process.Check{User: "www-data"}, "program: is missing: write a program's name, or say command or pid_file"},
		{process.Check{Program: "/usr/sbin/nginx"}, `program: "/usr/sbin/nginx" has a directory: write "nginx"`},
		{process.Check{Program: "x", Min: -1}, "min: -1 is negative"},
		{process.Check{Program: "x", Min: 3, Max: 2}, "max: 2 is less than min (3)"},
		{process.Check{PIDFile: "x", Min: 3}, "pid_file: names one process: remove min and max"},
		{process.Check{Program: "x", WarnAge: -time.Second}, "warn_age: -1s is negative: write a duration such as 5m"},
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
