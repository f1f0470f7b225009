package targetgroup

import (
	"time"

	"hale/internal/elb"
)

// Diagnosis is what the settings and the API's answers tell by themselves.
type Diagnosis struct {
	// Findings are proven ways of failing that the doctor has a name for.
	Findings []Finding
	// Notes are proven as well, and have no name: among them, what a check that
	// passes does not prove.
	Notes []Note
	// Undecided is what the API cannot tell, and how to find out.
	Undecided []Undecided
}

// Finding is one cause, with its evidence.
type Finding struct {
	// ID is the way of failing, as the doctor's catalogue names it.
	ID string
	// Targets are the names of those concerned; empty: the group.
	Targets []string
	// What is the cause in a sentence about this group, Way what to do.
	What, Way string
	Evidence  []Evidence
}

// Evidence is what was seen: where, and what it was. After is what it would have
// to be, where there is such a thing.
type Evidence struct {
	Change string `json:"change"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Note is a fact, what was seen of it, and what to do.
type Note struct {
	What    string   `json:"what"`
	Seen    string   `json:"seen"`
	Way     string   `json:"way,omitempty"`
	Targets []string `json:"targets,omitempty"`
}

// Measured is what the doctor has seen of the targets itself. Zero values are
// "not known".
type Measured struct {
	// Passed tells by the target's name whether the load balancer's probe passed
	// when it was sent from here.
	Passed map[string]bool
	// P99 is of the health answer, StartUp from an instance's start to its first
	// good answer, Request the slowest request of users.
	P99, StartUp, Request time.Duration
	// HTTP1 tells by the target's name what one answered that does not speak the
	// group's version of HTTP when it was asked in HTTP/1.1.
	HTTP1 map[string]string
	// Grace is that of Auto Scaling or ECS; not known: as the settings say.
	Grace elb.Span
	// Instance is hale's own clock, where an instance has hale.yaml.
	Instance elb.Instance
}

// Timing is what is known of the group's times.
func (g *Group) Timing(m Measured) elb.Timing {
	t := elb.Timing{
		Clock: g.HealthCheck.Clock(), Balancer: g.Balancer(),
		P99: m.P99, StartUp: m.StartUp, Request: m.Request, Grace: m.Grace, Instance: m.Instance,
	}
	if _, told := m.Grace.Get(); !told {
		switch {
		case g.Service != nil:
			t.Grace = elb.Known(g.Service.Grace)
		case g.Scaling != nil && g.Scaling.ByBalancer:
			t.Grace = elb.Known(g.Scaling.Grace)
		}
	}
	if delay, ok := g.seconds("deregistration_delay.timeout_seconds"); ok {
		t.Deregistration = elb.Known(delay)
	}
	t.SlowStart, _ = g.seconds("slow_start.duration_seconds")
	if idle, ok := g.IdleTimeout(); ok && len(g.Balancers) > 0 {
		t.Idle = idle
	}
	return t
}

// Diagnose looks at all that is known of the group.
func (g *Group) Diagnose(m Measured) Diagnosis {
	d := Diagnosis{}
	for _, look := range []func(*Group, Measured, *Diagnosis){
		notInUse, zoneNotEnabled, balancerState, withoutTraffic, states, failOpen, zoneFailOpen,
		mismatch, beanstalk, silence, otherProtocol, formOfProbe,
		provesLittle, otherPort, settings, times, killLoop, checkedTwice, notReplaced, grace, load,
	} {
		look(g, m, &d)
	}
	d.Undecided = append(d.Undecided, g.Unread...)
	return d
}

func (d *Diagnosis) note(n Note)    { d.Notes = append(d.Notes, n) }
func (d *Diagnosis) find(f Finding) { d.Findings = append(d.Findings, f) }
func (d *Diagnosis) undecided(what, how string) {
	d.Undecided = append(d.Undecided, Undecided{what, how})
}
