// Package gunicorn checks that gunicorn has workers left for what its clients
// ask.
package gunicorn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/report"
	"hale/checks/internal/workers"
	"hale/internal/explain"
	"hale/internal/listenqueue"
	"hale/internal/proc"
)

// Check looks at gunicorn from outside, since it has no page that tells its
// status: at its processes in /proc, and at what the kernel knows of its
// sockets.
//
// It proves that the master and its workers are there and are not stopped, how
// many connections they serve, and how many wait. It does not prove that the app
// answers. It costs gunicorn nothing, not even a connection. It needs the rights
// of gunicorn's user, or root's, to find out where gunicorn listens; with Address
// none. It is for Linux.
//
// A worker of the default class, sync, serves one connection at a time, so that
// those that are served are the workers that are busy. The other classes keep
// connections between requests, so that for them it is an upper bound.
//
//	&gunicorn.Check{PIDFile: "/run/gunicorn.pid", Workers: 4}
type Check struct {
	PIDFile string `yaml:"pid_file" jsonschema_description:"The file named by gunicorn's option pidfile; without it, the one gunicorn that runs is meant. A relative path starts at the directory of the configuration."`
	Address string `yaml:"address" jsonschema_description:"Where gunicorn takes requests on this machine, host:port or the path of a unix socket; by default all sockets on which it listens, to find which takes its user's rights."`
	Workers int    `yaml:"workers" jsonschema:"default=1,minimum=0" jsonschema_description:"Warn when fewer workers than this are there; without a single one, fail."`
	Threads int    `yaml:"threads" jsonschema:"default=1,minimum=0" jsonschema_description:"How many requests a worker serves at a time: gunicorn's threads, or worker_connections for an asynchronous worker_class."`

	checks.BusyLimits

	WarnRestarts int `yaml:"warn_restarts" jsonschema:"minimum=0" jsonschema_description:"Warn when more workers than this were replaced since the run before; without it, never."`

	// Dir is where a relative PIDFile starts; empty means the working directory.
	Dir string `yaml:"-"`

	fs proc.FS

	// mu guards everything that follows, and is held for a whole run.
	mu     sync.Mutex
	before crew // of the last run
	watch  workers.Watch
}

// crew is a master and its workers, by their process ids.
type crew struct {
	master  int
	workers []int
}

// Validate refuses an address that is none, and numbers below 0.
func (c *Check) Validate() error {
	errs := []error{c.BusyLimits.Validate()}
	if c.Address != "" {
		errs = append(errs, link.ValidateAddress("address", c.Address, "127.0.0.1:8000", true))
	}
	for _, option := range []struct {
		key   string
		value int
	}{{"workers", c.Workers}, {"threads", c.Threads}, {"warn_restarts", c.WarnRestarts}} {
		if option.value < 0 {
			errs = append(errs, checks.Optionf(option.key, "%d is negative", option.value))
		}
	}
	return errors.Join(errs...)
}

// Run looks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	master, err := c.master()
	if err != nil {
		return "", err
	}
	children, err := c.children(master.PID)
	if err != nil {
		return "", err
	}
	var r report.Report
	ready, err := c.ready(&r, master, children)
	if err != nil {
		return "", err
	}
	load := workers.Load{Workers: ready * cmp.Or(c.Threads, 1)}
	if c.Threads > 1 {
		load.What = "threads"
	}
	sockets, err := c.sockets(ctx, master.PID)
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.Warnf("%s there, but where gunicorn listens only its user may see: run as that, or set address", report.Count(ready, "worker"))
	case err != nil:
		return "", err
	case len(sockets) == 0:
		r.Warnf("%s there, but gunicorn listens where it cannot be seen, in another container for one", report.Count(ready, "worker"))
	default:
		serving, which, err := workers.Serving(sockets)
		if err != nil {
			return "", err
		}
		load.Busy, load.Queue, load.Finished = min(serving, load.Workers), workers.Fullest(sockets), which
		c.watch.Judge(&r, time.Now(), load, c.BusyLimits)
	}
	c.compare(&r, master, children)
	return r.Result()
}

// master finds gunicorn's master process.
func (c *Check) master() (proc.Process, error) {
	if c.PIDFile != "" {
		file := c.PIDFile
		if !filepath.IsAbs(file) {
			file = filepath.Join(c.Dir, file)
		}
		found, err := c.fs.Find(proc.Query{PIDFile: file})
		if err != nil {
			return proc.Process{}, err
		}
		return found[0], nil
	}
	all, err := c.fs.Find(proc.Query{Program: "gunicorn"})
	if err != nil {
		return proc.Process{}, err
	}
	// A master that replaces itself (USR2) is its successor's parent.
	masters := slices.DeleteFunc(slices.Clone(all), func(p proc.Process) bool {
		return slices.ContainsFunc(all, func(other proc.Process) bool { return other.PID == p.Parent })
	})
	switch len(masters) {
	case 0:
		return proc.Process{}, errors.New("gunicorn does not run")
	case 1:
		return masters[0], nil
	default:
		return proc.Process{}, fmt.Errorf("gunicorn runs %s, as process %d and %d among others: set pid_file",
			report.Count(len(masters), "time"), masters[0].PID, masters[1].PID)
	}
}

// children returns the child processes of a process.
func (c *Check) children(pid int) ([]proc.Process, error) {
	content, err := c.fs.Read(fmt.Sprintf("proc/%[1]d/task/%[1]d/children", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return c.childrenAmongAll(pid)
	}
	if err != nil {
		return nil, err
	}
	var children []proc.Process
	for field := range strings.FieldsSeq(content) {
		if pid, err := strconv.Atoi(field); err == nil {
			if p, err := c.fs.Process(pid); err == nil { // or it has ended meanwhile
				children = append(children, p)
			}
		}
	}
	return children, nil
}

// childrenAmongAll is for kernels without CONFIG_PROC_CHILDREN, and for a
// process that has just ended.
func (c *Check) childrenAmongAll(pid int) ([]proc.Process, error) {
	all, err := c.fs.Processes()
	return slices.DeleteFunc(all, func(p proc.Process) bool { return p.Parent != pid }), err
}

// ready counts the workers that can serve, and notes those that cannot. Without
// any, it is an error.
func (c *Check) ready(r *report.Report, master proc.Process, children []proc.Process) (int, error) {
	ready, stopped := 0, 0
	for _, p := range children {
		switch {
		case p.Ended():
		case p.Stopped():
			stopped++
		default:
			ready++
		}
	}
	switch expected := cmp.Or(c.Workers, 1); {
	case master.Ended():
		return 0, fmt.Errorf("gunicorn has ended, and its parent has not noticed: process %d (zombie)", master.PID)
	case ready == 0 && stopped > 0:
		return 0, fmt.Errorf("no worker can serve, %d stopped by a signal: gunicorn is process %d", stopped, master.PID)
	case ready == 0:
		return 0, fmt.Errorf("no worker is left: gunicorn is process %d", master.PID)
	case stopped > 0:
		r.Warnf("%s stopped by a signal", report.Count(stopped, "worker"))
	case ready < expected:
		r.Warnf("%s there, expected %d", report.Count(ready, "worker"), expected)
	}
	if master.Stopped() {
		r.Warnf("the master is stopped by a signal, and replaces no worker: process %d", master.PID)
	}
	return ready, nil
}

// sockets asks the kernel for the sockets on which gunicorn listens.
func (c *Check) sockets(ctx context.Context, master int) ([]listenqueue.Socket, error) {
	if c.Address != "" {
		return listenqueue.At(ctx, c.Address)
	}
	sockets, err := listenqueue.Of(master)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &explain.Error{Text: fmt.Sprintf("gunicorn has just ended: process %d", master), Err: err}
	}
	return sockets, err
}

// compare tells of workers that were replaced since the run before: they died,
// were killed by gunicorn's time-out, had served max_requests, or were told to
// reload. Gunicorn says which, but only to its log.
func (c *Check) compare(r *report.Report, master proc.Process, children []proc.Process) {
	now := crew{master: master.PID}
	for _, p := range children {
		if !p.Ended() {
			now.workers = append(now.workers, p.PID)
		}
	}
	before := c.before
	c.before = now
	if before.master != now.master {
		return
	}
	gone := 0
	for _, pid := range before.workers {
		if !slices.Contains(now.workers, pid) {
			gone++
		}
	}
	text := report.Count(gone, "worker") + " gone since the last run"
	switch {
	case c.WarnRestarts > 0 && gone > c.WarnRestarts:
		r.Warnf("%s, more than %d", text, c.WarnRestarts)
	case gone > 0:
		r.Passf("%s", text)
	}
}
