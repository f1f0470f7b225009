package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a program: generous, since test machines are
// busy, and only ever spent by a test that fails.
const patience = 3 * time.Minute

// Spec says how to start a program.
type Spec struct {
	Name string   // found by Need
	Args []string // the program must stay in the foreground
	Dir  string   // working directory; the test's own if empty
	Env  []string // in addition to the test's own
	User string   // to run as when the test runs as root; empty: as the test

	// URL is what Process.URL returns.
	URL string
	// Certificate is what the program serves TLS with, if it does.
	Certificate Certificate
	// Listens are the addresses (host:port, or the path of a unix socket) that
	// must accept connections before Start returns.
	Listens []string
	// Ready is asked until it returns nil before Start returns.
	Ready func(context.Context) error
	// StopSignal asks the program to end; zero means SIGTERM.
	StopSignal syscall.Signal
}

// Process is a program that runs for a test. Its methods fail the test rather
// than return errors, and belong to the test's goroutine.
type Process struct {
	t      testing.TB
	spec   Spec
	path   string
	output string // file
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the running cmd has been waited for
}

// Program starts a program that stays in the foreground. It does not wait for
// anything; see Process.Listening.
func Program(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	return Run(t, Spec{Name: name, Args: args})
}

// Run starts a program and waits until it is ready. When the test ends, the
// program and its descendants are stopped, and if the test failed, what the
// program wrote is logged.
func Run(t testing.TB, spec Spec) *Process {
	t.Helper()
	if spec.StopSignal == 0 {
		spec.StopSignal = syscall.SIGTERM
	}
	p := &Process{
		t:      t,
		spec:   spec,
		path:   Need(t, spec.Name),
		output: filepath.Join(t.TempDir(), "output"),
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("output of %s:\n%s", spec.Name, p.Output())
		}
	})
	p.Start()
	return p
}

// Start starts the program again after Stop or Kill, and waits until it is
// ready.
func (p *Process) Start() {
	p.t.Helper()
	if p.Running() {
		p.t.Fatalf("%s runs already", p.spec.Name)
	}
	// A file rather than a pipe: the program can always write, and nobody has
	// to wait for a descendant that keeps the pipe open.
	out, err := os.OpenFile(p.output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()

	cmd := exec.Command(p.path, p.spec.Args...)
	cmd.Dir = p.spec.Dir
	cmd.Env = append(os.Environ(), p.spec.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true,
		// A test binary that dies without its Cleanups (time-out, SIGKILL)
		// takes its programs along.
		Pdeathsig:  syscall.SIGKILL,
		Credential: credential(p.t, p.spec.User),
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	p.cmd, p.ended = cmd, ended

	p.Listening(p.spec.Listens...)
	if p.spec.Ready != nil {
		p.await("is not ready", p.spec.Ready)
	}
}

// Listening waits until each address, host:port or the path of a unix socket,
// accepts connections.
func (p *Process) Listening(addresses ...string) {
	p.t.Helper()
	for _, address := range addresses {
		p.await("does not listen on "+address, func(ctx context.Context) error {
			var dialer net.Dialer
			conn, err := dialer.DialContext(ctx, network(address), address)
			if err == nil {
				conn.Close()
			}
			return err
		})
	}
}

func network(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix"
	}
	return "tcp"
}

// await asks ready until it returns nil, and fails the test when the program
// has ended or patience has.
func (p *Process) await(complaint string, ready func(context.Context) error) {
	p.t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := ready(ctx)
		cancel()
		if err == nil {
			return
		}
		if !p.Running() {
			p.t.Fatalf("%s ended (%v) before it was ready", p.spec.Name, p.cmd.ProcessState)
		}
		if time.Since(start) > patience {
			p.t.Fatalf("%s %s after %v: %v", p.spec.Name, complaint, patience, err)
		}
	}
}

// Stop asks the program to end, waits for it, and kills it and its descendants
// if it does not. Stopping a program that has ended does nothing.
func (p *Process) Stop() {
	if !p.Running() {
		return
	}
	p.Resume()
	_ = p.cmd.Process.Signal(p.spec.StopSignal)
	select {
	case <-p.ended:
		// What the program left of its own group has no reason to stay.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Kill ends the program and its descendants with SIGKILL.
func (p *Process) Kill() {
	if !p.Running() {
		return
	}
	p.Pause() // so that nobody has children while they are being killed
	tree := p.tree()
	for _, pid := range tree {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
	for _, pid := range tree { // somebody else reaps them; they hold ports and locks until they have ended
		for start := time.Now(); alive(pid) && time.Since(start) < patience; {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// Pause freezes the program and its descendants (SIGSTOP). The kernel goes on
// accepting connections for it, and nobody ever answers.
func (p *Process) Pause() {
	// The parent first, and again what came to life meanwhile.
	for range 2 {
		for _, pid := range p.tree() {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
	}
	// A thread that runs on another processor stops a moment later.
	for start := time.Now(); time.Since(start) < patience; time.Sleep(time.Millisecond) {
		if !slices.ContainsFunc(p.tree(), moving) {
			return
		}
	}
}

// Resume undoes Pause.
func (p *Process) Resume() {
	for _, pid := range p.tree() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// Signal sends a signal to the program alone.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("%v to %s: %v", sig, p.spec.Name, err)
	}
}

// Running reports whether the program has been started and has not ended.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Wait waits until the program has ended by itself and returns its exit code,
// -1 if a signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s still runs after %v", p.spec.Name, patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// PID is the process id of the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// URL is where to reach the program, with user and password if it has any.
func (p *Process) URL() string { return p.spec.URL }

// Certificate is what the program serves TLS with; the zero value if it does
// not.
func (p *Process) Certificate() Certificate { return p.spec.Certificate }

// OutputFile holds what the program writes to its standard output and standard
// error.
func (p *Process) OutputFile() string { return p.output }

// Output is what the program has written so far to its standard output and
// standard error.
func (p *Process) Output() string {
	b, err := os.ReadFile(p.output)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Sprintf("(%v)", err)
	}
	return string(b)
}
