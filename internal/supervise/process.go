package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"hale/internal/account"
)

// Step is one command.
type Step struct {
	Command []string // the program, looked for in Env's PATH, and its arguments
	Dir     string   // working directory; empty means the supervisor's
	Env     []string // the whole environment, "NAME=value"; nil means the supervisor's
	User    string   // name or uid; empty means the supervisor's. Another needs root

	Leaders *Leaders // knows the command while it runs, for a Reaper; nil means none
}

// outputDelay is how long the output of a command is read on after its end,
// where something that it left behind holds its pipe open.
const outputDelay = 2 * time.Second

// process is a running command, the leader of a process group of its own.
type process struct {
	cmd     *exec.Cmd
	leaders *Leaders
	pid     int
	started time.Time

	dead  chan struct{} // closed when the leader has ended; its pid is still its own
	reap  chan struct{} // closed to let the leader's pid go
	done  chan struct{} // closed when cmd.Wait has returned
	ended time.Time     // set before dead is closed

	// How it ended, if that is known; set before done is closed.
	status syscall.WaitStatus
	known  bool

	mu   sync.Mutex // guards gone
	gone bool       // the leader's pid may be somebody else's
}

// start starts a command in a process group of its own. Should this process
// die, the kernel sends it the signal orphaned (Linux).
func start(s Step, orphaned syscall.Signal, setup func(*exec.Cmd)) (*process, error) {
	cmd, err := s.prepare()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr.Setpgid = true
	setParentDeath(cmd.SysProcAttr, orphaned)
	setup(cmd)
	p := &process{cmd: cmd, leaders: s.Leaders, dead: make(chan struct{}), reap: make(chan struct{}), done: make(chan struct{})}
	failed := make(chan error)
	go p.attend(failed)
	if err := <-failed; err != nil {
		return nil, s.explain(err)
	}
	return p, nil
}

// attend starts the process and waits for its end. It keeps its thread all the
// while: the kernel takes the end of the thread that started a process for the
// death of its parent (prctl(2), PR_SET_PDEATHSIG).
func (p *process) attend(failed chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		failed <- err
		return
	}
	p.pid = p.cmd.Process.Pid
	p.leaders.add(p.pid)
	failed <- nil
	p.status, p.known = p.awaitEnd()
	p.ended = time.Now()
	close(p.dead)
	<-p.reap
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Wait() // that somebody else waited for it does not matter any more
	}
	p.leaders.remove(p.pid)
	if state := p.cmd.ProcessState; state != nil && !p.known {
		p.status, p.known = state.Sys().(syscall.WaitStatus)
	}
	close(p.done)
}

// signal sends sig to the leader.
func (p *process) signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// kill sends SIGKILL to the whole group, unless that is over.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// letGo has the leader waited for. The group's number was the leader's until
// now, so that no signal to it could reach a stranger.
func (p *process) letGo() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	close(p.reap)
	<-p.done
}

// end waits until the process has ended by itself or, when ctx is done, makes
// it end: sig to the leader, and SIGKILL to the whole group after timeout, of
// which late is told. What is left of the group when its leader has ended gets
// sig too, and the same time. It returns how many processes were left.
func (p *process) end(ctx context.Context, sig syscall.Signal, timeout time.Duration, late func()) (left int) {
	defer p.letGo()
	select {
	case <-p.dead:
	case <-ctx.Done():
		_ = p.signal(sig)
		_ = p.signal(syscall.SIGCONT) // a stopped one would not hear it
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-p.dead:
	case <-limit.C:
		late()
		p.kill()
		<-p.dead
		return 0
	}
	return p.sweep(sig, limit.C)
}

// sweep ends what is left of the group.
func (p *process) sweep(sig syscall.Signal, limit <-chan time.Time) (left int) {
	left = groupMembers(p.pid)
	if left == 0 {
		return 0
	}
	_ = syscall.Kill(-p.pid, sig)
	poll := time.NewTicker(20 * time.Millisecond) // they are not our children: nothing tells of their end
	defer poll.Stop()
	for groupMembers(p.pid) > 0 {
		select {
		case <-poll.C:
		case <-limit:
			p.kill()
			return left
		}
	}
	return left
}

// exit tells how the process ended.
func (p *process) exit() Exit {
	e := Exit{PID: p.pid, Uptime: p.ended.Sub(p.started)}
	switch {
	case !p.known:
		e.Code, e.missed = CodeUnknown, true
	case p.status.Signaled():
		e.Signal = p.status.Signal()
		e.Code = signalCode + int(p.status.Signal())
	default:
		e.Code = p.status.ExitStatus()
	}
	return e
}

// prepare makes the exec.Cmd of a step.
func (s Step) prepare() (*exec.Cmd, error) {
	if len(s.Command) == 0 || s.Command[0] == "" {
		return nil, errors.New("the command is empty")
	}
	env := s.Env
	if env == nil {
		env = os.Environ()
	}
	env = withoutManager(env)
	attr := new(syscall.SysProcAttr)
	if s.User != "" {
		user, err := account.Lookup(s.User)
		if err != nil {
			return nil, fmt.Errorf("run %s as user %s: %w", s.Command[0], s.User, err)
		}
		attr.Credential = user.Credential()
		env = append(env, user.Environment()...)
	}
	path, err := lookPath(s.Command[0], s.Dir, valueOf(env, "PATH"))
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path:        path,
		Args:        slices.Clone(s.Command),
		Dir:         s.Dir,
		Env:         env,
		SysProcAttr: attr,
		WaitDelay:   outputDelay,
	}, nil
}

// explain makes the cause of a failed start plain.
func (s Step) explain(err error) error {
	name := s.Command[0]
	switch {
	case s.Dir != "" && !isDir(s.Dir):
		return fmt.Errorf("run %s: its directory %s does not exist or is not a directory", name, s.Dir)
	case s.User != "" && errors.Is(err, syscall.EPERM):
		return fmt.Errorf("run %s as user %s: only root may change to another user: start as root, or leave user out: %w", name, s.User, syscall.EPERM)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("run %s: neither a program nor a script with a #! line: %w", name, syscall.ENOEXEC)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("run %s: not executable for the user it runs as (chmod +x, and each directory above it needs x): %w", name, syscall.EACCES)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("run %s: it, or the interpreter that its #! line names, does not exist: %w", name, syscall.ENOENT)
	}
	return fmt.Errorf("run %s: %w", name, err)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// lookPath finds a program as a shell with that PATH and directory would: an
// environment file may well set the PATH, a virtual environment's for one, and
// exec.LookPath knows this process's alone.
func lookPath(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // relative to dir, which the kernel sees to
	}
	found := exec.ErrNotFound
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) { // "" is the working directory
			d = filepath.Join(dir, d)
			if !filepath.IsAbs(d) {
				d = "." + string(filepath.Separator) + d
			}
		}
		candidate := filepath.Join(d, name)
		info, err := os.Stat(candidate)
		if err != nil || info.IsDir() {
			continue
		}
		if info.Mode()&0o111 == 0 {
			found = fs.ErrPermission
			continue
		}
		if abs, err := filepath.Abs(candidate); err == nil { // dir is changed to first
			candidate = abs
		}
		return candidate, nil
	}
	if errors.Is(found, fs.ErrPermission) {
		return "", fmt.Errorf("run %s: found in PATH but not executable (chmod +x): %w", name, found)
	}
	where := "not found in the directories of the PATH that it is given"
	if path == "" {
		where = "not found, since the PATH that it is given is empty or not set"
	}
	return "", fmt.Errorf("run %s: %s: give its full path, or set PATH in its environment: %w", name, where, exec.ErrNotFound)
}

// withoutManager leaves out what a service manager told this process about
// itself: its sockets, its readiness and its watchdog are not the child's.
func withoutManager(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID":
			return true
		}
		return false
	})
}

// valueOf returns the value that counts, the last one.
func valueOf(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if n, value, ok := strings.Cut(v, "="); ok && n == name {
			return value
		}
	}
	return ""
}
