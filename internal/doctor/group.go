package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hale/instance"
	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// GroupOptions are what the examination of a target group is asked for.
type GroupOptions struct {
	// Options are for each target's examination; Probe and Target follow from
	// the group, which has to be there.
	Options
	// Source is the local address that probes come from; the zero value: the
	// kernel's choice.
	Source netip.Addr
}

// GroupReport is what the examination of a target group came to. The JSON form
// is a contract.
type GroupReport struct {
	TargetGroup string `json:"target_group"` // its ARN, or its name
	// Healthy tells that every target takes traffic, those aside that were
	// deregistered, and that there is one.
	Healthy bool `json:"healthy"`
	// Findings are of the group; those of a target are in its own report.
	Findings  []Finding          `json:"findings"`
	Targets   []TargetReport     `json:"targets"`
	Timing    []elb.Row          `json:"timing"`
	Notes     []targetgroup.Note `json:"notes"`
	Undecided []Undecided        `json:"not_decided"`
}

// TargetReport is a target as the load balancer holds it, and for one that is
// not healthy what its examination came to.
type TargetReport struct {
	ID          string     `json:"id"`
	Port        int        `json:"port"`
	State       elb.State  `json:"state"`
	Reason      elb.Reason `json:"reason"`
	Description string     `json:"description"`
	// Report is nil for a target that was not probed.
	Report *Report `json:"report,omitempty"`
}

// ExamineGroup examines each target of a group that is not healthy, one after
// the other, and what the group tells by itself. A target that could not be
// asked is listed as not decided; the error is for a context that ended.
func ExamineGroup(ctx context.Context, o GroupOptions) (GroupReport, error) {
	g := o.Group
	r := GroupReport{TargetGroup: cmp.Or(g.ARN, g.Name), Healthy: takesTraffic(g), Findings: []Finding{}, Targets: []TargetReport{}, Notes: []targetgroup.Note{}, Undecided: []Undecided{}}
	x := groupExamination{GroupOptions: o, known: o.Known}
	x.known.Passed, x.known.HTTP1 = map[string]bool{}, map[string]string{}
	if o.Inside {
		own, err := instance.Discover(ctx, instance.Options{})
		if err == nil {
			x.own = own
		}
	}
	unhealthy := g.Unhealthy()
	done := 0
	for _, t := range g.Targets {
		tr := TargetReport{ID: t.ID, Port: t.Port, State: t.State, Reason: t.Reason, Description: t.Description}
		if slices.ContainsFunc(unhealthy, func(u targetgroup.Target) bool { return u.Name() == t.Name() }) {
			done++
			report, err := x.examine(ctx, t, fmt.Sprintf("%s (%d of %d)", t.Name(), done, len(unhealthy)))
			if ctx.Err() != nil {
				return GroupReport{}, context.Cause(ctx)
			}
			if err != nil {
				r.Undecided = append(r.Undecided, x.unasked(t, err))
			}
			tr.Report = report
		}
		r.Targets = append(r.Targets, tr)
	}
	x.cascade(ctx, &r)
	if ctx.Err() != nil {
		return GroupReport{}, context.Cause(ctx)
	}
	r.Timing = g.Timing(x.known).Rows()
	d := g.Diagnose(x.known)
	r.Notes = append(r.Notes, d.Notes...)
	for _, u := range d.Undecided {
		r.Undecided = append(r.Undecided, Undecided(u))
	}
	for _, f := range d.Findings {
		if !r.has(f) {
			r.Findings = append(r.Findings, tell(f, x.software, x.fixData()))
		}
	}
	tellStart(r.Findings, x.started)
	return r, nil
}

// has tells whether the reports of all targets that a finding is about have it
// already.
func (r *GroupReport) has(f targetgroup.Finding) bool {
	in := 0
	for _, t := range r.Targets {
		name := targetgroup.Target{ID: t.ID, Port: t.Port}.Name()
		if t.Report != nil && slices.Contains(f.Targets, name) && slices.ContainsFunc(t.Report.Findings, func(own Finding) bool { return own.ID == f.ID }) {
			in++
		}
	}
	return in > 0 && in == len(f.Targets)
}

func takesTraffic(g *targetgroup.Group) bool {
	healthy := 0
	for _, t := range g.Targets {
		switch t.State {
		case elb.Healthy:
			healthy++
		case elb.Draining:
		default:
			return false
		}
	}
	return healthy > 0
}

// groupExamination is one run over a group's targets.
type groupExamination struct {
	GroupOptions
	known    targetgroup.Measured // with what was measured so far
	own      instance.Instance    // this machine, if it is to be looked at
	software []string             // that had a hand in answers
	done     []*examined          // the targets that were probed
	started  []Evidence           // of how long the slowest took to start
	watched  bool                 // an idle connection to one of them was watched
}

// examine examines one target.
func (x *groupExamination) examine(ctx context.Context, t targetgroup.Target, title string) (*Report, error) {
	if !t.Address.IsValid() && t.ID == x.own.ID.Value {
		t.Address = x.ownAddress()
	}
	p, err := x.Group.Probe(ctx, t)
	if err != nil {
		return nil, err
	}
	if p, err = p.From(x.Source); err != nil {
		return nil, err
	}
	o := x.Options
	o.Probe, o.Target = p, URL(p)
	o.Inside = o.Inside && isLocal(t.Address)
	if x.watched && o.IdleWait == 0 {
		o.IdleWait = -1 // the targets of a group are alike, and each would take its time
	}
	if idle, ok := x.Group.IdleTimeout(); ok {
		o.IdleTimeout = idle
	}
	if x.Progress != nil {
		o.Progress = func(step string) { x.Progress(title + ": " + step) }
	}
	one, r, err := examine(ctx, o)
	if err != nil {
		return nil, err
	}
	x.watched = x.watched || one.watched > 0
	x.known.Passed[t.Name()] = r.Healthy
	x.known.P99 = max(x.known.P99, r.Times.slowest())
	if took := one.Known.StartUp; took > x.known.StartUp {
		x.known.StartUp, x.started = took, one.started
	}
	if old := r.answeredHTTP1(); old != "" {
		x.known.HTTP1[t.Name()] = old
	}
	for _, name := range one.site.software {
		if !slices.Contains(x.software, name) {
			x.software = append(x.software, name)
		}
	}
	x.done = append(x.done, &examined{t, one, &r})
	return &r, nil
}

// unasked tells of a target that was not probed.
func (x *groupExamination) unasked(t targetgroup.Target, err error) Undecided {
	what := "why " + t.Name() + " is " + t.Verdict() + ": it was not probed"
	if strings.HasPrefix(t.ID, "i-") && !t.Address.IsValid() {
		what += "; give its private address with --address " + t.ID + "=IP, or run this on it with --from-inside"
	}
	return Undecided{what, err.Error()}
}

func (x *groupExamination) ownAddress() netip.Addr {
	for _, a := range x.own.Addresses {
		if !a.Public && a.Addr.Is4() {
			return a.Addr
		}
	}
	return netip.Addr{}
}

// fixData are the values for texts about the group.
func (x *groupExamination) fixData() fixData {
	check := &x.Group.HealthCheck
	path, _, _ := strings.Cut(check.Path, "?")
	d := fixData{Path: path, PathNoSlash: strings.Trim(path, "/"), Domain: x.Domain, Timeout: check.Timeout.String(), TargetGroup: x.Group.ARN}
	if port := cmp.Or(check.Port, x.Group.Port); port != 0 {
		d.Port = strconv.Itoa(port)
	}
	return d
}

// isLocal tells whether an address is this machine's.
func isLocal(address netip.Addr) bool {
	if address.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == address.Unmap()
	})
}

// URL is what a probe asks, as people write it.
func URL(p probe.Probe) string {
	text := string(p.Protocol) + "://" + p.Address.String()
	if p.Protocol == probe.TCP || p.Protocol == probe.TLS {
		return text
	}
	return text + p.Path
}
