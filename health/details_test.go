package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"hale/health"
)

func TestDetails(t *testing.T) {
	const token = "Zm9vYmFyYmF6+/._~-=="
	m := settled(t, health.Options{}, checks()...)
	for _, tt := range []struct {
		client, authorization                    string
		never, loopback, private, always, tokens bool
	}{
		{client: "127.0.0.1", loopback: true, private: true, always: true},
		{client: "127.8.9.1", loopback: true, private: true, always: true},
		{client: "::1", loopback: true, private: true, always: true},
		{client: "::ffff:127.0.0.1", loopback: true, private: true, always: true},
		{client: "10.0.1.23", private: true, always: true},
		{client: "::ffff:10.0.1.23", private: true, always: true},
		{client: "172.16.0.1", private: true, always: true},
		{client: "172.32.0.1", always: true},
		{client: "192.168.7.7", private: true, always: true},
		{client: "100.64.0.1", private: true, always: true},
		{client: "100.128.0.1", always: true},
		{client: "169.254.1.1", private: true, always: true},
		{client: "fd00::1", private: true, always: true},
		{client: "fe80::1%eth0", private: true, always: true},
		{client: "203.0.113.9", always: true},
		{client: "2001:db8::1", always: true},
		{client: "0.0.0.0", always: true},
		{client: "::", always: true},
		{client: "", always: true}, // unknown
		{client: "203.0.113.9", authorization: "Bearer " + token, always: true, tokens: true},
		{client: "", authorization: "bearer   " + token, always: true, tokens: true},
		{client: "203.0.113.9", authorization: "Bearer " + token + "x", always: true},
		{client: "203.0.113.9", authorization: "Bearer " + token[1:], always: true},
		{client: "203.0.113.9", authorization: "Bearer ", always: true},
		{client: "203.0.113.9", authorization: "Bearer", always: true},
		{client: "203.0.113.9", authorization: "Basic " + token, always: true},
		{client: "203.0.113.9", authorization: token, always: true},
	} {
		for _, c := range []struct {
			name    string
			options health.HandlerOptions
			want    bool
		}{
			{"never", health.HandlerOptions{}, tt.never},
			{"loopback", health.HandlerOptions{Details: health.DetailsLoopback}, tt.loopback},
			{"private", health.HandlerOptions{Details: health.DetailsPrivate}, tt.private},
			{"always", health.HandlerOptions{Details: health.DetailsAlways}, tt.always},
			{"token", health.HandlerOptions{Token: token}, tt.tokens},
		} {
			t.Run(c.name+" "+tt.client+" "+tt.authorization, func(t *testing.T) {
				h := handler(t, m, c.options)
				who := func(q *health.Query) {
					q.Authorization = tt.authorization
					if tt.client != "" {
						q.Client = netip.MustParseAddr(tt.client)
					}
				}
				for _, path := range []string{
					"/health", "/health?format=json", "/health?format=html", "/health?format=openmetrics",
					"/health/startup", "/health/startup?format=json", "/health/startup?format=html", "/health/checks/database",
				} {
					a := get(h, path, who)
					shown := strings.Contains(string(a.Body), "database") || strings.Contains(string(a.Body), "refused")
					if shown != c.want {
						t.Errorf("%s: details shown %v, want %v:\n%s", path, shown, c.want, a.Body)
					}
				}
			})
		}
	}
}

// What those see who may not see details says the status, and is the same
// whatever the checks are called, say, and how many there are.
func TestWithoutDetailsOnlyTheStatusIsTold(t *testing.T) {
	secret := func(context.Context) (string, error) { return "", errors.New("password authentication failed for app") }
	one := handler(t, settled(t, health.Options{}, health.Check{Name: "a", Run: fail}), health.HandlerOptions{})
	other := handler(t, settled(t, health.Options{
		Description: "shop", Version: "v1.2.3", ReleaseID: "abc", ServiceID: "i-0123",
	}, health.Check{Name: "a", Run: secret}, health.Check{Name: "b", Run: warn}), health.HandlerOptions{})
	for _, path := range []string{
		"/health", "/health/startup", "/health/checks/a", "/health/checks/b", "/health/checks/none", "/health/checks/%zz",
		"/health?format=json", "/health?format=openmetrics", "/health/live?format=json", "/health/startup?format=json",
		"/health/checks/a?format=json", "/health/checks/none?format=json",
	} {
		if a, b := get(one, path), get(other, path); a.Status != b.Status || string(a.Body) != string(b.Body) || fmt.Sprint(a.Header) != fmt.Sprint(b.Header) {
			t.Errorf("%s: %d %q, %d %q", path, a.Status, a.Body, b.Status, b.Body)
		}
	}
	for _, path := range []string{"/health/checks/b", "/health/checks/none"} {
		if a, b := get(other, "/health/checks/a"), get(other, path); a.Status != b.Status || string(a.Body) != string(b.Body) {
			t.Errorf("a check that exists is told from %s: %d %q, %d %q", path, a.Status, a.Body, b.Status, b.Body)
		}
	}
	for path, want := range map[string]string{
		"/health?format=json": `{"status":"fail"}` + "\n",
		"/health?format=openmetrics": `# TYPE hale_health_status stateset
# HELP hale_health_status The verdict on this instance.
hale_health_status{hale_health_status="pass"} 0
hale_health_status{hale_health_status="warn"} 0
hale_health_status{hale_health_status="fail"} 1
# EOF
`,
	} {
		if a := get(other, path); string(a.Body) != want {
			t.Errorf("%s: %q, want %q", path, a.Body, want)
		}
	}
	if page := string(get(other, "/health?format=html").Body); strings.Contains(page, "shop") || strings.Contains(page, "v1.2.3") {
		t.Errorf("page:\n%s", page)
	}
}

// Over HTTP the peer is the client, unless a proxy has left its mark.
func TestServeHTTPKnowsProxies(t *testing.T) {
	h := handler(t, settled(t, health.Options{}, checks()...), health.HandlerOptions{Details: health.DetailsPrivate, Token: "s3cret"})
	for _, tt := range []struct {
		name, peer string
		header     []string
		want       bool
	}{
		{"near", "10.0.0.7:41000", nil, true},
		{"near, IPv6", "[::1]:41000", nil, true},
		{"near, link-local", "[fe80::1%eth0]:41000", nil, true},
		{"far", "203.0.113.9:41000", nil, false},
		{"unix socket", "@", nil, false},
		{"X-Forwarded-For", "10.0.0.7:41000", []string{"X-Forwarded-For", "203.0.113.9"}, false},
		{"X-Forwarded-For that claims to be near", "10.0.0.7:41000", []string{"X-Forwarded-For", "127.0.0.1"}, false},
		{"empty X-Forwarded-For", "10.0.0.7:41000", []string{"x-forwarded-for", ""}, false},
		{"X-Forwarded-Proto", "10.0.0.7:41000", []string{"X-Forwarded-Proto", "https"}, false},
		{"X-Forwarded-Host", "10.0.0.7:41000", []string{"X-Forwarded-Host", "mysite.com"}, false},
		{"Forwarded", "10.0.0.7:41000", []string{"Forwarded", "for=203.0.113.9"}, false},
		{"X-Real-IP", "10.0.0.7:41000", []string{"X-Real-IP", "203.0.113.9"}, false},
		{"Via", "10.0.0.7:41000", []string{"Via", "1.1 proxy"}, false},
		{"a proxy and the token", "10.0.0.7:41000", []string{"X-Forwarded-For", "203.0.113.9", "Authorization", "Bearer s3cret"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/health", nil)
			r.RemoteAddr = tt.peer
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Add(tt.header[i], tt.header[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := strings.Contains(w.Body.String(), "database"); got != tt.want {
				t.Errorf("details shown %v, want %v", got, tt.want)
			}
		})
	}
}
