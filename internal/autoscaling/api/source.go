package api

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"hale/internal/autoscaling"
	"hale/internal/elb"
)

func (a api) attachTargetGroups(_ context.Context, in *sdk.AttachLoadBalancerTargetGroupsInput) (*sdk.AttachLoadBalancerTargetGroupsOutput, error) {
	return &sdk.AttachLoadBalancerTargetGroupsOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Attach(name, in.TargetGroupARNs)
	})
}

func (a api) detachTargetGroups(_ context.Context, in *sdk.DetachLoadBalancerTargetGroupsInput) (*sdk.DetachLoadBalancerTargetGroupsOutput, error) {
	return &sdk.DetachLoadBalancerTargetGroupsOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Detach(name, in.TargetGroupARNs)
	})
}

func (a api) describeTargetGroups(_ context.Context, in *sdk.DescribeLoadBalancerTargetGroupsInput) (*sdk.DescribeLoadBalancerTargetGroupsOutput, error) {
	g, err := a.group(in.AutoScalingGroupName)
	if err != nil {
		return nil, err
	}
	found, next, err := after(g.Sources, arnOf, in.NextToken, in.MaxRecords)
	return &sdk.DescribeLoadBalancerTargetGroupsOutput{
		LoadBalancerTargetGroups: each(found, func(s autoscaling.Source) types.LoadBalancerTargetGroupState {
			return types.LoadBalancerTargetGroupState{LoadBalancerTargetGroupARN: &s.ARN, State: text(s.State)}
		}),
		NextToken: next,
	}, err
}

func (a api) attachTrafficSources(_ context.Context, in *sdk.AttachTrafficSourcesInput) (*sdk.AttachTrafficSourcesOutput, error) {
	arns, err := identifiers(in.TrafficSources)
	if err != nil {
		return nil, err
	}
	return &sdk.AttachTrafficSourcesOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Attach(name, arns)
	})
}

func (a api) detachTrafficSources(_ context.Context, in *sdk.DetachTrafficSourcesInput) (*sdk.DetachTrafficSourcesOutput, error) {
	arns, err := identifiers(in.TrafficSources)
	if err != nil {
		return nil, err
	}
	return &sdk.DetachTrafficSourcesOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Detach(name, arns)
	})
}

func (a api) describeTrafficSources(_ context.Context, in *sdk.DescribeTrafficSourcesInput) (*sdk.DescribeTrafficSourcesOutput, error) {
	g, err := a.group(in.AutoScalingGroupName)
	if err != nil {
		return nil, err
	}
	sources := g.Sources
	if kind := aws.ToString(in.TrafficSourceType); kind != "" && kind != "elbv2" {
		sources = nil
	}
	found, next, err := after(sources, arnOf, in.NextToken, in.MaxRecords)
	return &sdk.DescribeTrafficSourcesOutput{
		TrafficSources: each(found, func(s autoscaling.Source) types.TrafficSourceState {
			return types.TrafficSourceState{Identifier: &s.ARN, State: text(s.State), Type: new("elbv2")}
		}),
		NextToken: next,
	}, err
}

func arnOf(s autoscaling.Source) string { return s.ARN }

// identifiers returns the target groups among traffic sources, which all have to be
// some.
func identifiers(sources []types.TrafficSourceIdentifier) ([]string, error) {
	var arns []string
	for _, s := range sources {
		if err := required("TrafficSources.Identifier", s.Identifier); err != nil {
			return nil, err
		}
		if kind := aws.ToString(s.Type); kind != "" && kind != "elbv2" {
			return nil, elb.Errorf(elb.CodeValidation, "Traffic sources of type '%s' are not offered here: only target groups, elbv2", kind)
		}
		arns = append(arns, *s.Identifier)
	}
	return arns, nil
}
