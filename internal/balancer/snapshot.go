package balancer

import (
	"math"
	"slices"
	"strconv"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// Snapshot is all there is to look at, at one moment. It shares nothing with the
// balancer. As JSON it is the admin address's /status.json.
type Snapshot struct {
	At            time.Time            `json:"at"`
	LoadBalancers []LoadBalancerStatus `json:"load_balancers"` // by name
	Groups        []GroupStatus        `json:"target_groups"`  // by name
}

// LoadBalancerStatus is a load balancer at work.
type LoadBalancerStatus struct {
	ARN       string           `json:"arn"`
	Name      string           `json:"name"`
	DNSName   string           `json:"dns_name"`
	Type      elb.Balancer     `json:"type"`
	Scheme    inventory.Scheme `json:"scheme"`
	Created   time.Time        `json:"created"`
	Listeners []ListenerStatus `json:"listeners"` // by port
	Traffic   Traffic          `json:"traffic"`
}

// ListenerStatus is a listener at work.
type ListenerStatus struct {
	ARN       string       `json:"arn"`
	Protocol  elb.Protocol `json:"protocol"`
	Port      int          `json:"port"`
	Addresses []string     `json:"addresses"`
	Listening bool         `json:"listening"` // false: the port is another program's, and tried again
	Rules     []RuleStatus `json:"rules"`     // by priority, the default one last
}

// RuleStatus is a listener's rule in words.
type RuleStatus struct {
	ARN      string   `json:"arn,omitempty"` // empty for the default rule
	Priority string   `json:"priority"`      // a number, or "default"
	If       []string `json:"if,omitempty"`  // all of them have to hold
	Change   []string `json:"change,omitempty"`
	Then     string   `json:"then"`
	// Groups are the names of those that it forwards to.
	Groups []string `json:"target_groups,omitempty"`
}

// GroupStatus is a target group at work.
type GroupStatus struct {
	ARN          string       `json:"arn"`
	Name         string       `json:"name"`
	LoadBalancer string       `json:"load_balancer,omitempty"` // its name; empty: nobody uses the group
	Protocol     elb.Protocol `json:"protocol"`
	Version      elb.Version  `json:"protocol_version,omitempty"`
	HealthCheck  string       `json:"health_check"` // in words
	// States are how many targets are held for what.
	States   map[elb.State]int `json:"states"`
	FailOpen bool              `json:"fail_open"` // too few are healthy, so all get traffic
	InFlight int64             `json:"in_flight"`
	Probes   ProbeCounts       `json:"probes"`
	Traffic  Traffic           `json:"traffic"`
	Targets  []TargetStatus    `json:"targets"` // by registration
}

// ProbeCounts are the probes of a group's targets since the balancer began.
type ProbeCounts struct {
	Sent   uint64                `json:"sent"`
	Failed map[elb.Reason]uint64 `json:"failed,omitempty"`
}

// TargetStatus is a target, and what its group holds of it.
type TargetStatus struct {
	ID          string     `json:"id"`
	Port        int        `json:"port"`
	Zone        string     `json:"zone,omitempty"`
	CheckPort   int        `json:"health_check_port"`
	State       elb.State  `json:"state"`
	Reason      elb.Reason `json:"reason,omitempty"`
	Description string     `json:"description,omitempty"`
	Since       time.Time  `json:"since"`
	// Until is when time alone ends the state, as it ends draining.
	Until time.Time `json:"until,omitzero"`
	// Passes and Failures are the last probes in a row that counted.
	Passes    int   `json:"passes"`
	Failures  int   `json:"failures"`
	InFlight  int64 `json:"in_flight"`
	Anomalous bool  `json:"anomalous"` // it fails more than the others do
	Mitigated bool  `json:"mitigated"` // it gets less traffic for it
	SlowStart bool  `json:"slow_start"`
	// Probes are the last ones, the newest first.
	Probes []ProbeStatus `json:"probes"`
}

// ProbeStatus is one probe, and what came of it.
type ProbeStatus struct {
	At          time.Time  `json:"at"`
	TookMS      float64    `json:"time_ms"`
	Healthy     bool       `json:"healthy"`
	Status      int        `json:"status,omitempty"`      // of the answer, 0 without one
	GRPC        *int       `json:"grpc_status,omitempty"` // of a gRPC group: what the matcher reads
	Reason      elb.Reason `json:"reason,omitempty"`
	Description string     `json:"description,omitempty"`
	Because     string     `json:"because,omitempty"` // in plain words
}

// Traffic is what became of requests.
type Traffic struct {
	Total Tally `json:"total"` // since the balancer began
	// PerSecond is the rate of requests, or of a Network Load Balancer's
	// connections, over the last minute; Latency is of this minute and the last.
	PerSecond float64 `json:"per_second"`
	Latency   Latency `json:"latency"`
	// Minutes are the last 30, the current one last.
	Minutes []Tally `json:"minutes"`
	// Took is how long answers took since the balancer began.
	Took Durations `json:"-"`
}

// Tally is what became of requests in a minute, or in all.
type Tally struct {
	At       time.Time `json:"at,omitzero"` // when the minute began
	Requests uint64    `json:"requests"`    // that a target was chosen for
	// Target are the targets' answers, and ELB the load balancer's own, by class:
	// "2xx". Classes without any are left out.
	Target           map[string]uint64 `json:"target,omitempty"`
	ELB              map[string]uint64 `json:"elb,omitempty"`
	ConnectionErrors uint64            `json:"connection_errors"`
	// Of a Network Load Balancer: connections that have ended, how many of them by
	// whose reset, and their bytes from and to clients.
	Connections  uint64 `json:"connections,omitempty"`
	ClientResets uint64 `json:"client_resets,omitempty"`
	TargetResets uint64 `json:"target_resets,omitempty"`
	ELBResets    uint64 `json:"elb_resets,omitempty"`
	BytesIn      uint64 `json:"bytes_in,omitempty"`
	BytesOut     uint64 `json:"bytes_out,omitempty"`
}

// Latency is the time until the head of a target's answer, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// shownMinutes is how many minutes a Traffic has.
const shownMinutes = 30

// Snapshot returns all there is to look at.
func (b *Balancer) Snapshot() *Snapshot {
	now := time.Now()
	v := b.Inventory()
	s := &Snapshot{At: now, LoadBalancers: []LoadBalancerStatus{}, Groups: []GroupStatus{}}
	for _, settings := range v.SortedLoadBalancers() {
		s.LoadBalancers = append(s.LoadBalancers, b.loadBalancerStatus(settings, v, now))
	}
	groups := *b.groups.Load()
	for _, settings := range v.SortedGroups() {
		if g := groups[settings.ARN]; g != nil { // else it was made a moment ago
			s.Groups = append(s.Groups, g.snapshot(now))
		}
	}
	return s
}

// LoadBalancerCounts returns what was counted of a load balancer's requests in
// the minutes that begin from, up to before to. Single minutes are known for
// three hours.
func (b *Balancer) LoadBalancerCounts(arn string, from, to time.Time) Counts {
	f := b.front(arn)
	if f == nil {
		return Counts{}
	}
	return f.policy.meter.sum(from, to)
}

// GroupCounts is LoadBalancerCounts of a target group.
func (b *Balancer) GroupCounts(arn string, from, to time.Time) Counts {
	g := (*b.groups.Load())[arn]
	if g == nil {
		return Counts{}
	}
	return g.meter.sum(from, to)
}

// GroupHosts returns how many targets of a group were healthy and unhealthy in
// the minutes that begin from, up to before to. They are known for three hours.
func (b *Balancer) GroupHosts(arn string, from, to time.Time) HostCounts {
	g := (*b.groups.Load())[arn]
	if g == nil {
		return HostCounts{}
	}
	return g.observed.hostCounts(time.Now(), from, to)
}

func (b *Balancer) front(arn string) *front {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fronts[arn]
}

func (b *Balancer) loadBalancerStatus(settings *inventory.LoadBalancer, v *inventory.Inventory, now time.Time) LoadBalancerStatus {
	s := LoadBalancerStatus{
		ARN: settings.ARN, Name: settings.Name, DNSName: settings.DNSName, Type: settings.Type, Scheme: settings.Scheme,
		Created: settings.Created, Listeners: []ListenerStatus{},
	}
	listening := make(map[string]bool)
	if f := b.front(settings.ARN); f != nil {
		s.Traffic = f.policy.meter.traffic(now)
		b.mu.Lock()
		for arn, l := range f.listeners {
			l.mu.Lock()
			listening[arn] = len(l.sockets) > 0 && !l.retired
			l.mu.Unlock()
		}
		b.mu.Unlock()
	}
	for _, l := range v.ListenersOf(settings.ARN) {
		status := ListenerStatus{ARN: l.ARN, Protocol: l.Protocol, Port: l.Port, Listening: listening[l.ARN]}
		for _, address := range addressesOf(settings, l) {
			status.Addresses = append(status.Addresses, address.String())
		}
		for _, r := range v.RulesOf(l.ARN) {
			status.Rules = append(status.Rules, ruleStatus(r.ARN, &r.Rule, v))
		}
		status.Rules = append(status.Rules, ruleStatus("", &rule.Rule{Actions: l.Default}, v))
		s.Listeners = append(s.Listeners, status)
	}
	return s
}

func ruleStatus(arn string, r *rule.Rule, v *inventory.Inventory) RuleStatus {
	s := RuleStatus{ARN: arn, Priority: "default", Then: actionWords(r.Action(), v)}
	if !r.IsDefault() {
		s.Priority = strconv.Itoa(r.Priority)
	}
	for _, c := range r.Conditions {
		s.If = append(s.If, conditionWords(c))
	}
	for _, t := range r.Transforms {
		s.Change = append(s.Change, transformWords(t))
	}
	if a := r.Action(); a != nil && a.ForwardConfig != nil {
		for _, g := range a.ForwardConfig.TargetGroups {
			if known := v.Groups[g.TargetGroupArn]; known != nil {
				s.Groups = append(s.Groups, known.Name)
			}
		}
	}
	return s
}

// snapshot returns the group as it is now.
func (g *group) snapshot(now time.Time) GroupStatus {
	g.mu.Lock()
	s := GroupStatus{
		ARN: g.arn, Name: g.settings.Name, Protocol: g.settings.Kind.Protocol, Version: g.settings.Kind.Version,
		HealthCheck: checkWords(g.settings), States: make(map[elb.State]int), FailOpen: g.failOpen,
		Targets: make([]TargetStatus, len(g.order)),
	}
	if g.user != nil {
		s.LoadBalancer = g.user.Name
	}
	for i, t := range g.order {
		h := t.health
		s.Targets[i] = TargetStatus{
			ID: t.id.ID, Port: t.id.Port, Zone: t.zone, CheckPort: g.checkPort(t),
			State: h.State, Reason: h.Reason, Description: h.Description, Since: h.Since, Until: h.Until,
			Passes: h.Passes, Failures: h.Failures, SlowStart: t.SlowStarting(now, g.spread),
		}
		s.States[h.State]++
	}
	order := g.order // replaced, never changed
	g.mu.Unlock()
	for i, t := range order {
		of := &s.Targets[i]
		of.InFlight = t.InFlight()
		of.Anomalous, of.Mitigated = t.Anomaly()
		of.Probes = []ProbeStatus{}
		for _, p := range t.lastProbes() {
			shown := ProbeStatus{
				At: p.At, TookMS: milliseconds(p.Took), Healthy: p.Reason == "", Status: p.Status,
				Reason: p.Reason, Description: p.Description, Because: p.Because,
			}
			if p.GRPC >= 0 {
				shown.GRPC = &p.GRPC
			}
			of.Probes = append(of.Probes, shown)
		}
		s.InFlight += of.InFlight
	}
	s.Probes.Sent, s.Probes.Failed = g.observed.probes()
	s.Traffic = g.meter.traffic(now)
	return s
}

// traffic returns what was counted until now.
func (m *meter) traffic(now time.Time) Traffic {
	total := m.counted()
	t := Traffic{Total: total.tally(), Took: total.Took}
	this := now.Truncate(time.Minute)
	var recent Counts
	for at := this.Add(-(shownMinutes - 1) * time.Minute); !at.After(this); at = at.Add(time.Minute) {
		counts := m.sum(at, at.Add(time.Minute))
		tally := counts.tally()
		tally.At = at
		t.Minutes = append(t.Minutes, tally)
		if this.Sub(at) <= time.Minute {
			recent.Merge(&counts)
		}
	}
	// Of the last minute that part counts which lies less than a minute back, as
	// if its requests had come evenly.
	last := t.Minutes[shownMinutes-2:]
	part := 1 - now.Sub(this).Minutes()
	t.PerSecond = math.Round((float64(last[1].All())+part*float64(last[0].All()))/60*100) / 100
	t.Latency = Latency{
		P50: milliseconds(recent.Took.Quantile(0.5)), P95: milliseconds(recent.Took.Quantile(0.95)),
		P99: milliseconds(recent.Took.Quantile(0.99)), Max: milliseconds(recent.Took.Max),
	}
	return t
}

// All is how many answers there were, from targets and from the load balancer, or
// connections.
func (t *Tally) All() uint64 {
	n := t.Connections
	for _, of := range t.Target {
		n += of
	}
	for _, of := range t.ELB {
		n += of
	}
	return n
}

func (c *Counts) tally() Tally {
	return Tally{
		Requests: c.Requests, ConnectionErrors: c.ConnectionErrors, Target: classes(c.Target), ELB: classes(c.ELB),
		Connections: c.Connections, ClientResets: c.ClientResets, TargetResets: c.TargetResets, ELBResets: c.ELBResets,
		BytesIn: c.BytesIn, BytesOut: c.BytesOut,
	}
}

func classes(counts [6]uint64) map[string]uint64 {
	of := make(map[string]uint64)
	for class, n := range counts {
		if n > 0 && class > 0 {
			of[strconv.Itoa(class)+"xx"] = n
		}
	}
	return of
}

// Bucket is how many durations were no longer than a bound.
type Bucket struct {
	Bound time.Duration
	Count uint64
}

// Cumulative returns how many durations were within bounds that double, from
// 50 µs to about a minute. The counts are exact.
func (d *Durations) Cumulative() []Bucket {
	var (
		list []Bucket
		seen uint64
	)
	for i, n := range d.buckets {
		seen += uint64(n)
		if bound := least << (i / perDouble); i%perDouble == 0 && bound <= time.Minute {
			list = append(list, Bucket{bound, seen})
		}
	}
	return slices.Clip(list)
}

func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*1000) / 1000
}
