package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/smithy-go"

	"hale/internal/autoscaling"
	"hale/internal/autoscaling/api"
	"hale/internal/autoscaling/instancetest"
	"hale/internal/elb"
	"hale/internal/elbapi/query"
)

func TestMain(m *testing.M) { instancetest.Main(m) }

const (
	region = "eu-west-1"
	blue   = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/0123456789abcdef"
	green  = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/green/0123456789abcdef"
)

// memory is groups without processes: each instance runs at once, and ends at once.
type memory struct {
	mu      sync.Mutex
	state   *autoscaling.State
	running map[string]autoscaling.ProcessState
	targets map[string]map[autoscaling.Target]elb.State
	port    uint16 // the last that was free
}

func newMemory(t *testing.T) *memory {
	t.Helper()
	m := &memory{
		state: new(autoscaling.State), port: 20000, running: make(map[string]autoscaling.ProcessState),
		targets: map[string]map[autoscaling.Target]elb.State{blue: {}, green: {}},
	}
	err := m.Change(func(e *autoscaling.Edit) error {
		return e.SetTemplates([]autoscaling.LaunchTemplate{{Name: "web", Command: []string{"serve"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *memory) State() *autoscaling.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *memory) Change(change func(*autoscaling.Edit) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	place := autoscaling.Place{Region: region, Account: "123456789012", TargetGroup: func(arn string) error {
		if m.targets[arn] == nil {
			return elb.Errorf(elb.CodeValidation, "no such group")
		}
		return nil
	}}
	e := m.state.Begin(place, time.Now())
	if err := change(e); err != nil {
		return err
	}
	m.state = e.State()
	for m.step() {
	}
	return nil
}

func (m *memory) step() bool {
	next, actions := autoscaling.Step(m.state, autoscaling.Facts{
		Processes: m.running, Targets: m.targets,
		Free: func(at netip.AddrPort) (netip.AddrPort, bool) {
			m.port++
			return netip.AddrPortFrom(at.Addr(), m.port), true
		},
	}, time.Now())
	changed := !reflect.DeepEqual(m.state, next)
	m.state = next
	for _, a := range actions {
		_, i := m.state.Instance(a.Instance)
		if i == nil {
			continue
		}
		switch a.Do {
		case autoscaling.Start:
			m.running[i.ID] = autoscaling.Running
		case autoscaling.Register:
			m.targets[a.Group][i.Target()] = elb.Healthy
		case autoscaling.Deregister:
			delete(m.targets[a.Group], i.Target())
		default:
			m.running[i.ID] = autoscaling.Ended
		}
	}
	return changed || len(actions) > 0
}

func serve(t *testing.T, groups api.Groups) (url string) {
	t.Helper()
	server := httptest.NewServer(query.NewHandler(query.Options{Services: []query.Service{api.Service(groups)}}))
	t.Cleanup(server.Close)
	return server.URL
}

func client(url string) *sdk.Client {
	return sdk.New(sdk.Options{
		Region: region, BaseEndpoint: &url, HTTPClient: &http.Client{Timeout: time.Minute}, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
	})
}

// must returns what a call of the SDK answers.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// wantCode wants an error of the API's: one that the SDK could read.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != code {
		t.Errorf("error %v, want code %s", err, code)
	}
}

// TestEachAction has the SDK read the answer to each action.
func TestEachAction(t *testing.T) {
	t.Parallel()
	c, ctx, web := client(serve(t, newMemory(t))), t.Context(), aws.String("web")
	must(c.CreateAutoScalingGroup(ctx, &sdk.CreateAutoScalingGroupInput{
		AutoScalingGroupName: web, MinSize: aws.Int32(1), MaxSize: aws.Int32(9), DesiredCapacity: aws.Int32(3),
		LaunchTemplate:      &types.LaunchTemplateSpecification{LaunchTemplateName: web},
		VPCZoneIdentifier:   aws.String("subnet-a,subnet-b"),
		TargetGroupARNs:     []string{blue},
		HealthCheckType:     aws.String("ELB"),
		Tags:                []types.Tag{{Key: aws.String("colour"), Value: aws.String("blue"), PropagateAtLaunch: aws.Bool(true)}},
		TerminationPolicies: []string{"OldestInstance"},
		LifecycleHookSpecificationList: []types.LifecycleHookSpecification{{
			LifecycleHookName: aws.String("save"), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"), HeartbeatTimeout: aws.Int32(60),
		}},
	}))(t)

	group := func() types.AutoScalingGroup {
		t.Helper()
		all := must(c.DescribeAutoScalingGroups(ctx, &sdk.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"web"}}))(t)
		if len(all.AutoScalingGroups) != 1 {
			t.Fatalf("groups %+v", all.AutoScalingGroups)
		}
		return all.AutoScalingGroups[0]
	}
	g := group()
	if *g.DesiredCapacity != 3 || *g.HealthCheckGracePeriod != 0 || *g.HealthCheckType != "ELB" || *g.DefaultCooldown != 300 ||
		len(g.Instances) != 3 || g.Instances[0].LifecycleState != types.LifecycleStateInService || *g.Instances[0].HealthStatus != "Healthy" ||
		*g.Instances[1].AvailabilityZone != "eu-west-1b" || *g.Instances[0].LaunchTemplate.Version != "1" || *g.LaunchTemplate.Version != "$Latest" ||
		!reflect.DeepEqual(g.TargetGroupARNs, []string{blue}) || *g.TrafficSources[0].Type != "elbv2" || *g.Tags[0].Value != "blue" || g.Status != nil {
		t.Errorf("the group is %+v", g)
	}
	id := *g.Instances[0].InstanceId

	must(c.UpdateAutoScalingGroup(ctx, &sdk.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: web, HealthCheckGracePeriod: aws.Int32(60), DefaultInstanceWarmup: aws.Int32(5),
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: g.LaunchTemplate.LaunchTemplateId, Version: aws.String("1")},
	}))(t)
	if g := group(); *g.HealthCheckGracePeriod != 60 || *g.DefaultInstanceWarmup != 5 || *g.LaunchTemplate.Version != "1" {
		t.Errorf("the group is %+v", g)
	}
	must(c.SetDesiredCapacity(ctx, &sdk.SetDesiredCapacityInput{AutoScalingGroupName: web, DesiredCapacity: aws.Int32(4)}))(t)
	if g := group(); len(g.Instances) != 4 {
		t.Errorf("%d instances", len(g.Instances))
	}
	if limits := must(c.DescribeAccountLimits(ctx, &sdk.DescribeAccountLimitsInput{}))(t); *limits.NumberOfAutoScalingGroups != 1 {
		t.Errorf("limits %+v", limits)
	}

	instances := must(c.DescribeAutoScalingInstances(ctx, &sdk.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}}))(t).AutoScalingInstances
	if len(instances) != 1 || *instances[0].AutoScalingGroupName != "web" || *instances[0].LifecycleState != "InService" || *instances[0].HealthStatus != "HEALTHY" {
		t.Errorf("instances %+v", instances)
	}
	must(c.SetInstanceProtection(ctx, &sdk.SetInstanceProtectionInput{AutoScalingGroupName: web, InstanceIds: []string{id}, ProtectedFromScaleIn: aws.Bool(true)}))(t)
	if g := group(); !*g.Instances[0].ProtectedFromScaleIn {
		t.Error("the instance is not protected")
	}
	if out := must(c.EnterStandby(ctx, &sdk.EnterStandbyInput{AutoScalingGroupName: web, InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(true)}))(t); len(out.Activities) != 1 {
		t.Errorf("activities %+v", out.Activities)
	}
	if g := group(); g.Instances[0].LifecycleState != types.LifecycleStateStandby || *g.DesiredCapacity != 3 {
		t.Errorf("the group is %+v", g)
	}
	must(c.ExitStandby(ctx, &sdk.ExitStandbyInput{AutoScalingGroupName: web, InstanceIds: []string{id}}))(t)
	must(c.SuspendProcesses(ctx, &sdk.SuspendProcessesInput{AutoScalingGroupName: web, ScalingProcesses: []string{"Launch"}}))(t)
	if g := group(); len(g.SuspendedProcesses) != 1 || *g.SuspendedProcesses[0].ProcessName != "Launch" {
		t.Errorf("suspended %+v", g.SuspendedProcesses)
	}
	must(c.ResumeProcesses(ctx, &sdk.ResumeProcessesInput{AutoScalingGroupName: web}))(t)
	if got := must(c.DescribeScalingProcessTypes(ctx, &sdk.DescribeScalingProcessTypesInput{}))(t); len(got.Processes) != 9 {
		t.Errorf("processes %+v", got.Processes)
	}
	if got := must(c.DescribeTerminationPolicyTypes(ctx, &sdk.DescribeTerminationPolicyTypesInput{}))(t); len(got.TerminationPolicyTypes) != 4 {
		t.Errorf("policies %+v", got.TerminationPolicyTypes)
	}

	must(c.AttachLoadBalancerTargetGroups(ctx, &sdk.AttachLoadBalancerTargetGroupsInput{AutoScalingGroupName: web, TargetGroupARNs: []string{green}}))(t)
	states := must(c.DescribeLoadBalancerTargetGroups(ctx, &sdk.DescribeLoadBalancerTargetGroupsInput{AutoScalingGroupName: web}))(t).LoadBalancerTargetGroups
	if len(states) != 2 || *states[1].LoadBalancerTargetGroupARN != green || *states[1].State != "InService" {
		t.Errorf("target groups %+v", states)
	}
	must(c.DetachLoadBalancerTargetGroups(ctx, &sdk.DetachLoadBalancerTargetGroupsInput{AutoScalingGroupName: web, TargetGroupARNs: []string{green}}))(t)
	source := []types.TrafficSourceIdentifier{{Identifier: aws.String(green), Type: aws.String("elbv2")}}
	must(c.AttachTrafficSources(ctx, &sdk.AttachTrafficSourcesInput{AutoScalingGroupName: web, TrafficSources: source}))(t)
	if got := must(c.DescribeTrafficSources(ctx, &sdk.DescribeTrafficSourcesInput{AutoScalingGroupName: web}))(t).TrafficSources; len(got) != 2 || *got[1].Identifier != green || *got[1].Type != "elbv2" {
		t.Errorf("traffic sources %+v", got)
	}
	must(c.DetachTrafficSources(ctx, &sdk.DetachTrafficSourcesInput{AutoScalingGroupName: web, TrafficSources: source}))(t)

	refresh := must(c.StartInstanceRefresh(ctx, &sdk.StartInstanceRefreshInput{AutoScalingGroupName: web, Preferences: &types.RefreshPreferences{
		MinHealthyPercentage: aws.Int32(50), InstanceWarmup: aws.Int32(3600), ScaleInProtectedInstances: types.ScaleInProtectedInstancesIgnore,
	}}))(t)
	refreshes := must(c.DescribeInstanceRefreshes(ctx, &sdk.DescribeInstanceRefreshesInput{AutoScalingGroupName: web}))(t).InstanceRefreshes
	if len(refreshes) != 1 || *refreshes[0].InstanceRefreshId != *refresh.InstanceRefreshId || refreshes[0].Status != types.InstanceRefreshStatusInProgress ||
		*refreshes[0].PercentageComplete != 66 || *refreshes[0].Preferences.MinHealthyPercentage != 50 {
		t.Errorf("refreshes %+v", refreshes)
	}
	must(c.CancelInstanceRefresh(ctx, &sdk.CancelInstanceRefreshInput{AutoScalingGroupName: web}))(t)

	hooks := must(c.DescribeLifecycleHooks(ctx, &sdk.DescribeLifecycleHooksInput{AutoScalingGroupName: web}))(t).LifecycleHooks
	if len(hooks) != 1 || *hooks[0].HeartbeatTimeout != 60 || *hooks[0].GlobalTimeout != 6000 || *hooks[0].DefaultResult != "ABANDON" {
		t.Errorf("hooks %+v", hooks)
	}
	must(c.DescribeLifecycleHookTypes(ctx, &sdk.DescribeLifecycleHookTypesInput{}))(t)
	terminated := must(c.TerminateInstanceInAutoScalingGroup(ctx, &sdk.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(true)}))(t)
	if a := terminated.Activity; a == nil || a.StatusCode != types.ScalingActivityStatusCodeInProgress || *a.AutoScalingGroupName != "web" {
		t.Errorf("activity %+v", a)
	}
	must(c.RecordLifecycleActionHeartbeat(ctx, &sdk.RecordLifecycleActionHeartbeatInput{AutoScalingGroupName: web, LifecycleHookName: aws.String("save"), InstanceId: &id}))(t)
	must(c.CompleteLifecycleAction(ctx, &sdk.CompleteLifecycleActionInput{
		AutoScalingGroupName: web, LifecycleHookName: aws.String("save"), InstanceId: &id, LifecycleActionResult: aws.String("CONTINUE"),
	}))(t)
	must(c.PutLifecycleHook(ctx, &sdk.PutLifecycleHookInput{AutoScalingGroupName: web, LifecycleHookName: aws.String("save"), DefaultResult: aws.String("CONTINUE")}))(t)
	must(c.DeleteLifecycleHook(ctx, &sdk.DeleteLifecycleHookInput{AutoScalingGroupName: web, LifecycleHookName: aws.String("save")}))(t)
	activities := must(c.DescribeScalingActivities(ctx, &sdk.DescribeScalingActivitiesInput{AutoScalingGroupName: web, ActivityIds: []string{*terminated.Activity.ActivityId}}))(t).Activities
	if len(activities) != 1 || activities[0].StatusCode != types.ScalingActivityStatusCodeSuccessful || activities[0].EndTime == nil {
		t.Errorf("activities %+v", activities)
	}
	kept := *group().Instances[0].InstanceId
	must(c.SetInstanceHealth(ctx, &sdk.SetInstanceHealthInput{InstanceId: &kept, HealthStatus: aws.String("Unhealthy"), ShouldRespectGracePeriod: aws.Bool(false)}))(t)
	for _, i := range group().Instances {
		if *i.InstanceId == kept {
			t.Error("an instance that was set unhealthy is still there")
		}
	}

	tag := types.Tag{ResourceId: web, ResourceType: aws.String("auto-scaling-group"), Key: aws.String("team"), Value: aws.String("a")}
	must(c.CreateOrUpdateTags(ctx, &sdk.CreateOrUpdateTagsInput{Tags: []types.Tag{tag}}))(t)
	if got := must(c.DescribeTags(ctx, &sdk.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("key"), Values: []string{"team"}}}}))(t).Tags; len(got) != 1 || *got[0].Value != "a" {
		t.Errorf("tags %+v", got)
	}
	must(c.DeleteTags(ctx, &sdk.DeleteTagsInput{Tags: []types.Tag{tag}}))(t)

	_, err := c.DeleteAutoScalingGroup(ctx, &sdk.DeleteAutoScalingGroupInput{AutoScalingGroupName: web})
	if _, ok := errors.AsType[*types.ResourceInUseFault](err); !ok {
		t.Errorf("error %v", err)
	}
	must(c.DeleteAutoScalingGroup(ctx, &sdk.DeleteAutoScalingGroupInput{AutoScalingGroupName: web, ForceDelete: aws.Bool(true)}))(t)
	if got := must(c.DescribeAutoScalingGroups(ctx, &sdk.DescribeAutoScalingGroupsInput{}))(t).AutoScalingGroups; len(got) != 0 {
		t.Errorf("groups %+v", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c, ctx, web := client(serve(t, newMemory(t))), t.Context(), aws.String("web")
	create := func(change func(*sdk.CreateAutoScalingGroupInput)) error {
		in := &sdk.CreateAutoScalingGroupInput{
			AutoScalingGroupName: web, MinSize: aws.Int32(0), MaxSize: aws.Int32(1), LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: web},
		}
		change(in)
		_, err := c.CreateAutoScalingGroup(ctx, in)
		return err
	}
	if err := create(func(*sdk.CreateAutoScalingGroupInput) {}); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*types.AlreadyExistsFault](create(func(*sdk.CreateAutoScalingGroupInput) {})); !ok {
		t.Error("a name that there is can be used again")
	}
	for name, change := range map[string]func(*sdk.CreateAutoScalingGroupInput){
		"a launch configuration": func(in *sdk.CreateAutoScalingGroupInput) { in.LaunchConfigurationName = aws.String("x") },
		"a classic balancer":     func(in *sdk.CreateAutoScalingGroupInput) { in.LoadBalancerNames = []string{"x"} },
		"an unknown template":    func(in *sdk.CreateAutoScalingGroupInput) { in.LaunchTemplate.LaunchTemplateName = aws.String("x") },
		"an unknown id": func(in *sdk.CreateAutoScalingGroupInput) {
			in.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-0")}
		},
		"a version that is none": func(in *sdk.CreateAutoScalingGroupInput) { in.LaunchTemplate.Version = aws.String("latest") },
		"a name and an id":       func(in *sdk.CreateAutoScalingGroupInput) { in.LaunchTemplate.LaunchTemplateId = aws.String("lt-0") },
		"a foreign source": func(in *sdk.CreateAutoScalingGroupInput) {
			in.TrafficSources = []types.TrafficSourceIdentifier{{Identifier: aws.String("x"), Type: aws.String("vpc-lattice")}}
		},
		"an unknown target group": func(in *sdk.CreateAutoScalingGroupInput) { in.TargetGroupARNs = []string{"x"} },
		"a tag without a key":     func(in *sdk.CreateAutoScalingGroupInput) { in.Tags = []types.Tag{{Key: aws.String("")}} },
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, create(func(in *sdk.CreateAutoScalingGroupInput) {
				in.AutoScalingGroupName = &name
				change(in)
			}), "ValidationError")
		})
	}
	if groups := must(c.DescribeAutoScalingGroups(ctx, &sdk.DescribeAutoScalingGroupsInput{}))(t).AutoScalingGroups; len(groups) != 1 {
		t.Errorf("%d groups: a refused one was made", len(groups))
	}
	_, err := c.SetDesiredCapacity(ctx, &sdk.SetDesiredCapacityInput{AutoScalingGroupName: web, DesiredCapacity: aws.Int32(2)})
	wantCode(t, err, "ValidationError")
	_, err = c.PutWarmPool(ctx, &sdk.PutWarmPoolInput{AutoScalingGroupName: web})
	wantCode(t, err, "InvalidAction")
	_, err = c.DescribeAutoScalingGroups(ctx, &sdk.DescribeAutoScalingGroupsInput{NextToken: aws.String("!")})
	wantCode(t, err, "InvalidNextToken")
	_, err = c.DescribeTags(ctx, &sdk.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("x")}}})
	wantCode(t, err, "ValidationError")
}

func TestGroupsAreFoundByTagsAndPages(t *testing.T) {
	t.Parallel()
	c, ctx := client(serve(t, newMemory(t))), t.Context()
	for name, colour := range map[string]string{"a": "blue", "b": "green", "c": "blue", "d": "blue"} {
		must(c.CreateAutoScalingGroup(ctx, &sdk.CreateAutoScalingGroupInput{
			AutoScalingGroupName: &name, MinSize: aws.Int32(0), MaxSize: aws.Int32(0), LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("web")},
			Tags: []types.Tag{{Key: aws.String("colour"), Value: &colour}},
		}))(t)
	}
	for _, test := range []struct {
		name   string
		filter []types.Filter
		want   []string
	}{
		{"all", nil, []string{"a", "b", "c", "d"}},
		{"a key", []types.Filter{{Name: aws.String("tag-key"), Values: []string{"colour"}}}, []string{"a", "b", "c", "d"}},
		{"a value", []types.Filter{{Name: aws.String("tag-value"), Values: []string{"green", "red"}}}, []string{"b"}},
		{"a value of a key", []types.Filter{{Name: aws.String("tag:colour"), Values: []string{"blue"}}}, []string{"a", "c", "d"}},
		{"two filters", []types.Filter{{Name: aws.String("tag:colour"), Values: []string{"blue"}}, {Name: aws.String("tag-key"), Values: []string{"x"}}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			pages := sdk.NewDescribeAutoScalingGroupsPaginator(c, &sdk.DescribeAutoScalingGroupsInput{Filters: test.filter, MaxRecords: aws.Int32(2)})
			for pages.HasMorePages() {
				for _, g := range must(pages.NextPage(t.Context()))(t).AutoScalingGroups {
					got = append(got, *g.AutoScalingGroupName)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("groups %q, want %q", got, test.want)
			}
		})
	}
}
