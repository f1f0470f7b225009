package balancer_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// A listener's attributes put fields into each answer, whoever gives it, and take
// Server away from the load balancer's own.
func TestAnswersHeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "app/1.0")
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	}))
	t.Cleanup(app.Close)
	target := netip.MustParseAddrPort(app.Listener.Addr().String())
	h.register(target)
	h.await(target, elb.Healthy)
	if got := get(t, h.url); got.header.Get("Server") != "app/1.0" || got.header.Get("X-Frame-Options") != "SAMEORIGIN" {
		t.Errorf("before: %v", got.header)
	}
	h.change(func(e *inventory.Edit) error {
		if _, err := e.SetListenerAttributes(h.listener, elb.Attributes{
			"routing.http.response.x_frame_options.header_value":           "DENY",
			"routing.http.response.strict_transport_security.header_value": "max-age=60",
			"routing.http.response.server.enabled":                         "false",
		}); err != nil {
			return err
		}
		_, err := e.CreateRule(h.listener, rule.Rule{
			Priority:   1,
			Conditions: []rule.Condition{{Field: rule.PathPattern, Values: []string{"/fixed"}}},
			Actions:    []rule.Action{{Type: rule.FixedResponse, FixedResponseConfig: &rule.FixedResponseConfig{StatusCode: "404"}}},
		}, nil)
		return err
	})
	for _, path := range []string{"/", "/fixed"} {
		got := get(t, h.url+path)
		if frame := got.header["X-Frame-Options"]; len(frame) != 1 || frame[0] != "DENY" {
			t.Errorf("%s: X-Frame-Options %q", path, frame)
		}
		if got.header.Get("Strict-Transport-Security") != "max-age=60" {
			t.Errorf("%s: %v", path, got.header)
		}
		if want := map[string]string{"/": "app/1.0"}[path]; got.header.Get("Server") != want {
			t.Errorf("%s: Server %q, want %q", path, got.header.Get("Server"), want)
		}
	}
	// What the engine refuses before any rule, and a target that is gone.
	app.Close()
	for path, status := range map[string]int{"/?" + strings.Repeat("a", 17<<10): 414, "/": 502} {
		if got := get(t, h.url+path); got.status != status || got.header["Server"] != nil {
			t.Errorf("%.10s: %d, Server %q", path, got.status, got.header["Server"])
		}
	}
}
