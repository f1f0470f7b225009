package supervise_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/internal/supervise"
)

func TestKill(t *testing.T) {
	const deaf = `trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 0.05; done' & echo worker $! ready; while :; do sleep 0.05; done`
	workerOf := func(t *testing.T, out *syncBuffer) int {
		t.Helper()
		await(t, "the app is ready", func() bool { return strings.Contains(out.String(), "ready") })
		pid, err := strconv.Atoi(strings.Fields(out.String())[1])
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Run("cuts a stop short", func(t *testing.T) {
		c := &supervise.Child{StopTimeout: time.Hour, Command: script(deaf)}
		out, stop, wait := running(t, c)
		worker := workerOf(t, out)
		stop()
		c.Kill()
		if code, err := wait(); code != 137 || err != nil {
			t.Errorf("Run returns %d, %v; want 137 (killed)", code, err)
		}
		await(t, "the worker is gone", func() bool { return !alive(worker) })
	})
	t.Run("what the app left behind too", func(t *testing.T) {
		var log syncBuffer
		deaf, ended := filepath.Join(t.TempDir(), "deaf"), make(chan struct{})
		c := &supervise.Child{
			StopTimeout: time.Hour, Logger: logTo(&log),
			Command: script(`sh -c 'trap "" TERM; touch ` + deaf + `; echo worker $$ ready; while :; do sleep 0.05; done' & until [ -e ` + deaf + ` ]; do sleep 0.02; done; exit 6`),
			OnStart: func(pid int) {
				go func() {
					defer close(ended)
					for alive(pid) {
						time.Sleep(5 * time.Millisecond)
					}
				}()
			},
		}
		out, _, wait := running(t, c)
		worker := workerOf(t, out)
		<-ended
		c.Kill()
		if code, err := wait(); code != 6 || err != nil {
			t.Errorf("Run returns %d, %v; want the app's own 6", code, err)
		}
		await(t, "the worker is gone", func() bool { return !alive(worker) })
	})
	t.Run("nobody asked to stop, and a restart is wanted", func(t *testing.T) {
		c := &supervise.Child{StopTimeout: time.Hour, Restart: supervise.OnFailure, Command: script(deaf)}
		out, _, wait := running(t, c)
		workerOf(t, out)
		c.Kill()
		c.Kill()
		if code, err := wait(); code != 137 || err != nil {
			t.Errorf("Run returns %d, %v; want 137 (killed)", code, err)
		}
	})
	t.Run("between two runs", func(t *testing.T) {
		ended := make(chan struct{}, 8)
		c := &supervise.Child{Restart: supervise.OnFailure, Command: script("exit 3"), OnExit: func(supervise.Exit) { ended <- struct{}{} }}
		_, _, wait := running(t, c)
		<-ended
		c.Kill()
		if code, err := wait(); code != 3 || err != nil {
			t.Errorf("Run returns %d, %v; want the last run's 3", code, err)
		}
		if len(ended) > 0 {
			t.Error("the app was started again")
		}
	})
	t.Run("while it starts", func(t *testing.T) {
		c := &supervise.Child{StopTimeout: time.Hour, Command: script(deaf)}
		c.OnStart = func(int) { c.Kill() }
		if code, err := c.Run(t.Context()); code != 137 || err != nil {
			t.Errorf("Run returns %d, %v; want 137 (killed)", code, err)
		}
	})
}

func TestChildIsNotStartedWhenItIsToStop(t *testing.T) {
	reason := errors.New("shutting down")
	for _, tt := range []struct {
		name  string
		cause error
		run   func(context.Context, *supervise.Child) (int, error)
	}{
		{"its context is done", reason, func(ctx context.Context, c *supervise.Child) (int, error) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(reason)
			return c.Run(ctx)
		}},
		{"killed before", nil, func(ctx context.Context, c *supervise.Child) (int, error) {
			c.Kill()
			return c.Run(ctx)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "started")
			c := &supervise.Child{Command: []string{"touch", file}, Restart: supervise.OnFailure}
			code, err := tt.run(t.Context(), c)
			if code != 126 || !errors.Is(err, supervise.ErrNotStarted) || tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("Run returns %d, %v; want 126, ErrNotStarted and the cause %v", code, err, tt.cause)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("the app was started")
			}
		})
	}
}

func TestBeforeNoticesTheEndAfterItsLastCommand(t *testing.T) {
	reason := errors.New("shutting down")
	for _, tt := range []struct {
		name  string
		steps []supervise.Step
	}{
		{"no command", nil},
		{"the last one succeeded all the same", []supervise.Step{{Command: script(`trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done`)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var log syncBuffer
			done := make(chan error, 1)
			if tt.steps == nil {
				cancel(reason)
			}
			go func() { done <- supervise.Before(ctx, logTo(&log), tt.steps...) }()
			if tt.steps != nil {
				await(t, "the command runs", func() bool { return strings.Contains(log.String(), "line=ready") })
				cancel(reason)
			}
			if err := <-done; !errors.Is(err, reason) {
				t.Errorf("error %v, want the cause %v", err, reason)
			}
		})
	}
}

// Some other part of the process that waits for any child may take the news of
// the app's end: then its exit code cannot be known, but that is all.
func TestChildWhoseEndWasTakenAway(t *testing.T) {
	taken := make(chan error, 1)
	var exit supervise.Exit
	c := &supervise.Child{
		Command: script("sleep 0.3; exit 7"),
		OnStart: func(pid int) {
			go func() {
				_, err := syscall.Wait4(pid, nil, 0, nil)
				taken <- err
			}()
		},
		OnExit: func(e supervise.Exit) { exit = e },
	}
	code, err := c.Run(t.Context())
	if err != nil || code != 7 && code != supervise.CodeUnknown {
		t.Errorf("Run returns %d, %v; want 7, or %d where that was not seen", code, err, supervise.CodeUnknown)
	}
	if code == supervise.CodeUnknown && !strings.HasPrefix(exit.String(), "exit code unknown") {
		t.Errorf("it is told as %q", exit)
	}
	<-taken // ECHILD, where Run was faster
}
