package admin

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/balancer"
	"hale/internal/elb"
)

// metrics returns what there is to count, for Prometheus. What is counted of a
// load balancer and of its groups has names of its own, so that sums over either
// mean something.
func metrics(all *Status, open bool) []byte {
	s, e := &all.Snapshot, &exposition{open: open}
	var balancers, groups struct{ requests, connections []counted }
	for i := range s.LoadBalancers {
		b := &s.LoadBalancers[i]
		if c := (counted{&b.Traffic, []label{{"load_balancer", b.Name}}}); b.Type == elb.Network {
			balancers.connections = append(balancers.connections, c)
		} else {
			balancers.requests = append(balancers.requests, c)
		}
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		if c := (counted{&g.Traffic, labelsOf(g)}); g.Protocol == elb.HTTP || g.Protocol == elb.HTTPS {
			groups.requests = append(groups.requests, c)
		} else {
			groups.connections = append(groups.connections, c)
		}
	}
	e.requests("hale_load_balancer", "the load balancer", balancers.requests)
	e.connections("hale_load_balancer", "the load balancer", balancers.connections)
	e.listeners(s)
	e.requests("hale_target_group", "the target group", groups.requests)
	e.connections("hale_target_group", "the target group", groups.connections)
	e.targets(s)
	e.scaling(all.AutoScaling)
	return e.end()
}

// counted is what traffic is counted of.
type counted struct {
	*balancer.Traffic
	labels []label
}

func labelsOf(g *balancer.GroupStatus) []label {
	return []label{{"load_balancer", g.LoadBalancer}, {"target_group", g.Name}}
}

// with returns labels with another.
func with(labels []label, name, value string) []label {
	return append(slices.Clip(labels), label{name, value})
}

func (e *exposition) requests(prefix, what string, of []counted) {
	if len(of) == 0 {
		return
	}
	e.family(prefix+"_requests", "counter", "", "Requests to "+what+" that a target was chosen for.")
	for _, c := range of {
		e.sample(prefix+"_requests_total", float64(c.Total.Requests), c.labels...)
	}
	e.family(prefix+"_target_responses", "counter", "", "Answers of targets of "+what+", by class of status code.")
	e.classes(prefix+"_target_responses_total", of, func(t *balancer.Tally) map[string]uint64 { return t.Target })
	e.family(prefix+"_elb_responses", "counter", "", "Answers that came from the load balancer itself, by class of status code: errors, redirects, fixed responses.")
	e.classes(prefix+"_elb_responses_total", of, func(t *balancer.Tally) map[string]uint64 { return t.ELB })
	e.family(prefix+"_target_connection_errors", "counter", "", "Requests to "+what+" that failed because no connection to a target came about.")
	for _, c := range of {
		e.sample(prefix+"_target_connection_errors_total", float64(c.Total.ConnectionErrors), c.labels...)
	}
	name := prefix + "_target_response_seconds"
	e.family(name, "histogram", "seconds", "Time from a request to "+what+" until the head of the target's answer.")
	for _, c := range of {
		for _, b := range c.Took.Cumulative() {
			e.sample(name+"_bucket", float64(b.Count), with(c.labels, "le", strconv.FormatFloat(seconds(b.Bound), 'g', -1, 64))...)
		}
		e.sample(name+"_bucket", float64(c.Took.Count), with(c.labels, "le", "+Inf")...)
		e.sample(name+"_sum", seconds(c.Took.Sum), c.labels...)
		e.sample(name+"_count", float64(c.Took.Count), c.labels...)
	}
}

// connections tells of what is counted by connections, as a Network Load Balancer
// does.
func (e *exposition) connections(prefix, what string, of []counted) {
	if len(of) == 0 {
		return
	}
	for _, f := range []struct {
		name, unit, help string
		value            func(*balancer.Tally) uint64
	}{
		{"_connections", "", "Connections to " + what + " that have ended.", func(t *balancer.Tally) uint64 { return t.Connections }},
		{"_received_bytes", "bytes", "Bytes from clients in connections to " + what + " that have ended.", func(t *balancer.Tally) uint64 { return t.BytesIn }},
		{"_sent_bytes", "bytes", "Bytes to clients in connections to " + what + " that have ended.", func(t *balancer.Tally) uint64 { return t.BytesOut }},
	} {
		e.family(prefix+f.name, "counter", f.unit, f.help)
		for _, c := range of {
			e.sample(prefix+f.name+"_total", float64(f.value(&c.Total)), c.labels...)
		}
	}
	e.family(prefix+"_connection_resets", "counter", "", "Connections to "+what+" that ended by a reset, by who sent it.")
	for _, c := range of {
		e.sample(prefix+"_connection_resets_total", float64(c.Total.ClientResets), with(c.labels, "by", "client")...)
		e.sample(prefix+"_connection_resets_total", float64(c.Total.TargetResets), with(c.labels, "by", "target")...)
		e.sample(prefix+"_connection_resets_total", float64(c.Total.ELBResets), with(c.labels, "by", "elb")...)
	}
}

// classes writes a sample for each class, so that a rate is there from the first
// error on.
func (e *exposition) classes(name string, of []counted, counts func(*balancer.Tally) map[string]uint64) {
	for _, c := range of {
		for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
			e.sample(name, float64(counts(&c.Total)[class]), with(c.labels, "code", class)...)
		}
	}
}

func (e *exposition) listeners(s *balancer.Snapshot) {
	if len(s.LoadBalancers) == 0 {
		return
	}
	e.family("hale_listener_listening", "gauge", "", "Whether the listener has its port; 0 while another program has it.")
	for _, b := range s.LoadBalancers {
		for _, l := range b.Listeners {
			e.sample("hale_listener_listening", bit(l.Listening), label{"load_balancer", b.Name}, label{"port", strconv.Itoa(l.Port)})
		}
	}
}

// states are all that targets can be held for.
var states = []elb.State{elb.Initial, elb.Healthy, elb.Unhealthy, elb.UnhealthyDraining, elb.Unused, elb.Draining, elb.Unavailable}

func (e *exposition) targets(s *balancer.Snapshot) {
	if len(s.Groups) == 0 {
		return
	}
	e.family("hale_target_group_targets", "gauge", "", "Targets by what the load balancer holds them for.")
	for i := range s.Groups {
		for _, state := range states {
			e.sample("hale_target_group_targets", float64(s.Groups[i].States[state]), with(labelsOf(&s.Groups[i]), "state", string(state))...)
		}
	}
	for _, f := range []struct {
		name, kind, help string
		value            func(*balancer.GroupStatus) float64
	}{
		{
			"hale_target_group_fail_open", "gauge", "Whether all targets get traffic because too few are healthy.",
			func(g *balancer.GroupStatus) float64 { return bit(g.FailOpen) },
		},
		{
			"hale_target_group_requests_in_flight", "gauge", "Requests that targets are answering now.",
			func(g *balancer.GroupStatus) float64 { return float64(g.InFlight) },
		},
		{
			"hale_target_group_probes", "counter", "Health checks sent to targets, and answered or given up.",
			func(g *balancer.GroupStatus) float64 { return float64(g.Probes.Sent) },
		},
	} {
		e.family(f.name, f.kind, "", f.help)
		sample := f.name
		if f.kind == "counter" {
			sample += "_total"
		}
		for i := range s.Groups {
			e.sample(sample, f.value(&s.Groups[i]), labelsOf(&s.Groups[i])...)
		}
	}
	e.family("hale_target_group_probe_failures", "counter", "", "Health checks that failed, by the reason code.")
	for i := range s.Groups {
		failed := maps.Clone(s.Groups[i].Probes.Failed)
		if failed == nil {
			failed = make(map[elb.Reason]uint64)
		}
		for _, reason := range []elb.Reason{elb.ResponseCodeMismatch, elb.Timeout, elb.FailedHealthChecks, elb.InternalError} {
			failed[reason] += 0 // there from the start
		}
		for _, reason := range slices.Sorted(maps.Keys(failed)) {
			e.sample("hale_target_group_probe_failures_total", float64(failed[reason]), with(labelsOf(&s.Groups[i]), "reason", string(reason))...)
		}
	}
}

// lifecycleStates are all that instances can be in.
var lifecycleStates = []autoscaling.LifecycleState{
	autoscaling.Pending, autoscaling.PendingWait, autoscaling.PendingProceed, autoscaling.InService,
	autoscaling.Terminating, autoscaling.TerminatingWait, autoscaling.TerminatingProceed,
	autoscaling.EnteringStandby, autoscaling.Standby,
}

func (e *exposition) scaling(groups []ScalingGroup) {
	if len(groups) == 0 {
		return
	}
	for _, f := range []struct {
		name, help string
		value      func(*ScalingGroup) int
	}{
		{"hale_auto_scaling_group_desired_capacity", "Instances that the group is to have.", func(g *ScalingGroup) int { return g.Desired }},
		{"hale_auto_scaling_group_min_size", "Fewest instances that it may be told to have.", func(g *ScalingGroup) int { return g.Min }},
		{"hale_auto_scaling_group_max_size", "Most instances that it may be told to have.", func(g *ScalingGroup) int { return g.Max }},
	} {
		e.family(f.name, "gauge", "", f.help)
		for i := range groups {
			e.sample(f.name, float64(f.value(&groups[i])), label{"auto_scaling_group", groups[i].Name})
		}
	}
	e.family("hale_auto_scaling_group_instances", "gauge", "", "Instances by their lifecycle state.")
	for i := range groups {
		counts := make(map[autoscaling.LifecycleState]int)
		for _, instance := range groups[i].Instances {
			counts[instance.State]++
		}
		for _, state := range lifecycleStates {
			e.sample("hale_auto_scaling_group_instances", float64(counts[state]), label{"auto_scaling_group", groups[i].Name}, label{"state", string(state)})
		}
	}
}

// seconds is more exact than Duration.Seconds: it has the number that is nearest.
func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }

func bit(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
