package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

// The tests here run in a bubble of fake time. A check's first run is delayed by
// up to 50 ms, and a run may return up to 100 ms after its deadline on its own.
const (
	jitter = 50 * time.Millisecond
	grace  = 100 * time.Millisecond
)

// once is an interval after which no test looks: a second run comes within it,
// at a phase that chance decides, but hardly within a test.
const once = 366 * 24 * time.Hour

func pass(context.Context) (string, error) { return "fine", nil }
func fail(context.Context) (string, error) { return "", errors.New("refused") }

// hangs ignores its context for half a minute.
func hangs(context.Context) (string, error) {
	time.Sleep(30 * time.Second)
	return "", nil
}

func warn(context.Context) (string, error) { return "", health.Warnf("91%% used") }

// monitor makes a Monitor and, until the test ends or stop is called, runs it.
func monitor(t *testing.T, o health.Options, checks ...health.Check) (m *health.Monitor, stop func() error) {
	t.Helper()
	m, err := health.NewMonitor(o, checks...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	ended := false
	stop = func() (err error) {
		cancel()
		if !ended {
			ended = true
			err = <-done
		}
		return err
	}
	t.Cleanup(func() {
		_ = stop()
		time.Sleep(time.Minute) // until runs that ignore their context have ended, too
	})
	return m, stop
}

// until lets fake time pass up to an instant and everything due then happen.
func until(instant time.Time) {
	time.Sleep(time.Until(instant))
	synctest.Wait()
}

func after(d time.Duration) { until(time.Now().Add(d)) }

func wantStatus(t *testing.T, m *health.Monitor, want health.Status) {
	t.Helper()
	if v := m.Verdict(); v.Status != want {
		t.Fatalf("verdict %v (%s), want %v", v.Status, v.Reason, want)
	}
}

// starts records when runs begin.
type starts struct {
	mu    sync.Mutex
	times []time.Time
}

// add returns the number of the run that begins now, from 1.
func (s *starts) add() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Now())
	return len(s.times)
}

func (s *starts) all() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.times)
}

func TestStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		m, _ := monitor(t, health.Options{},
			health.Check{Name: "fast", Run: warn},
			health.Check{Name: "slow", Run: func(ctx context.Context) (string, error) {
				select {
				case <-ready:
					return "", nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			}},
			health.Check{Name: "cache", Run: fail, Impact: health.Degraded},
		)
		v := m.Verdict()
		if v.Status != health.Fail || !v.Starting || v.Reason != "starting: waiting for fast, slow" {
			t.Errorf("before any run: %+v", v)
		}
		after(jitter)
		if v = m.Verdict(); v.Status != health.Fail || !v.Starting || v.Reason != "starting: waiting for slow" {
			t.Errorf("one critical check to go: %+v", v)
		}
		close(ready)
		synctest.Wait()
		if v = m.Verdict(); v.Status != health.Warn || v.Starting || v.Reason != "fast: 91% used; cache: refused" {
			t.Errorf("each critical check has passed or warned: %+v", v)
		}
	})
}

func TestWithoutChecksPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := monitor(t, health.Options{})
		wantStatus(t, m, health.Pass)
		<-m.Settled()
		after(time.Hour)
		wantStatus(t, m, health.Pass)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSchedule(t *testing.T) {
	const interval = 10 * time.Second
	for name, took := range map[string]time.Duration{"quick": 0, "slow": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			phases := map[time.Duration]bool{}
			for range 20 {
				synctest.Test(t, func(t *testing.T) {
					begun := time.Now()
					var runs starts
					monitor(t, health.Options{}, health.Check{
						Name: "c", Interval: interval,
						Run: func(context.Context) (string, error) {
							runs.add()
							time.Sleep(took)
							return "", nil
						},
					})
					after(5*interval + took)
					starts := runs.all()
					if first := starts[0].Sub(begun); first >= jitter {
						t.Errorf("first run after %v, want at once", first)
					}
					phase := starts[1].Sub(starts[0])
					if phase < took || phase > interval {
						t.Errorf("second run %v after the first, want at most %v", phase, interval)
					}
					phases[phase] = true
					for i := 2; i < len(starts); i++ {
						if gap := starts[i].Sub(starts[i-1]); gap != interval {
							t.Errorf("run %d starts %v after the one before, want %v", i, gap, interval)
						}
					}
				})
			}
			if len(phases) < 5 {
				t.Errorf("phases %v: the same again and again", phases)
			}
		})
	}
}

func TestNeverTwoOfTheSameAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, runs atomic.Int32
		monitor(t, health.Options{}, health.Check{
			Name: "c", Interval: time.Second, Timeout: 2 * time.Second,
			Run: func(context.Context) (string, error) { // ignores its context, for longer each time
				if running.Add(1) != 1 {
					t.Error("two runs at once")
				}
				time.Sleep(time.Duration(runs.Add(1)) * 1500 * time.Millisecond)
				running.Add(-1)
				return "", nil
			},
		})
		after(time.Minute)
		if n := runs.Load(); n < 5 {
			t.Errorf("%d runs in a minute", n)
		}
	})
}

func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs starts
		release := make(chan struct{})
		m, _ := monitor(t, health.Options{}, health.Check{
			Name: "c", Interval: 10 * time.Second, Timeout: 5 * time.Second, Fall: 3,
			Run: func(context.Context) (string, error) {
				if runs.add() == 2 {
					<-release // whatever the context says
				}
				return "fine", nil
			},
		})
		for len(runs.all()) < 2 {
			after(time.Second)
		}
		deadline := runs.all()[1].Add(5 * time.Second)
		for _, step := range []struct {
			at       time.Time
			status   health.Status
			failures uint64
			stuck    bool
			last     string
		}{
			{deadline.Add(-1), health.Pass, 0, false, "fine"},
			{deadline.Add(grace), health.Pass, 1, true, "no answer within 5s"},
			{deadline.Add(grace + 10*time.Second - 1), health.Pass, 1, true, "no answer within 5s"},
			{deadline.Add(grace + 10*time.Second), health.Pass, 2, true, "still running after 15s (no answer within 5s)"},
			{deadline.Add(grace + 20*time.Second), health.Fail, 3, true, "still running after 25s (no answer within 5s)"},
			{deadline.Add(grace + 30*time.Second), health.Fail, 4, true, "still running after 35s (no answer within 5s)"},
		} {
			until(step.at)
			r := m.Verdict().Results[0]
			if r.Status != step.status || r.Failures != step.failures || r.Stuck != step.stuck || r.LastOutput != step.last {
				t.Fatalf("%v after the deadline: %v, %d failures, stuck %v, %q; want %v, %d, %v, %q", time.Since(deadline),
					r.Status, r.Failures, r.Stuck, r.LastOutput, step.status, step.failures, step.stuck, step.last)
			}
		}
		r := m.Verdict().Results[0]
		if n := len(runs.all()); r.Overruns != 1 || n != 2 {
			t.Errorf("%d overruns, %d starts; want one run stuck, and none beside it", r.Overruns, n)
		}
		close(release)
		synctest.Wait()
		r = m.Verdict().Results[0]
		if n := len(runs.all()); r.Status != health.Pass || r.Stuck || n != 3 {
			t.Errorf("returned at last: %+v after %d starts, want to be asked again at once", r, n)
		}
	})
}

func TestAMissedDeadlineIsAFailureAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs starts
		m, _ := monitor(t, health.Options{}, health.Check{
			Name: "c", Timeout: 5 * time.Second, Interval: time.Hour,
			Run: func(context.Context) (string, error) {
				runs.add()
				time.Sleep(7 * time.Second)
				return "", nil
			},
		})
		<-m.Settled()
		started := runs.all()[0]
		if waited := time.Since(started); waited != 5*time.Second+grace {
			t.Errorf("settled after %v", waited)
		}
		r := m.Verdict().Results[0]
		if r.Status != health.Fail || !r.Time.Equal(started.Add(5*time.Second)) || r.Took != 5*time.Second || !r.Stuck {
			t.Errorf("result %+v, want a failure at %v", r, started.Add(5*time.Second))
		}
		after(2 * time.Second)
		if r = m.Verdict().Results[0]; r.Status != health.Fail || r.Stuck || r.Runs != 1 {
			t.Errorf("result %+v: a late answer counts for nothing", r)
		}
	})
}

func TestGreenExpires(t *testing.T) {
	const maxAge = 16 * time.Second // 10 s interval, 5 s time-out, 1 s
	t.Run("after Run has ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, stop := monitor(t, health.Options{},
				health.Check{Name: "database", Run: pass},
				health.Check{Name: "disk", Run: warn, Impact: health.Degraded},
				health.Check{Name: "queue", Run: fail, Impact: health.Degraded},
			)
			<-m.Settled()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			last := m.Verdict().Results[0].Time
			until(last.Add(maxAge - 1))
			wantStatus(t, m, health.Warn)
			until(last.Add(maxAge + jitter))
			v := m.Verdict()
			if v.Status != health.Fail || v.Starting || !v.Results[0].Expired || !v.Results[1].Expired || v.Results[2].Expired {
				t.Errorf("verdict %+v", v)
			}
			if want := "database: no answer for 16s; the last one is worth nothing after 16s"; v.Reason != want {
				t.Errorf("reason %q, want %q", v.Reason, want)
			}
		})
	})
	t.Run("not while answers come in, however slowly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, _ := monitor(t, health.Options{}, health.Check{
				Name: "c", Interval: time.Second, Timeout: 5 * time.Second,
				Run: func(context.Context) (string, error) {
					time.Sleep(4900 * time.Millisecond)
					return "", nil
				},
			})
			<-m.Settled()
			for range 300 {
				after(100 * time.Millisecond)
				wantStatus(t, m, health.Pass)
			}
		})
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := monitor(t, health.Options{}, health.Check{Name: "c", Run: pass})
		<-m.Settled()
		wantStatus(t, m, health.Pass)
		m.Drain("SIGTERM")
		m.Drain("again")
		v := m.Verdict()
		if v.Status != health.Fail || !v.Draining || v.Reason != "draining: SIGTERM" || !v.Since.Equal(time.Now()) {
			t.Errorf("verdict %+v", v)
		}
		runs := v.Results[0].Runs
		after(time.Minute)
		if v = m.Verdict(); v.Status != health.Fail || v.Results[0].Runs == runs {
			t.Errorf("verdict %+v: wants to stay failed, while checks go on", v)
		}
	})
}

func TestTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []func(context.Context) (string, error){pass, fail, fail, warn, pass, pass}
		var heard []string
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
		m, stop := monitor(t, health.Options{Logger: logger, OnTransition: func(tr health.Transition) {
			heard = append(heard, fmt.Sprintf("%s %v->%v %s", tr.Check, tr.From, tr.To, tr.Explanation))
		}}, health.Check{Name: "c", Run: func(ctx context.Context) (string, error) {
			if len(answers) == 0 {
				return pass(ctx)
			}
			run := answers[0]
			answers = answers[1:]
			return run(ctx)
		}})
		after(70 * time.Second)
		m.Drain("SIGTERM")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"c unknown->pass fine", " fail->pass ",
			"c pass->fail refused", " pass->fail c: refused",
			"c fail->warn 91% used", " fail->warn c: 91% used",
			"c warn->pass fine", " warn->pass ",
			" pass->fail draining: SIGTERM",
		}
		if !slices.Equal(heard, want) {
			t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(want, "\n"))
		}
		if want := `level=INFO msg="check changed" check=c status=pass was=unknown explanation=fine
level=INFO msg="verdict changed" status=pass was=fail explanation=""
level=WARN msg="check changed" check=c status=fail was=pass explanation=refused
level=WARN msg="verdict changed" status=fail was=pass explanation="c: refused"
level=INFO msg="check changed" check=c status=warn was=fail explanation="91% used"
level=INFO msg="verdict changed" status=warn was=fail explanation="c: 91% used"
level=INFO msg="check changed" check=c status=pass was=warn explanation=fine
level=INFO msg="verdict changed" status=pass was=warn explanation=""
level=WARN msg="verdict changed" status=fail was=pass explanation="draining: SIGTERM"
`; log.String() != want {
			t.Errorf("logged\n%swant\n%s", log.String(), want)
		}
	})
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// A listener that takes its time, and asks back, holds up neither checks nor
// answers, and misses nothing.
func TestSlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *health.Monitor
		heard := 0
		ready := make(chan struct{})
		flips := 0
		m, stop := monitor(t, health.Options{OnTransition: func(tr health.Transition) {
			<-ready
			m.Verdict()
			if !strings.Contains(tr.Explanation, "no answer for") { // expired, the loops having ended long ago
				heard++
			}
			time.Sleep(time.Minute)
		}}, health.Check{Name: "c", Run: func(ctx context.Context) (string, error) {
			if flips++; flips%2 == 0 {
				return fail(ctx)
			}
			return pass(ctx)
		}})
		close(ready)
		after(100 * time.Second)
		if flips < 10 {
			t.Errorf("%d runs in 100 s", flips)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if heard != 2*flips {
			t.Errorf("heard %d transitions of %d", heard, 2*flips)
		}
	})
}

func TestRunCanBeCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := monitor(t, health.Options{}, health.Check{Name: "c", Run: pass})
		synctest.Wait()
		if err := m.Run(t.Context()); err == nil {
			t.Error("beside another: no error")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := m.Run(t.Context()); err == nil {
			t.Error("after another: no error")
		}
	})
}

func TestStop(t *testing.T) {
	t.Run("waits for runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ended := false
			m, stop := monitor(t, health.Options{}, health.Check{Name: "c", Run: func(ctx context.Context) (string, error) {
				<-ctx.Done()
				time.Sleep(500 * time.Millisecond) // tidies up
				ended = true
				return "", ctx.Err()
			}})
			after(jitter)
			if err := stop(); err != nil || !ended {
				t.Errorf("error %v, run ended %v", err, ended)
			}
			if r := m.Verdict().Results[0]; r.Runs != 0 {
				t.Errorf("result %+v: a run that was cut short says nothing", r)
			}
		})
	})
	t.Run("but not for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			_, stop := monitor(t, health.Options{},
				health.Check{Name: "good", Run: pass},
				health.Check{Name: "bad", Run: func(context.Context) (string, error) { <-release; return "", nil }},
				health.Check{Name: "worse", Run: func(context.Context) (string, error) { <-release; return "", nil }},
			)
			after(30 * time.Second)
			begun := time.Now()
			err := stop()
			if err == nil || !strings.HasSuffix(err.Error(), ": bad, worse") {
				t.Errorf("error %v", err)
			}
			if took := time.Since(begun); took > time.Second+grace {
				t.Errorf("took %v", took)
			}
		})
	})
}

func TestVerdictIsACopy(t *testing.T) {
	m, err := health.NewMonitor(health.Options{}, health.Check{Name: "a", Run: pass})
	if err != nil {
		t.Fatal(err)
	}
	m.Verdict().Results[0].Name = "changed"
	if name := m.Verdict().Results[0].Name; name != "a" {
		t.Errorf("a caller renamed the check to %q", name)
	}
}
