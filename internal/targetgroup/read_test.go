package targetgroup_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elb"
	"hale/internal/targetgroup"
	"hale/test/elbfake"
)

// read asks a fake, for which no credentials are needed.
func read(t *testing.T, endpoint string) (targetgroup.Group, error) {
	t.Helper()
	return targetgroup.Read(t.Context(), targetgroup.Options{Group: groupARN, Endpoint: endpoint, Lookup: environment("HOME", t.TempDir())})
}

// want is webAccount as the reader sees it.
var want = targetgroup.Group{
	ARN: groupARN, Name: "web", Kind: elb.Kind{Protocol: elb.HTTP, Version: elb.HTTP1, Targets: elb.Instances}, Port: 8080,
	HealthCheck: elb.HealthCheck{Protocol: elb.HTTP, Path: "/health", Matcher: "200", Interval: 30 * time.Second, Timeout: 5 * time.Second, Healthy: 5, Unhealthy: 2},
	HealthKnown: true, RoutesKnown: true,
	Targets: []targetgroup.Target{
		{ID: "i-0f76fade", Port: 8080, CheckPort: 8080, State: elb.Healthy},
		{
			ID: "10.0.1.23", Port: 8080, CheckPort: 8080, Address: netip.MustParseAddr("10.0.1.23"),
			State: elb.Unhealthy, Reason: elb.ResponseCodeMismatch, Description: "Health checks failed with these codes: [301]",
		},
	},
	Routes: []targetgroup.Route{{Balancer: "site", Protocol: "HTTPS", Port: 443, Rule: "10", When: "path-pattern /shop/* or /cart", Weight: 1, Of: 1}},
	Tags:   map[string]string{"team": "web"},
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		pageSize int
	}{{"in one page", 0}, {"in pages of one", 1}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			account := webAccount()
			account.PageSize = test.pageSize
			server := elbfake.Start(t, account)
			g, err := read(t, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if g.Attributes["deregistration_delay.timeout_seconds"] != "120" || g.Attributes["slow_start.duration_seconds"] != "0" {
				t.Errorf("attributes %v", g.Attributes)
			}
			g.Attributes = nil
			if len(g.Balancers) != 1 || g.Balancers[0].Attributes["idle_timeout.timeout_seconds"] != "75" {
				t.Fatalf("load balancers %+v", g.Balancers)
			}
			b := g.Balancers[0]
			b.Attributes = nil
			g.Balancers = nil
			if g.ScalingAsked != targetgroup.Answered || g.ServiceAsked != targetgroup.Answered {
				t.Errorf("Auto Scaling %v, ECS %v", g.ScalingAsked, g.ServiceAsked)
			}
			g.ScalingAsked, g.ServiceAsked = targetgroup.NotAsked, targetgroup.NotAsked
			if !reflect.DeepEqual(g, want) {
				t.Errorf("= %+v\nwant %+v", g, want)
			}
			if want := (targetgroup.Balancer{
				ARN: balancerARN, Name: "site", DNSName: "site-1234567890.eu-west-1.elb.amazonaws.com", Type: elb.Application, State: "active",
				Zones:          []targetgroup.Zone{{Name: "eu-west-1a", Subnet: "subnet-a"}, {Name: "eu-west-1b", Subnet: "subnet-b"}},
				SecurityGroups: []string{"sg-5943793c"},
			}); !reflect.DeepEqual(b, want) {
				t.Errorf("load balancer %+v\nwant %+v", b, want)
			}
			for _, call := range server.Calls() {
				if !strings.HasPrefix(call.Action, "Describe") && call.Action != "ListClusters" || call.Region != "eu-west-1" || !strings.Contains(call.UserAgent, "app/hale") {
					t.Errorf("asked %+v", call)
				}
			}
		})
	}
}

func TestReadByName(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, webAccount())
	g, err := targetgroup.Read(t.Context(), targetgroup.Options{Group: "web", Endpoint: server.URL, Lookup: environment("HOME", t.TempDir())})
	if err != nil || g.ARN != groupARN {
		t.Errorf("%s, %v", g.ARN, err)
	}
}

// A group that nobody uses has no load balancers to ask for.
func TestReadUnused(t *testing.T) {
	t.Parallel()
	account := webAccount()
	account.TargetGroups[0].LoadBalancerArns = nil
	server := elbfake.Start(t, account)
	g, err := read(t, server.URL)
	if err != nil || !g.RoutesKnown || len(g.Balancers)+len(g.Routes) > 0 {
		t.Errorf("%+v, %v", g, err)
	}
	if slices.Contains(server.Actions(), "DescribeLoadBalancers") {
		t.Errorf("asked %v: without ARNs, that is all load balancers of the account", server.Actions())
	}
}

// What the API refuses besides settings and health is gone without.
func TestReadRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		action string
		what   string
		routes bool // they are known all the same
	}{
		{"DescribeTargetGroupAttributes", "how long the group drains", true},
		{"DescribeTags", "belongs to Elastic Beanstalk", true},
		{"DescribeLoadBalancers", "zones and security groups", false},
		{"DescribeLoadBalancerAttributes", "idle time-out", true},
		{"DescribeListeners", "whether a listener", false},
		{"DescribeRules", "which rules", false},
	} {
		t.Run(test.action, func(t *testing.T) {
			t.Parallel()
			server := elbfake.Start(t, webAccount())
			server.Fail(test.action, elbfake.Failure{Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: elasticloadbalancing:" + test.action})
			g, err := read(t, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if len(g.Unread) != 1 || !strings.Contains(g.Unread[0].What, test.what) || !strings.HasSuffix(g.Unread[0].How, "the credentials need the permission elasticloadbalancing:"+test.action) {
				t.Errorf("unread %+v", g.Unread)
			}
			if g.RoutesKnown != test.routes || len(g.Targets) != 2 {
				t.Errorf("routes known: %v, %d targets", g.RoutesKnown, len(g.Targets))
			}
		})
	}
}

// The errors of a reading: one line each, with the way out.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	refuse := func(status int, code, message string) []elbfake.Failure {
		return []elbfake.Failure{{Status: status, Code: code, Message: message}}
	}
	throttle := elbfake.Failure{Code: "Throttling", Message: "Rate exceeded"}
	for _, test := range []struct {
		name     string
		action   string
		failures []elbfake.Failure
		want     string // HOST is the fake's
	}{
		{
			"no such group", "DescribeTargetGroups", refuse(400, "TargetGroupNotFound", "One or more target groups not found"),
			"DescribeTargetGroups at HOST: TargetGroupNotFound: One or more target groups not found; no target group " + groupARN + " in this account and region: aws elbv2 describe-target-groups lists those that there are",
		},
		{
			"not allowed", "DescribeTargetHealth", refuse(403, "AccessDenied", "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: elasticloadbalancing:DescribeTargetHealth because no identity-based policy allows it."),
			"DescribeTargetHealth at HOST: AccessDenied: User: arn:aws:iam::123456789012:user/ci is not authorized to perform: elasticloadbalancing:DescribeTargetHealth because no identity-based policy allows it; the credentials need the permission elasticloadbalancing:DescribeTargetHealth",
		},
		{
			"expired", "", refuse(403, "ExpiredToken", "The security token included in the request is expired"),
			"DescribeTargetGroups at HOST: ExpiredToken: The security token included in the request is expired; the credentials have expired: sign in again (aws sso login, aws login), or get new keys",
		},
		{
			"unknown key", "", refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
			"DescribeTargetGroups at HOST: InvalidClientTokenId: The security token included in the request is invalid; AWS does not know the access key: it was deleted, or belongs to another partition, or its session token is missing",
		},
		{
			"a code that nobody knows, in letters that are none", "", refuse(418, "Teapot", "I am\u009b31m\na teapot"),
			"DescribeTargetGroups at HOST: Teapot: I am31m",
		},
		{
			"busy for too long", "",
			[]elbfake.Failure{throttle, throttle, throttle, throttle},
			"DescribeTargetGroups at HOST: Throttling: Rate exceeded; the API is asked too often in this account, after several tries: wait a minute and try again",
		},
		{
			"another API", "", refuse(400, "InvalidAction", "Could not find operation DescribeTargetGroups for version 2015-12-01"),
			"DescribeTargetGroups at HOST: InvalidAction: Could not find operation DescribeTargetGroups for version 2015-12-01; what answers there does not know this question: is it the ELBv2 API?",
		},
		{
			"a web page", "",
			[]elbfake.Failure{{Status: 200, Body: "<!DOCTYPE html><html><body>hello</body></html>"}},
			"DescribeTargetGroups at HOST: the answer is none of the ELBv2 API (200): is the endpoint right?",
		},
		{
			"a web page that is an error", "",
			[]elbfake.Failure{{Status: 404, Body: "<html><body>not found</body></html>"}},
			"DescribeTargetGroups at HOST: the answer is none of the ELBv2 API (404): is the endpoint right?",
		},
		{
			"no XML", "",
			[]elbfake.Failure{{Status: 200, Body: `{"message": "hello"}`}},
			"DescribeTargetGroups at HOST: 0 target groups for " + groupARN + ": is this the ELBv2 API?",
		},
		{
			"an empty answer", "",
			[]elbfake.Failure{{Status: 200, Body: "<a></a>"}},
			"DescribeTargetGroups at HOST: the answer is none of the ELBv2 API (200): is the endpoint right?",
		},
		{
			"an answer that is cut off", "",
			[]elbfake.Failure{{Status: 200, Body: "<DescribeTargetGroupsResponse><Describe"}},
			"DescribeTargetGroups at HOST: the answer is none of the ELBv2 API (200): is the endpoint right?",
		},
		{
			"an answer without end", "",
			[]elbfake.Failure{{Status: 200, Body: "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>" + strings.Repeat(" ", 5<<20)}},
			"DescribeTargetGroups at HOST: the answer is longer than any of the ELBv2 API",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := elbfake.Start(t, webAccount())
			server.Fail(test.action, test.failures...)
			_, err := read(t, server.URL)
			if want := strings.ReplaceAll(test.want, "HOST", strings.TrimPrefix(server.URL, "http://")); err == nil || err.Error() != want {
				t.Errorf("= %v\nwant %s", err, want)
			}
		})
	}
}

// An API that is busy is asked again.
func TestReadThrottled(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, webAccount())
	server.Fail("DescribeTargetHealth", elbfake.Failure{Code: "Throttling", Message: "Rate exceeded"}, elbfake.Failure{Status: 503, Body: "busy"})
	if _, err := read(t, server.URL); err != nil {
		t.Error(err)
	}
}

// A list that points to its own beginning ends nevertheless.
func TestReadPagesInACircle(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, webAccount())
	page := `<DescribeRulesResponse><DescribeRulesResult><Rules><member><Priority>1</Priority></member></Rules><NextMarker>again</NextMarker></DescribeRulesResult></DescribeRulesResponse>`
	for range 10 {
		server.Fail("DescribeRules", elbfake.Failure{Status: 200, Body: page})
	}
	if _, err := read(t, server.URL); err != nil {
		t.Error(err)
	}
	asked := slices.DeleteFunc(server.Actions(), func(action string) bool { return action != "DescribeRules" })
	if len(asked) != 4 { // two for each listener
		t.Errorf("asked for rules %d times", len(asked))
	}
}

// What the API says of sizes is a stranger's.
func TestReadNonsense(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*types.TargetGroup)
		want   string
	}{
		{"a negative interval", func(g *types.TargetGroup) { g.HealthCheckIntervalSeconds = aws.Int32(-5) }, "HealthCheckIntervalSeconds: -5 makes no sense"},
		{"a port of letters", func(g *types.TargetGroup) { g.HealthCheckPort = aws.String("http") }, `HealthCheckPort: "http" is neither traffic-port nor a port`},
		{"two requests in one path", func(g *types.TargetGroup) { g.HealthCheckPath = aws.String("/ HTTP/1.1\r\nX: y") }, "HealthCheckPath: \"/ HTTP/1.1\\r\\nX: y\" has bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			account := webAccount()
			test.change(&account.TargetGroups[0])
			_, err := read(t, elbfake.Start(t, account).URL)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestReadNobodyThere(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, err = read(t, "http://"+address)
	if want := "DescribeTargetGroups at " + address + ": connection refused: is the endpoint right, and may this machine reach it?"; err == nil || err.Error() != want {
		t.Errorf("= %v\nwant %s", err, want)
	}
}

func TestReadInterrupted(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, webAccount())
	server.Fail("", elbfake.Failure{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for len(server.Calls()) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := targetgroup.Read(ctx, targetgroup.Options{Group: groupARN, Endpoint: server.URL, Lookup: environment()})
	if !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), ": interrupted") {
		t.Errorf("error %v", err)
	}
}

// Where credentials, region and endpoint come from, as with AWS's SDKs.
func TestSources(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, webAccount())
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/role" && r.Header.Get("Authorization") == "letmein" {
			w.Write([]byte(`{"AccessKeyId": "CONTAINER", "SecretAccessKey": "s", "Token": "t"}`))
			return
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer agent.Close()
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const roles = "/latest/meta-data/iam/security-credentials/"
		switch {
		case r.Method == http.MethodPut:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			w.Write([]byte("token"))
		case r.URL.Path == roles || r.URL.Path == strings.TrimSuffix(roles, "/"):
			w.Write([]byte("web"))
		case r.URL.Path == roles+"web":
			w.Write([]byte(`{"Code": "Success", "AccessKeyId": "INSTANCE", "SecretAccessKey": "s", "Token": "t"}`))
		default:
			http.NotFound(w, r)
		}
	}))
	defer metadata.Close()
	home := t.TempDir()
	for name, content := range map[string]string{
		"credentials": "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s3cret\n[half]\naws_access_key_id = HALF\n",
		"config": "[default]\nregion = eu-west-1\n[profile dev]\nregion = eu-central-1\nsso_session = corp\n[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n" +
			"[profile keys]\naws_access_key_id = CONFIG\naws_secret_access_key = s3cret\naws_session_token = t0ken\nregion = us-west-2\nendpoint_url = " + server.URL + "\n[profile empty]\n",
	} {
		if err := os.MkdirAll(filepath.Join(home, ".aws"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".aws", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// remote is another address of the fake, which is not taken for this machine's.
	remote := strings.Replace(server.URL, "127.0.0.1", "0.0.0.0", 1)
	const secret = "s3cret"
	for _, test := range []struct {
		name        string
		o           targetgroup.Options
		environment []string
		key         string // that the request is signed with
		region      string
		fails       string
	}{
		{name: "dummies for this machine", o: targetgroup.Options{Group: groupARN, Endpoint: server.URL}, environment: []string{"HOME", "/nowhere"}, key: "hale", region: "eu-west-1"},
		{name: "a name on this machine needs no region", o: targetgroup.Options{Group: "web", Endpoint: server.URL}, environment: []string{"HOME", "/nowhere"}, key: "hale", region: "us-east-1"},
		{name: "the environment", o: targetgroup.Options{Group: groupARN, Endpoint: remote}, environment: []string{"AWS_ACCESS_KEY_ID", "ENV", "AWS_SECRET_ACCESS_KEY", secret}, key: "ENV", region: "eu-west-1"},
		{name: "an endpoint of the environment", o: targetgroup.Options{Group: groupARN}, environment: []string{"AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", server.URL, "AWS_ENDPOINT_URL", "http://127.0.0.1:1"}, key: "DEFAULT", region: "eu-west-1"},
		{name: "the profile default", o: targetgroup.Options{Group: groupARN, Endpoint: remote}, key: "DEFAULT", region: "eu-west-1"},
		{name: "a profile, with its endpoint and region", o: targetgroup.Options{Group: "web", Profile: "keys"}, key: "CONFIG", region: "us-west-2"},
		{name: "AWS_PROFILE", o: targetgroup.Options{Group: "web"}, environment: []string{"AWS_PROFILE", "keys"}, key: "CONFIG", region: "us-west-2"},
		{name: "AWS_REGION before the profile's", o: targetgroup.Options{Group: "web"}, environment: []string{"AWS_PROFILE", "keys", "AWS_REGION", "eu-north-1"}, key: "CONFIG", region: "eu-north-1"},
		{name: "the ARN's region before all", o: targetgroup.Options{Group: groupARN, Region: "us-east-2"}, environment: []string{"AWS_PROFILE", "keys", "AWS_REGION", "eu-north-1"}, key: "CONFIG", region: "eu-west-1"},
		{name: "the container's role", o: targetgroup.Options{Group: groupARN, Endpoint: remote, Profile: "empty"}, environment: []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.URL + "/role", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "letmein"}, key: "CONTAINER", region: "eu-west-1"},
		{name: "the container's role is not given", o: targetgroup.Options{Group: groupARN, Endpoint: remote, Profile: "empty"}, environment: []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.URL + "/other"}, fails: "answered 403: does the task have a role?"},
		{name: "a container's credentials from afar", o: targetgroup.Options{Group: groupARN, Endpoint: remote, Profile: "empty"}, environment: []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/role"}, fails: "is neither https nor the address of an agent on this machine"},
		{name: "the instance's role", o: targetgroup.Options{Group: groupARN, Endpoint: remote, Profile: "empty"}, environment: []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL}, key: "INSTANCE", region: "eu-west-1"},
		{
			name: "no credentials", o: targetgroup.Options{Group: groupARN, Endpoint: remote, Profile: "empty"}, environment: []string{"AWS_EC2_METADATA_DISABLED", "true"},
			fails: "no role of an instance (AWS_EC2_METADATA_DISABLED is true): sign in with aws configure or aws sso login, or set AWS_PROFILE",
		},
		{name: "half a pair", o: targetgroup.Options{Group: groupARN, Endpoint: remote, Profile: "empty"}, environment: []string{"AWS_ACCESS_KEY_ID", "ENV"}, fails: "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"},
		{
			name: "single sign-on", o: targetgroup.Options{Group: groupARN, Profile: "dev"},
			fails: `profile dev gets its keys by single sign-on, which hale leaves to the aws command: eval "$(aws configure export-credentials --profile dev --format env)", and run hale again`,
		},
		{name: "a role to assume", o: targetgroup.Options{Group: groupARN, Profile: "role"}, fails: "by assuming a role"},
		{name: "no such profile", o: targetgroup.Options{Group: groupARN, Profile: "prod"}, fails: "no profile prod in "},
		{name: "no region", o: targetgroup.Options{Group: "web", Endpoint: remote, Profile: "half"}, environment: []string{"AWS_ACCESS_KEY_ID", "ENV", "AWS_SECRET_ACCESS_KEY", secret}, fails: "no region: give the target group's ARN, which names it, or set AWS_REGION"},
		{name: "a region of another host", o: targetgroup.Options{Group: "web", Endpoint: remote, Region: "x.example.com/"}, fails: `"x.example.com/" is no region`},
		{name: "a load balancer's ARN", o: targetgroup.Options{Group: balancerARN}, fails: "is the ARN of a load balancer, not of a target group"},
		{name: "a listener's ARN", o: targetgroup.Options{Group: listenerARN}, fails: "is the ARN of a listener or a rule"},
		{name: "no ARN", o: targetgroup.Options{Group: "http://10.0.0.1/"}, fails: "is no target group: give arn:aws:elasticloadbalancing:"},
		{name: "an endpoint that is no URL", o: targetgroup.Options{Group: groupARN, Endpoint: "127.0.0.1:8087"}, fails: "--endpoint-url is no URL: write it as http://127.0.0.1:8087"},
		{name: "an endpoint with a password", o: targetgroup.Options{Group: groupARN, Endpoint: "http://me:" + secret + "@127.0.0.1:8087"}, fails: "--endpoint-url has a user or a password"},
		{name: "no URL in the environment", o: targetgroup.Options{Group: groupARN}, environment: []string{"AWS_ENDPOINT_URL", "ftp://" + secret}, fails: "AWS_ENDPOINT_URL is no URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(server.Calls())
			test.o.Lookup = environment(append(test.environment, "HOME", home)...)
			_, err := targetgroup.Read(t.Context(), test.o)
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("tells a secret, or more than a line: %v", err)
			}
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("= %v\nwant %s", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if call := server.Calls()[before]; call.Key != test.key || call.Region != test.region {
				t.Errorf("signed with %s for %s, want %s for %s", call.Key, call.Region, test.key, test.region)
			}
		})
	}
}
