package house

import (
	"context"
	"testing"

	"hale/gateway"
	"hale/health"
)

// The gateway and the health answer each decide which paths are health's, since
// neither package knows the other. They must agree: a path that only one of
// them takes would reach the app past the rules, or be answered with 404.
func TestHealthPathsAreTheSameToBoth(t *testing.T) {
	nothing := health.Func(func(context.Context) error { return nil })
	monitor, err := health.NewMonitor(health.Options{},
		health.Check{Name: "a", Run: nothing, Profiles: []string{"deep", "ready"}},
		health.Check{Name: "b", Run: nothing, Profiles: []string{"each-hour"}})
	if err != nil {
		t.Fatal(err)
	}
	below := []string{
		"", "/", "//", "?", ".", "z", "/live", "/live/", "/live//", "/live/x", "/lively", "/ready", "/ready/", "/startup", "/startup/",
		"/Live", "/%6cive", "/live%2f", "/other", "/other/", "/checks", "/checks/", "/checks//", "/checks/a", "/checks/a/", "/checks/a/b",
		"/deep", "/deep/", "/deep//", "/deep/x", "/deeper", "/Deep", "/dee%70", "/each-hour", "/each-hour/", "/each", "deep",
		"/checks/home%20page", "/checks/a%2fb", "/checks/..", "/../admin", "/live?x", "/metrics",
	}
	for _, prefix := range []string{"", "/", "/health", "/health/", "/api/health", "/health_check", "/up/"} {
		handler, err := health.NewHandler(monitor, health.HandlerOptions{Path: prefix})
		if err != nil {
			t.Fatal(err)
		}
		gate, err := gateway.New(gateway.Settings{HealthPath: prefix, HealthEndpoints: monitor.Endpoints()})
		if err != nil {
			t.Fatal(err)
		}
		owned := 0
		for _, base := range []string{"", "/", "/health", "/HEALTH", "/%68ealth", "/api/health", "/health_check", "/up", "/a/up"} {
			for _, rest := range below {
				path := base + rest
				if path == "" {
					continue // no request has an empty path
				}
				d := gate.Decide(&gateway.Request{Method: "GET", Host: "mysite.com", Path: path})
				if health, ours := handler.Owns(path), d.Kind == gateway.Health; health != ours {
					t.Errorf("health path %q: %q is health's to the gateway: %v; to the health answer: %v", prefix, path, ours, health)
				} else if health {
					owned++
				}
			}
		}
		// So that agreeing means something: the table has at least these.
		if owned < 16 {
			t.Errorf("health path %q: both take only %d paths", prefix, owned)
		}
	}
}
