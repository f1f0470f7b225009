package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// reapPause follows a SIGCHLD: by then os/exec has waited for its own.
	reapPause = 100 * time.Millisecond

	// reapInterval is a look without a signal: several that come at once are one.
	reapInterval = 30 * time.Second

	// unclaimed is how long a dead child may wait to be waited for, where it
	// cannot be told whose it is.
	unclaimed = 5 * time.Second
)

// Reaper waits for the orphans that the kernel makes children of this process:
// a process whose parent has died goes to process 1, or to the nearest ancestor
// that asked for them. Unless somebody waits for them when they die, they stay
// in the process table for ever.
//
// It takes away no child that os/exec waits for, in this package or any other:
// a process that Go started is held by a pidfd until it is waited for
// (Linux 5.4), and an orphan is not, so that the two can be told apart without
// a register of children and without a lock around each command. Where there
// are no pidfds, a dead child counts as an orphan after five seconds, save the
// Leaders, whose owners may take longer: they end their groups first.
type Reaper struct {
	// Subreaper asks the kernel for orphaned descendants also where this is not
	// process 1 (PR_SET_CHILD_SUBREAPER).
	Subreaper bool

	Leaders *Leaders // are left to their owners; nil means none

	Logger *slog.Logger // told of each orphan, at debug level; nil means none

	patience time.Duration // tests: tell orphans by this age, as where there are no pidfds
}

// Run waits for orphans until ctx is done, and returns nil. It returns at once
// where this process gets no orphans.
func (r Reaper) Run(ctx context.Context) error {
	if r.Subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("become the parent of orphans: %w", err)
		}
	}
	if !r.Subreaper && os.Getpid() != 1 {
		return nil
	}
	log := r.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	orphans := orphansByPidfd
	if r.patience > 0 || !pidfdsWork() {
		orphans = (&byAge{patience: cmp.Or(r.patience, unclaimed)}).orphans
		log.Info("process descriptors are not to be had here: orphans are told by their age")
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	log.Debug("waiting for orphans")
	again := time.NewTimer(0) // those that died before
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-died:
			again.Reset(reapPause)
			continue
		case <-again.C:
		}
		pids, next := orphans()
		for _, pid := range pids {
			if r.Leaders.has(pid) {
				continue
			}
			if status, ok := waitFor(pid); ok {
				log.Debug("orphan reaped", "pid", pid, "exit_code", status.ExitStatus())
			}
		}
		again.Reset(next)
	}
}

// anyDead says whether a child has ended that nobody has waited for yet, and
// which one the kernel names first. It takes nothing away.
func anyDead() (pid int, ok bool) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || info.Signo == 0 {
			return 0, false
		}
		return int(deathOf(&info).pid), true
	}
}

// waitFor takes one dead child away.
func waitFor(pid int) (syscall.WaitStatus, bool) {
	var status syscall.WaitStatus
	for {
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		if !errors.Is(err, syscall.EINTR) {
			return status, err == nil && got == pid
		}
	}
}

// orphansByPidfd returns the dead children that no pidfd of this process holds.
// Nobody but the caller waits for such a one, so its pid stays its own.
func orphansByPidfd() ([]int, time.Duration) {
	if _, ok := anyDead(); !ok {
		return nil, reapInterval
	}
	self := os.Getpid()
	var dead []int
	for _, pid := range processes() {
		if s, ok := readStat(pid); ok && s.state == 'Z' && s.parent == self {
			dead = append(dead, pid)
		}
	}
	held := pidfds()
	var orphans []int
	for _, pid := range dead {
		if !held[pid] {
			orphans = append(orphans, pid)
		}
	}
	return orphans, reapInterval
}

// pidfds returns the processes that this process holds a pidfd of.
func pidfds() map[int]bool {
	held := make(map[int]bool)
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return held
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		target, err := os.Readlink("/proc/self/fd/" + name)
		if err != nil || !strings.Contains(target, "pidfd") {
			continue
		}
		text, err := os.ReadFile("/proc/self/fdinfo/" + name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "Pid:"); ok {
				if pid, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
					held[pid] = true
				}
			}
		}
	}
	return held
}

// pidfdsWork says whether Go holds a process by a pidfd here, and whether /proc
// tells which: it shows the numbers of the namespace that it was mounted in.
func pidfdsWork() bool {
	self := os.Getpid()
	if target, err := os.Readlink("/proc/self"); err != nil || target != strconv.Itoa(self) {
		return false
	}
	p, err := os.FindProcess(self)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	return pidfds()[self]
}

// byAge tells orphans by how long nobody has waited for them.
type byAge struct {
	patience time.Duration
	pid      int // the dead child that was seen last; 0 = none
	since    time.Time
}

// orphans looks at the one dead child that the kernel names, time and again:
// one that is waited for gives way to the next.
func (b *byAge) orphans() ([]int, time.Duration) {
	pid, ok := anyDead()
	switch {
	case !ok:
		b.pid = 0
		return nil, reapInterval
	case pid != b.pid:
		b.pid, b.since = pid, time.Now()
		return nil, b.patience
	}
	if left := b.patience - time.Since(b.since); left > 0 {
		return nil, left
	}
	b.pid = 0
	return []int{pid}, time.Millisecond // there may be more
}
