package health_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

// The cause is asked at most once more for each check that turns to fail.
func TestCauseIsAskedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var database, page service
		m, _ := monitor(t, health.Options{}, fleet(&database, &page)...)
		<-m.Settled()
		before := database.asked.Load()
		page.down.Store(true)
		after(10 * time.Minute)
		if n := database.asked.Load() - before; n < 1 || n > 3 {
			t.Errorf("asked %d times in ten minutes, want once for each of two checks", n)
		}
		wantVerdict(t, m, health.Fail, "session: refused")
		if r := result(t, m, "page"); r.CausedBy != "session" {
			t.Errorf("page %+v: want it to follow from the session", r)
		}
	})
}

// How long a failure waits for what it depends on is bounded by their time-outs.
func TestWaitForCausesIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name    string
		hangs   bool // the database, whatever its context says
		takes   time.Duration
		timeout time.Duration
		causes  string
		longest time.Duration // from the page's failure to its report
	}{
		{"the database answers at once that it is well", false, 0, 2 * time.Second, "", time.Second / 10},
		{"it takes a second to say so", false, time.Second, 2 * time.Second, "", time.Second + time.Second/10},
		{"it hangs", false, time.Hour, 2 * time.Second, "database", 2*time.Second + grace + time.Second/10},
		{"it hangs for longer than the page's last pass is believed otherwise", false, time.Hour, 9 * time.Second, "database", 9*time.Second + grace + time.Second/10},
		{"it hangs and ignores its context", true, time.Hour, 2 * time.Second, "database", 2*time.Second + 2*grace},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var page, database service
				release := make(chan struct{})
				ask := database.ask
				if tt.hangs {
					ask = func(ctx context.Context) (string, error) {
						if database.takes.Load() > 0 {
							<-release
						}
						return database.ask(context.WithoutCancel(ctx))
					}
				}
				m, _ := monitor(t, health.Options{},
					health.Check{Name: "page", Run: page.ask, Interval: time.Second, Timeout: time.Second, DependsOn: []string{"database"}},
					health.Check{Name: "database", Run: ask, Interval: once, Timeout: tt.timeout},
				)
				<-m.Settled()
				synctest.Wait()
				page.down.Store(true)
				database.takes.Store(int64(tt.takes))
				n := page.asked.Load()
				for page.asked.Load() == n {
					after(10 * time.Millisecond)
				}
				begun := time.Now()
				for result(t, m, "page").Status == health.Pass {
					after(10 * time.Millisecond)
				}
				if took := time.Since(begun); took > tt.longest {
					t.Errorf("reported after %v, want within %v", took, tt.longest)
				}
				if r := result(t, m, "page"); r.CausedBy != tt.causes || r.Expired {
					t.Errorf("page %+v: want it caused by %q", r, tt.causes)
				}
				database.takes.Store(0)
				close(release)
				after(time.Second)
			})
		})
	}
}

// An old failure that Fall forgave explains nothing: the cause is asked again.
func TestForgivenFailureIsNoCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var database, page service
		m, _ := monitor(t, health.Options{},
			health.Check{Name: "page", Run: page.ask, Interval: time.Minute, DependsOn: []string{"database"}},
			health.Check{Name: "database", Run: database.ask, Interval: time.Hour, Fall: 3},
		)
		<-m.Settled()
		database.down.Store(true)
		for result(t, m, "database").Last != health.Fail {
			after(time.Minute)
		}
		database.down.Store(false)
		page.down.Store(true)
		after(time.Minute + time.Second)
		wantVerdict(t, m, health.Fail, "page: refused")
	})
}

// A cause whose run is stuck, and that Fall still holds, is not waited for in vain.
func TestWaitForAStuckCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var page service
		release := make(chan struct{})
		var hang atomic.Bool
		m, _ := monitor(t, health.Options{},
			health.Check{Name: "page", Run: page.ask, Interval: time.Second, DependsOn: []string{"database"}},
			health.Check{Name: "database", Interval: time.Minute, Timeout: 2 * time.Second, Fall: 99, Run: func(ctx context.Context) (string, error) {
				if hang.Load() {
					<-release
				}
				return pass(ctx)
			}},
		)
		<-m.Settled()
		hang.Store(true)
		for !result(t, m, "database").Stuck {
			after(time.Second)
		}
		page.down.Store(true)
		after(time.Second + 4*time.Second)
		if r := result(t, m, "page"); r.Status != health.Fail || r.CausedBy != "database" || r.Expired {
			t.Errorf("%+v, want it reported, with what explains it", r)
		}
		close(release)
		after(time.Second)
	})
}

// A run that began before its cause was well again says nothing of now.
func TestRunThatBeganBeforeTheRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var database service
		var down atomic.Bool
		var told heard
		m, _ := monitor(t, told.options(health.Options{}),
			health.Check{Name: "page", Interval: time.Minute, Timeout: 30 * time.Second, DependsOn: []string{"database"}, Run: func(ctx context.Context) (string, error) {
				failed := down.Load() // as it was when the page was asked for
				time.Sleep(20 * time.Second)
				if failed {
					return fail(ctx)
				}
				return pass(ctx)
			}},
			health.Check{Name: "database", Run: database.ask, Interval: time.Second},
		)
		<-m.Settled()
		database.down.Store(true)
		down.Store(true)
		for result(t, m, "page").Status == health.Pass {
			after(time.Second)
		}
		runs := result(t, m, "page").Runs
		after(time.Minute - 15*time.Second) // into its next run
		told.forget()
		database.down.Store(false)
		down.Store(false)
		for result(t, m, "page").Runs == runs {
			after(time.Second)
		}
		if r := result(t, m, "page"); r.Status != health.Fail || r.CausedBy != "database" {
			t.Errorf("%+v, want a consequence still", r)
		}
		after(30 * time.Second)
		told.want(t, "database fail->pass fine", "fail->pass")
	})
}

// Who stops while a failure waits for its causes records nothing, and goes.
func TestStopWhileCausesAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var database, page service
		m, stop := monitor(t, health.Options{},
			health.Check{Name: "page", Run: page.ask, Interval: time.Second, DependsOn: []string{"database"}},
			health.Check{Name: "database", Run: database.ask, Interval: once, Timeout: time.Minute},
		)
		<-m.Settled()
		page.down.Store(true)
		database.takes.Store(int64(time.Hour))
		after(5 * time.Second)
		wantStatus(t, m, health.Pass)
		begun := time.Now()
		if err := stop(); err != nil || time.Since(begun) > grace {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if r := result(t, m, "page"); r.Failures != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// When the cause is well again, what it caused is asked at once; what fails then
// fails by itself, and is told of.
func TestConsequenceThatOutlivesItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var database, page service
		page.takes.Store(int64(time.Second))
		var told heard
		m, _ := monitor(t, told.options(health.Options{}),
			health.Check{Name: "page", Run: page.ask, Interval: 10 * time.Minute, DependsOn: []string{"database"}},
			health.Check{Name: "database", Run: database.ask, Interval: 10 * time.Second},
		)
		<-m.Settled()
		told.forget()
		database.down.Store(true)
		page.down.Store(true)
		for result(t, m, "page").Status == health.Pass {
			after(time.Second)
		}
		told.want(t, "database pass->fail refused", "pass->fail database: refused")

		n := page.asked.Load()
		database.down.Store(false)
		for result(t, m, "database").Status == health.Fail {
			after(10 * time.Millisecond)
		}
		after(500 * time.Millisecond)
		told.want(t, "database fail->pass fine")
		wantVerdict(t, m, health.Fail, "page: refused (caused by database)")
		after(time.Second)
		told.want(t, "page pass->fail refused")
		wantVerdict(t, m, health.Fail, "page: refused")
		if asked := page.asked.Load() - n; asked != 1 {
			t.Errorf("the page was asked %d times, want once at once", asked)
		}
	})
}

// A consequence that is stuck is not excused for ever by a cause that was down
// when its run began.
func TestStuckConsequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var database service
		release := make(chan struct{})
		var hang atomic.Bool
		m, _ := monitor(t, health.Options{},
			health.Check{Name: "page", Interval: 10 * time.Second, Timeout: time.Second, DependsOn: []string{"database"}, Run: func(ctx context.Context) (string, error) {
				if hang.Load() {
					<-release
				}
				return pass(ctx)
			}},
			health.Check{Name: "database", Run: database.ask, Interval: time.Second},
		)
		<-m.Settled()
		database.down.Store(true)
		hang.Store(true)
		after(15 * time.Second)
		if r := result(t, m, "page"); r.CausedBy != "database" || !r.Stuck {
			t.Fatalf("page %+v: want a stuck consequence", r)
		}
		database.down.Store(false)
		after(12 * time.Second)
		if r := result(t, m, "page"); r.CausedBy != "" || !r.Stuck {
			t.Errorf("page %+v: want it to answer for itself", r)
		}
		close(release)
		after(time.Second)
		wantVerdict(t, m, health.Pass, "")
	})
}
