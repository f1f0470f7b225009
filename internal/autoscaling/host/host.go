// Package host runs Auto Scaling groups on this machine: it keeps their state in
// a directory, starts and ends the processes that are their instances, and
// registers them with a load balancer's target groups. What is to be done, package
// autoscaling decides; here it is carried out.
//
// Instances outlive the program that started them, where their state is kept: the
// next one finds them by their process's number and start, and goes on. A process
// whose start could not be noted any more is found by HALE_INSTANCE_ID in its
// environment. So no instance is ever started twice.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/elb"
	"hale/internal/statefile"
)

// Balancer is the load balancer that instances are registered with.
type Balancer interface {
	// TargetGroup refuses, with an *elb.Error, what is no target group that
	// instances can be registered with.
	TargetGroup(arn string) error
	// Targets returns the targets of a group, draining ones too; ok is false if
	// there is no such group.
	Targets(arn string) (targets map[autoscaling.Target]elb.State, ok bool)
	// Register and Deregister return when the change is durable.
	Register(ctx context.Context, arn string, target autoscaling.Target) error
	Deregister(ctx context.Context, arn string, target autoscaling.Target) error
	// Recheck is called when an instance has come or gone.
	Recheck()
}

// Options are what a host is made with.
type Options struct {
	// StateDir keeps the state, and what instances write. Empty: nothing is kept,
	// and instances end with the host.
	StateDir string
	// Region and Account are those of ARNs.
	Region, Account string
	// Templates are the launch templates that groups can name. With KeepTemplates
	// set, they are those that the state has.
	Templates     []autoscaling.LaunchTemplate
	KeepTemplates bool
	// Log is told what people should know. Nil: nothing is logged.
	Log *slog.Logger
}

// Host runs groups. Make one with Open.
type Host struct {
	options Options
	log     *slog.Logger
	store   *statefile.Store[autoscaling.State] // nil without a StateDir
	boot    string
	output  output

	state    atomic.Pointer[autoscaling.State]
	balancer atomic.Pointer[Balancer]

	// cancel ends the loop, stopped is closed when it has ended.
	cancel  context.CancelFunc
	stopped chan struct{}
	kick    chan struct{}
	waiting sync.WaitGroup // for processes, where they end with the host

	mu     sync.Mutex // guards changes of the state
	closed bool
	paused bool

	// ended has the ids of instances whose processes are gone for good. It is written
	// to in steps alone, and read at any time.
	ended sync.Map

	working   sync.Mutex        // held for a step; guards what follows
	recheck   bool              // an instance has come or gone, and the balancer was not told
	unstarted map[string]string // instances that could not be started, and why
	refused   map[autoscaling.Action]string
	bounded   time.Time
}

// lookEvery is how often facts are looked at if nothing else asks for that.
const lookEvery = 500 * time.Millisecond

// mostSteps is how many steps are taken without a pause.
const mostSteps = 100

// Open reads the state, and finds the processes of instances that still run. It
// starts nothing: that is Start's.
func Open(o Options) (*Host, error) {
	h := &Host{
		options: o, log: o.Log, kick: make(chan struct{}, 1),
		unstarted: make(map[string]string), refused: make(map[autoscaling.Action]string),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	boot, err := files.Boot()
	if err != nil {
		return nil, fmt.Errorf("learn when the machine was booted: %w", err)
	}
	h.boot = boot
	kept := new(autoscaling.State)
	if o.StateDir != "" {
		if h.store, kept, err = statefile.Open[autoscaling.State](o.StateDir, stateFile); err != nil {
			return nil, err
		}
		if h.output, err = openOutput(o.StateDir); err != nil {
			h.store.Release()
			return nil, err
		}
	}
	edit := kept.Begin(h.place(), time.Now())
	if !o.KeepTemplates {
		if err := edit.SetTemplates(o.Templates); err != nil {
			h.store.Release()
			return nil, err
		}
	}
	h.find(edit)
	if err := h.publish(edit.State()); err != nil {
		h.store.Release()
		return nil, err
	}
	return h, nil
}

// find notes the processes of instances that were started by a host which ended
// before it could note them.
func (h *Host) find(edit *autoscaling.Edit) {
	missing := make(map[string]bool)
	s := edit.State()
	for _, name := range s.Names() {
		for _, i := range s.Groups[name].Instances {
			if i.Process.PID == 0 {
				missing[i.ID] = true
			}
		}
	}
	for id, p := range h.marked(missing) {
		h.log.Info("instance found again", "instance", id, "pid", p.PID)
		edit.Started(id, p)
	}
}

// Start begins to work: instances are launched, replaced and ended, and registered
// with the balancer.
func (h *Host) Start(b Balancer) {
	h.balancer.Store(&b)
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.stopped = cancel, make(chan struct{})
	go h.run(ctx)
}

// State returns what there is. It never changes.
func (h *Host) State() *autoscaling.State { return h.state.Load() }

// Change makes a change, all of it or, with an error, nothing. When it returns nil,
// the change is on the disk; the groups follow it.
func (h *Host) Change(change func(*autoscaling.Edit) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errClosed
	case h.paused:
		return errPaused
	}
	edit := h.State().Begin(h.place(), time.Now())
	if err := change(edit); err != nil {
		return err
	}
	if err := h.publish(edit.State()); err != nil {
		return err
	}
	h.rouse()
	return nil
}

// Refusals that clients of the API try again after.
var (
	errClosed = elb.Errorf("ServiceUnavailable", "The balancer is shutting down")
	errPaused = elb.Errorf("Throttling", "The balancer is being handed over to another process")
)

// Pause has nothing changed, and lets another process have the state directory,
// until Resume. Instances go on as they are.
func (h *Host) Pause() error {
	h.working.Lock() // no step is half done
	defer h.working.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.paused {
		return errPaused
	}
	h.paused = true
	h.store.Release()
	return nil
}

// Resume ends a Pause, with what the state is by then. It fails if another process
// has the state directory.
func (h *Host) Resume() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.paused || h.closed {
		return nil
	}
	if h.store != nil {
		kept, err := h.store.Take()
		if err != nil {
			return err
		}
		edit := kept.Begin(h.place(), time.Now())
		h.find(edit)
		h.state.Store(edit.State())
	}
	h.paused = false
	h.rouse()
	return nil
}

// Address returns the address that an instance listens on; ok is false if none of
// that id runs here: then it is terminated for a balancer, whose Place.Instance this
// can be, since it waits for nothing. A target may outlive its instance, while it
// drains or while the group's Terminate process is suspended.
func (h *Host) Address(id string) (address netip.Addr, ok bool) {
	_, i := h.State().Instance(id)
	if _, ended := h.ended.Load(id); ended || i == nil {
		return netip.Addr{}, false
	}
	return i.Address.Addr(), true
}

// Output returns the file that an instance writes to; empty if nothing is kept.
func (h *Host) Output(id string) string { return h.output.path(id) }

// Close ends the work. Instances go on where their state is kept, and end
// otherwise: asked first, killed when ctx is done or their time to stop is over.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	if h.cancel != nil {
		h.cancel()
		<-h.stopped
	}
	if h.store != nil {
		h.store.Release()
		return nil
	}
	h.endAll(ctx)
	h.waiting.Wait()
	return nil
}

func (h *Host) place() autoscaling.Place {
	place := autoscaling.Place{Region: h.options.Region, Account: h.options.Account}
	if b := h.balancer.Load(); b != nil {
		place.TargetGroup = (*b).TargetGroup
	}
	return place
}

func (h *Host) publish(s *autoscaling.State) error {
	if h.store != nil {
		if err := h.store.Save(s); err != nil {
			return err
		}
	}
	h.state.Store(s)
	return nil
}

// rouse has the loop look at once.
func (h *Host) rouse() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

func (h *Host) run(ctx context.Context) {
	defer close(h.stopped)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for steps := 0; ctx.Err() == nil; steps++ {
		if h.step(ctx) && steps < mostSteps {
			continue
		}
		steps = 0
		h.bound()
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-h.kick:
		}
	}
}

// step looks at the facts, and does what follows from them. It tells whether
// anything has changed by that.
func (h *Host) step(ctx context.Context) bool {
	h.working.Lock()
	defer h.working.Unlock()
	before := h.State()
	actions, changed := h.decide()
	if changed {
		h.tell(before, h.State())
	}
	if h.recheck {
		h.recheck = false
		(*h.balancer.Load()).Recheck()
	}
	for _, a := range actions {
		if err := h.carryOut(ctx, a); err != nil {
			h.complain(a, err)
			continue
		}
		delete(h.refused, a)
		changed = changed || a.Do != autoscaling.Ask && a.Do != autoscaling.Kill // those take their time
	}
	return changed
}

// complain tells of what could not be done, once for each cause.
func (h *Host) complain(a autoscaling.Action, err error) {
	if h.refused[a] == err.Error() {
		return
	}
	h.refused[a] = err.Error()
	h.log.Warn("instance: this could not be done, and is tried again", "do", a.Do.String(), "instance", a.Instance, "target_group", a.Group, "error", err)
}

func (h *Host) decide() (actions []autoscaling.Action, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.paused {
		return nil, false
	}
	now := h.State()
	next, actions := autoscaling.Step(now, h.facts(now), time.Now())
	if reflect.DeepEqual(now, next) {
		return actions, false
	}
	if err := h.publish(next); err != nil {
		h.log.Error("auto scaling stands still: its state could not be kept", "error", err)
		return nil, false
	}
	return actions, true
}

// tell logs what has become of instances.
func (h *Host) tell(before, after *autoscaling.State) {
	for _, name := range after.Names() {
		for _, i := range after.Groups[name].Instances {
			_, was := before.Instance(i.ID)
			h.recheck = h.recheck || was == nil
			if was == nil || was.State != i.State {
				h.log.Info("instance", "group", name, "instance", i.ID, "state", string(i.State), "address", i.Address.String(), "unhealthy", i.Unhealthy)
			}
		}
	}
	for _, name := range before.Names() {
		for _, i := range before.Groups[name].Instances {
			if _, is := after.Instance(i.ID); is == nil {
				h.ended.Delete(i.ID)
				delete(h.unstarted, i.ID)
				h.log.Info("instance", "group", name, "instance", i.ID, "state", "Terminated")
				h.recheck = true
			}
		}
	}
}

func (h *Host) facts(s *autoscaling.State) autoscaling.Facts {
	f := autoscaling.Facts{
		Processes:   make(map[string]autoscaling.ProcessState),
		StartErrors: h.unstarted,
		Targets:     make(map[string]map[autoscaling.Target]elb.State),
		Free:        free,
	}
	b := *h.balancer.Load()
	know := func(arn string) {
		if _, known := f.Targets[arn]; known {
			return
		}
		if targets, ok := b.Targets(arn); ok {
			f.Targets[arn] = targets
		}
	}
	for _, g := range s.Groups {
		for _, source := range g.Sources {
			know(source.ARN)
		}
		for _, i := range g.Instances {
			f.Processes[i.ID] = h.look(i)
			for _, arn := range i.Registered {
				know(arn)
			}
		}
	}
	return f
}

// look tells what there is of an instance's process.
func (h *Host) look(i autoscaling.Instance) autoscaling.ProcessState {
	if i.Process.PID == 0 {
		return autoscaling.NotStarted
	}
	if _, ended := h.ended.Load(i.ID); ended {
		return autoscaling.Ended
	}
	state := h.processState(i.Process)
	if state == autoscaling.Ended {
		h.ended.Store(i.ID, nil)
		h.recheck = true
	}
	return state
}

func (h *Host) carryOut(ctx context.Context, a autoscaling.Action) error {
	group, i := h.State().Instance(a.Instance)
	if i == nil {
		return nil // it went meanwhile
	}
	b := *h.balancer.Load()
	switch a.Do {
	case autoscaling.Start:
		return h.launch(group.Name, i)
	case autoscaling.Ask:
		h.signal(i.Process, askSignals...)
	case autoscaling.Kill:
		h.signal(i.Process, killSignals...)
	case autoscaling.Register:
		return b.Register(ctx, a.Group, i.Target())
	case autoscaling.Deregister:
		return b.Deregister(ctx, a.Group, i.Target())
	}
	return nil
}

// launch starts an instance, and notes its process.
func (h *Host) launch(group string, i *autoscaling.Instance) error {
	if i.Process.PID != 0 || h.unstarted[i.ID] != "" || i.State.Ending() {
		return nil
	}
	p, err := h.startProcess(group, i)
	if err != nil {
		h.unstarted[i.ID] = err.Error()
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	edit := h.State().Begin(h.place(), time.Now())
	edit.Started(i.ID, p)
	s := edit.State()
	if err := h.publish(s); err != nil {
		h.state.Store(s) // true for all that: the process is there, and is found again by its environment
		return err
	}
	return nil
}

// free tells whether something can listen on an address.
func free(at netip.AddrPort) (netip.AddrPort, bool) {
	l, err := net.Listen("tcp", at.String()) //nolint:noctx // it is closed at once
	if err != nil {
		return at, false
	}
	defer l.Close()
	bound, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return at, false
	}
	return netip.AddrPortFrom(at.Addr(), bound.AddrPort().Port()), true
}
