package house

import (
	"testing"

	"hale/gateway"
	"hale/health"
)

// The gateway and the health answer each decide which paths are health's, since
// neither package knows the other. They must agree: a path that only one of
// them takes would reach the app past the rules, or be answered with 404.
func TestHealthPathsAreTheSameToBoth(t *testing.T) {
	monitor, err := health.NewMonitor(health.Options{})
	if err != nil {
		t.Fatal(err)
	}
	below := []string{
		"", "/", "//", "?", ".", "z", "/live", "/live/", "/live//", "/live/x", "/lively", "/ready", "/ready/", "/startup", "/startup/",
		"/Live", "/%6cive", "/live%2f", "/other", "/other/", "/checks", "/checks/", "/checks//", "/checks/a", "/checks/a/", "/checks/a/b",
		"/checks/home%20page", "/checks/a%2fb", "/checks/..", "/../admin", "/live?x", "/metrics",
	}
	for _, prefix := range []string{"", "/", "/health", "/health/", "/api/health", "/health_check", "/up/"} {
		handler, err := health.NewHandler(monitor, health.HandlerOptions{Path: prefix})
		if err != nil {
			t.Fatal(err)
		}
		gate, err := gateway.New(gateway.Settings{HealthPath: prefix})
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
		if owned < 12 {
			t.Errorf("health path %q: both take only %d paths", prefix, owned)
		}
	}
}
