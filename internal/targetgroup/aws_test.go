package targetgroup_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/targetgroup"
	"hale/test/elbfake"
	"hale/test/servers"
)

// What AWS's own command prints for a group is what Settings takes: the group
// from a file is the same as the one that the API tells.
func TestTheAWSCommand(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "aws")
	account := webAccount()
	account.Health[groupARN] = append(account.Health[groupARN], target("i-1", 49153, types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out"))
	account.Beside = instances + fixedPorts + kept
	server := elbfake.Start(t, account)
	want, err := read(t, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	questions := [][]string{
		{"elbv2", "describe-target-groups", "--target-group-arns", groupARN},
		{"elbv2", "describe-target-health", "--target-group-arn", groupARN},
		{"elbv2", "describe-target-group-attributes", "--target-group-arn", groupARN},
		{"elbv2", "describe-load-balancers", "--load-balancer-arns", balancerARN},
		{"elbv2", "describe-load-balancer-attributes", "--load-balancer-arn", balancerARN},
		{"elbv2", "describe-listeners", "--load-balancer-arn", balancerARN},
		{"elbv2", "describe-rules", "--listener-arn", listenerARN},
		{"elbv2", "describe-tags", "--resource-arns", groupARN},
		{"ec2", "describe-instances", "--filters", "Name=instance-id,Values=i-1"},
		{"ec2", "describe-security-groups", "--filters", "Name=group-id,Values=sg-app"},
		{"ecs", "describe-services", "--cluster", clusterARN, "--services", "shop"},
		{"ecs", "describe-task-definition", "--task-definition", "shop:7"},
	}
	answers := make([]bytes.Buffer, len(questions))
	var wg sync.WaitGroup
	for i, question := range questions {
		wg.Go(func() {
			if err := awsCommand(t, program, server.URL, &answers[i], question...); err != nil {
				t.Errorf("aws %s: %v", strings.Join(question, " "), err)
			}
		})
	}
	wg.Wait()
	var file bytes.Buffer
	for i := range answers {
		file.ReadFrom(&answers[i])
	}
	got, err := targetgroup.Settings(&file, "tg.json", "")
	if err != nil {
		t.Fatal(err)
	}
	// A file may lack rules, and what nobody asked for; this one has them all.
	got.RoutesKnown, got.ScalingAsked, got.ServiceAsked = true, targetgroup.Answered, targetgroup.Answered
	if got.Service == nil || got.Service.Task == nil || len(got.SecurityGroups) != 1 {
		t.Errorf("it tells of no service, task or security group: %+v", got)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("from the file %+v\nfrom the API  %+v", got, want)
	}
}

// The fake's errors are those that AWS's command understands.
func TestTheAWSCommandRefused(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "aws")
	server := elbfake.Start(t, elbfake.Account{})
	var answer bytes.Buffer
	err := awsCommand(t, program, server.URL, &answer, "elbv2", "describe-target-groups", "--names", "nope")
	if err == nil || !strings.Contains(err.Error(), "An error occurred (TargetGroupNotFound) when calling the DescribeTargetGroups operation: One or more target groups not found") {
		t.Errorf("error %v", err)
	}
}

// awsCommand runs AWS's command with nothing of this machine's settings.
func awsCommand(t *testing.T, program, endpoint string, answer *bytes.Buffer, question ...string) error {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"--endpoint-url", endpoint, "--output", "json"}, question...)...)
	cmd.Env = []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "AWS_CONFIG_FILE=" + filepath.Join(home, "none"), "AWS_EC2_METADATA_DISABLED=true",
		"AWS_PAGER=", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1",
	}
	var complaint strings.Builder
	cmd.Stdout, cmd.Stderr = answer, &complaint
	if err := cmd.Run(); err != nil {
		return &exec.Error{Name: strings.TrimSpace(complaint.String()), Err: err}
	}
	return nil
}

// TestTheAWSCommandAround: what the fake answers for other services is what
// AWS's command understands, and prints as it was.
func TestTheAWSCommandAround(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "aws")
	account := elbfake.Account{Beside: instances + interfaces + fixedPorts + scalingELB + kept}
	server := elbfake.Start(t, account)
	for _, test := range []struct {
		question []string
		want     string
		code     string // instead
	}{
		{[]string{"ec2", "describe-instances"}, strings.ReplaceAll(instances, `{"Instances"`, `{"ReservationId": "r-1234567890abcdef0", "Instances"`), ""},
		{[]string{"ec2", "describe-network-interfaces"}, interfaces, ""},
		{[]string{"ec2", "describe-security-groups"}, fixedPorts, ""},
		{[]string{"autoscaling", "describe-auto-scaling-groups"}, scalingELB, ""},
		{[]string{"ecs", "list-clusters"}, `{"clusterArns": ["` + clusterARN + `"]}`, ""},
		{[]string{"ec2", "describe-vpcs"}, "", "InvalidAction"},
		{[]string{"ecs", "describe-task-definition", "--task-definition", "gone"}, "", "ClientException"},
	} {
		t.Run(strings.Join(test.question, " "), func(t *testing.T) {
			t.Parallel()
			var answer bytes.Buffer
			err := awsCommand(t, program, server.URL, &answer, test.question...)
			if test.code != "" {
				if err == nil || !strings.Contains(err.Error(), "("+test.code+")") {
					t.Errorf("error %v, want %s", err, test.code)
				}
				return
			}
			var got, want any
			if err != nil || json.Unmarshal(answer.Bytes(), &got) != nil || json.Unmarshal([]byte(test.want), &want) != nil {
				t.Fatalf("%v: %s", err, answer.String())
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("= %v\nwant %v", got, want)
			}
		})
	}
}
