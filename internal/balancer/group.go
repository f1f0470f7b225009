package balancer

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/spread"
	"hale/internal/probe"
)

// group is a target group at work: it probes its targets, holds what they are
// held for, and says which of them takes a request.
type group struct {
	arn      string
	log      *slog.Logger
	ctx      context.Context // of its targets
	cancel   context.CancelFunc
	running  *sync.WaitGroup
	sealer   *spread.Sealer
	place    inventory.Place
	balancer *Balancer

	// targets to choose among: those that may take traffic.
	choice spread.Group[*target]
	kind   atomic.Pointer[elb.Kind]
	stick  atomic.Pointer[spread.Stickiness] // nil: requests stick to no target
	// Of a Network Load Balancer's group: connections stick by the client's
	// address, and targets are told it by the PROXY protocol.
	bySource, proxyV2 atomic.Bool
	meter             meter
	observed          observed

	mu       sync.Mutex // guards what follows, and the health of all targets
	settings *inventory.Group
	user     *inventory.LoadBalancer // whose rules use the group; nil: nobody's
	manner   manner
	spread   spread.Settings
	health   elb.HealthRules
	routing  elb.GroupRules
	failOpen bool
	routed   time.Time // when route was last called
	routeDue bool      // it is about to be called again
	// Of a Network Load Balancer's group: whether the connections of a target that
	// turns unhealthy are reset, and those of one whose draining is over.
	cutUnhealthy, cutDrained bool
	targets                  map[inventory.TargetID]*target
	order                    []*target // by registration
	unusable                 map[netip.AddrPort]bool
}

func newGroup(b *Balancer, arn string) *group {
	g := &group{arn: arn, log: b.log, running: &b.running, sealer: b.sealer, place: b.options.Place, balancer: b, targets: make(map[inventory.TargetID]*target)}
	g.ctx, g.cancel = context.WithCancel(b.ctx)
	g.running.Go(g.assess)
	return g
}

// close ends the probing, and returns the targets that are gone. It does not wait.
func (g *group) close() []*target {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.targets {
		t.stop()
	}
	g.cancel()
	return slices.Collect(maps.Values(g.targets))
}

// assess compares the targets from time to time.
func (g *group) assess() {
	tick := time.NewTicker(spread.AssessEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.choice.Assess()
		case <-g.ctx.Done():
			return
		}
	}
}

// update takes what the inventory says of the group now; user is the load
// balancer that uses it, nil if none does. It returns the targets that are gone.
func (g *group) update(settings *inventory.Group, user *inventory.LoadBalancer, v *inventory.Inventory) (gone []*target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	asked := g.settings == nil || g.settings.HealthCheck != settings.HealthCheck
	g.settings, g.user = settings, user
	g.kind.Store(&settings.Kind)
	stick := spread.StickinessOf(g.sealer, g.arn, settings.Kind, settings.Attributes)
	g.health = elb.HealthRulesOf(settings.Kind, settings.HealthCheck, settings.Attributes)
	var balancer elb.Attributes
	if user != nil {
		balancer = user.Attributes
	}
	g.routing = elb.GroupRulesOf(settings.Kind, settings.Attributes, balancer)
	prober := probe.ProberOf(settings.Kind)
	if user != nil && user.Type == elb.Classic {
		g.routing.Balancer, prober, stick = elb.Classic, "classic", stick.Classic()
	}
	g.stick.Store(stick)
	g.spread = spread.SettingsOf(settings.Kind, settings.Attributes)
	g.manner = manner{prober: prober, kind: settings.Kind, check: settings.HealthCheck, node: nodeOf(v, user)}
	all := settings.All()
	g.bySource.Store(all.Bool("stickiness.enabled") && all["stickiness.type"] == "source_ip")
	g.proxyV2.Store(all.Bool("proxy_protocol_v2.enabled"))
	if g.proxyV2.Load() {
		g.manner.proxy = 2
	}
	g.cutUnhealthy = all.Bool("target_health_state.unhealthy.connection_termination.enabled")
	g.cutDrained = all.Bool("deregistration_delay.connection_termination.enabled")
	g.unusable = listening(v)
	g.order = g.order[:0:0]
	kept := make(map[inventory.TargetID]bool, len(settings.Targets))
	for _, registered := range settings.Targets {
		kept[registered.TargetID] = true
		g.order = append(g.order, g.take(registered, asked, now))
	}
	for id, t := range g.targets {
		if !kept[id] {
			t.stop()
			delete(g.targets, id)
			gone = append(gone, t)
		}
	}
	g.route(now)
	return gone
}

// take takes what the inventory says of a target.
func (g *group) take(registered inventory.Target, asked bool, now time.Time) *target {
	t := g.targets[registered.TargetID]
	fresh := t == nil
	if fresh {
		t = newTarget(g, registered)
		g.targets[registered.TargetID] = t
	}
	t.zone = registered.Zone
	before := t.health
	standing := g.standing(t)
	if registered.Draining == nil {
		t.health = t.health.Register(g.health, standing, now).Stand(g.health, standing, now)
	} else if t.health.State != elb.Draining {
		t.health = t.health.Register(g.health, standing, now).Deregister(registered.Draining.Until.Sub(now), now)
	}
	if fresh {
		t.begin()
	} else if asked || before != t.health {
		t.rouse()
	}
	return t
}

// standing is what must be so for a target to be asked.
func (g *group) standing(t *target) elb.Standing {
	s := elb.Standing{GroupUnused: g.user == nil, IPUnusable: g.unusable[t.address]}
	if g.settings.Kind.Targets == elb.Instances {
		if _, ok := g.place.AddressOf(t.id.ID); !ok {
			s.Instance = "terminated"
		}
	}
	if g.user != nil && t.zone != "" && t.zone != "all" {
		s.ZoneDisabled = !slices.ContainsFunc(g.user.Zones, func(z inventory.Zone) bool { return z.Name == t.zone })
	}
	return s
}

// report takes a probe's verdict.
func (g *group) report(t *target, v elb.Verdict, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !t.stopped {
		g.settle(t, t.health.Probe(g.health, v, now), now)
	}
}

// settle has a target held for something else, perhaps.
func (g *group) settle(t *target, next elb.TargetHealth, now time.Time) {
	before := t.health
	t.health = next
	if before.State == next.State {
		return
	}
	g.log.Info("target health", "group", g.settings.Name, "target", t.name(), "state", string(next.State), "was", string(before.State),
		"reason", string(next.Reason), "description", next.Description)
	g.routeSoon(now)
	if next.State == elb.Unhealthy && g.cutUnhealthy && g.user != nil {
		user := g.user.ARN
		g.running.Go(func() { g.balancer.cutFlows(user, t) }) // it waits for changes, which may wait for us
	}
}

// routeSoon is route, but not so often that a large group does nothing else when
// many of its targets change at once.
func (g *group) routeSoon(now time.Time) {
	if g.routeDue {
		return
	}
	wait := g.routed.Add(time.Duration(len(g.order)) * restPerTarget).Sub(now)
	if wait <= 0 {
		g.route(now)
		return
	}
	g.routeDue = true
	g.running.Go(func() {
		select {
		case <-time.After(wait):
		case <-g.ctx.Done():
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.route(time.Now())
	})
}

// restPerTarget is between two routes: for ten targets a tenth of a millisecond,
// for 5,000 a twentieth of a second, of which it takes about one in a hundred.
const restPerTarget = 10 * time.Microsecond

// route decides anew which targets may take traffic.
func (g *group) route(now time.Time) {
	g.routed, g.routeDue = now, false
	members := make([]elb.Member, len(g.order))
	for i, t := range g.order {
		members[i] = elb.Member{Health: t.health, Zone: cmp.Or(strings.TrimPrefix(t.zone, "all"), "")}
	}
	zone := ""
	if g.user != nil && len(g.user.Zones) > 0 {
		zone = g.user.Zones[0].Name
	}
	routing := g.routing.Route(members, zone)
	g.observed.hosts(now, g.user != nil, g.held(elb.Healthy), g.held(elb.Unhealthy, elb.UnhealthyDraining, elb.Unavailable))
	if g.user == nil {
		// Requests come here by rules alone that were in force a moment ago: what could
		// take them then, still can.
		return
	}
	chosen := make([]spread.Member[*target], len(routing.Targets))
	for i, of := range routing.Targets {
		chosen[i] = spread.Member[*target]{Target: g.order[of], Healthy: g.order[of].health.State == elb.Healthy}
	}
	g.choice.Use(now, g.spread, chosen)
	// That new targets have no verdict yet is no news.
	sick := slices.ContainsFunc(g.order, func(t *target) bool { return t.health.State == elb.Unhealthy })
	if open := routing.FailOpen && sick; open != g.failOpen {
		g.failOpen = open
		g.log.Warn("fail-open", "group", g.settings.Name, "on", open, "healthy", routing.Healthy, "registered", routing.Registered)
	}
}

// status returns what is held of each target.
func (g *group) status() []inventory.TargetStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]inventory.TargetStatus, len(g.order))
	for i, t := range g.order {
		list[i] = inventory.TargetStatus{TargetID: t.id, Zone: t.zone, CheckPort: g.checkPort(t), TargetHealth: t.health}
		list[i].Anomalous, list[i].Mitigated = t.Anomaly()
	}
	return list
}

func (g *group) checkPort(t *target) int { return cmp.Or(g.settings.HealthCheck.Port, t.id.Port) }

// nodeOf returns a Network Load Balancer's own address, with the port of its
// first listener.
func nodeOf(v *inventory.Inventory, user *inventory.LoadBalancer) netip.AddrPort {
	if user == nil || user.Type != elb.Network {
		return netip.AddrPort{}
	}
	listeners := v.ListenersOf(user.ARN)
	if len(listeners) == 0 {
		return netip.AddrPort{}
	}
	address := addressesOf(user, listeners[0])[0]
	if address.Addr().IsUnspecified() {
		return netip.AddrPortFrom(loopback, address.Port())
	}
	return address
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// listening returns the addresses that listeners have for themselves: such a
// target would be the load balancer itself.
func listening(v *inventory.Inventory) map[netip.AddrPort]bool {
	all := make(map[netip.AddrPort]bool)
	for _, l := range v.Listeners {
		for _, address := range addressesOf(v.LoadBalancers[l.LoadBalancer], l) {
			if address.Addr().IsUnspecified() {
				all[netip.AddrPortFrom(loopback, address.Port())] = true
				all[netip.AddrPortFrom(netip.IPv6Loopback(), address.Port())] = true
			}
			all[address] = true
		}
	}
	return all
}
