package servers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// celeryApp is a Celery application. What is set in the environment comes from
// Celery.
const celeryApp = `
import os, time
from celery import Celery
app = Celery("app", broker=os.environ["BROKER"], backend=os.environ["RESULTS"] or None)
app.conf.update(eval(os.environ["SETTINGS"]))

@app.task(name="app.beat")
def beat():
    return "ok"

@app.task(name="app.fails")
def fails():
    raise ValueError("on purpose")

@app.task(name="app.sleep")
def sleep(seconds):
    time.sleep(seconds)
`

// Celery is a Celery application in Debian's Python, whose workers are started
// one by one. It has the tasks app.beat, app.fails and app.sleep(seconds).
type Celery struct {
	t   testing.TB
	dir string
	env []string
}

// NewCelery makes an application for a broker, redis://... or amqp://..., and a
// result backend, which may be empty. Settings are what app.conf is updated
// with, as Python writes a dict; empty means none.
func NewCelery(t testing.TB, broker, results, settings string) *Celery {
	t.Helper()
	NeedPython(t, "celery", "celery")
	NeedPython(t, "redis", "python3-redis")
	if settings == "" {
		settings = "{}"
	}
	c := &Celery{t: t, dir: t.TempDir(), env: []string{
		"BROKER=" + broker, "RESULTS=" + results, "SETTINGS=" + settings, "PYTHONDONTWRITEBYTECODE=1", "C_FORCE_ROOT=1", "LANG=C.UTF-8",
	}}
	if err := os.WriteFile(filepath.Join(c.dir, "app.py"), []byte(celeryApp), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// Worker starts a worker that goes by a node name such as "a@host", and waits
// until it is ready. The arguments are those of "celery worker".
func (c *Celery) Worker(node string, args ...string) *Process {
	c.t.Helper()
	p := Run(c.t, Spec{
		Name: python,
		Args: append([]string{
			"-m", "celery", "-A", "app", "worker", "-n", node, "-l", "INFO", "--without-mingle", "--without-gossip",
		}, args...),
		Dir: c.dir,
		Env: c.env,
		// Nothing is to be finished first.
		StopSignal: syscall.SIGKILL,
	})
	p.await("is not ready", func(context.Context) error {
		if !strings.Contains(p.Output(), node+" ready.") {
			return errors.New("has not said that it is ready")
		}
		return nil
	})
	return p
}

// Do runs a line of Python in which app is the application's module.
func (c *Celery) Do(line string) {
	c.t.Helper()
	if out, _, err := c.run("-c", "import app; "+line); err != nil {
		c.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// Command runs the celery program on the application, and returns what it wrote,
// its exit code, and the processor time it took.
func (c *Celery) Command(args ...string) (output string, code int, cpu time.Duration) {
	c.t.Helper()
	output, state, err := c.run(append([]string{"-m", "celery", "-A", "app"}, args...)...)
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		c.t.Fatalf("celery %s: %v", strings.Join(args, " "), exit)
	}
	return output, state.ExitCode(), state.UserTime() + state.SystemTime()
}

func (c *Celery) run(args ...string) (output string, state *os.ProcessState, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), cmd.ProcessState, err
}
