package targetgroup

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb"
	"hale/internal/explain"
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
// that its instance names, or else all that were told and are not the load
// balancer's own.
func (g *Group) walls(t Target) []SecurityGroup {
	own := g.securityGroups()
	var walls []SecurityGroup
	for _, s := range g.SecurityGroups {
		if slices.Contains(t.SecurityGroups, s.ID) || len(t.SecurityGroups) == 0 && !slices.Contains(own, s.ID) {
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
		if t.CheckPort >= firstDynamicPort && g.Kind.Targets != elb.Addresses {
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
			Evidence: append([]Evidence{{Change: "describe-target-health, " + t.Name(), Before: t.Verdict()}},
				g.rulesAgainst(t, fmt.Sprintf("port %d from %s", t.CheckPort, from))...),
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
	way := "repair the check; give the service a grace period of at least twice the start, " +
		"aws ecs update-service --cluster CLUSTER --service " + service.Name + " --health-check-grace-period-seconds SECONDS; and let a deployment that fails end: deploymentCircuitBreaker with rollback"
	switch {
	case service.Stopped != "":
		d.find(Finding{
			ID:   "ecs-kill-loop",
			What: "ECS stops tasks of the service " + service.Name + " because they fail the load balancer's check, and starts others in their place", Way: way,
			Evidence: []Evidence{set, {Change: "describe-services: events", Before: service.Stopped}},
		})
	case known && grace == 0 && failing:
		d.find(Finding{
			ID:   "ecs-kill-loop",
			What: "the service has no grace period and its tasks fail the check, so ECS stops each as soon as the load balancer calls it unhealthy, and starts another", Way: way,
			Evidence: []Evidence{set},
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

// byECS tells whether ECS replaces the group's targets, as far as that is known:
// with targets of type ip it mostly does.
func (g *Group) byECS() bool {
	return g.Service != nil || g.Scaling == nil && g.Kind.Targets == elb.Addresses && g.Tags["elbv2.k8s.aws/cluster"] == ""
}

// The documents below are what the aws command prints of other services, as far
// as it is of use.

// serviceDocument is of aws ecs describe-services.
type serviceDocument struct {
	Name   string           `json:"serviceName"`
	Grace  *int32           `json:"healthCheckGracePeriodSeconds"`
	For    []servedDocument `json:"loadBalancers"`
	Events []struct {
		Message string `json:"message"`
	} `json:"events"`
}

// servedDocument is a target group that a service registers its tasks with.
type servedDocument struct {
	TargetGroup string `json:"targetGroupArn"`
}

// scalingDocument is of aws autoscaling describe-auto-scaling-groups.
type scalingDocument struct {
	Name  string   `json:"AutoScalingGroupName"`
	Type  string   `json:"HealthCheckType"`
	Grace *int32   `json:"HealthCheckGracePeriod"`
	For   []string `json:"TargetGroupARNs"`
}

// securityDocument is of aws ec2 describe-security-groups.
type securityDocument struct {
	ID    string `json:"GroupId"`
	Rules []struct {
		Protocol string `json:"IpProtocol"`
		First    *int   `json:"FromPort"`
		Last     *int   `json:"ToPort"`
		Ranges   []struct {
			CIDR string `json:"CidrIp"`
		} `json:"IpRanges"`
		Ranges6 []struct {
			CIDR string `json:"CidrIpv6"`
		} `json:"Ipv6Ranges"`
		Pairs []struct {
			ID string `json:"GroupId"`
		} `json:"UserIdGroupPairs"`
		Lists []struct{} `json:"PrefixListIds"`
	} `json:"IpPermissions"`
}

// reservationDocument is of aws ec2 describe-instances.
type reservationDocument struct {
	Instances []struct {
		ID      string `json:"InstanceId"`
		Address string `json:"PrivateIpAddress"`
		Groups  []struct {
			ID string `json:"GroupId"`
		} `json:"SecurityGroups"`
	} `json:"Instances"`
}

// stopped finds what ECS says of tasks that fail the load balancer's check (ECS
// guide, "Service event messages").
var stopped = regexp.MustCompile(`failed ELB health checks in \(target-group|is unhealthy in \(target-group`)

// fillAround puts what the file tells of other services into the group.
func (d *document) fillAround(g *Group) {
	for _, s := range d.Services {
		of := slices.ContainsFunc(s.For, func(d servedDocument) bool { return g.ARN == "" || d.TargetGroup == g.ARN })
		if g.Service != nil || !of && len(s.For) > 0 {
			continue
		}
		g.Service = &Service{Name: explain.Line(s.Name), Grace: max(0, seconds(s.Grace))}
		for _, e := range s.Events {
			if stopped.MatchString(e.Message) {
				g.Service.Stopped = explain.Line(e.Message)
				break // the newest stands first
			}
		}
	}
	for _, s := range d.AutoScalingGroups {
		if g.Scaling != nil || g.ARN != "" && len(s.For) > 0 && !slices.Contains(s.For, g.ARN) {
			continue
		}
		g.Scaling = &Scaling{Name: explain.Line(s.Name), Grace: max(0, seconds(s.Grace)), ByBalancer: strings.Contains(s.Type, "ELB")}
	}
	for _, s := range d.SecurityGroups {
		g.SecurityGroups = append(g.SecurityGroups, securityGroupOf(s))
	}
	for _, r := range d.Reservations {
		for _, i := range r.Instances {
			for n := range g.Targets {
				t := &g.Targets[n]
				if t.ID != i.ID && t.ID != i.Address {
					continue
				}
				if address, err := netip.ParseAddr(i.Address); err == nil && !t.Address.IsValid() {
					t.Address = address
				}
				for _, s := range i.Groups {
					t.SecurityGroups = append(t.SecurityGroups, explain.Line(s.ID))
				}
			}
		}
	}
}

func securityGroupOf(from securityDocument) SecurityGroup {
	s := SecurityGroup{ID: explain.Line(from.ID)}
	for _, rule := range from.Rules {
		a := Admission{First: 0, Last: 65535, Others: len(rule.Lists) > 0}
		switch rule.Protocol {
		case "tcp", "6":
			if rule.First != nil && rule.Last != nil && *rule.First >= 0 {
				a.First, a.Last = *rule.First, *rule.Last
			}
		case "-1": // all protocols, all ports
		default:
			continue
		}
		for _, pair := range rule.Pairs {
			a.Groups = append(a.Groups, explain.Line(pair.ID))
		}
		var ranges []string
		for _, r := range rule.Ranges {
			ranges = append(ranges, r.CIDR)
		}
		for _, r := range rule.Ranges6 {
			ranges = append(ranges, r.CIDR)
		}
		for _, text := range ranges {
			if network, err := netip.ParsePrefix(text); err == nil {
				a.Networks = append(a.Networks, network)
			} else {
				a.Others = true
			}
		}
		s.Rules = append(s.Rules, a)
	}
	return s
}
