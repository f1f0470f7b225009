package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"hale/internal/account"
	"hale/internal/autoscaling"
	"hale/internal/proc"
)

// files are where Linux tells of processes.
var files proc.FS

// Signals that end an instance. One that is stopped would not hear the first.
var (
	askSignals  = []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT}
	killSignals = []syscall.Signal{syscall.SIGKILL}
)

// mark is the variable that tells whose process one is.
const mark = "HALE_INSTANCE_ID"

// startProcess starts an instance as the leader of a session of its own: a signal
// to this program, or the end of its terminal, is none to the instance, and all
// that the instance starts can be found. It writes straight to its file, so that it
// can go on without this program.
func (h *Host) startProcess(group string, i *autoscaling.Instance) (autoscaling.Process, error) {
	template := h.State().Templates[i.Template.Name]
	if template == nil || template.Versions[i.Template.Version] == nil {
		return autoscaling.Process{}, fmt.Errorf("start an instance: launch template %s is not there any more", i.Template)
	}
	t := template.Versions[i.Template.Version].Fill(group, i)
	cmd := exec.CommandContext(context.Background(), t.Command[0], t.Command[1:]...) //nolint:gosec // it is what the configuration says
	cmd.Dir = t.Directory
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = withoutManager(os.Environ())
	if t.User != "" {
		user, err := account.Lookup(t.User)
		if err != nil {
			return autoscaling.Process{}, fmt.Errorf("start an instance of %s as user %s: %w", t.Name, t.User, err)
		}
		cmd.SysProcAttr.Credential = user.Credential()
		cmd.Env = append(cmd.Env, user.Environment()...)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Environment)) {
		cmd.Env = append(cmd.Env, name+"="+t.Environment[name])
	}
	file, err := h.output.create(i.ID)
	if err != nil {
		return autoscaling.Process{}, err
	}
	if file != nil {
		defer file.Close()
		cmd.Stdout, cmd.Stderr = file, file
	}
	if err := cmd.Start(); err != nil {
		return autoscaling.Process{}, fmt.Errorf("start an instance of launch template %s: %w", t.Name, explained(t, err))
	}
	p := autoscaling.Process{PID: cmd.Process.Pid, Boot: h.boot}
	read, err := files.Process(p.PID) // it is there until Wait
	p.Started = read.Started
	h.waiting.Go(func() {
		_ = cmd.Wait()
		h.rouse()
	})
	if err != nil {
		return autoscaling.Process{}, errors.Join(fmt.Errorf("look at the new process %d: %w", p.PID, err), cmd.Process.Kill())
	}
	return p, nil
}

// explained adds the way out to what the kernel says.
func explained(t autoscaling.LaunchTemplate, err error) error {
	if info, missing := os.Stat(t.Directory); t.Directory != "" && (missing != nil || !info.IsDir()) {
		return fmt.Errorf("its directory %s does not exist or is not a directory", t.Directory)
	}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: give the program's full path, or have it in the balancer's PATH", err)
	case t.User != "" && errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: only root may run a program as another user: leave User out, or run the balancer as root", err)
	}
	return err
}

// withoutManager leaves out what a service manager told this program about itself.
func withoutManager(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID", mark:
			return true
		}
		return false
	})
}

// processState tells what there is of a process that was started once.
func (h *Host) processState(p autoscaling.Process) autoscaling.ProcessState {
	if p.Boot != h.boot {
		return autoscaling.Ended
	}
	if leader, err := files.Process(p.PID); err == nil && leader.Started == p.Started && !leader.Ended() {
		return autoscaling.Running
	}
	if len(h.members(p)) > 0 {
		return autoscaling.Leftover
	}
	return autoscaling.Ended
}

// members returns the processes of a session that have not ended. The kernel gives
// a number to nobody else while a session has it.
func (h *Host) members(p autoscaling.Process) []int {
	if p.PID == 0 || p.Boot != h.boot {
		return nil
	}
	if leader, err := files.Process(p.PID); err == nil && leader.Started != p.Started {
		return nil // a stranger has the number: nobody of the session is left
	}
	all, err := files.Processes()
	if err != nil {
		return nil
	}
	var members []int
	for _, m := range all {
		if m.Session == p.PID && m.Started >= p.Started && !m.Ended() {
			members = append(members, m.PID)
		}
	}
	return members
}

// signal sends signals to all processes of a session.
func (h *Host) signal(p autoscaling.Process, signals ...syscall.Signal) {
	for _, pid := range h.members(p) {
		for _, sig := range signals {
			_ = syscall.Kill(pid, sig) // it may have ended meanwhile
		}
	}
}

// marked finds the leaders of sessions that were started for instances.
func (h *Host) marked(ids map[string]bool) map[string]autoscaling.Process {
	found := make(map[string]autoscaling.Process)
	if len(ids) == 0 {
		return found
	}
	all, err := files.Processes()
	if err != nil {
		return found
	}
	for _, p := range all {
		if p.Session != p.PID || p.Ended() {
			continue
		}
		for _, v := range files.Environment(p.PID) {
			if id, ok := strings.CutPrefix(v, mark+"="); ok && ids[id] {
				found[id] = autoscaling.Process{PID: p.PID, Started: p.Started, Boot: h.boot}
			}
		}
	}
	return found
}

// endAll ends all instances.
func (h *Host) endAll(ctx context.Context) {
	s := h.State()
	left := make(map[autoscaling.Process]time.Time) // when each is killed
	now := time.Now()
	for _, g := range s.Groups {
		for _, i := range g.Instances {
			if i.Process.PID == 0 {
				continue
			}
			stop := autoscaling.DefaultStopTimeout
			if t := s.Latest(i.Template.Name); t != nil {
				stop = t.Stop()
			}
			h.signal(i.Process, askSignals...)
			left[i.Process] = now.Add(stop)
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(left) > 0 {
		for p, until := range left {
			if h.processState(p) == autoscaling.Ended {
				delete(left, p)
			} else if ctx.Err() != nil || !time.Now().Before(until) {
				h.signal(p, killSignals...)
			}
		}
		<-tick.C
	}
}
