package command_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A command that is interrupted says so in one line, exits with 2, and leaves
// nothing running.
func TestInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run("check, "+sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			config := "health: {checks: [{name: slow, type: exec, timeout: 60s, command: [sh, -c, 'echo $$$$ >pid.new; mv pid.new pid; sleep 60; :']}]}\n"
			if err := os.WriteFile(filepath.Join(dir, "hale.yaml"), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			pid := 0
			interrupt(t, sig, dir, nil, func() bool {
				text, err := os.ReadFile(filepath.Join(dir, "pid"))
				if err != nil {
					return false
				}
				pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
				return err == nil
			}, "check")
			await(t, "the check's program is gone", func() bool {
				return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH)
			})
		})
		t.Run("instance, "+sig.String(), func(t *testing.T) {
			asked, end := make(chan struct{}, 16), make(chan struct{})
			metadata := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				asked <- struct{}{}
				<-end
			}))
			defer metadata.Close()
			defer close(end)
			env := []string{"AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + metadata.URL}
			interrupt(t, sig, t.TempDir(), env, func() bool { return len(asked) > 0 },
				"instance", "--timeout", "60s", "--write", "address")
		})
	}
}

// interrupt runs hale until it is ready, sends it a signal and judges its end.
func interrupt(t *testing.T, sig os.Signal, dir string, env []string, ready func() bool, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "hale", args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "hale has begun", ready)
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d (%v), want 2", code, err)
	}
	if stdout.Len() > 0 || stderr.String() != "hale: interrupted\n" {
		t.Errorf("stdout %q, stderr %q; want one line on stderr", &stdout, &stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "address")); err == nil {
		t.Error("a file was written all the same")
	}
}

// patience is long enough that only a fault takes so long.
const patience = time.Minute

// await polls until ok, and fails the test when patience is at its
// end.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}
