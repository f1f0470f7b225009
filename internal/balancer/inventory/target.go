package inventory

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"hale/internal/elb"
)

const mostTargets = 1000 // of a group (guide, "Quotas"); see Place.MostTargets

// Register adds targets to a group. A target without a port has the group's. One
// that is registered stays as it is; one that is draining is registered anew.
func (e *Edit) Register(arn string, targets []Target) (*Group, error) {
	g, err := e.group(arn)
	if err != nil {
		return nil, err
	}
	next := slices.Clone(g.Targets)
	place := make(map[TargetID]int, len(next))
	for i, t := range next {
		place[t.TargetID] = i
	}
	for _, t := range targets {
		if t.Port == 0 {
			t.Port = g.Port
		}
		if err := e.checkTarget(g, t); err != nil {
			return nil, err
		}
		t.Registered, t.Draining = e.now, nil
		i, there := place[t.TargetID]
		switch {
		case !there:
			place[t.TargetID] = len(next)
			next = append(next, t)
		case next[i].Draining != nil:
			next[i] = t
		}
	}
	if most := max(mostTargets, e.place.MostTargets); len(next) > most {
		return nil, elb.Errorf("TooManyTargets", "A target group can have %d targets", most)
	}
	g.Targets = next
	return g, nil
}

// AddressOf returns the address of an instance; ok is false if none of that ID
// runs here.
func (p Place) AddressOf(instance string) (address netip.Addr, ok bool) {
	if p.Instance == nil {
		return netip.Addr{}, false
	}
	return p.Instance(instance)
}

func (e *Edit) checkTarget(g *Group, t Target) error {
	if t.Port < 1 || t.Port > 65535 {
		return elb.Errorf(elb.CodeValidation, "Target port '%d' is not between 1 and 65535", t.Port)
	}
	if t.Zone != "" && t.Zone != "all" && !strings.HasPrefix(t.Zone, e.place.Region) {
		return elb.Errorf(elb.CodeValidation, "Availability Zone '%s' is not one of region %s, nor all", t.Zone, e.place.Region)
	}
	if g.Kind.Targets == elb.Instances {
		if _, ok := e.place.AddressOf(t.ID); !ok {
			return elb.Errorf("InvalidTarget", "The following targets are not in a running state and cannot be registered: '%s'", t.ID)
		}
		return nil
	}
	address, err := netip.ParseAddr(t.ID)
	switch {
	case err != nil:
		return elb.Errorf(elb.CodeValidation, "The IP address '%s' is not a valid IP address", t.ID)
	case address.Zone() != "" || address.Is4() == (g.IPAddressType == "ipv6"):
		return elb.Errorf(elb.CodeValidation, "The IP address '%s' is not an %s address, as the group's are", t.ID, g.IPAddressType)
	}
	return nil
}

// Deregister has targets drain, for as long as the group's attribute says; those
// of a group that takes no traffic are gone at once. A target without a port
// stands for all of that ID. One that is not there is no error.
func (e *Edit) Deregister(arn string, targets []TargetID) (*Group, error) {
	g, err := e.group(arn)
	if err != nil {
		return nil, err
	}
	delay := g.All().Duration("deregistration_delay.timeout_seconds")
	if e.next.BalancersOf()[arn] == "" {
		delay = 0
	}
	g.cloneTargets()
	for _, id := range targets {
		for i := range g.Targets {
			t := &g.Targets[i]
			if t.ID == id.ID && (id.Port == 0 || t.Port == id.Port) && t.Draining == nil {
				t.Draining = &Draining{Since: e.now, Until: e.now.Add(delay)}
			}
		}
	}
	e.drained(g)
	return g, nil
}

// Drained removes the targets of all groups whose draining is over.
func (e *Edit) Drained() {
	for arn, g := range e.next.Groups {
		if !slices.ContainsFunc(g.Targets, e.over) {
			continue
		}
		g, _ := e.group(arn) // it is there
		g.cloneTargets()
		e.drained(g)
	}
}

func (e *Edit) drained(g *Group) { g.Targets = slices.DeleteFunc(g.Targets, e.over) }

func (e *Edit) over(t Target) bool { return t.Draining != nil && !e.now.Before(t.Draining.Until) }

// NextDrained returns when the first of all drainings is over; zero if none goes
// on.
func (v *Inventory) NextDrained() time.Time {
	var next time.Time
	for _, g := range v.Groups {
		for _, t := range g.Targets {
			if t.Draining != nil && (next.IsZero() || t.Draining.Until.Before(next)) {
				next = t.Draining.Until
			}
		}
	}
	return next
}
