package child_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/checks/internal/child"
	"hale/test/checktest"
)

// What a program leaves behind ends with it, or with the context.
func TestWait(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		cut          bool // cut off once it has written the file
		exit         int
	}{
		{"ends", "exit 3", false, 3},
		{"ends, and leaves a process behind", `sleep 600 & echo $! > "$0"; exit 0`, false, 0},
		{"does not end", `echo $$ > "$0"; sleep 600`, true, -1},
		{"does not end, nor does its child", `sleep 600 & echo $! > "$0"; wait`, true, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			cmd := exec.Command("sh", "-c", test.script, file)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if test.cut {
				checktest.Eventually(t, "the program has written the file", func() bool {
					text, _ := os.ReadFile(file)
					return strings.HasSuffix(string(text), "\n")
				})
				cancel()
			}
			if err := child.Wait(ctx, cmd); (err == nil) != (test.exit == 0) || cmd.ProcessState.ExitCode() != test.exit {
				t.Errorf("%v, exit code %d; want %d", err, cmd.ProcessState.ExitCode(), test.exit)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return // the first script starts nothing
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			checktest.Eventually(t, "the process has ended", func() bool { return !runs(pid) })
		})
	}
}

// runs reports whether there is such a process, and it is no zombie that somebody
// else has yet to reap.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
