package demo

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"hale/examples/gosite/site"
	"hale/internal/autoscaling"
	"hale/internal/balancer"
	"hale/internal/balancer/admin"
	"hale/internal/elb"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// twoInstances is what is seen of a demo with an instance that is well, one that is
// not, and one in standby.
func twoInstances(odd string) *sight {
	address := netip.MustParseAddrPort("127.64.0.1:8080").String()
	return &sight{
		status: admin.Status{
			Snapshot: balancer.Snapshot{
				At:            noon,
				LoadBalancers: []balancer.LoadBalancerStatus{{Name: "site", Listeners: []balancer.ListenerStatus{{ARN: "arn:listener"}}}},
				Groups: []balancer.GroupStatus{
					{ARN: "arn:blue", Name: "blue", States: map[elb.State]int{elb.Healthy: 1, elb.Unhealthy: 1}, Targets: []balancer.TargetStatus{
						{ID: "i-1", State: elb.Healthy, Since: noon.Add(-90 * time.Second), Probes: []balancer.ProbeStatus{{At: noon.Add(-3 * time.Second), TookMS: 2, Healthy: true, Status: 200}}},
						{ID: "i-2", State: elb.Unhealthy, Reason: elb.Timeout, Description: "Request timed out" + odd, Since: noon, Probes: []balancer.ProbeStatus{{At: noon, Because: "no byte" + odd}}},
					}},
					{ARN: "arn:green", Name: "green", FailOpen: true},
				},
			},
			AutoScaling: []admin.ScalingGroup{
				{
					Name: "blue", TargetGroups: []string{"blue"}, Desired: 2, InService: 2, HealthCheckType: "EC2",
					Instances: []admin.ScalingInstance{
						{ID: "i-1", Address: address, State: autoscaling.InService},
						{ID: "i-2", Address: address, State: autoscaling.InService},
						{ID: "i-3", Address: address, State: autoscaling.Standby},
					},
					Activities: []admin.ScalingActivity{{Started: noon.Add(-time.Hour), Status: "Failed", Description: "Launching" + odd, Cause: "Too few.", Message: "no port"}},
				},
			},
		},
		routing: routing{weights: map[string]int32{"blue": 90, "green": 10}, paths: map[string]string{"blue": deepPath}},
		answers: map[string]health{
			"i-1": {Status: 200, Text: "ok"},
			"i-2": {Status: 503, Text: "fail: journal", Checks: []checkState{{Name: "database", Status: "pass"}, {Name: "journal", Status: "fail", Output: "no space" + odd}}},
		},
		frozen: map[string]bool{"i-3": true},
	}
}

func newTestPanel(t *testing.T, s *sight) *panel {
	t.Helper()
	f := files{dir: t.TempDir()}
	primary, err := site.New(t.Context(), site.Options{Dir: f.database()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Close() })
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	fleet := &fleet{files: f, program: "hale", schema: 3, primary: primary, control: &control{}, cloud: newCloud("127.0.0.1:1")}
	if err := fleet.configure(false); err != nil {
		t.Fatal(err)
	}
	w := newWatch("127.0.0.1:1", fleet.cloud)
	w.last.Store(s)
	p, err := newPanel(Places{Panel: "127.0.0.1:8081", Site: "127.0.0.1:8080"}, fleet, w, newUsers("127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(p *panel, method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Host = "127.0.0.1:8081"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestPanel(t *testing.T) {
	p := newTestPanel(t, twoInstances(""))
	for _, tt := range []struct {
		name, method, path string
		form               url.Values
		header             []string
		status             int
		body               string
	}{
		{"page", "GET", "/", nil, nil, 200, "1 of 2 targets healthy"},
		{"page as localhost", "GET", "/", nil, []string{"Host", "localhost:8081"}, 200, "What users get"},
		{"a reason", "GET", "/", nil, nil, 200, "<code>Target.Timeout</code> Request timed out"},
		{"a probe", "GET", "/", nil, nil, 200, `title="3 s ago: 200 in 2 ms"`},
		{"a check", "GET", "/", nil, nil, 200, `<b>journal</b> fail <span class="quiet">no space</span>`},
		{"what an instance says", "GET", "/", nil, nil, 200, `<span class="status">fail: journal</span>`},
		{"one that stands still", "GET", "/", nil, nil, 200, `id="thaw-i-3"`},
		{"one in standby", "GET", "/", nil, nil, 200, `id="return-i-3"`},
		{"fail-open", "GET", "/", nil, nil, 200, "fail-open: all get requests"},
		{"the weights now", "GET", "/", nil, nil, 200, `name="green" value="10" aria-pressed="true"`},
		{"news", "GET", "/", nil, nil, 200, "Too few. no port"},
		{"a command", "GET", "/", nil, nil, 200, "--listener-arn arn:listener"},
		{"style", "GET", "/static/panel.css", nil, nil, 200, "color-scheme"},
		{"script", "GET", "/static/panel.js", nil, nil, 200, "replaceWith"},
		{"configuration", "GET", "/hale.yaml", nil, nil, 200, "shared_failure: fail"},
		{"name of somebody else", "GET", "/", nil, []string{"Host", "rebound.example"}, 421, ""},
		{"button on somebody else's page", "POST", "/do", url.Values{"do": {"kill"}, "instance": {"i-1"}}, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"button of another origin", "POST", "/do", url.Values{"do": {"kill"}, "instance": {"i-1"}}, []string{"Origin", "http://evil.example"}, 403, ""},
		{"button by a link", "GET", "/do?do=kill&instance=i-1", nil, nil, 405, ""},
		{"nothing to do", "POST", "/do", url.Values{}, nil, 400, "do=&#34;&#34;: write one of break, "},
		{"unknown fault", "POST", "/do", url.Values{"do": {"break"}, "fault": {"flood"}, "instance": {"i-1"}}, nil, 400, "there is no such fault; write one of database, "},
		{"fault that is not shared", "POST", "/do", url.Values{"do": {"break"}, "fault": {"slow"}, "instance": {"shared"}}, nil, 400, "write one of database, migrations"},
		{"unknown instance", "POST", "/do", url.Values{"do": {"kill"}, "instance": {"i-9"}}, nil, 400, "there is no such instance any more"},
		{"no process", "POST", "/do", url.Values{"do": {"kill"}, "instance": {"i-1"}}, nil, 409, "i-1 has no process any more"},
		{"no app", "POST", "/do", url.Values{"do": {"break"}, "fault": {"page"}, "instance": {"blue"}}, nil, 409, "the app of i-1 does not run"},
		{"weight", "POST", "/do", url.Values{"do": {"weights"}, "blue": {"1000"}, "green": {"1"}}, nil, 400, "a weight is a number from 0 to 999"},
		{"path", "POST", "/do", url.Values{"do": {"path"}, "path": {"/admin"}}, nil, 400, "write one of /health, /health/live"},
		{"type", "POST", "/do", url.Values{"do": {"type"}, "type": {"EBS"}}, nil, 400, "write one of EC2, ELB"},
		{"shared failure", "POST", "/do", url.Values{"do": {"shared"}, "value": {"maybe"}}, nil, 400, "write one of fail, warn"},
		{"long form", "POST", "/do", url.Values{"do": {strings.Repeat("x", 2000)}}, nil, 400, "could not be read"},
		{"shared fault", "POST", "/do", url.Values{"do": {"break"}, "fault": {"database"}, "instance": {"shared"}}, nil, 303, ""},
		{"said what it did", "GET", "/", nil, nil, 200, "the database that all share: there is database gone"},
		{"only warns", "POST", "/do", url.Values{"do": {"shared"}, "value": {"warn"}}, nil, 303, ""},
		{"configuration then", "GET", "/hale.yaml", nil, nil, 200, "shared_failure: warn"},
	} {
		got := ask(p, tt.method, tt.path, tt.form, tt.header...)
		if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.body) {
			t.Errorf("%s: %d, want %d with %q in\n%s", tt.name, got.Code, tt.status, tt.body, got.Body)
		}
	}
	if !p.fleet.primary.Broken(site.DatabaseGone) {
		t.Error("the shared database is still there")
	}
}

// What instances and the load balancer tell is text, and the policy lets no other
// script run than the page's own.
func TestPanelEscapes(t *testing.T) {
	for _, odd := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`} {
		w := ask(newTestPanel(t, twoInstances(odd)), http.MethodGet, "/", nil)
		if strings.Contains(w.Body.String(), odd) {
			t.Errorf("%s is on the page as it is", odd)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q", policy)
		}
	}
}

// Before anything was seen, and when nothing is seen any more, there is a page.
func TestPanelWithoutSight(t *testing.T) {
	if w := ask(newTestPanel(t, &sight{}), http.MethodGet, "/", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "no targets") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s := twoInstances("")
	s.unwatched = "connection refused"
	if w := ask(newTestPanel(t, s), http.MethodGet, "/", nil); !strings.Contains(w.Body.String(), "What is shown is not of now: connection refused") {
		t.Errorf("%s", w.Body)
	}
}

func TestParseHealth(t *testing.T) {
	for body, want := range map[string]string{
		`{"status":"pass","checks":{"a":[{"status":"pass"}]}}`:                                                                 "ok",
		`{"status":"fail","checks":{"b":[{"status":"fail","caused_by":"a"}],"a":[{"status":"fail"}],"c":[{"status":"pass"}]}}`: "fail: a",
		`{"status":"warn","checks":{"a":[{"status":"warn"}]}}`:                                                                 "warn: a",
		`{"status":"fail"}`:      "fail",
		`<html>no health</html>`: "fail",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		w := newWatch("127.0.0.1:1", nil)
		if got := w.ask(t.Context(), server.Listener.Addr().String()); got.Text != want {
			t.Errorf("%s says %q, want %q", body, got.Text, want)
		}
		w.client.CloseIdleConnections()
		server.Close()
		if got := w.ask(t.Context(), server.Listener.Addr().String()); got.Text != "does not answer" {
			t.Errorf("nobody says %q", got.Text)
		}
	}
}
