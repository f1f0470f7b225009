package gunicorn

import (
	"fmt"
	"testing"

	"hale/internal/proc/proctest"
)

// Without a pid file, the one gunicorn of the machine is found by its name.
func TestMasterByName(t *testing.T) {
	t.Parallel()
	process := func(pid int, name string, state string, parent int) map[string]string {
		dir := fmt.Sprintf("proc/%d/", pid)
		return map[string]string{
			dir + "stat":    fmt.Sprintf("%d (%s) %s %d 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 100 1 1", pid, name, state, parent),
			dir + "cmdline": "/usr/bin/python3\x00/usr/bin/" + name + "\x00",
		}
	}
	type processes []map[string]string
	for _, test := range []struct {
		name      string
		processes processes
		master    int
		children  int
		want      string // the error
	}{
		{"none", processes{process(2, "python3", "S", 1)}, 0, 0, "gunicorn does not run"},
		{"master and workers", processes{process(20, "gunicorn", "S", 1), process(21, "gunicorn", "S", 20), process(22, "gunicorn", "R", 20)}, 20, 2, ""},
		{"replaces itself", processes{process(20, "gunicorn", "S", 1), process(21, "gunicorn", "S", 20), process(30, "gunicorn", "S", 20), process(31, "gunicorn", "S", 30)}, 20, 2, ""},
		{"two", processes{process(20, "gunicorn", "S", 1), process(30, "gunicorn", "S", 1), process(31, "gunicorn", "S", 30)}, 0, 0, "gunicorn runs 2 times, as process 20 and 30 among others: set pid_file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &Check{fs: proctest.FS(t, nil)}
			for _, files := range test.processes {
				proctest.Write(t, c.fs, files)
			}
			master, err := c.master()
			if err == nil && test.want != "" || err != nil && err.Error() != test.want || master.PID != test.master {
				t.Fatalf("process %d, error %v; want %d, %s", master.PID, err, test.master, test.want)
			}
			if test.master == 0 {
				return
			}
			// The fake has no list of children, as some kernels have none.
			children, err := c.children(master.PID)
			if err != nil || len(children) != test.children {
				t.Errorf("children %v, %v", children, err)
			}
		})
	}
}

func TestEnded(t *testing.T) {
	t.Parallel()
	c := &Check{fs: proctest.FS(t, map[string]string{"proc/20/stat": "20 (gunicorn) Z 1 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 100 1 1"})}
	_, err := c.Run(t.Context())
	if want := "gunicorn has ended, and its parent has not noticed: process 20 (zombie)"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}
