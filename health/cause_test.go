package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

// service is something that checks ask: up or down, and slow to say so.
type service struct {
	down  atomic.Bool
	takes atomic.Int64 // nanoseconds
	asked atomic.Int32
}

func (s *service) ask(ctx context.Context) (string, error) {
	s.asked.Add(1)
	select {
	case <-time.After(time.Duration(s.takes.Load())):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if s.down.Load() {
		return "", errors.New("refused")
	}
	return "fine", nil
}

// fleet is a database, two checks that need it, directly and through another,
// and one that does not. Each is asked at its own pace.
func fleet(database, page *service) []health.Check {
	return []health.Check{
		{Name: "page", Run: page.ask, Interval: time.Minute, DependsOn: []string{"session"}},
		{Name: "session", Run: page.ask, Interval: 7 * time.Minute, DependsOn: []string{"database"}},
		{Name: "database", Run: database.ask, Interval: time.Hour, Scope: health.Shared},
		{Name: "disk", Run: pass, Interval: time.Minute},
	}
}

// heard is what a monitor told of, line by line. It is read in fake time alone,
// when nothing else goes on.
type heard struct {
	mu    sync.Mutex
	lines []string
}

// forget forgets what was told so far.
func (h *heard) forget() { h.all() }

// all returns what was told since it was called last.
func (h *heard) all() []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := h.lines
	h.lines = nil
	return lines
}

func (h *heard) options(o health.Options) health.Options {
	o.OnTransition = func(t health.Transition) {
		name := t.Check + t.Profile
		if t.Group != "" {
			name = t.Group + "/" + name
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lines = append(h.lines, strings.TrimSpace(fmt.Sprintf("%s %v->%v %s", name, t.From, t.To, t.Explanation)))
	}
	return o
}

func (h *heard) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := h.all(); !slices.Equal(got, lines) {
		t.Errorf("heard\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func result(t *testing.T, m *health.Monitor, name string) health.Result {
	t.Helper()
	results := m.Results()
	i := slices.IndexFunc(results, func(r health.Result) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no check %q", name)
	}
	return results[i]
}

func wantVerdict(t *testing.T, m *health.Monitor, status health.Status, reason string) {
	t.Helper()
	if v := m.Verdict(); v.Status != status || v.Reason != reason {
		t.Errorf("verdict %v %q, want %v %q", v.Status, v.Reason, status, reason)
	}
}

// A shared database goes down and comes back. The page is asked each minute, the
// database each hour: the page's failure is seen first, and yet one report is
// made, of the database, and one of its recovery, without the page's.
func TestOneReportNotFive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var app service
		app.takes.Store(int64(10 * time.Millisecond))
		var told heard
		m, _ := monitor(t, told.options(health.Options{}), fleet(&app, &app)...)
		<-m.Settled()
		told.forget()

		app.down.Store(true)
		after(time.Minute + time.Second)
		told.want(t, "database pass->fail refused", "pass->fail database: refused")
		wantVerdict(t, m, health.Fail, "database: refused")
		if r := result(t, m, "page"); r.Status != health.Fail || r.CausedBy != "database" || r.Output != "refused" {
			t.Errorf("page %+v: want it to fail, by the database", r)
		}
		after(time.Hour)
		told.want(t)
		if r := result(t, m, "session"); r.Status != health.Fail || r.CausedBy != "database" {
			t.Errorf("session %+v", r)
		}

		app.down.Store(false)
		for result(t, m, "database").Status == health.Fail {
			after(time.Second)
		}
		after(time.Second)
		wantVerdict(t, m, health.Pass, "")
		told.want(t, "database fail->pass fine", "fail->pass")
	})
}

// A consequence has its cause's scope: what keeps a fleet in service when the
// database that all share is down. It never makes the verdict better otherwise.
func TestConsequencesInTheVerdict(t *testing.T) {
	type checks = []health.Check
	down, up := fail, pass
	page := health.Check{Name: "page", Run: down, DependsOn: []string{"database"}}
	database := health.Check{Name: "database", Run: down, Scope: health.Shared}
	for _, tt := range []struct {
		name   string
		shared health.SharedFailure
		checks checks
		status health.Status
		reason string
		plain  string
	}{
		{"the cause alone is named", health.SharedFails, checks{page, database}, health.Fail, "database: refused", "fail: database"},
		{"a shared cause makes it shared", health.SharedWarns, checks{page, database}, health.Warn, "database: refused", "ok"},
		{"an instance's own cause does not", health.SharedWarns, checks{
			{Name: "page", Run: down, DependsOn: []string{"disk"}, Scope: health.Shared}, {Name: "disk", Run: down},
		}, health.Fail, "disk: refused", "fail: disk"},
		{"of two causes the instance's own decides", health.SharedWarns, checks{
			{Name: "page", Run: down, DependsOn: []string{"database", "network"}}, database, {Name: "network", Run: down, Impact: health.Degraded},
		}, health.Fail, "network: refused; page: refused (caused by network)", "fail: network, page"},
		{"a critical consequence of a degraded cause fails", health.SharedFails, checks{
			page, {Name: "database", Run: down, Impact: health.Degraded},
		}, health.Fail, "database: refused; page: refused (caused by database)", "fail: database, page"},
		{"a degraded consequence is not named", health.SharedFails, checks{
			{Name: "page", Run: down, DependsOn: []string{"database"}, Impact: health.Degraded}, database,
		}, health.Fail, "database: refused", "fail: database"},
		{"a cause that warns hides nothing", health.SharedFails, checks{
			page, {Name: "database", Run: warn},
		}, health.Fail, "page: refused", "fail: page"},
		{"a cause that passes hides nothing", health.SharedFails, checks{
			page, {Name: "database", Run: up},
		}, health.Fail, "page: refused", "fail: page"},
		{"a chain leads to its root", health.SharedFails, checks{
			{Name: "mail", Run: down, DependsOn: []string{"page"}}, page, database,
		}, health.Fail, "database: refused", "fail: database"},
		{"through one that passes", health.SharedFails, checks{
			{Name: "mail", Run: down, DependsOn: []string{"queue"}}, {Name: "queue", Run: up, DependsOn: []string{"database"}}, database,
		}, health.Fail, "database: refused", "fail: database"},
		{"a consequence that passes", health.SharedFails, checks{
			{Name: "page", Run: up, DependsOn: []string{"database"}}, database,
		}, health.Fail, "database: refused", "fail: database"},
		{"beside a failure of its own", health.SharedWarns, checks{page, database, {Name: "disk", Run: down}}, health.Fail, "disk: refused", "fail: disk"},
	} {
		for i := range tt.checks {
			tt.checks[i].Interval = once
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// All have passed once, so that none is starting.
				var begun atomic.Bool
				checks := slices.Clone(tt.checks)
				for i, c := range checks {
					checks[i].Interval = time.Second
					checks[i].Run = func(ctx context.Context) (string, error) {
						if !begun.Load() {
							return pass(ctx)
						}
						return c.Run(ctx)
					}
				}
				m, _ := monitor(t, health.Options{SharedFailure: tt.shared}, checks...)
				<-m.Settled()
				begun.Store(true)
				after(3 * time.Second)
				wantVerdict(t, m, tt.status, tt.reason)
				h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
				if got := strings.TrimSpace(string(get(h, "/health").Body)); got != tt.plain {
					t.Errorf("plain %q, want %q", got, tt.plain)
				}
				results := health.RunOnce(t.Context(), nil, tt.checks...)
				if got := health.Judge(results, tt.shared); got != tt.status {
					t.Errorf("run once: %v, want %v", got, tt.status)
				}
			})
		})
	}
}

// Fall forgives the database one failure, but not the page: what the database's
// last answer says still explains the page, and both are named.
func TestCauseThatFallStillHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var app service
		var told heard
		m, _ := monitor(t, told.options(health.Options{SharedFailure: health.SharedWarns}),
			health.Check{Name: "page", Run: app.ask, Interval: time.Minute, DependsOn: []string{"database"}},
			health.Check{Name: "database", Run: app.ask, Interval: once, Scope: health.Shared, Fall: 3},
		)
		<-m.Settled()
		told.forget()
		app.down.Store(true)
		after(time.Minute)
		wantVerdict(t, m, health.Warn, "database: last answer: refused; page: refused (caused by database)")
		told.want(t, "pass->warn database: last answer: refused; page: refused (caused by database)")
	})
}

// At the start everything fails at once: the checks that have not passed yet are
// waited for, save those that follow from another.
func TestStartingWithConsequences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var app service
		app.down.Store(true)
		var told heard
		m, _ := monitor(t, told.options(health.Options{SharedFailure: health.SharedWarns}), fleet(&app, &app)...)
		<-m.Settled()
		synctest.Wait()
		wantVerdict(t, m, health.Fail, "starting: waiting for database")
		h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
		if a := get(h, "/health/startup"); a.Status != http.StatusServiceUnavailable || string(a.Body) != "fail: starting (database)\n" {
			t.Errorf("startup: %d %q", a.Status, a.Body)
		}
		lines := told.all()
		slices.Sort(lines)
		if want := []string{"database unknown->fail refused", "disk unknown->pass fine"}; !slices.Equal(lines, want) {
			t.Errorf("heard %q, want %q", lines, want)
		}
	})
}

// What is shown of a consequence, in each format.
func TestConsequencesAreShown(t *testing.T) {
	m := settled(t, health.Options{},
		health.Check{Name: "page", Run: fail, DependsOn: []string{"database"}},
		health.Check{Name: "database", Run: fail, Scope: health.Shared},
	)
	h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
	for path, want := range map[string]string{
		"/health/checks/page":              "fail: refused (caused by database)\n",
		"/health?format=json":              `"output":"refused","caused_by":"database","impact":"critical"`,
		"/health/checks/page?format=json":  `"output":"refused (caused by database)"`,
		"/health?format=html":              "caused by database",
		"/health?format=openmetrics":       `hale_check_consequence{check="page",caused_by="database"} 1`,
		"/health/checks/page?format=html":  "caused by database",
		"/health/startup?format=json":      `"caused_by":"database"`,
		"/health/checks/database":          "fail: refused\n",
		"/health/ready?format=openmetrics": `hale_check_status{check="page",hale_check_status="fail"} 1`,
	} {
		if got := string(get(h, path).Body); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nhas no %s", path, got, want)
		}
	}
}

// A critical check that fails since a degraded one does fails the verdict, and so
// is told of beside it.
func TestWorseThanItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cache service
		var told heard
		m, _ := monitor(t, told.options(health.Options{}),
			health.Check{Name: "page", Run: cache.ask, Interval: rarely, DependsOn: []string{"cache"}},
			health.Check{Name: "cache", Run: cache.ask, Interval: time.Second, Impact: health.Degraded},
		)
		<-m.Settled()
		told.forget()
		cache.down.Store(true)
		for result(t, m, "page").Status == health.Pass {
			after(time.Second)
		}
		told.want(t, "cache pass->fail refused", "pass->warn cache: refused",
			"page pass->fail refused", "warn->fail cache: refused; page: refused (caused by cache)")
		cache.down.Store(false)
		after(2 * time.Second)
		told.want(t, "cache fail->pass fine", "page fail->pass fine", "fail->pass")
	})
}
