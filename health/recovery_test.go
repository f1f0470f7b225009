package health_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

// outage is a shared database that is asked each second, and what depends on it,
// which is asked so rarely that it is asked for the database's sake alone.
type outage struct {
	database, queue, sessions, page, c1, c2 service
}

const rarely = 30 * time.Minute

func (o *outage) all() []*service {
	return []*service{&o.database, &o.queue, &o.sessions, &o.page, &o.c1, &o.c2}
}

func (o *outage) check(name string, s *service, needs ...string) health.Check {
	return health.Check{Name: name, Run: s.ask, Interval: rarely, DependsOn: needs}
}

func (o *outage) shared(name string, s *service) health.Check {
	return health.Check{Name: name, Run: s.ask, Interval: time.Second, Scope: health.Shared}
}

func (o *outage) caches(impact health.Impact) health.Check {
	return health.Check{Name: "caches", Impact: impact, DependsOn: []string{"database"}, Any: []health.Check{
		{Name: "c1", Run: o.c1.ask, Interval: rarely}, {Name: "c2", Run: o.c2.ask, Interval: rarely},
	}}
}

// A shared database comes back, under shared_failure: warn. What follows from it
// needs a while, and is no failure of the instance's own meanwhile.
func TestRecoveryOfASharedCause(t *testing.T) {
	for _, tt := range []struct {
		name    string
		checks  func(o *outage) []health.Check
		recover func(o *outage) // beside the database
		answers []string
	}{
		{
			"along a chain, one after the other",
			func(o *outage) []health.Check {
				return []health.Check{o.check("page", &o.page, "sessions"), o.check("sessions", &o.sessions, "database"), o.shared("database", &o.database)}
			},
			nil,
			[]string{"warn: database", "warn: sessions", "warn: page", "ok"},
		},
		{
			"the order in which the checks are written does not matter",
			func(o *outage) []health.Check {
				return []health.Check{o.shared("database", &o.database), o.check("sessions", &o.sessions, "database"), o.check("page", &o.page, "sessions")}
			},
			nil,
			[]string{"warn: database", "warn: sessions", "warn: page", "ok"},
		},
		{
			"through a group",
			func(o *outage) []health.Check {
				return []health.Check{o.check("page", &o.page, "caches"), o.caches(health.Degraded), o.shared("database", &o.database)}
			},
			nil,
			[]string{"warn: database", "warn: caches", "warn: page", "ok"},
		},
		{
			"one of a group answers for all",
			func(o *outage) []health.Check {
				return []health.Check{o.check("page", &o.page, "caches"), o.caches(health.Critical), o.shared("database", &o.database)}
			},
			func(o *outage) { o.c1.down.Store(true) },
			[]string{"warn: database", "warn: caches", "warn: page", "ok"},
		},
		{
			"a group that needs all fails by the first that does",
			func(o *outage) []health.Check {
				group := o.caches(health.Critical)
				group.All, group.Any = group.Any, nil
				return []health.Check{o.check("page", &o.page, "caches"), group, o.shared("database", &o.database)}
			},
			func(o *outage) { o.c1.down.Store(true); o.c1.takes.Store(int64(time.Second / 2)) },
			[]string{"warn: database", "warn: caches", "fail: caches"},
		},
		{
			"a group that needs several passes of its own",
			func(o *outage) []health.Check {
				group := o.caches(health.Critical)
				group.Rise = 2
				for i := range group.Any {
					group.Any[i].Interval = 5 * time.Second
				}
				return []health.Check{o.check("page", &o.page, "caches"), group, o.shared("database", &o.database)}
			},
			nil,
			[]string{"warn: database", "warn: caches", "warn: page", "ok"},
		},
		{
			"rise holds the failure, and what it follows from",
			func(o *outage) []health.Check {
				sessions := o.check("sessions", &o.sessions, "database")
				sessions.Rise, sessions.Interval = 3, 2*time.Second
				return []health.Check{o.check("page", &o.page, "sessions"), sessions, o.shared("database", &o.database)}
			},
			nil,
			[]string{"warn: database", "warn: sessions", "warn: page", "ok"},
		},
		{
			"fall forgives a failure that follows from it",
			func(o *outage) []health.Check {
				sessions := o.check("sessions", &o.sessions, "database")
				sessions.Fall = 3
				return []health.Check{o.check("page", &o.page, "sessions"), sessions, o.shared("database", &o.database)}
			},
			nil,
			[]string{"warn: database", "warn: sessions, page", "warn: page", "ok"},
		},
		{
			"what fails by itself then is the instance's own, and the root of what follows",
			func(o *outage) []health.Check {
				return []health.Check{o.check("page", &o.page, "sessions"), o.check("sessions", &o.sessions, "database"), o.shared("database", &o.database)}
			},
			func(o *outage) { o.sessions.down.Store(true) },
			[]string{"warn: database", "warn: sessions", "fail: sessions"},
		},
		{
			"several causes, of which one is still down",
			func(o *outage) []health.Check {
				return []health.Check{o.check("page", &o.page, "sessions", "queue"), o.check("sessions", &o.sessions, "database"), o.shared("database", &o.database), o.shared("queue", &o.queue)}
			},
			func(o *outage) { o.queue.down.Store(true) },
			[]string{"warn: database, queue", "warn: sessions, queue", "warn: queue"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o outage
				checks := tt.checks(&o)
				m, _ := monitor(t, health.Options{SharedFailure: health.SharedWarns}, checks...)
				h := handler(t, m, health.HandlerOptions{Details: health.DetailsAlways})
				<-m.Settled()
				for _, s := range o.all() {
					s.down.Store(true)
				}
				for slices.ContainsFunc(m.Results(), func(r health.Result) bool { return r.Last != health.Fail }) || result(t, m, "page").Status != health.Fail {
					after(100 * time.Millisecond)
				}

				for _, s := range o.all() {
					s.down.Store(false)
					s.takes.Store(int64(1500 * time.Millisecond))
				}
				o.database.takes.Store(0)
				o.queue.takes.Store(0)
				if tt.recover != nil {
					tt.recover(&o)
				}
				var answers []string
				for range 2000 {
					answers = append(answers, told(t, m, h))
					after(10 * time.Millisecond)
				}
				if got := slices.Compact(answers); !slices.Equal(got, tt.answers) {
					t.Errorf("answers %q, want %q", got, tt.answers)
				}
			})
		})
	}
}

// told is what the health path answers, or of which checks the verdict warns.
func told(t *testing.T, m *health.Monitor, h *health.Handler) string {
	t.Helper()
	plain := strings.TrimSpace(string(get(h, "/health").Body))
	v := m.Verdict()
	if v.Status != health.Warn {
		return plain
	}
	if plain != "ok" {
		t.Errorf("a verdict that warns is answered %q", plain)
	}
	place := func(name string) int { return strings.Index("; "+v.Reason, "; "+name+": ") }
	var warned []string
	for _, r := range v.Results {
		if r.Group == "" && place(r.Name) >= 0 {
			warned = append(warned, r.Name)
		}
	}
	slices.SortFunc(warned, func(a, b string) int { return place(a) - place(b) })
	return "warn: " + strings.Join(warned, ", ")
}

// An outage may be over before a check has noticed that was asked during it: its
// answer says nothing of now.
func TestOutageThatIsOverBeforeTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		checks  func(page health.Check, database health.Check) []health.Check
		recover bool
		reason  string
		after   health.Status
	}{
		{"a check", func(page, database health.Check) []health.Check {
			page.DependsOn = []string{"database"}
			return []health.Check{page, database}
		}, true, "page: refused (caused by database)", health.Pass},
		{"a group", func(page, database health.Check) []health.Check {
			return []health.Check{{Name: "pages", DependsOn: []string{"database"}, All: []health.Check{page}}, database}
		}, true, "pages: page: refused (caused by database)", health.Pass},
		{"one that fails by itself then", func(page, database health.Check) []health.Check {
			page.DependsOn = []string{"database"}
			return []health.Check{page, database}
		}, false, "page: refused (caused by database)", health.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o outage
				page := o.check("page", &o.page)
				m, _ := monitor(t, health.Options{SharedFailure: health.SharedWarns}, tt.checks(page, o.shared("database", &o.database))...)
				<-m.Settled()
				o.page.takes.Store(int64(4 * time.Second))
				for n := o.page.asked.Load(); o.page.asked.Load() == n; {
					after(10 * time.Millisecond)
				}
				o.database.down.Store(true)
				o.page.down.Store(true)
				after(2 * time.Second)
				wantVerdict(t, m, health.Warn, "database: refused")
				o.database.down.Store(false)
				after(1500 * time.Millisecond)
				wantVerdict(t, m, health.Pass, "")
				after(time.Second)
				wantVerdict(t, m, health.Warn, tt.reason)
				o.page.down.Store(!tt.recover)
				after(4 * time.Second)
				wantStatus(t, m, tt.after)
			})
		})
	}
}

// While it is waited for, each of the chain is told to follow from the root.
func TestTheRootAloneIsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		var told heard
		m, _ := monitor(t, told.options(health.Options{SharedFailure: health.SharedWarns}),
			o.check("page", &o.page, "caches"), o.caches(health.Degraded), o.shared("database", &o.database))
		<-m.Settled()
		told.forget()
		for _, s := range o.all() {
			s.down.Store(true)
		}
		for result(t, m, "page").Status == health.Pass || result(t, m, "caches").Status == health.Pass {
			after(10 * time.Millisecond)
		}
		told.want(t, "database pass->fail refused", "pass->warn database: refused")
		o.database.down.Store(false)
		for result(t, m, "database").Status == health.Fail {
			for _, s := range []*service{&o.c1, &o.c2} {
				s.takes.Store(int64(time.Second))
			}
			after(10 * time.Millisecond)
		}
		wantVerdict(t, m, health.Warn, "caches: c1: refused; c2: refused (caused by database)")
		for _, name := range []string{"page", "caches", "c1", "c2"} {
			if r := result(t, m, name); r.Status != health.Fail || r.CausedBy != "database" {
				t.Errorf("%+v, want it to follow from the database", r)
			}
		}
		for _, s := range o.all() {
			s.down.Store(false)
		}
		after(2 * time.Second)
		told.want(t, "database fail->pass fine", "warn->pass")
	})
}

// A program that reads its configuration again while consequences are waited for
// does not take them for failures of its own.
func TestAdoptConsequencesOfARecoveredCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		checks := []health.Check{o.check("page", &o.page, "sessions"), o.check("sessions", &o.sessions, "database"), o.shared("database", &o.database)}
		options := health.Options{SharedFailure: health.SharedWarns}
		old, stop := monitor(t, options, checks...)
		<-old.Settled()
		for _, s := range o.all() {
			s.down.Store(true)
		}
		for result(t, old, "page").Status == health.Pass || result(t, old, "sessions").Status == health.Pass {
			after(10 * time.Millisecond)
		}
		o.database.down.Store(false)
		o.sessions.takes.Store(int64(time.Second))
		for result(t, old, "database").Status == health.Fail {
			after(10 * time.Millisecond)
		}
		adopting := func(checks ...health.Check) *health.Monitor {
			m, err := health.NewMonitor(options, checks...)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Adopt(old, "page", "sessions"); err != nil {
				t.Fatal(err)
			}
			return m
		}
		wantVerdict(t, adopting(o.check("page", &o.page), o.check("sessions", &o.sessions)), health.Fail, "page: refused; sessions: refused")
		m, err := health.NewMonitor(options, checks...)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Adopt(old, "page", "sessions", "database"); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		o.sessions.down.Store(false)
		o.page.down.Store(false)
		wantVerdict(t, m, health.Warn, "sessions: refused (caused by database)")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		after(500 * time.Millisecond)
		wantStatus(t, m, health.Warn)
		after(2 * time.Second)
		wantVerdict(t, m, health.Pass, "")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// What flaps does not make what it depends on, nor what depends on it, run much
// more often than its own interval says.
func TestFlappingOverridesNoInterval(t *testing.T) {
	for _, tt := range []struct {
		name     string
		interval time.Duration // of the steady check
		flaps    string
		most     int32 // runs of the steady check in a minute
	}{
		{"a consequence, of what is asked rarely", time.Hour, "page", 62},
		{"a cause of what is asked rarely", time.Hour, "database", 62},
		{"a consequence of what is asked often", 200 * time.Millisecond, "page", 602},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var steady service
				var turn atomic.Int32
				flapping := func(ctx context.Context) (string, error) {
					if turn.Add(1)%2 == 0 {
						return fail(ctx)
					}
					return pass(ctx)
				}
				page := health.Check{Name: "page", DependsOn: []string{"database"}, Run: steady.ask, Interval: tt.interval}
				database := health.Check{Name: "database", Run: steady.ask, Interval: tt.interval}
				if tt.flaps == "page" {
					page.Run, page.Interval = flapping, 50*time.Millisecond
				} else {
					database.Run, database.Interval = flapping, 50*time.Millisecond
				}
				steady.down.Store(tt.flaps == "database") // else nothing would follow from it
				m, _ := monitor(t, health.Options{}, page, database)
				<-m.Settled()
				before := steady.asked.Load()
				after(time.Minute)
				if n := steady.asked.Load() - before; n > tt.most {
					t.Errorf("asked %d times in a minute, want at most %d", n, tt.most)
				}
				if turn.Load() < 50 {
					t.Errorf("the other was asked %d times only", turn.Load())
				}
			})
		})
	}
}
