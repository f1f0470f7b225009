package balance_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"hale/internal/autoscaling/instancetest"
	"hale/internal/balance"
	"hale/test/servers"
)

// shop is a file of a site whose targets are instances.
type shop struct {
	state, path, version string // the state directory, a health check's path, a template's version
	groups               []string
	port                 int
}

func newShop(t *testing.T) (shop, string) {
	t.Helper()
	s := shop{state: "state", path: "/", version: "$Latest", groups: []string{"app"}, port: servers.FreePort(t)}
	file := filepath.Join(t.TempDir(), "balance.yaml")
	s.write(t, file)
	return s, file
}

func (s shop) write(t *testing.T, file string) {
	t.Helper()
	template := instancetest.Template(t, "app", "one")
	var environment strings.Builder
	for _, name := range slices.Sorted(maps.Keys(template.Environment)) {
		fmt.Fprintf(&environment, "%s: %q, ", name, template.Environment[name])
	}
	text := fmt.Sprintf(`API: 127.0.0.1:0
StateDirectory: %s
TargetGroups: [{Name: web, Protocol: HTTP, Port: 80, HealthCheckPath: %s, Attributes: {deregistration_delay.timeout_seconds: 0}}]
LoadBalancers: [{Name: site, Scheme: internal, Listeners: [{Protocol: HTTP, Port: %d, DefaultActions: [{Type: forward, TargetGroup: web}]}]}]
LaunchTemplates: [{LaunchTemplateName: app, Command: [%q], Environment: {%s}}]
AutoScalingGroups:
`, s.state, s.path, s.port, template.Command[0], environment.String())
	for _, name := range s.groups {
		text += fmt.Sprintf("- {AutoScalingGroupName: %s, LaunchTemplate: {LaunchTemplateName: app, Version: %s}, MinSize: 2, MaxSize: 2, TargetGroups: [web]}\n", name, s.version)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s shop) url() string { return "http://127.0.0.1:" + strconv.Itoa(s.port) + "/" }

func (r *running) groups() *autoscaling.Client {
	o := r.client().Options()
	return autoscaling.New(autoscaling.Options{Region: o.Region, BaseEndpoint: o.BaseEndpoint, RetryMaxAttempts: 1, Credentials: o.Credentials})
}

// targets returns the targets of the group web that are in a state, in order; all
// of them for an empty one.
func (r *running) targets(state string) (ids []string) {
	r.t.Helper()
	health, err := r.client().DescribeTargetHealth(r.t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(r.arns()["web"])})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, d := range health.TargetHealthDescriptions {
		if state == "" || state == string(d.TargetHealth.State) {
			ids = append(ids, *d.Target.Id)
		}
	}
	slices.Sort(ids)
	return ids
}

// serve waits for two healthy instances.
func (r *running) serve() []string {
	r.t.Helper()
	r.await("two healthy instances", func() bool { return len(r.targets("healthy")) == 2 })
	return r.targets("healthy")
}

// none ends the instances: the file names no group any more.
func (s shop) none(t *testing.T, r *running) {
	t.Helper()
	s.groups = nil
	s.write(t, r.file)
	r.hup("configuration reloaded")
	r.await("no instance", func() bool { return len(r.targets("")) == 0 })
}

// Instances of a group are started, take requests, are there after a restart, and
// end when the file no longer names their group.
func TestAutoScaling(t *testing.T) {
	s, file := newShop(t)
	steps, err := balance.Plan(balance.Options{ConfigFile: file, Env: func(string) (string, bool) { return "", false }})
	if err != nil || len(steps) == 0 || !strings.HasPrefix(steps[len(steps)-1].String(), "create Auto Scaling group app") {
		t.Errorf("planned %v, %v", steps, err)
	}
	r := start(t, file, nil)
	before := r.serve()
	if got := get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, s.url()); !strings.HasPrefix(got, "200 one i-") {
		t.Errorf("got %q", got)
	}
	r.end()
	r = start(t, file, nil)
	if after := r.serve(); !slices.Equal(after, before) {
		t.Errorf("after a restart %v, and were %v", after, before)
	}
	s.none(t, r)
}

// What Auto Scaling refuses of a file, changes nothing of the balancer either.
func TestAReloadThatAutoScalingRefuses(t *testing.T) {
	s, file := newShop(t)
	r := start(t, file, nil)
	r.serve()
	wrong := s
	wrong.path, wrong.version = "/up", "9"
	wrong.write(t, file)
	r.hup("the one before stays")
	if !strings.Contains(r.log.String(), "auto scaling group app: The specified launch template, with template name app and version 9, does not exist here") {
		t.Errorf("the log does not tell why:\n%s", r.log)
	}
	described, err := r.client().DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{Names: []string{"web"}})
	if err != nil || *described.TargetGroups[0].HealthCheckPath != "/" {
		t.Errorf("the target group is %+v, %v", described, err)
	}
	s.none(t, r)
}

// Another process takes over the instances as they are, and replaces those that
// end.
func TestTakeOverOfInstances(t *testing.T) {
	s, file := newShop(t)
	first := start(t, file, nil)
	before := first.serve()
	second := start(t, file, func(o *balance.Options) { o.TakeOver = true })
	first.awaitEnd()
	if after := second.serve(); !slices.Equal(after, before) {
		t.Errorf("after it %v, and were %v", after, before)
	}
	_, err := second.groups().TerminateInstanceInAutoScalingGroup(t.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: &before[0], ShouldDecrementDesiredCapacity: aws.Bool(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	second.await("another in its place", func() bool {
		now := second.targets("healthy")
		return len(now) == 2 && !slices.Contains(now, before[0])
	})
	s.none(t, second)
}

// Without a file, the launch templates of the one before can still be named.
func TestTemplatesStayWithoutAFile(t *testing.T) {
	s, file := newShop(t)
	r := start(t, file, nil)
	r.serve()
	s.none(t, r)
	r.end()
	r = start(t, "", func(o *balance.Options) {
		o.StateDir, o.API = filepath.Join(filepath.Dir(file), "state"), "127.0.0.1:0"
	})
	name := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("api"), LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("app")}, MinSize: aws.Int32(2), MaxSize: aws.Int32(2), TargetGroupARNs: []string{r.arns()["web"]},
	}
	if _, err := r.groups().CreateAutoScalingGroup(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	r.serve()
	if _, err := r.groups().DeleteAutoScalingGroup(t.Context(), &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String("api"), ForceDelete: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	r.await("no instance", func() bool { return len(r.targets("")) == 0 })
}

// Where nothing is kept, instances end with the balancer.
func TestInstancesWithoutAState(t *testing.T) {
	s, file := newShop(t)
	s.state = "off"
	s.write(t, file)
	r := start(t, file, nil)
	r.serve()
	health, err := r.client().DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(r.arns()["web"])})
	if err != nil {
		t.Fatal(err)
	}
	r.end()
	for _, d := range health.TargetHealthDescriptions {
		if got, err := fetch(t.Context(), http.DefaultClient, fmt.Sprintf("http://127.0.0.1:%d/", *d.Target.Port)); err == nil {
			t.Errorf("%s still answers %q", *d.Target.Id, got)
		}
	}
}
