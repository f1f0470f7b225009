package sites

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestHealthyServersKeepIdleConnections holds that a healthy site does not
// close idle connections as early as programs do by default.
func TestHealthyServersKeepIdleConnections(t *testing.T) {
	t.Parallel()
	conns := make(map[string]idleConnection)
	for _, c := range healthyServers() {
		if c.Name == "healthy-grpc" || strings.HasPrefix(c.Name, "healthy-for-") {
			continue // no HTTP/1.1, and one site many times
		}
		conns[c.Name] = leaveIdle(t, c.Start(t))
	}
	deadline := time.Now().Add(7 * time.Second)
	for name, conn := range conns {
		if err := conn.ended(t, deadline); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: want the idle connection open for 7 s, got %v", name, err)
		}
	}
}

// TestHealthyAppsKeepIdleConnections holds that an application's server, one
// of each kind, does not close idle connections as early as it does by default.
func TestHealthyAppsKeepIdleConnections(t *testing.T) {
	t.Parallel()
	conns := make(map[string]idleConnection)
	for _, c := range healthyApps() {
		switch strings.TrimPrefix(c.Name, "healthy-") {
		case "django-gunicorn", "django-uwsgi", "rails", "fastapi", "express", "tomcat":
			conns[c.Name] = leaveIdle(t, c.Start(t))
		}
	}
	deadline := time.Now().Add(7 * time.Second)
	for name, conn := range conns {
		if err := conn.ended(t, deadline); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: want the idle connection open for 7 s, got %v", name, err)
		}
	}
}
