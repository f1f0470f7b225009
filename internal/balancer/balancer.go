// Package balancer is a load balancer for one machine, with the rules of Elastic
// Load Balancing: listeners, rules, target groups whose targets are probed, and
// the choice of a target for each request. What it consists of is an inventory
// (package inventory), changed by Change, kept in a directory, and carried out
// here.
package balancer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/accesslog"
	"hale/internal/elb/spread"
	"hale/internal/handover"
	"hale/internal/statefile"
	"hale/internal/upstream"
)

// Options are what a balancer is made with.
type Options struct {
	// StateDir keeps the inventory; empty: nothing is kept.
	StateDir string
	// Place is where ARNs say that it is.
	Place inventory.Place
	// Certificates are those that listeners can name. Nil: none.
	Certificates Certificates
	// Log is told what people should know. Nil: nothing is logged.
	Log *slog.Logger
	// Sockets opens the sockets of listeners, and may have some of a process before.
	// Nil: it has none.
	Sockets *handover.Sockets
	// AccessLog gets a line for each request, in ELB's form. Nil: none is written.
	AccessLog AccessLog
}

// AccessLog takes entries, from many goroutines at once. The entry, and its slices, are
// valid until Log returns.
type AccessLog interface{ Log(*accesslog.Entry) }

// Balancer is a load balancer at work. Make one with Open.
type Balancer struct {
	options Options
	log     *slog.Logger
	store   *statefile.Store[inventory.Inventory] // nil without a StateDir
	sealer  *spread.Sealer                        // of stickiness cookies
	shown   shown

	accessLog atomic.Pointer[AccessLog] // nil: none

	// ctx ends with Shutdown; running are the goroutines that end then.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	inventory atomic.Pointer[inventory.Inventory]
	groups    atomic.Pointer[map[string]*group] // by ARN; replaced, never changed

	mu      sync.Mutex        // guards all changes, and what follows
	fronts  map[string]*front // of load balancers, by ARN
	drained *time.Timer       // ends the next draining
	closed  bool
	paused  bool
}

// Open reads the state and begins to work: it listens, and probes. A listener
// whose port is taken is told in the log, and tried again; it keeps nothing else
// from working.
func Open(o Options) (*Balancer, error) {
	b := &Balancer{options: o, log: o.Log, fronts: make(map[string]*front)}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.LogTo(o.AccessLog)
	kept := new(inventory.Inventory)
	if o.StateDir != "" {
		var err error
		if b.store, kept, err = statefile.Open[inventory.Inventory](o.StateDir, stateFile); err != nil {
			return nil, err
		}
	}
	var err error
	if b.sealer, err = newSealer(o.StateDir); err != nil {
		return nil, err
	}
	if o.Certificates != nil {
		b.options.Place.HasCertificate = o.Certificates.Has
	}
	if b.options.Sockets == nil {
		b.options.Sockets = new(handover.Sockets)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.inventory.Store(kept)
	b.groups.Store(&map[string]*group{})
	b.mu.Lock()
	defer b.mu.Unlock()
	edit := kept.Begin(b.options.Place, time.Now())
	edit.Drained()
	b.publish(edit.Inventory(), nil)
	return b, nil
}

// LogTo has the lines of the access log go elsewhere from now on; nil: nowhere.
func (b *Balancer) LogTo(log AccessLog) {
	if log == nil {
		b.accessLog.Store(nil)
		return
	}
	b.accessLog.Store(&log)
}

// Inventory returns what there is. It never changes.
func (b *Balancer) Inventory() *inventory.Inventory { return b.inventory.Load() }

// Change makes a change, all of it or, with an error, nothing. When it returns
// nil, the change is on the disk and in force: new listeners listen.
func (b *Balancer) Change(_ context.Context, change func(*inventory.Edit) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return errClosed
	case b.paused:
		return errPaused
	}
	edit := b.Inventory().Begin(b.options.Place, time.Now())
	if err := change(edit); err != nil {
		return err
	}
	next := edit.Inventory()
	opened, err := b.listen(next)
	if err != nil {
		return err
	}
	if err := b.save(next); err != nil {
		opened.close()
		return err
	}
	b.publish(next, opened)
	return nil
}

// Refusals that clients of the API try again after.
var (
	errClosed = elb.Errorf("ServiceUnavailable", "The load balancer is shutting down")
	errPaused = elb.Errorf("Throttling", "The load balancer is being handed over to another process")
)

// Pause has Change refuse, and lets another process have the state directory,
// until Resume. Requests go on as before.
func (b *Balancer) Pause() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.paused {
		return errPaused
	}
	b.paused = true
	b.store.Release()
	return nil
}

// Resume ends a Pause. It fails if another process has the state directory.
func (b *Balancer) Resume() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.paused || b.closed {
		return nil
	}
	if b.store != nil {
		if _, err := b.store.Take(); err != nil {
			return err
		}
	}
	b.paused = false
	b.awaitDrained(b.Inventory())
	return nil
}

// Try makes a change on a copy, and drops it: it tells whether Change would be
// refused, and what would be there then.
func (b *Balancer) Try(change func(*inventory.Edit) error) (*inventory.Inventory, error) {
	edit := b.Inventory().Begin(b.options.Place, time.Now())
	if err := change(edit); err != nil {
		return nil, err
	}
	return edit.Inventory(), nil
}

// Recheck looks again at what the inventory does not say: whether the instances
// among the targets still run.
func (b *Balancer) Recheck() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.publishGroups(b.Inventory())
	}
}

func (b *Balancer) save(v *inventory.Inventory) error {
	if b.store == nil {
		return nil
	}
	return b.store.Save(v)
}

// publish puts an inventory in force.
func (b *Balancer) publish(v *inventory.Inventory, opened sockets) {
	b.inventory.Store(v)
	b.publishGroups(v)
	b.publishFronts(v, opened)
	b.awaitDrained(v)
}

// awaitDrained has the targets removed whose draining ends next.
func (b *Balancer) awaitDrained(v *inventory.Inventory) {
	if b.drained != nil {
		b.drained.Stop()
		b.drained = nil
	}
	if next := v.NextDrained(); !next.IsZero() {
		b.drained = time.AfterFunc(time.Until(next), b.endDrained)
	}
}

func (b *Balancer) endDrained() {
	err := b.Change(b.ctx, func(e *inventory.Edit) error {
		e.Drained()
		return nil
	})
	if err != nil && !errors.Is(err, errClosed) && !errors.Is(err, errPaused) {
		b.log.Error("a draining is over, but that could not be kept", "error", err)
	}
}

// publishGroups has a group at work for each of the inventory.
func (b *Balancer) publishGroups(v *inventory.Inventory) {
	old := *b.groups.Load()
	next := make(map[string]*group, len(v.Groups))
	users := v.BalancersOf()
	var gone []*target
	for arn, settings := range v.Groups {
		g := old[arn]
		if g == nil {
			g = newGroup(b, arn)
		}
		next[arn] = g
		gone = append(gone, g.update(settings, v.LoadBalancers[users[arn]], v)...)
	}
	b.groups.Store(&next)
	for arn, g := range old {
		if next[arn] == nil {
			gone = append(gone, g.close()...)
		}
	}
	b.cut(gone)
}

// cut ends what is still under way with targets that are gone: their draining is
// over. Another group may have the same one.
func (b *Balancer) cut(gone []*target) {
	if len(gone) == 0 {
		return
	}
	used := make(map[upstream.Upstream]bool)
	for _, g := range *b.groups.Load() {
		g.mu.Lock()
		for _, t := range g.targets {
			used[t.upstream] = true
		}
		g.mu.Unlock()
	}
	for _, t := range gone {
		if used[t.upstream] {
			continue
		}
		for _, f := range b.fronts {
			f.engine.Cut(t.upstream)
			if t.group.cutDrained {
				f.cutFlows(t)
			}
		}
	}
}

// TargetHealth returns the targets of a group, those too that drain; none if
// there is no such group.
func (b *Balancer) TargetHealth(arn string) []inventory.TargetStatus {
	g := (*b.groups.Load())[arn]
	if g == nil {
		return nil
	}
	return g.status()
}

// Shutdown stops accepting, lets requests in flight end until ctx does, and then
// cuts the rest. No goroutine is left.
func (b *Balancer) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	if b.drained != nil {
		b.drained.Stop()
	}
	fronts := b.fronts
	b.fronts = nil
	b.mu.Unlock()
	errs := make([]error, len(fronts))
	var wg sync.WaitGroup
	for i, f := range slices.Collect(maps.Values(fronts)) {
		wg.Go(func() { errs[i] = f.shutdown(ctx) })
	}
	wg.Wait()
	for _, g := range *b.groups.Load() {
		g.close()
	}
	b.cancel()
	b.running.Wait()
	b.store.Release()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
