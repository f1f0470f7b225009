package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/supervise"
)

// The reaper is tested as process 1 of a namespace and as a subreaper, each in
// a process of its own: whoever gets the orphans shows only there.
func TestReaper(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	namespaces := err == nil && exec.CommandContext(t.Context(), unshare, "--pid", "--fork", "--mount-proc", "true").Run() == nil
	for _, tt := range []struct {
		name    string
		unshare []string
		env     []string
	}{
		{"process 1", []string{"--pid", "--fork", "--mount-proc"}, nil},
		{"process 1 without its own /proc", []string{"--pid", "--fork"}, []string{"REAP_BY=age"}},
		{"subreaper", nil, []string{"REAP_AS=subreaper"}},
		{"subreaper without pidfds", nil, []string{"REAP_AS=subreaper", "REAP_BY=age"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			command := []string{os.Args[0]}
			if tt.unshare != nil {
				if !namespaces {
					t.Skip("no process namespaces here: needs root, and unshare of util-linux")
				}
				command = append(append([]string{unshare}, tt.unshare...), command...)
			}
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Env = append(append(os.Environ(), tt.env...), programVariable+"=reap")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

func TestReaperWithoutOrphansReturns(t *testing.T) {
	if err := (supervise.Reaper{}).Run(t.Context()); err != nil {
		t.Errorf("Run returns %v", err)
	}
}

// reapProgram runs commands that leave orphans behind, many at once, while a
// reaper runs: each command must get its own exit code, and no zombie may be
// left.
func reapProgram(ctx context.Context) error {
	var log syncBuffer
	reaper := supervise.Reaper{
		Subreaper: os.Getenv("REAP_AS") == "subreaper",
		Logger:    slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	const workers = 4
	rounds, lateness := 5, time.Second // of one who waits for his child late
	if os.Getenv("REAP_BY") == "age" {
		// More than a busy machine takes to wait for a child; orphans take it one
		// after the other.
		reaper.TellByAge(time.Second)
		rounds, lateness = 2, 0
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- reaper.Run(ctx) }()
	for !strings.Contains(log.String(), "waiting for orphans") { // those of before are init's
		time.Sleep(time.Millisecond)
	}

	errs := make(chan error, workers*rounds+4)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for r := range rounds {
				want := w*rounds + r + 1
				err := exec.CommandContext(ctx, "sh", "-c", "(sleep 0.0"+strconv.Itoa(r)+") & exit "+strconv.Itoa(want)).Run()
				if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != want {
					errs <- fmt.Errorf("a command that exits with %d gives: %w", want, err)
				}
			}
		})
	}
	wg.Go(func() { // with the app and a command before it
		if err := supervise.Before(ctx, nil, supervise.Step{Command: script("sleep 0.05 & exit 0")}); err != nil {
			errs <- err
		}
		c := supervise.Child{Command: script("sleep 0.05 & wait; exit 3")}
		if code, err := c.Run(ctx); code != 3 || err != nil {
			errs <- fmt.Errorf("the app gives %d, %w", code, err)
		}
	})
	if lateness > 0 {
		wg.Go(func() {
			late := exec.CommandContext(ctx, "true")
			err := late.Start()
			time.Sleep(lateness)
			if err = errors.Join(err, late.Wait()); err != nil {
				errs <- fmt.Errorf("a child that is waited for late: %w", err)
			}
		})
	}
	wg.Wait()

	err := error(nil)
	for deadline := time.Now().Add(50 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		n := strings.Count(log.String(), "orphan reaped")
		left := zombies()
		if n >= workers*rounds && left == nil {
			break
		}
		if time.Now().After(deadline) {
			err = errors.Join(fmt.Errorf("%d orphans reaped, want %d", n, workers*rounds), left)
			break
		}
	}
	cancel()
	errs <- errors.Join(err, <-ended)
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// An app whose dead leader waits for the rest of its group is not taken for an
// orphan where those are told by their age; and if it is, its exit code is known
// all the same.
func TestReaperLeavesLeadersToTheirOwners(t *testing.T) {
	for _, tt := range []struct{ name, leaders string }{
		{"that it knows", "known"},
		{"that it does not know", "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), programVariable+"=linger", "LEADERS="+tt.leaders)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// lingerProgram runs an app that leaves behind a worker which does
// not heed SIGTERM, so that its leader stays dead for much longer than the
// reaper lets a child.
func lingerProgram(ctx context.Context) error {
	var log syncBuffer
	known := os.Getenv("LEADERS") == "known"
	leaders := new(supervise.Leaders)
	reaper := supervise.Reaper{Subreaper: true, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if known {
		reaper.Leaders = leaders
	}
	reaper.TellByAge(50 * time.Millisecond)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- reaper.Run(ctx) }()

	pid := 0
	c := supervise.Child{
		Command: script("trap '' TERM; sleep 30 & exit 4"), StopTimeout: 2 * time.Second, Leaders: leaders,
		OnStart: func(p int) { pid = p },
	}
	var errs []error
	if code, err := c.Run(ctx); code != 4 || err != nil {
		errs = append(errs, fmt.Errorf("the app gives %d, want its own 4: %w", code, err))
	}
	if known && strings.Contains(log.String(), fmt.Sprintf("pid=%d ", pid)) {
		errs = append(errs, errors.New("its dead leader was taken away from its owner"))
	}
	cancel()
	return errors.Join(append(errs, <-ended)...)
}

// zombies says which children nobody has waited for.
func zombies() error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	if target, _ := os.Readlink("/proc/self"); target != strconv.Itoa(os.Getpid()) {
		return nil // another namespace's
	}
	var errs []error
	for _, e := range entries {
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		state, parent, _, ok := supervise.ParseStat(text)
		if ok && state == 'Z' && parent == os.Getpid() {
			errs = append(errs, fmt.Errorf("process %s is a zombie", e.Name()))
		}
	}
	return errors.Join(errs...)
}

func TestParseStat(t *testing.T) {
	for _, tt := range []struct {
		text          string
		state         byte
		parent, group int
		ok            bool
	}{
		{"42 (sh) S 1 40 40 0 -1", 'S', 1, 40, true},
		{"42 (a) Z 7 (b) Z 9 8 7", 'Z', 9, 8, true}, // a name may hold anything
		{"42 () R 1 2 3", 'R', 1, 2, true},
		{"42 (sh) S", 0, 0, 0, false},
		{"42 (sh) S x y z", 'S', 0, 0, false},
		{"", 0, 0, 0, false},
	} {
		state, parent, group, ok := supervise.ParseStat([]byte(tt.text))
		if ok != tt.ok || ok && (state != tt.state || parent != tt.parent || group != tt.group) {
			t.Errorf("%q is read as %c %d %d %v", tt.text, state, parent, group, ok)
		}
	}
}
