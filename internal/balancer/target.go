package balancer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/spread"
	"hale/internal/probe"
	"hale/internal/upstream"
)

// target is a target at work.
type target struct {
	spread.Target
	group    *group
	id       inventory.TargetID
	address  netip.AddrPort
	upstream upstream.Upstream
	cancel   context.CancelFunc
	woken    chan struct{} // holds one: look again

	health elb.TargetHealth // guarded by the group's mu
	zone   string           // likewise

	recentMu sync.Mutex
	recent   [keptProbes]Probed // a ring
	probes   int                // sent so far
}

// Probed is one probe of a target, and what came of it.
type Probed struct {
	At          time.Time
	Took        time.Duration
	Status      int // 0: none
	Reason      elb.Reason
	Description string
	Because     string // in plain words
}

// keptProbes is how many of a target's last probes are kept to be looked at.
const keptProbes = 10

func newTarget(g *group, registered inventory.Target) *target {
	t := &target{group: g, id: registered.TargetID, woken: make(chan struct{}, 1)}
	address, err := netip.ParseAddr(t.id.ID)
	if err != nil {
		address, _ = g.place.AddressOf(t.id.ID)
	}
	t.address = netip.AddrPortFrom(address, uint16(t.id.Port)) //nolint:gosec // checked when it was registered
	t.upstream = upstream.New(protocolOf(g.settings.Kind), t.address.String())
	t.Key = spread.KeyOf(t.id.ID, t.id.Port)
	return t
}

// protocolOf returns what a group speaks with its targets.
func protocolOf(k elb.Kind) upstream.Protocol {
	secure := k.Protocol == elb.HTTPS
	switch {
	case k.Version == elb.HTTP2 || k.Version == elb.GRPC:
		if secure {
			return upstream.H2
		}
		return upstream.H2C
	case secure:
		return upstream.HTTPS
	default:
		return upstream.HTTP
	}
}

func (t *target) name() string { return net.JoinHostPort(t.id.ID, strconv.Itoa(t.id.Port)) }

// rouse has the target looked at again: it was registered anew, or is asked in
// another way.
func (t *target) rouse() {
	select {
	case t.woken <- struct{}{}:
	default: // it is about to be
	}
}

// watch probes the target, and lets time do its part, until ctx ends.
func (t *target) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var rhythm rhythm
	for {
		select {
		case <-timer.C:
		case <-t.woken:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		t.group.age(t, now)
		q := t.group.question(t)
		wait := until(q.due, now)
		if !q.asked {
			rhythm.stop()
		} else {
			if rhythm.due(now, q.check.Interval, q.crowd) {
				// A probe's length does not move the next one (load balancer's
				// guide, "Health checks"): it is not waited for here.
				t.group.running.Go(func() { t.ask(ctx, q) })
			}
			wait = min(wait, rhythm.next.Sub(now))
		}
		timer.Reset(wait)
	}
}

// rhythm is when a target is probed. The zero rhythm has not begun.
type rhythm struct {
	next  time.Time
	begun int // probes, up to two
}

// stop has the next probe come at once when the target is asked again.
func (r *rhythm) stop() { *r = rhythm{} }

// due tells whether it is time for a probe, and if so, when the next one is. The
// first comes at once, but for those of a crowd, which are spread over that time;
// the second after a part of the interval that is drawn, so that the probes of
// many targets do not go together for ever.
func (r *rhythm) due(now time.Time, interval, crowd time.Duration) bool {
	if r.begun == 0 {
		r.begun, r.next = 1, now
		if crowd > 0 {
			r.next = now.Add(rand.N(min(crowd, interval))) //nolint:gosec // no secret
		}
	}
	if now.Before(r.next) {
		return false
	}
	if r.begun == 1 {
		r.begun, r.next = 2, now.Add(interval-rand.N(interval)) //nolint:gosec // no secret
		return true
	}
	// One that comes late does not move the others; those that would have been
	// meanwhile are left out.
	late := now.Sub(r.next)
	r.next = r.next.Add(late - late%interval + interval)
	return true
}

const longAway = time.Hour

func until(due, now time.Time) time.Duration {
	if due.IsZero() {
		return longAway
	}
	return max(due.Sub(now), 0)
}

// manner is how a group's targets are asked.
type manner struct {
	prober string // whose probe it is
	kind   elb.Kind
	check  elb.HealthCheck
	proxy  int // the version of the PROXY protocol's header, 0: none
	node   netip.AddrPort
}

// question is how a target is asked now, if it is.
type question struct {
	manner
	asked   bool
	due     time.Time // when time alone brings something, zero if never
	address string
	crowd   time.Duration // over which the first probes are spread
}

// pace is between the first probes of a group's targets: 5,000 a second.
const pace = 200 * time.Microsecond

func (g *group) question(t *target) question {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := question{manner: g.manner, asked: t.health.Probed(), address: net.JoinHostPort(t.address.Addr().String(), strconv.Itoa(g.checkPort(t)))}
	q.due, _ = t.health.Due()
	q.crowd = time.Duration(len(g.order)-1) * pace
	return q
}

// ask sends one probe, and reports what came of it.
func (t *target) ask(ctx context.Context, q question) {
	at := time.Now()
	p, err := probe.ForGroup(ctx, q.prober, q.kind, q.check, q.address, q.proxy, q.node)
	if err != nil {
		t.keep(Probed{At: at, Reason: elb.InternalError, Because: err.Error()})
		t.group.report(t, elb.Verdict{Reason: elb.InternalError}, time.Now())
		return
	}
	a := p.Send(ctx)
	if ctx.Err() != nil {
		return
	}
	v := elb.Verdict{Reason: a.Reason, Description: a.Description}
	switch {
	case a.Healthy:
		v = elb.Verdict{}
	case ours(a.Err):
		v = elb.Verdict{Reason: elb.InternalError}
	}
	t.keep(Probed{At: at, Took: a.Times.Total, Status: a.Status, Reason: v.Reason, Description: v.Description, Because: a.Because})
	t.group.report(t, v, time.Now())
}

// ours tells whether a probe failed for want of something that this machine has
// too few of, which says nothing of the target.
func ours(err error) bool {
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

func (t *target) keep(p Probed) {
	t.group.observed.probed(p.Reason)
	t.recentMu.Lock()
	defer t.recentMu.Unlock()
	t.recent[t.probes%keptProbes] = p
	t.probes++
}

// Recent returns the last probes, the newest first.
func (t *target) lastProbes() []Probed {
	t.recentMu.Lock()
	defer t.recentMu.Unlock()
	var list []Probed
	for i := range min(t.probes, keptProbes) {
		list = append(list, t.recent[(t.probes-1-i)%keptProbes])
	}
	return list
}
