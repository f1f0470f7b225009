package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "app.log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	before := time.Now()
	cmd := exec.Command("sh", "-c", "sleep 600 & wait")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SECRET_KEY=x"}
	pid := start(t, cmd)

	var p Process
	await(t, func() string {
		p, err = Inspect(pid)
		if err != nil || len(p.Children) != 1 {
			return fmt.Sprintf("%+v, %v", p, err)
		}
		if child, err := Inspect(p.Children[0]); err != nil || child.Program != "sleep" {
			return fmt.Sprintf("child %+v, %v", child, err)
		}
		return ""
	})
	child := p.Children[0]
	t.Cleanup(func() {
		if process, err := os.FindProcess(child); err == nil {
			_ = process.Kill()
		}
	})
	if p.PID != pid || p.Parent != os.Getpid() || !slices.Equal(p.Args, cmd.Args) || p.Dir != dir || !filepath.IsAbs(p.Executable) || p.User == "" {
		t.Errorf("%+v", p)
	}
	if p.Start.Before(before.Add(-time.Minute)) || p.Start.After(time.Now().Add(time.Minute)) {
		t.Errorf("it was started at %v, and was at %v", p.Start, before)
	}
	if p.FDs < 3 || p.FDs > 20 || p.FDLimit < p.FDs || p.Threads != 1 || p.Running > 1 {
		t.Errorf("%d files of %d, %d threads, %d running", p.FDs, p.FDLimit, p.Threads, p.Running)
	}
	if got := p.Output(); !slices.Equal(got, []string{log}) {
		t.Errorf("writes to %q", got)
	}
	for name, want := range map[string]bool{"SECRET_KEY": true, "SECRET": false, "DATABASE_URL": false} {
		if set, err := p.Env(name); err != nil || set != want {
			t.Errorf("%s is set: %v, %v", name, set, err)
		}
	}
	for name, want := range map[string]string{"SECRET_KEY": "x", "SECRET": ""} {
		if value, ok, err := p.Lookup(name); err != nil || value != want || ok != (want != "") {
			t.Errorf("%s is %q, %v, %v", name, value, ok, err)
		}
	}
	if got, want := Family(pid), []int{min(pid, child), max(pid, child)}; !slices.Equal(got, want) {
		t.Errorf("family %v, want %v", got, want)
	}
	if _, err := Inspect(1 << 30); !errors.Is(err, fs.ErrNotExist) || err.Error() != "there is no process 1073741824: file does not exist" {
		t.Errorf("no such process: %v", err)
	}
}

// Output that goes nowhere, or to nobody any more, is not in any file.
func TestOutputToNoFile(t *testing.T) {
	t.Parallel()
	out, err := os.Create(filepath.Join(t.TempDir(), "gone.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("sleep", "600")
	cmd.Stdout = out // and errors to /dev/null
	pid := start(t, cmd)
	if err := os.Remove(out.Name()); err != nil {
		t.Fatal(err)
	}
	if got := (Process{PID: pid}).Output(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// A thread that computes is running each time one looks.
func TestRunning(t *testing.T) {
	t.Parallel()
	var spins atomic.Int64
	defer spins.Store(-1 << 62)
	go func() {
		for spins.Add(1) > 0 {
			continue
		}
	}()
	await(t, func() string {
		p, err := Inspect(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if p.Running == 0 || p.CPU == 0 || p.Running > p.Threads {
			return fmt.Sprintf("%d of %d threads run, which used %v", p.Running, p.Threads, p.CPU)
		}
		return ""
	})
}

func TestName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want string
		p    Process
	}{
		{"nginx", Process{Program: "nginx", Args: []string{"nginx: master process /usr/sbin/nginx -g daemon off;"}}},
		{"gunicorn", Process{Program: "python3", Args: []string{"/usr/bin/python3", "/usr/bin/gunicorn", "-b", ":8000", "site.wsgi"}}},
		{"gunicorn", Process{Program: "gunicorn", Args: []string{"gunicorn: master [site.wsgi]"}}},
		{"uvicorn", Process{Program: "python3", Args: []string{"python3.12", "-u", "-m", "uvicorn", "main:app"}}},
		{"puma", Process{Program: "ruby3.1", Args: []string{"puma 6.4.0 (tcp://0.0.0.0:3000) [app]"}}},
		{"server.js", Process{Program: "node", Args: []string{"node", "--max-old-space-size=512", "/srv/app/server.js"}}},
		{"node", Process{Program: "node", Args: []string{"node", "--version"}}},
		{"manage.py", Process{Program: "python", Args: []string{"python", "manage.py", "runserver"}}},
		{"kworker/0:1", Process{Program: "kworker/0:1"}},
	} {
		if got := test.p.Name(); got != test.want {
			t.Errorf("%q is called %s, want %s", test.p.Args, got, test.want)
		}
	}
}

func TestStartedSince(t *testing.T) {
	t.Parallel()
	p := started(t)
	pids := func(since time.Time) []int {
		all, err := StartedSince(since)
		if err != nil {
			t.Fatal(err)
		}
		var pids []int
		for _, one := range all {
			pids = append(pids, one.PID)
		}
		return pids
	}
	if got := pids(p.Start.Add(-time.Minute)); !slices.Contains(got, p.PID) || slices.Contains(got, os.Getpid()) {
		t.Errorf("%v: want %d, and not our own, %d", got, p.PID, os.Getpid())
	}
	if got := pids(time.Now().Add(time.Minute)); len(got) != 0 {
		t.Errorf("of the future: %v", got)
	}
}
