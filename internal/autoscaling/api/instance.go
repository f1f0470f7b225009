package api

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"hale/internal/autoscaling"
	"hale/internal/elb"
)

func healthOf(i autoscaling.Instance) string {
	if i.Unhealthy != "" {
		return "Unhealthy"
	}
	return "Healthy"
}

func (a api) describeInstances(_ context.Context, in *sdk.DescribeAutoScalingInstancesInput) (*sdk.DescribeAutoScalingInstancesOutput, error) {
	s := a.groups.State()
	var found []types.AutoScalingInstanceDetails
	for _, name := range s.Names() {
		for _, i := range s.Groups[name].Instances {
			if len(in.InstanceIds) > 0 && !slices.Contains(in.InstanceIds, i.ID) {
				continue
			}
			found = append(found, types.AutoScalingInstanceDetails{
				AutoScalingGroupName: &name, InstanceId: &i.ID, AvailabilityZone: &i.Zone, LifecycleState: text(i.State),
				HealthStatus: new(strings.ToUpper(healthOf(i))), ProtectedFromScaleIn: &i.Protected, LaunchTemplate: templateOf(i.Template),
			})
		}
	}
	id := func(i types.AutoScalingInstanceDetails) string { return *i.InstanceId }
	slices.SortFunc(found, func(a, b types.AutoScalingInstanceDetails) int { return cmp.Compare(id(a), id(b)) })
	found, next, err := page(found, id, in.NextToken, in.MaxRecords, 50, 50)
	return &sdk.DescribeAutoScalingInstancesOutput{AutoScalingInstances: found, NextToken: next}, err
}

func (a api) setInstanceHealth(_ context.Context, in *sdk.SetInstanceHealthInput) (*sdk.SetInstanceHealthOutput, error) {
	if err := cmp.Or(required("InstanceId", in.InstanceId), required("HealthStatus", in.HealthStatus)); err != nil {
		return nil, err
	}
	if *in.HealthStatus != "Healthy" && *in.HealthStatus != "Unhealthy" {
		return nil, elb.Errorf(elb.CodeValidation, "HealthStatus '%s' is neither Healthy nor Unhealthy", *in.HealthStatus)
	}
	respect := in.ShouldRespectGracePeriod == nil || *in.ShouldRespectGracePeriod
	return &sdk.SetInstanceHealthOutput{}, a.groups.Change(func(e *autoscaling.Edit) error {
		return e.SetHealth(*in.InstanceId, *in.HealthStatus == "Healthy", respect)
	})
}

func (a api) setInstanceProtection(_ context.Context, in *sdk.SetInstanceProtectionInput) (*sdk.SetInstanceProtectionOutput, error) {
	if err := required("ProtectedFromScaleIn", in.ProtectedFromScaleIn); err != nil {
		return nil, err
	}
	return &sdk.SetInstanceProtectionOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Protect(name, in.InstanceIds, *in.ProtectedFromScaleIn)
	})
}

func (a api) terminateInstance(_ context.Context, in *sdk.TerminateInstanceInAutoScalingGroupInput) (*sdk.TerminateInstanceInAutoScalingGroupOutput, error) {
	if err := cmp.Or(
		required("InstanceId", in.InstanceId),
		required("ShouldDecrementDesiredCapacity", in.ShouldDecrementDesiredCapacity),
		notOffered(map[string]bool{"InstanceIds": len(in.InstanceIds) > 0}),
	); err != nil {
		return nil, err
	}
	var told types.Activity
	err := a.groups.Change(func(e *autoscaling.Edit) error {
		g, activity, err := e.Terminate(*in.InstanceId, *in.ShouldDecrementDesiredCapacity)
		if err == nil {
			told = activityOf(g, activity)
		}
		return err
	})
	return &sdk.TerminateInstanceInAutoScalingGroupOutput{Activity: &told}, err
}

func (a api) enterStandby(_ context.Context, in *sdk.EnterStandbyInput) (*sdk.EnterStandbyOutput, error) {
	if err := required("ShouldDecrementDesiredCapacity", in.ShouldDecrementDesiredCapacity); err != nil {
		return nil, err
	}
	activities, err := a.move(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) ([]autoscaling.Activity, error) {
		return e.EnterStandby(name, in.InstanceIds, *in.ShouldDecrementDesiredCapacity)
	})
	return &sdk.EnterStandbyOutput{Activities: activities}, err
}

func (a api) exitStandby(_ context.Context, in *sdk.ExitStandbyInput) (*sdk.ExitStandbyOutput, error) {
	activities, err := a.move(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) ([]autoscaling.Activity, error) {
		return e.ExitStandby(name, in.InstanceIds)
	})
	return &sdk.ExitStandbyOutput{Activities: activities}, err
}

func (a api) move(name *string, move func(*autoscaling.Edit, string) ([]autoscaling.Activity, error)) ([]types.Activity, error) {
	var told []types.Activity
	err := a.change(name, func(e *autoscaling.Edit, name string) error {
		activities, err := move(e, name)
		if err != nil {
			return err
		}
		g, err := e.Group(name)
		told = each(activities, func(activity autoscaling.Activity) types.Activity { return activityOf(g, activity) })
		return err
	})
	return told, err
}

func (a api) describeActivities(_ context.Context, in *sdk.DescribeScalingActivitiesInput) (*sdk.DescribeScalingActivitiesOutput, error) {
	if err := notOffered(map[string]bool{"Filters": len(in.Filters) > 0}); err != nil {
		return nil, err
	}
	s := a.groups.State()
	names := s.Names()
	if in.AutoScalingGroupName != nil {
		if _, err := a.group(in.AutoScalingGroupName); err != nil {
			return nil, err
		}
		names = []string{*in.AutoScalingGroupName}
	}
	var found []types.Activity
	for _, name := range names {
		for _, activity := range s.Groups[name].Activities {
			if len(in.ActivityIds) == 0 || slices.Contains(in.ActivityIds, activity.ID) {
				found = append(found, activityOf(s.Groups[name], activity))
			}
		}
	}
	slices.SortStableFunc(found, func(a, b types.Activity) int { return b.StartTime.Compare(*a.StartTime) })
	found, next, err := after(found, func(a types.Activity) string { return *a.ActivityId }, in.NextToken, in.MaxRecords)
	return &sdk.DescribeScalingActivitiesOutput{Activities: found, NextToken: next}, err
}

func activityOf(g *autoscaling.Group, a autoscaling.Activity) types.Activity {
	told := types.Activity{
		ActivityId: &a.ID, AutoScalingGroupName: &g.Name, AutoScalingGroupARN: &g.ARN, Cause: &a.Cause, Description: &a.Description,
		StartTime: &a.Start, EndTime: moment(a.End), StatusCode: types.ScalingActivityStatusCodeInProgress, Progress: new(int32(50)),
		StatusMessage: text(a.Message),
	}
	switch {
	case a.Failed:
		told.StatusCode, told.Progress = types.ScalingActivityStatusCodeFailed, aws.Int32(100)
	case !a.End.IsZero():
		told.StatusCode, told.Progress = types.ScalingActivityStatusCodeSuccessful, aws.Int32(100)
	}
	return told
}
