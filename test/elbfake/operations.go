package elbfake

import (
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// operations are what the fake can be asked, each as the API's page of the same
// name has it. The answer is the output of the SDK.
var operations = map[string]func(*Account, url.Values) (any, *Failure){
	"DescribeTargetGroups":           targetGroups,
	"DescribeTargetHealth":           targetHealth,
	"DescribeLoadBalancers":          loadBalancers,
	"DescribeListeners":              listeners,
	"DescribeRules":                  rules,
	"DescribeTags":                   tags,
	"DescribeTargetGroupAttributes":  targetGroupAttributes,
	"DescribeLoadBalancerAttributes": loadBalancerAttributes,
}

func targetGroups(a *Account, form url.Values) (any, *Failure) {
	found := a.TargetGroups
	arns, names, of := members(form, "TargetGroupArns"), members(form, "Names"), form.Get("LoadBalancerArn")
	switch {
	case len(arns) > 0:
		found = filter(found, func(g types.TargetGroup) bool { return slices.Contains(arns, aws.ToString(g.TargetGroupArn)) })
	case len(names) > 0:
		found = filter(found, func(g types.TargetGroup) bool { return slices.Contains(names, aws.ToString(g.TargetGroupName)) })
	case of != "":
		found = filter(found, func(g types.TargetGroup) bool { return slices.Contains(g.LoadBalancerArns, of) })
	}
	if len(found) < len(arns) || len(found) < len(names) {
		return nil, &Failure{Code: "TargetGroupNotFound", Message: "One or more target groups not found"}
	}
	groups, next, failure := page(a, form, found)
	return &elbv2.DescribeTargetGroupsOutput{TargetGroups: groups, NextMarker: next}, failure
}

func (a *Account) group(arn string) bool {
	return slices.ContainsFunc(a.TargetGroups, func(g types.TargetGroup) bool { return aws.ToString(g.TargetGroupArn) == arn })
}

func (a *Account) balancer(arn string) (types.LoadBalancer, bool) {
	i := slices.IndexFunc(a.LoadBalancers, func(b types.LoadBalancer) bool { return aws.ToString(b.LoadBalancerArn) == arn })
	if i < 0 {
		return types.LoadBalancer{}, false
	}
	return a.LoadBalancers[i], true
}

// targetHealth answers for a target that is not registered, too: with a state
// that says so.
func targetHealth(a *Account, form url.Values) (any, *Failure) {
	arn := form.Get("TargetGroupArn")
	if !a.group(arn) {
		return nil, &Failure{Code: "TargetGroupNotFound", Message: "One or more target groups not found"}
	}
	health := a.Health[arn]
	if form.Has("Targets.member.1.Id") {
		var asked []types.TargetHealthDescription
		for i := 1; form.Has("Targets.member." + strconv.Itoa(i) + ".Id"); i++ {
			id := form.Get("Targets.member." + strconv.Itoa(i) + ".Id")
			at := slices.IndexFunc(health, func(h types.TargetHealthDescription) bool { return aws.ToString(h.Target.Id) == id })
			if at >= 0 {
				asked = append(asked, health[at])
				continue
			}
			asked = append(asked, types.TargetHealthDescription{
				Target: &types.TargetDescription{Id: &id},
				TargetHealth: &types.TargetHealth{
					State: types.TargetHealthStateEnumUnused, Reason: types.TargetHealthReasonEnumNotRegistered,
					Description: aws.String("Target is not registered to the target group"),
				},
			})
		}
		health = asked
	}
	return &elbv2.DescribeTargetHealthOutput{TargetHealthDescriptions: health}, nil
}

func loadBalancers(a *Account, form url.Values) (any, *Failure) {
	found := a.LoadBalancers
	arns, names := members(form, "LoadBalancerArns"), members(form, "Names")
	switch {
	case len(arns) > 0:
		found = filter(found, func(b types.LoadBalancer) bool { return slices.Contains(arns, aws.ToString(b.LoadBalancerArn)) })
	case len(names) > 0:
		found = filter(found, func(b types.LoadBalancer) bool { return slices.Contains(names, aws.ToString(b.LoadBalancerName)) })
	}
	if len(found) < len(arns) || len(found) < len(names) {
		return nil, &Failure{Code: "LoadBalancerNotFound", Message: "One or more load balancers not found"}
	}
	balancers, next, failure := page(a, form, found)
	return &elbv2.DescribeLoadBalancersOutput{LoadBalancers: balancers, NextMarker: next}, failure
}

func listeners(a *Account, form url.Values) (any, *Failure) {
	arns, of := members(form, "ListenerArns"), form.Get("LoadBalancerArn")
	if len(arns) == 0 && of == "" {
		return nil, &Failure{Code: "ValidationError", Message: "You must specify either listener ARNs or a load balancer ARN"}
	}
	if _, ok := a.balancer(of); of != "" && !ok {
		return nil, &Failure{Code: "LoadBalancerNotFound", Message: "One or more load balancers not found"}
	}
	found := filter(a.Listeners, func(l types.Listener) bool {
		return slices.Contains(arns, aws.ToString(l.ListenerArn)) || aws.ToString(l.LoadBalancerArn) == of
	})
	if len(found) < len(arns) {
		return nil, &Failure{Code: "ListenerNotFound", Message: "One or more listeners not found"}
	}
	part, next, failure := page(a, form, found)
	return &elbv2.DescribeListenersOutput{Listeners: part, NextMarker: next}, failure
}

func rules(a *Account, form url.Values) (any, *Failure) {
	of := form.Get("ListenerArn")
	if !slices.ContainsFunc(a.Listeners, func(l types.Listener) bool { return aws.ToString(l.ListenerArn) == of }) {
		return nil, &Failure{Code: "ListenerNotFound", Message: "One or more listeners not found"}
	}
	part, next, failure := page(a, form, a.Rules[of])
	return &elbv2.DescribeRulesOutput{Rules: part, NextMarker: next}, failure
}

func tags(a *Account, form url.Values) (any, *Failure) {
	var described []types.TagDescription
	for _, arn := range members(form, "ResourceArns") {
		of := types.TagDescription{ResourceArn: &arn}
		for _, key := range slices.Sorted(maps.Keys(a.Tags[arn])) {
			of.Tags = append(of.Tags, types.Tag{Key: aws.String(key), Value: aws.String(a.Tags[arn][key])})
		}
		described = append(described, of)
	}
	return &elbv2.DescribeTagsOutput{TagDescriptions: described}, nil
}

func targetGroupAttributes(a *Account, form url.Values) (any, *Failure) {
	arn := form.Get("TargetGroupArn")
	i := slices.IndexFunc(a.TargetGroups, func(g types.TargetGroup) bool { return aws.ToString(g.TargetGroupArn) == arn })
	if i < 0 {
		return nil, &Failure{Code: "TargetGroupNotFound", Message: "One or more target groups not found"}
	}
	var attributes []types.TargetGroupAttribute
	values := withDefaults(groupDefaults(a.TargetGroups[i]), a.Attributes[arn])
	for _, key := range slices.Sorted(maps.Keys(values)) {
		attributes = append(attributes, types.TargetGroupAttribute{Key: aws.String(key), Value: aws.String(values[key])})
	}
	return &elbv2.DescribeTargetGroupAttributesOutput{Attributes: attributes}, nil
}

func loadBalancerAttributes(a *Account, form url.Values) (any, *Failure) {
	arn := form.Get("LoadBalancerArn")
	balancer, ok := a.balancer(arn)
	if !ok {
		return nil, &Failure{Code: "LoadBalancerNotFound", Message: "One or more load balancers not found"}
	}
	var attributes []types.LoadBalancerAttribute
	values := withDefaults(balancerDefaults(balancer.Type), a.Attributes[arn])
	for _, key := range slices.Sorted(maps.Keys(values)) {
		attributes = append(attributes, types.LoadBalancerAttribute{Key: aws.String(key), Value: aws.String(values[key])})
	}
	return &elbv2.DescribeLoadBalancerAttributesOutput{Attributes: attributes}, nil
}

func withDefaults(defaults, own map[string]string) map[string]string {
	maps.Copy(defaults, own)
	return defaults
}

// groupDefaults are the attributes of a new target group (ELBv2 API,
// TargetGroupAttribute).
func groupDefaults(g types.TargetGroup) map[string]string {
	defaults := map[string]string{
		"deregistration_delay.timeout_seconds":                                           "300",
		"stickiness.enabled":                                                             "false",
		"load_balancing.cross_zone.enabled":                                              "use_load_balancer_configuration",
		"target_group_health.dns_failover.minimum_healthy_targets.count":                 "1",
		"target_group_health.dns_failover.minimum_healthy_targets.percentage":            "off",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      "1",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
	}
	own := map[string]string{
		"deregistration_delay.connection_termination.enabled":          "false",
		"preserve_client_ip.enabled":                                   strconv.FormatBool(g.TargetType != types.TargetTypeEnumIp),
		"proxy_protocol_v2.enabled":                                    "false",
		"stickiness.type":                                              "source_ip",
		"target_health_state.unhealthy.connection_termination.enabled": "true",
		"target_health_state.unhealthy.draining_interval_seconds":      "0",
	}
	if g.Protocol == types.ProtocolEnumHttp || g.Protocol == types.ProtocolEnumHttps {
		own = map[string]string{
			"load_balancing.algorithm.anomaly_mitigation": "off",
			"load_balancing.algorithm.type":               "round_robin",
			"slow_start.duration_seconds":                 "0",
			"stickiness.app_cookie.cookie_name":           "",
			"stickiness.app_cookie.duration_seconds":      "86400",
			"stickiness.lb_cookie.duration_seconds":       "86400",
			"stickiness.type":                             "lb_cookie",
		}
	}
	return withDefaults(defaults, own)
}

// balancerDefaults are the attributes of a new load balancer (ELBv2 API,
// LoadBalancerAttribute).
func balancerDefaults(of types.LoadBalancerTypeEnum) map[string]string {
	if of != types.LoadBalancerTypeEnumApplication && of != "" {
		return map[string]string{"deletion_protection.enabled": "false", "load_balancing.cross_zone.enabled": "false"}
	}
	return map[string]string{
		"deletion_protection.enabled":                     "false",
		"load_balancing.cross_zone.enabled":               "true",
		"access_logs.s3.enabled":                          "false",
		"idle_timeout.timeout_seconds":                    "60",
		"client_keep_alive.seconds":                       "3600",
		"routing.http2.enabled":                           "true",
		"routing.http.desync_mitigation_mode":             "defensive",
		"routing.http.drop_invalid_header_fields.enabled": "false",
		"routing.http.preserve_host_header.enabled":       "false",
		"routing.http.xff_header_processing.mode":         "append",
		"zonal_shift.config.enabled":                      "false",
	}
}

func filter[T any](all []T, keep func(T) bool) []T {
	var kept []T
	for _, one := range all {
		if keep(one) {
			kept = append(kept, one)
		}
	}
	return kept
}
