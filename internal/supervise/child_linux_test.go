package supervise_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hale/internal/supervise"
)

func script(text string) []string { return []string{"/bin/sh", "-c", text} }

// running starts a child and returns it, its output, and a function that waits
// for its end.
func running(t *testing.T, c *supervise.Child) (out *syncBuffer, stop context.CancelFunc, wait func() (int, error)) {
	t.Helper()
	out = new(syncBuffer)
	c.Stdout, c.Stderr = out, out
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	type end struct {
		code int
		err  error
	}
	done := make(chan end, 1)
	go func() {
		code, err := c.Run(ctx)
		done <- end{code, err}
	}()
	return out, cancel, func() (int, error) {
		t.Helper()
		select {
		case e := <-done:
			return e.code, e.err
		case <-time.After(time.Minute):
			t.Fatal("Run does not return")
			return 0, nil
		}
	}
}

func TestChildExitCodeIsOurs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string
		want   int
	}{
		{"success", "exit 0", 0},
		{"failure", "exit 3", 3},
		{"killed", "kill -KILL $$", 137},
		{"terminated", "kill -TERM $$", 143},
		{"aborted", "kill -ABRT $$", 134},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var exit supervise.Exit
			c := &supervise.Child{Command: script(tt.script), OnExit: func(e supervise.Exit) { exit = e }}
			code, err := c.Run(t.Context())
			if code != tt.want || err != nil {
				t.Errorf("Run returns %d, %v; want %d", code, err, tt.want)
			}
			if exit.Code != tt.want || exit.PID == 0 || exit.Restart {
				t.Errorf("OnExit was told %+v", exit)
			}
		})
	}
}

func TestChildThatCannotStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	notExecutable := write("plain", "#!/bin/sh\n", 0o644)
	noInterpreter := write("script", "#!/no/such/interpreter\n", 0o755)
	noProgram := write("data", "neither\n", 0o755)
	for _, tt := range []struct {
		name  string
		child *supervise.Child
		code  int
		want  string
	}{
		{"no command", &supervise.Child{}, 126, "the command is empty"},
		{"not in PATH", &supervise.Child{Command: []string{"no-such-program", "s3cr3t"}, Env: []string{"PATH=/usr/bin:/s3cr3t"}}, 127, "run no-such-program: not found in the directories of the PATH that it is given: give its full path, or set PATH in its environment: executable file not found in $PATH"},
		{"no PATH", &supervise.Child{Command: []string{"no-such-program"}, Env: []string{"A=1"}}, 127, "run no-such-program: not found, since the PATH that it is given is empty or not set: give its full path, or set PATH in its environment: executable file not found in $PATH"},
		{"in PATH but not executable", &supervise.Child{Command: []string{"plain"}, Env: []string{"PATH=" + dir}}, 126, "run plain: found in PATH but not executable (chmod +x): permission denied"},
		{"no such file", &supervise.Child{Command: []string{dir + "/none"}}, 127, "run " + dir + "/none: it, or the interpreter that its #! line names, does not exist: no such file or directory"},
		{"not executable", &supervise.Child{Command: []string{notExecutable}}, 126, "run " + notExecutable + ": not executable for the user it runs as (chmod +x, and each directory above it needs x): permission denied"},
		{"interpreter missing", &supervise.Child{Command: []string{noInterpreter}}, 127, "run " + noInterpreter + ": it, or the interpreter that its #! line names, does not exist: no such file or directory"},
		{"no program", &supervise.Child{Command: []string{noProgram}}, 126, "run " + noProgram + ": neither a program nor a script with a #! line: exec format error"},
		{"directory missing", &supervise.Child{Command: []string{"/bin/true"}, Dir: dir + "/none"}, 126, "run /bin/true: its directory " + dir + "/none does not exist or is not a directory"},
		{"no such user", &supervise.Child{Command: []string{"/bin/true"}, User: "no-such-user"}, 126, "run /bin/true as user no-such-user: there is no such user on this machine: make it (useradd --system no-such-user), or name another"},
		{"restarts do not help", &supervise.Child{Command: []string{dir + "/none"}, Restart: supervise.OnFailure}, 127, "run " + dir + "/none: it, or the interpreter that its #! line names, does not exist: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, err := tt.child.Run(t.Context())
			if code != tt.code || err == nil || err.Error() != tt.want {
				t.Errorf("Run returns %d, %q\n         want %d, %q", code, err, tt.code, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the message shows an argument or a variable's value: %v", err)
			}
		})
	}
}

func TestChildFindsItsProgramInItsOwnPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "venv/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "venv/bin/app"), []byte("#!/bin/sh\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, command string }{
		{"absolute", dir + "/venv/bin:/bin", "app"},
		{"the last PATH counts", dir + "/venv/bin", "app"},
		{"relative to Dir", "/bin:venv/bin", "app"},
		{"a path relative to Dir", "/bin", "venv/bin/app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &supervise.Child{Command: []string{tt.command}, Dir: dir, Env: []string{"PATH=/none", "PATH=" + tt.path}}
			if code, err := c.Run(t.Context()); code != 7 {
				t.Errorf("Run returns %d, %v; want 7", code, err)
			}
		})
	}
}

func TestChildEnvironmentIsGivenWhole(t *testing.T) {
	var out syncBuffer
	c := &supervise.Child{
		Command: []string{"/usr/bin/env"},
		Env:     []string{"A=1", "NOTIFY_SOCKET=/run/x", "LISTEN_FDS=1", "LISTEN_PID=1", "WATCHDOG_USEC=1", "B=2"},
		Stdout:  &out,
	}
	if code, err := c.Run(t.Context()); code != 0 || err != nil {
		t.Fatalf("Run returns %d, %v", code, err)
	}
	got := strings.Fields(out.String())
	slices.Sort(got)
	if want := []string{"A=1", "B=2"}; !slices.Equal(got, want) {
		t.Errorf("the app has %q, want %q: what the service manager told Hale is Hale's", got, want)
	}
}

func TestChildStops(t *testing.T) {
	t.Run("at SIGTERM", func(t *testing.T) {
		c := &supervise.Child{Command: script(`trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done`)}
		out, stop, wait := running(t, c)
		await(t, "the app is ready", func() bool { return strings.Contains(out.String(), "ready") })
		stop()
		if code, err := wait(); code != 5 || err != nil {
			t.Errorf("Run returns %d, %v; want the app's own 5", code, err)
		}
		if !strings.Contains(out.String(), "bye") {
			t.Errorf("the app was not let finish: %q", out)
		}
	})
	t.Run("at another signal", func(t *testing.T) {
		c := &supervise.Child{StopSignal: syscall.SIGINT, Command: script(`trap 'exit 9' INT; trap '' TERM; echo ready; while :; do sleep 0.05; done`)}
		out, stop, wait := running(t, c)
		await(t, "the app is ready", func() bool { return strings.Contains(out.String(), "ready") })
		stop()
		if code, _ := wait(); code != 9 {
			t.Errorf("Run returns %d, want 9", code)
		}
	})
	t.Run("killed with all its group when late", func(t *testing.T) {
		var log syncBuffer
		c := &supervise.Child{
			StopTimeout: 200 * time.Millisecond, Logger: logTo(&log),
			Command: script(`trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 0.05; done' & echo worker $! ready; while :; do sleep 0.05; done`),
		}
		out, stop, wait := running(t, c)
		await(t, "the app is ready", func() bool { return strings.Contains(out.String(), "ready") })
		worker, err := strconv.Atoi(strings.Fields(out.String())[1])
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if code, err := wait(); code != 137 || err != nil {
			t.Errorf("Run returns %d, %v; want 137 (killed)", code, err)
		}
		await(t, "the worker is gone", func() bool { return !alive(worker) })
		if !strings.Contains(log.String(), "app did not stop in time and is killed") {
			t.Errorf("nothing logged of the kill:\n%s", &log)
		}
	})
	t.Run("a stopped app too", func(t *testing.T) {
		c := &supervise.Child{Command: script(`trap 'exit 4' TERM; echo ready; kill -STOP $$; while :; do sleep 0.05; done`)}
		out, stop, wait := running(t, c)
		await(t, "the app is ready", func() bool { return strings.Contains(out.String(), "ready") })
		stop()
		if code, _ := wait(); code != 4 {
			t.Errorf("Run returns %d, want 4", code)
		}
	})
}

// A wrapper that dies of SIGTERM and leaves its server alone, a shell or npm
// for one, must not leave a server behind that holds the port.
func TestChildEndsWhatItLeavesBehind(t *testing.T) {
	for _, tt := range []struct {
		name, worker string
	}{
		{"workers that heed SIGTERM", `trap 'exit 0' TERM; while :; do sleep 0.05; done`},
		{"workers that do not", `trap '' TERM; while :; do sleep 0.05; done`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log syncBuffer
			c := &supervise.Child{StopTimeout: 300 * time.Millisecond, Logger: logTo(&log), Command: script(`sh -c '` + strings.ReplaceAll(tt.worker, "'", `'\''`) + `' & echo worker $!; exit 6`)}
			out, _, wait := running(t, c)
			code, err := wait()
			if code != 6 || err != nil {
				t.Errorf("Run returns %d, %v; want the app's own 6", code, err)
			}
			worker, err := strconv.Atoi(strings.Fields(out.String())[1])
			if err != nil {
				t.Fatal(err)
			}
			await(t, "the worker is gone", func() bool { return !alive(worker) })
			if !strings.Contains(log.String(), "app left processes behind") {
				t.Errorf("nothing logged:\n%s", &log)
			}
		})
	}
}

func TestChildGetsSignals(t *testing.T) {
	c := &supervise.Child{Command: script(`
		for s in USR1 USR2 WINCH QUIT TTIN TTOU; do trap "echo got-$s" $s; done
		trap 'exit 0' TERM
		echo ready; while :; do sleep 0.02; done`)}
	out, stop, wait := running(t, c)
	await(t, "the app is ready", func() bool { return strings.Contains(out.String(), "ready") })
	for name, sig := range map[string]syscall.Signal{
		"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH,
		"QUIT": syscall.SIGQUIT, "TTIN": syscall.SIGTTIN, "TTOU": syscall.SIGTTOU,
	} {
		// To this process, as an operator or a log rotation would send it to hale.
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		await(t, "the app got "+name, func() bool { return strings.Contains(out.String(), "got-"+name) })
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("Signal: %v", err)
	}
	if code, err := wait(); code != 0 || err != nil {
		t.Errorf("Run returns %d, %v", code, err)
	}
	if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal without an app gives %v, want os.ErrProcessDone", err)
	}
	stop()
}

func TestChildIsNotReachedByTheTerminal(t *testing.T) {
	c := &supervise.Child{Command: script(`echo $$ $(ps -o pgid= -p $$); read line || echo no-input`)}
	out, _, wait := running(t, c)
	if code, err := wait(); code != 0 || err != nil {
		t.Fatalf("Run returns %d, %v", code, err)
	}
	fields := strings.Fields(out.String())
	if len(fields) != 3 || fields[0] != fields[1] || fields[2] != "no-input" {
		t.Errorf("output %q: want a process group of its own and no input", out)
	}
}

func TestChildRestarts(t *testing.T) {
	t.Run("on failure, later each time", func(t *testing.T) {
		count := filepath.Join(t.TempDir(), "count")
		var exits []supervise.Exit
		c := &supervise.Child{
			Restart: supervise.OnFailure,
			Command: script(`echo x >>` + count + `; [ $(wc -l <` + count + `) -ge 3 ] && exit 0; exit 1`),
			OnExit:  func(e supervise.Exit) { exits = append(exits, e) },
		}
		start := time.Now()
		code, err := c.Run(t.Context())
		if code != 0 || err != nil {
			t.Fatalf("Run returns %d, %v; want 0: a success is the end", code, err)
		}
		var delays []time.Duration
		for _, e := range exits {
			delays = append(delays, e.Delay)
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 0}; !slices.Equal(delays, want) {
			t.Errorf("delays %v, want %v", delays, want)
		}
		if took := time.Since(start); took < 3*time.Second {
			t.Errorf("took %v, want the delays to be waited", took)
		}
	})
	t.Run("never by default", func(t *testing.T) {
		starts := 0
		c := &supervise.Child{Command: script("exit 1"), OnStart: func(int) { starts++ }}
		if code, _ := c.Run(t.Context()); code != 1 || starts != 1 {
			t.Errorf("code %d after %d starts", code, starts)
		}
	})
	t.Run("not while stopping", func(t *testing.T) {
		c := &supervise.Child{Restart: supervise.OnFailure, Command: script(`trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done`)}
		out, stop, wait := running(t, c)
		await(t, "the app is ready", func() bool { return strings.Contains(out.String(), "ready") })
		stop()
		if code, _ := wait(); code != 3 {
			t.Errorf("Run returns %d, want 3", code)
		}
	})
	t.Run("a stop ends the pause", func(t *testing.T) {
		ended := make(chan struct{}, 8)
		c := &supervise.Child{Restart: supervise.OnFailure, Command: script("exit 3"), OnExit: func(supervise.Exit) { ended <- struct{}{} }}
		_, stop, wait := running(t, c)
		<-ended
		stop()
		if code, err := wait(); code != 3 || err != nil {
			t.Errorf("Run returns %d, %v; want 3", code, err)
		}
	})
}

func TestChildRunsAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		c := &supervise.Child{Command: []string{"/bin/true"}, User: "root"}
		if _, err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "only root may change to another user") {
			t.Errorf("without root: %v", err)
		}
		t.Skip("the rest needs root")
	}
	c := &supervise.Child{Command: script(`id -un; id -Gn; echo $HOME $USER $LOGNAME; touch /root/x 2>/dev/null && echo still-root`), User: "nobody"}
	out, _, wait := running(t, c)
	if code, err := wait(); err != nil {
		t.Fatalf("Run returns %d, %v", code, err)
	}
	want := "nobody\nnogroup\n/nonexistent nobody nobody\n"
	if out.String() != want {
		t.Errorf("output %q, want %q", out, want)
	}
}

// With the supervisor killed outright, the kernel tells the app.
func TestChildDoesNotOutliveItsSupervisor(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"=supervise", "DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	await(t, "the app has started", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	await(t, "threads have come and gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, "threads"))
		return err == nil
	})
	if !alive(pid) {
		t.Fatal("the app took the end of a thread for the end of its supervisor")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	await(t, "the app is gone", func() bool { return !alive(pid) })
	if text, err := os.ReadFile(filepath.Join(dir, "end")); err != nil || string(text) != "asked\n" {
		t.Errorf("the app wrote %q, %v; want it to be asked, not killed", text, err)
	}
}

// superviseProgram runs an app until it is killed itself. It makes and ends
// many threads meanwhile: the app must not take the end of one for ours.
func superviseProgram(ctx context.Context) error {
	dir := os.Getenv("DIR")
	go func() {
		for {
			if _, err := os.Stat(dir + "/pid"); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(runtime.LockOSThread) // never unlocked, so the thread ends with it
		}
		wg.Wait()
		time.Sleep(50 * time.Millisecond)
		_ = os.WriteFile(dir+"/threads", nil, 0o600)
	}()
	c := &supervise.Child{Command: script(`trap 'echo asked >` + dir + `/end; exit 0' TERM; echo $$ >` + dir + `/pid.new; mv ` + dir + `/pid.new ` + dir + `/pid; while :; do sleep 0.05; done`)}
	_, err := c.Run(ctx)
	return err
}
