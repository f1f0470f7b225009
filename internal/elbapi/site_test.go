package elbapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elbapi"
)

const region = "eu-west-1"

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// memory is a balancer without traffic: its targets are what a test says they
// are.
type memory struct {
	mu     sync.Mutex
	now    *inventory.Inventory
	clock  time.Time
	health map[string]elb.TargetHealth // by the target's id; else healthy
}

func newMemory() *memory { return &memory{now: new(inventory.Inventory), clock: noon} }

func (m *memory) Inventory() *inventory.Inventory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *memory) Change(_ context.Context, change func(*inventory.Edit) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.now.Begin(inventory.Place{
		Region: region, Account: "123456789012",
		HasCertificate: func(arn string) bool { return strings.HasPrefix(arn, "arn:cert-") },
	}, m.clock)
	if err := change(e); err != nil {
		return err
	}
	m.now = e.Inventory()
	return nil
}

func (m *memory) TargetHealth(arn string) []inventory.TargetStatus {
	g := m.Inventory().Groups[arn]
	used := m.Inventory().BalancersOf()[arn] != ""
	var all []inventory.TargetStatus
	for _, t := range g.Targets {
		health, told := m.health[t.ID]
		switch {
		case t.Draining != nil:
			health = elb.TargetHealth{State: elb.Draining, Reason: elb.DeregistrationInProgress, Description: elb.DeregistrationInProgress.Description()}
		case !used:
			health = elb.TargetHealth{State: elb.Unused, Reason: elb.NotInUse, Description: elb.NotInUse.Description()}
		case !told:
			health = elb.TargetHealth{State: elb.Healthy}
		}
		all = append(all, inventory.TargetStatus{TargetID: t.TargetID, Zone: t.Zone, CheckPort: t.Port, TargetHealth: health, Anomalous: t.ID == "10.0.0.9"})
	}
	return all
}

// site is a balancer with a load balancer, two listeners, a rule and three
// groups, behind the API; its parts are named by their ARNs.
type site struct {
	*memory
	url                                      string
	lb, blue, green, spare, listener, secure string
	rule, defaultRule                        string
	answers                                  *recorder
}

// newSite makes a site by the API's own actions.
func newSite(t *testing.T) (*site, *elbv2.Client) {
	t.Helper()
	m := newMemory()
	server := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: m}))
	t.Cleanup(server.Close)
	s := &site{memory: m, url: server.URL, answers: &recorder{}}
	client := newClient(server.URL, s.answers)
	ctx := t.Context()
	lb, err := client.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: new("site"), Scheme: types.LoadBalancerSchemeEnumInternal, Tags: []types.Tag{{Key: new("team"), Value: new("web")}}})
	if err != nil {
		t.Fatal(err)
	}
	s.lb = *lb.LoadBalancers[0].LoadBalancerArn
	group := func(name string) string {
		g, err := client.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{Name: &name, Protocol: types.ProtocolEnumHttp, Port: aws.Int32(8000), TargetType: types.TargetTypeEnumIp})
		if err != nil {
			t.Fatal(err)
		}
		return *g.TargetGroups[0].TargetGroupArn
	}
	s.blue, s.green, s.spare = group("blue"), group("green"), group("spare")
	listener := func(in *elbv2.CreateListenerInput) string {
		in.LoadBalancerArn, in.DefaultActions = &s.lb, []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &s.blue}}
		l, err := client.CreateListener(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		return *l.Listeners[0].ListenerArn
	}
	s.listener = listener(&elbv2.CreateListenerInput{Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80)})
	s.secure = listener(&elbv2.CreateListenerInput{Protocol: types.ProtocolEnumHttps, Port: aws.Int32(443), Certificates: []types.Certificate{{CertificateArn: new("arn:cert-1")}}})
	r, err := client.CreateRule(ctx, &elbv2.CreateRuleInput{
		ListenerArn: &s.listener, Priority: aws.Int32(10),
		Conditions: []types.RuleCondition{{Field: new("path-pattern"), Values: []string{"/api/*"}}},
		Actions:    []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &s.green}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.rule = *r.Rules[0].RuleArn
	rules, err := client.DescribeRules(ctx, &elbv2.DescribeRulesInput{ListenerArn: &s.listener})
	if err != nil {
		t.Fatal(err)
	}
	s.defaultRule = *rules.Rules[1].RuleArn
	if _, err := client.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &s.blue, Targets: []types.TargetDescription{{Id: new("10.0.0.1")}, {Id: new("10.0.0.2"), Port: aws.Int32(8001)}}}); err != nil {
		t.Fatal(err)
	}
	return s, client
}

func newClient(url string, via elbv2.HTTPClient) *elbv2.Client {
	return elbv2.New(elbv2.Options{
		Region: region, BaseEndpoint: &url, HTTPClient: via, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
	})
}

// recorder is a client's way to the server that keeps the last answer.
type recorder struct{ last string }

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	r.last, res.Body = string(body), io.NopCloser(bytes.NewReader(body))
	return res, err
}

var (
	result  = regexp.MustCompile(`(?s)<\w+Result>(.*)</\w+Result>`)
	lastID  = regexp.MustCompile(`\b[0-9a-f]{16}\b`)
	dnsName = regexp.MustCompile(`-\d+\.eu-west-1`)
)

// named puts names in place of what differs from run to run.
func (s *site) named(text string) string {
	for _, one := range [][2]string{
		{s.rule, "RULE"},
		{s.defaultRule, "DEFAULT-RULE"},
		{s.listener, "LISTENER"},
		{s.secure, "SECURE"},
		{s.lb, "LB"},
		{s.blue, "BLUE"},
		{s.green, "GREEN"},
		{s.spare, "SPARE"},
	} {
		text = strings.ReplaceAll(text, one[0], one[1])
	}
	return dnsName.ReplaceAllString(lastID.ReplaceAllString(text, "#"), "-#.eu-west-1")
}

// ask is what a case asks of a site.
type ask func(context.Context, *elbv2.Client, *site) error

// asking makes an ask of one of the SDK's methods.
func asking[In, Out any](method func(*elbv2.Client, context.Context, *In, ...func(*elbv2.Options)) (*Out, error), in func(*site) *In) ask {
	return func(ctx context.Context, c *elbv2.Client, s *site) error {
		_, err := method(c, ctx, in(s))
		return err
	}
}

// answer is what one case asks and gets: the result's XML as it is on the wire,
// or an error.
type answer struct {
	name string
	ask  ask
	want string // XML, or "Code: message" of a refusal
}

// hold holds each case to a site of its own.
func hold(t *testing.T, cases []answer) {
	t.Helper()
	t.Parallel()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, client := newSite(t)
			var got string
			err := test.ask(t.Context(), client, s)
			if refused, ok := errors.AsType[smithy.APIError](err); ok {
				got = refused.ErrorCode() + ": " + refused.ErrorMessage()
			} else if err != nil {
				t.Fatal(err)
			} else if found := result.FindStringSubmatch(s.answers.last); found != nil {
				got = found[1]
			}
			if got = s.named(got); got != oneLine(test.want) {
				t.Errorf("got\n%s\nwant\n%s", got, oneLine(test.want))
			}
		})
	}
}

var indent = regexp.MustCompile(`\n\s*`)

// oneLine takes the line ends and the indents out of XML that is written for
// people.
func oneLine(text string) string { return indent.ReplaceAllString(strings.TrimSpace(text), "") }
