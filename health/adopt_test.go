package health_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

// settledMonitor runs checks until each has answered once, and stops.
func settledMonitor(t *testing.T, checks ...health.Check) *health.Monitor {
	t.Helper()
	m, stop := monitor(t, health.Options{}, checks...)
	<-m.Settled()
	synctest.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	return m
}

// adopted makes a Monitor that goes on where old stands; it does not run yet.
func adopted(t *testing.T, old *health.Monitor, names []string, o health.Options, checks ...health.Check) *health.Monitor {
	t.Helper()
	m, err := health.NewMonitor(o, checks...)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Adopt(old, names...); err != nil {
		t.Fatal(err)
	}
	return m
}

// running runs m until the test ends.
func running(t *testing.T, m *health.Monitor) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func wantStartup(t *testing.T, m *health.Monitor, want int) {
	t.Helper()
	h, err := health.NewHandler(m, health.HandlerOptions{Details: health.DetailsAlways})
	if err != nil {
		t.Fatal(err)
	}
	a := h.Answer(health.Query{Method: http.MethodGet, Path: "/health/startup"})
	if a.Status != want || (string(a.Body) == "ok\n") != (want == http.StatusOK) {
		t.Fatalf("startup answers %d %q, want %d", a.Status, a.Body, want)
	}
}

// The rules of rise and fall do not begin anew with a reload: with fall 3, it is
// three failing answers in a row that fail, whoever counted them.
func TestAdoptKeepsCounting(t *testing.T) {
	for _, tt := range []struct {
		name       string
		before     []func(context.Context) (string, error) // the answers before
		after      func(context.Context) (string, error)   // all answers after
		rise, fall int
		want       []health.Status // after each answer after
	}{
		{"one failure of three", []func(context.Context) (string, error){pass}, fail, 1, 3, []health.Status{health.Pass, health.Pass, health.Fail}},
		{"the third after two before", []func(context.Context) (string, error){pass, fail, fail}, fail, 1, 3, []health.Status{health.Fail}},
		{"a pass in between", []func(context.Context) (string, error){pass, fail, fail}, pass, 1, 3, []health.Status{health.Pass}},
		{"one pass of two", []func(context.Context) (string, error){fail}, pass, 2, 1, []health.Status{health.Fail, health.Pass}},
		{"the second after one before", []func(context.Context) (string, error){fail, pass}, pass, 2, 1, []health.Status{health.Pass}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				check := health.Check{Name: "c", Interval: 10 * time.Second, Rise: tt.rise, Fall: tt.fall}
				check.Run = func(ctx context.Context) (string, error) {
					n := int(asked.Add(1))
					if n > len(tt.before) { // by chance its second run comes soon: it is cut off
						<-ctx.Done()
						return "", ctx.Err()
					}
					return tt.before[n-1](ctx)
				}
				old, stop := monitor(t, health.Options{}, check)
				for int(asked.Load()) < len(tt.before) {
					after(100 * time.Millisecond)
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				check.Run = tt.after
				m := adopted(t, old, []string{"c"}, health.Options{}, check)
				wantStatus(t, m, old.Verdict().Status)
				running(t, m)
				begun := uint64(len(tt.before))
				for _, want := range tt.want {
					for begun++; m.Verdict().Results[0].Runs < begun; {
						after(time.Millisecond)
					}
					if m.Verdict().Status != want {
						t.Errorf("after %d answers: %v, want %v", begun, m.Verdict().Status, want)
					}
				}
			})
		})
	}
}

func TestAdoptKeepsTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := settledMonitor(t, health.Check{Name: "gone", Run: pass}, health.Check{Name: "disk", Type: "old", Run: warn})
		after(time.Second)
		m := adopted(t, old, []string{"disk"}, health.Options{},
			health.Check{Name: "disk", Type: "new", Run: pass, Impact: health.Degraded, Scope: health.Shared})
		got, was := m.Verdict().Results[0], old.Verdict().Results[1]
		if got.Status != health.Warn || got.Output != "91% used" || got.Last != health.Warn || got.LastOutput != "91% used" ||
			got.Runs != 1 || !got.Time.Equal(was.Time) || !got.Since.Equal(was.Since) {
			t.Errorf("result %+v\n want what was known: %+v", got, was)
		}
		if got.Type != "new" || got.Impact != health.Degraded || got.Scope != health.Shared {
			t.Errorf("result %+v: wants the new check's type, impact and scope", got)
		}
		if v := m.Verdict(); !v.Since.Equal(old.Verdict().Since) {
			t.Errorf("the verdict counts from %v, want from %v: it has not changed", v.Since, old.Verdict().Since)
		}
	})
}

func TestAdoptAnnouncesOnlyWhatChanged(t *testing.T) {
	slow := func(ctx context.Context) (string, error) {
		time.Sleep(3 * time.Second)
		return fail(ctx)
	}
	slowPass := func(ctx context.Context) (string, error) {
		time.Sleep(3 * time.Second)
		return pass(ctx)
	}
	for _, tt := range []struct {
		name   string
		before []health.Check
		adopt  []string
		after  []health.Check
		want   []string
	}{
		{
			"all the same",
			[]health.Check{{Name: "a", Run: pass}, {Name: "b", Run: warn}},
			[]string{"a", "b"},
			[]health.Check{{Name: "a", Run: pass}, {Name: "b", Run: warn}},
			nil,
		},
		{
			"failing as before",
			[]health.Check{{Name: "a", Run: fail}},
			[]string{"a"},
			[]health.Check{{Name: "a", Run: fail}},
			nil,
		},
		{
			"a check that is new and passes",
			[]health.Check{{Name: "a", Run: pass}},
			[]string{"a"},
			[]health.Check{{Name: "a", Run: pass}, {Name: "b", Run: slowPass}},
			[]string{"b unknown->pass fine"},
		},
		{
			"a check that is new and fails",
			[]health.Check{{Name: "a", Run: pass}},
			[]string{"a"},
			[]health.Check{{Name: "a", Run: pass}, {Name: "b", Run: slow}},
			[]string{"b unknown->fail refused", " pass->fail b: refused"},
		},
		{
			"a failing check that is gone",
			[]health.Check{{Name: "a", Run: pass}, {Name: "b", Run: fail}},
			[]string{"a"},
			[]health.Check{{Name: "a", Run: pass}},
			[]string{" fail->pass "},
		},
		{
			"a check that fails now",
			[]health.Check{{Name: "a", Run: pass}},
			[]string{"a"},
			[]health.Check{{Name: "a", Run: fail}},
			[]string{"a pass->fail refused", " pass->fail a: refused"},
		},
		{
			"nothing adopted",
			[]health.Check{{Name: "a", Run: pass}},
			nil,
			[]health.Check{{Name: "a", Run: pass}},
			[]string{"a unknown->pass fine"},
		},
	} {
		for i := range tt.after {
			tt.after[i].Interval = once
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old := settledMonitor(t, tt.before...)
				var heard []string
				m := adopted(t, old, tt.adopt, health.Options{OnTransition: func(tr health.Transition) {
					heard = append(heard, fmt.Sprintf("%s %v->%v %s", tr.Check, tr.From, tr.To, tr.Explanation))
				}}, tt.after...)
				running(t, m)
				after(4 * time.Second)
				if !slices.Equal(heard, tt.want) {
					t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(tt.want, "\n"))
				}
			})
		})
	}
}

func TestAdoptKeepsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := health.Check{Name: "a", Run: pass}, health.Check{Name: "b", Run: fail}
		old := settledMonitor(t, a)
		wantStartup(t, old, http.StatusOK)

		wantStartup(t, adopted(t, old, []string{"a"}, health.Options{}, a), http.StatusOK)

		m := adopted(t, old, []string{"a"}, health.Options{}, a, b)
		wantStartup(t, m, http.StatusOK)
		if v := m.Verdict(); v.Status != health.Fail || v.Reason != "starting: waiting for b" {
			t.Errorf("a check that is new: verdict %v (%s), want it to be waited for", v.Status, v.Reason)
		}
		running(t, m)
		<-m.Settled()
		wantStartup(t, m, http.StatusOK)
		wantStatus(t, m, health.Fail)

		starting := settledMonitor(t, a, b)
		wantStartup(t, starting, http.StatusServiceUnavailable)
		wantStartup(t, adopted(t, starting, []string{"a", "b"}, health.Options{}, a, b), http.StatusServiceUnavailable)
		wantStartup(t, adopted(t, starting, []string{"a"}, health.Options{}, a), http.StatusOK) // what it waited for is gone
	})
}

func TestAdoptedGreenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := settledMonitor(t, health.Check{Name: "c", Run: pass})
		last := old.Verdict().Results[0].Time
		after(5 * time.Second)
		m := adopted(t, old, []string{"c"}, health.Options{}, health.Check{Name: "c", Run: pass, Interval: time.Second, Timeout: 5 * time.Second})
		until(last.Add(7*time.Second - 1))
		wantStatus(t, m, health.Pass)
		until(last.Add(7 * time.Second))
		wantStatus(t, m, health.Fail)
		wantStartup(t, m, http.StatusOK)
	})
}

func TestAdoptedChecksSettleByTheirOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := settledMonitor(t, health.Check{Name: "c", Run: pass})
		m := adopted(t, old, []string{"c"}, health.Options{}, health.Check{Name: "c", Interval: once, Run: func(ctx context.Context) (string, error) {
			time.Sleep(3 * time.Second)
			return pass(ctx)
		}})
		running(t, m)
		after(2 * time.Second)
		select {
		case <-m.Settled():
			t.Error("settled by an answer to the old monitor")
		default:
		}
		wantStatus(t, m, health.Pass)
		<-m.Settled()
		if r := m.Verdict().Results[0]; r.Runs != 2 {
			t.Errorf("result %+v, want two answers counted", r)
		}
	})
}

func TestAdoptTakesOverDrainingAndNoStuckRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := health.Check{Name: "c", Run: hangs}
		old, _ := monitor(t, health.Options{}, c)
		<-old.Settled()
		old.Drain("SIGTERM")
		if !old.Verdict().Results[0].Stuck {
			t.Fatal("no run is stuck")
		}
		c.Run = pass
		m := adopted(t, old, []string{"c"}, health.Options{}, c)
		if r := m.Verdict().Results[0]; r.Stuck || r.Overruns != 1 || r.Status != health.Fail {
			t.Errorf("result %+v: no run of this monitor is stuck", r)
		}
		running(t, m)
		<-m.Settled()
		if v := m.Verdict(); !v.Draining || v.Reason != "draining: SIGTERM" {
			t.Errorf("verdict %+v, want it to go on draining", v)
		}
	})
}

func TestAdoptRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := health.Check{Name: "a", Run: pass}, health.Check{Name: "b", Run: pass}
		old := settledMonitor(t, a, health.Check{Name: "old", Run: pass})
		m, _ := monitor(t, health.Options{}, a)
		synctest.Wait()
		if err := m.Adopt(old, "a"); err == nil || !strings.Contains(err.Error(), "before Run") {
			t.Errorf("beside Run: %v", err)
		}
		m, err := health.NewMonitor(health.Options{}, a, b)
		if err != nil {
			t.Fatal(err)
		}
		err = m.Adopt(old, "a", "b", "old")
		if want := `health: adopt: not the name of a check in both monitors: "b", "old"`; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if r := m.Verdict().Results[0]; r.Status != health.Unknown {
			t.Errorf("result %+v: something was adopted all the same", r)
		}
	})
}
