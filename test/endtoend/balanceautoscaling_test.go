package endtoend

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/autoscaling/instancetest"
	"hale/internal/proc"
	"hale/test/servers"
)

// terminated is what a target is held for whose instance has ended.
var terminated = held{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumInvalidState, "Target is in the terminated state"}

// ofVariable tells whose instances are a test's.
const ofVariable = "ENDTOEND_OF"

// shop is a hale balance whose file has an Auto Scaling group, shop-1, of three
// instances of the launch template v-1, in the target group blue behind a listener,
// which sends nothing to green.
type shop struct {
	t *testing.T
	*balance
	url string // of the listener
}

func newShop(t *testing.T) *shop {
	t.Helper()
	dir, port := t.TempDir(), servers.FreePort(t)
	s := &shop{
		t: t, url: fmt.Sprintf("http://127.0.0.1:%d/", port),
		balance: &balance{api: servers.FreeAddress(t), dir: filepath.Join(dir, "state"), file: filepath.Join(dir, "balance.yaml")},
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("LaunchTemplates:\n")
	for name, answer := range map[string]string{"v-1": "one", "v-2": "two"} {
		environment := instancetest.Environment(answer, os.Getpid())
		environment[ofVariable] = s.dir
		fmt.Fprintf(&text, "- LaunchTemplateName: %s\n  Command: [%q]\n  Environment:\n", name, program)
		for _, key := range slices.Sorted(maps.Keys(environment)) {
			fmt.Fprintf(&text, "    %s: %q\n", key, environment[key])
		}
	}
	text.WriteString("TargetGroups:\n")
	for _, name := range []string{"blue", "green"} {
		fmt.Fprintf(&text, "- {Name: %s, Protocol: HTTP, Port: 80, TargetType: instance, HealthCheckIntervalSeconds: 5, HealthCheckTimeoutSeconds: 4, HealthyThresholdCount: 2, Attributes: {deregistration_delay.timeout_seconds: 1}}\n", name)
	}
	fmt.Fprintf(&text, `LoadBalancers:
- Name: site
  Scheme: internal
  Listeners:
  - Protocol: HTTP
    Port: %d
    DefaultActions:
    - {Type: forward, ForwardConfig: {TargetGroups: [{TargetGroup: blue, Weight: 1}, {TargetGroup: green, Weight: 0}]}}
AutoScalingGroups:
- AutoScalingGroupName: shop-1
  LaunchTemplate: {LaunchTemplateName: v-1}
  MinSize: 3
  MaxSize: 6
  TargetGroups: [blue]
  HealthCheckType: ELB
  HealthCheckGracePeriod: 120
`, port)
	if err := os.WriteFile(s.file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() {
		s.kill()
		for _, pid := range s.processes() { // none, but for a test that has failed
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return s
}

// processes returns those of the shop's instances, by the instances' ids.
func (s *shop) processes() map[string]int {
	s.t.Helper()
	all, err := proc.FS{}.Processes()
	if err != nil {
		s.t.Fatal(err)
	}
	found := make(map[string]int)
	for _, p := range all {
		if p.Ended() {
			continue
		}
		environment := proc.FS{}.Environment(p.PID)
		if !slices.Contains(environment, ofVariable+"="+s.dir) {
			continue
		}
		for _, v := range environment {
			if id, ok := strings.CutPrefix(v, "HALE_INSTANCE_ID="); ok {
				found[id] = p.PID
			}
		}
	}
	return found
}

func (s *shop) await(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(3 * patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("gave up waiting: %s\n%s", what, s.output(s.t))
		}
	}
}

func (s *shop) groups() *autoscaling.Client {
	o := s.client().Options()
	return autoscaling.New(autoscaling.Options{BaseEndpoint: o.BaseEndpoint, Region: o.Region, RetryMaxAttempts: 1, Credentials: o.Credentials})
}

// inService returns the ids of a group's instances that serve, in order; none where
// there is no such group, or no answer yet.
func (s *shop) inService(group string) []string {
	s.t.Helper()
	var ids []string
	described, err := s.groups().DescribeAutoScalingGroups(s.t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{group}})
	if err != nil {
		return nil
	}
	for _, g := range described.AutoScalingGroups {
		for _, i := range g.Instances {
			if i.LifecycleState == "InService" {
				ids = append(ids, *i.InstanceId)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// targetGroup returns the ARN of a target group.
func (s *shop) targetGroup(name string) string {
	s.t.Helper()
	described, err := s.client().DescribeTargetGroups(s.t.Context(), &elbv2.DescribeTargetGroupsInput{Names: []string{name}})
	if err != nil {
		s.t.Fatal(err)
	}
	return *described.TargetGroups[0].TargetGroupArn
}

// targets returns those of the target group blue, by their ids.
func (s *shop) targets() map[string]types.TargetHealthDescription {
	s.t.Helper()
	health, err := s.client().DescribeTargetHealth(s.t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(s.targetGroup("blue"))})
	if err != nil {
		s.t.Fatal(err)
	}
	found := make(map[string]types.TargetHealthDescription)
	for _, d := range health.TargetHealthDescriptions {
		found[*d.Target.Id] = d
	}
	return found
}

// serve waits until the group shop-1 has three instances in service, all of them
// healthy targets, none of them among those that are gone, and returns them.
func (s *shop) serve(gone ...string) []string {
	s.t.Helper()
	var ids []string
	s.await("three healthy instances", func() bool {
		ids = s.inService("shop-1")
		if len(ids) != 3 || slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(gone, id) }) {
			return false
		}
		targets := s.targets()
		return !slices.ContainsFunc(ids, func(id string) bool {
			d, ok := targets[id]
			return !ok || d.TargetHealth.State != types.TargetHealthStateEnumHealthy
		})
	})
	return ids
}

func (s *shop) killInstance(id string) {
	s.t.Helper()
	pid, ok := s.processes()[id]
	if !ok {
		s.t.Fatalf("instance %s has no process", id)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

// ask returns what the site answers: the status, and the version and the id of an
// instance.
func (s *shop) ask(client *http.Client) string {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		return err.Error()
	}
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(res.StatusCode) + " " + string(text)
}

// whileAsked does something while clients ask: no request may fail.
func (s *shop) whileAsked(do func()) {
	s.t.Helper()
	var clients sync.WaitGroup
	done := make(chan struct{})
	var asked [2]int
	for n := range asked {
		clients.Go(func() {
			client := &http.Client{Transport: new(http.Transport), Timeout: patience}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
				}
				asked[n]++
				if answer := s.ask(client); !strings.HasPrefix(answer, "200 ") {
					s.t.Errorf("the site answers %q", answer)
				}
			}
		})
	}
	defer func() {
		close(done)
		clients.Wait()
		s.t.Logf("%d and %d requests", asked[0], asked[1])
	}()
	do()
}

// TestAutoScaling has a group of real processes behind a listener, and ends some of
// them, and the balancer.
func TestAutoScaling(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ids := s.serve()

	// One that is killed is replaced, and no request fails.
	s.whileAsked(func() {
		s.killInstance(ids[0])
		ids = s.serve(ids[0])
	})

	// One that is not to be replaced stays a target, of no use.
	group := &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String("shop-1"), ScalingProcesses: []string{"Terminate"}}
	if _, err := s.groups().SuspendProcesses(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	ended := &site{t: t, client: s.client(), group: s.targetGroup("blue"), target: *s.targets()[ids[0]].Target}
	s.whileAsked(func() {
		s.killInstance(ids[0])
		ended.await(terminated)
	})
	s.await("that it is known to be unhealthy", func() bool {
		described, err := s.groups().DescribeAutoScalingInstances(t.Context(), &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: ids[:1]})
		return err == nil && len(described.AutoScalingInstances) == 1 && *described.AutoScalingInstances[0].HealthStatus == "UNHEALTHY"
	})
	if _, err := s.groups().ResumeProcesses(t.Context(), &autoscaling.ResumeProcessesInput{AutoScalingGroupName: group.AutoScalingGroupName}); err != nil {
		t.Fatal(err)
	}
	ids = s.serve(ids[0])
	ended.await(notRegistered)

	// After the balancer's own end the next one goes on with the same processes.
	processes := s.processes()
	s.kill()
	if still := s.processes(); !maps.Equal(still, processes) {
		t.Errorf("without a balancer there are the instances %v, and were %v", still, processes)
	}
	s.start(t)
	s.await("the API", func() bool { return s.inService("shop-1") != nil })
	if after := s.serve(); !slices.Equal(after, ids) {
		t.Errorf("after a restart there are the instances %v, and were %v", after, ids)
	}
	if after := s.processes(); !maps.Equal(after, processes) {
		t.Errorf("after a restart there are the processes %v, and were %v", after, processes)
	}
	s.whileAsked(func() {
		s.killInstance(ids[0]) // no child of this balancer
		s.serve(ids[0])
	})

	if _, err := s.groups().DeleteAutoScalingGroup(t.Context(), &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String("shop-1"), ForceDelete: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	s.await("the end of all instances", func() bool { return len(s.processes()) == 0 })
}

// TestBlueGreen replaces a version by a group beside the old one, as people do it
// at AWS, by the aws command alone.
func TestBlueGreen(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "aws")
	s := newShop(t)
	s.await("the API", func() bool { return s.inService("shop-1") != nil })
	s.serve()
	home := t.TempDir()
	names := make(map[string]string)
	do := func(line string) string {
		t.Helper()
		line = os.Expand(line, func(name string) string { return names[name] })
		cmd := exec.CommandContext(t.Context(), program, strings.Fields(line)...)
		cmd.Env = []string{
			"HOME=" + home, "PATH=" + os.Getenv("PATH"), "AWS_CONFIG_FILE=" + filepath.Join(home, "none"), noMetadata, "AWS_PAGER=", "AWS_DEFAULT_OUTPUT=text",
			"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL=http://" + s.api,
		}
		var complaint strings.Builder
		cmd.Stderr = &complaint
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("aws %s: %v: %s", line, err, complaint.String())
		}
		return strings.TrimSpace(string(out))
	}
	names["GREEN"] = do("elbv2 describe-target-groups --names green --query TargetGroups[0].TargetGroupArn")
	names["LB"] = do("elbv2 describe-load-balancers --names site --query LoadBalancers[0].LoadBalancerArn")
	names["LISTENER"] = do("elbv2 describe-listeners --load-balancer-arn $LB --query Listeners[0].ListenerArn")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	if answer := s.ask(client); !strings.HasPrefix(answer, "200 one i-") {
		t.Errorf("the site answers %q", answer)
	}
	s.whileAsked(func() {
		do("autoscaling create-auto-scaling-group --auto-scaling-group-name shop-2 --launch-template LaunchTemplateName=v-2 " +
			"--min-size 3 --max-size 6 --target-group-arns $GREEN --health-check-type ELB --health-check-grace-period 120")
		do("elbv2 wait target-in-service --target-group-arn $GREEN")
		do("elbv2 modify-listener --listener-arn $LISTENER --default-actions Type=forward,TargetGroupArn=$GREEN")
		for range 5 {
			if answer := s.ask(client); !strings.HasPrefix(answer, "200 two i-") {
				t.Errorf("the site answers %q", answer)
			}
		}
		do("autoscaling delete-auto-scaling-group --auto-scaling-group-name shop-1 --force-delete")
		s.await("the end of the old version", func() bool {
			return do("autoscaling describe-auto-scaling-groups --auto-scaling-group-names shop-1 --query AutoScalingGroups[].AutoScalingGroupName") == ""
		})
	})
	if left, serving := s.processes(), s.inService("shop-2"); !slices.Equal(slices.Sorted(maps.Keys(left)), serving) || len(serving) != 3 {
		t.Errorf("there are the processes %v, and the instances %v", left, serving)
	}
	do("autoscaling delete-auto-scaling-group --auto-scaling-group-name shop-2 --force-delete")
	s.await("the end of all instances", func() bool { return len(s.processes()) == 0 })
}
