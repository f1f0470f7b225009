package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"hale/internal/autoscaling"
	"hale/internal/autoscaling/host"
	"hale/internal/autoscaling/instancetest"
	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
	"hale/test/servers"
)

// site is a load balancer at work on this machine, and groups whose instances are
// real processes behind it.
type site struct {
	t                     *testing.T
	host                  *host.Host
	balancer              *balancer.Balancer
	api                   string // its URL
	url                   string // of the listener
	blue, green, listener string // ARNs
}

// newSite has two target groups, of which the listener forwards to blue, and the
// launch templates v1 and v2.
func newSite(t *testing.T) *site {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	h, err := host.Open(host.Options{StateDir: t.TempDir(), Region: region, Account: "123456789012", Log: log, Templates: []autoscaling.LaunchTemplate{
		instancetest.Template(t, "v-1", "one"), instancetest.Template(t, "v-2", "two"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := balancer.Open(balancer.Options{Place: inventory.Place{Region: region, Account: "123456789012", Instance: h.Address}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	h.Start(host.Over(b))
	s := &site{t: t, host: h, balancer: b, api: serve(t, h)}
	t.Cleanup(func() { s.close() })
	port := servers.FreePort(t)
	s.url = fmt.Sprintf("http://127.0.0.1:%d/", port)
	s.change(func(e *inventory.Edit) error {
		lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "site", Scheme: inventory.Internal})
		if err != nil {
			return err
		}
		for name, arn := range map[string]*string{"blue": &s.blue, "green": &s.green} {
			g, err := e.CreateGroup(inventory.NewGroup{
				Name: name, Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Instances}, Port: 80,
				Attributes:  elb.Attributes{"deregistration_delay.timeout_seconds": "1"},
				HealthCheck: elb.HealthCheck{Path: "/", Interval: 5 * time.Second, Timeout: 4 * time.Second, Healthy: 2, Unhealthy: 2},
			})
			if err != nil {
				return err
			}
			*arn = g.ARN
		}
		// Green has to be in a rule to be probed.
		half := rule.ForwardTo(s.blue)
		l, err := e.CreateListener(lb.ARN, inventory.ListenerSettings{Protocol: elb.HTTP, Port: port, Default: []rule.Action{half}})
		if err != nil {
			return err
		}
		s.listener = l.ARN
		return nil
	})
	return s
}

// close leaves no process behind.
func (s *site) close() {
	s.t.Helper()
	for _, name := range s.host.State().Names() {
		if err := s.host.Change(func(e *autoscaling.Edit) error { return e.DeleteGroup(name, true) }); err != nil {
			s.t.Error(err)
		}
	}
	s.await("the end of all instances", func() bool { return len(s.host.State().Groups) == 0 })
	if err := s.host.Close(context.Background()); err != nil {
		s.t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.balancer.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
}

func (s *site) change(change func(*inventory.Edit) error) {
	s.t.Helper()
	if err := s.balancer.Change(context.Background(), change); err != nil {
		s.t.Fatal(err)
	}
}

// forward has the listener forward to a group.
func (s *site) forward(group string) {
	s.t.Helper()
	s.change(func(e *inventory.Edit) error {
		_, err := e.ModifyListener(s.listener, inventory.ListenerSettings{Default: []rule.Action{rule.ForwardTo(group)}})
		return err
	})
}

func (s *site) await(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("gave up waiting: %s", what)
		}
	}
}

// healthy tells whether a group has so many targets, and all of them are healthy.
func (s *site) healthy(group string, n int) bool {
	targets := s.balancer.TargetHealth(group)
	for _, t := range targets {
		if t.State != elb.Healthy {
			return false
		}
	}
	return len(targets) == n
}

// fetch returns what the site answers.
func (s *site) fetch() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, text)
}

// TestBlueGreen replaces a version of a site by a new group, with the SDK.
func TestBlueGreen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, ctx := client(s.api), t.Context()
	create := func(name, template, targetGroup string) {
		t.Helper()
		must(c.CreateAutoScalingGroup(ctx, &sdk.CreateAutoScalingGroupInput{
			AutoScalingGroupName: &name, MinSize: aws.Int32(3), MaxSize: aws.Int32(6), HealthCheckType: aws.String("ELB"),
			LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: &template}, TargetGroupARNs: []string{targetGroup},
		}))(t)
		named := &sdk.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}}
		err := sdk.NewGroupInServiceWaiter(c, func(o *sdk.GroupInServiceWaiterOptions) { o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second }).Wait(ctx, named, 3*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := func(name string) map[string]bool {
		t.Helper()
		ids := make(map[string]bool)
		for _, g := range must(c.DescribeAutoScalingGroups(ctx, &sdk.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}}))(t).AutoScalingGroups {
			for _, i := range g.Instances {
				if i.LifecycleState == types.LifecycleStateInService {
					ids[*i.InstanceId] = true
				}
			}
		}
		return ids
	}
	attached := func(name string) string {
		t.Helper()
		got := must(c.DescribeTrafficSources(ctx, &sdk.DescribeTrafficSourcesInput{AutoScalingGroupName: &name}))(t).TrafficSources
		if len(got) != 1 {
			return ""
		}
		return *got[0].State
	}

	create("web-1", "v-1", s.blue)
	s.await("three healthy targets", func() bool { return s.healthy(s.blue, 3) })
	s.await("the attachment in service", func() bool { return attached("web-1") == "InService" })
	seen := make(map[string]bool)
	s.await("an answer of each instance", func() bool {
		answer := s.fetch()
		id, ok := strings.CutPrefix(answer, "200 one ")
		if !ok {
			t.Fatalf("the site answers %q", answer)
		}
		seen[id] = true
		return len(seen) == 3
	})

	before := ids("web-1")
	for id := range before {
		_, i := s.host.State().Instance(id)
		if err := syscall.Kill(i.Process.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.await("another in the place of a killed one", func() bool {
			now := ids("web-1")
			return len(now) == 3 && !now[id] && s.healthy(s.blue, 3)
		})
		break
	}

	// Until a rule uses it, green's instances are registered and not probed.
	create("web-2", "v-2", s.green)
	s.await("green to be registered", func() bool { return attached("web-2") == "Added" && len(s.balancer.TargetHealth(s.green)) == 3 })
	s.forward(s.green)
	s.await("green in service", func() bool { return attached("web-2") == "InService" && s.healthy(s.green, 3) })
	for range 6 {
		if answer := s.fetch(); !strings.HasPrefix(answer, "200 two ") {
			t.Errorf("the site answers %q", answer)
		}
	}

	must(c.DetachLoadBalancerTargetGroups(ctx, &sdk.DetachLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String("web-1"), TargetGroupARNs: []string{s.blue}}))(t)
	s.await("blue to be detached", func() bool { return attached("web-1") == "" && len(s.balancer.TargetHealth(s.blue)) == 0 })
	if len(ids("web-1")) != 3 {
		t.Error("detached instances do not run on")
	}
	_, err := c.DeleteAutoScalingGroup(ctx, &sdk.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String("web-1")})
	wantCode(t, err, "ResourceInUse")
	must(c.DeleteAutoScalingGroup(ctx, &sdk.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String("web-1"), ForceDelete: aws.Bool(true)}))(t)
	err = sdk.NewGroupNotExistsWaiter(c, func(o *sdk.GroupNotExistsWaiterOptions) { o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second }).
		Wait(ctx, &sdk.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"web-1"}}, 3*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for id := range before {
		if _, ok := s.host.Address(id); ok {
			t.Errorf("instance %s is still there", id)
		}
	}
}

// TestTheAWSCommand does the same with the aws command, and more slowly: a hook
// holds an instance up.
func TestTheAWSCommand(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "aws")
	s := newSite(t)
	home := t.TempDir()
	names := map[string]string{"BLUE": s.blue, "GREEN": s.green}
	run := func(line string) (out, complaint string) {
		t.Helper()
		line = os.Expand(line, func(name string) string { return names[name] })
		cmd := exec.CommandContext(t.Context(), program, append([]string{"autoscaling", "--endpoint-url", s.api, "--output", "text"}, strings.Fields(line)...)...)
		cmd.Env = []string{
			"HOME=" + home, "PATH=" + os.Getenv("PATH"), "AWS_CONFIG_FILE=" + filepath.Join(home, "none"), "AWS_EC2_METADATA_DISABLED=true",
			"AWS_PAGER=", "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_DEFAULT_REGION=" + region,
		}
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil && stderr.Len() == 0 {
			t.Fatalf("aws autoscaling %s: %v", line, err)
		}
		return strings.TrimSpace(stdout.String()), strings.TrimSpace(stderr.String())
	}
	do := func(line string) string {
		t.Helper()
		out, complaint := run(line)
		if complaint != "" {
			t.Fatalf("aws autoscaling %s: %s", line, complaint)
		}
		return out
	}
	const group = "--auto-scaling-group-name web "
	do("create-auto-scaling-group " + group + "--launch-template LaunchTemplateName=v-1 --min-size 1 --max-size 4 --desired-capacity 2 " +
		"--vpc-zone-identifier subnet-a,subnet-b --target-group-arns $BLUE --tags Key=site,Value=shop,PropagateAtLaunch=true")
	if _, complaint := run("create-auto-scaling-group " + group + "--launch-template LaunchTemplateName=v-1 --min-size 1 --max-size 1"); !strings.Contains(complaint, "AlreadyExists") {
		t.Errorf("created again: %q", complaint)
	}
	s.await("two healthy targets", func() bool { return s.healthy(s.blue, 2) })
	if answer := s.fetch(); !strings.HasPrefix(answer, "200 one i-") {
		t.Errorf("the site answers %q", answer)
	}
	if got := do("describe-auto-scaling-groups --filters Name=tag:site,Values=shop --query AutoScalingGroups[].[AutoScalingGroupName,DesiredCapacity,length(Instances[?LifecycleState=='InService'])]"); got != "web\t2\t2" {
		t.Errorf("groups %q", got)
	}

	do("put-lifecycle-hook " + group + "--lifecycle-hook-name warm --lifecycle-transition autoscaling:EC2_INSTANCE_LAUNCHING --heartbeat-timeout 3600")
	do("set-desired-capacity " + group + "--desired-capacity 3")
	waiting := func() string {
		return do("describe-auto-scaling-instances --query AutoScalingInstances[?LifecycleState=='Pending:Wait'].InstanceId")
	}
	s.await("an instance that waits", func() bool { names["WAITING"] = waiting(); return names["WAITING"] != "" })
	if n := len(s.balancer.TargetHealth(s.blue)); n != 2 {
		t.Errorf("%d targets while one instance waits", n)
	}
	do("complete-lifecycle-action " + group + "--lifecycle-hook-name warm --instance-id $WAITING --lifecycle-action-result CONTINUE")
	s.await("three healthy targets", func() bool { return s.healthy(s.blue, 3) })
	do("delete-lifecycle-hook " + group + "--lifecycle-hook-name warm")

	names["REFRESH"] = do("start-instance-refresh " + group + `--desired-configuration {"LaunchTemplate":{"LaunchTemplateName":"v-2"}} --preferences {"MinHealthyPercentage":100,"MaxHealthyPercentage":150}`)
	s.await("the refresh", func() bool {
		return do("describe-instance-refreshes "+group+"--query InstanceRefreshes[0].Status") == "Successful"
	})
	for range 4 {
		if answer := s.fetch(); !strings.HasPrefix(answer, "200 two i-") {
			t.Errorf("the site answers %q after the refresh", answer)
		}
	}
	if got := do("describe-load-balancer-target-groups " + group + "--query LoadBalancerTargetGroups[].State"); got != "InService" {
		t.Errorf("the attachment is %q", got)
	}
	do("detach-traffic-sources " + group + "--traffic-sources Identifier=$BLUE,Type=elbv2")
	s.await("no target", func() bool { return len(s.balancer.TargetHealth(s.blue)) == 0 })
	do("delete-auto-scaling-group " + group + "--force-delete")
	s.await("no group", func() bool {
		return do("describe-auto-scaling-groups --query AutoScalingGroups[].AutoScalingGroupName") == ""
	})
}
