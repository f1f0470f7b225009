package elbapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elbapi"
	"hale/test/servers"
)

// Programs of AWS's are held here to a balancer at work: with real targets, real
// probes and real traffic.

// working is a balancer behind the API, with an app to register.
type working struct {
	*balancer.Balancer
	url  string // of the API
	port int    // for a listener
	app  netip.AddrPort
}

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

func newWorking(t *testing.T) *working {
	t.Helper()
	b, err := balancer.Open(balancer.Options{Place: inventory.Place{Region: region, Account: "123456789012"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	api := httptest.NewServer(elbapi.New(elbapi.Options{Balancer: b, Secrets: map[string]string{keyID: secret}, Region: region}))
	t.Cleanup(api.Close)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the app got %s", r.URL.Path)
	}))
	t.Cleanup(app.Close)
	return &working{b, api.URL, servers.FreePort(t), netip.MustParseAddrPort(app.Listener.Addr().String())}
}

// environment has nothing of this machine's settings.
func (w *working) environment(t *testing.T) []string {
	home := t.TempDir()
	return []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "AWS_CONFIG_FILE=" + filepath.Join(home, "none"), "AWS_EC2_METADATA_DISABLED=true",
		"AWS_PAGER=", "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_DEFAULT_REGION=" + region, "ENDPOINT=" + w.url,
	}
}

// await waits until the only target of a group is in a state; gone is "".
func (w *working) await(t *testing.T, group string, state elb.State) {
	t.Helper()
	var got elb.State
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		got = ""
		for _, target := range w.TargetHealth(group) {
			got = target.State
		}
		if got == state {
			return
		}
	}
	t.Fatalf("the target is %q, not %q", got, state)
}

// TestTheAWSCommand does with the aws command what its users do: from a load
// balancer to traffic, and back.
func TestTheAWSCommand(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "aws")
	w := newWorking(t)
	env := w.environment(t)
	names := map[string]string{"APP": w.app.Addr().String(), "APPPORT": strconv.Itoa(int(w.app.Port())), "PORT": strconv.Itoa(w.port)}
	aws := func(line string) (string, string) {
		t.Helper()
		line = os.Expand(line, func(name string) string { return names[name] })
		cmd := exec.CommandContext(t.Context(), program, append([]string{"elbv2", "--endpoint-url", w.url, "--output", "text"}, strings.Fields(line)...)...)
		cmd.Env = env
		var out, complaint strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &complaint
		if err := cmd.Run(); err != nil && complaint.Len() == 0 {
			t.Fatalf("aws elbv2 %s: %v", line, err)
		}
		return strings.TrimSpace(out.String()), strings.TrimSpace(complaint.String())
	}
	do := func(line string) string {
		t.Helper()
		out, complaint := aws(line)
		if complaint != "" {
			t.Fatalf("aws elbv2 %s: %s", line, complaint)
		}
		return out
	}
	names["LB"] = do("create-load-balancer --name site --scheme internal --subnets subnet-a subnet-b --query LoadBalancers[0].LoadBalancerArn")
	names["BLUE"] = do("create-target-group --name blue --protocol HTTP --port $APPPORT --vpc-id vpc-1 --target-type ip --health-check-interval-seconds 5 --health-check-timeout-seconds 2 --matcher HttpCode=200-299 --query TargetGroups[0].TargetGroupArn")
	names["GREEN"] = do("create-target-group --name green --protocol HTTP --port $APPPORT --vpc-id vpc-1 --target-type ip --query TargetGroups[0].TargetGroupArn")
	names["LISTENER"] = do("create-listener --load-balancer-arn $LB --protocol HTTP --port $PORT --default-actions Type=forward,TargetGroupArn=$BLUE --query Listeners[0].ListenerArn")
	names["RULE"] = do(`create-rule --listener-arn $LISTENER --priority 10 --conditions Field=path-pattern,Values=/api/*,/v1/* --actions [{"Type":"forward","ForwardConfig":{"TargetGroups":[{"TargetGroupArn":"$BLUE","Weight":1},{"TargetGroupArn":"$GREEN","Weight":0}]}}] --query Rules[0].RuleArn`)
	do("modify-target-group-attributes --target-group-arn $BLUE --attributes Key=deregistration_delay.timeout_seconds,Value=1")
	do("register-targets --target-group-arn $BLUE --targets Id=$APP,Port=$APPPORT")
	w.await(t, names["BLUE"], elb.Healthy) // the waiter asks each 15 s
	do("wait target-in-service --target-group-arn $BLUE")
	do("wait load-balancer-available --names site")
	for _, path := range []string{"/", "/api/x"} {
		if got := fetch(t, fmt.Sprintf("http://127.0.0.1:%d%s", w.port, path)); got != "the app got "+path {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got := do("describe-target-health --target-group-arn $BLUE --query TargetHealthDescriptions[].TargetHealth.State"); got != "healthy" {
		t.Errorf("health %q", got)
	}
	// With a page's size the command leaves it to its user to ask for the next one.
	if names["MARKER"] = do("describe-target-groups --page-size 1 --query NextMarker"); names["MARKER"] == "None" {
		t.Error("no marker behind the first of two groups")
	}
	if got := do("describe-target-groups --page-size 1 --marker $MARKER --query TargetGroups[].TargetGroupName"); got != "green" {
		t.Errorf("the second page: %q", got)
	}
	if _, got := aws("delete-target-group --target-group-arn $BLUE"); got != "An error occurred (ResourceInUse) when calling the DeleteTargetGroup operation: Target group '"+names["BLUE"]+"' is currently in use by a listener or a rule" {
		t.Errorf("a group in use: %q", got)
	}
	do("deregister-targets --target-group-arn $BLUE --targets Id=$APP,Port=$APPPORT")
	w.await(t, names["BLUE"], "")
	do("wait target-deregistered --target-group-arn $BLUE --targets Id=$APP,Port=$APPPORT")
	do("delete-load-balancer --load-balancer-arn $LB")
	do("wait load-balancers-deleted --load-balancer-arns $LB")
	do("delete-target-group --target-group-arn $BLUE")
	if got := do("describe-target-groups --query TargetGroups[].TargetGroupName"); got != "green" {
		t.Errorf("what is left: %q", got)
	}
	env = append(env, "AWS_SECRET_ACCESS_KEY=guess")
	if _, got := aws("describe-load-balancers"); !strings.HasPrefix(got, "An error occurred (SignatureDoesNotMatch) when calling the DescribeLoadBalancers operation: The request signature we calculated does not match") {
		t.Errorf("a wrong secret: %q", got)
	}
}

// What boto3's users count on: empty lists, numbers and times as such, errors by
// their codes, paginators, and a signature in a URL.
const withBoto3 = `
import boto3, datetime, os, urllib.request
elb = boto3.client("elbv2", endpoint_url=os.environ["ENDPOINT"])

assert elb.describe_load_balancers()["LoadBalancers"] == []
assert elb.describe_target_groups()["TargetGroups"] == []

group = elb.create_target_group(Name="blue", Protocol="HTTP", Port=8000, VpcId="vpc-1", TargetType="ip")["TargetGroups"][0]
assert group["Port"] == 8000 and group["LoadBalancerArns"] == [] and group["HealthCheckEnabled"] is True, group
arn = group["TargetGroupArn"]
assert elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"] == []
assert elb.register_targets(TargetGroupArn=arn, Targets=[])["ResponseMetadata"]["HTTPStatusCode"] == 200

lb = elb.create_load_balancer(Name="site", Scheme="internal")["LoadBalancers"][0]
assert abs(datetime.datetime.now(datetime.timezone.utc) - lb["CreatedTime"]) < datetime.timedelta(hours=1), lb
assert elb.describe_tags(ResourceArns=[lb["LoadBalancerArn"]])["TagDescriptions"] == [{"ResourceArn": lb["LoadBalancerArn"], "Tags": []}]

try:
    elb.describe_load_balancers(Names=["none"])
    raise AssertionError("no error")
except elb.exceptions.LoadBalancerNotFoundException as e:
    assert e.response["Error"]["Type"] == "Sender" and e.response["ResponseMetadata"]["RequestId"], e.response

names = [l["Name"] for page in elb.get_paginator("describe_account_limits").paginate(PaginationConfig={"PageSize": 5}) for l in page["Limits"]]
assert len(names) > 5 and len(set(names)) == len(names), names

url = elb.generate_presigned_url("describe_load_balancers", Params={"Names": ["site"]}, ExpiresIn=60, HttpMethod="GET")
assert b"<LoadBalancerName>site</LoadBalancerName>" in urllib.request.urlopen(url).read(), url
print("done")
`

func TestBoto3(t *testing.T) {
	t.Parallel()
	python := servers.NeedPython(t, "boto3", "python3-boto3")
	w := newWorking(t)
	cmd := exec.CommandContext(t.Context(), python, "-c", withBoto3)
	cmd.Env = w.environment(t)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "done\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
