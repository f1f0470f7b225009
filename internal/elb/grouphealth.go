package elb

// GroupRules is what of a group's settings decides which of its targets may take
// traffic (guides, "Target group health").
type GroupRules struct {
	Balancer Balancer
	// Routing is how many targets must be healthy, and DNS how many for the
	// zone's address to stay in DNS. Below either number, it is as if none were.
	Routing, DNS Minimum
	// OwnZone: a zone's traffic goes to the zone's targets alone (cross-zone load
	// balancing is off).
	OwnZone bool
}

// Minimum is a number of targets, and a percentage of the registered ones; 0 is
// off.
type Minimum struct{ Count, Percentage int }

// GroupRulesOf returns the rules of a group with these attributes, used by a load
// balancer with those.
func GroupRulesOf(k Kind, group, balancer Attributes) GroupRules {
	full := GroupAttributes(k).Full(group)
	rules := GroupRules{
		Balancer: k.Balancer(),
		Routing:  Minimum{full.Int(keyRoutingCount), full.Int(keyRoutingShare)},
		DNS:      Minimum{full.Int(keyFailoverCount), full.Int(keyFailoverShare)},
	}
	switch full[keyCrossZone] {
	case "true":
	case "false":
		rules.OwnZone = true
	default:
		rules.OwnZone = !BalancerAttributes(k.Balancer(), false).Full(balancer).Bool(keyCrossZone)
	}
	return rules
}

// Member is a target as its group sees it.
type Member struct {
	Health TargetHealth
	// Zone is the target's; empty: it belongs to every zone, as a target does
	// that was registered for all.
	Zone string
}

// Routing is where a group's traffic may go.
type Routing struct {
	// Targets are the members that may take traffic, by index, in their order.
	// Without any, a request is answered with 503, and a connection closed.
	Targets []int
	// FailOpen tells that Targets are all that are registered, because too few of
	// them are healthy: better a sick one than none. An empty group fails open
	// for a Network Load Balancer, and for no other.
	FailOpen bool
	// Registered and Healthy are how many of the members count, and how many of
	// those are healthy.
	Registered, Healthy int
	// OutOfDNS tells that so few targets are healthy that the zone's address
	// leaves DNS. When all zones are so, all stay; that is the caller's to see.
	OutOfDNS bool
}

// Route decides where the traffic may go that a zone's node gets. The zone is of
// no importance unless the rules are OwnZone.
//
// Healthy targets take traffic. Below the minimum, all registered ones do, those
// without a verdict too; of a Classic Load Balancer, none (guide, "Troubleshoot a
// Classic Load Balancer: HTTP errors"). What is draining or unused never does. A
// target whose health check is disabled counts as healthy.
func (r GroupRules) Route(members []Member, zone string) Routing {
	var all, healthy []int
	for i, m := range members {
		if !m.Health.counts() || r.OwnZone && m.Zone != "" && m.Zone != zone {
			continue
		}
		all = append(all, i)
		if m.Health.good() {
			healthy = append(healthy, i)
		}
	}
	routing := Routing{
		Targets: healthy, Registered: len(all), Healthy: len(healthy),
		OutOfDNS: r.DNS.missed(len(healthy), len(all)),
	}
	enough := Minimum{Count: max(r.Routing.Count, 1), Percentage: r.Routing.Percentage}
	if enough.missed(len(healthy), len(all)) && r.Balancer != Classic {
		routing.Targets, routing.FailOpen = all, len(all) > 0 || r.Balancer == Network
	}
	return routing
}

// missed tells whether too few of all are healthy.
func (m Minimum) missed(healthy, all int) bool {
	return healthy < m.Count || healthy*100 < m.Percentage*all
}

// counts tells whether a target is one that its group can route to at all.
func (h TargetHealth) counts() bool {
	return h.Registered() && h.State != Unused
}

// good tells whether a target takes traffic like a healthy one.
func (h TargetHealth) good() bool {
	return h.State == Healthy || h.Reason == HealthCheckDisabled
}
