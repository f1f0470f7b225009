// Package supervise runs the app as a child process: environment files,
// required variables, commands before the app, signals, restarts, and a stop
// that leaves nothing behind.
//
// LoadEnv reads the file that a shell would source, Require names every
// variable that is missing, Before runs the commands that come first, and a
// Child runs the app itself. A Reaper takes away the dead whom nobody waits
// for, where this process is the first of a container.
//
// No message names a variable's value or a command's arguments: both may hold
// secrets.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Defaults of a Child.
const (
	DefaultStopTimeout = 10 * time.Second

	minDelay = time.Second      // before the first restart; doubled for each further one
	maxDelay = 30 * time.Second // the longest
	steady   = time.Minute      // one that ran so long starts anew with minDelay
)

// Exit codes that are not the app's own. The first three are those of a shell.
const (
	CodeNotFound   = 127 // the program does not exist
	CodeCannotExec = 126 // it exists and cannot be run; also with ErrNotStarted
	signalCode     = 128 // + the number of the signal that killed it
	CodeUnknown    = 255 // it ran, but another part of this process took the news of its end
)

// ErrNotStarted is why Run did not start the app where it was to stop before.
var ErrNotStarted = errors.New("the app was not started")

var errKilled = errors.New("it was killed before")

// Restart says whether an app that has ended is started again. The zero value
// is Never.
type Restart uint8

const (
	Never     Restart = iota // its end is ours
	OnFailure                // unless it exits with 0 or is asked to stop
)

// String returns "never" or "on-failure".
func (r Restart) String() string {
	if r == OnFailure {
		return "on-failure"
	}
	return "never"
}

// MarshalText implements encoding.TextMarshaler.
func (r Restart) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts "never" and "on-failure".
func (r *Restart) UnmarshalText(b []byte) error {
	switch string(b) {
	case "never":
		*r = Never
	case "on-failure":
		*r = OnFailure
	default:
		return fmt.Errorf("%q is neither never nor on-failure", b)
	}
	return nil
}

// Exit is the end of one run of the app.
type Exit struct {
	PID    int
	Code   int       // its exit code; 128 + the signal's number where Signal is set; or CodeUnknown
	Signal os.Signal // what killed it, or nil
	Uptime time.Duration

	// Restart is set where the app will be started again, Delay from now.
	Restart bool
	Delay   time.Duration

	missed bool // how it ended is not known
}

// String says how it ended: "exit code 3" or "killed by signal: killed".
func (e Exit) String() string {
	if e.missed {
		return "exit code unknown: another part of this process waited for it"
	}
	if e.Signal != nil {
		return fmt.Sprintf("killed by signal %d (%v)", e.Code-signalCode, e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Child is the app as a child process. Its exported fields are set before Run
// and not changed after.
//
// The app runs in a process group of its own, so that Ctrl-C at a terminal
// reaches the supervisor alone, which then decides when the app stops; its
// standard input is empty. If the supervisor itself is killed, the kernel sends
// the app StopSignal (Linux).
type Child struct {
	Command []string // the program, looked for in Env's PATH, and its arguments
	Dir     string   // working directory; empty means the supervisor's
	Env     []string // the whole environment, "NAME=value"; nil means the supervisor's
	User    string   // name or uid; empty means the supervisor's. Another needs root

	// StopSignal asks the app to end; nil means SIGTERM. uWSGI without
	// die-on-term takes SIGTERM as "reload" and wants SIGQUIT or SIGINT here.
	StopSignal syscall.Signal

	// StopTimeout is the time from StopSignal to SIGKILL for the whole process
	// group; 0 means DefaultStopTimeout.
	StopTimeout time.Duration

	Restart Restart

	Stdout, Stderr io.Writer // nil means the supervisor's own

	Logger *slog.Logger // nil means none

	OnStart func(pid int) // told of each start, from Run's goroutine; may be nil
	OnExit  func(Exit)    // told of each end, likewise

	Leaders *Leaders // knows the app while it runs, for a Reaper; nil means none

	mu      sync.Mutex              // guards what follows
	process *process                // that runs just now
	stop    context.CancelCauseFunc // ends Run
	killed  bool
}

// Run starts the app and returns when it has ended for good, with its exit
// code. When ctx is done it stops the app: StopSignal to the app's first
// process, and SIGKILL to all that is left of its process group after
// StopTimeout. While it runs, the signals that say something to an app server
// (USR1, USR2, WINCH, QUIT, TTIN, TTOU, ALRM) are passed on to the app.
//
// The exit code is that of the app's last run: its own; 128 + n where signal n
// ended it, so 137 after StopTimeout or Kill; 255 where it is unknown. An error
// means that the app was never started, or not again: the code is then 127 where
// the program was not found, and 126 otherwise. If ctx is done before the first
// start, or Kill was called, the app is not started: the code is 126, and the
// error is ErrNotStarted and wraps ctx's cause.
func (c *Child) Run(ctx context.Context) (exitCode int, err error) {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := c.stoppable(ctx)
	defer stop(nil)
	if err := context.Cause(ctx); err != nil {
		return CodeCannotExec, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	defer c.forward()()
	delay := minDelay
	for starts := 0; ; starts++ {
		exit, err := c.once(ctx, log)
		if err != nil && (starts == 0 || c.Restart == Never || ctx.Err() != nil) {
			return startCode(err), err
		}
		if err != nil { // it ran before: a deployment may be replacing it just now
			log.Error("app could not be started", "error", err)
			exit.Code = startCode(err)
		}
		if exit.Uptime >= steady {
			delay = minDelay
		}
		if c.Restart == OnFailure && exit.Code != 0 && ctx.Err() == nil {
			exit.Restart, exit.Delay = true, delay
		}
		if err == nil {
			log.Info("app ended", "pid", exit.PID, "how", exit.String(), "uptime", exit.Uptime.Round(time.Millisecond).String(), "restart", exit.Restart)
			if c.OnExit != nil {
				c.OnExit(exit)
			}
		}
		if !exit.Restart {
			return exit.Code, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		if ctx.Err() != nil { // perhaps both at once
			return exit.Code, nil
		}
		delay = min(2*delay, maxDelay)
	}
}

// once runs the app until it has ended, and stops it when ctx is done.
func (c *Child) once(ctx context.Context, log *slog.Logger) (Exit, error) {
	stopSignal := cmp.Or(c.StopSignal, syscall.SIGTERM)
	p, err := start(Step{c.Command, c.Dir, c.Env, c.User, c.Leaders}, stopSignal, func(cmd *exec.Cmd) {
		cmd.Stdout, cmd.Stderr = orFile(c.Stdout, os.Stdout), orFile(c.Stderr, os.Stderr)
	})
	if err != nil {
		return Exit{}, err
	}
	c.set(p)
	log.Info("app started", "pid", p.pid, "program", c.Command[0])
	if c.OnStart != nil {
		c.OnStart(p.pid)
	}
	left := p.end(ctx, stopSignal, cmp.Or(c.StopTimeout, DefaultStopTimeout), func() {
		log.Warn("app did not stop in time and is killed", "pid", p.pid, "stop_timeout", cmp.Or(c.StopTimeout, DefaultStopTimeout).String())
	})
	c.set(nil)
	if left > 0 {
		log.Warn("app left processes behind, which were ended", "pid", p.pid, "processes", left)
	}
	return p.exit(), nil
}

// Signal sends sig to the app's first process. It returns os.ErrProcessDone
// where no app runs just now.
func (c *Child) Signal(sig os.Signal) error {
	c.mu.Lock()
	p := c.process
	c.mu.Unlock()
	if p == nil {
		return os.ErrProcessDone
	}
	return p.signal(sig)
}

// Kill ends the app at once and for good: SIGKILL to its whole process group,
// whether or not it was asked to stop before, and no restart. Run then returns
// as after any stop; Kill does not wait for that. A Run that has not started the
// app yet does not start it any more.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	if c.stop != nil {
		c.stop(errKilled) // first, so that its end is seen as wanted
	}
	if c.process != nil {
		c.process.kill()
	}
}

// stoppable returns Run's context, which Kill ends too.
func (c *Child) stoppable(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, c.stop = context.WithCancelCause(ctx)
	if c.killed {
		c.stop(errKilled)
	}
	return ctx, c.stop
}

// set says which process runs just now; nil where none does.
func (c *Child) set(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process = p
	if p != nil && c.killed {
		p.kill()
	}
}

// forwarded are the signals that say something to an app server: reopen logs,
// reload, more and fewer workers, print the state. Those that end or reload
// this process too (TERM, INT, HUP) are its owner's to decide on.
func forwarded() []os.Signal {
	return []os.Signal{
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGQUIT,
		syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGALRM,
	}
}

// forward passes signals on until the function that it returns is called.
func (c *Child) forward() (stop func()) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded()...)
	var wg sync.WaitGroup
	wg.Go(func() {
		for sig := range signals {
			_ = c.Signal(sig) // between two runs there is nobody to tell
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		wg.Wait()
	}
}

func startCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return CodeNotFound
	}
	return CodeCannotExec
}

func orFile(w io.Writer, f *os.File) io.Writer {
	if w == nil {
		return f
	}
	return w
}
