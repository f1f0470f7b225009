package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// TestALogReaderThatStalls runs hale with pipes for stdout and stderr that
// nobody reads: requests and probes are answered all the same, and it ends.
func TestALogReaderThatStalls(t *testing.T) {
	dir := t.TempDir()
	address := servers.FreeAddress(t)
	write(t, filepath.Join(dir, "hale.yaml"), fmt.Sprintf("listen: %q\nadmin: off\napp: {url: %q}\ndrain: {notice: 100ms, finish: 1s}\n", address, app(t, hello)))
	cmd := exec.CommandContext(t.Context(), binary, "serve")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), noMetadata)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, err := ask(t.Context(), address, albProbe...); err == nil {
			break
		} else if time.Since(start) > patience {
			t.Fatal(err)
		}
	}
	long := "GET /" + strings.Repeat("x", 2000) + " HTTP/1.1"
	for i := range 300 { // 600 kB of log, ten times what a pipe holds
		for _, request := range [][]string{{long, "Host: mysite.com", "Connection: close"}, append([]string{"GET /health HTTP/1.1", "User-Agent: " + strings.Repeat("x", 2000)}, albProbe[1:]...)} {
			if a, err := ask(t.Context(), address, request...); err != nil || a.status != 200 || a.took > 20*time.Second {
				t.Fatalf("request %d: %v after %v, %v", i, a, a.took, err)
			}
		}
	}
	start := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	state, err := cmd.Process.Wait()
	if err != nil || time.Since(start) > patience {
		t.Fatalf("the end took %v: %v", time.Since(start), err)
	}
	t.Logf("%v after %v", state, time.Since(start))
	_, _ = stdout.Close(), stderr.Close()
}

// TestStopWhileBeforeCommandsRun gives up starting: the app does not start in
// the middle of draining, and nobody waits for a load balancer that never saw
// this instance healthy.
func TestStopWhileBeforeCommandsRun(t *testing.T) {
	dir := t.TempDir()
	h := serve(t, fmt.Sprintf("app: {command: [touch, %q], before: [[sh, -c, 'touch %s; sleep 60']]}\ndrain: {notice: 25s, finish: 30s}\n", filepath.Join(dir, "started"), filepath.Join(dir, "before")))
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "before")); err == nil {
			break
		} else if time.Since(start) > patience {
			t.Fatal("the command before the app does not start")
		}
	}
	start := time.Now()
	h.Signal(syscall.SIGTERM)
	if code := h.Wait(); code != 0 || time.Since(start) > 24*time.Second {
		t.Errorf("exit code %d after %v; want 0, without the notice of 25 s and the command's 60 s", code, time.Since(start))
	}
	if _, err := os.Stat(filepath.Join(dir, "started")); err == nil {
		t.Error("the app was started while draining")
	}
}

// TestSecondSignalWhileTheAppStops does not wait for an app that ignores SIGTERM.
func TestSecondSignalWhileTheAppStops(t *testing.T) {
	h := serve(t, `
app:
  command: [sh, -c, "trap '' TERM; while :; do sleep 0.1; done"]
  stop_timeout: 60s
drain: {notice: 100ms, finish: 100ms}
`)
	h.becomes(200, patience)
	h.Signal(syscall.SIGTERM)
	for start := time.Now(); !strings.Contains(h.Output(), "no further connection"); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("draining does not end")
		}
	}
	time.Sleep(time.Second)
	start := time.Now()
	h.Signal(syscall.SIGTERM)
	if code := h.Wait(); code != 0 || time.Since(start) > 40*time.Second {
		t.Errorf("exit code %d after %v; want 0 at once, not after stop_timeout", code, time.Since(start))
	}
}

// TestManyReloadsAndAStop sends a burst of SIGHUPs and then SIGTERM, which must
// not drown in them.
func TestManyReloadsAndAStop(t *testing.T) {
	var checks strings.Builder
	for i := range 60 {
		fmt.Fprintf(&checks, "    - {name: c%d, type: file, path: /}\n", i)
	}
	h := serve(t, "drain: {notice: 100ms, finish: 100ms}\nhealth:\n  checks:\n"+checks.String())
	h.becomes(200, patience)
	for range 20 {
		h.Signal(syscall.SIGHUP)
		time.Sleep(4 * time.Millisecond)
	}
	h.Signal(syscall.SIGTERM)
	if code := h.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestAReloadKeepsTheStandingOfChecks: what has failed less than `fall` times
// before a reload is not a failure after it.
func TestAReloadKeepsTheStandingOfChecks(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	write(t, flag, "")
	yaml := fmt.Sprintf("drain: {notice: 0s, finish: 1s}\nhealth:\n  checks:\n    - {name: flag, type: file, path: %q, interval: 10m, timeout: 1s, fall: 3}\n", flag)
	h := serve(t, yaml)
	h.becomes(200, patience)
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	h.Signal(syscall.SIGHUP)
	for start := time.Now(); !strings.Contains(h.Output(), "configuration taken over"); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("no reload")
		}
	}
	if a := h.probe(); a.status != 200 {
		t.Errorf("one failure of three after a reload: %v", a)
	}
	if a := h.ask("GET /health/startup HTTP/1.1", "Host: x", "Connection: close"); a.status != 200 {
		t.Errorf("startup after a reload: %v", a)
	}
}

// TestLogsFollowTheConfiguration: a reload that names another log writes there,
// and lets go of the old one.
func TestLogsFollowTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.log"), filepath.Join(dir, "two.log")
	yaml := func(log string) string { return fmt.Sprintf("health: {log: %q}\n", log) }
	h := serve(t, yaml(one))
	h.becomes(200, patience)
	reload := func(n int) {
		t.Helper()
		h.Signal(syscall.SIGHUP)
		for start := time.Now(); strings.Count(h.Output(), "configuration taken over") < n; time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > patience {
				t.Fatal("no reload")
			}
		}
	}
	h.write(yaml(two))
	reload(1)
	h.probe()
	if err := os.Remove(one); err != nil {
		t.Fatal(err)
	}
	reload(2)
	if _, err := os.Stat(one); err == nil {
		t.Error("the old log was made anew")
	}
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if b, _ := os.ReadFile(two); strings.Contains(string(b), "ELB-HealthChecker/2.0") {
			break
		}
		if time.Since(start) > patience {
			t.Fatal("the new log has no probe")
		}
	}
}
