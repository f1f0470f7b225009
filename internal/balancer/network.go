package balancer

import (
	"net/netip"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/spread"
	"hale/internal/relay"
)

// flows says where the connections of a Network Load Balancer's listener go.
type flows struct {
	meter    *meter
	listener *listener
}

// relaySettings are a relay's time-outs. The time that a connection may be idle is the
// listener's, of a Classic Load Balancer its own.
func relaySettings(l *inventory.Listener, user *inventory.LoadBalancer) relay.Settings {
	if user.Type == elb.Classic {
		return relay.Settings{IdleTimeout: user.All().Duration("idle_timeout.timeout_seconds")}
	}
	return relay.Settings{IdleTimeout: l.All(user).Duration("tcp.idle_timeout.seconds")}
}

// newRelay returns the server of a Network Load Balancer's listener.
func (f *front) newRelay(l *listener) *relay.Server {
	return relay.NewServer(&flows{&f.policy.meter, l}, relay.Settings{})
}

// flow is what is known of a connection, from Pick to Done.
type flow struct {
	group  *group
	target *target
	tried  []*target
}

// Pick implements relay.Policy. Connections of the same addresses and ports go to
// the same target as long as it may take any; with stickiness by source_ip, all
// those of a client (guide of Network Load Balancers, "Target groups").
func (p *flows) Pick(c *relay.Conn) (relay.Target, bool) {
	q, again := c.Data.(*flow)
	if again {
		q.target.End(true)
		q.tried = append(q.tried, q.target)
		q.target = nil
	} else {
		q = &flow{group: p.listener.group.Load()}
		c.Data = q
	}
	if q.group == nil || len(q.tried) >= mostTries {
		return relay.Target{}, false
	}
	hash := spread.HashFlow(c.Client, c.Local)
	if q.group.bySource.Load() {
		hash = spread.HashSource(c.Client.Addr())
	}
	var ok bool
	if q.target, ok = q.group.choice.PickFor(hash, q.tried...); !ok {
		q.target = nil
		return relay.Target{}, false
	}
	q.target.Begin()
	return relay.Target{
		Address: q.target.address.String(), TLS: q.group.kind.Load().Protocol == elb.TLS, ProxyV2: q.group.proxyV2.Load(),
	}, true
}

// Done implements relay.Policy.
func (p *flows) Done(c *relay.Conn) {
	count := func(counts *Counts) {
		counts.Connections++
		counts.BytesIn += uint64(max(c.In, 0))
		counts.BytesOut += uint64(max(c.Out, 0))
		switch c.End { //nolint:exhaustive // the others are no resets
		case relay.TargetReset:
			counts.TargetResets++
		case relay.ClientReset:
			counts.ClientResets++
		case relay.Idle, relay.Cut, relay.NoTarget:
			counts.ELBResets++
		}
	}
	now := time.Now()
	p.meter.count(now, count)
	q, ok := c.Data.(*flow)
	if !ok {
		return
	}
	if q.target != nil {
		q.target.End(c.End == relay.TargetReset)
	}
	if q.group != nil {
		q.group.meter.count(now, count)
	}
}

// cutFlows resets the connections that a load balancer has with a target.
func (b *Balancer) cutFlows(loadBalancer string, t *target) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.fronts[loadBalancer]; f != nil {
		f.cutFlows(t)
	}
}

func (f *front) cutFlows(t *target) {
	address := t.address.String()
	for _, l := range f.listeners {
		if s, ok := l.server.(*relay.Server); ok {
			s.Cut(func(to relay.Target, _, _ netip.AddrPort) bool { return to.Address == address })
		}
	}
}
