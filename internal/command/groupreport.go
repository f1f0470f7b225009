package command

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	gotable "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"hale/internal/doctor"
	"hale/internal/elb"
	"hale/internal/targetgroup"
)

// writeGroup writes the report of a target group for people.
func (t *reportText) writeGroup(g *targetgroup.Group, r *doctor.GroupReport) string {
	verdict := t.paint(text.FgRed, "not healthy")
	if r.Healthy {
		verdict = t.paint(text.FgGreen, "healthy")
		if len(r.Findings) > 0 {
			verdict += ", but"
		}
	}
	healthy := 0
	for i := range r.Targets {
		if r.Targets[i].State == elb.Healthy {
			healthy++
		}
	}
	t.line("%s, target group of %s: %s", cmp.Or(g.Name, g.ARN, "settings"), oneBalancer(g), verdict)
	t.line("%d of %d targets healthy", healthy, len(r.Targets))
	t.wrapped("", "Health check: "+checkInWords(g))
	for _, route := range g.Routes {
		t.wrapped("", fmt.Sprintf("Traffic: %s, weight %d of %d", route, route.Weight, route.Of))
	}
	t.targets(r.Targets)
	examined := 0
	for i := range r.Targets {
		if one := r.Targets[i].Report; one != nil {
			examined++
			t.line("")
			t.line("%s", t.paint(text.Bold, "== "+targetName(&r.Targets[i])))
			t.write(one)
		}
	}
	if len(r.Findings) > 0 || len(r.Notes) > 0 || len(r.Timing) > 0 || len(r.Undecided) > 0 {
		if examined > 0 {
			t.line("")
			t.line("%s", t.paint(text.Bold, "== The group"))
		}
		for i := range r.Findings {
			t.finding(i+1, &r.Findings[i])
		}
		t.notes("To know", r.Notes)
		t.timing(r.Timing)
		t.undecided(r.Undecided)
	}
	return t.b.String()
}

// oneBalancer names the load balancer that the group is for, with its article.
func oneBalancer(g *targetgroup.Group) string {
	if g.Balancer() == elb.Application {
		return "an " + g.Balancer().Title()
	}
	return "a " + g.Balancer().Title()
}

func targetName(t *doctor.TargetReport) string {
	return targetgroup.Target{ID: t.ID, Port: t.Port}.Name()
}

func (t *reportText) targets(all []doctor.TargetReport) {
	if len(all) == 0 {
		return
	}
	t.line("")
	table := newTable(nil, "target", "port", "state", "reason", "description")
	table.SetColumnConfigs([]gotable.ColumnConfig{{Number: 5, WidthMax: 60, WidthMaxEnforcer: text.WrapSoft}})
	for _, one := range all {
		port := ""
		if one.Port != 0 {
			port = strconv.Itoa(one.Port)
		}
		table.AppendRow(gotable.Row{one.ID, port, one.State, one.Reason, one.Description})
	}
	for line := range strings.Lines(table.Render()) {
		t.line("%s", strings.TrimRight(line, "\n"))
	}
}

// checkInWords is the group's health check in a sentence.
func checkInWords(g *targetgroup.Group) string {
	check := g.HealthCheck
	if check.Disabled {
		return "off"
	}
	port := "the target's port"
	if check.Port != 0 {
		port = "port " + strconv.Itoa(check.Port)
	}
	what := string(check.Protocol) + " on " + port
	if check.Protocol != elb.TCP {
		what = fmt.Sprintf("%s, %s, codes %s", what, check.Path, check.Matcher)
	}
	return fmt.Sprintf("%s; every %s, time-out %s; healthy after %d passes, unhealthy after %d failures",
		what, short(check.Interval), short(check.Timeout), check.Healthy, check.Unhealthy)
}
