package targetgroup

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elb"
	"hale/internal/explain"
)

// groupOf takes the settings. Wherever they are from, their texts are a
// stranger's, and made printable.
func groupOf(from types.TargetGroup) (Group, error) {
	g := Group{
		ARN: explain.Line(aws.ToString(from.TargetGroupArn)), Name: explain.Line(aws.ToString(from.TargetGroupName)),
		Kind: elb.Kind{
			Protocol: elb.Protocol(explain.Line(string(from.Protocol))), Version: elb.Version(explain.Line(aws.ToString(from.ProtocolVersion))),
			Targets: elb.TargetType(explain.Line(string(from.TargetType))),
		},
		Port: int(aws.ToInt32(from.Port)),
	}
	if g.Protocol == "" && g.Kind.Targets != elb.Lambda {
		g.Protocol = elb.HTTP
	}
	check := elb.HealthCheck{
		Disabled: from.HealthCheckEnabled != nil && !*from.HealthCheckEnabled,
		Protocol: elb.Protocol(explain.Line(string(from.HealthCheckProtocol))),
		Path:     aws.ToString(from.HealthCheckPath),
		Interval: seconds(from.HealthCheckIntervalSeconds), Timeout: seconds(from.HealthCheckTimeoutSeconds),
		Healthy: int(aws.ToInt32(from.HealthyThresholdCount)), Unhealthy: int(aws.ToInt32(from.UnhealthyThresholdCount)),
	}
	if from.Matcher != nil {
		check.Matcher = explain.Line(cmp.Or(aws.ToString(from.Matcher.GrpcCode), aws.ToString(from.Matcher.HttpCode)))
	}
	port, err := checkPort(aws.ToString(from.HealthCheckPort))
	if err != nil {
		return Group{}, err
	}
	check.Port = port
	for _, number := range []struct {
		setting  string
		is, most int
	}{
		{"Port", g.Port, 65535},
		{"HealthCheckIntervalSeconds", int(check.Interval / time.Second), 1e6},
		{"HealthCheckTimeoutSeconds", int(check.Timeout / time.Second), 1e6},
		{"HealthyThresholdCount", check.Healthy, 1e6},
		{"UnhealthyThresholdCount", check.Unhealthy, 1e6},
	} {
		if number.is < 0 || number.is > number.most {
			return Group{}, fmt.Errorf("%s: %d makes no sense: a number of 1 or more, or nothing for ELB's default", number.setting, number.is)
		}
	}
	if !printable(check.Path) {
		return Group{}, fmt.Errorf("HealthCheckPath: %q has bytes that no request line can hold", check.Path)
	}
	g.HealthCheck = check.WithDefaults(g.Kind)
	return g, nil
}

func seconds(n *int32) time.Duration { return time.Duration(aws.ToInt32(n)) * time.Second }

func checkPort(text string) (int, error) {
	if text == "" || text == "traffic-port" {
		return 0, nil
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("HealthCheckPort: %q is neither traffic-port nor a port", text)
	}
	return port, nil
}

func printable(path string) bool {
	return !strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

func (g *Group) addTargets(all []types.TargetHealthDescription) {
	g.HealthKnown = true
	for _, from := range all {
		if from.Target == nil {
			continue
		}
		t := Target{ID: explain.Line(aws.ToString(from.Target.Id)), Port: int(aws.ToInt32(from.Target.Port)), Zone: explain.Line(aws.ToString(from.Target.AvailabilityZone))}
		if t.Port == 0 {
			t.Port = g.Port
		}
		t.CheckPort = cmp.Or(g.HealthCheck.Port, t.Port)
		if port, err := checkPort(aws.ToString(from.HealthCheckPort)); err == nil && port != 0 {
			t.CheckPort = port
		}
		if address, err := netip.ParseAddr(t.ID); err == nil {
			t.Address = address
		}
		if h := from.TargetHealth; h != nil {
			t.State, t.Reason = elb.State(explain.Line(string(h.State))), elb.Reason(explain.Line(string(h.Reason)))
			t.Description = explain.Line(aws.ToString(h.Description))
		}
		if o := from.AdministrativeOverride; o != nil && o.State == types.TargetAdministrativeOverrideStateEnumZonalShiftActive {
			t.Override = explain.Line(cmp.Or(aws.ToString(o.Description), string(o.State)))
		}
		g.Targets = append(g.Targets, t)
	}
}

func balancerOf(from types.LoadBalancer) Balancer {
	b := Balancer{
		ARN: explain.Line(aws.ToString(from.LoadBalancerArn)), Name: explain.Line(aws.ToString(from.LoadBalancerName)), DNSName: explain.Line(aws.ToString(from.DNSName)),
		Type: elb.Balancer(explain.Line(string(from.Type))),
	}
	if from.State != nil {
		b.State, b.StateReason = explain.Line(string(from.State.Code)), explain.Line(aws.ToString(from.State.Reason))
	}
	for _, id := range from.SecurityGroups {
		b.SecurityGroups = append(b.SecurityGroups, explain.Line(id))
	}
	for _, zone := range from.AvailabilityZones {
		z := Zone{Name: explain.Line(aws.ToString(zone.ZoneName)), Subnet: explain.Line(aws.ToString(zone.SubnetId))}
		for _, address := range zone.LoadBalancerAddresses {
			if node, err := netip.ParseAddr(aws.ToString(address.PrivateIPv4Address)); err == nil && !z.Node.IsValid() {
				z.Node = node
			}
		}
		b.Zones = append(b.Zones, z)
	}
	return b
}

// addRoutes takes those of a listener's rules that forward to the group.
func (g *Group) addRoutes(balancer string, l types.Listener, rules []types.Rule) {
	for _, rule := range rules {
		weight, of, ok := share(rule.Actions, g.ARN)
		if !ok {
			continue
		}
		g.Routes = append(g.Routes, Route{
			Balancer: balancer, Protocol: explain.Line(string(l.Protocol)), Port: int(aws.ToInt32(l.Port)),
			Rule: explain.Line(aws.ToString(rule.Priority)), When: explain.Line(conditions(rule.Conditions)),
			Weight: weight, Of: of,
		})
	}
}

// share is how much of what some actions forward goes to a group. A group that
// is named without a weight gets all.
func share(actions []types.Action, arn string) (weight, of int, ok bool) {
	for _, action := range actions {
		if action.ForwardConfig != nil && len(action.ForwardConfig.TargetGroups) > 0 {
			for _, group := range action.ForwardConfig.TargetGroups {
				part := 1
				if group.Weight != nil {
					part = int(*group.Weight)
				}
				of += part
				if aws.ToString(group.TargetGroupArn) == arn {
					weight, ok = part, true
				}
			}
		} else if aws.ToString(action.TargetGroupArn) == arn {
			weight, of, ok = 1, 1, true
		}
	}
	return weight, of, ok
}

// conditions are a rule's, in one line.
func conditions(all []types.RuleCondition) string {
	var parts []string
	for _, c := range all {
		values := c.Values
		switch {
		case c.HostHeaderConfig != nil:
			values = c.HostHeaderConfig.Values
		case c.PathPatternConfig != nil:
			values = c.PathPatternConfig.Values
		case c.HttpRequestMethodConfig != nil:
			values = c.HttpRequestMethodConfig.Values
		case c.SourceIpConfig != nil:
			values = c.SourceIpConfig.Values
		case c.HttpHeaderConfig != nil:
			values = c.HttpHeaderConfig.Values
		}
		parts = append(parts, aws.ToString(c.Field)+" "+strings.Join(values, " or "))
	}
	return strings.Join(parts, ", ")
}
