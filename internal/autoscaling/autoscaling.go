// Package autoscaling is the rules of EC2 Auto Scaling for one machine: groups
// whose instances are processes, and how each of them comes, serves and goes.
// It is values and functions, and does no I/O.
//
// State is everything there is. An Edit changes it as the API's actions do, and
// refuses what the API would refuse. Step looks at the world (Facts), and
// returns the next state and what is to be done in the world (Actions). It can be
// called at any time and as often as one likes: what it asks for, it asks for
// until the facts say that it is so. So nothing is lost when the program dies
// between two steps. Package host carries it out.
//
// Where no source is named, the rules are those of the EC2 Auto Scaling guide
// ("Instance lifecycle", "Health checks", "Lifecycle hooks", "Instance refresh").
package autoscaling

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// State is all groups, and the launch templates that they know. The zero value
// is an empty one. A state that was returned by Begin's Edit or by Step is never
// changed again.
type State struct {
	Templates map[string]*Template `json:",omitempty"` // by name
	Groups    map[string]*Group    `json:",omitempty"` // by name
}

// Group is an Auto Scaling group.
type Group struct {
	Name, ARN string
	Created   time.Time
	// Wished tells one configuration's wish for the group from another's; empty: the
	// group was made through the API.
	Wished            string `json:",omitempty"`
	Min, Max, Desired int
	Template          TemplateRef
	Zones             []string // instances are spread over them
	Subnets           string   `json:",omitempty"` // as they were given, separated by commas

	Sources []Source `json:",omitempty"` // in the order in which they were attached

	// HealthCheckType is as it was given: EC2, or a list with ELB in it.
	HealthCheckType string
	// Grace is how long a load balancer's verdict is not listened to after an
	// instance has come into service.
	Grace time.Duration
	// Warmup is how long an instance refresh waits for after that; nil: Grace.
	Warmup *time.Duration `json:",omitempty"`
	// Cooldown is how long SetDesiredCapacity is refused after the last change of
	// the capacity, for those who ask to honour it.
	Cooldown   time.Duration
	Scaled     time.Time // when the capacity was changed last
	Policies   []string  `json:",omitempty"` // of termination, the first one that decides
	ProtectNew bool      `json:",omitempty"` // new instances are protected from scale-in
	Tags       []Tag     `json:",omitempty"` // by key
	Suspended  []Suspension
	Hooks      []Hook      `json:",omitempty"` // by name
	Instances  []Instance  `json:",omitempty"` // by launch
	Activities []Activity  `json:",omitempty"` // the newest first
	Refreshes  []Refresh   `json:",omitempty"` // the newest first
	Deleting   bool        `json:",omitempty"` // it is removed with its last instance
	Launches   launchPause // between instances that end as soon as they have begun
}

// launchPause keeps a program that cannot run from being started over and over.
type launchPause struct {
	Failures int       `json:",omitempty"` // in a row
	Last     time.Time `json:",omitzero"`
	Until    time.Time `json:",omitzero"`
}

// Tag is a name and a value that people give a group.
type Tag struct {
	Key, Value        string
	PropagateAtLaunch bool `json:",omitempty"`
}

// Suspension is a process of the group that people have stopped.
type Suspension struct {
	Process, Reason string
}

// Source is a target group that the group's instances are registered with.
type Source struct {
	ARN   string
	State SourceState
}

// SourceState is how far an attachment is (DescribeTrafficSources, State).
type SourceState string

// States of an attachment. One that is removed is not listed any more.
const (
	Adding          SourceState = "Adding"    // instances are being registered
	Added           SourceState = "Added"     // all are registered
	SourceInService SourceState = "InService" // at least one is healthy
	Removing        SourceState = "Removing"  // instances are being deregistered
)

// LifecycleState is where an instance is in its life (API, LifecycleState).
type LifecycleState string

// Lifecycle states.
const (
	Pending            LifecycleState = "Pending"
	PendingWait        LifecycleState = "Pending:Wait"
	PendingProceed     LifecycleState = "Pending:Proceed"
	InService          LifecycleState = "InService"
	Terminating        LifecycleState = "Terminating"
	TerminatingWait    LifecycleState = "Terminating:Wait"
	TerminatingProceed LifecycleState = "Terminating:Proceed"
	EnteringStandby    LifecycleState = "EnteringStandby"
	Standby            LifecycleState = "Standby"
)

// Active tells whether an instance counts towards the group's capacity.
func (s LifecycleState) Active() bool {
	switch s {
	case Pending, PendingWait, PendingProceed, InService:
		return true
	default:
		return false
	}
}

// Ending tells whether an instance is on its way out.
func (s LifecycleState) Ending() bool {
	switch s {
	case Terminating, TerminatingWait, TerminatingProceed:
		return true
	default:
		return false
	}
}

// Instance is a process of a group.
type Instance struct {
	ID       string
	Zone     string
	Address  netip.AddrPort // where it is told to listen
	Template TemplateRef
	State    LifecycleState
	// Unhealthy is why the instance is to be replaced; empty: it is healthy.
	Unhealthy string    `json:",omitempty"`
	Protected bool      `json:",omitempty"` // from scale-in
	Launched  time.Time // when it was decided on
	Serving   time.Time `json:",omitzero"` // when it came into service
	// Returning is of an instance that comes back from Standby: it has no hooks
	// to wait for.
	Returning bool `json:",omitempty"`
	// Apart is of an instance that came into service while AddToLoadBalancer was
	// suspended: it is registered with no target group.
	Apart bool `json:",omitempty"`
	// Registered are the target groups that the instance was a target of. Who
	// deregisters it by hand does not get it back.
	Registered []string `json:",omitempty"`
	Waits      []Wait   `json:",omitempty"` // for lifecycle hooks
	Hooked     bool     `json:",omitempty"` // the hooks of this transition were looked for
	// Stopping is when the process was asked to end.
	Stopping time.Time `json:",omitzero"`
	Process  Process   `json:",omitzero"`
	Activity string    `json:",omitempty"` // the one that goes on
}

// Process tells a process from all others, past and future.
type Process struct {
	PID     int
	Started uint64 // since boot, in ticks of the kernel's
	Boot    string // the machine's run that this was in
}

// Target returns what the instance is in target groups.
func (i *Instance) Target() Target { return Target{i.ID, int(i.Address.Port())} }

// Target is an instance in a target group.
type Target struct {
	Instance string
	Port     int
}

// Begin begins a change of the state at the time now.
func (s *State) Begin(place Place, now time.Time) *Edit {
	return &Edit{place: place, now: now.UTC().Truncate(time.Millisecond), next: s.clone()}
}

func (s *State) clone() *State {
	next := &State{Templates: maps.Clone(s.Templates), Groups: make(map[string]*Group, len(s.Groups))}
	if next.Templates == nil {
		next.Templates = make(map[string]*Template)
	}
	for name, g := range s.Groups {
		next.Groups[name] = g.clone()
	}
	return next
}

func (g *Group) clone() *Group {
	next := *g
	next.Zones = slices.Clone(g.Zones)
	next.Sources = slices.Clone(g.Sources)
	next.Policies = slices.Clone(g.Policies)
	next.Tags = slices.Clone(g.Tags)
	next.Suspended = slices.Clone(g.Suspended)
	next.Hooks = slices.Clone(g.Hooks)
	next.Activities = slices.Clone(g.Activities)
	next.Refreshes = slices.Clone(g.Refreshes)
	next.Instances = slices.Clone(g.Instances)
	for i := range next.Instances {
		n := &next.Instances[i]
		n.Registered = slices.Clone(n.Registered)
		n.Waits = slices.Clone(n.Waits)
	}
	return &next
}

// Names returns the groups' names in order.
func (s *State) Names() []string { return slices.Sorted(maps.Keys(s.Groups)) }

// Instance returns an instance and its group, nil if there is none of that id.
func (s *State) Instance(id string) (*Group, *Instance) {
	for _, g := range s.Groups {
		if i := g.Instance(id); i != nil {
			return g, i
		}
	}
	return nil, nil
}

// Instance returns the instance of that id, nil if the group has none.
func (g *Group) Instance(id string) *Instance {
	for i := range g.Instances {
		if g.Instances[i].ID == id {
			return &g.Instances[i]
		}
	}
	return nil
}

// Active counts the instances that make up the group's capacity.
func (g *Group) Active() int {
	n := 0
	for i := range g.Instances {
		if g.Instances[i].State.Active() {
			n++
		}
	}
	return n
}

func (g *Group) source(arn string) *Source {
	for i := range g.Sources {
		if g.Sources[i].ARN == arn {
			return &g.Sources[i]
		}
	}
	return nil
}

// suspends tells whether a process of the group is suspended.
func (g *Group) suspends(process string) bool {
	return slices.ContainsFunc(g.Suspended, func(s Suspension) bool { return s.Process == process })
}
