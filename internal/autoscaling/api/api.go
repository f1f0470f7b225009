// Package api is AWS's API for Auto Scaling groups (version 2011-01-01) over the
// groups of this machine, as far as tools for deployments use it, so that the aws
// command, boto3 and the AWS SDKs work with it as they do with AWS.
//
// The codec is package elbapi/query's, and what Auto Scaling would refuse is
// refused by package autoscaling. Here is a file for each noun of the API, with its
// actions and how its values are told. Where the API's documentation names no
// wording for a refusal, it is ours.
package api

import (
	"encoding/base64"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/internal/autoscaling"
	"hale/internal/elb"
	"hale/internal/elbapi/query"
)

// Groups are what the API is over.
type Groups interface {
	// State returns what there is. It never changes.
	State() *autoscaling.State
	// Change changes it, wholly or, with an error, not at all. What was changed is
	// durable when it returns; the instances follow.
	Change(change func(*autoscaling.Edit) error) error
}

// Service returns the API's actions over groups, to be answered by query's Handler.
func Service(groups Groups) query.Service {
	a := api{groups}
	return query.Service{
		Name:      "autoscaling",
		Version:   "2011-01-01",
		Namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
		Actions: []query.Action{
			query.Do("CreateAutoScalingGroup", a.createGroup).Silent(),
			query.Do("UpdateAutoScalingGroup", a.updateGroup).Silent(),
			query.Do("DeleteAutoScalingGroup", a.deleteGroup).Silent(),
			query.Do("SetDesiredCapacity", a.setDesiredCapacity).Silent(),
			query.Do("DescribeAutoScalingGroups", a.describeGroups),
			query.Do("DescribeAccountLimits", a.describeAccountLimits),

			query.Do("DescribeAutoScalingInstances", a.describeInstances),
			query.Do("SetInstanceHealth", a.setInstanceHealth).Silent(),
			query.Do("SetInstanceProtection", a.setInstanceProtection),
			query.Do("TerminateInstanceInAutoScalingGroup", a.terminateInstance),
			query.Do("EnterStandby", a.enterStandby),
			query.Do("ExitStandby", a.exitStandby),

			query.Do("AttachLoadBalancerTargetGroups", a.attachTargetGroups),
			query.Do("DetachLoadBalancerTargetGroups", a.detachTargetGroups),
			query.Do("DescribeLoadBalancerTargetGroups", a.describeTargetGroups),
			query.Do("AttachTrafficSources", a.attachTrafficSources),
			query.Do("DetachTrafficSources", a.detachTrafficSources),
			query.Do("DescribeTrafficSources", a.describeTrafficSources),

			query.Do("PutLifecycleHook", a.putHook),
			query.Do("DeleteLifecycleHook", a.deleteHook),
			query.Do("DescribeLifecycleHooks", a.describeHooks),
			query.Do("DescribeLifecycleHookTypes", a.describeHookTypes),
			query.Do("CompleteLifecycleAction", a.completeAction),
			query.Do("RecordLifecycleActionHeartbeat", a.recordHeartbeat),

			query.Do("SuspendProcesses", a.suspendProcesses).Silent(),
			query.Do("ResumeProcesses", a.resumeProcesses).Silent(),
			query.Do("DescribeScalingProcessTypes", a.describeProcessTypes),
			query.Do("DescribeTerminationPolicyTypes", a.describeTerminationPolicyTypes),
			query.Do("DescribeScalingActivities", a.describeActivities),

			query.Do("StartInstanceRefresh", a.startRefresh),
			query.Do("CancelInstanceRefresh", a.cancelRefresh),
			query.Do("DescribeInstanceRefreshes", a.describeRefreshes),

			query.Do("CreateOrUpdateTags", a.createOrUpdateTags).Silent(),
			query.Do("DeleteTags", a.deleteTags).Silent(),
			query.Do("DescribeTags", a.describeTags),
		},
		LeftOut: []string{
			"AttachInstances", "AttachLoadBalancers", "BatchDeleteScheduledAction", "BatchPutScheduledUpdateGroupAction",
			"CreateLaunchConfiguration", "DeleteLaunchConfiguration", "DeleteNotificationConfiguration", "DeletePolicy",
			"DeleteScheduledAction", "DeleteWarmPool", "DescribeAccountSettings", "DescribeAdjustmentTypes",
			"DescribeAutoScalingNotificationTypes", "DescribeLaunchConfigurations", "DescribeLoadBalancers",
			"DescribeMetricCollectionTypes", "DescribeNotificationConfigurations", "DescribePolicies",
			"DescribeScheduledActions", "DescribeWarmPool", "DetachInstances", "DetachLoadBalancers",
			"DisableMetricsCollection", "EnableMetricsCollection", "ExecutePolicy", "GetPredictiveScalingForecast",
			"LaunchInstances", "PutAccountSetting", "PutNotificationConfiguration", "PutScalingPolicy",
			"PutScheduledUpdateGroupAction", "PutWarmPool", "RollbackInstanceRefresh",
		},
	}
}

// api answers the actions.
type api struct{ groups Groups }

// group returns the group that a request names, which has to be there.
func (a api) group(name *string) (*autoscaling.Group, error) {
	if err := required("AutoScalingGroupName", name); err != nil {
		return nil, err
	}
	g := a.groups.State().Groups[*name]
	if g == nil {
		return nil, autoscaling.NotFound(*name)
	}
	return g, nil
}

// change makes a change of the group that a request names.
func (a api) change(name *string, change func(e *autoscaling.Edit, name string) error) error {
	if err := required("AutoScalingGroupName", name); err != nil {
		return err
	}
	return a.groups.Change(func(e *autoscaling.Edit) error { return change(e, *name) })
}

// required refuses what is not there, in the words that AWS's services have for it.
func required[T any](at string, value *T) error {
	if value != nil {
		return nil
	}
	return elb.Errorf(elb.CodeValidation, "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", strings.ToLower(at[:1])+at[1:])
}

// notOffered refuses what AWS has and one machine has not.
func notOffered(offered map[string]bool) error {
	for _, what := range slices.Sorted(func(yield func(string) bool) {
		for name, there := range offered {
			if there && !yield(name) {
				return
			}
		}
	}) {
		return elb.Errorf(elb.CodeValidation, "%s is not offered here", what)
	}
	return nil
}

// page returns the part of a list that a request asks for, and the token of the
// next one, nil at the end. The list is in the order of its keys. A token holds the
// key of the last item before it, so that what comes and goes between two requests
// neither repeats an item nor leaves one out.
func page[T any](all []T, key func(T) string, token *string, size *int32, usual, most int32) ([]T, *string, error) {
	if size != nil {
		if *size < 1 || *size > most {
			return nil, nil, elb.Errorf(elb.CodeValidation, "MaxRecords '%d' is not between 1 and %d", *size, most)
		}
		usual = *size
	}
	if aws.ToString(token) != "" {
		after, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil {
			return nil, nil, elb.Errorf("InvalidNextToken", "The token '%s' is invalid: use the NextToken of the answer before, as it is", *token)
		}
		all = all[sort.Search(len(all), func(i int) bool { return key(all[i]) > string(after) }):]
	}
	if len(all) <= int(usual) {
		return all, nil, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(key(all[usual-1])))
	return all[:usual], &next, nil
}

// after is page for lists that are in an order of their own: the item of the token's
// key is looked for. What was added before it is left out, as on AWS.
func after[T any](all []T, key func(T) string, token *string, size *int32) ([]T, *string, error) {
	const usual, most = 50, 100
	n := int32(usual)
	if size != nil {
		if *size < 1 || *size > most {
			return nil, nil, elb.Errorf(elb.CodeValidation, "MaxRecords '%d' is not between 1 and %d", *size, most)
		}
		n = *size
	}
	if aws.ToString(token) != "" {
		last, err := base64.RawURLEncoding.DecodeString(*token)
		at := slices.IndexFunc(all, func(item T) bool { return key(item) == string(last) })
		if err != nil || at < 0 {
			return nil, nil, elb.Errorf("InvalidNextToken", "The token '%s' is invalid: use the NextToken of the answer before, as it is", *token)
		}
		all = all[at+1:]
	}
	if len(all) <= int(n) {
		return all, nil, nil
	}
	return all[:n], new(base64.RawURLEncoding.EncodeToString([]byte(key(all[n-1])))), nil
}

// each returns what becomes of each item.
func each[T, U any](all []T, of func(T) U) []U {
	told := make([]U, len(all))
	for i, item := range all {
		told[i] = of(item)
	}
	return told
}

// text returns nil for an empty text, which is then left out.
func text[S ~string](s S) *string {
	if s == "" {
		return nil
	}
	return new(string(s))
}

// seconds are how the API tells durations.
func seconds(d time.Duration) *int32 { return count(int(d / time.Second)) }

// count is how the API tells numbers.
func count(n int) *int32 {
	return new(int32(n)) //nolint:gosec // limits of package autoscaling are far below
}

// span reads seconds; nil stays nil.
func span(s *int32) *time.Duration {
	if s == nil {
		return nil
	}
	return new(time.Duration(*s) * time.Second)
}

// moment leaves out a time that has not come.
func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
