package elbapi

import (
	"context"
	"slices"
	"strconv"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

type limit struct {
	name string
	most int
}

// limits are what an account may have, by name (guides of the load balancers,
// "Quotas").
var limits = []limit{
	{"application-load-balancers", 50},
	{"certificates-per-application-load-balancer", 25},
	{"certificates-per-network-load-balancer", 25},
	{"condition-values-per-alb-rule", rule.MaxValues},
	{"condition-wildcards-per-alb-rule", rule.MaxWildcards},
	{"listeners-per-application-load-balancer", 50},
	{"listeners-per-network-load-balancer", 50},
	{"network-load-balancers", 50},
	{"rules-per-application-load-balancer", rule.MaxRules},
	{"target-groups", 3000},
	{"target-groups-per-action-on-application-load-balancer", rule.MaxGroups},
	{"target-groups-per-action-on-network-load-balancer", 1},
	{"target-groups-per-application-load-balancer", 100},
	{"target-id-registrations-per-application-load-balancer", 1000},
	{"targets-per-application-load-balancer", 1000},
	{"targets-per-availability-zone-per-network-load-balancer", 500},
	{"targets-per-network-load-balancer", 3000},
	{"targets-per-target-group", 1000},
}

func (a api) describeAccountLimits(_ context.Context, in *elbv2.DescribeAccountLimitsInput) (*elbv2.DescribeAccountLimitsOutput, error) {
	part, next, err := page(limits, func(l limit) string { return l.name }, in.Marker, in.PageSize)
	return &elbv2.DescribeAccountLimitsOutput{NextMarker: next, Limits: each(part, func(l limit) types.Limit {
		return types.Limit{Name: &l.name, Max: new(strconv.Itoa(l.most))}
	})}, err
}

func (a api) describeSSLPolicies(_ context.Context, in *elbv2.DescribeSSLPoliciesInput) (*elbv2.DescribeSSLPoliciesOutput, error) {
	if err := among("LoadBalancerType", in.LoadBalancerType); err != nil {
		return nil, err
	}
	all := elb.SSLPolicies()
	if in.LoadBalancerType == types.LoadBalancerTypeEnumGateway {
		all = nil
	}
	name := func(p elb.SSLPolicy) string { return p.Name }
	found, ok := named(all, nil, name, in.Names, name)
	if !ok {
		return nil, elb.Errorf("SSLPolicyNotFound", "One or more SSL policies not found")
	}
	part, next, err := page(found, name, in.Marker, in.PageSize)
	return &elbv2.DescribeSSLPoliciesOutput{SslPolicies: each(part, sslPolicy), NextMarker: next}, err
}

func sslPolicy(p elb.SSLPolicy) types.SslPolicy {
	told := types.SslPolicy{
		Name: &p.Name, SslProtocols: slices.Clone(p.Protocols),
		SupportedLoadBalancerTypes: []string{string(elb.Application), string(elb.Network)},
	}
	slices.Reverse(told.SslProtocols) // AWS tells the highest first
	for i, name := range p.Ciphers {
		told.Ciphers = append(told.Ciphers, types.Cipher{Name: &name, Priority: number(i + 1)})
	}
	return told
}
