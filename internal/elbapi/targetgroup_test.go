package elbapi_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elb"
)

// refused tells whether an error is the SDK's type for a code.
func refused[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

const groupNotThere = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/none/0123456789abcdef"

// group is a group as it is by default, as XML.
func groupAsXML(name, arn, user string) string {
	if user != "" {
		user = "<member>" + user + "</member>"
	}
	return `<member><HealthCheckEnabled>true</HealthCheckEnabled><HealthCheckIntervalSeconds>30</HealthCheckIntervalSeconds><HealthCheckPath>/</HealthCheckPath>
		<HealthCheckPort>traffic-port</HealthCheckPort><HealthCheckProtocol>HTTP</HealthCheckProtocol><HealthCheckTimeoutSeconds>5</HealthCheckTimeoutSeconds>
		<HealthyThresholdCount>5</HealthyThresholdCount><IpAddressType>ipv4</IpAddressType><LoadBalancerArns>` + user + `</LoadBalancerArns>
		<Matcher><HttpCode>200</HttpCode></Matcher><Port>8000</Port><Protocol>HTTP</Protocol><ProtocolVersion>HTTP1</ProtocolVersion>
		<TargetGroupArn>` + arn + `</TargetGroupArn><TargetGroupName>` + name + `</TargetGroupName><TargetType>ip</TargetType><UnhealthyThresholdCount>2</UnhealthyThresholdCount></member>`
}

func TestTargetGroups(t *testing.T) {
	create := func(in elbv2.CreateTargetGroupInput) ask {
		return asking((*elbv2.Client).CreateTargetGroup, func(*site) *elbv2.CreateTargetGroupInput { return &in })
	}
	describe := func(in func(*site) *elbv2.DescribeTargetGroupsInput) ask {
		return asking((*elbv2.Client).DescribeTargetGroups, in)
	}
	modify := func(in elbv2.ModifyTargetGroupInput) ask {
		return asking((*elbv2.Client).ModifyTargetGroup, func(s *site) *elbv2.ModifyTargetGroupInput {
			if in.TargetGroupArn == nil {
				in.TargetGroupArn = &s.blue
			}
			return &in
		})
	}
	hold(t, []answer{
		{
			"with all settings",
			create(elbv2.CreateTargetGroupInput{
				Name: new("calls"), Protocol: types.ProtocolEnumHttp, ProtocolVersion: new("GRPC"), Port: aws.Int32(9000), VpcId: new("vpc-1"), IpAddressType: types.TargetGroupIpAddressTypeEnumIpv6,
				TargetType: types.TargetTypeEnumIp, HealthCheckEnabled: aws.Bool(true), HealthCheckProtocol: types.ProtocolEnumHttps, HealthCheckPort: new("9001"), HealthCheckPath: new("/a.B/c"),
				HealthCheckIntervalSeconds: aws.Int32(10), HealthCheckTimeoutSeconds: aws.Int32(9), HealthyThresholdCount: aws.Int32(3), UnhealthyThresholdCount: aws.Int32(4), Matcher: &types.Matcher{GrpcCode: new("0-5")},
			}),
			`<TargetGroups><member><HealthCheckEnabled>true</HealthCheckEnabled><HealthCheckIntervalSeconds>10</HealthCheckIntervalSeconds><HealthCheckPath>/a.B/c</HealthCheckPath>
			<HealthCheckPort>9001</HealthCheckPort><HealthCheckProtocol>HTTPS</HealthCheckProtocol><HealthCheckTimeoutSeconds>9</HealthCheckTimeoutSeconds><HealthyThresholdCount>3</HealthyThresholdCount>
			<IpAddressType>ipv6</IpAddressType><LoadBalancerArns></LoadBalancerArns><Matcher><GrpcCode>0-5</GrpcCode></Matcher><Port>9000</Port><Protocol>HTTP</Protocol><ProtocolVersion>GRPC</ProtocolVersion>
			<TargetGroupArn>arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/calls/#</TargetGroupArn><TargetGroupName>calls</TargetGroupName><TargetType>ip</TargetType><UnhealthyThresholdCount>4</UnhealthyThresholdCount><VpcId>vpc-1</VpcId></member></TargetGroups>`,
		},
		{
			"of a network load balancer, whose check knows no path",
			create(elbv2.CreateTargetGroupInput{Name: new("tcp"), Protocol: types.ProtocolEnumTcp, Port: aws.Int32(5432), HealthCheckPort: new("traffic-port")}),
			`<TargetGroups><member><HealthCheckEnabled>true</HealthCheckEnabled><HealthCheckIntervalSeconds>30</HealthCheckIntervalSeconds>
			<HealthCheckPort>traffic-port</HealthCheckPort><HealthCheckProtocol>TCP</HealthCheckProtocol><HealthCheckTimeoutSeconds>10</HealthCheckTimeoutSeconds><HealthyThresholdCount>5</HealthyThresholdCount>
			<IpAddressType>ipv4</IpAddressType><LoadBalancerArns></LoadBalancerArns><Port>5432</Port><Protocol>TCP</Protocol>
			<TargetGroupArn>arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/tcp/#</TargetGroupArn><TargetGroupName>tcp</TargetGroupName><TargetType>instance</TargetType><UnhealthyThresholdCount>2</UnhealthyThresholdCount></member></TargetGroups>`,
		},
		{
			"the same again is the one that is there",
			create(elbv2.CreateTargetGroupInput{Name: new("blue"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(8000), TargetType: types.TargetTypeEnumIp}),
			"<TargetGroups>" + groupAsXML("blue", "BLUE", "LB") + "</TargetGroups>",
		},
		{
			"another of the same name",
			create(elbv2.CreateTargetGroupInput{Name: new("blue"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(8001), TargetType: types.TargetTypeEnumIp}),
			"DuplicateTargetGroupName: A target group with the same name 'blue' exists, but with different settings",
		},
		{
			"a name that is too long",
			create(elbv2.CreateTargetGroupInput{Name: new("aaaaaaaaaabbbbbbbbbbccccccccccddd"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(1)}),
			"ValidationError: Target group name 'aaaaaaaaaabbbbbbbbbbccccccccccddd' cannot be longer than '32' characters",
		},
		{
			"an unknown protocol",
			create(elbv2.CreateTargetGroupInput{Name: new("x"), Protocol: "HTTP3", Port: aws.Int32(1)}),
			"ValidationError: 1 validation error detected: Value 'HTTP3' at 'protocol' failed to satisfy constraint: Member must satisfy enum value set: [HTTP, HTTPS, TCP, TLS, UDP, TCP_UDP, GENEVE, QUIC, TCP_QUIC]",
		},
		{
			"functions",
			create(elbv2.CreateTargetGroupInput{Name: new("x"), TargetType: types.TargetTypeEnumLambda}),
			"InvalidConfigurationRequest: Targets of type 'lambda' are not offered here: instance or ip",
		},
		{
			"an interval of 0, which is not the default",
			create(elbv2.CreateTargetGroupInput{Name: new("x"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(1), HealthCheckIntervalSeconds: aws.Int32(0)}),
			"ValidationError: 1 validation error detected: Value '0' at 'healthCheckIntervalSeconds' failed to satisfy constraint: Member must have value greater than or equal to 1",
		},
		{
			"a port that is none",
			create(elbv2.CreateTargetGroupInput{Name: new("x"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(1), HealthCheckPort: new("http")}),
			"ValidationError: Health check port 'http' must be 'traffic-port' or a port between 1 and 65535",
		},
		{
			"an empty path",
			create(elbv2.CreateTargetGroupInput{Name: new("x"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(1), HealthCheckPath: new("")}),
			"ValidationError: 1 validation error detected: Value '' at 'healthCheckPath' failed to satisfy constraint: Member must have length greater than or equal to 1",
		},
		{
			"a matcher of both kinds",
			create(elbv2.CreateTargetGroupInput{Name: new("x"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(1), Matcher: &types.Matcher{HttpCode: new("200"), GrpcCode: new("0")}}),
			"ValidationError: A matcher has either an HTTP code or a gRPC code",
		},
		{
			"a matcher of gRPC for HTTP",
			create(elbv2.CreateTargetGroupInput{Name: new("x"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(1), Matcher: &types.Matcher{GrpcCode: new("200")}}),
			"ValidationError: A matcher has a gRPC code for target groups of protocol version GRPC alone",
		},
		{
			"a matcher of gRPC for HTTP, later",
			asking((*elbv2.Client).ModifyTargetGroup, func(s *site) *elbv2.ModifyTargetGroupInput {
				return &elbv2.ModifyTargetGroupInput{TargetGroupArn: &s.blue, Matcher: &types.Matcher{GrpcCode: new("200")}}
			}),
			"ValidationError: A matcher has a gRPC code for target groups of protocol version GRPC alone",
		},
		{
			"all, by name",
			describe(func(*site) *elbv2.DescribeTargetGroupsInput { return &elbv2.DescribeTargetGroupsInput{} }),
			"<TargetGroups>" + groupAsXML("blue", "BLUE", "LB") + groupAsXML("green", "GREEN", "LB") + groupAsXML("spare", "SPARE", "") + "</TargetGroups>",
		},
		{
			"those of a load balancer",
			describe(func(s *site) *elbv2.DescribeTargetGroupsInput {
				return &elbv2.DescribeTargetGroupsInput{LoadBalancerArn: &s.lb}
			}),
			"<TargetGroups>" + groupAsXML("blue", "BLUE", "LB") + groupAsXML("green", "GREEN", "LB") + "</TargetGroups>",
		},
		{
			"one, by its ARN",
			describe(func(s *site) *elbv2.DescribeTargetGroupsInput {
				return &elbv2.DescribeTargetGroupsInput{TargetGroupArns: []string{s.spare}}
			}),
			"<TargetGroups>" + groupAsXML("spare", "SPARE", "") + "</TargetGroups>",
		},
		{
			"of a load balancer that is not there",
			describe(func(*site) *elbv2.DescribeTargetGroupsInput {
				return &elbv2.DescribeTargetGroupsInput{LoadBalancerArn: new(notThere)}
			}),
			"LoadBalancerNotFound: One or more load balancers not found",
		},
		{
			"a name that is not there",
			describe(func(*site) *elbv2.DescribeTargetGroupsInput {
				return &elbv2.DescribeTargetGroupsInput{Names: []string{"blue", "none"}}
			}),
			"TargetGroupNotFound: One or more target groups not found",
		},
		{
			"by two kinds of names",
			describe(func(s *site) *elbv2.DescribeTargetGroupsInput {
				return &elbv2.DescribeTargetGroupsInput{Names: []string{"blue"}, LoadBalancerArn: &s.lb}
			}),
			"ValidationError: Target group names, target group ARNs and a load balancer ARN cannot be specified at the same time",
		},
		{
			"by another thing's ARN",
			describe(func(s *site) *elbv2.DescribeTargetGroupsInput {
				return &elbv2.DescribeTargetGroupsInput{TargetGroupArns: []string{s.lb}}
			}),
			"ValidationError: 'LB' is not a valid target group ARN",
		},
		{
			"a setting is changed",
			modify(elbv2.ModifyTargetGroupInput{HealthCheckPort: new("8080")}),
			"<TargetGroups>" + replaced(groupAsXML("blue", "BLUE", "LB"), "traffic-port", "8080") + "</TargetGroups>",
		},
		{
			"a time-out that is longer than the interval",
			modify(elbv2.ModifyTargetGroupInput{HealthCheckTimeoutSeconds: aws.Int32(31)}),
			"ValidationError: HealthCheckTimeoutSeconds 31 is not smaller than HealthCheckIntervalSeconds 30",
		},
		{
			"a group that is not there",
			modify(elbv2.ModifyTargetGroupInput{TargetGroupArn: new(groupNotThere), HealthCheckPort: new("8080")}),
			"TargetGroupNotFound: One or more target groups not found",
		},
		{
			"deleted",
			asking((*elbv2.Client).DeleteTargetGroup, func(s *site) *elbv2.DeleteTargetGroupInput {
				return &elbv2.DeleteTargetGroupInput{TargetGroupArn: &s.spare}
			}),
			"",
		},
		{
			"deleted, although it is not there",
			asking((*elbv2.Client).DeleteTargetGroup, func(*site) *elbv2.DeleteTargetGroupInput {
				return &elbv2.DeleteTargetGroupInput{TargetGroupArn: new(groupNotThere)}
			}),
			"",
		},
		{
			"attributes",
			asking((*elbv2.Client).DescribeTargetGroupAttributes, func(s *site) *elbv2.DescribeTargetGroupAttributesInput {
				return &elbv2.DescribeTargetGroupAttributesInput{TargetGroupArn: &s.blue}
			}),
			"<Attributes>" + groupAttributes + "</Attributes>",
		},
		{
			"an attribute is changed, and all are told",
			asking((*elbv2.Client).ModifyTargetGroupAttributes, func(s *site) *elbv2.ModifyTargetGroupAttributesInput {
				return &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: &s.blue, Attributes: []types.TargetGroupAttribute{{Key: new("deregistration_delay.timeout_seconds"), Value: new("30")}}}
			}),
			"<Attributes>" + replaced(groupAttributes, "<Value>300<", "<Value>30<") + "</Attributes>",
		},
		{
			"an attribute's value that is none",
			asking((*elbv2.Client).ModifyTargetGroupAttributes, func(s *site) *elbv2.ModifyTargetGroupAttributesInput {
				return &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: &s.blue, Attributes: []types.TargetGroupAttribute{{Key: new("stickiness.enabled"), Value: new("yes")}}}
			}),
			"ValidationError: Target group attribute 'stickiness.enabled' cannot be 'yes': it must be true or false",
		},
	})
}

// groupAttributes are those of a new group of an Application Load Balancer.
var groupAttributes = attributes(
	"deregistration_delay.timeout_seconds", "300",
	"load_balancing.algorithm.anomaly_mitigation", "off", "load_balancing.algorithm.type", "round_robin", "load_balancing.cross_zone.enabled", "use_load_balancer_configuration",
	"slow_start.duration_seconds", "0",
	"stickiness.app_cookie.cookie_name", "", "stickiness.app_cookie.duration_seconds", "86400", "stickiness.enabled", "false", "stickiness.lb_cookie.duration_seconds", "86400", "stickiness.type", "lb_cookie",
	"target_group_health.dns_failover.minimum_healthy_targets.count", "1", "target_group_health.dns_failover.minimum_healthy_targets.percentage", "off",
	"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off",
)

// A port goes back to the traffic's own.
func TestTrafficPortAgain(t *testing.T) {
	t.Parallel()
	s, client := newSite(t)
	for _, port := range []string{"8080", "traffic-port"} {
		out, err := client.ModifyTargetGroup(t.Context(), &elbv2.ModifyTargetGroupInput{TargetGroupArn: &s.blue, HealthCheckPort: &port})
		if err != nil || *out.TargetGroups[0].HealthCheckPort != port {
			t.Errorf("port %s: %v, %v", port, out, err)
		}
	}
}

func TestTargets(t *testing.T) {
	health := func(targets ...types.TargetDescription) ask {
		return asking((*elbv2.Client).DescribeTargetHealth, func(s *site) *elbv2.DescribeTargetHealthInput {
			s.health = map[string]elb.TargetHealth{"10.0.0.2": {State: elb.Unhealthy, Reason: elb.ResponseCodeMismatch, Description: elb.Mismatch(301)}}
			return &elbv2.DescribeTargetHealthInput{TargetGroupArn: &s.blue, Targets: targets}
		})
	}
	const (
		first  = "<member><HealthCheckPort>8000</HealthCheckPort><Target><Id>10.0.0.1</Id><Port>8000</Port></Target><TargetHealth><State>healthy</State></TargetHealth></member>"
		second = `<member><HealthCheckPort>8001</HealthCheckPort><Target><Id>10.0.0.2</Id><Port>8001</Port></Target>
			<TargetHealth><Description>Health checks failed with these codes: [301]</Description><Reason>Target.ResponseCodeMismatch</Reason><State>unhealthy</State></TargetHealth></member>`
		third = `<member><HealthCheckPort>8000</HealthCheckPort><Target><Id>10.0.0.3</Id><Port>8000</Port></Target>
			<TargetHealth><Description>Target is not registered to the target group</Description><Reason>Target.NotRegistered</Reason><State>unused</State></TargetHealth></member>`
	)
	hold(t, []answer{
		{"the health of all", health(), "<TargetHealthDescriptions>" + first + second + "</TargetHealthDescriptions>"},
		{"of one", health(types.TargetDescription{Id: new("10.0.0.2"), Port: aws.Int32(8001)}), "<TargetHealthDescriptions>" + second + "</TargetHealthDescriptions>"},
		{"one without its port", health(types.TargetDescription{Id: new("10.0.0.2")}), "<TargetHealthDescriptions>" + second + "</TargetHealthDescriptions>"},
		{"one that is not registered, in the order they are asked for", health(types.TargetDescription{Id: new("10.0.0.3")}, types.TargetDescription{Id: new("10.0.0.1")}), "<TargetHealthDescriptions>" + third + first + "</TargetHealthDescriptions>"},
		{
			"with anomalies",
			asking((*elbv2.Client).DescribeTargetHealth, func(s *site) *elbv2.DescribeTargetHealthInput {
				return &elbv2.DescribeTargetHealthInput{TargetGroupArn: &s.blue, Targets: []types.TargetDescription{{Id: new("10.0.0.1")}}, Include: []types.DescribeTargetHealthInputIncludeEnum{types.DescribeTargetHealthInputIncludeEnumAll}}
			}),
			"<TargetHealthDescriptions>" + replaced(first, "<member>", "<member><AnomalyDetection><MitigationInEffect>no</MitigationInEffect><Result>normal</Result></AnomalyDetection>") + "</TargetHealthDescriptions>",
		},
		{
			"of nothing",
			asking((*elbv2.Client).DescribeTargetHealth, func(s *site) *elbv2.DescribeTargetHealthInput {
				return &elbv2.DescribeTargetHealthInput{TargetGroupArn: &s.spare}
			}),
			"<TargetHealthDescriptions></TargetHealthDescriptions>",
		},
		{
			"of a group that is not there",
			asking((*elbv2.Client).DescribeTargetHealth, func(*site) *elbv2.DescribeTargetHealthInput {
				return &elbv2.DescribeTargetHealthInput{TargetGroupArn: new(groupNotThere)}
			}),
			"TargetGroupNotFound: One or more target groups not found",
		},
		{
			"an instance that does not run here",
			asking((*elbv2.Client).RegisterTargets, func(s *site) *elbv2.RegisterTargetsInput {
				return &elbv2.RegisterTargetsInput{TargetGroupArn: &s.blue, Targets: []types.TargetDescription{{Id: new("i-9")}}}
			}),
			"ValidationError: The IP address 'i-9' is not a valid IP address",
		},
		{
			"a port of 0",
			asking((*elbv2.Client).RegisterTargets, func(s *site) *elbv2.RegisterTargetsInput {
				return &elbv2.RegisterTargetsInput{TargetGroupArn: &s.blue, Targets: []types.TargetDescription{{Id: new("10.0.0.4"), Port: aws.Int32(0)}}}
			}),
			"ValidationError: 1 validation error detected: Value '0' at 'targets.Port' failed to satisfy constraint: Member must have value greater than or equal to 1",
		},
		{
			"a target that was never there is gone",
			asking((*elbv2.Client).DeregisterTargets, func(s *site) *elbv2.DeregisterTargetsInput {
				return &elbv2.DeregisterTargetsInput{TargetGroupArn: &s.blue, Targets: []types.TargetDescription{{Id: new("10.0.0.9")}}}
			}),
			"",
		},
	})
}

// A target that is deregistered drains, and one of a group without traffic is
// gone at once.
func TestDeregister(t *testing.T) {
	t.Parallel()
	s, client := newSite(t)
	state := func(group string) types.TargetHealth {
		t.Helper()
		out, err := client.DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: &group, Targets: []types.TargetDescription{{Id: new("10.0.0.1")}}})
		if err != nil || len(out.TargetHealthDescriptions) != 1 {
			t.Fatal(out, err)
		}
		return *out.TargetHealthDescriptions[0].TargetHealth
	}
	targets := []types.TargetDescription{{Id: new("10.0.0.1")}}
	if _, err := client.RegisterTargets(t.Context(), &elbv2.RegisterTargetsInput{TargetGroupArn: &s.spare, Targets: targets}); err != nil {
		t.Fatal(err)
	}
	if got := state(s.spare); got.Reason != types.TargetHealthReasonEnumNotInUse {
		t.Errorf("of a group without traffic: %v", got)
	}
	for _, group := range []string{s.blue, s.spare} {
		if _, err := client.DeregisterTargets(t.Context(), &elbv2.DeregisterTargetsInput{TargetGroupArn: &group, Targets: targets}); err != nil {
			t.Fatal(err)
		}
	}
	if got := state(s.blue); got.State != types.TargetHealthStateEnumDraining || got.Reason != types.TargetHealthReasonEnumDeregistrationInProgress {
		t.Errorf("deregistered: %v", got)
	}
	if got := state(s.spare); got.State != types.TargetHealthStateEnumUnused || got.Reason != types.TargetHealthReasonEnumNotRegistered {
		t.Errorf("deregistered without traffic: %v", got)
	}
}
