package health_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hale/health"
)

// settled makes a Monitor whose checks have answered once and will not again.
func settled(t testing.TB, o health.Options, checks ...health.Check) *health.Monitor {
	t.Helper()
	m, err := health.NewMonitor(o, checks...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	<-m.Settled()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return m
}

func handler(t testing.TB, m *health.Monitor, o health.HandlerOptions) *health.Handler {
	t.Helper()
	h, err := health.NewHandler(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h *health.Handler, path string, more ...func(*health.Query)) health.Answer {
	q := health.Query{Method: http.MethodGet}
	q.Path, q.RawQuery, _ = strings.Cut(path, "?")
	for _, f := range more {
		f(&q)
	}
	return h.Answer(q)
}

func accept(value string) func(*health.Query) {
	return func(q *health.Query) { q.Accept = value }
}

// checks has one of each kind: well, ill, and softly ill.
func checks() []health.Check {
	return []health.Check{
		{Name: "home page", Type: "page", Run: pass},
		{Name: "database", Type: "sql", Run: fail, Scope: health.Shared},
		{Name: "disk", Type: "disk", Run: warn},
		{Name: "cache", Run: fail, Impact: health.Degraded},
	}
}

func TestPlainAnswers(t *testing.T) {
	starting, err := health.NewMonitor(health.Options{}, checks()...)
	if err != nil {
		t.Fatal(err)
	}
	draining := settled(t, health.Options{}, checks()[0])
	draining.Drain("SIGTERM")
	monitors := map[string]*health.Monitor{
		"starting": starting,
		"draining": draining,
		"ill":      settled(t, health.Options{}, checks()...),
		"warned":   settled(t, health.Options{SharedFailure: health.SharedWarns}, checks()[0], checks()[2], checks()[3]),
		"well":     settled(t, health.Options{}, checks()[0]),
	}
	for _, tt := range []struct {
		monitor, path string
		status        int
		brief, full   string
	}{
		{"well", "/health", 200, "ok", "ok"},
		{"well", "/health/", 200, "ok", "ok"},
		{"well", "/health/ready", 200, "ok", "ok"},
		{"well", "/health/ready/", 200, "ok", "ok"},
		{"well", "/health/live", 200, "ok", "ok"},
		{"well", "/health/startup", 200, "ok", "ok"},
		{"well", "/health/checks/home%20page", 200, "", "ok"},
		{"well", "/health?from=elb&%zz&x", 200, "ok", "ok"},
		{"warned", "/health", 200, "ok", "ok"},
		{"warned", "/health/checks/disk", 200, "", "ok (warn: 91% used)"},
		{"warned", "/health/checks/cache", 503, "", "fail: refused"},
		{"ill", "/health", 503, "fail", "fail: database"},
		{"ill", "/health/live", 200, "ok", "ok"},
		{"ill", "/health/startup", 503, "fail", "fail: starting (database)"},
		{"ill", "/health/checks/database", 503, "", "fail: refused"},
		{"ill", "/health/checks/%64atabase", 503, "", "fail: refused"},
		{"starting", "/health", 503, "fail", "fail: starting (home page, database, disk)"},
		{"starting", "/health/live", 200, "ok", "ok"},
		{"starting", "/health/startup", 503, "fail", "fail: starting (home page, database, disk)"},
		{"starting", "/health/checks/disk", 503, "", "fail: not asked yet"},
		{"draining", "/health", 503, "fail", "fail: draining"},
		{"draining", "/health/live", 200, "ok", "ok"},
		{"draining", "/health/startup", 200, "ok", "ok"},
		{"draining", "/health/checks/home%20page", 200, "", "ok"},
	} {
		for details, want := range map[health.Details]string{health.DetailsNever: tt.brief, health.DetailsAlways: tt.full} {
			t.Run(fmt.Sprintf("%s %s %v", tt.monitor, tt.path, details), func(t *testing.T) {
				status := tt.status
				if want == "" { // checks are details
					status, want = 404, "not found"
				}
				h := handler(t, monitors[tt.monitor], health.HandlerOptions{Details: details})
				a := get(h, tt.path)
				if a.Status != status || string(a.Body) != want+"\n" {
					t.Errorf("%d %q, want %d %q", a.Status, a.Body, status, want+"\n")
				}
				if got := a.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
					t.Errorf("Content-Type %q", got)
				}
			})
		}
	}
}

// Each answer, in whatever format and with whatever status, keeps the promises
// that hold for all.
func TestAllAnswers(t *testing.T) {
	m := settled(t, health.Options{Version: "1"}, checks()...)
	server := httptest.NewServer(handler(t, m, health.HandlerOptions{Details: health.DetailsLoopback, FailStatus: 500}))
	defer server.Close()
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/health", 500},
		{"GET", "/health?format=plain", 500},
		{"GET", "/health?format=json", 500},
		{"GET", "/health?format=html", 500},
		{"GET", "/health?format=openmetrics", 200},
		{"GET", "/health/ready?format=openmetrics", 200},
		{"GET", "/health?format=xml", 400},
		{"GET", "/health?format=", 400},
		{"GET", "/health/live?format=json", 200},
		{"GET", "/health/live?format=html", 200},
		{"GET", "/health/live?format=openmetrics", 400},
		{"GET", "/health/startup?format=json", 500},
		{"GET", "/health/startup?format=html", 500},
		{"GET", "/health/checks/disk?format=json", 200},
		{"GET", "/health/checks/database?format=json", 500},
		{"GET", "/health/checks/database?format=html", 500},
		{"GET", "/health/checks/database?format=openmetrics", 400},
		{"GET", "/health/checks/none", 404},
		{"GET", "/health/checks/none?format=html", 404},
		{"GET", "/health/checks/", 404},
		{"GET", "/health/checks", 404},
		{"GET", "/health/checks/a/b", 404},
		{"GET", "/healthy", 404},
		{"GET", "/", 404},
		{"POST", "/health", 405},
		{"OPTIONS", "/health", 500}, // as HAProxy asks
		{"OPTIONS", "/health/live", 200},
		{"PUT", "/health/live", 405},
		{"DELETE", "/health/checks/database", 405},
		{"POST", "/healthy", 404},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			a := fetch(t, tt.method, server.URL+tt.path)
			if a.Status != tt.status {
				t.Errorf("status %d, want %d: %s", a.Status, tt.status, a.Body)
			}
			if got := a.Header.Values("Cache-Control"); !slices.Equal(got, []string{"no-store"}) {
				t.Errorf("Cache-Control %q", got)
			}
			if got := a.Header.Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("X-Content-Type-Options %q", got)
			}
			if got := a.Header.Get("Content-Length"); got != strconv.Itoa(len(a.Body)) || len(a.Body) == 0 {
				t.Errorf("Content-Length %s, body of %d bytes", got, len(a.Body))
			}
			if allow := a.Header.Get("Allow"); (allow == "GET, HEAD, OPTIONS") != (tt.status == 405) {
				t.Errorf("Allow %q", allow)
			}
			if tt.method != "GET" {
				return
			}
			head := fetch(t, "HEAD", server.URL+tt.path)
			if head.Status != a.Status || len(head.Body) > 0 {
				t.Errorf("HEAD: status %d, body %q", head.Status, head.Body)
			}
			head.Header.Del("Date")
			a.Header.Del("Date")
			if strings.Contains(tt.path, "html") { // tells how long ago things were
				head.Header.Del("Content-Length")
				a.Header.Del("Content-Length")
			}
			if got, want := fmt.Sprint(head.Header), fmt.Sprint(a.Header); got != want {
				t.Errorf("HEAD's header %s, GET's %s", got, want)
			}
		})
	}
}

// fetch asks a server for what an Answer holds.
func fetch(t *testing.T, method, url string) health.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return health.Answer{Status: response.StatusCode, Header: response.Header, Body: body}
}

func TestOwns(t *testing.T) {
	m := settled(t, health.Options{})
	for _, tt := range []struct {
		prefix, path string
		want         bool
	}{
		{"", "/health", true},
		{"", "/health/", true},
		{"", "/health//", false},
		{"", "/health/live", true},
		{"", "/health/live/", true},
		{"", "/health/ready", true},
		{"", "/health/startup", true},
		{"", "/health/checks/a", true},
		{"", "/health/checks/none%20such", true},
		{"", "/health/checks/a/", false},
		{"", "/health/checks/", false},
		{"", "/health/checks", false},
		{"", "/health/other", false},
		{"", "/health/%6Cive", false},
		{"", "/Health", false},
		{"", "/healthz", false},
		{"", "/health?x", false},
		{"", "/", false},
		{"", "", false},
		{"/health_check", "/health_check", true},
		{"/health_check", "/health_check/live", true},
		{"/health_check", "/health", false},
		{"/api/health/", "/api/health", true},
		{"/api/health/", "/api/health/", true},
		{"/", "/", true},
		{"/", "/live", true},
		{"/", "/checks/a", true},
		{"/", "/other", false},
	} {
		t.Run(tt.prefix+" "+tt.path, func(t *testing.T) {
			h := handler(t, m, health.HandlerOptions{Path: tt.prefix, Details: health.DetailsAlways})
			if got := h.Owns(tt.path); got != tt.want {
				t.Errorf("owns %v, want %v", got, tt.want)
			}
			status := h.Answer(health.Query{Method: http.MethodGet, Path: tt.path}).Status
			if known := status == http.StatusOK; known && !tt.want {
				t.Errorf("answers %d to a path that is not its own", status)
			}
		})
	}
}

func TestAcceptOverHTTP(t *testing.T) {
	h := handler(t, settled(t, health.Options{}), health.HandlerOptions{})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/health", nil)
	r.Header["Accept"] = []string{"text/plain;q=0.2", "application/json;q=0.5"}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("two Accept lines: Content-Type %q", got)
	}
}

func TestServeMetrics(t *testing.T) {
	h := handler(t, settled(t, health.Options{}, checks()...), health.HandlerOptions{})
	for _, tt := range []struct {
		method string
		status int
	}{{"GET", 200}, {"HEAD", 200}, {"POST", 405}} {
		w := httptest.NewRecorder()
		h.ServeMetrics(w, httptest.NewRequestWithContext(t.Context(), tt.method, "/metrics", nil))
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.method, w.Code, tt.status)
		}
		if got := w.Body.String() == string(h.Metrics()); got != (tt.method == "GET") {
			t.Errorf("%s: body %q", tt.method, w.Body)
		}
	}
	if !strings.Contains(string(h.Metrics()), `check="database"`) {
		t.Error("no details among the metrics")
	}
}

func TestNewHandlerRefuses(t *testing.T) {
	m := settled(t, health.Options{})
	for _, tt := range []struct {
		name    string
		options health.HandlerOptions
		want    string
	}{
		{"relative path", health.HandlerOptions{Path: "health"}, `path "health": must be a clean absolute path that needs no escaping, like /health`},
		{"path with dots", health.HandlerOptions{Path: "/a/../b"}, `path "/a/../b": must be a clean absolute path that needs no escaping, like /health`},
		{"path with two slashes", health.HandlerOptions{Path: "//host/health"}, `path "//host/health": must be a clean absolute path that needs no escaping, like /health`},
		{"path with a space", health.HandlerOptions{Path: "/my health"}, `path "/my health": must be a clean absolute path that needs no escaping, like /health`},
		{"escaped path", health.HandlerOptions{Path: "/a%2Fb"}, `path "/a%2Fb": must be a clean absolute path that needs no escaping, like /health`},
		{"path with a query", health.HandlerOptions{Path: "/health?x"}, `path "/health?x": must be a clean absolute path that needs no escaping, like /health`},
		{"a success as failure", health.HandlerOptions{FailStatus: 200}, "fail status 200: must be 400 to 599, or 0 for 503"},
		{"no such status", health.HandlerOptions{FailStatus: 600}, "fail status 600: must be 400 to 599, or 0 for 503"},
		{"no such details", health.HandlerOptions{Details: 9}, "details health.Details(9): use DetailsNever, DetailsLoopback, DetailsPrivate or DetailsAlways"},
		{"a token that cannot be sent", health.HandlerOptions{Token: "two words"}, "token: has a character that cannot be sent in an Authorization header; use letters, digits and -._~+/, with = at its end only"},
		{"all at once", health.HandlerOptions{Path: "x", FailStatus: 1}, `path "x": must be a clean absolute path that needs no escaping, like /health
fail status 1: must be 400 to 599, or 0 for 503`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := health.NewHandler(m, tt.options); err == nil || err.Error() != tt.want {
				t.Errorf("error %v\nwant  %v", err, tt.want)
			}
		})
	}
	if _, err := health.NewHandler(nil, health.HandlerOptions{}); err == nil {
		t.Error("without a Monitor: no error")
	}
}

// The answer that load balancers ask for is read, not made.
func TestPlainAnswersDoNotAllocate(t *testing.T) {
	for name, m := range map[string]*health.Monitor{
		"well": settled(t, health.Options{}, checks()[0]),
		"ill":  settled(t, health.Options{}, checks()...),
	} {
		for _, details := range []health.Details{health.DetailsNever, health.DetailsPrivate} {
			for _, path := range []string{"/health", "/health/live"} {
				h := handler(t, m, health.HandlerOptions{Details: details})
				for header, value := range map[string]string{"none": "", "Accept": "*/*", "User-Agent": "ELB-HealthChecker/2.0"} {
					r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
					r.RemoteAddr = "10.0.0.7:41000"
					if value != "" {
						r.Header.Set(header, value)
					}
					w := discard{}
					if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n != 0 {
						t.Errorf("%s, details %v, %s, %s: %v allocations", name, details, path, value, n)
					}
				}
			}
		}
	}
}

// discard is the cheapest http.ResponseWriter.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
