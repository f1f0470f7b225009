package targetgroup

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"hale/internal/explain"
)

// The documents below are what the aws command prints of other services, as far
// as it is of use. Their APIs tell the same: that of ECS in the same words, the
// others in XML.

// serviceDocument is of aws ecs describe-services.
type serviceDocument struct {
	Name   string           `json:"serviceName"`
	Grace  *int32           `json:"healthCheckGracePeriodSeconds"`
	For    []servedDocument `json:"loadBalancers"`
	Events []struct {
		Message string `json:"message"`
	} `json:"events"`
	Task string `json:"taskDefinition"`
	// Sets have the target groups of a service that is deployed by others than ECS.
	Sets []struct {
		For []servedDocument `json:"loadBalancers"`
	} `json:"taskSets"`
	Deployments []struct {
		Status string `json:"rolloutState"`
		Reason string `json:"rolloutStateReason"`
		Failed int    `json:"failedTasks"`
	} `json:"deployments"`
	Configuration struct {
		Breaker struct {
			Enabled bool `json:"enable"`
		} `json:"deploymentCircuitBreaker"`
	} `json:"deploymentConfiguration"`
}

// servedDocument is a target group that a service registers its tasks with, and
// for a blue/green deployment the other one.
type servedDocument struct {
	TargetGroup string `json:"targetGroupArn"`
	Container   string `json:"containerName"`
	Port        int    `json:"containerPort"`
	Advanced    struct {
		Alternate string `json:"alternateTargetGroupArn"`
	} `json:"advancedConfiguration"`
}

// served are all target groups of a service.
func (s *serviceDocument) served() []servedDocument {
	all := slices.Clone(s.For)
	for _, set := range s.Sets {
		all = append(all, set.For...)
	}
	return all
}

func (s *serviceDocument) registersWith(arn string) bool {
	return slices.ContainsFunc(s.served(), func(d servedDocument) bool { return d.TargetGroup == arn || d.Advanced.Alternate == arn })
}

// taskDocument is of aws ecs describe-task-definition.
type taskDocument struct {
	ARN        string `json:"taskDefinitionArn"`
	Family     string `json:"family"`
	Revision   int    `json:"revision"`
	Containers []struct {
		Name  string `json:"name"`
		Ports []struct {
			Port     int `json:"containerPort"`
			HostPort int `json:"hostPort"`
		} `json:"portMappings"`
		Check *struct {
			Command     []string `json:"command"`
			Interval    int      `json:"interval"`
			Retries     int      `json:"retries"`
			StartPeriod int      `json:"startPeriod"`
		} `json:"healthCheck"`
	} `json:"containerDefinitions"`
}

// scalingDocument is of aws autoscaling describe-auto-scaling-groups.
type scalingDocument struct {
	Name    string           `json:"AutoScalingGroupName"   xml:"AutoScalingGroupName"`
	Type    string           `json:"HealthCheckType"        xml:"HealthCheckType"`
	Grace   *int32           `json:"HealthCheckGracePeriod" xml:"HealthCheckGracePeriod"`
	For     []string         `json:"TargetGroupARNs"        xml:"TargetGroupARNs>member"`
	Sources []sourceDocument `json:"TrafficSources"         xml:"TrafficSources>member"`
}

// sourceDocument is the newer form of a target group that it registers with.
type sourceDocument struct {
	Identifier string `json:"Identifier" xml:"Identifier"`
}

func (s *scalingDocument) registersWith(arn string) bool {
	return slices.Contains(s.For, arn) || slices.Contains(s.Sources, sourceDocument{arn})
}

// securityDocument is of aws ec2 describe-security-groups.
type securityDocument struct {
	ID    string `json:"GroupId" xml:"groupId"`
	Rules []struct {
		Protocol string `json:"IpProtocol" xml:"ipProtocol"`
		First    *int   `json:"FromPort"   xml:"fromPort"`
		Last     *int   `json:"ToPort"     xml:"toPort"`
		Ranges   []struct {
			CIDR string `json:"CidrIp" xml:"cidrIp"`
		} `json:"IpRanges" xml:"ipRanges>item"`
		Ranges6 []struct {
			CIDR string `json:"CidrIpv6" xml:"cidrIpv6"`
		} `json:"Ipv6Ranges" xml:"ipv6Ranges>item"`
		Pairs []nameDocument `json:"UserIdGroupPairs" xml:"groups>item"`
		Lists []struct{}     `json:"PrefixListIds"    xml:"prefixListIds>item"`
	} `json:"IpPermissions" xml:"ipPermissions>item"`
}

// nameDocument names a security group.
type nameDocument struct {
	ID string `json:"GroupId" xml:"groupId"`
}

// reservationDocument is of aws ec2 describe-instances.
type reservationDocument struct {
	Instances []struct {
		ID      string         `json:"InstanceId"       xml:"instanceId"`
		Address string         `json:"PrivateIpAddress" xml:"privateIpAddress"`
		Groups  []nameDocument `json:"SecurityGroups"   xml:"groupSet>item"`
	} `json:"Instances" xml:"instancesSet>item"`
}

// interfaceDocument is of aws ec2 describe-network-interfaces.
type interfaceDocument struct {
	Addresses []struct {
		Address string `json:"PrivateIpAddress" xml:"privateIpAddress"`
	} `json:"PrivateIpAddresses" xml:"privateIpAddressesSet>item"`
	Addresses6 []struct {
		Address string `json:"Ipv6Address" xml:"ipv6Address"`
	} `json:"Ipv6Addresses" xml:"ipv6AddressesSet>item"`
	Groups []nameDocument `json:"Groups" xml:"groupSet>item"`
}

// has tells whether the interface has an address.
func (i *interfaceDocument) has(address netip.Addr) bool {
	var all []string
	for _, a := range i.Addresses {
		all = append(all, a.Address)
	}
	for _, a := range i.Addresses6 {
		all = append(all, a.Address)
	}
	return slices.ContainsFunc(all, func(text string) bool {
		own, err := netip.ParseAddr(text)
		return err == nil && own == address
	})
}

// stopped finds what ECS says of tasks that fail the load balancer's check (ECS
// guide, "Service event messages").
var stopped = regexp.MustCompile(`failed ELB health checks in \(target-group|is unhealthy in \(target-group`)

// fillAround puts what other services tell into the group. What is known already
// stays.
func (d *document) fillAround(g *Group) {
	for _, s := range d.Services {
		if g.Service == nil && (g.ARN == "" || len(s.served()) == 0 || s.registersWith(g.ARN)) {
			g.Service = d.serviceOf(s, g.ARN)
		}
	}
	for _, s := range d.AutoScalingGroups {
		if g.Scaling == nil && (g.ARN == "" || len(s.For)+len(s.Sources) == 0 || s.registersWith(g.ARN)) {
			g.Scaling = &Scaling{Name: explain.Line(s.Name), Grace: max(0, seconds(s.Grace)), ByBalancer: strings.Contains(s.Type, "ELB")}
		}
	}
	for _, s := range d.SecurityGroups {
		g.SecurityGroups = append(g.SecurityGroups, securityGroupOf(s))
	}
	for n := range g.Targets {
		d.fillTarget(&g.Targets[n])
	}
}

// fillTarget adds where a target is, and which security groups it has.
func (d *document) fillTarget(t *Target) {
	known := len(t.SecurityGroups) > 0
	wear := func(groups []nameDocument) {
		for _, s := range groups {
			if id := explain.Line(s.ID); !known && !slices.Contains(t.SecurityGroups, id) {
				t.SecurityGroups = append(t.SecurityGroups, id)
			}
		}
	}
	for _, r := range d.Reservations {
		for _, i := range r.Instances {
			if t.ID != i.ID && t.ID != i.Address {
				continue
			}
			if address, err := netip.ParseAddr(i.Address); err == nil && !t.Address.IsValid() {
				t.Address = address
			}
			wear(i.Groups)
		}
	}
	for _, i := range d.NetworkInterfaces {
		if t.Address.IsValid() && i.has(t.Address) {
			wear(i.Groups)
		}
	}
}

// serviceOf takes a service, with its task definition where that was told.
func (d *document) serviceOf(from serviceDocument, arn string) *Service {
	s := &Service{Name: explain.Line(from.Name), Grace: max(0, seconds(from.Grace)), Breaker: from.Configuration.Breaker.Enabled}
	for _, e := range from.Events {
		if stopped.MatchString(e.Message) {
			s.Stopped = explain.Line(e.Message)
			break // the newest stands first
		}
	}
	for _, one := range from.Deployments {
		if one.Failed > 0 && s.Deploying == "" {
			s.Deploying = explain.Line(fmt.Sprintf("%s, failed tasks: %d (%s)", one.Status, one.Failed, one.Reason))
		}
	}
	for _, served := range from.served() {
		if arn == "" || served.TargetGroup == arn || served.Advanced.Alternate == arn {
			s.Task = d.taskOf(from.Task, served)
			break
		}
	}
	return s
}

// taskOf finds the port and the check of the container that a target group leads
// to; nil: its task definition was not told.
func (d *document) taskOf(name string, served servedDocument) *Task {
	for _, t := range d.TaskDefinitions {
		short := fmt.Sprintf("%s:%d", t.Family, t.Revision)
		if name != t.ARN && name != short {
			continue
		}
		for _, c := range t.Containers {
			for _, p := range c.Ports {
				if c.Name != served.Container || p.Port != served.Port {
					continue
				}
				task := &Task{Name: explain.Line(short), Port: p.Port, HostPort: p.HostPort}
				if c.Check != nil {
					task.Check = explain.Line(fmt.Sprintf("%s; every %ds, %d times, after %ds for the start",
						strings.Join(c.Check.Command, " "), c.Check.Interval, c.Check.Retries, c.Check.StartPeriod))
				}
				return task
			}
		}
	}
	return nil
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
