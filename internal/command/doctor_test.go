package command_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/rogpeppe/go-internal/testscript"

	"hale/test/elbfake"
	"hale/test/servers"
	"hale/test/sites"
)

const (
	prefixARN   = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
	webARN      = prefixARN + "targetgroup/web/73e2d6bc24d8a067"
	calmARN     = prefixARN + "targetgroup/calm/83e2d6bc24d8a067"
	siteARN     = prefixARN + "loadbalancer/app/site/50dc6c495c0c9188"
	listenerARN = prefixARN + "listener/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2"
)

// startTarget serves a site that believes nobody's X-Forwarded-Proto but for
// /well, at the address that stands for an instance's private one.
func startTarget(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(sites.Private, "0"))
	if err != nil {
		t.Skipf("no address for a target: %v", err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/named" && r.Host != "mysite.com":
			http.Redirect(w, r, "http://mysite.com/named", http.StatusMovedPermanently)
		case r.URL.Path == "/named":
			_, _ = w.Write([]byte("ok\n"))
		case r.URL.Path == "/accepted":
			w.WriteHeader(http.StatusAccepted)
		case r.URL.Path != "/well" && r.URL.Path != "/health":
			http.NotFound(w, r)
		case r.URL.Path == "/health" && r.Header.Get("X-Forwarded-Proto") != "https":
			w.Header().Set("Server", "nginx") // which stands before the app
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "https://mysite.com/health")
			w.WriteHeader(http.StatusMovedPermanently)
			_, _ = w.Write([]byte("<html>\r\n<head><title>301 Moved Permanently</title></head>\r\n<body>\r\n<center><h1>301 Moved Permanently</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"))
		default:
			_, _ = w.Write([]byte("ok\n"))
		}
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(l.Addr().String())
}

func group(name, arn, path string) types.TargetGroup {
	return types.TargetGroup{
		TargetGroupArn: aws.String(arn), TargetGroupName: aws.String(name),
		Protocol: types.ProtocolEnumHttp, ProtocolVersion: aws.String("HTTP1"), Port: aws.Int32(8080), TargetType: types.TargetTypeEnumInstance,
		HealthCheckEnabled: aws.Bool(true), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: aws.String("traffic-port"), HealthCheckPath: aws.String(path),
		HealthCheckIntervalSeconds: aws.Int32(30), HealthCheckTimeoutSeconds: aws.Int32(5), HealthyThresholdCount: aws.Int32(5), UnhealthyThresholdCount: aws.Int32(2),
		Matcher: &types.Matcher{HttpCode: aws.String("200")}, LoadBalancerArns: []string{siteARN},
	}
}

func target(id string, port uint16, state types.TargetHealthStateEnum, reason types.TargetHealthReasonEnum, description string) types.TargetHealthDescription {
	h := types.TargetHealthDescription{
		Target:       &types.TargetDescription{Id: aws.String(id), Port: aws.Int32(int32(port))},
		TargetHealth: &types.TargetHealth{State: state, Reason: reason},
	}
	if description != "" {
		h.TargetHealth.Description = aws.String(description)
	}
	return h
}

// doctorAccount has the group "web" with a healthy target, one that redirects
// to https, and an instance that times out; and the group "calm", all of whose
// targets are healthy.
func doctorAccount(site netip.AddrPort) elbfake.Account {
	forward := func(arn string) types.Action {
		return types.Action{Type: types.ActionTypeEnumForward, TargetGroupArn: aws.String(arn)}
	}
	healthy := target("i-0f76fade", 8080, types.TargetHealthStateEnumHealthy, "", "")
	return elbfake.Account{
		TargetGroups: []types.TargetGroup{group("web", webARN, "/health"), group("calm", calmARN, "/well")},
		LoadBalancers: []types.LoadBalancer{{
			LoadBalancerArn: aws.String(siteARN), LoadBalancerName: aws.String("site"), Type: types.LoadBalancerTypeEnumApplication,
			State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}, SecurityGroups: []string{"sg-5943793c"},
			AvailabilityZones: []types.AvailabilityZone{{ZoneName: aws.String("eu-west-1a"), SubnetId: aws.String("subnet-a")}},
		}},
		Listeners: []types.Listener{{ListenerArn: aws.String(listenerARN), LoadBalancerArn: aws.String(siteARN), Protocol: types.ProtocolEnumHttps, Port: aws.Int32(443)}},
		Rules: map[string][]types.Rule{listenerARN: {
			{RuleArn: aws.String(listenerARN + "/1"), Priority: aws.String("10"), Actions: []types.Action{forward(webARN)}, Conditions: []types.RuleCondition{{Field: aws.String("path-pattern"), Values: []string{"/shop/*"}}}},
			{RuleArn: aws.String(listenerARN + "/2"), Priority: aws.String("default"), Actions: []types.Action{forward(calmARN)}},
		}},
		Health: map[string][]types.TargetHealthDescription{
			webARN: {
				healthy,
				target(site.Addr().String(), site.Port(), types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumResponseCodeMismatch, "Health checks failed with these codes: [301]"),
				target("i-1f76fade", site.Port(), types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out"),
			},
			calmARN: {healthy, target("i-2f76fade", 8080, types.TargetHealthStateEnumDraining, types.TargetHealthReasonEnumDeregistrationInProgress, "Target deregistration is in progress")},
		},
		Attributes: map[string]map[string]string{webARN: {"deregistration_delay.timeout_seconds": "20"}, calmARN: {"deregistration_delay.timeout_seconds": "20"}},
	}
}

// around is what other services know of the instance that times out.
const around = `{"Reservations": [{"Instances": [{"InstanceId": "i-1f76fade", "PrivateIpAddress": "127.0.0.5", "SecurityGroups": [{"GroupId": "sg-app", "GroupName": "app"}]}]}]}
{"SecurityGroups": [{"GroupId": "sg-app", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": "sg-5943793c"}]}]}]}
{"AutoScalingGroups": [{"AutoScalingGroupName": "web", "HealthCheckType": "EC2", "HealthCheckGracePeriod": 300, "TargetGroupARNs": ["` + webARN + `"]}]}
`

// TestDoctorScripts runs testdata/doctor: $SITE is the address of a target,
// $API that of the account's API, $DENIED and $EXPIRED are APIs that refuse.
// $AROUND is one with other services beside it, $REFUSING one whose EC2 does not
// tell of instances.
func TestDoctorScripts(t *testing.T) {
	site := startTarget(t)
	api := elbfake.Start(t, doctorAccount(site))
	refusing := func(code, message string) string {
		server := elbfake.Start(t, doctorAccount(site))
		server.Fail("", slices.Repeat([]elbfake.Failure{{Status: http.StatusForbidden, Code: code, Message: message}}, 20)...)
		return server.URL
	}
	denied := refusing("AccessDenied", "User: arn:aws:iam::123456789012:user/ci is not authorized")
	expired := refusing("ExpiredToken", "The security token included in the request is expired")
	account := doctorAccount(site)
	account.Beside = around
	other := elbfake.Start(t, account).URL
	without := elbfake.Start(t, account)
	without.Fail("DescribeInstances", slices.Repeat([]elbfake.Failure{{Status: http.StatusForbidden, Code: "UnauthorizedOperation", Message: "You are not authorized"}}, 20)...)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/doctor",
		Setup: func(env *testscript.Env) error {
			tellRaceDetector(env)
			for name, value := range map[string]string{
				"SITE": site.String(), "PORT": site.String()[len(sites.Private)+1:], "API": api.URL, "DENIED": denied, "EXPIRED": expired,
				"AROUND": other, "REFUSING": without.URL,
				"WEB": webARN, "CALM": calmARN, "AWS_EC2_METADATA_DISABLED": "true",
			} {
				env.Setenv(name, value)
			}
			return nil
		},
	})
}

// TestDoctorOfHaleBalance: hale balance has Auto Scaling groups at the address of
// its ELBv2 API, and the doctor reads their grace period there.
func TestDoctorOfHaleBalance(t *testing.T) {
	dir, api := t.TempDir(), servers.FreeAddress(t)
	file := filepath.Join(dir, "site.yaml")
	if err := os.WriteFile(file, []byte(`
StateDirectory: `+filepath.Join(dir, "state")+`
LaunchTemplates:
- {LaunchTemplateName: web-1, Command: [sleep, "1000"]}
TargetGroups:
- {Name: web, Protocol: HTTP, Port: 80, TargetType: instance, HealthCheckIntervalSeconds: 5, HealthCheckTimeoutSeconds: 2}
AutoScalingGroups:
- AutoScalingGroupName: web-1
  LaunchTemplate: {LaunchTemplateName: web-1}
  MinSize: 0
  MaxSize: 1
  TargetGroups: [web]
  HealthCheckType: ELB
  HealthCheckGracePeriod: 5
`), 0o600); err != nil {
		t.Fatal(err)
	}
	balance := exec.CommandContext(t.Context(), "hale", "balance", "-c", file, "--api", api)
	balance.Env = append(balance.Environ(), "AWS_EC2_METADATA_DISABLED=true")
	if err := balance.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = balance.Wait() }) // after the context's end
	var out []byte
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		cmd := exec.CommandContext(t.Context(), "hale", "doctor", "--target-group", "web", "--region", "us-east-1", "--endpoint-url", "http://"+api, "--start-up", "8s")
		cmd.Env = append(cmd.Environ(), "AWS_EC2_METADATA_DISABLED=true", "HOME="+dir)
		out, _ = cmd.Output() // the exit code tells
		if cmd.ProcessState.ExitCode() == 1 {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("the group is not there after a minute")
		}
	}
	for _, want := range []string{"[asg-cold-start-vs-grace]", "- times: grace period 5s, against "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "not read") {
		t.Errorf("it did not read all:\n%s", out)
	}
}

// TestDoctorGroupJSON holds the form of hale doctor --target-group --output
// json, which is a contract.
func TestDoctorGroupJSON(t *testing.T) {
	site := startTarget(t)
	api := elbfake.Start(t, doctorAccount(site))
	run := func(want int, args ...string) (document map[string]any) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "hale", append([]string{"doctor", "--endpoint-url", api.URL, "--output", "json", "--idle-wait", "0"}, args...)...)
		cmd.Env = append(cmd.Environ(), "AWS_EC2_METADATA_DISABLED=true", "HOME="+t.TempDir())
		out, _ := cmd.Output() // the exit code tells
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Fatalf("%v: exit code %d, want %d: %s", args, got, want, out)
		}
		if err := json.Unmarshal(out, &document); err != nil {
			t.Fatalf("%v: %v in %s", args, err, out)
		}
		for _, key := range []string{"findings", "targets", "timing", "notes", "not_decided"} {
			if _, ok := document[key].([]any); !ok {
				t.Errorf("%v: %q is %v, not a list", args, key, document[key])
			}
		}
		return document
	}
	web := run(1, "--target-group", webARN)
	if web["target_group"] != webARN || web["healthy"] != false {
		t.Errorf("%v, healthy %v", web["target_group"], web["healthy"])
	}
	targets := web["targets"].([]any)
	if len(targets) != 3 {
		t.Fatalf("%d targets", len(targets))
	}
	redirecting := targets[1].(map[string]any)
	if redirecting["id"] != sites.Private || redirecting["port"] != float64(site.Port()) || redirecting["state"] != "unhealthy" ||
		redirecting["reason"] != "Target.ResponseCodeMismatch" || redirecting["description"] != "Health checks failed with these codes: [301]" {
		t.Errorf("%v", redirecting)
	}
	report, ok := redirecting["report"].(map[string]any)
	if !ok || report["as"] != "alb" || report["healthy"] != false || len(report["findings"].([]any)) == 0 || report["healthy_when_fixed"] != true ||
		report["target"] != "http://"+site.String()+"/health" {
		t.Errorf("%v", report)
	}
	for _, i := range []int{0, 2} {
		if report, ok := targets[i].(map[string]any)["report"]; ok {
			t.Errorf("target %d was not to be probed: %v", i, report)
		}
	}
	row := web["timing"].([]any)[0].(map[string]any)
	if row["event"] != "a dead instance is taken out" || row["best_seconds"] != 30.0 || row["worst_seconds"] != 65.0 {
		t.Errorf("%v", row)
	}
	if calm := run(0, "--target-group", calmARN); calm["healthy"] != true || len(calm["findings"].([]any)) != 0 {
		t.Errorf("%v", calm)
	}
}

// TestDoctorGroupOnATerminal: a line tells which target is asked, and what.
func TestDoctorGroupOnATerminal(t *testing.T) {
	site := startTarget(t)
	api := elbfake.Start(t, doctorAccount(site))
	tty := startTerminal(t, "hale doctor --idle-wait 0 --endpoint-url "+api.URL+" --target-group "+webARN)
	tty.says(`reading the target group`)
	tty.says(regexp.QuoteMeta(site.String()) + ` \(1 of 2\): sending the probe`)
	tty.says(`not healthy`)
	tty.says(`a dead instance is taken out`)
}

// TestDoctorInterrupted while it reads a group, and while a target is silent.
func TestDoctorInterrupted(t *testing.T) {
	api := elbfake.Start(t, doctorAccount(netip.AddrPort{}))
	api.Fail("", elbfake.Failure{Hang: true})
	interrupt(t, os.Interrupt, t.TempDir(), nil, func() bool { return len(api.Calls()) > 0 },
		"doctor", "--endpoint-url", api.URL, "--target-group", webARN)

	asked := make(chan struct{}, 16)
	silent, stop, err := listen(func(conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, conn)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	account := doctorAccount(netip.MustParseAddrPort(silent))
	account.TargetGroups[0].HealthCheckTimeoutSeconds = aws.Int32(120)
	api = elbfake.Start(t, account)
	interrupt(t, os.Interrupt, t.TempDir(), nil, func() bool { return len(asked) > 0 },
		"doctor", "--endpoint-url", api.URL, "--target-group", webARN)
}

// metadataOf serves the instance metadata of an instance.
func metadataOf(t *testing.T, id, address string) (url string) {
	t.Helper()
	pages := map[string]string{
		"/latest/meta-data/instance-id": id, "/latest/meta-data/local-ipv4": address,
		"/latest/meta-data/placement/availability-zone": "eu-west-1a", "/latest/meta-data/placement/region": "eu-west-1",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const token = "c3VjaCBhIHRva2Vu"
		page, ok := pages[r.URL.Path]
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			_, _ = io.WriteString(w, token)
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != token:
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			http.NotFound(w, r)
		default:
			_, _ = io.WriteString(w, page)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestDoctorGroupFromInside runs the doctor on one of the group's instances: it
// finds its own address, and looks at what listens there.
func TestDoctorGroupFromInside(t *testing.T) {
	for _, test := range []struct {
		site    string // of the corpus
		finding string
	}{
		{"node-on-localhost", "bound-to-loopback"},
		{"django-allowed-hosts-looks-fixed-mask", "django-allowed-hosts-looks-fixed"},
	} {
		t.Run(test.site, func(t *testing.T) {
			all := sites.All()
			i := slices.IndexFunc(all, func(c sites.Case) bool { return c.Name == test.site })
			if i < 0 {
				t.Fatal("no such site")
			}
			site := all[i].Start(t)
			address := netip.MustParseAddrPort(site.Address)
			const own, other = "i-0f76fade", "i-1f76fade"
			account := doctorAccount(address)
			failed := func(id string) types.TargetHealthDescription {
				return target(id, address.Port(), types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed")
			}
			account.Health[webARN] = []types.TargetHealthDescription{failed(other), failed(own)}
			account.TargetGroups[0].HealthCheckTimeoutSeconds = aws.Int32(25) // for machines that are slow themselves
			api := elbfake.Start(t, account)

			cmd := exec.CommandContext(t.Context(), "hale", "doctor", "--target-group", webARN, "--endpoint-url", api.URL,
				"--from-inside", "--host", site.Domain, "--source", sites.Prober, "--idle-wait", "0", "--output", "json")
			cmd.Env = append(cmd.Environ(), "AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT="+metadataOf(t, own, sites.Private), "HOME="+t.TempDir())
			out, _ := cmd.Output() // the exit code tells
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Fatalf("exit code %d: %s", code, out)
			}
			var document struct {
				Targets []struct {
					ID     string
					Report *struct {
						Target   string
						Findings []struct{ ID string }
						Fixed    bool `json:"healthy_when_fixed"`
					}
				}
				Undecided []struct{ What string } `json:"not_decided"`
			}
			if err := json.Unmarshal(out, &document); err != nil {
				t.Fatal(err)
			}
			if first := document.Targets[0]; first.ID != other || first.Report != nil {
				t.Errorf("another machine's target was examined: %s", out)
			}
			report := document.Targets[1].Report
			if report == nil || len(report.Findings) == 0 || report.Findings[0].ID != test.finding || !report.Fixed || report.Target != "http://"+site.Address+"/health" {
				t.Errorf("%s", out)
			}
		})
	}
}
