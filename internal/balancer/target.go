package balancer

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/spread"
	"hale/internal/upstream"
)

// target is a target at work.
type target struct {
	spread.Target
	group    *group
	id       inventory.TargetID
	address  netip.AddrPort
	upstream upstream.Upstream

	// Guarded by the group's mu:
	health elb.TargetHealth
	zone   string
	probing

	recentMu sync.Mutex
	recent   [keptProbes]Probed // a ring
	probes   int                // sent so far
}

// Probed is one probe of a target, and what came of it.
type Probed struct {
	At          time.Time
	Took        time.Duration
	Status      int // 0: none
	GRPC        int // the call's status; -1: none
	Reason      elb.Reason
	Description string
	Because     string // in plain words
}

// keptProbes is how many of a target's last probes are kept to be looked at.
const keptProbes = 10

func newTarget(g *group, registered inventory.Target) *target {
	t := &target{group: g, id: registered.TargetID}
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

func (t *target) keep(p Probed) {
	t.group.observed.probed(p.Reason)
	t.recentMu.Lock()
	defer t.recentMu.Unlock()
	t.recent[t.probes%keptProbes] = p
	t.probes++
}

// lastProbes returns the last probes, the newest first.
func (t *target) lastProbes() []Probed {
	t.recentMu.Lock()
	defer t.recentMu.Unlock()
	var list []Probed
	for i := range min(t.probes, keptProbes) {
		list = append(list, t.recent[(t.probes-1-i)%keptProbes])
	}
	return list
}
