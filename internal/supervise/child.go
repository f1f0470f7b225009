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

// Exit codes that a shell gives for a command that it cannot run.
const (
	CodeNotFound   = 127
	CodeCannotExec = 126
	signalCode     = 128 // + the number of the signal that killed it
)

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
	Code   int       // its exit code; 128 + the signal's number where Signal is set
	Signal os.Signal // what killed it, or nil
	Uptime time.Duration

	// Restart is set where the app will be started again, Delay from now.
	Restart bool
	Delay   time.Duration
}

// String says how it ended: "exit code 3" or "killed by signal: killed".
func (e Exit) String() string {
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

	mu      sync.Mutex // guards process
	process *process
}

// Run starts the app and returns when it has ended for good, with its exit
// code. When ctx is done it stops the app: StopSignal to the app's first
// process, and SIGKILL to all that is left of its process group after
// StopTimeout. While it runs, the signals that say something to an app server
// (USR1, USR2, WINCH, QUIT, TTIN, TTOU, ALRM) are passed on to the app.
//
// An error means that the app could not be started; the code is then 127 where
// the program was not found, and 126 otherwise.
func (c *Child) Run(ctx context.Context) (exitCode int, err error) {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	defer c.forward()()
	if ctx.Err() != nil {
		return 0, nil
	}
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
			return exit.Code, nil
		case <-time.After(delay):
		}
		delay = min(2*delay, maxDelay)
	}
}

// once runs the app until it has ended, and stops it when ctx is done.
func (c *Child) once(ctx context.Context, log *slog.Logger) (Exit, error) {
	stopSignal := cmp.Or(c.StopSignal, syscall.SIGTERM)
	p, err := start(Step{c.Command, c.Dir, c.Env, c.User}, stopSignal, func(cmd *exec.Cmd) {
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

func (c *Child) set(p *process) {
	c.mu.Lock()
	c.process = p
	c.mu.Unlock()
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
