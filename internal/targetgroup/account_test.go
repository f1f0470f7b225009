package targetgroup_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/test/elbfake"
)

const (
	prefix      = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
	groupARN    = prefix + "targetgroup/web/73e2d6bc24d8a067"
	balancerARN = prefix + "loadbalancer/app/site/50dc6c495c0c9188"
	listenerARN = prefix + "listener/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2"
	ruleARN     = prefix + "listener-rule/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2/"
)

// webGroup is a target group of an Application Load Balancer, as AWS creates it.
func webGroup() types.TargetGroup {
	return types.TargetGroup{
		TargetGroupArn: aws.String(groupARN), TargetGroupName: aws.String("web"),
		Protocol: types.ProtocolEnumHttp, ProtocolVersion: aws.String("HTTP1"), Port: aws.Int32(8080), TargetType: types.TargetTypeEnumInstance, VpcId: aws.String("vpc-3ac0fb5f"),
		HealthCheckEnabled: aws.Bool(true), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: aws.String("traffic-port"), HealthCheckPath: aws.String("/health"),
		HealthCheckIntervalSeconds: aws.Int32(30), HealthCheckTimeoutSeconds: aws.Int32(5), HealthyThresholdCount: aws.Int32(5), UnhealthyThresholdCount: aws.Int32(2),
		Matcher: &types.Matcher{HttpCode: aws.String("200")}, LoadBalancerArns: []string{balancerARN}, IpAddressType: types.TargetGroupIpAddressTypeEnumIpv4,
	}
}

func target(id string, port int32, state types.TargetHealthStateEnum, reason types.TargetHealthReasonEnum, description string) types.TargetHealthDescription {
	return types.TargetHealthDescription{
		Target: &types.TargetDescription{Id: aws.String(id), Port: aws.Int32(port)}, HealthCheckPort: aws.String("8080"),
		TargetHealth: &types.TargetHealth{State: state, Reason: reason, Description: aws.String(description)},
	}
}

// webAccount is a load balancer in two zones with two listeners; rule 10 of the
// second forwards to the group. One target is healthy, one is not.
func webAccount() elbfake.Account {
	return elbfake.Account{
		TargetGroups: []types.TargetGroup{webGroup()},
		LoadBalancers: []types.LoadBalancer{{
			LoadBalancerArn: aws.String(balancerARN), LoadBalancerName: aws.String("site"), Type: types.LoadBalancerTypeEnumApplication,
			Scheme: types.LoadBalancerSchemeEnumInternetFacing, State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive},
			DNSName: aws.String("site-1234567890.eu-west-1.elb.amazonaws.com"), SecurityGroups: []string{"sg-5943793c"},
			AvailabilityZones: []types.AvailabilityZone{{ZoneName: aws.String("eu-west-1a"), SubnetId: aws.String("subnet-a")}, {ZoneName: aws.String("eu-west-1b"), SubnetId: aws.String("subnet-b")}},
		}},
		Listeners: []types.Listener{
			{
				ListenerArn: aws.String(listenerARN + "0"), LoadBalancerArn: aws.String(balancerARN), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80),
				DefaultActions: []types.Action{{Type: types.ActionTypeEnumRedirect}},
			},
			{ListenerArn: aws.String(listenerARN), LoadBalancerArn: aws.String(balancerARN), Protocol: types.ProtocolEnumHttps, Port: aws.Int32(443)},
		},
		Rules: map[string][]types.Rule{
			listenerARN + "0": {{RuleArn: aws.String(ruleARN + "0"), Priority: aws.String("default"), Actions: []types.Action{{Type: types.ActionTypeEnumRedirect}}}},
			listenerARN: {
				{
					RuleArn: aws.String(ruleARN + "1"), Priority: aws.String("10"), Actions: []types.Action{forward(groupARN)},
					Conditions: []types.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/shop/*", "/cart"}}},
				},
				{RuleArn: aws.String(ruleARN + "2"), Priority: aws.String("default"), Actions: []types.Action{forward(prefix + "targetgroup/other/6d0ecf831eec9f09")}},
			},
		},
		Health: map[string][]types.TargetHealthDescription{groupARN: {
			target("i-0f76fade", 8080, types.TargetHealthStateEnumHealthy, "", ""),
			target("10.0.1.23", 8080, types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumResponseCodeMismatch, "Health checks failed with these codes: [301]"),
		}},
		Attributes: map[string]map[string]string{groupARN: {"deregistration_delay.timeout_seconds": "120"}, balancerARN: {"idle_timeout.timeout_seconds": "75"}},
		Tags:       map[string]map[string]string{groupARN: {"team": "web"}},
	}
}

// forward is what AWS returns for a rule that forwards: the group twice.
func forward(arn string) types.Action {
	return types.Action{
		Type: types.ActionTypeEnumForward, TargetGroupArn: aws.String(arn),
		ForwardConfig: &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{{TargetGroupArn: aws.String(arn), Weight: aws.Int32(1)}}},
	}
}

// environment is one of AWS's variables alone.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}
