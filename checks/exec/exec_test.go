package exec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/exec"
	"hale/health"
	"hale/test/checktest"
)

func TestResults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file(t, filepath.Join(dir, "no-interpreter"), "#!/nowhere/sh\n", 0o755)
	file(t, filepath.Join(dir, "not-a-program"), "hello\n", 0o755)
	file(t, filepath.Join(dir, "not-executable"), "#!/bin/sh\n", 0o644)
	file(t, filepath.Join(dir, "check_it"), "#!/bin/sh\necho IT OK - from $PWD\n", 0o755)
	sh := func(script string) exec.Check { return exec.Check{Command: []string{"sh", "-c", script}, Dir: dir} }

	for _, test := range []struct {
		name    string
		check   exec.Check
		timeout time.Duration // 0: a minute
		status  health.Status
		want    string
	}{
		{name: "0 passes", check: sh("echo 'LOAD OK - 0.1'"), status: health.Pass, want: "LOAD OK - 0.1"},
		{name: "1 warns", check: sh("echo 'LOAD WARNING - 5'; exit 1"), status: health.Warn, want: "LOAD WARNING - 5"},
		{name: "2 fails", check: sh("echo 'LOAD CRITICAL - 9'; exit 2"), status: health.Fail, want: "LOAD CRITICAL - 9"},
		{name: "3 is unknown", check: sh("echo 'cannot read load'; exit 3"), status: health.Fail, want: "unknown: cannot read load"},
		{name: "3 warns if that is wanted", check: exec.Check{Command: []string{"sh", "-c", "echo 'cannot read load'; exit 3"}, Unknown: "warn"}, status: health.Warn, want: "unknown: cannot read load"},
		{name: "a failure stays one", check: exec.Check{Command: []string{"sh", "-c", "exit 2"}, Unknown: "warn"}, status: health.Fail, want: "sh said nothing"},
		{name: "others fail", check: sh("echo oops; exit 7"), status: health.Fail, want: "exit code 7: oops"},
		{name: "performance data", check: sh("echo 'DISK OK - free space: / 3326 MB | /=2643MB;5948;5958'; echo more"), status: health.Pass, want: "DISK OK - free space: / 3326 MB"},
		{name: "a pipe that is none of performance data", check: sh("echo 'failed: ls | wc -l'; exit 2"), status: health.Fail, want: "failed: ls | wc -l"},
		{name: "errors when there is no output", check: sh("echo 'cannot connect' >&2; exit 2"), status: health.Fail, want: "cannot connect"},
		{name: "output before errors", check: sh("echo noise >&2; echo news; exit 2"), status: health.Fail, want: "news"},
		{name: "no output", check: sh("exit 2"), status: health.Fail, want: "sh said nothing"},
		{name: "no output and well", check: sh("true"), status: health.Pass, want: ""},
		{name: "terminal colours", check: sh(`printf '\033[31mred\033[0m\ttext\n'`), status: health.Pass, want: "[31mred[0m text"},
		{name: "endless output", check: sh("yes yes | head -c 5000000; exit 1"), status: health.Warn, want: "yes"},
		{name: "long line", check: sh("head -c 100000 /dev/zero | tr '\\0' x"), status: health.Pass, want: strings.Repeat("x", 200) + "..."},
		{name: "no input", check: sh("cat; echo end of input"), status: health.Pass, want: "end of input"},

		{name: "relative to the configuration", check: exec.Check{Command: []string{"./check_it"}, Dir: dir}, status: health.Pass, want: "IT OK - from " + dir},
		{name: "directory", check: exec.Check{Command: []string{"pwd"}, WorkDir: "/", Dir: dir}, status: health.Pass, want: "/"},
		{name: "environment", check: exec.Check{Command: []string{"sh", "-c", "echo $GREETING $HOME"}, Env: map[string]string{"GREETING": "hello"}}, status: health.Pass, want: "hello " + os.Getenv("HOME")},

		{name: "killed", check: sh("kill -SEGV $$"), status: health.Fail, want: "sh was ended by a signal: SIGSEGV"},
		{name: "not in PATH", check: exec.Check{Command: []string{"check_surely_absent"}}, status: health.Fail, want: "program not found in PATH: check_surely_absent"},
		{name: "no such program", check: exec.Check{Command: []string{"/nowhere/check"}}, status: health.Fail, want: "no such program, or its interpreter is missing: /nowhere/check"},
		{name: "no interpreter", check: exec.Check{Command: []string{"./no-interpreter"}, Dir: dir}, status: health.Fail, want: "no such program, or its interpreter is missing: ./no-interpreter"},
		{name: "no program", check: exec.Check{Command: []string{"./not-a-program"}, Dir: dir}, status: health.Fail, want: "not a program, or a script without #! line: ./not-a-program"},
		{name: "not executable", check: exec.Check{Command: []string{"./not-executable"}, Dir: dir}, status: health.Fail, want: "permission denied: ./not-executable"},
		{name: "no such directory", check: exec.Check{Command: []string{"true"}, WorkDir: "absent", Dir: dir}, status: health.Fail, want: "no such directory: " + filepath.Join(dir, "absent")},
		{name: "no such user", check: exec.Check{Command: []string{"true"}, User: "surely-nobody"}, status: health.Fail, want: "user surely-nobody: there is no such user on this machine: make it (useradd --system surely-nobody), or name another"},
		{name: "too slow", check: sh("sleep 600"), timeout: 200 * time.Millisecond, status: health.Fail, want: "sh did not end within 200ms and was killed"},
		{name: "too slow and deaf", check: sh("trap '' TERM INT HUP; while :; do sleep 1; done"), timeout: 200 * time.Millisecond, status: health.Fail, want: "sh did not end within 200ms and was killed"},
		{name: "leaves a child with its output open", check: sh("sleep 600 & echo done"), status: health.Pass, want: "done"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, want := checktest.Outcome(t, &test.check, test.timeout), test.status.String()+": "+test.want
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestRunsAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		_, err := (&exec.Check{Command: []string{"id"}, User: "root"}).Run(t.Context())
		if want := "not permitted to run id as user root: needs root"; err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
		return
	}
	output, err := (&exec.Check{Command: []string{"sh", "-c", "echo $(id -un) $(id -Gn) $USER"}, User: "nobody", WorkDir: "/"}).Run(t.Context())
	if err != nil || output != "nobody nogroup nobody" {
		t.Errorf("ran as %q, %v", output, err)
	}
}

// Neither a run that ends nor one that is cut off leaves a process or a zombie.
func TestLeavesNoProcess(t *testing.T) {
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	well := exec.Check{Command: []string{"sh", "-c", "sleep 600 & echo $$ $! >>" + pids}}
	slow := exec.Check{Command: []string{"sh", "-c", "sleep 600 & echo $$ $! >>" + pids + "; wait"}}
	before := runtime.NumGoroutine()
	for i := range 100 {
		c, timeout := &well, time.Minute
		if i%10 == 0 {
			c, timeout = &slow, 200*time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		if _, err := c.Run(ctx); (err != nil) != (c == &slow) {
			t.Fatalf("run %d: %v", i, err)
		}
		cancel()
	}
	content, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	started := strings.Fields(string(content))
	if len(started) < 180 {
		t.Fatalf("only %d processes are known", len(started))
	}
	checktest.Eventually(t, "no process and no goroutine is left", func() bool {
		return len(alive(t, started)) == 0 && runtime.NumGoroutine() <= before
	})
	// Its own children, which only it could have reaped.
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("child %d is left: %v", pid, err)
	}
}

func alive(t *testing.T, pids []string) (left []string) {
	t.Helper()
	for _, pid := range pids {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n)); err == nil && !strings.Contains(string(stat), ") Z ") {
			left = append(left, pid)
		}
	}
	return left
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := (&exec.Check{Command: []string{"sleep", "600"}}).Run(ctx)
	if !errors.Is(err, context.Canceled) || err.Error() != "sleep was interrupted" {
		t.Errorf("error = %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check     exec.Check
		key, want string
	}{
		{exec.Check{}, "command", `command: is missing: write the program and its arguments as a list, such as [check_load, -w, "4"]`},
		{exec.Check{Command: []string{""}}, "command", `command: is missing: write the program and its arguments as a list, such as [check_load, -w, "4"]`},
		{exec.Check{Command: []string{"df | grep x"}}, "command", `command: "df | grep x" looks like a line for a shell: write a list of arguments, or [sh, -c, "..."]`},
		{exec.Check{Command: []string{"true"}, Env: map[string]string{"A=B": "hunter2"}}, "env", `env: "A=B" is not a variable's name`},
		{exec.Check{Command: []string{"true"}, Unknown: "pass"}, "unknown", `unknown: "pass" is neither fail nor warn`},
	} {
		err := test.check.Validate()
		if err == nil || err.Error() != test.want {
			t.Errorf("error = %v\nwant    %s", err, test.want)
		}
		if option, ok := errors.AsType[*checks.OptionError](err); !ok || option.Key != test.key {
			t.Errorf("not an OptionError for %s: %#v", test.key, err)
		}
	}
}

func file(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
