package balancer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
)

// probing is what a target's probes need. There is no goroutine between them: of
// thousands of targets, most wait at any moment.
type probing struct {
	timer   *time.Timer // calls tick; nil before begin
	stopped bool
	rhythm  rhythm

	probe   *probe.Probe   // as it is sent; replaced, never changed
	manner  manner         // that it was made for; the zero value: for none
	address netip.AddrPort // likewise
}

// begin has the target probed from now on. The group's mu is held, here and by
// the next two.
func (t *target) begin() { t.timer = time.AfterFunc(0, t.tick) }

// rouse has the target looked at again: it was registered anew, or is asked in
// another way.
func (t *target) rouse() {
	if !t.stopped {
		t.timer.Reset(0)
	}
}

// stop ends the probing. A probe that is under way says nothing any more.
func (t *target) stop() {
	t.stopped = true
	t.timer.Stop()
}

// tick lets time do its part, and sends a probe when it is time for one.
func (t *target) tick() {
	g := t.group
	g.mu.Lock()
	if t.stopped {
		g.mu.Unlock()
		return
	}
	g.running.Add(1) // not while it is waited for: then all are stopped
	defer g.running.Done()
	now := time.Now()
	g.settle(t, t.health.After(now), now)
	wait := longAway
	if due, ok := t.health.Due(); ok {
		wait = max(due.Sub(now), 0)
	}
	ask := false
	if t.health.Probed() {
		crowd := time.Duration(len(g.order)-1) * pace
		ask = t.rhythm.due(now, g.manner.check.Interval, crowd)
		wait = min(wait, t.rhythm.next.Sub(now))
	} else {
		t.rhythm.stop()
	}
	// A probe's length does not move the next one (guide of Application Load
	// Balancers, "Health checks").
	t.timer.Reset(wait)
	p, err := t.question(g)
	g.mu.Unlock()
	if ask {
		t.ask(g.ctx, p, err)
	}
}

// longAway is when a target that nothing is to happen to is looked at again.
const longAway = time.Hour

// pace is between the first probes of a group's targets: 5,000 a second.
const pace = 200 * time.Microsecond

// together is how far apart probes may be due that are sent one right after the
// other: of 5,000 a second 25, for which this process, and who they are sent to,
// wake up once. A second has a whole number of it.
const together = 5 * time.Millisecond

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
		r.next = r.next.Add(-time.Duration(r.next.Nanosecond()) % together)
		return true
	}
	// One that comes late does not move the others; those that would have been
	// meanwhile are left out.
	late := now.Sub(r.next)
	r.next = r.next.Add(late - late%interval + interval)
	return true
}

// manner is how a group's targets are asked.
type manner struct {
	prober string // whose probe it is
	kind   elb.Kind
	check  elb.HealthCheck
	proxy  int // the version of the PROXY protocol's header, 0: none
	node   netip.AddrPort
}

// question returns the probe for a target as the group asks now.
func (t *target) question(g *group) (*probe.Probe, error) {
	address := netip.AddrPortFrom(t.address.Addr(), uint16(g.checkPort(t))) //nolint:gosec // checked when it was set
	if t.manner == g.manner && t.probing.address == address {
		return t.probe, nil
	}
	m := g.manner
	p, err := probe.ForGroup(g.ctx, m.prober, m.kind, m.check, address.String(), m.proxy, m.node)
	if err == nil {
		t.probe, t.manner, t.probing.address = &p, m, address
	}
	return &p, err
}

// ask sends one probe, and reports what came of it. With an error there is none
// to send.
func (t *target) ask(ctx context.Context, p *probe.Probe, err error) {
	at := time.Now()
	if err != nil {
		t.keep(Probed{At: at, GRPC: -1, Reason: elb.InternalError, Because: err.Error()})
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
	t.keep(Probed{At: at, Took: a.Times.Total, Status: a.Status, GRPC: a.GRPC, Reason: v.Reason, Description: v.Description, Because: a.Because})
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
