package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// cloud is the load balancer's API, asked as AWS is. What the page's buttons do with
// it, a command does as well, which is shown.
type cloud struct {
	url     string
	elb     *elbv2.Client
	scaling *autoscaling.Client
}

const region = "us-east-1"

func newCloud(address string) *cloud {
	c := &cloud{url: "http://" + address}
	anybody := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		// No secret: the API asks for no signature.
		return aws.Credentials{AccessKeyID: "demo", SecretAccessKey: "demo"}, nil
	})
	c.elb = elbv2.New(elbv2.Options{BaseEndpoint: &c.url, Region: region, Credentials: anybody})
	c.scaling = autoscaling.New(autoscaling.Options{BaseEndpoint: &c.url, Region: region, Credentials: anybody})
	return c
}

// command is one to try, and what it is about.
type command struct{ About, Text string }

// export is what the aws command needs to ask here.
func (c *cloud) export() string {
	return "export AWS_ENDPOINT_URL=" + c.url + " AWS_DEFAULT_REGION=" + region + " AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo"
}

// first are the commands to begin with.
func (c *cloud) first(s *sight) []command {
	blue := s.group("blue")
	if blue == nil {
		return nil
	}
	return []command{
		{
			"Who is healthy, and why not",
			"aws elbv2 describe-target-health --output table --target-group-arn " + blue.ARN +
				" --query 'TargetHealthDescriptions[].[Target.Id,TargetHealth.State,TargetHealth.Reason]'",
		},
		{"Half of the requests to green", weightsCommand(s, map[string]int32{"blue": 50, "green": 50})},
	}
}

// more are further commands, on the page.
func (c *cloud) more(s *sight, p Places) []command {
	return append(append([]command{{"So that the aws command asks here", c.export()}}, c.first(s)...), []command{
		{"A new version: each instance is replaced, two at a time", "aws autoscaling start-instance-refresh --auto-scaling-group-name green --preferences MinHealthyPercentage=50"},
		{"Why instances came and went", "aws autoscaling describe-scaling-activities --auto-scaling-group-name blue --max-items 5 --query 'Activities[].[StartTime,Description,Cause]' --output text"},
		{"More instances", "aws autoscaling set-desired-capacity --auto-scaling-group-name blue --desired-capacity 6"},
		{"Everything in one table, again whenever something has changed", "hale balance status --watch --endpoint-url " + c.url},
		{"As a user", "curl -i -H 'Host: " + PublicHost + "' http://" + p.Site + "/"},
		{"Break an instance without this page; do=mend mends it", "curl -d do=break -d fault=database -d instance=blue http://" + p.Panel + "/do"},
	}...)
}

// weights has the listener share requests among the groups.
func (c *cloud) weights(ctx context.Context, s *sight, weights map[string]int32) (said string, err error) {
	listener := s.listener()
	if listener == "" {
		return "", errNotThere
	}
	forward := &types.ForwardActionConfig{}
	for _, name := range groups {
		g := s.group(name)
		if g == nil {
			return "", errNotThere
		}
		forward.TargetGroups = append(forward.TargetGroups, types.TargetGroupTuple{TargetGroupArn: &g.ARN, Weight: new(weights[name])})
	}
	_, err = c.elb.ModifyListener(ctx, &elbv2.ModifyListenerInput{
		ListenerArn: &listener, DefaultActions: []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: forward}},
	})
	return weightsCommand(s, weights), err
}

func weightsCommand(s *sight, weights map[string]int32) string {
	var tuples []string
	for _, name := range groups {
		if g := s.group(name); g != nil {
			tuples = append(tuples, fmt.Sprintf("{TargetGroupArn=%s,Weight=%d}", g.ARN, weights[name]))
		}
	}
	return "aws elbv2 modify-listener --listener-arn " + s.listener() +
		" --default-actions 'Type=forward,ForwardConfig={TargetGroups=[" + strings.Join(tuples, ",") + "]}'"
}

var errNotThere = errors.New("the load balancer has no listener site or no groups blue and green any more: end the demo, and start it again")

// healthPath has the groups' targets asked at another path.
func (c *cloud) healthPath(ctx context.Context, s *sight, path string) (said string, err error) {
	for _, name := range groups {
		g := s.group(name)
		if g == nil {
			return "", errNotThere
		}
		if _, err := c.elb.ModifyTargetGroup(ctx, &elbv2.ModifyTargetGroupInput{TargetGroupArn: &g.ARN, HealthCheckPath: &path}); err != nil {
			return "", err
		}
		said = "aws elbv2 modify-target-group --health-check-path " + path + " --target-group-arn " + g.ARN
	}
	return said, nil
}

// healthType says whether Auto Scaling replaces what the load balancer holds for
// unhealthy.
func (c *cloud) healthType(ctx context.Context, kind string) (said string, err error) {
	for _, name := range groups {
		if _, err := c.scaling.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: &name, HealthCheckType: &kind}); err != nil {
			return "", err
		}
		said = "aws autoscaling update-auto-scaling-group --health-check-type " + kind + " --auto-scaling-group-name " + name
	}
	return said, nil
}

// standby takes an instance out of service without ending it, or back.
func (c *cloud) standby(ctx context.Context, group, id string, on bool) (said string, err error) {
	if on {
		_, err = c.scaling.EnterStandby(ctx, &autoscaling.EnterStandbyInput{AutoScalingGroupName: &group, InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(true)})
		return fmt.Sprintf("aws autoscaling enter-standby --should-decrement-desired-capacity --auto-scaling-group-name %s --instance-ids %s", group, id), err
	}
	_, err = c.scaling.ExitStandby(ctx, &autoscaling.ExitStandbyInput{AutoScalingGroupName: &group, InstanceIds: []string{id}})
	return fmt.Sprintf("aws autoscaling exit-standby --auto-scaling-group-name %s --instance-ids %s", group, id), err
}

// replace has an instance drained and ended, and another one launched.
func (c *cloud) replace(ctx context.Context, id string) (said string, err error) {
	_, err = c.scaling.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false)})
	return "aws autoscaling terminate-instance-in-auto-scaling-group --no-should-decrement-desired-capacity --instance-id " + id, err
}

// ready says of a new instance that it may come into service.
func (c *cloud) ready(ctx context.Context, group, id string) error {
	_, err := c.scaling.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: &group, LifecycleHookName: aws.String("ready"), InstanceId: &id, LifecycleActionResult: aws.String("CONTINUE"),
	})
	return err
}

// routing is what the API tells and the load balancer's own status has in words
// alone.
type routing struct {
	weights map[string]int32  // by the group's name
	paths   map[string]string // of the health checks, likewise
}

// ask asks for the routing.
func (c *cloud) ask(ctx context.Context, listener string) (routing, error) {
	r := routing{weights: make(map[string]int32), paths: make(map[string]string)}
	described, err := c.elb.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{})
	if err != nil {
		return r, err
	}
	names := make(map[string]string)
	for _, g := range described.TargetGroups {
		names[*g.TargetGroupArn] = *g.TargetGroupName
		r.paths[*g.TargetGroupName] = aws.ToString(g.HealthCheckPath)
	}
	listeners, err := c.elb.DescribeListeners(ctx, &elbv2.DescribeListenersInput{ListenerArns: []string{listener}})
	if err != nil {
		return r, err
	}
	for _, l := range listeners.Listeners {
		for _, a := range l.DefaultActions {
			if a.ForwardConfig == nil {
				continue
			}
			for _, g := range a.ForwardConfig.TargetGroups {
				r.weights[names[*g.TargetGroupArn]] = aws.ToInt32(g.Weight)
			}
		}
	}
	return r, nil
}
