package targetgroup

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hale/internal/elb"
)

// notInUse: a group that no rule forwards to is not probed at all.
func notInUse(g *Group, _ Measured, d *Diagnosis) {
	unused := g.reasoned(elb.NotInUse)
	arn := cmp.Or(g.ARN, "ARN")
	switch {
	case g.RoutesKnown && len(g.Balancers) == 0:
		d.note(Note{
			What: "no load balancer uses the target group, so its targets get no traffic and are not even probed", Targets: unused,
			Seen: "the group names no load balancer, and no rule of a listener forwards to it",
			Way:  "let a listener forward to it: aws elbv2 modify-listener --listener-arn LISTENER --default-actions Type=forward,TargetGroupArn=" + arn,
		})
	case g.RoutesKnown && len(g.Routes) == 0:
		d.note(Note{
			What: "no rule of a listener forwards to the target group, so its targets get no traffic and are not even probed", Targets: unused,
			Seen: "listeners and rules of " + g.balancerNames(),
			Way:  "add a rule: aws elbv2 create-rule --listener-arn LISTENER --priority 10 --conditions Field=path-pattern,Values='/*' --actions Type=forward,TargetGroupArn=" + arn,
		})
	case len(g.Routes) > 0 && !slices.ContainsFunc(g.Routes, func(r Route) bool { return r.Weight > 0 }):
		d.note(Note{
			What: "every rule that forwards to the target group gives it the weight 0: its targets are probed, but get no traffic",
			Seen: g.Routes[0].String() + ": weight 0 of " + strconv.Itoa(g.Routes[0].Of),
			Way:  "give it a weight in the rule: aws elbv2 modify-rule, or modify-listener for the default rule",
		})
	case !g.RoutesKnown && len(g.Routes) == 0 && len(unused) > 0:
		d.undecided("does a rule of a listener forward to the group, and is the zone of each target enabled?",
			"aws elbv2 describe-rules --listener-arn LISTENER, for each listener; aws elbv2 describe-load-balancers shows the zones")
	}
}

// zoneNotEnabled: the other meaning of NotInUse. The API tells a target's zone
// for some only; then its own words do.
func zoneNotEnabled(g *Group, _ Measured, d *Diagnosis) {
	if len(g.Routes) == 0 {
		return
	}
	enabled := g.zones()
	var outside, unclear []Target
	for _, t := range g.Targets {
		if t.Reason != elb.NotInUse {
			continue
		}
		known := t.Zone != "" && t.Zone != "all" && len(enabled) > 0
		if known && !slices.Contains(enabled, t.Zone) || strings.Contains(t.Description, "Availability Zone") {
			outside = append(outside, t)
		} else {
			unclear = append(unclear, t)
		}
	}
	if len(outside) > 0 {
		seen := outside[0].Verdict()
		if zone := outside[0].Zone; zone != "" {
			seen = "target in " + zone + ": " + seen
		}
		d.note(Note{
			What: "the load balancer has no node in the target's availability zone, so the target gets no traffic and is not probed", Targets: names(outside),
			Seen: seen + "; zones of " + g.balancerNames() + ": " + cmp.Or(strings.Join(enabled, ", "), "not known"),
			Way:  "enable the zone: aws elbv2 set-subnets --load-balancer-arn ARN --subnets, with all subnets that it has now and one of that zone; or move the target",
		})
	}
	if len(unclear) > 0 {
		d.undecided(fmt.Sprintf("why is %s not in use, although a rule forwards to the group? Its zone may not be enabled (%s are)", unclear[0].ID, cmp.Or(strings.Join(enabled, ", "), "which")),
			fmt.Sprintf("aws ec2 describe-instances --instance-ids %s --query 'Reservations[].Instances[].Placement.AvailabilityZone'", unclear[0].ID))
	}
}

func (g *Group) balancerNames() string {
	var all []string
	for _, b := range g.Balancers {
		all = append(all, b.Name)
	}
	return cmp.Or(strings.Join(all, ", "), "the load balancer")
}

// balancerState: one that is not active sends no probes, or not all.
func balancerState(g *Group, _ Measured, d *Diagnosis) {
	for _, b := range g.Balancers {
		if b.State == "" || b.State == "active" {
			continue
		}
		seen := "state " + b.State
		if b.StateReason != "" {
			seen += ": " + b.StateReason
		}
		d.note(Note{What: "the load balancer " + b.Name + " itself is not well", Seen: seen, Way: stateWays[b.State]})
	}
}

var stateWays = map[string]string{
	"provisioning":    "wait some minutes: it is being set up",
	"active_impaired": "it works, but cannot grow: are there free addresses in its subnets? At least 8 in each",
	"failed":          "it could not be set up: delete it and create it again",
}

// withoutTraffic: an empty group.
func withoutTraffic(g *Group, _ Measured, d *Diagnosis) {
	if !g.HealthKnown || len(g.Targets) > 0 {
		return
	}
	seen := "the group is empty"
	if g.Balancer() == elb.Application {
		seen += ": users get 503"
	}
	d.note(Note{
		What: "no target is registered with the target group", Seen: seen,
		Way: "does Auto Scaling or ECS register them? See aws autoscaling describe-auto-scaling-groups (TargetGroupARNs) and the service's load balancers; by hand: aws elbv2 register-targets",
	})
}

// failOpen: with no healthy target, ELB sends traffic to all of them.
func failOpen(g *Group, _ Measured, d *Diagnosis) {
	healthy, unhealthy := g.count(elb.Healthy), g.count(elb.Unhealthy)
	if g.Balancer() == elb.Gateway || unhealthy == 0 || g.count(elb.Initial, elb.Unavailable) > 0 || g.RoutesKnown && len(g.Routes) == 0 {
		return
	}
	bad := g.inState(elb.Unhealthy)
	if healthy == 0 {
		d.find(Finding{
			ID: "fail-open-masks", Targets: names(bad),
			What: "no target is healthy, so the load balancer sends traffic to all of them: that the site works proves nothing, and it ends when one target turns healthy",
			Way:  "repair the health check, and set an alarm on the metric UnHealthyHostCount",
			Evidence: []Evidence{
				{Change: fmt.Sprintf("describe-target-health: %d of %d targets", unhealthy, unhealthy), Before: bad[0].Verdict()},
			},
		})
		return
	}
	least, why := g.leastHealthy(healthy + unhealthy)
	if healthy < least {
		d.note(Note{
			What: "so few targets are healthy that the load balancer sends traffic to the unhealthy ones, too", Targets: names(bad),
			Seen: fmt.Sprintf("%d healthy of %d, and %s", healthy, healthy+unhealthy, why),
			Way:  "repair the unhealthy targets; the limit is the group's own attribute",
		})
	}
}

// leastHealthy is below how many healthy targets the load balancer uses all, and
// the attribute that says so.
func (g *Group) leastHealthy(registered int) (least int, why string) {
	const prefix = "target_group_health.unhealthy_state_routing.minimum_healthy_targets."
	if count, err := strconv.Atoi(g.Attributes[prefix+"count"]); err == nil {
		least, why = count, fmt.Sprintf("%scount is %d", prefix, count)
	}
	if percentage, err := strconv.Atoi(g.Attributes[prefix+"percentage"]); err == nil {
		if of := (registered*percentage + 99) / 100; of > least {
			least, why = of, fmt.Sprintf("%spercentage is %d", prefix, percentage)
		}
	}
	return least, why
}

// zoneFailOpen: without cross-zone load balancing each zone stands alone.
func zoneFailOpen(g *Group, _ Measured, d *Diagnosis) {
	if g.crossZone() || g.count(elb.Healthy) == 0 || slices.ContainsFunc(g.Targets, func(t Target) bool { return t.Zone == "" }) {
		return
	}
	for _, zone := range g.zones() {
		var here []Target
		healthy := false
		for _, t := range g.Targets {
			if t.Zone == zone || t.Zone == "all" {
				here = append(here, t)
				healthy = healthy || t.State == elb.Healthy
			}
		}
		if healthy {
			continue
		}
		what := "no target is healthy in the zone " + zone + ", and its node sends traffic to all of that zone all the same"
		if len(here) == 0 {
			what = "no target is in the zone " + zone + ", and its node has nobody to send traffic to"
		}
		d.note(Note{
			What: what, Targets: names(here), Seen: "cross-zone load balancing is off: each node sends traffic to its own zone alone",
			Way: "targets in every zone, or the group's attribute load_balancing.cross_zone.enabled true",
		})
	}
}

// crossZone tells whether nodes send traffic to other zones; true where it is
// not known.
func (g *Group) crossZone() bool {
	own, known := g.Attributes["load_balancing.cross_zone.enabled"]
	if own == "true" || own == "false" {
		return own == "true"
	}
	for _, b := range g.Balancers {
		if b.Attributes["load_balancing.cross_zone.enabled"] == "false" {
			return !known
		}
	}
	return true
}

func (g *Group) reasoned(reason elb.Reason) []string {
	var all []string
	for _, t := range g.Targets {
		if t.Reason == reason {
			all = append(all, t.Name())
		}
	}
	return all
}

func (g *Group) inState(states ...elb.State) []Target {
	return slices.DeleteFunc(slices.Clone(g.Targets), func(t Target) bool { return !slices.Contains(states, t.State) })
}

func names(targets []Target) []string {
	var all []string
	for _, t := range targets {
		all = append(all, t.Name())
	}
	return all
}
