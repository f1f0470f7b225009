// Package inventory holds what a load balancer is made of: load balancers,
// listeners, rules, target groups and their targets, as values that never change
// once they are published. An Edit makes the next inventory from one, and refuses
// what ELB would refuse. It does no I/O.
package inventory

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// Inventory is everything there is, by ARN. Nobody changes one that is
// published, nor what it points at. The zero value is an empty one.
type Inventory struct {
	LoadBalancers map[string]*LoadBalancer `json:",omitempty"`
	Listeners     map[string]*Listener     `json:",omitempty"`
	Rules         map[string]*Rule         `json:",omitempty"` // without the default ones, which are their listeners'
	Groups        map[string]*Group        `json:",omitempty"`
	// Certificates are those that the configuration has named.
	Certificates map[string]*CertificateSource `json:",omitempty"`
}

// Tag is a name and a value that people give a thing.
type Tag struct{ Key, Value string }

// LoadBalancer is what listeners belong to.
type LoadBalancer struct {
	ARN, Name, DNSName string
	Type               elb.Balancer
	// Scheme decides where listeners listen: Internal on loopback alone,
	// InternetFacing on every address of the machine; a zone's Address is
	// before both.
	Scheme         Scheme
	IPAddressType  string
	Zones          []Zone
	SecurityGroups []string `json:",omitempty"`
	Created        time.Time
	Attributes     elb.Attributes `json:",omitempty"` // those that were set
	Tags           []Tag          `json:",omitempty"`
}

// Scheme is who can reach a load balancer (ELBv2 API, LoadBalancerSchemeEnum).
type Scheme string

// Schemes.
const (
	InternetFacing Scheme = "internet-facing"
	Internal       Scheme = "internal"
)

// Zone is a zone that a load balancer is enabled in.
type Zone struct {
	Name, SubnetID string
	// Address is one that listeners are to listen on, of a SubnetMapping's
	// PrivateIPv4Address; empty: as the scheme says.
	Address string `json:",omitempty"`
}

// Listener takes connections on a port.
type Listener struct {
	ARN, LoadBalancer string // the load balancer's ARN
	Protocol          elb.Protocol
	Port              int
	SSLPolicy         string         `json:",omitempty"`
	Certificates      []Certificate  `json:",omitempty"` // the default one first
	ALPN              []string       `json:",omitempty"`
	Default           []rule.Action  // of the default rule
	Created           time.Time      // listeners are listed in this order
	Attributes        elb.Attributes `json:",omitempty"`
	Tags              []Tag          `json:",omitempty"`
}

// Certificate names one that the balancer knows by its ARN.
type Certificate struct{ ARN string }

// Rule is a listener's rule other than the default one.
type Rule struct {
	ARN, Listener string // the listener's ARN
	rule.Rule
	Tags []Tag `json:",omitempty"`
}

// Group is a target group.
type Group struct {
	ARN, Name     string
	Kind          elb.Kind
	Port          int
	VPC           string `json:",omitempty"`
	IPAddressType string
	HealthCheck   elb.HealthCheck // with ELB's defaults in it
	Created       time.Time
	Attributes    elb.Attributes `json:",omitempty"`
	Tags          []Tag          `json:",omitempty"`
	Targets       []Target       `json:",omitempty"` // by registration
}

// TargetID is what tells the targets of a group apart.
type TargetID struct {
	ID   string // an instance's, or an IP address
	Port int
}

// Target is one that is registered with a group, or was and is draining.
type Target struct {
	TargetID
	// Zone is the one it was registered with: empty for its own, or "all".
	Zone       string `json:",omitempty"`
	Registered time.Time
	Draining   *Draining `json:",omitempty"` // nil while registered
}

// Draining is a deregistration that goes on: no new requests, while those in
// flight may end.
type Draining struct{ Since, Until time.Time }

// TargetStatus is a target, and what its load balancer holds of it.
type TargetStatus struct {
	TargetID
	Zone      string
	CheckPort int // that probes go to
	elb.TargetHealth
	// Anomalous tells that it fails more than the others do, Mitigated that it
	// gets less traffic for it.
	Anomalous, Mitigated bool
}

// All returns the attributes with the defaults of those that are not set.
func (b *LoadBalancer) All() elb.Attributes { return b.attributes().Full(b.Attributes) }

func (b *LoadBalancer) attributes() elb.AttributeTable {
	return elb.BalancerAttributes(b.Type, b.Scheme == Internal)
}

// All returns the attributes of a listener of the load balancer b, with the
// defaults of those that are not set.
func (l *Listener) All(b *LoadBalancer) elb.Attributes {
	return elb.ListenerAttributes(b.Type).Full(l.Attributes)
}

// All returns the attributes with the defaults of those that are not set.
func (g *Group) All() elb.Attributes { return elb.GroupAttributes(g.Kind).Full(g.Attributes) }

// Target returns the target of that ID, nil if the group has none.
func (g *Group) Target(id TargetID) *Target {
	for i := range g.Targets {
		if g.Targets[i].TargetID == id {
			return &g.Targets[i]
		}
	}
	return nil
}

// ListenersOf returns a load balancer's listeners by port.
func (v *Inventory) ListenersOf(loadBalancer string) []*Listener {
	var of []*Listener
	for _, l := range v.Listeners {
		if l.LoadBalancer == loadBalancer {
			of = append(of, l)
		}
	}
	slices.SortFunc(of, func(a, b *Listener) int { return cmp.Compare(a.Port, b.Port) })
	return of
}

// RulesOf returns a listener's rules by priority, without the default one.
func (v *Inventory) RulesOf(listener string) []*Rule {
	var of []*Rule
	for _, r := range v.Rules {
		if r.Listener == listener {
			of = append(of, r)
		}
	}
	slices.SortFunc(of, func(a, b *Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return of
}

// BalancersOf returns the ARN of the load balancer that uses each group, by a
// rule or a listener's default action. A group that is not in it takes no
// traffic, and is not probed.
func (v *Inventory) BalancersOf() map[string]string {
	users := make(map[string]string)
	for _, l := range v.Listeners {
		for _, group := range groupsOf(l.Default) {
			users[group] = l.LoadBalancer
		}
	}
	for _, r := range v.Rules {
		for _, group := range groupsOf(r.Actions) {
			users[group] = v.Listeners[r.Listener].LoadBalancer
		}
	}
	return users
}

// SortedLoadBalancers returns the load balancers by name.
func (v *Inventory) SortedLoadBalancers() []*LoadBalancer {
	return sorted(v.LoadBalancers, func(b *LoadBalancer) string { return b.Name })
}

// SortedGroups returns the target groups by name.
func (v *Inventory) SortedGroups() []*Group {
	return sorted(v.Groups, func(g *Group) string { return g.Name })
}

func sorted[T any](all map[string]T, name func(T) string) []T {
	return slices.SortedFunc(maps.Values(all), func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}

// groupsOf returns the ARNs of the groups that actions forward to.
func groupsOf(actions []rule.Action) []string {
	var arns []string
	for _, a := range actions {
		if a.ForwardConfig == nil {
			continue
		}
		for _, g := range a.ForwardConfig.TargetGroups {
			arns = append(arns, g.TargetGroupArn)
		}
	}
	return arns
}
