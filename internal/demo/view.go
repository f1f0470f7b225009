package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"hale/examples/gosite/site"
	"hale/internal/autoscaling"
	"hale/internal/balancer"
	"hale/internal/balancer/admin"
	"hale/internal/elb"
)

// view is everything on the page.
type view struct {
	Places
	Problem  string // what went wrong with the last button
	Done     done   // what it did
	Tone     string
	Headline string
	Users    usersView
	Mixes    []mix
	Shared   []faultView
	Switches []switchView
	Groups   []groupView
	News     []news
	Commands []command
}

// usersView is what users got.
type usersView struct {
	Tone, Rate, Errors string
	Bars               []bar
	Total              []totalView
}

// bar is a second: a column of answers, and the errors among them. Numbers are of a
// drawing that is 20 high.
type bar struct {
	X                      int
	Y, Height, Top, Errors float64
	Text                   string
}

type totalView struct {
	Tone, Text string
	Count      int
}

// mix is a way to share requests among the groups.
type mix struct {
	Blue, Green int32
	Now         bool
}

// switchView is a choice for all instances.
type switchView struct {
	Title, What string
	Do, Key     string // of the form
	Options     []optionView
}

type optionView struct {
	Value, Text string
	Now         bool
}

type groupView struct {
	Name, Tone, About string
	States            []totalView
	FailOpen          bool
	Instances         []instanceView
}

// instanceView is an instance: what the load balancer believes of it, what it says
// itself, what users got from it, and what one can do to it.
type instanceView struct {
	ID, Address                string
	Tone, State                string // of its target, or of its life where it has none
	Reason, Description, About string
	Probes                     []probeView
	Says, SaysTone             string
	Checks                     []checkState // those that do not pass
	Share                      string
	Faults                     []faultView
	Frozen, Standby, App       bool
	InService                  bool
}

type probeView struct{ Tone, Text string }

type faultView struct {
	Fault       site.Fault
	Title, What string
	Broken      bool
}

// news is something that an Auto Scaling group did.
type news struct{ Tone, When, Group, Status, What, Why string }

func newView(p Places, f *fleet, s *sight, v visits) view {
	page := view{Places: p, Tone: "unknown", Users: newUsersView(v), Commands: f.cloud.more(s, p)}
	healthy, all := 0, 0
	for _, name := range groups {
		g := s.group(name)
		if g == nil {
			continue
		}
		of := newGroupView(f, s, g, v)
		page.Groups = append(page.Groups, of)
		healthy += g.States[elb.Healthy]
		all += len(g.Targets)
	}
	page.Headline = fmt.Sprintf("%d of %d targets healthy", healthy, all)
	switch {
	case all == 0:
		page.Headline, page.Tone = "no targets", "warn"
	case healthy == 0:
		page.Tone = "fail"
	case healthy < all:
		page.Tone = "warn"
	default:
		page.Tone = "pass"
	}
	for _, m := range []mix{{Blue: 100}, {Blue: 90, Green: 10}, {Blue: 50, Green: 50}, {Green: 100}} {
		m.Now = s.routing.weights["blue"] == m.Blue && s.routing.weights["green"] == m.Green
		page.Mixes = append(page.Mixes, m)
	}
	for _, fault := range sharedFaults {
		page.Shared = append(page.Shared, newFaultView(fault, f.primary.Broken(fault)))
	}
	page.Switches = switches(f, s)
	page.News = newsOf(s)
	if len(s.routing.weights) == 0 {
		page.Commands = nil
	}
	return page
}

func newFaultView(fault site.Fault, broken bool) faultView {
	return faultView{fault, faultWords[fault][0], faultWords[fault][1], broken}
}

// switches are the choices that decide what a fault of all instances comes to.
func switches(f *fleet, s *sight) []switchView {
	path, kind := s.routing.paths["blue"], ""
	for _, g := range s.status.AutoScaling {
		kind = g.HealthCheckType
	}
	shared := sharedFail
	if f.warns() {
		shared = sharedWarn
	}
	choice := func(now string, options ...optionView) []optionView {
		for i := range options {
			options[i].Now = options[i].Value == now
		}
		return options
	}
	return []switchView{
		{
			"The load balancer asks for", "A deep check sees what users would; a shallow one that the process is there.", "path", "path",
			choice(path, optionView{Value: deepPath, Text: "/health: all checks"}, optionView{Value: shallowPath, Text: "/health/live: no check"}),
		},
		{
			"What all instances share", "When the database is gone, it is gone for every instance: taking them out helps nobody.", "shared", "value",
			choice(shared, optionView{Value: sharedFail, Text: "fails the answer"}, optionView{Value: sharedWarn, Text: "only warns"}),
		},
		{
			"Auto Scaling replaces", "With a deep check and a shared fault, the second one replaces the whole fleet, over and over.", "type", "type",
			choice(kind, optionView{Value: typeEC2, Text: "ended processes (EC2)"}, optionView{Value: typeELB, Text: "unhealthy targets, too (ELB)"}),
		},
	}
}

func newUsersView(v visits) usersView {
	u := usersView{
		Tone: "unknown", Rate: fmt.Sprintf("%.0f requests/s", v.Recent.PerSecond()),
		Errors: fmt.Sprintf("%.1f %% errors", v.Recent.Percent()),
	}
	switch {
	case v.Recent.All == 0:
		u.Errors = "nobody has asked yet"
	case v.Recent.Failed > 0:
		u.Tone = "fail"
	default:
		u.Tone = "pass"
	}
	most := rate
	for _, t := range v.Seconds {
		most = max(most, t.All)
	}
	for i, t := range v.Seconds {
		height, errors := 20*float64(t.All)/float64(most), 20*float64(t.Failed)/float64(most)
		u.Bars = append(u.Bars, bar{
			X: 4 * i, Y: 20 - height, Height: height, Top: 20 - errors, Errors: errors,
			Text: fmt.Sprintf("%d s ago: %d answers, %d errors", len(v.Seconds)-i, t.All, t.Failed),
		})
	}
	for _, c := range v.Total {
		tone := "pass"
		if c.Failed() {
			tone = "fail"
		}
		u.Total = append(u.Total, totalView{tone, c.String(), c.Count})
	}
	return u
}

func newGroupView(f *fleet, s *sight, g *balancer.GroupStatus, v visits) groupView {
	of := groupView{Name: g.Name, Tone: "pass", FailOpen: g.FailOpen}
	for _, state := range []elb.State{elb.Healthy, elb.Initial, elb.Unhealthy, elb.Draining, elb.UnhealthyDraining, elb.Unused, elb.Unavailable} {
		if n := g.States[state]; n > 0 {
			of.States = append(of.States, totalView{admin.Tone(state), string(state), n})
		}
	}
	targets := make(map[string]*balancer.TargetStatus)
	for i := range g.Targets {
		targets[g.Targets[i].ID] = &g.Targets[i]
	}
	of.About = fmt.Sprintf("weight %d", s.routing.weights[g.Name])
	for _, scaling := range s.status.AutoScaling {
		if !slices.Contains(scaling.TargetGroups, g.Name) {
			continue
		}
		of.About += fmt.Sprintf(" · %d of %d instances in service", scaling.InService, scaling.Desired)
		for i := range scaling.Instances {
			of.Instances = append(of.Instances, newInstanceView(f, s, &scaling.Instances[i], targets[scaling.Instances[i].ID], v))
		}
	}
	return of
}

func newInstanceView(f *fleet, s *sight, i *admin.ScalingInstance, t *balancer.TargetStatus, v visits) instanceView {
	of := instanceView{
		ID: i.ID, Address: i.Address, Tone: "warn", State: string(i.State), Says: "has not been asked", SaysTone: "unknown",
		Frozen: s.frozen[i.ID], Standby: i.State == autoscaling.Standby, InService: i.State == autoscaling.InService,
	}
	if t != nil {
		of.Tone, of.State, of.Reason, of.Description = admin.Tone(t.State), string(t.State), string(t.Reason), t.Description
		of.About = "for " + ago(s.status.At, t.Since)
		for _, p := range t.Probes {
			tone, said := "pass", fmt.Sprintf("%d in %.0f ms", p.Status, p.TookMS)
			if !p.Healthy {
				tone, said = "fail", cmp.Or(p.Because, p.Description)
			}
			of.Probes = append(of.Probes, probeView{tone, ago(s.status.At, p.At) + " ago: " + said})
		}
	}
	if i.State != autoscaling.InService {
		of.About = strings.TrimPrefix(of.About+" · "+string(i.State), " · ")
	}
	if h, asked := s.answers[i.ID]; asked {
		of.Says, of.SaysTone = h.Text, "fail"
		switch {
		case h.Status == 200 && h.Text == "ok":
			of.SaysTone = "pass"
		case h.Status == 200:
			of.SaysTone = "warn"
		}
		for _, c := range h.Checks {
			if c.Status != "pass" {
				of.Checks = append(of.Checks, c)
			}
		}
	}
	if of.Frozen {
		of.Says, of.SaysTone = "stands still", "fail"
	}
	if share := v.Of[i.ID]; share.All > 0 {
		of.Share = fmt.Sprintf("%.1f/s", share.PerSecond())
		if share.Failed > 0 {
			of.Share += fmt.Sprintf(", %.0f %% errors", share.Percent())
		}
	}
	broken, runs := f.control.broken(i.ID)
	of.App = runs
	for _, fault := range site.Faults() {
		of.Faults = append(of.Faults, newFaultView(fault, slices.Contains(broken, fault)))
	}
	return of
}

// mostNews are shown.
const mostNews = 8

func newsOf(s *sight) []news {
	type told struct {
		group string
		admin.ScalingActivity
	}
	var all []told
	for _, g := range s.status.AutoScaling {
		for _, a := range g.Activities {
			all = append(all, told{g.Name, a})
		}
	}
	slices.SortStableFunc(all, func(a, b told) int { return b.Started.Compare(a.Started) })
	var shown []news
	for _, a := range all[:min(len(all), mostNews)] {
		n := news{"warn", ago(s.status.At, a.Started) + " ago", a.group, a.Status, a.Description, strings.TrimSpace(a.Cause + " " + a.Message)}
		switch a.Status {
		case "Successful":
			n.Tone = "pass"
		case "Failed":
			n.Tone = "fail"
		}
		shown = append(shown, n)
	}
	return shown
}

// ago says how long before now t was.
func ago(now, t time.Time) string {
	d := max(now.Sub(t), 0)
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	if d < time.Hour {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return d.Truncate(time.Minute).String()
}
