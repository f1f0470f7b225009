package doctor

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hale/internal/targetgroup"
)

// The targets of a group are alike: an idle connection to one of them is watched.
func TestGroupWatchesOneConnection(t *testing.T) {
	t.Parallel()
	var targets []string
	for range 3 {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				http.NotFound(w, r)
				return
			}
			fmt.Fprintln(w, "ok")
		}))
		t.Cleanup(server.Close)
		host, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, fmt.Sprintf(`{"Target": {"Id": %q, "Port": %s}, "HealthCheckPort": %[2]q, "TargetHealth": {"State": "initial", "Reason": "Elb.InitialHealthChecking"}}`, host, port))
	}
	group, err := targetgroup.Settings(strings.NewReader(`{"TargetGroups": [{"TargetGroupName": "web", "Protocol": "HTTP", "TargetType": "ip", "HealthCheckPath": "/health"}]}
{"TargetHealthDescriptions": [`+strings.Join(targets, ",")+`]}`), "tg.json", "")
	if err != nil {
		t.Fatal(err)
	}
	report, err := ExamineGroup(t.Context(), GroupOptions{Options: Options{Group: &group}})
	if err != nil {
		t.Fatal(err)
	}
	watched := 0
	for _, target := range report.Targets {
		if target.Report == nil || !target.Report.Healthy {
			t.Fatalf("%+v", target)
		}
		if strings.Contains(strings.Join(target.Report.Proven, "\n"), "an idle connection stays open for ") {
			watched++
		}
	}
	if watched != 1 {
		t.Errorf("connections to %d targets were watched, want one", watched)
	}
}
