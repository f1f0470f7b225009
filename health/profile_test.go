package health_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

func TestProfiles(t *testing.T) {
	m := settled(t, health.Options{},
		health.Check{Name: "usual", Run: pass},
		health.Check{Name: "only ready", Run: warn, Profiles: []string{"ready"}},
		health.Check{Name: "only startup", Run: fail, Profiles: []string{"startup"}},
		health.Check{Name: "report", Run: fail, Profiles: []string{"deep"}},
		health.Check{Name: "both", Run: pass, Profiles: []string{"deep", "ready"}},
	)
	h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
	for _, tt := range []struct {
		path   string
		status int
		body   string
		checks []string // shown as JSON
	}{
		{"/health", 200, "ok", []string{"usual", "only ready", "both"}},
		{"/health/ready", 200, "ok", []string{"usual", "only ready", "both"}},
		{"/health/startup", 503, "fail: starting (only startup)", []string{"usual", "only startup"}},
		{"/health/live", 200, "ok", nil},
		{"/health/deep", 503, "fail: report", []string{"report", "both"}},
		{"/health/deep/", 503, "fail: report", []string{"report", "both"}},
		{"/health/deeper", 404, "not found", nil},
		{"/health/checks/report", 503, "fail: refused", []string{"report"}},
	} {
		a := get(h, tt.path)
		if a.Status != tt.status || strings.TrimSpace(string(a.Body)) != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.path, a.Status, a.Body, tt.status, tt.body)
		}
		if a.Status == 404 {
			continue
		}
		document := string(get(h, tt.path+"?format=json").Body)
		for _, name := range []string{"usual", "only ready", "only startup", "report", "both"} {
			if shown := strings.Contains(document, fmt.Sprintf("%q:[", name)); shown != slices.Contains(tt.checks, name) {
				t.Errorf("%s shows %s: %v", tt.path, name, shown)
			}
		}
	}
	if v := m.Verdict(); v.Status != health.Warn || len(v.Results) != 3 {
		t.Errorf("verdict %+v", v)
	}
	if v, ok := m.VerdictOf("deep"); !ok || v.Status != health.Fail || v.Reason != "report: refused" {
		t.Errorf("deep: %+v, %v", v, ok)
	}
	if _, ok := m.VerdictOf("other"); ok {
		t.Error("a profile that is none has a verdict")
	}
	if got := m.Endpoints(); !slices.Equal(got, []string{"deep"}) {
		t.Errorf("endpoints %q", got)
	}
	if got := m.Results(); len(got) != 5 {
		t.Errorf("%d results", len(got))
	}
	metrics := string(h.Metrics())
	for _, want := range []string{
		`hale_health_status{hale_health_status="warn"} 1`,
		`hale_health_profile_status{profile="ready",hale_health_profile_status="warn"} 1`,
		`hale_health_profile_status{profile="startup",hale_health_profile_status="fail"} 1`,
		`hale_health_profile_status{profile="deep",hale_health_profile_status="fail"} 1`,
		`hale_check_info{check="both",impact="critical",scope="instance",profiles="deep,ready"} 1`,
		`hale_check_status{check="report",hale_check_status="fail"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics have no %s", want)
		}
	}
	if _, err := parseOpenMetrics(metrics); err != nil {
		t.Error(err)
	}
}

// What holds for /health holds for an endpoint of one's own.
func TestOwnEndpoints(t *testing.T) {
	deep := health.Check{Name: "report", Run: pass, Profiles: []string{"deep"}}
	t.Run("starting", func(t *testing.T) {
		m, err := health.NewMonitor(health.Options{}, deep, health.Check{Name: "a", Run: pass})
		if err != nil {
			t.Fatal(err)
		}
		h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
		for path, want := range map[string]string{
			"/health": "fail: starting (a)", "/health/startup": "fail: starting (a)", "/health/deep": "fail: starting (report)",
		} {
			if got := strings.TrimSpace(string(get(h, path).Body)); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
	})
	t.Run("draining, details, formats", func(t *testing.T) {
		m := settled(t, health.Options{}, deep)
		h := handler(t, m, health.HandlerOptions{FailStatus: 500, Path: "/up"})
		if a := get(h, "/up/deep"); a.Status != 200 || string(a.Body) != "ok\n" || !h.Owns("/up/deep") || !h.Owns("/up/deep/") {
			t.Errorf("%d %q", a.Status, a.Body)
		}
		m.Drain("SIGTERM")
		if a := get(h, "/up/deep"); a.Status != 500 || string(a.Body) != "fail\n" {
			t.Errorf("draining: %d %q", a.Status, a.Body)
		}
		if a := get(h, "/up/deep?format=html"); a.Status != 500 || strings.Contains(string(a.Body), "report") {
			t.Errorf("a page without details: %d %s", a.Status, a.Body)
		}
		if a := get(h, "/up/deep?format=openmetrics"); a.Status != 400 {
			t.Errorf("metrics below: %d", a.Status)
		}
	})
	t.Run("transitions", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var report service
			var told heard
			m, _ := monitor(t, told.options(health.Options{}),
				health.Check{Name: "report", Run: report.ask, Profiles: []string{"deep"}}, health.Check{Name: "a", Run: pass})
			<-m.Settled()
			told.forget()
			report.down.Store(true)
			after(11 * time.Second)
			told.want(t, "report pass->fail refused", "deep pass->fail report: refused")
			wantStatus(t, m, health.Pass)
		})
	})
	t.Run("a cause of another profile is named with its consequence", func(t *testing.T) {
		m := settled(t, health.Options{}, health.Check{Name: "database", Run: fail, Scope: health.Shared},
			health.Check{Name: "report", Run: fail, Profiles: []string{"deep"}, DependsOn: []string{"database"}})
		if v, _ := m.VerdictOf("deep"); v.Status != health.Fail || v.Reason != "database: refused; report: refused (caused by database)" || len(v.Results) != 1 {
			t.Errorf("%+v", v)
		}
	})
	t.Run("no allocation", func(t *testing.T) {
		h := handler(t, settled(t, health.Options{}, deep), health.HandlerOptions{})
		q := health.Query{Method: "GET", Path: "/health/deep"}
		if n := testing.AllocsPerRun(100, func() { h.Answer(q) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
