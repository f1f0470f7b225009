package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

func TestHealthJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := monitor(t, health.Options{Description: "Guest <book>", Version: "1", ReleaseID: "1.2.2", ServiceID: "i-0123"},
			health.Check{Name: "home page", Type: "page", Run: pass, Interval: once},
			health.Check{Name: "database", Type: "datastore", Run: fail, Scope: health.Shared, Interval: once},
			health.Check{Name: "a:b", Type: "urn:example:queue", Run: warn, Impact: health.Degraded, Interval: once},
		)
		h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
		a := get(h, "/health?format=json")
		if want := `{"status":"fail","version":"1","releaseId":"1.2.2","notes":["starting"],"output":"starting: waiting for home page, database",` +
			`"checks":{` +
			`"home page":[{"componentType":"component","output":"not asked yet","type":"page","impact":"critical","scope":"instance"}],` +
			`"database":[{"componentType":"datastore","output":"not asked yet","type":"datastore","impact":"critical","scope":"shared"}],` +
			`"a:b":[{"componentType":"urn:example:queue","output":"not asked yet","type":"urn:example:queue","impact":"degraded","scope":"instance"}]},` +
			`"serviceId":"i-0123","description":"Guest <book>"}` + "\n"; string(a.Body) != want {
			t.Errorf("starting:\n%s\nwant\n%s", a.Body, want)
		}
		after(time.Second)
		m.Drain("SIGTERM")
		body := string(get(h, "/health?format=json").Body)
		now := m.Verdict().Results
		stamp := func(i int) string { return now[i].Time.UTC().Format("2006-01-02T15:04:05.000Z") }
		if want := `{"status":"fail","version":"1","releaseId":"1.2.2","notes":["starting","draining"],"output":"draining: SIGTERM",` +
			`"checks":{` +
			`"home page":[{"componentType":"component","observedValue":0,"observedUnit":"ms","status":"pass","time":"` + stamp(0) + `",` +
			`"type":"page","impact":"critical","scope":"instance","since":"` + stamp(0) + `"}],` +
			`"database":[{"componentType":"datastore","observedValue":0,"observedUnit":"ms","status":"fail","time":"` + stamp(1) + `","output":"refused",` +
			`"type":"datastore","impact":"critical","scope":"shared","since":"` + stamp(1) + `"}],` +
			`"a:b":[{"componentType":"urn:example:queue","observedValue":0,"observedUnit":"ms","status":"warn","time":"` + stamp(2) + `","output":"91% used",` +
			`"type":"urn:example:queue","impact":"degraded","scope":"instance","since":"` + stamp(2) + `"}]},` +
			`"serviceId":"i-0123","description":"Guest <book>"}` + "\n"; body != want {
			t.Errorf("draining:\n%s\nwant\n%s", body, want)
		}
	})
}

// Whatever the verdict, the document keeps the draft's rules.
func TestHealthJSONKeepsTheDraftsRules(t *testing.T) {
	stuck := health.Check{Name: "stuck", Timeout: time.Second, Run: hangs}
	forgiven := 0
	flaky := health.Check{Name: "flaky", Fall: 2, Interval: time.Second, Run: func(ctx context.Context) (string, error) {
		if forgiven++; forgiven == 2 {
			return fail(ctx)
		}
		return pass(ctx)
	}}
	for name, all := range map[string][]health.Check{
		"no checks": nil,
		"well":      {checks()[0]},
		"warned":    {checks()[0], checks()[2], checks()[3]},
		"ill":       checks(),
		"stuck":     {stuck},
		"flaky":     {flaky},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := monitor(t, health.Options{}, all...)
				h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways, FailStatus: 500})
				for range 30 {
					for _, path := range []string{"/health", "/health/live", "/health/startup", "/health/checks/stuck", "/health/checks/flaky"} {
						if a := get(h, path, accept("application/health+json")); a.Status != 404 {
							validateHealthJSON(t, path, a)
						}
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		})
	}
}

// validateHealthJSON holds an answer to draft-inadarei-api-health-check-06.
func validateHealthJSON(t *testing.T, what string, a health.Answer) {
	t.Helper()
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: "+format+"\n%s", append(append([]any{what}, args...), a.Body)...)
	}
	if got := a.Header.Get("Content-Type"); got != "application/health+json" {
		fault("Content-Type %q", got)
	}
	var doc struct {
		Status      string
		Version     *string
		ReleaseID   *string
		Notes       []string
		Output      *string
		Checks      map[string][]map[string]any
		Links       map[string]string
		ServiceID   *string
		Description *string
	}
	d := json.NewDecoder(bytes.NewReader(a.Body))
	d.DisallowUnknownFields() // section 3 lists all the root's fields
	if err := d.Decode(&doc); err != nil {
		fault("%v", err)
		return
	}
	if _, err := d.Token(); err != io.EOF {
		fault("more than one document")
	}
	switch doc.Status { // section 3.1
	case "pass", "warn":
		if a.Status < 200 || a.Status > 399 {
			fault("status %d", a.Status)
		}
	case "fail":
		if a.Status < 400 || a.Status > 599 {
			fault("status %d", a.Status)
		}
	default:
		fault("status %q", doc.Status)
	}
	if doc.Status == "pass" && doc.Output != nil { // section 3.5
		fault("output of a pass")
	}
	for key, components := range doc.Checks { // section 4
		if strings.Count(key, ":") > 1 {
			fault("key %q has more than two parts", key)
		}
		if len(components) != 1 {
			fault("%d components", len(components))
		}
		for _, c := range components {
			validateComponent(c, fault)
		}
	}
}

func validateComponent(c map[string]any, fault func(string, ...any)) {
	if kind := fmt.Sprint(c["componentType"]); !slices.Contains([]string{"component", "datastore", "system"}, kind) && !strings.Contains(kind, ":") {
		fault("componentType %q", kind)
	}
	if _, ok := c["observedValue"]; ok != (c["observedUnit"] == "ms") {
		fault("observedValue %v with unit %v", c["observedValue"], c["observedUnit"])
	}
	status, known := c["status"]
	if known && !slices.Contains([]any{"pass", "warn", "fail"}, status) {
		fault("status %v", status)
	}
	if _, ok := c["output"]; ok == (status == "pass") && known {
		fault("output %q of a check that says %v", c["output"], status)
	}
	for _, key := range []string{"time", "since"} {
		value, ok := c[key]
		if ok != known {
			fault("%s %v with status %v", key, value, status)
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(value)); ok && err != nil {
			fault("%v", err)
		}
	}
}
