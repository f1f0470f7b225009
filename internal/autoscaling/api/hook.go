package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"hale/internal/autoscaling"
	"hale/internal/elb"
)

func hookFrom(name, transition, result *string, heartbeat *int32, metadata *string) autoscaling.Hook {
	return autoscaling.Hook{
		Name: aws.ToString(name), Transition: autoscaling.Transition(aws.ToString(transition)), Default: aws.ToString(result),
		Heartbeat: time.Duration(aws.ToInt32(heartbeat)) * time.Second, Metadata: aws.ToString(metadata),
	}
}

func (a api) putHook(_ context.Context, in *sdk.PutLifecycleHookInput) (*sdk.PutLifecycleHookOutput, error) {
	hook := hookFrom(in.LifecycleHookName, in.LifecycleTransition, in.DefaultResult, in.HeartbeatTimeout, in.NotificationMetadata)
	return &sdk.PutLifecycleHookOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.PutHook(name, hook)
	})
}

func (a api) deleteHook(_ context.Context, in *sdk.DeleteLifecycleHookInput) (*sdk.DeleteLifecycleHookOutput, error) {
	return &sdk.DeleteLifecycleHookOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.DeleteHook(name, aws.ToString(in.LifecycleHookName))
	})
}

func (a api) describeHooks(_ context.Context, in *sdk.DescribeLifecycleHooksInput) (*sdk.DescribeLifecycleHooksOutput, error) {
	g, err := a.group(in.AutoScalingGroupName)
	if err != nil {
		return nil, err
	}
	out := &sdk.DescribeLifecycleHooksOutput{}
	for _, h := range g.Hooks {
		if len(in.LifecycleHookNames) > 0 && !slices.Contains(in.LifecycleHookNames, h.Name) {
			continue
		}
		out.LifecycleHooks = append(out.LifecycleHooks, types.LifecycleHook{
			AutoScalingGroupName: &g.Name, LifecycleHookName: &h.Name, LifecycleTransition: text(h.Transition), DefaultResult: &h.Default,
			HeartbeatTimeout: seconds(h.Heartbeat), GlobalTimeout: seconds(h.Limit()), NotificationMetadata: text(h.Metadata),
		})
	}
	return out, nil
}

func (a api) describeHookTypes(context.Context, *sdk.DescribeLifecycleHookTypesInput) (*sdk.DescribeLifecycleHookTypesOutput, error) {
	return &sdk.DescribeLifecycleHookTypesOutput{LifecycleHookTypes: []string{string(autoscaling.Launching), string(autoscaling.Leaving)}}, nil
}

func (a api) completeAction(_ context.Context, in *sdk.CompleteLifecycleActionInput) (*sdk.CompleteLifecycleActionOutput, error) {
	if err := cmp.Or(required("LifecycleActionResult", in.LifecycleActionResult), named(in.InstanceId, in.LifecycleActionToken)); err != nil {
		return nil, err
	}
	return &sdk.CompleteLifecycleActionOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.CompleteAction(name, aws.ToString(in.LifecycleHookName), aws.ToString(in.InstanceId), aws.ToString(in.LifecycleActionToken), *in.LifecycleActionResult)
	})
}

func (a api) recordHeartbeat(_ context.Context, in *sdk.RecordLifecycleActionHeartbeatInput) (*sdk.RecordLifecycleActionHeartbeatOutput, error) {
	if err := named(in.InstanceId, in.LifecycleActionToken); err != nil {
		return nil, err
	}
	return &sdk.RecordLifecycleActionHeartbeatOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Heartbeat(name, aws.ToString(in.LifecycleHookName), aws.ToString(in.InstanceId), aws.ToString(in.LifecycleActionToken))
	})
}

func named(instance, token *string) error {
	if aws.ToString(instance) != "" || aws.ToString(token) != "" {
		return nil
	}
	return elb.Errorf(elb.CodeValidation, "Either InstanceId or LifecycleActionToken is required")
}

func (a api) suspendProcesses(_ context.Context, in *sdk.SuspendProcessesInput) (*sdk.SuspendProcessesOutput, error) {
	return &sdk.SuspendProcessesOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Suspend(name, in.ScalingProcesses)
	})
}

func (a api) resumeProcesses(_ context.Context, in *sdk.ResumeProcessesInput) (*sdk.ResumeProcessesOutput, error) {
	return &sdk.ResumeProcessesOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.Resume(name, in.ScalingProcesses)
	})
}

func (a api) describeProcessTypes(context.Context, *sdk.DescribeScalingProcessTypesInput) (*sdk.DescribeScalingProcessTypesOutput, error) {
	return &sdk.DescribeScalingProcessTypesOutput{
		Processes: each(autoscaling.Processes(), func(name string) types.ProcessType { return types.ProcessType{ProcessName: &name} }),
	}, nil
}

func (a api) describeTerminationPolicyTypes(context.Context, *sdk.DescribeTerminationPolicyTypesInput) (*sdk.DescribeTerminationPolicyTypesOutput, error) {
	return &sdk.DescribeTerminationPolicyTypesOutput{TerminationPolicyTypes: autoscaling.Policies()}, nil
}
