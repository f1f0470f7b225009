package elbapi

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

func (a api) createTargetGroup(ctx context.Context, in *elbv2.CreateTargetGroupInput) (*elbv2.CreateTargetGroupOutput, error) {
	if err := first(
		required("Name", in.Name != nil),
		among("Protocol", in.Protocol), among("TargetType", in.TargetType), among("IpAddressType", in.IpAddressType),
		notOffered("TargetControlPort", in.TargetControlPort != nil),
	); err != nil {
		return nil, err
	}
	check, err := healthCheckFrom(healthSettings{
		in.HealthCheckEnabled, in.HealthCheckProtocol, in.HealthCheckPort, in.HealthCheckPath,
		in.HealthCheckIntervalSeconds, in.HealthCheckTimeoutSeconds, in.HealthyThresholdCount, in.UnhealthyThresholdCount, in.Matcher,
	})
	if err != nil {
		return nil, err
	}
	if err := fits(in.Matcher, elb.Version(aws.ToString(in.ProtocolVersion))); err != nil {
		return nil, err
	}
	check.Port = max(check.Port, 0)
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	made, err := change(ctx, a, func(e *inventory.Edit) (types.TargetGroup, error) {
		g, err := e.CreateGroup(inventory.NewGroup{
			Name: *in.Name,
			Kind: elb.Kind{
				Protocol: elb.Protocol(in.Protocol), Version: elb.Version(aws.ToString(in.ProtocolVersion)), Targets: elb.TargetType(in.TargetType),
			},
			Port: int(aws.ToInt32(in.Port)), VPC: aws.ToString(in.VpcId), IPAddressType: string(in.IpAddressType),
			HealthCheck: check, Tags: tags,
		})
		if err != nil {
			return types.TargetGroup{}, err
		}
		return targetGroup(e.Inventory())(g), nil
	})
	if err != nil {
		return nil, err
	}
	return &elbv2.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{made}}, nil
}

func (a api) describeTargetGroups(_ context.Context, in *elbv2.DescribeTargetGroupsInput) (*elbv2.DescribeTargetGroupsOutput, error) {
	ways := 0
	for _, given := range []bool{len(in.TargetGroupArns) > 0, len(in.Names) > 0, in.LoadBalancerArn != nil} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return nil, elb.Errorf(elb.CodeValidation, "Target group names, target group ARNs and a load balancer ARN cannot be specified at the same time")
	}
	if err := checkARNs(in.TargetGroupArns, elb.ARNGroup); err != nil {
		return nil, err
	}
	v := a.balancer.Inventory()
	all, ok := named(v.SortedGroups(),
		in.TargetGroupArns, func(g *inventory.Group) string { return g.ARN },
		in.Names, func(g *inventory.Group) string { return g.Name })
	if !ok {
		return nil, elb.Errorf("TargetGroupNotFound", "One or more target groups not found")
	}
	if in.LoadBalancerArn != nil {
		b, err := find(v.LoadBalancers, "LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
		if err != nil {
			return nil, err
		}
		users := v.BalancersOf()
		all = slices.DeleteFunc(slices.Clone(all), func(g *inventory.Group) bool { return users[g.ARN] != b.ARN })
	}
	part, next, err := page(all, func(g *inventory.Group) string { return g.Name }, in.Marker, in.PageSize)
	return &elbv2.DescribeTargetGroupsOutput{TargetGroups: each(part, targetGroup(v)), NextMarker: next}, err
}

func (a api) modifyTargetGroup(ctx context.Context, in *elbv2.ModifyTargetGroupInput) (*elbv2.ModifyTargetGroupOutput, error) {
	arn, err := arnAt("TargetGroupArn", in.TargetGroupArn, elb.ARNGroup)
	if err != nil {
		return nil, err
	}
	check, err := healthCheckFrom(healthSettings{
		in.HealthCheckEnabled, in.HealthCheckProtocol, in.HealthCheckPort, in.HealthCheckPath,
		in.HealthCheckIntervalSeconds, in.HealthCheckTimeoutSeconds, in.HealthyThresholdCount, in.UnhealthyThresholdCount, in.Matcher,
	})
	if err != nil {
		return nil, err
	}
	made, err := change(ctx, a, func(e *inventory.Edit) (types.TargetGroup, error) {
		if g := e.Inventory().Groups[arn]; g != nil {
			if err := fits(in.Matcher, g.Kind.Version); err != nil {
				return types.TargetGroup{}, err
			}
		}
		g, err := e.ModifyHealthCheck(arn, check)
		if err != nil {
			return types.TargetGroup{}, err
		}
		return targetGroup(e.Inventory())(g), nil
	})
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyTargetGroupOutput{TargetGroups: []types.TargetGroup{made}}, nil
}

func (a api) deleteTargetGroup(ctx context.Context, in *elbv2.DeleteTargetGroupInput) (*elbv2.DeleteTargetGroupOutput, error) {
	arn, err := arnAt("TargetGroupArn", in.TargetGroupArn, elb.ARNGroup)
	if err != nil {
		return nil, err
	}
	return &elbv2.DeleteTargetGroupOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error { return e.DeleteGroup(arn) })
}

func (a api) describeTargetGroupAttributes(_ context.Context, in *elbv2.DescribeTargetGroupAttributesInput) (*elbv2.DescribeTargetGroupAttributesOutput, error) {
	g, err := find(a.balancer.Inventory().Groups, "TargetGroupArn", in.TargetGroupArn, elb.ARNGroup)
	if err != nil {
		return nil, err
	}
	return &elbv2.DescribeTargetGroupAttributesOutput{Attributes: targetGroupAttributes(g)}, nil
}

func (a api) modifyTargetGroupAttributes(ctx context.Context, in *elbv2.ModifyTargetGroupAttributesInput) (*elbv2.ModifyTargetGroupAttributesOutput, error) {
	arn, err := arnAt("TargetGroupArn", in.TargetGroupArn, elb.ARNGroup)
	if err != nil {
		return nil, err
	}
	set, err := attributesFrom(in.Attributes, func(t types.TargetGroupAttribute) (key, value *string) { return t.Key, t.Value })
	if err != nil {
		return nil, err
	}
	g, err := change(ctx, a, func(e *inventory.Edit) (*inventory.Group, error) { return e.SetGroupAttributes(arn, set) })
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyTargetGroupAttributesOutput{Attributes: targetGroupAttributes(g)}, nil
}

func targetGroupAttributes(g *inventory.Group) []types.TargetGroupAttribute {
	return attributesOf(g.All(), func(key, value *string) types.TargetGroupAttribute {
		return types.TargetGroupAttribute{Key: key, Value: value}
	})
}

// healthSettings are the members that creating and modifying a group share.
type healthSettings struct {
	enabled                               *bool
	protocol                              types.ProtocolEnum
	port, path                            *string
	interval, timeout, healthy, unhealthy *int32
	matcher                               *types.Matcher
}

// trafficPort stands for the port that a target takes traffic on.
const trafficPort = "traffic-port"

// healthCheckFrom reads settings; what is not given is zero. A port that is given
// as the traffic's is inventory.TrafficPort.
func healthCheckFrom(s healthSettings) (elb.HealthCheck, error) {
	h := elb.HealthCheck{
		Disabled: s.enabled != nil && !*s.enabled,
		Protocol: elb.Protocol(s.protocol), Path: aws.ToString(s.path),
		Interval: time.Duration(aws.ToInt32(s.interval)) * time.Second,
		Timeout:  time.Duration(aws.ToInt32(s.timeout)) * time.Second,
		Healthy:  int(aws.ToInt32(s.healthy)), Unhealthy: int(aws.ToInt32(s.unhealthy)),
	}
	// To package inventory zero is what was not given: one that was is refused here.
	if err := first(
		among("HealthCheckProtocol", s.protocol),
		atLeast("HealthCheckIntervalSeconds", s.interval, 1), atLeast("HealthCheckTimeoutSeconds", s.timeout, 1),
		atLeast("HealthyThresholdCount", s.healthy, 1), atLeast("UnhealthyThresholdCount", s.unhealthy, 1),
	); err != nil {
		return h, err
	}
	if s.path != nil && *s.path == "" {
		return h, violation("''", "HealthCheckPath", "Member must have length greater than or equal to 1")
	}
	switch port := aws.ToString(s.port); {
	case s.port == nil:
	case port == trafficPort:
		h.Port = inventory.TrafficPort
	default:
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return h, elb.Errorf(elb.CodeValidation, "Health check port '%s' must be '%s' or a port between 1 and 65535", port, trafficPort)
		}
		h.Port = int(number)
	}
	if m := s.matcher; m != nil {
		if m.HttpCode != nil && m.GrpcCode != nil {
			return h, elb.Errorf(elb.CodeValidation, "A matcher has either an HTTP code or a gRPC code")
		}
		h.Matcher = aws.ToString(m.HttpCode) + aws.ToString(m.GrpcCode)
		if h.Matcher == "" {
			return h, elb.Errorf(elb.CodeValidation, "A matcher must have an HTTP code or a gRPC code")
		}
	}
	return h, nil
}

// fits refuses codes of gRPC for groups that do not speak it. Codes of HTTP for those
// that do are held to gRPC's range, as AWS does.
func fits(m *types.Matcher, version elb.Version) error {
	if m == nil || m.GrpcCode == nil || version == elb.GRPC {
		return nil
	}
	return elb.Errorf(elb.CodeValidation, "A matcher has a gRPC code for target groups of protocol version GRPC alone")
}

// targetGroup tells target groups of an inventory.
func targetGroup(v *inventory.Inventory) func(*inventory.Group) types.TargetGroup {
	users := v.BalancersOf()
	return func(g *inventory.Group) types.TargetGroup {
		h := g.HealthCheck
		told := types.TargetGroup{
			TargetGroupArn:             &g.ARN,
			TargetGroupName:            &g.Name,
			Protocol:                   types.ProtocolEnum(g.Kind.Protocol),
			Port:                       number(g.Port),
			TargetType:                 types.TargetTypeEnum(g.Kind.Targets),
			IpAddressType:              types.TargetGroupIpAddressTypeEnum(g.IPAddressType),
			VpcId:                      text(g.VPC),
			ProtocolVersion:            text(string(g.Kind.Version)),
			LoadBalancerArns:           []string{},
			HealthCheckEnabled:         new(!h.Disabled),
			HealthCheckProtocol:        types.ProtocolEnum(h.Protocol),
			HealthCheckPort:            new(trafficPort),
			HealthCheckPath:            text(h.Path),
			HealthCheckIntervalSeconds: number(int(h.Interval.Seconds())),
			HealthCheckTimeoutSeconds:  number(int(h.Timeout.Seconds())),
			HealthyThresholdCount:      number(h.Healthy),
			UnhealthyThresholdCount:    number(h.Unhealthy),
		}
		if user := users[g.ARN]; user != "" {
			told.LoadBalancerArns = []string{user}
		}
		if h.Port != 0 {
			told.HealthCheckPort = new(strconv.Itoa(h.Port))
		}
		switch {
		case h.Matcher == "":
		case g.Kind.Version == elb.GRPC:
			told.Matcher = &types.Matcher{GrpcCode: &h.Matcher}
		default:
			told.Matcher = &types.Matcher{HttpCode: &h.Matcher}
		}
		return told
	}
}
