package admin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"hale/internal/autoscaling"
	"hale/internal/balancer"
	"hale/internal/balancer/admin"
	"hale/internal/elb"
	"hale/test/servers"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// seen is a balancer that looks like this.
type seen balancer.Snapshot

func (s *seen) Snapshot() *balancer.Snapshot { return (*balancer.Snapshot)(s) }

// site is what a balancer with two groups looks like. Odd is put wherever a text
// may be a stranger's.
func site(odd string) *seen {
	var took balancer.Durations
	for _, ms := range []time.Duration{1, 2, 3, 400} {
		took.Add(ms * time.Millisecond)
	}
	traffic := balancer.Traffic{
		Total: balancer.Tally{
			Requests: 5, Target: map[string]uint64{"2xx": 3, "5xx": 1}, ELB: map[string]uint64{"5xx": 1}, ConnectionErrors: 1,
		},
		PerSecond: 12.5, Latency: balancer.Latency{P50: 2, P95: 400, P99: 400, Max: 400}, Took: took,
		Minutes: []balancer.Tally{
			{At: noon.Add(-time.Minute), Requests: 4, Target: map[string]uint64{"2xx": 4}},
			{At: noon, Requests: 1, Target: map[string]uint64{"5xx": 1}},
		},
	}
	return &seen{
		At: noon,
		LoadBalancers: []balancer.LoadBalancerStatus{{
			Name: "site" + odd, DNSName: "site-1.eu-west-1.elb.amazonaws.com" + odd, Type: elb.Application, Scheme: "internal", Traffic: traffic,
			Listeners: []balancer.ListenerStatus{
				{Protocol: elb.HTTP, Port: 80, Addresses: []string{"127.0.0.1:80"}, Listening: true, Rules: []balancer.RuleStatus{
					{Priority: "10", If: []string{"path is /api/*" + odd, "host is a.example"}, Change: []string{"path ^/api becomes /" + odd}, Then: "forward to green" + odd},
					{Priority: "default", Then: "answer 503: " + odd},
				}},
				{Protocol: elb.HTTPS, Port: 443, Addresses: []string{"127.0.0.1:443"}},
			},
		}},
		Groups: []balancer.GroupStatus{
			{
				Name: "blue" + odd, LoadBalancer: "site" + odd, Protocol: elb.HTTP, Version: elb.HTTP1, HealthCheck: "HTTP /health" + odd,
				States: map[elb.State]int{elb.Healthy: 1, elb.Unhealthy: 1, elb.Draining: 1}, FailOpen: true, InFlight: 7,
				Probes: balancer.ProbeCounts{Sent: 20, Failed: map[elb.Reason]uint64{elb.Timeout: 2}}, Traffic: traffic,
				Targets: []balancer.TargetStatus{
					{ID: "10.0.0.1", Port: 8000, CheckPort: 8000, State: elb.Healthy, Since: noon.Add(-2 * time.Hour), InFlight: 7, SlowStart: true, Probes: []balancer.ProbeStatus{
						{At: noon.Add(-3 * time.Second), TookMS: 1.234, Healthy: true, Status: 200},
						{At: noon.Add(-13 * time.Second), TookMS: 1.234, Healthy: true, Status: 200, GRPC: new(12)},
					}},
					{ID: "10.0.0.2" + odd, Port: 8000, CheckPort: 9000, Zone: "eu-west-1a" + odd, State: elb.Unhealthy, Reason: elb.Timeout, Description: "Request timed out" + odd, Since: noon.Add(-90 * time.Second), Anomalous: true, Probes: []balancer.ProbeStatus{
						{At: noon.Add(-4 * time.Second), TookMS: 2000, Reason: elb.Timeout, Description: "Request timed out" + odd, Because: "no answer within 2s" + odd},
					}},
					{ID: "10.0.0.3", Port: 8000, CheckPort: 8000, State: elb.Draining, Reason: elb.DeregistrationInProgress, Since: noon, Until: noon.Add(5 * time.Minute)},
				},
			},
			{Name: "spare", Protocol: elb.TCP, HealthCheck: "TCP", Traffic: balancer.Traffic{}},
		},
	}
}

// scaled is site with an Auto Scaling group.
func scaled(odd string) (*seen, groups) {
	s := site(odd)
	s.Groups[0].ARN = "arn:blue"
	return s, groups{Groups: map[string]*autoscaling.Group{"shop": {
		Name: "shop" + odd, Min: 1, Max: 4, Desired: 2, Template: autoscaling.TemplateRef{Name: "v-1" + odd}, HealthCheckType: "ELB", Grace: 30 * time.Second,
		Sources:   []autoscaling.Source{{ARN: "arn:blue", State: autoscaling.SourceInService}},
		Suspended: []autoscaling.Suspension{{Process: "AZRebalance"}},
		Instances: []autoscaling.Instance{
			{
				ID: "i-1", Zone: "us-east-1a" + odd, Address: netip.MustParseAddrPort("127.64.0.1:8000"), Template: autoscaling.TemplateRef{Name: "v-1" + odd, Version: 3},
				State: autoscaling.InService, Launched: noon.Add(-time.Hour), Process: autoscaling.Process{PID: 77}, Protected: true,
			},
			{
				ID: "i-2", Address: netip.MustParseAddrPort("127.64.0.2:8000"), Template: autoscaling.TemplateRef{Name: "v-1" + odd, Version: 2},
				State: autoscaling.Terminating, Unhealthy: "its process had ended" + odd, Launched: noon.Add(-time.Minute),
			},
		},
		Activities: []autoscaling.Activity{
			{Instance: "i-2", Description: "Terminating EC2 instance: i-2" + odd, Cause: "At noon its process had ended." + odd, Start: noon.Add(-time.Second)},
			{Instance: "i-1", Description: "Launching a new EC2 instance: i-1", Cause: "At eleven there were too few.", Start: noon.Add(-time.Hour), End: noon.Add(-time.Hour)},
			{Description: "Launching a new EC2 instance", Start: noon.Add(-2 * time.Hour), End: noon.Add(-2 * time.Hour), Failed: true, Message: "no free port" + odd},
		},
	}}}
}

// groups are Auto Scaling groups that stand still.
type groups autoscaling.State

func (g groups) State() *autoscaling.State { return (*autoscaling.State)(&g) }

// askScaled asks for the page, or another part, of what scaled returns.
func askScaled(odd, path string, header ...string) *httptest.ResponseRecorder {
	s, g := scaled(odd)
	return askBoth(s, g, "GET", path, header...)
}

func ask(b admin.Balancer, method, path string, header ...string) *httptest.ResponseRecorder {
	return askBoth(b, nil, method, path, header...)
}

func askBoth(b admin.Balancer, scaling admin.Scaling, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Host = "127.0.0.1:8088"
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	admin.New(b, scaling).ServeHTTP(w, r)
	return w
}

func TestWhatIsWhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, path string
		header       []string
		status       int
		kind         string
	}{
		{"GET", "/", nil, 200, "text/html; charset=utf-8"},
		{"HEAD", "/", nil, 200, "text/html; charset=utf-8"},
		{"GET", "/status.json", nil, 200, "application/json"},
		{"GET", "/metrics", nil, 200, "text/plain; version=0.0.4; charset=utf-8"},
		{"GET", "/metrics", []string{"Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8"},
		{"POST", "/", nil, 405, "text/plain; charset=utf-8"},
		{"DELETE", "/status.json", nil, 405, "text/plain; charset=utf-8"},
		{"GET", "/other", nil, 404, "text/plain; charset=utf-8"},
		{"GET", "/", []string{"Host", "localhost:8088"}, 200, "text/html; charset=utf-8"},
		{"GET", "/status.json", []string{"Host", "evil.example:8088"}, 421, "text/plain; charset=utf-8"}, // DNS rebinding
		{"GET", "/metrics", []string{"Host", "evil.example"}, 421, "text/plain; charset=utf-8"},
	} {
		w := ask(site(""), test.method, test.path, test.header...)
		if got := w.Header().Get("Content-Type"); w.Code != test.status || got != test.kind {
			t.Errorf("%s %s %v: %d %s, want %d %s", test.method, test.path, test.header, w.Code, got, test.status, test.kind)
		}
		if w.Code == 421 {
			continue
		}
		for _, header := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Cross-Origin-Resource-Policy", "Referrer-Policy"} {
			if w.Header().Get(header) == "" {
				t.Errorf("%s %s: no %s", test.method, test.path, header)
			}
		}
	}
}

func TestStatusJSON(t *testing.T) {
	t.Parallel()
	var got admin.Status
	if err := json.Unmarshal(ask(site(""), "GET", "/status.json").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.AutoScaling) != 0 {
		t.Errorf("Auto Scaling groups without any: %+v", got.AutoScaling)
	}
	if target := got.Groups[0].Targets[1]; target.Reason != elb.Timeout || target.Probes[0].Because != "no answer within 2s" {
		t.Errorf("target %+v", target)
	}
}

func TestAutoScalingGroups(t *testing.T) {
	t.Parallel()
	var got admin.Status
	if err := json.Unmarshal(askScaled("", "/status.json").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []admin.ScalingGroup{{
		Name: "shop", Min: 1, Max: 4, Desired: 2, InService: 1, TargetGroups: []string{"blue"}, LaunchTemplate: "v-1",
		HealthCheckType: "ELB", GraceSeconds: 30, Suspended: []string{"AZRebalance"},
		Instances: []admin.ScalingInstance{
			{ID: "i-1", Zone: "us-east-1a", Address: "127.64.0.1:8000", State: "InService", Health: "Healthy", Protected: true, LaunchTemplate: "v-1", Version: 3, Launched: noon.Add(-time.Hour), PID: 77},
			{ID: "i-2", Address: "127.64.0.2:8000", State: "Terminating", Health: "Unhealthy", Unhealthy: "its process had ended", LaunchTemplate: "v-1", Version: 2, Launched: noon.Add(-time.Minute)},
		},
		Activities: []admin.ScalingActivity{
			{Started: noon.Add(-time.Second), Status: "InProgress", Instance: "i-2", Description: "Terminating EC2 instance: i-2", Cause: "At noon its process had ended."},
			{Started: noon.Add(-time.Hour), Ended: noon.Add(-time.Hour), Status: "Successful", Instance: "i-1", Description: "Launching a new EC2 instance: i-1", Cause: "At eleven there were too few."},
			{Started: noon.Add(-2 * time.Hour), Ended: noon.Add(-2 * time.Hour), Status: "Failed", Description: "Launching a new EC2 instance", Message: "no free port"},
		},
	}}
	if !reflect.DeepEqual(got.AutoScaling, want) {
		t.Errorf("status.json has\n%+v, want\n%+v", got.AutoScaling, want)
	}

	page := parse(t, askScaled("", "/").Body.String()).text
	for _, want := range []string{
		"shop Auto Scaling group · to blue", "1 of 2 in service 1 to 4 instances launch template v-1 $Latest health check ELB, grace period 30s suspended: AZRebalance",
		"InService i-1 Healthy · 127.64.0.1:8000 · v-1 3 · launched 1h0m ago · us-east-1a · protected from scale-in · process 77",
		"Terminating i-2 Unhealthy: its process had ended · 127.64.0.2:8000 · v-1 2 · launched 1m ago",
		"1s ago InProgress Terminating EC2 instance: i-2 At noon its process had ended.",
		"2h0m ago Failed Launching a new EC2 instance no free port",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}

	metrics := strings.Split(askScaled("", "/metrics").Body.String(), "\n")
	for _, want := range []string{
		`hale_auto_scaling_group_desired_capacity{auto_scaling_group="shop"} 2`,
		`hale_auto_scaling_group_min_size{auto_scaling_group="shop"} 1`,
		`hale_auto_scaling_group_max_size{auto_scaling_group="shop"} 4`,
		`hale_auto_scaling_group_instances{auto_scaling_group="shop",state="InService"} 1`,
		`hale_auto_scaling_group_instances{auto_scaling_group="shop",state="Terminating"} 1`,
		`hale_auto_scaling_group_instances{auto_scaling_group="shop",state="Standby"} 0`,
	} {
		if !slices.Contains(metrics, want) {
			t.Errorf("no line %s", want)
		}
	}
}

// document is the page, parsed as browsers do.
type document struct {
	elements []*html.Node
	text     string
}

func parse(t *testing.T, text string) document {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var d document
	var texts []string
	for n := range root.Descendants() {
		switch {
		case n.Type == html.ElementNode:
			d.elements = append(d.elements, n)
		case n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script":
			texts = append(texts, n.Data)
		}
	}
	d.text = strings.Join(strings.Fields(strings.Join(texts, " ")), " ")
	return d
}

// The page has everything in its text, without any script.
func TestPage(t *testing.T) {
	t.Parallel()
	d := parse(t, ask(site(""), "GET", "/").Body.String())
	for _, want := range []string{
		"1 of 3 targets healthy", "1 load balancer, 2 target groups",
		"site Application Load Balancer · internal · site-1.eu-west-1.elb.amazonaws.com",
		"12.5 requests/s p50 2 ms · p95 400 ms · p99 400 ms · max 400 ms", "1 target 5xx", "1 ELB 5xx", "1 connection errors",
		"HTTP :80 127.0.0.1:80",
		"10 if path is /api/* and host is a.example: path ^/api becomes /, then forward to green",
		"default answer 503:",
		"HTTPS :443 127.0.0.1:443 · another program has the port; tried again each second",
		"blue HTTP · HTTP1 · of site", "HTTP /health", "1 healthy 1 unhealthy 1 draining 7 in flight 20 probes, 2 failed",
		"fail-open too few targets are healthy, so all of them get traffic",
		"healthy 10.0.0.1:8000 for 2h0m · 7 in flight · slow start", "3s ago 1.23 ms 200 passed", "13s ago 1.23 ms gRPC 12 passed",
		"unhealthy 10.0.0.2:8000 Target.Timeout Request timed out for 1m30s · 0 in flight · asked at port 9000 · anomalous · eu-west-1a",
		"4s ago 2 s Target.Timeout · no answer within 2s",
		"draining 10.0.0.3:8000 Target.DeregistrationInProgress for 0s · 0 in flight · 5m left", "not probed yet",
		"spare TCP · no rule forwards to it", "no targets", "12:00: 1 requests, 1 errors",
	} {
		if !strings.Contains(d.text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(d.text)
	}
}

// Nothing that a stranger can put into a rule, an address or an answer becomes
// markup, and the policy allows the page's own style and script alone.
func TestNothingBecomesMarkup(t *testing.T) {
	t.Parallel()
	plain := parse(t, askScaled("", "/").Body.String())
	for _, odd := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title><svg onload=alert(1)>`,
		`</script><script>alert(1)</script>`, `javascript:alert(1)`, `{{.Style}}`, "\x00\xff\u2028", `&lt;b&gt;`,
	} {
		w := askScaled(odd, "/")
		d := parse(t, w.Body.String())
		if len(d.elements) != len(plain.elements) {
			t.Errorf("%q: %d elements, without it %d", odd, len(d.elements), len(plain.elements))
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, n := range d.elements {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || strings.HasPrefix(a.Val, "javascript:") {
					t.Errorf("%q: <%s %s=%q>", odd, n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "script" || n.Data == "style" {
				sum := sha256.Sum256([]byte(n.FirstChild.Data))
				if want := n.Data + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
					t.Errorf("policy %q does not allow the page's %s: %s", policy, n.Data, want)
				}
			}
		}
		if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'; ") {
			t.Errorf("policy %q", policy)
		}
	}
}

// Of a large group those are shown that are not well.
func TestLargeGroup(t *testing.T) {
	t.Parallel()
	s := site("")
	well := s.Groups[0].Targets[0]
	var all []balancer.TargetStatus
	for i := range 5000 {
		well.Port = i + 1
		all = append(all, well)
	}
	s.Groups[0].Targets = append(all, s.Groups[0].Targets[1])
	w := ask(s, "GET", "/")
	d := parse(t, w.Body.String())
	shown := 0
	for _, n := range d.elements {
		if n.Data == "details" {
			shown++
		}
	}
	if shown != 100 || !strings.Contains(d.text, "10.0.0.2:8000") || !strings.Contains(d.text, "and 4901 more") || w.Body.Len() > 1<<20 {
		t.Errorf("%d targets are shown, in %d bytes", shown, w.Body.Len())
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	if d := parse(t, ask(&seen{At: noon}, "GET", "/").Body.String()); !strings.Contains(d.text, "nothing is here yet") {
		t.Errorf("the page says %s", d.text)
	}
	if got := ask(&seen{At: noon}, "GET", "/metrics").Body.String(); got != "" {
		t.Errorf("metrics of nothing: %s", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	lines := strings.Split(ask(site(""), "GET", "/metrics").Body.String(), "\n")
	for _, want := range []string{
		`# TYPE hale_load_balancer_requests_total counter`,
		`hale_load_balancer_requests_total{load_balancer="site"} 5`,
		`hale_target_group_requests_total{load_balancer="site",target_group="blue"} 5`,
		`hale_target_group_connections_total{target_group="spare"} 0`,
		`hale_load_balancer_target_responses_total{load_balancer="site",code="2xx"} 3`,
		`hale_load_balancer_target_responses_total{load_balancer="site",code="4xx"} 0`,
		`hale_load_balancer_elb_responses_total{load_balancer="site",code="5xx"} 1`,
		`hale_load_balancer_target_connection_errors_total{load_balancer="site"} 1`,
		`# TYPE hale_load_balancer_target_response_seconds histogram`,
		`hale_load_balancer_target_response_seconds_bucket{load_balancer="site",le="0.0008"} 0`,
		`hale_load_balancer_target_response_seconds_bucket{load_balancer="site",le="0.0016"} 1`,
		`hale_load_balancer_target_response_seconds_bucket{load_balancer="site",le="0.0032"} 3`,
		`hale_load_balancer_target_response_seconds_bucket{load_balancer="site",le="0.4096"} 4`,
		`hale_load_balancer_target_response_seconds_bucket{load_balancer="site",le="+Inf"} 4`,
		`hale_load_balancer_target_response_seconds_sum{load_balancer="site"} 0.406`,
		`hale_load_balancer_target_response_seconds_count{load_balancer="site"} 4`,
		`hale_listener_listening{load_balancer="site",port="80"} 1`,
		`hale_listener_listening{load_balancer="site",port="443"} 0`,
		`hale_target_group_targets{load_balancer="site",target_group="blue",state="unhealthy"} 1`,
		`hale_target_group_targets{load_balancer="site",target_group="blue",state="initial"} 0`,
		`hale_target_group_fail_open{load_balancer="site",target_group="blue"} 1`,
		`hale_target_group_requests_in_flight{load_balancer="site",target_group="blue"} 7`,
		`hale_target_group_probes_total{load_balancer="site",target_group="blue"} 20`,
		`hale_target_group_probe_failures_total{load_balancer="site",target_group="blue",reason="Target.Timeout"} 2`,
		`hale_target_group_probe_failures_total{load_balancer="site",target_group="blue",reason="Target.ResponseCodeMismatch"} 0`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s", want)
		}
	}
}

// Prometheus' own tool reads the metrics, and finds no fault with their names and
// units.
func TestMetricsToPromtool(t *testing.T) {
	t.Parallel()
	program := servers.Need(t, "promtool")
	for _, odd := range []string{"", "\"\\\n{}\r\xff"} {
		cmd := exec.CommandContext(t.Context(), program, "check", "metrics")
		cmd.Stdin = askScaled(odd, "/metrics").Body
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("with %q: %v\n%s", odd, err, out)
		}
	}
}

// The reader of OpenMetrics in Prometheus' client for Python is a strict one.
func TestMetricsToOpenMetrics(t *testing.T) {
	t.Parallel()
	python := servers.NeedPython(t, "prometheus_client", "python3-prometheus-client")
	const program = `
import sys
from prometheus_client.openmetrics import parser
for family in parser.text_fd_to_metric_families(sys.stdin):
    for sample in family.samples:
        print(family.name, family.type, family.unit, sample.name, sample.labels.get("load_balancer"), sample.labels.get("le"), sample.value)
`
	for _, odd := range []string{"", `"\{}`} {
		cmd := exec.CommandContext(t.Context(), python, "-c", program)
		cmd.Stdin = askScaled(odd, "/metrics", "Accept", "application/openmetrics-text").Body
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("with %q: %v\n%s", odd, err, out)
		}
		for _, want := range []string{
			"hale_load_balancer_requests counter  hale_load_balancer_requests_total %s None 5\n",
			"hale_load_balancer_target_response_seconds histogram seconds hale_load_balancer_target_response_seconds_bucket %s 0.0016 1\n",
			"hale_target_group_probes counter  hale_target_group_probes_total %s None 20\n",
		} {
			if want = fmt.Sprintf(want, "site"+odd); !strings.Contains(string(out), want) {
				t.Errorf("with %q there is no %s in\n%s", odd, want, out)
			}
		}
	}
}
