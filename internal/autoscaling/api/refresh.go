package api

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"hale/internal/autoscaling"
)

func (a api) startRefresh(_ context.Context, in *sdk.StartInstanceRefreshInput) (*sdk.StartInstanceRefreshOutput, error) {
	p := in.Preferences
	if p == nil {
		p = &types.RefreshPreferences{}
	}
	var desired *types.LaunchTemplateSpecification
	if in.DesiredConfiguration != nil {
		desired = in.DesiredConfiguration.LaunchTemplate
	}
	template, err := a.template(desired)
	if err := cmp.Or(err, notOffered(map[string]bool{
		"Strategy other than Rolling":           in.Strategy != "" && in.Strategy != types.RefreshStrategyRolling,
		"DesiredConfiguration without template": in.DesiredConfiguration != nil && desired == nil,
		"AutoRollback":                          aws.ToBool(p.AutoRollback),
		"BakeTime":                              aws.ToInt32(p.BakeTime) != 0,
		"AlarmSpecification":                    p.AlarmSpecification != nil && len(p.AlarmSpecification.Alarms) > 0,
	})); err != nil {
		return nil, err
	}
	preferences := autoscaling.Preferences{
		MinHealthy: autoscaling.DefaultMinHealthy, MaxHealthy: autoscaling.DefaultMaxHealthy,
		Warmup: span(p.InstanceWarmup), SkipMatching: aws.ToBool(p.SkipMatching),
		Checkpoints:     each(p.CheckpointPercentages, func(n int32) int { return int(n) }),
		CheckpointDelay: autoscaling.DefaultCheckpointDelay,
		Protected:       cmp.Or(string(p.ScaleInProtectedInstances), autoscaling.RefreshWait),
		InStandby:       cmp.Or(string(p.StandbyInstances), autoscaling.RefreshWait),
	}
	if p.MinHealthyPercentage != nil {
		preferences.MinHealthy = int(*p.MinHealthyPercentage)
	}
	if p.MaxHealthyPercentage != nil {
		preferences.MaxHealthy = int(*p.MaxHealthyPercentage)
	}
	if p.CheckpointDelay != nil {
		preferences.CheckpointDelay = *span(p.CheckpointDelay)
	}
	var id string
	err = a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		r, err := e.StartRefresh(name, template, preferences)
		if err == nil {
			id = r.ID
		}
		return err
	})
	return &sdk.StartInstanceRefreshOutput{InstanceRefreshId: &id}, err
}

func (a api) cancelRefresh(_ context.Context, in *sdk.CancelInstanceRefreshInput) (*sdk.CancelInstanceRefreshOutput, error) {
	var id string
	err := a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		r, err := e.CancelRefresh(name)
		if err == nil {
			id = r.ID
		}
		return err
	})
	return &sdk.CancelInstanceRefreshOutput{InstanceRefreshId: &id}, err
}

func (a api) describeRefreshes(_ context.Context, in *sdk.DescribeInstanceRefreshesInput) (*sdk.DescribeInstanceRefreshesOutput, error) {
	g, err := a.group(in.AutoScalingGroupName)
	if err != nil {
		return nil, err
	}
	var found []autoscaling.Refresh
	for _, r := range g.Refreshes {
		if len(in.InstanceRefreshIds) == 0 || slices.Contains(in.InstanceRefreshIds, r.ID) {
			found = append(found, r)
		}
	}
	found, next, err := after(found, func(r autoscaling.Refresh) string { return r.ID }, in.NextToken, in.MaxRecords)
	return &sdk.DescribeInstanceRefreshesOutput{
		InstanceRefreshes: each(found, func(r autoscaling.Refresh) types.InstanceRefresh { return refreshOf(g, r) }),
		NextToken:         next,
	}, err
}

func refreshOf(g *autoscaling.Group, r autoscaling.Refresh) types.InstanceRefresh {
	percent, left := r.Complete()
	told := types.InstanceRefresh{
		InstanceRefreshId: &r.ID, AutoScalingGroupName: &g.Name, Status: types.InstanceRefreshStatus(r.Status), StatusReason: text(r.Reason),
		StartTime: &r.Start, EndTime: moment(r.End), PercentageComplete: count(percent), InstancesToUpdate: count(left),
		Strategy: types.RefreshStrategyRolling,
		Preferences: &types.RefreshPreferences{
			MinHealthyPercentage: count(r.MinHealthy), MaxHealthyPercentage: count(r.MaxHealthy), SkipMatching: &r.SkipMatching,
			CheckpointPercentages: each(r.Checkpoints, func(n int) int32 { return *count(n) }),
			CheckpointDelay:       seconds(r.CheckpointDelay), AutoRollback: aws.Bool(false),
			ScaleInProtectedInstances: types.ScaleInProtectedInstances(r.Protected), StandbyInstances: types.StandbyInstances(r.InStandby),
		},
	}
	if r.Warmup != nil {
		told.Preferences.InstanceWarmup = seconds(*r.Warmup)
	}
	if r.Template != nil {
		told.DesiredConfiguration = &types.DesiredConfiguration{LaunchTemplate: templateOf(*r.Template)}
	}
	return told
}
