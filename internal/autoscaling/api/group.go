package api

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"hale/internal/autoscaling"
	"hale/internal/elb"
)

func (a api) createGroup(_ context.Context, in *sdk.CreateAutoScalingGroupInput) (*sdk.CreateAutoScalingGroupOutput, error) {
	if err := notOffered(map[string]bool{
		"LaunchConfigurationName": in.LaunchConfigurationName != nil,
		"InstanceId":              in.InstanceId != nil,
		"MixedInstancesPolicy":    in.MixedInstancesPolicy != nil,
		"LoadBalancerNames":       len(in.LoadBalancerNames) > 0,
		"MaxInstanceLifetime":     aws.ToInt32(in.MaxInstanceLifetime) != 0,
		"DeletionProtection":      in.DeletionProtection != "" && in.DeletionProtection != types.DeletionProtectionNone,
	}); err != nil {
		return nil, err
	}
	arns, err := identifiers(in.TrafficSources)
	if err != nil {
		return nil, err
	}
	settings := autoscaling.Settings{
		Min: number(in.MinSize), Max: number(in.MaxSize), Desired: number(in.DesiredCapacity),
		Zones: in.AvailabilityZones, Subnets: in.VPCZoneIdentifier,
		HealthCheckType: in.HealthCheckType, Grace: span(in.HealthCheckGracePeriod),
		Warmup: span(in.DefaultInstanceWarmup), Cooldown: span(in.DefaultCooldown),
		Policies: in.TerminationPolicies, ProtectNew: in.NewInstancesProtectedFromScaleIn,
	}
	if settings.Template, err = a.template(in.LaunchTemplate); err != nil {
		return nil, err
	}
	return &sdk.CreateAutoScalingGroupOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		if _, err := e.CreateGroup(name, settings); err != nil {
			return err
		}
		if err := e.Attach(name, slices.Concat(in.TargetGroupARNs, arns)); err != nil {
			return err
		}
		for _, h := range in.LifecycleHookSpecificationList {
			hook := hookFrom(h.LifecycleHookName, h.LifecycleTransition, h.DefaultResult, h.HeartbeatTimeout, h.NotificationMetadata)
			if err := e.PutHook(name, hook); err != nil {
				return err
			}
		}
		tags, err := tagsFrom(in.Tags)
		if err != nil {
			return err
		}
		return e.SetTags(name, tags)
	})
}

func (a api) updateGroup(_ context.Context, in *sdk.UpdateAutoScalingGroupInput) (*sdk.UpdateAutoScalingGroupOutput, error) {
	if err := notOffered(map[string]bool{
		"LaunchConfigurationName": in.LaunchConfigurationName != nil,
		"MixedInstancesPolicy":    in.MixedInstancesPolicy != nil,
		"MaxInstanceLifetime":     aws.ToInt32(in.MaxInstanceLifetime) != 0,
		"DeletionProtection":      in.DeletionProtection != "" && in.DeletionProtection != types.DeletionProtectionNone,
	}); err != nil {
		return nil, err
	}
	settings := autoscaling.Settings{
		Min: number(in.MinSize), Max: number(in.MaxSize), Desired: number(in.DesiredCapacity),
		Zones: in.AvailabilityZones, Subnets: in.VPCZoneIdentifier,
		HealthCheckType: in.HealthCheckType, Grace: span(in.HealthCheckGracePeriod),
		Warmup: span(in.DefaultInstanceWarmup), Cooldown: span(in.DefaultCooldown),
		Policies: in.TerminationPolicies, ProtectNew: in.NewInstancesProtectedFromScaleIn,
	}
	var err error
	if settings.Template, err = a.template(in.LaunchTemplate); err != nil {
		return nil, err
	}
	return &sdk.UpdateAutoScalingGroupOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.UpdateGroup(name, settings)
	})
}

func (a api) deleteGroup(_ context.Context, in *sdk.DeleteAutoScalingGroupInput) (*sdk.DeleteAutoScalingGroupOutput, error) {
	return &sdk.DeleteAutoScalingGroupOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.DeleteGroup(name, aws.ToBool(in.ForceDelete))
	})
}

func (a api) setDesiredCapacity(_ context.Context, in *sdk.SetDesiredCapacityInput) (*sdk.SetDesiredCapacityOutput, error) {
	if err := required("DesiredCapacity", in.DesiredCapacity); err != nil {
		return nil, err
	}
	return &sdk.SetDesiredCapacityOutput{}, a.change(in.AutoScalingGroupName, func(e *autoscaling.Edit, name string) error {
		return e.SetDesired(name, int(*in.DesiredCapacity), aws.ToBool(in.HonorCooldown))
	})
}

// number widens one; nil stays nil.
func number(n *int32) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}

// template finds the launch template that a request names, by name or id.
func (a api) template(given *types.LaunchTemplateSpecification) (*autoscaling.TemplateRef, error) {
	if given == nil {
		return nil, nil //nolint:nilnil // none was named
	}
	ref := autoscaling.TemplateRef{Name: aws.ToString(given.LaunchTemplateName)}
	id := aws.ToString(given.LaunchTemplateId)
	if (ref.Name == "") == (id == "") {
		return nil, elb.Errorf(elb.CodeValidation, "Valid requests must contain either launchTemplateId or LaunchTemplateName")
	}
	if id != "" {
		for name := range a.groups.State().Templates {
			if autoscaling.TemplateID(name) == id {
				ref.Name = name
			}
		}
		if ref.Name == "" {
			return nil, elb.Errorf(elb.CodeValidation, "The specified launch template, with template ID %s, does not exist here", id)
		}
	}
	switch version := aws.ToString(given.Version); version {
	case "", "$Latest", "$Default":
	default:
		n, err := strconv.Atoi(version)
		if err != nil || n < 1 {
			return nil, elb.Errorf(elb.CodeValidation, "Launch template version '%s' is no number, nor $Latest or $Default", version)
		}
		ref.Version = n
	}
	return &ref, nil
}

func templateOf(ref autoscaling.TemplateRef) *types.LaunchTemplateSpecification {
	version := "$Latest"
	if ref.Version != 0 {
		version = strconv.Itoa(ref.Version)
	}
	return &types.LaunchTemplateSpecification{LaunchTemplateName: &ref.Name, LaunchTemplateId: new(autoscaling.TemplateID(ref.Name)), Version: &version}
}

func (a api) describeGroups(_ context.Context, in *sdk.DescribeAutoScalingGroupsInput) (*sdk.DescribeAutoScalingGroupsOutput, error) {
	if err := filters(in.Filters, isGroupFilter, "tag-key, tag-value and tag:<key>"); err != nil {
		return nil, err
	}
	s := a.groups.State()
	var found []*autoscaling.Group
	for _, name := range s.Names() {
		g := s.Groups[name]
		if len(in.AutoScalingGroupNames) > 0 && !slices.Contains(in.AutoScalingGroupNames, name) {
			continue
		}
		if matchesTags(g, in.Filters) {
			found = append(found, g)
		}
	}
	found, next, err := page(found, func(g *autoscaling.Group) string { return g.Name }, in.NextToken, in.MaxRecords, 50, 100)
	if err != nil {
		return nil, err
	}
	with := in.IncludeInstances == nil || *in.IncludeInstances
	return &sdk.DescribeAutoScalingGroupsOutput{
		AutoScalingGroups: each(found, func(g *autoscaling.Group) types.AutoScalingGroup { return groupOf(g, with) }),
		NextToken:         next,
	}, nil
}

// keyFilter begins a filter's name that ends in a tag's key.
const keyFilter = "tag:"

func isGroupFilter(name string) bool {
	return name == "tag-key" || name == "tag-value" || strings.HasPrefix(name, keyFilter)
}

// matchesTags tells whether a group has a tag for each filter: a key, a value, or a
// value of a certain key.
func matchesTags(g *autoscaling.Group, filters []types.Filter) bool {
	return !slices.ContainsFunc(filters, func(f types.Filter) bool {
		return !slices.ContainsFunc(g.Tags, func(t autoscaling.Tag) bool {
			switch key, ofKey := strings.CutPrefix(*f.Name, keyFilter); {
			case ofKey:
				return t.Key == key && slices.Contains(f.Values, t.Value)
			case *f.Name == "tag-key":
				return slices.Contains(f.Values, t.Key)
			default:
				return slices.Contains(f.Values, t.Value)
			}
		})
	})
}

func groupOf(g *autoscaling.Group, withInstances bool) types.AutoScalingGroup {
	told := types.AutoScalingGroup{
		AutoScalingGroupName: &g.Name, AutoScalingGroupARN: &g.ARN, CreatedTime: &g.Created,
		MinSize: count(g.Min), MaxSize: count(g.Max), DesiredCapacity: count(g.Desired),
		LaunchTemplate: templateOf(g.Template), AvailabilityZones: g.Zones, VPCZoneIdentifier: &g.Subnets,
		HealthCheckType: &g.HealthCheckType, HealthCheckGracePeriod: seconds(g.Grace), DefaultCooldown: seconds(g.Cooldown),
		NewInstancesProtectedFromScaleIn: &g.ProtectNew, TerminationPolicies: g.Policies,
		SuspendedProcesses: each(g.Suspended, func(s autoscaling.Suspension) types.SuspendedProcess {
			return types.SuspendedProcess{ProcessName: &s.Process, SuspensionReason: &s.Reason}
		}),
		Tags: each(g.Tags, func(t autoscaling.Tag) types.TagDescription { return tagOf(g, t) }),
	}
	if g.Warmup != nil {
		told.DefaultInstanceWarmup = seconds(*g.Warmup)
	}
	for _, s := range g.Sources {
		told.TargetGroupARNs = append(told.TargetGroupARNs, s.ARN)
		told.TrafficSources = append(told.TrafficSources, types.TrafficSourceIdentifier{Identifier: &s.ARN, Type: new("elbv2")})
	}
	if g.Deleting {
		told.Status = new("Delete in progress")
	}
	if withInstances {
		told.Instances = each(g.Instances, func(i autoscaling.Instance) types.Instance {
			return types.Instance{
				InstanceId: &i.ID, AvailabilityZone: &i.Zone, LifecycleState: types.LifecycleState(i.State), HealthStatus: new(healthOf(i)),
				ProtectedFromScaleIn: &i.Protected, LaunchTemplate: templateOf(i.Template),
			}
		})
	}
	return told
}

// mostGroups is AWS's usual quota; there is none here.
const mostGroups = 500

func (a api) describeAccountLimits(context.Context, *sdk.DescribeAccountLimitsInput) (*sdk.DescribeAccountLimitsOutput, error) {
	return &sdk.DescribeAccountLimitsOutput{
		MaxNumberOfAutoScalingGroups: count(mostGroups), MaxNumberOfLaunchConfigurations: count(0),
		NumberOfAutoScalingGroups: count(len(a.groups.State().Groups)), NumberOfLaunchConfigurations: count(0),
	}, nil
}
