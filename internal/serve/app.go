package serve

import (
	"context"
	"errors"

	"hale/internal/config"
	"hale/internal/supervise"
)

// app is the app as hale's child, with the commands that run before it.
type app struct {
	ended  chan appEnd // one value when it has ended by itself; never, where there is none
	cancel context.CancelFunc
	done   chan struct{}
}

type appEnd struct {
	code int
	err  error
}

// startApp runs the commands before the app, then the app, until ctx is done or
// stop is called.
func (s *server) startApp(ctx context.Context) *app {
	ctx, cancel := context.WithCancel(ctx)
	a := &app{ended: make(chan appEnd, 1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		code, err := s.runApp(ctx)
		if ctx.Err() == nil && (err != nil || len(s.config.App.Command) > 0) {
			a.ended <- appEnd{code, err}
		}
	}()
	return a
}

// stop ends the app, if it runs, and waits for its end.
func (a *app) stop() {
	a.cancel()
	<-a.done
}

func (s *server) runApp(ctx context.Context) (code int, err error) {
	c := s.config.App
	steps := make([]supervise.Step, len(c.Before))
	for i, b := range c.Before {
		steps[i] = supervise.Step{Command: b.Command, User: firstNonEmpty(b.User, c.User), Env: s.environ}
	}
	if err := supervise.Before(ctx, s.logger, steps...); err != nil {
		if failed, ok := errors.AsType[*supervise.StepError](err); ok && failed.Exit.Code != 0 {
			return failed.Exit.Code, err
		}
		return codeNotStarted, err
	}
	if len(c.Command) == 0 {
		return 0, nil
	}
	child := &supervise.Child{
		Command: c.Command, Env: s.environ, User: c.User, StopTimeout: c.StopTimeout,
		Stdout: s.options.Stdout, Stderr: s.options.Stderr, Logger: s.logger,
	}
	if c.Restart == config.RestartOnFailure {
		child.Restart = supervise.OnFailure
	}
	return child.Run(ctx)
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
