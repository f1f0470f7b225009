package endtoend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/test/servers"
)

// balance is a running hale balance.
type balance struct {
	command *exec.Cmd
	api     string
	dir     string // of its state
	file    string // its configuration; empty: none
}

func (b *balance) start(t *testing.T) {
	t.Helper()
	b.command = exec.CommandContext(t.Context(), binary, "balance", "--state", b.dir, "--api", b.api, "-c", b.file)
	b.command.Env = append(b.command.Environ(), noMetadata)
	output, err := os.OpenFile(b.dir+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	b.command.Stdout, b.command.Stderr = output, output
	if err := b.command.Start(); err != nil {
		t.Fatal(err)
	}
}

// output returns what all its processes have written.
func (b *balance) output(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(b.dir + ".log")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kill ends it as no program can prepare for.
func (b *balance) kill() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait()
}

// client is the SDK's, without any tries but the first.
func (b *balance) client() *elbv2.Client {
	return elbv2.New(elbv2.Options{
		BaseEndpoint: aws.String("http://" + b.api), Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	})
}

// book is what a client knows of the target groups that it makes and deletes,
// each with one target: some surely there, some surely not, and perhaps one of
// which it was not told.
type book struct {
	there   map[string]string // ARNs by name
	unknown string            // a name
	next    int
}

// use makes and deletes groups until the balancer is killed.
func (b *book) use(ctx context.Context, worker int, client *elbv2.Client) {
	for ctx.Err() == nil {
		name := fmt.Sprintf("w%d-%d", worker, b.next)
		b.next++
		b.unknown = name
		made, err := client.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{
			Name: &name, Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80), TargetType: types.TargetTypeEnumIp, VpcId: aws.String("vpc-1"),
		})
		if err != nil {
			return
		}
		arn := *made.TargetGroups[0].TargetGroupArn
		b.there[name], b.unknown = arn, ""
		_, err = client.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{
			TargetGroupArn: &arn, Targets: []types.TargetDescription{{Id: aws.String("127.0.0.1"), Port: aws.Int32(int32(worker + 1))}},
		})
		if err != nil {
			return
		}
		if b.next%8 == 0 { // some stay
			continue
		}
		b.unknown = name
		delete(b.there, name)
		if _, err := client.DeleteTargetGroup(ctx, &elbv2.DeleteTargetGroupInput{TargetGroupArn: &arn}); err != nil {
			return
		}
		b.unknown = ""
	}
}

// TestBalanceKilled kills hale balance at a hundred random moments while its API
// is used: whatever it has said to be done is done after each restart, and
// nothing is half there.
func TestBalanceKilled(t *testing.T) {
	t.Parallel()
	const (
		kills   = 100
		workers = 4
	)
	b := &balance{api: servers.FreeAddress(t), dir: filepath.Join(t.TempDir(), "state")}
	books := make([]book, workers)
	for i := range books {
		books[i].there = make(map[string]string)
	}
	for n := range kills + 1 {
		b.start(t)
		client := b.client()
		names := groupNames(t, b, client)
		for i := range books {
			for _, name := range slices.Sorted(maps.Keys(books[i].there)) {
				if !names[name] {
					t.Errorf("after kill %d, the target group %s is gone", n, name)
				}
				delete(names, name)
			}
			if books[i].unknown != "" {
				if names[books[i].unknown] {
					books[i].there[books[i].unknown] = "" // it is there, after all
				}
				delete(names, books[i].unknown)
				books[i].unknown = ""
			}
		}
		if len(names) > 0 {
			t.Errorf("after kill %d, there are target groups that were deleted: %v", n, slices.Sorted(maps.Keys(names)))
		}
		if t.Failed() || n == kills {
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range books {
			wg.Go(func() { books[i].use(ctx, i, client) })
		}
		time.Sleep(rand.N(100 * time.Millisecond))
		b.kill()
		cancel()
		wg.Wait()
	}
	b.kill()
	made := 0
	for i := range books {
		made += books[i].next
	}
	t.Logf("%d kills while %s target groups were made", kills, strconv.Itoa(made))
}

// groupNames returns the names of all target groups, as soon as the API answers.
func groupNames(t *testing.T, b *balance, client *elbv2.Client) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		pages := elbv2.NewDescribeTargetGroupsPaginator(client, new(elbv2.DescribeTargetGroupsInput))
		var err error
		for pages.HasMorePages() && err == nil {
			var page *elbv2.DescribeTargetGroupsOutput
			if page, err = pages.NextPage(t.Context()); err != nil {
				break
			}
			for _, g := range page.TargetGroups {
				names[*g.TargetGroupName] = true
			}
		}
		if err == nil {
			return names
		}
		if time.Now().After(deadline) || errors.Is(err, context.Canceled) {
			t.Fatalf("the API does not answer: %v\n%s", err, b.output(t))
		}
	}
}
