package targetgroup_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"hale/internal/targetgroup"
	"hale/test/elbfake"
	"hale/test/servers"
)

// What AWS's own command prints for a group is what Settings takes: the group
// from a file is the same as the one that the API tells.
func TestTheAWSCommand(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "aws")
	server := elbfake.Start(t, webAccount())
	want, err := read(t, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	questions := [][]string{
		{"describe-target-groups", "--target-group-arns", groupARN},
		{"describe-target-health", "--target-group-arn", groupARN},
		{"describe-target-group-attributes", "--target-group-arn", groupARN},
		{"describe-load-balancers", "--load-balancer-arns", balancerARN},
		{"describe-load-balancer-attributes", "--load-balancer-arn", balancerARN},
		{"describe-listeners", "--load-balancer-arn", balancerARN},
		{"describe-rules", "--listener-arn", listenerARN},
		{"describe-tags", "--resource-arns", groupARN},
	}
	answers := make([]bytes.Buffer, len(questions))
	var wg sync.WaitGroup
	for i, question := range questions {
		wg.Go(func() {
			if err := awsCommand(t, program, server.URL, &answers[i], question...); err != nil {
				t.Errorf("aws elbv2 %s: %v", strings.Join(question, " "), err)
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
	got.RoutesKnown = true // a file may lack rules; this one has them all
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
	err := awsCommand(t, program, server.URL, &answer, "describe-target-groups", "--names", "nope")
	if err == nil || !strings.Contains(err.Error(), "An error occurred (TargetGroupNotFound) when calling the DescribeTargetGroups operation: One or more target groups not found") {
		t.Errorf("error %v", err)
	}
}

// awsCommand runs AWS's command with nothing of this machine's settings.
func awsCommand(t *testing.T, program, endpoint string, answer *bytes.Buffer, question ...string) error {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"elbv2", "--endpoint-url", endpoint, "--output", "json"}, question...)...)
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
