package health_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

func TestPage(t *testing.T) {
	const hostile = `<script>alert(1)</script>" onload="x`
	m := settled(t, health.Options{Description: hostile, ServiceID: hostile, Version: hostile},
		health.Check{Name: `a"<b>?#%&é`, Type: hostile, Run: func(context.Context) (string, error) { return hostile, nil }},
		health.Check{Name: "refused", Run: fail},
	)
	h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
	m.Drain(hostile)
	for _, path := range []string{"/health", "/health/startup", "/health/checks/a%22%3Cb%3E%3F%23%25&%C3%A9"} {
		a := get(h, path, accept("text/html,application/xhtml+xml,*/*;q=0.8"))
		page := string(a.Body)
		if got := a.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", path, got)
		}
		if !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
			t.Errorf("%s: Content-Security-Policy %q", path, a.Header.Get("Content-Security-Policy"))
		}
		if strings.Contains(page, "<script") || strings.Contains(page, `" onload`) || strings.Contains(page, "ZgotmplZ") {
			t.Errorf("%s is not escaped:\n%s", path, page)
		}
		if !strings.Contains(page, `http-equiv="refresh"`) || strings.Contains(page, "http://") && !strings.Contains(page, "http://www.w3.org/2000/svg") {
			t.Errorf("%s: does not reload, or loads something from elsewhere", path)
		}
	}
	page := string(get(h, "/health?format=html").Body)
	_, link, _ := strings.Cut(page, `<a href="`)
	link, _, _ = strings.Cut(link, `"`)
	if a := get(h, strings.ReplaceAll(link, "&amp;", "&")); a.Status != 200 || string(a.Body) != "ok\n" {
		t.Errorf("link %q leads to %d %q", link, a.Status, a.Body)
	}
	for _, want := range []string{"refused", "not found"} {
		if strings.Contains(string(get(h, "/health/live?format=html").Body), want) {
			t.Errorf("the page of liveness tells of %q", want)
		}
	}
}

// What a person wants to know of checks in odd states.
func TestPageTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		m, _ := monitor(t, health.Options{},
			health.Check{Name: "stuck", Timeout: time.Second, Interval: once, Run: hangs, Impact: health.Degraded},
			health.Check{Name: "flaky", Fall: 1 << 30, Interval: time.Second, Run: func(ctx context.Context) (string, error) {
				time.Sleep(12345678 * time.Nanosecond)
				if runs++; runs > 1 {
					return fail(ctx)
				}
				return "3 jobs", nil
			}},
			health.Check{Name: "slow", Impact: health.Degraded, Timeout: time.Hour, Interval: once, Run: hangs},
		)
		h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
		tell := func(wants ...string) {
			t.Helper()
			page := string(get(h, "/health?format=html").Body)
			for _, want := range wants {
				if !strings.Contains(page, want) {
					t.Errorf("not a word of %q in\n%s", want, page)
				}
			}
		}
		tell("starting: waiting for flaky", "not asked yet")
		after(20*time.Millisecond + jitter)
		tell("3 jobs", "12.3ms, 0s ago")
		after(3 * time.Second)
		tell(
			"degraded · instance · fail for 2s · stuck", "no answer within 1s", "1s, 2s ago",
			"critical · instance · pass for 3s · last answer fail: refused", "3 jobs",
			"not asked yet",
		)
		after(90 * time.Minute)
		tell("<dt>for</dt><dd>1h30m</dd>")
	})
}
