// Package targetgroup reads what a load balancer holds of its targets, from the
// ELBv2 API or from a file of its answers: a target group's settings, its
// targets with their health, and who sends traffic to it. From that alone it
// finds what no probe can show.
package targetgroup

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb"
)

// Group is a target group as the load balancer sees it.
type Group struct {
	// ARN and Name are empty for settings that somebody wrote by hand.
	ARN, Name string
	// Kind is what the group is made for, Port where its targets take traffic
	// unless they are registered with another one.
	elb.Kind
	Port int
	// HealthCheck is with ELB's defaults.
	HealthCheck elb.HealthCheck
	// Attributes are of the group; nil: not read.
	Attributes map[string]string
	// Tags are of the group; nil: not read.
	Tags map[string]string
	// Targets are those registered, HealthKnown tells whether they were read.
	Targets     []Target
	HealthKnown bool
	// Balancers are the load balancers that use the group, Routes their
	// listeners' rules that forward to it. RoutesKnown tells whether all of
	// them were read.
	Balancers   []Balancer
	Routes      []Route
	RoutesKnown bool
	// Service and Scaling are who replaces the targets; nil: not known.
	// SecurityGroups are those of which the rules are known. All three are from a
	// file of settings, or from other APIs than ELBv2's, which are asked where it
	// may be of use: ServiceAsked and ScalingAsked tell what came of that.
	Service                    *Service
	Scaling                    *Scaling
	SecurityGroups             []SecurityGroup
	ServiceAsked, ScalingAsked Asked
	// Unread is what an API refused to tell.
	Unread []Undecided
}

// Target is a registered target.
type Target struct {
	// ID is an address, the id of an instance, or the ARN of a function or a
	// load balancer.
	ID   string
	Port int
	// CheckPort is the port that is probed.
	CheckPort int
	// Zone is empty where the API does not tell it, as for instances.
	Zone string
	// Address is what ID says, if that is an address. For an instance, who
	// knows its address puts it in before asking for a probe.
	Address netip.Addr
	// SecurityGroups are its instance's, or its network interface's; none: not known.
	SecurityGroups []string

	State       elb.State
	Reason      elb.Reason
	Description string
	// Override is what an administrator's zonal shift says of the target.
	Override string
}

// Name tells targets apart: the id, with the port.
func (t Target) Name() string {
	if t.Port == 0 {
		return t.ID
	}
	return net.JoinHostPort(t.ID, strconv.Itoa(t.Port))
}

// Verdict is state, reason and description in one line, as ELB tells them.
func (t Target) Verdict() string {
	text := string(cmp.Or(t.State, "not known"))
	if t.Reason != "" {
		text += ", " + string(t.Reason)
	}
	if t.Description != "" {
		text += " (" + t.Description + ")"
	}
	return text
}

// Balancer is a load balancer that uses the group.
type Balancer struct {
	ARN, Name, DNSName string
	Type               elb.Balancer
	// State is "active" for one that works, StateReason why it is not.
	State, StateReason string
	Zones              []Zone
	SecurityGroups     []string
	// Attributes are nil if they were not read.
	Attributes map[string]string
}

// Zone is an availability zone that a load balancer has a node in.
type Zone struct {
	Name, Subnet string
	// Node is the node's private address, where the API tells it.
	Node netip.Addr
}

// Route is a rule of a listener that forwards to the group.
type Route struct {
	Balancer string // its name
	Protocol string
	Port     int
	// Rule is the rule's priority, or "default"; When its conditions.
	Rule, When string
	// Weight is the group's share, of Of in all.
	Weight, Of int
}

func (r Route) String() string {
	text := r.Balancer + " " + r.Protocol + ":" + strconv.Itoa(r.Port) + " rule " + r.Rule
	if r.When != "" {
		text += " (" + r.When + ")"
	}
	return text
}

// Undecided is what could not be found out, and how to.
type Undecided struct {
	What string `json:"what"`
	How  string `json:"how"`
}

// Unhealthy returns the targets that get no traffic for their health's sake, or
// not yet, and may be probed.
func (g *Group) Unhealthy() []Target {
	return slices.DeleteFunc(slices.Clone(g.Targets), func(t Target) bool {
		switch t.State {
		case elb.Unhealthy, elb.UnhealthyDraining, elb.Initial, elb.Unavailable:
			return false
		default:
			return true
		}
	})
}

// IdleTimeout is how long the load balancer keeps an idle connection to a
// target for the next request, ELB's default where it was not read. ok is false
// for a group whose load balancer does not keep any.
func (g *Group) IdleTimeout() (d time.Duration, ok bool) {
	if g.Balancer() != elb.Application || g.Kind.Targets == elb.Lambda {
		return 0, false
	}
	for _, b := range g.Balancers {
		if seconds, err := strconv.Atoi(b.Attributes["idle_timeout.timeout_seconds"]); err == nil {
			return time.Duration(seconds) * time.Second, true
		}
	}
	return 60 * time.Second, true
}

// attribute returns an attribute of the group as a number of seconds.
func (g *Group) seconds(attribute string) (time.Duration, bool) {
	seconds, err := strconv.Atoi(g.Attributes[attribute])
	return time.Duration(seconds) * time.Second, err == nil
}

// ProbesPerMinute is how many probes reach each target at least: each zone has a
// node at least, and each node probes on its own (guides, "Health checks for
// your target groups"). A Network Load Balancer sends more, how many is not
// documented. 0: no load balancer is known.
func (g *Group) ProbesPerMinute() float64 {
	nodes := 0
	for _, b := range g.Balancers {
		nodes += len(b.Zones)
	}
	return float64(nodes) * float64(time.Minute) / float64(max(g.HealthCheck.Interval, 1))
}

// zones are those that the group's load balancers have nodes in.
func (g *Group) zones() []string {
	var names []string
	for _, b := range g.Balancers {
		for _, z := range b.Zones {
			names = append(names, z.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (g *Group) securityGroups() []string {
	var all []string
	for _, b := range g.Balancers {
		all = append(all, b.SecurityGroups...)
	}
	return all
}

// count tells how many targets are in one of the states.
func (g *Group) count(states ...elb.State) int {
	n := 0
	for _, t := range g.Targets {
		if slices.Contains(states, t.State) {
			n++
		}
	}
	return n
}

// beanstalk is the environment that the group belongs to, "" if to none.
func (g *Group) beanstalk() string {
	if name := g.Tags["elasticbeanstalk:environment-name"]; name != "" {
		return name
	}
	if strings.HasPrefix(g.Name, "awseb-") {
		return g.Name
	}
	return ""
}
