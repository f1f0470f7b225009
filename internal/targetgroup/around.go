package targetgroup

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb"
)

// Service is the service of ECS whose tasks are a group's targets.
type Service struct {
	Name string
	// Grace is how long after a task's start ECS ignores the load balancer's
	// verdict; 0 unless it was set.
	Grace time.Duration
	// Stopped is what ECS last said of a task that the load balancer called
	// unhealthy; "": nothing.
	Stopped string
	// Deploying is the deployment that is under way, where tasks of it failed; ""
	// for none. Breaker tells that ECS gives such a one up.
	Deploying string
	Breaker   bool
	// Task is what its tasks are made of; nil: not known.
	Task *Task
}

// Task is a task definition of ECS, as far as it is about the group.
type Task struct {
	Name string
	// Port is the container's that the group's targets have, HostPort the
	// instance's that leads there; 0: ECS chooses one for each task.
	Port, HostPort int
	// Check is the container's own health check, "" if it has none.
	Check string
}

// Scaling is the Auto Scaling group whose instances are a group's targets.
type Scaling struct {
	Name  string
	Grace time.Duration
	// ByBalancer tells that it replaces instances that the load balancer calls
	// unhealthy; else it looks at the instance's own state alone.
	ByBalancer bool
}

// SecurityGroup is what a security group lets in over TCP.
type SecurityGroup struct {
	ID    string
	Rules []Admission
}

// Admission lets in who comes from one of its sources to one of its ports.
type Admission struct {
	First, Last int
	// Groups are security groups, Networks address ranges. Others tells of
	// sources that cannot be told from here, such as prefix lists.
	Groups   []string
	Networks []netip.Prefix
	Others   bool
}

func (a Admission) String() string {
	text := "port " + strconv.Itoa(a.First)
	switch {
	case a.First == 0 && a.Last == 65535:
		text = "all ports"
	case a.First != a.Last:
		text = fmt.Sprintf("ports %d-%d", a.First, a.Last)
	}
	var from []string
	from = append(from, a.Groups...)
	for _, n := range a.Networks {
		from = append(from, n.String())
	}
	if a.Others {
		from = append(from, "a prefix list")
	}
	return text + " from " + cmp.Or(strings.Join(from, ", "), "nobody")
}

// Admits tells whether the group's rules let a load balancer in on a port.
// Address ranges and lists may hold its nodes, so they count as if they did.
func (s SecurityGroup) Admits(port int, balancer []string) bool {
	return slices.ContainsFunc(s.Rules, func(a Admission) bool {
		if port < a.First || port > a.Last {
			return false
		}
		return a.Others || len(a.Networks) > 0 || len(a.Groups) > 0 && len(balancer) == 0 ||
			slices.ContainsFunc(a.Groups, func(id string) bool { return slices.Contains(balancer, id) })
	})
}

func (s SecurityGroup) String() string {
	var rules []string
	for _, a := range s.Rules {
		rules = append(rules, a.String())
	}
	return cmp.Or(strings.Join(rules, "; "), "nothing over TCP")
}

// walls are the security groups of a target, as far as they are known: those
// that it is known to have, or else, where that is known of no target, all that
// were told and are not the load balancer's own.
func (g *Group) walls(t Target) []SecurityGroup {
	own := g.securityGroups()
	anyone := !slices.ContainsFunc(g.Targets, func(t Target) bool { return len(t.SecurityGroups) > 0 })
	var walls []SecurityGroup
	for _, s := range g.SecurityGroups {
		if slices.Contains(t.SecurityGroups, s.ID) || anyone && !slices.Contains(own, s.ID) {
			walls = append(walls, s)
		}
	}
	if len(walls) < len(t.SecurityGroups) {
		return nil // one that is not known may let it in
	}
	return walls
}

// shut tells whether no security group of the target lets the load balancer in.
func (g *Group) shut(t Target) bool {
	walls := g.walls(t)
	return len(walls) > 0 && !slices.ContainsFunc(walls, func(s SecurityGroup) bool { return s.Admits(t.CheckPort, g.securityGroups()) })
}

// shutOut: the rules of the targets' security groups were told, and let nobody
// in. Ports that ECS gave have a name of their own.
func shutOut(g *Group, targets []Target, d *Diagnosis) {
	var dynamic, fixed []Target
	for _, t := range targets {
		if g.chosen(t) {
			dynamic = append(dynamic, t)
		} else {
			fixed = append(fixed, t)
		}
	}
	from := cmp.Or(strings.Join(g.securityGroups(), ", "), "the load balancer's subnets")
	if len(dynamic) > 0 {
		t := dynamic[0]
		d.find(Finding{
			ID: "ecs-dynamic-port-sg", Targets: names(dynamic),
			What: fmt.Sprintf("ECS gave the task port %d, and the instance's security group admits other ports only", t.CheckPort),
			Way:  "let the instance's security group admit 32768-65535 from " + from,
			Evidence: slices.Concat([]Evidence{{Change: "describe-target-health, " + t.Name(), Before: t.Verdict()}},
				g.rulesAgainst(t, fmt.Sprintf("port %d from %s", t.CheckPort, from)), g.chosenBy()),
		})
	}
	if len(fixed) > 0 {
		t := fixed[0]
		d.find(Finding{
			ID: "firewall-drop", Targets: names(fixed),
			What: fmt.Sprintf("no security group of the target admits the load balancer on port %d", t.CheckPort),
			Way:  fmt.Sprintf("add a rule to one of them: TCP %d from %s", t.CheckPort, from),
			Evidence: append([]Evidence{{Change: "describe-target-health, " + t.Name(), Before: t.Verdict()}},
				g.rulesAgainst(t, fmt.Sprintf("port %d from %s", t.CheckPort, from))...),
		})
	}
}

// chosen tells whether ECS chose the port of a target: its task definition says
// so, or else the port is one of those that it takes, and nobody else is known to
// register targets.
func (g *Group) chosen(t Target) bool {
	switch {
	case g.Kind.Targets == elb.Addresses, g.Scaling != nil, g.Service == nil && g.ServiceAsked == Answered:
		return false
	case g.Service != nil && g.Service.Task != nil:
		return g.Service.Task.HostPort == 0
	default:
		return t.CheckPort >= firstDynamicPort
	}
}

func (g *Group) chosenBy() []Evidence {
	if g.Service == nil || g.Service.Task == nil {
		return nil
	}
	task := g.Service.Task
	return []Evidence{{Change: fmt.Sprintf("task definition %s, container port %d", task.Name, task.Port), Before: "no host port of its own: ECS chooses one for each task"}}
}

func (g *Group) rulesAgainst(t Target, need string) []Evidence {
	var seen []Evidence
	for _, s := range g.walls(t) {
		seen = append(seen, Evidence{Change: "security group " + s.ID + " admits", Before: s.String(), After: need})
	}
	return seen
}

// killLoop: ECS stops a task that the load balancer calls unhealthy, once the
// service's grace period is over.
func killLoop(g *Group, m Measured, d *Diagnosis) {
	if !g.byECS() || slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.ID == "ecs-kill-loop" }) {
		return
	}
	service := Service{Name: "SERVICE"} // for a command to paste, where it is not known
	if g.Service != nil {
		service = *g.Service
	}
	grace, known := g.Timing(m).Grace.Get()
	failing := slices.Contains(slices.Collect(maps.Values(m.Passed)), false)
	set := Evidence{Change: "the service's grace period (healthCheckGracePeriodSeconds)", Before: grace.String()}
	seen := []Evidence{set}
	if service.Deploying != "" {
		seen = append(seen, Evidence{Change: "describe-services: deployments", Before: service.Deploying})
	}
	way := "repair the check; give the service a grace period of at least twice the start, " +
		"aws ecs update-service --cluster CLUSTER --service " + service.Name + " --health-check-grace-period-seconds SECONDS"
	if !service.Breaker {
		way += "; and let a deployment that fails end: deploymentCircuitBreaker with rollback"
	}
	switch {
	case service.Stopped != "":
		d.find(Finding{
			ID:   "ecs-kill-loop",
			What: "ECS stops tasks of the service " + service.Name + " because they fail the load balancer's check, and starts others in their place", Way: way,
			Evidence: append(seen, Evidence{Change: "describe-services: events", Before: service.Stopped}),
		})
	case known && grace == 0 && failing:
		d.find(Finding{
			ID:   "ecs-kill-loop",
			What: "the service has no grace period and its tasks fail the check, so ECS stops each as soon as the load balancer calls it unhealthy, and starts another", Way: way,
			Evidence: seen,
		})
	}
}

// notReplaced: an Auto Scaling group that does not heed the load balancer.
func notReplaced(g *Group, _ Measured, d *Diagnosis) {
	bad := g.inState(elb.Unhealthy)
	if g.Scaling == nil || g.Scaling.ByBalancer || len(bad) == 0 {
		return
	}
	d.note(Note{
		What: "Auto Scaling does not replace instances that the load balancer calls unhealthy: it looks at their own state alone", Targets: names(bad),
		Seen: "HealthCheckType of " + g.Scaling.Name + " is EC2",
		Way:  "aws autoscaling update-auto-scaling-group --auto-scaling-group-name " + g.Scaling.Name + " --health-check-type ELB, with a grace period longer than the start",
	})
}

// checkedTwice: a container may have a check of its own, which no load balancer
// knows of.
func checkedTwice(g *Group, _ Measured, d *Diagnosis) {
	if g.Service == nil || g.Service.Task == nil || g.Service.Task.Check == "" || !g.ailing() {
		return
	}
	d.note(Note{
		What: "ECS also ends a task whose container fails the check of its task definition, whatever the load balancer says of it",
		Seen: "task definition " + g.Service.Task.Name + ": " + g.Service.Task.Check,
		Way:  "look whether the image has what that command needs: hale doctor --from-inside, where the container runs",
	})
}

// byECS tells whether ECS replaces the group's targets, as far as that is known:
// with targets of type ip it mostly does.
func (g *Group) byECS() bool {
	return g.Service != nil || g.Scaling == nil && g.ServiceAsked != Answered && g.Kind.Targets == elb.Addresses && g.Tags["elbv2.k8s.aws/cluster"] == ""
}
