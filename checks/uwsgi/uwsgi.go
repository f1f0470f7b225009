// Package uwsgi checks that uWSGI has workers left for what its clients ask.
package uwsgi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/report"
	"hale/checks/internal/workers"
	"hale/internal/listenqueue"
)

// Check asks uWSGI's stats server how its workers are, and the kernel how many
// connections wait for one.
//
// It proves that the master process answers, that there are workers which take
// requests, with an app loaded, and that the queue in front of them has room.
// It does not prove that the app answers well. It costs one connection to the
// stats server a run, which the master answers itself: not a worker, so that the
// check learns just as much when all are busy. It needs the right to connect; to
// ask the kernel takes none.
//
// What happened between two runs warns in the second: requests that were killed
// for taking too long (harakiri), connections that were turned away.
//
//	&uwsgi.Check{Address: "127.0.0.1:9191"}
type Check struct {
	Address string `yaml:"address" jsonschema_description:"The stats server, as uWSGI's option stats: host:port, or the path of a unix socket."`
	HTTP    bool   `yaml:"http" jsonschema:"default=false" jsonschema_description:"The stats server speaks HTTP: uWSGI was started with stats-http."`
	Socket  string `yaml:"socket" jsonschema_description:"Where uWSGI takes requests on this machine, host:port or the path of a unix socket, to ask the kernel about; enough where there is no stats server."`
	NoApp   bool   `yaml:"no_app" jsonschema:"default=false" jsonschema_description:"This uWSGI loads no app: it serves PHP, CGI or static files."`

	checks.BusyLimits

	WarnRestarts int `yaml:"warn_restarts" jsonschema:"minimum=0" jsonschema_description:"Warn when more workers than this were started anew since the run before; without it, never."`

	// mu guards everything that follows, and is held for a whole run.
	mu     sync.Mutex
	before history
	watch  workers.Watch
}

// history is what a run leaves to the next.
type history struct {
	drops    map[uint32]uint32 // connections that the kernel turned away, by the socket's inode
	master   int               // process id; what follows is counted since it started
	refusals int               // that uWSGI noticed; since version 2.0 it does so for few kinds of sockets
	harakiri int               // of all workers together, as restarts
	restarts int
}

// Validate refuses a check that asks nobody.
func (c *Check) Validate() error {
	const example = "127.0.0.1:9191"
	errs := []error{c.BusyLimits.Validate()}
	switch {
	case c.Address == "" && c.Socket == "":
		errs = append(errs, checks.Optionf("address", "is missing: write where uWSGI's stats server listens, such as %s, or set socket", example))
	case c.Address != "":
		errs = append(errs, link.ValidateAddress("address", c.Address, example, true))
	}
	if c.Socket != "" {
		errs = append(errs, link.ValidateAddress("socket", c.Socket, "/run/app.sock", true))
	}
	if c.WarnRestarts < 0 {
		errs = append(errs, checks.Optionf("warn_restarts", "%d is negative", c.WarnRestarts))
	}
	return errors.Join(errs...)
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s stats
	if c.Address != "" {
		var err error
		if s, err = c.ask(ctx); err != nil {
			return "", err
		}
	}
	var r report.Report
	sockets, err := c.sockets(ctx, s)
	if err != nil {
		return "", err
	}
	load := workers.Load{Queue: workers.Fullest(sockets)}
	if c.Address == "" {
		_, load.Finished, err = workers.Serving(sockets)
		if err != nil {
			return "", err
		}
	} else {
		if err := c.able(s); err != nil {
			return "", err
		}
		load = s.load(load.Queue)
	}
	c.watch.Judge(&r, time.Now(), load, c.BusyLimits)
	c.compare(&r, s, sockets)
	return r.Result()
}

// sockets asks the kernel for the queues in which requests wait: of unix sockets
// uWSGI itself does not know it, and of none how many were turned away. The
// sockets that uWSGI names may be out of sight, in another container for one, but
// the one that the options name may not.
func (c *Check) sockets(ctx context.Context, s stats) ([]listenqueue.Socket, error) {
	if c.Socket != "" {
		return listenqueue.At(ctx, c.Socket)
	}
	if !local(c.Address) {
		return nil, nil
	}
	var all []listenqueue.Socket
	for _, socket := range s.Sockets {
		if found, err := listenqueue.At(ctx, s.address(socket)); err == nil {
			all = append(all, found...)
		}
	}
	return all, nil
}

// local reports whether an address is surely one of this machine.
func local(address string) bool {
	if link.Network(address) == "unix" || link.Host(address) == "localhost" {
		return true
	}
	addr, err := netip.ParseAddrPort(address)
	return err == nil && addr.Addr().IsLoopback()
}

// able says why no request can be served at all.
func (c *Check) able(s stats) error {
	var alive, cheap, ready, withApp int
	for _, w := range s.Workers {
		switch {
		case w.Status == statusCheap:
			cheap++
		case w.PID > 0:
			alive++
			if w.ready() {
				ready++
			}
			if len(w.Apps) > 0 {
				withApp++
			}
		}
	}
	switch {
	case alive == 0 && cheap == len(s.Workers):
		return nil // the next request starts one
	case alive == 0:
		return fmt.Errorf("no worker is left of %d: %s", len(s.Workers), c.Address)
	case ready == 0:
		return fmt.Errorf("no worker takes requests, %d of %d are starting or ending: %s", alive, len(s.Workers), c.Address)
	case withApp == 0 && !c.NoApp:
		return fmt.Errorf("no worker has an app loaded, uWSGI's log says why; if there is none to load, set no_app: %s", c.Address)
	}
	return nil
}

// compare warns of what happened since the run before. A new master begins to
// count anew.
func (c *Check) compare(r *report.Report, s stats, sockets []listenqueue.Socket) {
	now := history{master: s.Master, refusals: s.Refusals, drops: make(map[uint32]uint32)}
	for _, w := range s.Workers {
		now.restarts += w.Starts
		now.harakiri += w.Harakiri
	}
	dropped := uint32(0)
	for _, socket := range sockets {
		now.drops[socket.Inode] = socket.Drops
		if before, ok := c.before.drops[socket.Inode]; ok {
			dropped += socket.Drops - before
		}
	}
	before := c.before
	c.before = now
	if dropped > 0 {
		r.Warnf("%s turned away since the last run: the queue was full", report.Count(int(dropped), "connection"))
	}
	if before.master == 0 || before.master != now.master {
		return
	}
	if n := now.refusals - before.refusals; n > 0 {
		r.Warnf("the queue found full %s since the last run", report.Count(n, "time"))
	}
	if n := now.harakiri - before.harakiri; n > 0 {
		r.Warnf("harakiri: %s killed for taking too long since the last run", report.Count(n, "request"))
	}
	if n := now.restarts - before.restarts; c.WarnRestarts > 0 && n > c.WarnRestarts {
		r.Warnf("%s started anew since the last run, more than %d", report.Count(n, "worker"), c.WarnRestarts)
	}
}
