package serve

import (
	"cmp"
	"context"
	"errors"
	"os"
	"sync/atomic"

	"hale/internal/config"
	"hale/internal/supervise"
)

// app is the app as hale's child, with the commands that run before it.
type app struct {
	child *supervise.Child // nil: somebody else runs the app

	ended   chan appEnd // one value when it has ended by itself; none where somebody else runs it
	started atomic.Bool // the child has run

	cancelStart, cancel context.CancelFunc
	done                chan struct{}
}

type appEnd struct {
	code int
	err  error // why it did not run: a command before it failed, or it could not be started
}

// errGivenUp is why an app was not started after all.
var errGivenUp = errors.New("draining began before the app was started")

// startApp runs the commands before the app, then the app, until ctx is done or
// stop is called.
func (s *server) startApp(ctx context.Context) *app {
	a := &app{ended: make(chan appEnd, 1), done: make(chan struct{})}
	ctx, a.cancel = context.WithCancel(ctx)
	starting, cancelStart := context.WithCancelCause(ctx)
	a.cancelStart = func() { cancelStart(errGivenUp) }
	if c := s.config.App; len(c.Command) > 0 {
		a.child = &supervise.Child{
			Command: c.Command, Env: s.environ, User: c.User, StopTimeout: c.StopTimeout,
			Stdout: s.options.Stdout, Stderr: s.options.Stderr, Logger: s.logger, Leaders: &s.leaders,
			OnStart: func(int) { a.started.Store(true) },
		}
		if c.Restart == config.RestartOnFailure {
			a.child.Restart = supervise.OnFailure
		}
	}
	go func() {
		defer close(a.done)
		defer a.cancelStart()
		code, err := s.runApp(ctx, starting, a.child)
		if ctx.Err() == nil && !errors.Is(err, errGivenUp) && (err != nil || a.child != nil) {
			a.ended <- appEnd{code, err}
		}
	}()
	return a
}

func (s *server) runApp(ctx, starting context.Context, child *supervise.Child) (code int, err error) {
	c := s.config.App
	steps := make([]supervise.Step, len(c.Before))
	for i, b := range c.Before {
		steps[i] = supervise.Step{Command: b.Command, User: cmp.Or(b.User, c.User), Env: s.environ, Leaders: &s.leaders}
	}
	if err := supervise.Before(starting, s.logger, steps...); err != nil {
		if failed, ok := errors.AsType[*supervise.StepError](err); ok && failed.Exit.Code != 0 {
			return failed.Exit.Code, err
		}
		return codeNotStarted, err
	}
	if starting.Err() != nil {
		return 0, context.Cause(starting)
	}
	if child == nil {
		return 0, nil
	}
	return child.Run(ctx)
}

// giveUpStarting ends what runs before the app, so that the app does not start
// any more. It tells whether somebody can have been served so far.
func (a *app) giveUpStarting() bool {
	if a.child == nil || a.started.Load() {
		return true
	}
	a.cancelStart()
	return false
}

// stop ends the app, if it runs, and waits for its end; a signal hurries it.
func (a *app) stop(signals <-chan os.Signal) {
	a.cancel()
	for {
		select {
		case <-a.done:
			return
		case <-signals:
			a.kill()
		}
	}
}

// kill ends the app without giving it time.
func (a *app) kill() {
	if a.child != nil {
		a.child.Kill()
	}
}
