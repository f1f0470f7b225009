package command_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/command"
	"hale/test/elbfake"
)

// statusAccount has a bit of everything that the tables show.
func statusAccount() elbfake.Account {
	const (
		prefix   = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
		balancer = prefix + "loadbalancer/app/site/50dc6c495c0c9188"
		listener = prefix + "listener/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2"
		web      = prefix + "targetgroup/web/73e2d6bc24d8a067"
		green    = prefix + "targetgroup/green/83e2d6bc24d8a067"
	)
	forward := types.Action{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{
		{TargetGroupArn: aws.String(web), Weight: aws.Int32(90)}, {TargetGroupArn: aws.String(green), Weight: aws.Int32(10)},
	}}}
	target := func(id string, state types.TargetHealthStateEnum, reason types.TargetHealthReasonEnum, description string) types.TargetHealthDescription {
		d := types.TargetHealthDescription{
			Target:       &types.TargetDescription{Id: aws.String(id), Port: aws.Int32(80), AvailabilityZone: aws.String("eu-west-1a")},
			TargetHealth: &types.TargetHealth{State: state, Reason: reason},
		}
		if description != "" {
			d.TargetHealth.Description = aws.String(description)
		}
		return d
	}
	return elbfake.Account{
		LoadBalancers: []types.LoadBalancer{{
			LoadBalancerArn: aws.String(balancer), LoadBalancerName: aws.String("site"), Type: types.LoadBalancerTypeEnumApplication,
			Scheme: types.LoadBalancerSchemeEnumInternetFacing, State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive},
		}},
		Listeners: []types.Listener{{ListenerArn: aws.String(listener), LoadBalancerArn: aws.String(balancer), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80), DefaultActions: []types.Action{forward}}},
		Rules: map[string][]types.Rule{listener: {
			{
				RuleArn: aws.String(listener + "/1"), Priority: aws.String("10"), IsDefault: aws.Bool(false),
				Conditions: []types.RuleCondition{{Field: aws.String("http-header"), HttpHeaderConfig: &types.HttpHeaderConditionConfig{HttpHeaderName: aws.String("X-Old"), Values: []string{"yes", "1"}}}},
				Actions: []types.Action{{Type: types.ActionTypeEnumRedirect, RedirectConfig: &types.RedirectActionConfig{
					Protocol: aws.String("HTTPS"), Port: aws.String("443"), StatusCode: types.RedirectActionStatusCodeEnumHttp302,
				}}},
			},
			{RuleArn: aws.String(listener + "/0"), Priority: aws.String("default"), IsDefault: aws.Bool(true), Actions: []types.Action{forward}},
		}},
		TargetGroups: []types.TargetGroup{
			{TargetGroupArn: aws.String(web), TargetGroupName: aws.String("web"), Protocol: types.ProtocolEnumHttp},
			{TargetGroupArn: aws.String(green), TargetGroupName: aws.String("green"), Protocol: types.ProtocolEnumHttp},
		},
		Health: map[string][]types.TargetHealthDescription{web: {
			target("10.0.1.5", types.TargetHealthStateEnumHealthy, "", ""),
			target("10.0.1.6", types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumResponseCodeMismatch, "Health checks failed with these codes: [\x1b[31m301]"),
			target("fd00::7", types.TargetHealthStateEnumDraining, types.TargetHealthReasonEnumDeregistrationInProgress, "Target deregistration is in progress"),
		}},
	}
}

// statusOf returns "hale balance status" of the API there, with more arguments.
func statusOf(t *testing.T, url string) func(args ...string) (code int, out, errs string) {
	return func(args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		env := map[string]string{"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true"}
		code = command.Main(t.Context(), append([]string{"balance", "status", "--endpoint-url", url}, args...), command.Streams{
			In: strings.NewReader(""), Out: &stdout, Err: &stderr, Env: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
		})
		return code, stdout.String(), stderr.String()
	}
}

func TestBalanceStatus(t *testing.T) {
	account := statusAccount()
	server := elbfake.Start(t, account)
	run := statusOf(t, server.URL)

	const tables = ` LOAD BALANCER  STATE   LISTENER  RULE     CONDITIONS                    ACTIONS
 site           active  HTTP:80   10       http-header X-Old yes or 1    redirect 302 to https://#{host}:443/#{path}?#{query}
                                  default                                forward web 90, green 10

 TARGET GROUP  TARGET        ZONE        STATE      REASON                           DESCRIPTION
 green         -
 web           10.0.1.5:80   eu-west-1a  healthy
               10.0.1.6:80   eu-west-1a  unhealthy  Target.ResponseCodeMismatch      Health checks failed with these codes: [ESC301]
               [fd00::7]:80  eu-west-1a  draining   Target.DeregistrationInProgress  Target deregistration is in progress
`
	code, out, errs := run()
	plain := func(s string) []string { return strings.Fields(s) }
	if code != 1 || errs != "" {
		t.Errorf("code %d, %s", code, errs)
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("a stranger's bytes reach the terminal: %q", out)
	}
	for i, word := range plain(tables) {
		got := plain(out)
		if len(got) <= i || got[i] != word && !strings.HasSuffix(word, "301]") {
			t.Errorf("from word %d (%s):\n%s", i, word, out)
			break
		}
	}

	account.Health = nil
	server.Set(account)
	if code, out, errs = run("--output", "json"); code != 0 || errs != "" || !strings.Contains(out, `"healthy": true`) || !strings.Contains(out, `"actions": "forward web 90, green 10"`) {
		t.Errorf("code %d, %s\n%s", code, errs, out)
	}
	server.Set(elbfake.Account{})
	if code, out, _ = run(); code != 0 || !strings.HasSuffix(out, " has no load balancers and no target groups.\n") {
		t.Errorf("code %d, %q", code, out)
	}
	server.Fail("DescribeLoadBalancers", elbfake.Failure{Status: 403, Code: "AccessDenied", Message: "no"})
	if code, out, errs = run(); code != 2 || out != "" || !strings.Contains(errs, "the credentials need the permission elasticloadbalancing:DescribeLoadBalancers") {
		t.Errorf("code %d, %q, %s", code, out, errs)
	}
}

// Auto Scaling groups are shown beside the target groups, as far as they are told.
func TestBalanceStatusOfAutoScalingGroups(t *testing.T) {
	const (
		blue   = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/73e2d6bc24d8a067"
		groups = `<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups>
<member><AutoScalingGroupName>shop</AutoScalingGroupName><MinSize>1</MinSize><MaxSize>6</MaxSize><DesiredCapacity>2</DesiredCapacity>
<HealthCheckType>ELB</HealthCheckType><HealthCheckGracePeriod>30</HealthCheckGracePeriod><TargetGroupARNs><member>` + blue + `</member></TargetGroupARNs>
<Instances>
<member><InstanceId>i-1</InstanceId><LifecycleState>InService</LifecycleState><HealthStatus>Healthy</HealthStatus><LaunchTemplate><LaunchTemplateName>v</LaunchTemplateName><Version>2</Version></LaunchTemplate></member>
<member><InstanceId>i-2&#x9b;31m</InstanceId><LifecycleState>Pending:Wait</LifecycleState><HealthStatus>Healthy</HealthStatus></member>
</Instances></member>
<member><AutoScalingGroupName>idle</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>1</MaxSize><DesiredCapacity>0</DesiredCapacity><HealthCheckType>EC2</HealthCheckType></member>
</AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>`
		activities = `<DescribeScalingActivitiesResponse><DescribeScalingActivitiesResult><Activities>
<member><AutoScalingGroupName>shop</AutoScalingGroupName><Description>Launching a new EC2 instance</Description><Cause>Too few.</Cause><StartTime>2026-01-02T12:05:00Z</StartTime><StatusCode>Failed</StatusCode><StatusMessage>no free port</StatusMessage></member>
<member><AutoScalingGroupName>shop</AutoScalingGroupName><Description>Launching a new EC2 instance: i-1</Description><Cause>None.</Cause><StartTime>2026-01-02T12:00:00.5Z</StartTime><EndTime>2026-01-02T12:00:02Z</EndTime><StatusCode>Successful</StatusCode></member>
</Activities></DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>`
		denied = `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>`
	)
	account := elbfake.Account{
		TargetGroups: []types.TargetGroup{{TargetGroupArn: aws.String(blue), TargetGroupName: aws.String("blue"), Protocol: types.ProtocolEnumHttp}},
		Health: map[string][]types.TargetHealthDescription{blue: {{
			Target:       &types.TargetDescription{Id: aws.String("i-1"), Port: aws.Int32(8080)},
			TargetHealth: &types.TargetHealth{State: types.TargetHealthStateEnumHealthy},
		}}},
	}
	elb := elbfake.Start(t, account)
	at, err := url.Parse(elb.URL)
	if err != nil {
		t.Fatal(err)
	}
	refuse := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		answer := map[string]string{"DescribeAutoScalingGroups": groups, "DescribeScalingActivities": activities}[form.Get("Action")]
		switch {
		case answer == "":
			r.Body = io.NopCloser(bytes.NewReader(body))
			httputil.NewSingleHostReverseProxy(at).ServeHTTP(w, r)
		case form.Get("Action") == refuse:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, denied)
		default:
			_, _ = io.WriteString(w, answer)
		}
	}))
	defer server.Close()
	run := statusOf(t, server.URL)
	const tables = ` TARGET GROUP  TARGET    ZONE  STATE    REASON  DESCRIPTION
 blue          i-1:8080        healthy

 AUTO SCALING GROUP  DESIRED  MIN  MAX  INSTANCE  TARGET     STATE         HEALTH   TEMPLATE  LAUNCHED (UTC)
 idle                0        0    1    -
 shop                2        1    6    i-1       blue 8080  InService     Healthy  v 2       2026-01-02 12:00:00
                                        i-231m               Pending:Wait  Healthy

 AUTO SCALING GROUP  STARTED (UTC)        STATUS      ACTIVITY                           CAUSE
 shop                2026-01-02 12:05:00  Failed      Launching a new EC2 instance       Too few. no free port
                     2026-01-02 12:00:00  Successful  Launching a new EC2 instance: i-1  None.
`
	code, out, errs := run()
	if code != 0 || errs != "" || out != tables {
		t.Errorf("code %d, %s\n%s\nwant\n%s", code, errs, out, tables)
	}

	code, out, _ = run("--output", "json")
	var got struct {
		Groups []struct {
			Name         string
			Desired      int      `json:"desired_capacity"`
			TargetGroups []string `json:"target_groups"`
			Instances    []struct {
				ID       string
				Targets  []string
				State    string `json:"lifecycle_state"`
				Launched time.Time
			}
			Activities []struct{ Status, Cause string }
		} `json:"auto_scaling_groups"`
		Why string `json:"auto_scaling_error"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Why != "" || len(got.Groups) != 2 {
		t.Fatalf("code %d, %v\n%s", code, err, out)
	}
	if g := got.Groups[1]; g.Name != "shop" || g.Desired != 2 || g.TargetGroups[0] != "blue" || g.Instances[0].Targets[0] != "blue 8080" ||
		!g.Instances[0].Launched.Equal(time.Date(2026, 1, 2, 12, 0, 0, 5e8, time.UTC)) || !g.Instances[1].Launched.IsZero() || len(g.Activities) != 2 || g.Activities[0].Status != "Failed" {
		t.Errorf("the group is %+v", g)
	}

	// What is not told of them takes nothing from the rest.
	for action, stays := range map[string]string{"DescribeAutoScalingGroups": "i-1:8080", "DescribeScalingActivities": "Pending:Wait"} {
		refuse = action
		want := "Auto Scaling groups: " + action + " at " + server.Listener.Addr().String() + ": AccessDenied: not you; the credentials need the permission autoscaling:" + action
		if code, out, _ := run(); code != 0 || !strings.Contains(out, want) || !strings.Contains(out, stays) {
			t.Errorf("code %d\n%s\nwant %s", code, out, want)
		}
	}
}
