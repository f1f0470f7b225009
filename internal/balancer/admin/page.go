package admin

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/balancer"
	"hale/internal/elb"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// parts are made when the page is first asked for, which may be never.
var parts = sync.OnceValue(func() (p struct {
	template *template.Template
	policy   string // Content-Security-Policy: nothing but the page's own style and script
},
) {
	p.template = template.Must(template.New("page").Parse(pageHTML))
	p.policy = "default-src 'none'; style-src " + digest(pageCSS) + "; script-src " + digest(pageJS) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return p
})

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page returns the page, and the policy that browsers hold it to. Everything on
// it is text that the template escapes: rules and what targets answered may be a
// stranger's.
func page(s *Status) (text []byte, policy string) {
	p := parts()
	var b bytes.Buffer
	if err := p.template.Execute(&b, newView(s)); err != nil { // our template on our types: cannot happen
		return []byte("<!DOCTYPE html><title>hale balance</title><p>" + template.HTMLEscapeString(err.Error())), p.policy
	}
	return b.Bytes(), p.policy
}

// view is what page.html shows.
type view struct {
	Style         template.CSS
	Script        template.JS
	Now           string
	Tone, Title   string
	Headline      string
	LoadBalancers []viewBalancer
	Groups        []viewGroup
	Scaling       []viewScaling
}

type viewBalancer struct {
	Name, About string
	Traffic     viewTraffic
	Listeners   []viewListener
}

type viewListener struct {
	Name, Addresses string
	Listening       bool
	Rules           []viewRule
}

type viewRule struct {
	Priority, If, Then string
	Groups             []string
}

type viewGroup struct {
	Name, About, Check string
	Tone               string
	States             []viewState
	FailOpen           bool
	Facts              []string
	Traffic            viewTraffic
	Targets            []viewTarget
	More               int // targets that are not shown
}

// viewScaling is an Auto Scaling group.
type viewScaling struct {
	Name, About string
	Tone, Size  string
	Facts       []string
	Instances   []viewInstance
	Activities  []viewActivity
}

type viewInstance struct {
	Name, Tone, State, Health string
	Facts                     []string
}

type viewActivity struct{ Tone, When, Status, Description, Cause string }

type viewState struct {
	Tone, Name string
	Count      uint64
}

type viewTarget struct {
	ID, Name, Tone, State, Reason, Description string
	Facts                                      []string
	Probes                                     []viewProbe
}

type viewProbe struct{ Tone, When, Took, Status, Text string }

type viewTraffic struct {
	Rate, Unit, Latency string
	Counts              []viewState
	Bars                []viewBar
	Most                uint64 // requests in a minute
}

// viewBar is a minute: a bar of requests, with the errors among them below.
// Numbers are of a drawing that is 20 high.
type viewBar struct {
	X                   int
	Y, Height, ErrorTop float64
	Errors              float64
	Title               string
}

// mostTargets are shown of a group, those that are not healthy first.
const mostTargets = 100

var tones = map[elb.State]string{
	elb.Healthy: "pass", elb.Unhealthy: "fail", elb.Unavailable: "fail", elb.Initial: "warn",
	elb.Draining: "warn", elb.UnhealthyDraining: "warn", elb.Unused: "unknown",
}

// Tone returns the class that pages show a target's state with: pass, warn, fail or
// unknown.
func Tone(s elb.State) string { return tones[s] }

func newView(s *Status) view {
	v := view{
		Style: template.CSS(pageCSS), Script: template.JS(pageJS), //nolint:gosec // our own files
		Now: s.At.UTC().Format(time.RFC3339),
	}
	healthy, inUse := 0, 0
	for i := range s.Groups {
		g := newViewGroup(&s.Groups[i], s.At)
		v.Groups = append(v.Groups, g)
		v.Tone = worse(v.Tone, g.Tone)
		if s.Groups[i].LoadBalancer != "" {
			healthy += s.Groups[i].States[elb.Healthy]
			inUse += len(s.Groups[i].Targets)
		}
	}
	for i := range s.LoadBalancers {
		b := newViewBalancer(&s.LoadBalancers[i])
		v.LoadBalancers = append(v.LoadBalancers, b)
		if slices.ContainsFunc(b.Listeners, func(l viewListener) bool { return !l.Listening }) {
			v.Tone = "fail"
		}
	}
	for i := range s.AutoScaling {
		v.Scaling = append(v.Scaling, newViewScaling(&s.AutoScaling[i], s.At))
	}
	v.Tone = cmp.Or(v.Tone, "unknown")
	switch {
	case len(s.LoadBalancers) == 0 && len(s.Groups) == 0 && len(s.AutoScaling) == 0:
		v.Headline = "nothing is here yet"
	case inUse == 0:
		v.Headline = "no targets"
	default:
		v.Headline = fmt.Sprintf("%d of %d targets healthy", healthy, inUse)
	}
	v.Title = v.Headline + " · hale balance"
	return v
}

// worse returns the tone that is to be noticed.
func worse(a, b string) string {
	order := []string{"", "unknown", "pass", "warn", "fail"}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

func newViewBalancer(b *balancer.LoadBalancerStatus) viewBalancer {
	v := viewBalancer{
		Name: b.Name, About: joined(b.Type.Title(), string(b.Scheme), b.DNSName), Traffic: newViewTraffic(&b.Traffic, b.Type),
	}
	for _, l := range b.Listeners {
		of := viewListener{
			Name: fmt.Sprintf("%s :%d", l.Protocol, l.Port), Addresses: strings.Join(l.Addresses, ", "), Listening: l.Listening,
		}
		for _, r := range l.Rules {
			of.Rules = append(of.Rules, viewRule{
				Priority: r.Priority, If: strings.Join(r.If, " and "), Then: strings.Join(append(slices.Clone(r.Change), r.Then), ", then "),
				Groups: r.Groups,
			})
		}
		v.Listeners = append(v.Listeners, of)
	}
	return v
}

func newViewGroup(g *balancer.GroupStatus, now time.Time) viewGroup {
	user := "no rule forwards to it"
	kind := elb.Application
	if g.LoadBalancer != "" {
		user = "of " + g.LoadBalancer
	}
	if g.Protocol != elb.HTTP && g.Protocol != elb.HTTPS {
		kind = elb.Network
	}
	v := viewGroup{
		Name: g.Name, About: joined(string(g.Protocol), string(g.Version), user), Check: g.HealthCheck,
		FailOpen: g.FailOpen, Traffic: newViewTraffic(&g.Traffic, kind), Tone: "unknown",
	}
	for _, state := range states {
		if n := g.States[state]; n > 0 {
			v.States = append(v.States, viewState{tones[state], string(state), uint64(n)})
			v.Tone = worse(v.Tone, tones[state])
		}
	}
	failed := uint64(0)
	for _, n := range g.Probes.Failed {
		failed += n
	}
	v.Facts = []string{
		fmt.Sprintf("%d in flight", g.InFlight),
		fmt.Sprintf("%d probes, %d failed", g.Probes.Sent, failed),
	}
	targets := g.Targets
	if v.More = max(len(targets)-mostTargets, 0); v.More > 0 {
		targets = slices.Clone(targets)
		slices.SortStableFunc(targets, func(a, b balancer.TargetStatus) int {
			return cmp.Compare(rank(a.State), rank(b.State))
		})
		targets = targets[:mostTargets]
	}
	for i := range targets {
		v.Targets = append(v.Targets, newViewTarget(g.Name, &targets[i], now))
	}
	return v
}

func rank(s elb.State) int {
	return slices.Index([]string{"fail", "warn", "unknown", "pass"}, tones[s])
}

func newViewTarget(group string, t *balancer.TargetStatus, now time.Time) viewTarget {
	name := net.JoinHostPort(t.ID, strconv.Itoa(t.Port))
	v := viewTarget{
		ID: "target-" + group + "-" + name, Name: name, Tone: tones[t.State], State: string(t.State),
		Reason: string(t.Reason), Description: t.Description,
		Facts: []string{"for " + elapsed(now, t.Since), fmt.Sprintf("%d in flight", t.InFlight)},
	}
	if !t.Until.IsZero() {
		v.Facts = append(v.Facts, elapsed(t.Until, now)+" left")
	}
	if t.CheckPort != t.Port {
		v.Facts = append(v.Facts, fmt.Sprintf("asked at port %d", t.CheckPort))
	}
	for _, f := range []struct {
		is   bool
		text string
	}{{t.SlowStart, "slow start"}, {t.Anomalous, "anomalous"}, {t.Mitigated, "gets less traffic"}} {
		if f.is {
			v.Facts = append(v.Facts, f.text)
		}
	}
	if t.Zone != "" {
		v.Facts = append(v.Facts, t.Zone)
	}
	for _, p := range t.Probes {
		of := viewProbe{Tone: "pass", When: elapsed(now, p.At) + " ago", Took: milliseconds(p.TookMS), Text: "passed"}
		switch {
		case p.GRPC != nil:
			of.Status = fmt.Sprintf("gRPC %d", *p.GRPC)
		case p.Status != 0:
			of.Status = strconv.Itoa(p.Status)
		}
		if !p.Healthy {
			of.Tone, of.Text = "fail", joined(string(p.Reason), cmp.Or(p.Because, p.Description))
		}
		v.Probes = append(v.Probes, of)
	}
	return v
}

func newViewScaling(g *ScalingGroup, now time.Time) viewScaling {
	v := viewScaling{
		Name: g.Name, About: joined("Auto Scaling group", "to "+strings.Join(g.TargetGroups, ", ")), Tone: "pass",
		Size: fmt.Sprintf("%d of %d in service", g.InService, g.Desired),
		Facts: []string{
			fmt.Sprintf("%d to %d instances", g.Min, g.Max), "launch template " + templateText(g.LaunchTemplate, g.Version),
			"health check " + g.HealthCheckType + ", grace period " + (time.Duration(g.GraceSeconds) * time.Second).String(),
		},
	}
	if len(g.TargetGroups) == 0 {
		v.About = joined("Auto Scaling group", "no target group")
	}
	if g.InService < g.Desired {
		v.Tone = "warn"
	}
	if g.Deleting {
		v.Facts = append(v.Facts, "is being deleted")
	}
	if len(g.Suspended) > 0 {
		v.Facts = append(v.Facts, "suspended: "+strings.Join(g.Suspended, ", "))
	}
	for _, i := range g.Instances {
		of := viewInstance{Name: i.ID, Tone: "warn", State: string(i.State), Health: i.Health, Facts: []string{
			i.Address, templateText(i.LaunchTemplate, i.Version), "launched " + elapsed(now, i.Launched) + " ago",
		}}
		switch {
		case i.Unhealthy != "":
			of.Tone, of.Health = "fail", i.Health+": "+i.Unhealthy
		case i.State == autoscaling.InService:
			of.Tone = "pass"
		}
		if i.Zone != "" {
			of.Facts = append(of.Facts, i.Zone)
		}
		if i.Protected {
			of.Facts = append(of.Facts, "protected from scale-in")
		}
		if i.PID != 0 {
			of.Facts = append(of.Facts, fmt.Sprintf("process %d", i.PID))
		}
		v.Instances = append(v.Instances, of)
	}
	for _, a := range g.Activities {
		of := viewActivity{Tone: "warn", When: elapsed(now, a.Started) + " ago", Status: a.Status, Description: a.Description, Cause: joined(a.Cause, a.Message)}
		switch a.Status {
		case "Failed":
			of.Tone = "fail"
		case "Successful":
			of.Tone = "pass"
		}
		v.Activities = append(v.Activities, of)
	}
	return v
}

func templateText(name string, version int) string {
	if version == 0 {
		return name + " $Latest"
	}
	return fmt.Sprintf("%s %d", name, version)
}

func newViewTraffic(t *balancer.Traffic, kind elb.Balancer) viewTraffic {
	v := viewTraffic{Rate: strconv.FormatFloat(t.PerSecond, 'g', 3, 64), Unit: "requests"}
	if kind == elb.Network {
		v.Unit = "connections"
	}
	if t.Latency.Max > 0 {
		v.Latency = fmt.Sprintf("p50 %s · p95 %s · p99 %s · max %s",
			milliseconds(t.Latency.P50), milliseconds(t.Latency.P95), milliseconds(t.Latency.P99), milliseconds(t.Latency.Max))
	}
	for _, of := range []struct {
		name   string
		counts map[string]uint64
	}{{"target", t.Total.Target}, {"ELB", t.Total.ELB}} {
		for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} {
			if n := of.counts[class]; n > 0 {
				tone := ""
				if class == "5xx" {
					tone = "fail"
				}
				v.Counts = append(v.Counts, viewState{tone, of.name + " " + class, n})
			}
		}
	}
	for _, of := range []struct {
		tone, name string
		n          uint64
	}{
		{"fail", "connection errors", t.Total.ConnectionErrors},
		{"", "connections", t.Total.Connections},
		{"", "client resets", t.Total.ClientResets},
		{"fail", "target resets", t.Total.TargetResets},
		{"fail", "ELB resets", t.Total.ELBResets},
		{"", "bytes in", t.Total.BytesIn},
		{"", "bytes out", t.Total.BytesOut},
	} {
		if of.n > 0 {
			v.Counts = append(v.Counts, viewState{of.tone, of.name, of.n})
		}
	}
	for _, m := range t.Minutes {
		v.Most = max(v.Most, m.All())
	}
	if v.Most == 0 {
		return v
	}
	for i, m := range t.Minutes {
		requests, failed := m.All(), m.Target["5xx"]+m.ELB["5xx"]+m.TargetResets+m.ELBResets
		height := 20 * float64(requests) / float64(v.Most)
		errors := 20 * float64(failed) / float64(v.Most)
		v.Bars = append(v.Bars, viewBar{
			X: 4 * i, Y: 20 - height, Height: height, Errors: errors, ErrorTop: 20 - errors,
			Title: fmt.Sprintf("%s: %d %s, %d errors", m.At.UTC().Format("15:04"), requests, v.Unit, failed),
		})
	}
	return v
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " · ")
}

func milliseconds(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(ms/1000, 'g', 3, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'g', 3, 64) + " ms"
}

// elapsed says how long before now t was, or nothing for the zero time.
func elapsed(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(now.Sub(t), 0).Round(time.Second)
	if d >= time.Hour {
		d = d.Round(time.Minute)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}
