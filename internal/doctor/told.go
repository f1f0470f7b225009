package doctor

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// Times are how long the answers took that passed, in seconds.
type Times struct {
	Answers int     `json:"answers"`
	Middle  float64 `json:"middle_seconds"`
	Slowest float64 `json:"slowest_seconds"`
}

// slowest stands for the p99: of so few answers, that is the slowest.
func (t *Times) slowest() time.Duration {
	if t == nil {
		return 0
	}
	return time.Duration(t.Slowest * float64(time.Second))
}

// answeredHTTP1 is what the target answered in HTTP/1.1 that does not speak the
// newer version that it was asked in; "": it does, or was not.
func (r *Report) answeredHTTP1() string {
	for _, f := range r.Findings {
		if f.ID == "protocol-version-mismatch-464" {
			return f.Evidence[len(f.Evidence)-1].After
		}
	}
	return ""
}

// times are those of the health answer: as asked for by the load balancer, or
// with the changes that make it pass.
func (x *examination) times() *Times {
	var took []float64
	for _, e := range x.sent {
		page := e.probe.Path == x.current.probe.Path && e.probe.Protocol == x.current.probe.Protocol
		if page && e.answer.Healthy && e.probe.Timeout <= x.Probe.Timeout {
			took = append(took, e.answer.Times.Total.Seconds())
		}
	}
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	return &Times{Answers: len(took), Middle: took[len(took)/2], Slowest: took[len(took)-1]}
}

// addTold adds what was not asked of the target: what the group's settings and
// the load balancer tell, and how long things take.
func (x *examination) addTold(r *Report) {
	known := x.Known
	known.P99 = r.Times.slowest()
	switch {
	case x.Group != nil:
		known.Passed = map[string]bool{x.Probe.Address.String(): r.Healthy}
		for _, t := range x.Group.Targets {
			if t.Address == x.Probe.Address.Addr() && t.CheckPort == int(x.Probe.Address.Port()) {
				known.Passed[t.Name()] = r.Healthy
			}
		}
		d := x.Group.Diagnose(known)
		r.Timing = x.Group.Timing(known).Rows()
		r.Notes = d.Notes
		for _, u := range d.Undecided {
			r.Undecided = append(r.Undecided, Undecided(u))
		}
		x.addFindings(r, d.Findings)
		tellStart(r.Findings, x.started)
	case x.Timing && x.Probe.Prober.Timing.Interval == 0:
		r.Undecided = append(r.Undecided, Undecided{
			"how long until a dead instance is taken out: " + x.Probe.Prober.Title + " has no interval of its own", "look into its configuration",
		})
	case x.Timing:
		t := timingOf(&x.Probe, known)
		r.Timing = t.Rows()
		if t.First == 0 { // it sends traffic before it has asked
			r.Timing = slices.DeleteFunc(r.Timing, func(row elb.Row) bool { return row.Event == elb.NewInstance })
		}
		findings, notes := targetgroup.Contradictions(t)
		r.Notes = notes
		x.addFindings(r, findings)
		tellStart(r.Findings, x.started)
	}
}

// addFindings adds what was told to what was proven; of what is both, the
// evidence alone.
func (x *examination) addFindings(r *Report, told []targetgroup.Finding) {
	for _, f := range told {
		finding := tell(f, x.site.software, x.fixData(x.first))
		if i := slices.IndexFunc(r.Findings, func(own Finding) bool { return own.ID == f.ID }); i >= 0 {
			r.Findings[i].Evidence = append(r.Findings[i].Evidence, finding.Evidence...)
			continue
		}
		r.Findings = append(r.Findings, finding)
	}
}

// tell makes a finding of one that the settings or the load balancer told.
func tell(f targetgroup.Finding, software []string, data fixData) Finding {
	mode, ok := findMode(f.ID)
	if !ok {
		panic("doctor: no failure mode " + f.ID)
	}
	told := Finding{
		ID: f.ID, Title: mode.Title, Because: sentence(f.What), Fixes: fixesFor(f.ID, software, data), Way: f.Way, Targets: f.Targets,
	}
	for _, e := range f.Evidence {
		told.Evidence = append(told.Evidence, Evidence(e))
	}
	return told
}

func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}

// balancers are the probers that are ELB's.
var balancers = map[string]elb.Balancer{"alb": elb.Application, "alb-grpc": elb.Application, "nlb": elb.Network}

// timingOf is what is known of times where no target group is: the prober's
// defaults.
func timingOf(p *probe.Probe, known targetgroup.Measured) elb.Timing {
	t := elb.Timing{
		Clock: elb.Clock(p.Prober.Timing), Balancer: balancers[p.Prober.Name],
		P99: known.P99, StartUp: known.StartUp, Request: known.Request, Grace: known.Grace, Instance: known.Instance,
	}
	t.Timeout = p.Timeout
	return t
}
