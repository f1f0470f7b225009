package elbapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// TestTheSDK moves traffic from one group to another with aws-sdk-go-v2: weights,
// waiters, a request that outlives its target's registration, and the end.
func TestTheSDK(t *testing.T) {
	t.Parallel()
	w, ctx := newWorking(t), t.Context()
	client := elbv2.New(elbv2.Options{
		Region: region, BaseEndpoint: &w.url,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, nil
		}),
	})
	const patience = 2 * time.Minute

	lb := must(client.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: new("site"), Scheme: types.LoadBalancerSchemeEnumInternal}))(t).LoadBalancers[0].LoadBalancerArn
	blue, green := newApp(t, "blue"), newApp(t, "green")
	for _, app := range []*app{blue, green} {
		app.group = must(client.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{
			Name: &app.name, Protocol: types.ProtocolEnumHttp, Port: app.target.Port, TargetType: types.TargetTypeEnumIp, HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(2),
		}))(t).TargetGroups[0].TargetGroupArn
		must(client.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: app.group, Targets: []types.TargetDescription{app.target}}))(t)
	}
	listener := must(client.CreateListener(ctx, &elbv2.CreateListenerInput{
		LoadBalancerArn: lb, Protocol: types.ProtocolEnumHttp, Port: aws.Int32(int32(w.port)),
		DefaultActions: []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{StatusCode: new("404"), MessageBody: new("nothing here")}}},
	}))(t).Listeners[0].ListenerArn
	weights := func(toBlue, toGreen int32) []types.Action {
		return []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{
			{TargetGroupArn: blue.group, Weight: &toBlue}, {TargetGroupArn: green.group, Weight: &toGreen},
		}}}}
	}
	rule := must(client.CreateRule(ctx, &elbv2.CreateRuleInput{
		ListenerArn: listener, Priority: aws.Int32(10), Actions: weights(100, 0),
		Conditions: []types.RuleCondition{{Field: new("path-pattern"), Values: []string{"/app/*"}}},
	}))(t).Rules[0].RuleArn

	often := func(o *elbv2.TargetInServiceWaiterOptions) { o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second }
	for _, app := range []*app{blue, green} {
		if err := elbv2.NewTargetInServiceWaiter(client, often).Wait(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: app.group}, patience); err != nil {
			t.Fatal(err)
		}
	}
	site := fmt.Sprintf("http://127.0.0.1:%d", w.port)
	expect := func(path, want string) {
		t.Helper()
		if got := fetch(t, site+path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	expect("/", "nothing here")
	expect("/app/", "blue")

	// A request is on its way when its target is deregistered.
	slow := make(chan string, 1)
	go func() {
		res, err := http.Get(site + "/app/slow")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		slow <- string(body)
	}()
	select {
	case <-blue.begun:
	case got := <-slow:
		t.Fatalf("the request did not wait: %s", got)
	}
	must(client.ModifyRule(ctx, &elbv2.ModifyRuleInput{RuleArn: rule, Actions: weights(0, 100)}))(t)
	expect("/app/", "green")
	must(client.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: blue.group, Attributes: []types.TargetGroupAttribute{{Key: new("deregistration_delay.timeout_seconds"), Value: new("5")}}}))(t)
	must(client.DeregisterTargets(ctx, &elbv2.DeregisterTargetsInput{TargetGroupArn: blue.group, Targets: []types.TargetDescription{blue.target}}))(t)
	asked := &elbv2.DescribeTargetHealthInput{TargetGroupArn: blue.group, Targets: []types.TargetDescription{blue.target}}
	if h := must(client.DescribeTargetHealth(ctx, asked))(t).TargetHealthDescriptions[0].TargetHealth; h.State != types.TargetHealthStateEnumDraining || h.Reason != types.TargetHealthReasonEnumDeregistrationInProgress {
		t.Errorf("health %s, %s", h.State, h.Reason)
	}
	close(blue.end)
	if got := <-slow; got != "blue" {
		t.Errorf("the request in flight: %q", got)
	}
	deregistered := func(o *elbv2.TargetDeregisteredWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	}
	if err := elbv2.NewTargetDeregisteredWaiter(client, deregistered).Wait(ctx, asked, patience); err != nil {
		t.Error(err)
	}

	must(client.DeleteLoadBalancer(ctx, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: lb}))(t)
	if err := elbv2.NewLoadBalancersDeletedWaiter(client).Wait(ctx, &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{*lb}}, patience); err != nil {
		t.Error(err)
	}
	for _, app := range []*app{blue, green} {
		must(client.DeleteTargetGroup(ctx, &elbv2.DeleteTargetGroupInput{TargetGroupArn: app.group}))(t)
	}
	if left := w.Inventory(); len(left.LoadBalancers)+len(left.Listeners)+len(left.Rules)+len(left.Groups) != 0 {
		t.Errorf("left %+v", left)
	}
}

// app answers with its name; a path that ends in slow waits for end first.
type app struct {
	name       string
	group      *string
	target     types.TargetDescription
	begun, end chan struct{}
}

func newApp(t *testing.T, name string) *app {
	t.Helper()
	a := &app{name: name, begun: make(chan struct{}, 1), end: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app/slow" {
			a.begun <- struct{}{}
			select {
			case <-a.end:
			case <-t.Context().Done(): // the test has failed
			}
		}
		fmt.Fprint(w, a.name)
	}))
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	a.target = types.TargetDescription{Id: new(at.Addr().String()), Port: aws.Int32(int32(at.Port()))}
	return a
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
