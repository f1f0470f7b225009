package health_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

// silent does not answer before its time-out, and then is silent for longer.
func silent(ctx context.Context) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func TestGroups(t *testing.T) {
	member := func(name string, run func(context.Context) (string, error)) health.Check {
		return health.Check{Name: name, Run: run, Interval: once}
	}
	for _, tt := range []struct {
		name   string
		group  health.Check
		status health.Status
		output string
	}{
		{"any is as good as its best", health.Check{Any: []health.Check{member("a", fail), member("b", pass)}}, health.Pass, "1 of 2 pass: a: refused"},
		{"any, all well", health.Check{Any: []health.Check{member("a", pass), member("b", pass)}}, health.Pass, "2 of 2 pass"},
		{"any, one warns", health.Check{Any: []health.Check{member("a", fail), member("b", warn)}}, health.Warn, "a: refused; b: 91% used"},
		{"any, none passes", health.Check{Any: []health.Check{member("a", fail), member("b", fail)}}, health.Fail, "a: refused; b: refused"},
		{"all is as bad as its worst", health.Check{All: []health.Check{member("a", fail), member("b", pass), member("c", warn)}}, health.Fail, "a: refused"},
		{"all, one warns", health.Check{All: []health.Check{member("a", pass), member("b", warn)}}, health.Warn, "b: 91% used"},
		{"all, all well", health.Check{All: []health.Check{member("a", pass)}}, health.Pass, "1 of 1 pass"},
		{"a group in a group", health.Check{Any: []health.Check{
			member("a", fail),
			{Name: "inner", All: []health.Check{member("b", pass), member("c", pass)}},
		}}, health.Pass, "1 of 2 pass: a: refused"},
		{"what a group in a group says", health.Check{All: []health.Check{
			member("a", pass),
			{Name: "inner", Any: []health.Check{member("b", fail), member("c", fail)}},
		}}, health.Fail, "inner: b: refused; c: refused"},
	} {
		tt.group.Name = "g"
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := monitor(t, health.Options{}, tt.group)
				<-m.Settled()
				v := m.Verdict()
				if g := v.Results[0]; v.Status != tt.status || g.Status != tt.status || g.Output != tt.output || g.Name != "g" || g.Group != "" {
					t.Errorf("verdict %v, group %+v; want %v %q", v.Status, g, tt.status, tt.output)
				}
				for _, r := range v.Results[1:] {
					if r.Group == "" {
						t.Errorf("member %+v belongs to no group", r)
					}
				}
				var told []string
				results := health.RunOnce(t.Context(), func(r health.Result) { told = append(told, r.Name) }, tt.group)
				if g := results[0]; g.Status != tt.status || g.Output != tt.output || len(results) != len(v.Results) {
					t.Errorf("once: %+v, %d results; want %v %q, %d", g, len(results), tt.status, tt.output, len(v.Results))
				}
				if health.Judge(results, health.SharedFails) != tt.status || told[len(told)-1] != "g" || len(told) != len(results) {
					t.Errorf("once: judged %v; told of %q, want the group last", health.Judge(results, health.SharedFails), told)
				}
			})
		})
	}
}

// Only the group counts, with its impact and its scope.
func TestGroupsCountAsOne(t *testing.T) {
	for _, tt := range []struct {
		name   string
		group  health.Check
		shared health.SharedFailure
		status health.Status
		reason string
	}{
		{"critical", health.Check{}, health.SharedFails, health.Fail, "g: b: refused"},
		{"degraded", health.Check{Impact: health.Degraded}, health.SharedFails, health.Warn, "g: b: refused"},
		{"shared", health.Check{Scope: health.Shared}, health.SharedWarns, health.Warn, "g: b: refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b service
				tt.group.Name = "g"
				tt.group.All = []health.Check{{Name: "a", Run: pass}, {Name: "b", Run: b.ask}}
				m, _ := monitor(t, health.Options{SharedFailure: tt.shared}, tt.group)
				<-m.Settled()
				b.down.Store(true)
				after(11 * time.Second)
				wantVerdict(t, m, tt.status, tt.reason)
			})
		})
	}
}

// While it is not known what the members amount to, the group is not.
func TestGroupsThatStart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		group health.Check
		want  health.Status
	}{
		{"any: one passes", health.Check{Any: []health.Check{{Name: "a", Run: pass}, {Name: "b", Run: silent}}}, health.Pass},
		{"any: one fails", health.Check{Any: []health.Check{{Name: "a", Run: fail}, {Name: "b", Run: silent}}}, health.Unknown},
		{"all: one passes", health.Check{All: []health.Check{{Name: "a", Run: pass}, {Name: "b", Run: silent}}}, health.Unknown},
		{"all: one fails", health.Check{All: []health.Check{{Name: "a", Run: fail}, {Name: "b", Run: silent}}}, health.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.group.Name = "g"
				m, _ := monitor(t, health.Options{}, tt.group)
				after(time.Second)
				if r := result(t, m, "g"); r.Status != tt.want {
					t.Errorf("%+v, want %v", r, tt.want)
				}
				if tt.want == health.Unknown {
					wantVerdict(t, m, health.Fail, "starting: waiting for g")
				}
			})
		})
	}
}

// A group's rise and fall are counted in the answers of a member that speaks
// against it: one that passes often makes no row of another's single failure.
func TestRiseAndFallOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rare service
		var failures atomic.Int32
		m, _ := monitor(t, health.Options{}, health.Check{
			Name: "g", Fall: 3, Rise: 2,
			All: []health.Check{
				{Name: "often", Run: pass, Interval: time.Second},
				{Name: "rare", Interval: time.Minute, Run: func(ctx context.Context) (string, error) {
					output, err := rare.ask(ctx)
					if err != nil {
						failures.Add(1)
					}
					return output, err
				}},
			},
		})
		<-m.Settled()
		rare.down.Store(true)
		for range 600 {
			after(time.Second)
			if r, n := result(t, m, "g"), failures.Load(); (r.Status == health.Fail) != (n >= 3) {
				t.Fatalf("%v after %d failures of its member", r.Status, n)
			}
			if failures.Load() > 4 {
				break
			}
		}
		if r := result(t, m, "g"); r.Status != health.Fail || r.Last != health.Fail {
			t.Fatalf("%+v", r)
		}
		rare.down.Store(false)
		after(2 * time.Minute)
		if r := result(t, m, "g"); r.Status != health.Pass {
			t.Errorf("%+v, want it up again", r)
		}
	})
}

// Green expires for members, and so for the group, whatever its Fall.
func TestGroupsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := monitor(t, health.Options{}, health.Check{Name: "g", Fall: 9, Any: []health.Check{{Name: "a", Run: pass}, {Name: "b", Run: pass, Interval: time.Minute}}})
		<-m.Settled()
		_ = stop()
		after(17 * time.Second)
		wantStatus(t, m, health.Pass)
		after(time.Minute)
		wantStatus(t, m, health.Fail)
		if r := result(t, m, "g"); !r.Expired {
			t.Errorf("%+v has not expired", r)
		}
	})
}

// Another check's expiry does not end a group's patience.
func TestFallOfGroupsOutlivesExpiryOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a service
		m, stop := monitor(t, health.Options{},
			health.Check{Name: "g", Fall: 9, All: []health.Check{{Name: "a", Run: a.ask, Interval: time.Minute}}},
			health.Check{Name: "short", Run: pass, Interval: time.Second, Timeout: time.Second})
		<-m.Settled()
		a.down.Store(true)
		after(time.Minute)
		if r := result(t, m, "g"); r.Last != health.Fail || r.Status != health.Pass {
			t.Fatalf("%+v, want it to be held", r)
		}
		_ = stop()
		after(10 * time.Second)
		if r := result(t, m, "short"); !r.Expired {
			t.Fatalf("%+v, want it expired", r)
		}
		if r := result(t, m, "g"); r.Status != health.Pass {
			t.Errorf("%+v, want it to be held still", r)
		}
	})
}

func TestGroupsThatDepend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var app service
		var told heard
		m, _ := monitor(t, told.options(health.Options{}),
			health.Check{Name: "pages", DependsOn: []string{"databases"}, All: []health.Check{
				{Name: "home", Run: app.ask, Interval: time.Minute}, {Name: "search", Run: app.ask, Interval: time.Minute},
			}},
			health.Check{Name: "databases", Scope: health.Shared, Any: []health.Check{
				{Name: "primary", Run: app.ask, Interval: time.Hour}, {Name: "replica", Run: app.ask, Interval: time.Hour},
			}},
		)
		<-m.Settled()
		told.forget()
		app.down.Store(true)
		after(time.Minute + time.Second)
		lines := told.all()
		slices.Sort(lines)
		// The order of the replicas' answers is chance.
		if want := []string{"databases pass->fail", "databases/primary pass->fail refused", "databases/replica pass->fail refused", "pass->fail databases:"}; len(lines) != 4 || !slices.EqualFunc(lines, want, strings.HasPrefix) {
			t.Errorf("heard %q", lines)
		}
		for _, name := range []string{"pages", "home", "search"} {
			if r := result(t, m, name); r.CausedBy != "databases" {
				t.Errorf("%+v: want a consequence", r)
			}
		}
		app.down.Store(false)
		after(time.Hour + time.Second)
		for _, line := range told.all() {
			if strings.Contains(line, "pages") {
				t.Errorf("heard %s", line)
			}
		}
		wantStatus(t, m, health.Pass)
	})
}

func TestGroupsAreShown(t *testing.T) {
	m := settled(t, health.Options{}, health.Check{Name: "caches", Any: []health.Check{
		{Name: "first", Type: "redis", Run: fail}, {Name: "second", Run: pass},
	}}, health.Check{Name: "disk", Run: pass})
	h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
	for path, want := range map[string]string{
		"/health":                           "ok\n",
		"/health/checks/caches":             "ok\n",
		"/health/checks/first":              "fail: refused\n",
		"/health?format=json":               `"first":[{"componentType":"component","observedValue"`,
		"/health/checks/caches?format=json": `"type":"redis","group":"caches"`,
		"/health?format=html":               `<li class="fail member">`,
		"/health?format=openmetrics":        `hale_check_info{check="first",type="redis",group="caches",impact="critical",scope="instance"} 1`,
	} {
		if got := string(get(h, path).Body); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nhas no %s", path, got, want)
		}
	}
	if got := string(get(h, "/health/checks/caches?format=json").Body); strings.Contains(got, "disk") || !strings.Contains(got, "second") {
		t.Errorf("a group's own answer: %s, want its members and nothing else", got)
	}
}

func TestAdoptGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := func(name string) health.Check {
			return health.Check{Name: name, Fall: 2, All: []health.Check{{Name: "a", Run: pass, Interval: once}, {Name: "b", Run: warn, Interval: once}}}
		}
		old := settledMonitor(t, group("g"))
		m := adopted(t, old, []string{"g", "a", "b"}, health.Options{}, group("g"))
		wantVerdict(t, m, health.Warn, "g: b: 91% used")
		// The group is another one, its members are not.
		m = adopted(t, old, []string{"a", "b"}, health.Options{}, group("h"))
		wantVerdict(t, m, health.Warn, "h: b: 91% used")
		if r := result(t, m, "a"); r.Group != "h" {
			t.Errorf("%+v", r)
		}
	})
}

func ExampleCheck_group() {
	refused := health.Func(func(context.Context) error { return fmt.Errorf("connection refused") })
	well := health.Func(func(context.Context) error { return nil })
	results := health.RunOnce(context.Background(), nil,
		health.Check{Name: "cache", Any: []health.Check{
			{Name: "cache here", Run: refused},
			{Name: "cache there", Run: well},
		}},
	)
	for _, r := range results {
		fmt.Printf("%s: %v %s\n", r.Name, r.Status, r.Output)
	}
	// Output:
	// cache: pass 1 of 2 pass: cache here: connection refused
	// cache here: fail connection refused
	// cache there: pass
}

// Members are shown with the impact and the scope that count, their group's.
func TestMembersCountAsTheirGroup(t *testing.T) {
	group := health.Check{Name: "g", Impact: health.Degraded, Scope: health.Shared, Any: []health.Check{
		{Name: "a", Run: pass}, {Name: "inner", All: []health.Check{{Name: "b", Run: pass}}},
	}}
	for _, r := range health.RunOnce(t.Context(), nil, group) {
		if r.Impact != health.Degraded || r.Scope != health.Shared {
			t.Errorf("%s: %v, %v", r.Name, r.Impact, r.Scope)
		}
	}
}
