package autoscaling_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/elb"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const (
	blue  = "arn:blue"
	green = "arn:green"
)

// world is what groups live in, without processes and without a balancer: it does
// what actions say, and the test decides what else happens.
type world struct {
	t         *testing.T
	state     *autoscaling.State
	now       time.Time
	processes map[string]autoscaling.ProcessState
	failures  map[string]string
	targets   map[string]map[autoscaling.Target]elb.State
	// drains is how long a deregistration takes; stubborn processes hear no SIGTERM.
	drains   time.Duration
	gone     map[string]time.Time
	stubborn bool
	port     uint16   // the last that was free
	deeds    []string // since the test looked last
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, state: new(autoscaling.State), now: noon, port: 20000,
		processes: make(map[string]autoscaling.ProcessState), failures: make(map[string]string),
		targets: map[string]map[autoscaling.Target]elb.State{blue: {}, green: {}}, gone: make(map[string]time.Time),
	}
	w.must(func(e *autoscaling.Edit) error {
		return e.SetTemplates([]autoscaling.LaunchTemplate{{Name: "web", Command: []string{"serve", "{port}"}, StopTimeout: 20 * time.Second}})
	})
	return w
}

// create makes the group "web" of so many instances, and has them come into service.
func (w *world) create(desired int, sources ...string) {
	w.t.Helper()
	w.must(func(e *autoscaling.Edit) error {
		_, err := e.CreateGroup("web", autoscaling.Settings{
			Min: new(0), Max: new(10), Desired: &desired, Template: &autoscaling.TemplateRef{Name: "web"}, Zones: []string{"eu-west-1a", "eu-west-1b"},
		})
		if err != nil {
			return err
		}
		return e.Attach("web", sources)
	})
	w.settle()
	w.deeds = nil
}

func (w *world) edit(change func(*autoscaling.Edit) error) error {
	e := w.state.Begin(autoscaling.Place{Region: "eu-west-1", Account: "123456789012", TargetGroup: func(arn string) error {
		if w.targets[arn] == nil {
			return elb.Errorf(elb.CodeValidation, "no such group")
		}
		return nil
	}}, w.now)
	if err := change(e); err != nil {
		return err
	}
	w.state = e.State()
	return nil
}

func (w *world) must(change func(*autoscaling.Edit) error) {
	w.t.Helper()
	if err := w.edit(change); err != nil {
		w.t.Fatal(err)
	}
}

// settle takes steps until there is nothing more to do at this time.
func (w *world) settle() {
	w.t.Helper()
	for range 100 {
		before := w.state
		// The state goes through what it is kept as, as after a crash.
		text, err := json.Marshal(w.state)
		if err != nil {
			w.t.Fatal(err)
		}
		kept := new(autoscaling.State)
		if err := json.Unmarshal(text, kept); err != nil {
			w.t.Fatal(err)
		}
		next, actions := autoscaling.Step(kept, autoscaling.Facts{
			Processes: w.processes, StartErrors: w.failures, Targets: w.targets,
			Free: func(at netip.AddrPort) (netip.AddrPort, bool) {
				w.port++
				return netip.AddrPortFrom(at.Addr(), w.port), true
			},
		}, w.now)
		w.state = next
		done := false
		for _, a := range actions {
			done = w.do(a) || done
		}
		if !done && reflect.DeepEqual(before, next) {
			return
		}
	}
	w.t.Fatal("the groups do not come to rest")
}

// do carries an action out, and tells whether that changes anything at once.
func (w *world) do(a autoscaling.Action) bool {
	w.t.Helper()
	_, i := w.state.Instance(a.Instance)
	if i == nil {
		w.t.Fatalf("%v of an instance that is not there", a.Do)
	}
	w.deeds = append(w.deeds, strings.TrimSpace(fmt.Sprintf("%v %s", a.Do, a.Group)))
	switch a.Do {
	case autoscaling.Start:
		if w.processes[i.ID] != autoscaling.NotStarted {
			w.t.Fatalf("instance %s is started twice", i.ID)
		}
		w.processes[i.ID] = autoscaling.Running
	case autoscaling.Register:
		w.targets[a.Group][i.Target()] = elb.Initial
	case autoscaling.Deregister:
		w.targets[a.Group][i.Target()] = elb.Draining
		w.gone[a.Group+i.ID] = w.now.Add(w.drains)
		if w.drains == 0 {
			delete(w.targets[a.Group], i.Target())
		}
	case autoscaling.Ask:
		if w.stubborn {
			return false
		}
		w.processes[i.ID] = autoscaling.Ended
	case autoscaling.Kill:
		w.processes[i.ID] = autoscaling.Ended
	}
	return true
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(d)
	for arn, targets := range w.targets {
		for target, state := range targets {
			if state == elb.Draining && !w.now.Before(w.gone[arn+target.Instance]) {
				delete(targets, target)
			}
		}
	}
	w.settle()
}

// probe has all targets of a group that take traffic found healthy, or not.
func (w *world) probe(arn string, state elb.State) {
	w.t.Helper()
	for target, now := range w.targets[arn] {
		if now != elb.Draining {
			w.targets[arn][target] = state
		}
	}
	w.settle()
}

func (w *world) group() *autoscaling.Group {
	w.t.Helper()
	g := w.state.Groups["web"]
	if g == nil {
		w.t.Fatal("the group is gone")
	}
	return g
}

// states returns the instances' states, in the order of their launch.
func (w *world) states() string {
	w.t.Helper()
	var states []string
	for _, i := range w.group().Instances {
		states = append(states, string(i.State))
	}
	return strings.Join(states, " ")
}

func (w *world) want(states string) {
	w.t.Helper()
	if got := w.states(); got != states {
		w.t.Fatalf("instances are %q, want %q", got, states)
	}
}

// did wants certain deeds since the last call, and no others.
func (w *world) did(deeds ...string) {
	w.t.Helper()
	if !slices.Equal(w.deeds, deeds) {
		w.t.Errorf("did %q, want %q", w.deeds, deeds)
	}
	w.deeds = nil
}

func (w *world) id(n int) string {
	w.t.Helper()
	return w.group().Instances[n].ID
}

func TestAnInstanceComesAndGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drains = 30 * time.Second
	w.create(0, blue)
	w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 1, false) })
	w.settle()
	w.want("InService")
	w.did("start", "register "+blue)

	w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 0, false) })
	w.settle()
	w.want("Terminating")
	w.did("deregister " + blue)
	w.pass(29 * time.Second)
	w.want("Terminating")
	w.did()
	w.stubborn = true
	w.pass(time.Second) // drained
	w.want("Terminating:Proceed")
	w.did("ask to end")
	w.pass(19 * time.Second)
	w.did()
	w.pass(time.Second)
	w.did("kill")
	w.want("")
}

func TestAHookHoldsAnInstanceUp(t *testing.T) {
	t.Parallel()
	launching := autoscaling.Hook{Name: "warm", Transition: autoscaling.Launching, Heartbeat: time.Minute}
	leaving := autoscaling.Hook{Name: "save", Transition: autoscaling.Leaving, Heartbeat: time.Minute}
	complete := func(hook, result string) func(*world) {
		return func(w *world) {
			w.must(func(e *autoscaling.Edit) error {
				return e.CompleteAction("web", hook, w.id(0), "", result)
			})
			w.settle()
		}
	}
	scale := func(to int) func(*world) {
		return func(w *world) {
			w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", to, false) })
			w.settle()
		}
	}
	pass := func(d time.Duration) func(*world) { return func(w *world) { w.pass(d) } }
	hooks := func(hooks ...autoscaling.Hook) func(*world) {
		return func(w *world) {
			for _, h := range hooks {
				w.must(func(e *autoscaling.Edit) error { return e.PutHook("web", h) })
			}
		}
	}
	for _, test := range []struct {
		name   string
		events []func(*world)
		states string
		deeds  []string
	}{
		{"it runs but is not registered", []func(*world){hooks(launching), scale(1)}, "Pending:Wait", []string{"start"}},
		{"until somebody says that it may go on", []func(*world){hooks(launching), scale(1), complete("warm", "CONTINUE")}, "InService", []string{"start", "register " + blue}},
		{"an abandoned one is replaced", []func(*world){hooks(launching), scale(1), complete("warm", "ABANDON")}, "Pending:Wait", []string{"start", "start", "ask to end"}},
		{"ABANDON is the default", []func(*world){hooks(launching), scale(1), pass(time.Minute)}, "Pending:Wait", []string{"start", "start", "ask to end"}},
		{"or CONTINUE, if the hook says so", []func(*world){hooks(autoscaling.Hook{Name: "warm", Transition: autoscaling.Launching, Heartbeat: time.Minute, Default: autoscaling.Continue}), scale(1), pass(time.Minute)}, "InService", []string{"start", "register " + blue}},
		{"a heartbeat gives more time", []func(*world){hooks(launching), scale(1), pass(50 * time.Second), func(w *world) {
			w.must(func(e *autoscaling.Edit) error { return e.Heartbeat("web", "warm", w.id(0), "") })
		}, pass(50 * time.Second)}, "Pending:Wait", []string{"start"}},
		{"a hook that is deleted abandons", []func(*world){hooks(launching), scale(1), func(w *world) {
			w.must(func(e *autoscaling.Edit) error { return e.DeleteHook("web", "warm") })
			w.settle()
		}}, "InService", []string{"start", "start", "ask to end", "register " + blue}},
		{"on its way out, it is deregistered first", []func(*world){hooks(leaving), scale(1), scale(0)}, "Terminating:Wait", []string{"start", "register " + blue, "deregister " + blue}},
		{"and ends when it may", []func(*world){hooks(leaving), scale(1), scale(0), complete("save", "CONTINUE")}, "", []string{"start", "register " + blue, "deregister " + blue, "ask to end"}},
		{"or when the time is over", []func(*world){hooks(leaving), scale(1), scale(0), pass(time.Minute)}, "", []string{"start", "register " + blue, "deregister " + blue, "ask to end"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(0, blue)
			for _, event := range test.events {
				event(w)
			}
			w.want(test.states)
			w.did(test.deeds...)
		})
	}
}

func TestUnhealthyInstancesAreReplaced(t *testing.T) {
	t.Parallel()
	kind := func(kind string, grace time.Duration) func(*world) {
		return func(w *world) {
			w.must(func(e *autoscaling.Edit) error {
				return e.UpdateGroup("web", autoscaling.Settings{HealthCheckType: &kind, Grace: &grace})
			})
		}
	}
	ends := func(w *world) { w.processes[w.id(0)] = autoscaling.Ended; w.settle() }
	probe := func(state elb.State) func(*world) { return func(w *world) { w.probe(blue, state) } }
	pass := func(d time.Duration) func(*world) { return func(w *world) { w.pass(d) } }
	suspend := func(process string) func(*world) {
		return func(w *world) {
			w.must(func(e *autoscaling.Edit) error { return e.Suspend("web", []string{process}) })
		}
	}
	setUnhealthy := func(respect bool) func(*world) {
		return func(w *world) {
			w.must(func(e *autoscaling.Edit) error { return e.SetHealth(w.id(0), false, respect) })
			w.settle()
		}
	}
	for _, test := range []struct {
		name     string
		events   []func(*world)
		replaced bool
	}{
		{"an ended process is, at once", []func(*world){ends}, true},
		{"even within the grace period", []func(*world){kind("EC2", time.Hour), ends}, true},
		{"a group of type EC2 does not listen to its target group", []func(*world){probe(elb.Healthy), probe(elb.Unhealthy)}, false},
		{"one of type ELB does", []func(*world){kind("ELB", 0), probe(elb.Healthy), probe(elb.Unhealthy)}, true},
		{"so does one of both types", []func(*world){kind("EC2,ELB", 0), probe(elb.Healthy), probe(elb.Unhealthy)}, true},
		{"but not before a target was healthy", []func(*world){kind("ELB", 0), probe(elb.Unhealthy)}, false},
		{"nor before the grace period is over", []func(*world){kind("ELB", time.Minute), probe(elb.Healthy), probe(elb.Unhealthy), pass(54 * time.Second)}, false},
		{"which begins with the service", []func(*world){kind("ELB", time.Minute), probe(elb.Healthy), probe(elb.Unhealthy), pass(time.Minute)}, true},
		{"no verdict yet is none", []func(*world){kind("ELB", 0), probe(elb.Healthy), probe(elb.Initial)}, false},
		{"nor is a group that nobody uses", []func(*world){kind("ELB", 0), probe(elb.Healthy), probe(elb.Unused)}, false},
		{"one that a user sets unhealthy is", []func(*world){setUnhealthy(true)}, true},
		{"not within the grace period", []func(*world){kind("EC2", time.Minute), setUnhealthy(true)}, false},
		{"unless that is not to be respected", []func(*world){kind("EC2", time.Minute), setUnhealthy(false)}, true},
		{"no health check, no replacement", []func(*world){suspend("HealthCheck"), ends}, false},
		{"none while replacement is suspended", []func(*world){suspend("ReplaceUnhealthy"), ends}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(1, blue)
			w.pass(0)
			was := w.id(0)
			for _, event := range test.events {
				event(w)
			}
			w.pass(5 * time.Second)
			if now := w.id(0); (now != was) != test.replaced {
				t.Errorf("replaced: %v", now != was)
			}
			if w.group().Active() != 1 {
				t.Errorf("instances are %q", w.states())
			}
		})
	}
}

// A program that cannot run is not started over and over.
func TestAProgramThatEndsAtOnceIsGivenTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(0)
	w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 1, false) })
	starts := 0
	for range 600 { // a minute
		w.settle()
		starts += len(slices.DeleteFunc(w.deeds, func(d string) bool { return d != "start" }))
		w.deeds = nil
		for id, state := range w.processes {
			if state == autoscaling.Running {
				w.processes[id] = autoscaling.Ended
			}
		}
		w.pass(100 * time.Millisecond)
	}
	// At once, at once again, then after 1, 2, 4, 8, 16 and 32 seconds.
	if starts < 6 || starts > 9 {
		t.Errorf("started %d times in a minute", starts)
	}
}

// Where others of its kind serve, it is the instance that had bad luck.
func TestAnInstanceThatEndsAtOnceAmongOthersIsReplacedSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(2)
	w.pass(time.Minute)
	for n := range 20 {
		w.pass(time.Second)
		if n > 0 && w.group().Active() != 2 {
			t.Fatalf("after %d ends: instances are %q", n, w.states())
		}
		w.processes[w.id(1)] = autoscaling.Ended
		w.settle()
	}
}

func TestAStartThatFailsIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(0)
	w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 1, false) })
	next, actions := autoscaling.Step(w.state, autoscaling.Facts{Free: func(at netip.AddrPort) (netip.AddrPort, bool) { return at, true }}, w.now)
	if len(actions) != 1 || actions[0].Do != autoscaling.Start {
		t.Fatalf("actions %v", actions)
	}
	w.state = next
	w.failures[actions[0].Instance] = "no such program"
	w.settle()
	for _, a := range w.group().Activities {
		if a.Instance == actions[0].Instance && a.Failed && strings.Contains(a.Message, "no such program") {
			return
		}
	}
	t.Errorf("no activity tells of it: %+v", w.group().Activities)
}

func TestTargetGroupsComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(2, blue)
	sources := func(want string) {
		t.Helper()
		var got []string
		for _, s := range w.group().Sources {
			got = append(got, s.ARN+" "+string(s.State))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("sources %q, want %q", got, want)
		}
	}
	sources("arn:blue Added")
	w.probe(blue, elb.Unhealthy)
	sources("arn:blue Added")
	w.probe(blue, elb.Healthy)
	sources("arn:blue InService")
	w.probe(blue, elb.Unhealthy)
	sources("arn:blue InService")

	w.must(func(e *autoscaling.Edit) error { return e.Attach("web", []string{green}) })
	sources("arn:blue InService, arn:green Adding")
	w.settle()
	sources("arn:blue InService, arn:green Added")
	w.did("register "+green, "register "+green)

	w.drains = 30 * time.Second
	w.must(func(e *autoscaling.Edit) error { return e.Detach("web", []string{blue}) })
	w.settle()
	sources("arn:blue Removing, arn:green Added")
	w.did("deregister "+blue, "deregister "+blue)
	w.pass(30 * time.Second)
	sources("arn:green Added")
	w.want("InService InService")

	// Who is deregistered by hand stays so.
	clear(w.targets[green])
	w.pass(time.Minute)
	w.did()
}

func TestATargetGroupThatIsAttachedAgainTakesAllAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drains = 30 * time.Second
	w.create(1, blue)
	w.must(func(e *autoscaling.Edit) error { return e.Detach("web", []string{blue}) })
	w.settle()
	w.must(func(e *autoscaling.Edit) error { return e.Attach("web", []string{blue}) })
	w.settle()
	w.did("deregister "+blue, "register "+blue)
}

func TestWhatIsSuspendedIsNotDone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		process string
		desired int
		states  string
		deeds   []string
	}{
		{"Launch", 2, "InService", nil},
		{"Launch", 0, "", []string{"deregister " + blue, "ask to end"}},
		{"Terminate", 0, "InService", nil},
		{"Terminate", 2, "InService InService", []string{"start", "register " + blue}},
		{"AddToLoadBalancer", 2, "InService InService", []string{"start"}},
		{"AlarmNotification", 2, "InService InService", []string{"start", "register " + blue}},
	} {
		t.Run(fmt.Sprintf("%s and %d instances", test.process, test.desired), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(1, blue)
			w.must(func(e *autoscaling.Edit) error { return e.Suspend("web", []string{test.process}) })
			w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", test.desired, false) })
			w.settle()
			w.want(test.states)
			w.did(test.deeds...)
			w.must(func(e *autoscaling.Edit) error { return e.Resume("web", nil) })
			w.settle()
			if got := w.group().Active(); got != test.desired {
				t.Errorf("%d instances after it was resumed, want %d", got, test.desired)
			}
		})
	}
}

func TestAnInstanceInStandbyServesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(2, blue)
	w.must(func(e *autoscaling.Edit) error {
		_, err := e.EnterStandby("web", []string{w.id(0)}, true)
		return err
	})
	w.settle()
	w.want("Standby InService")
	w.did("deregister " + blue)
	if g := w.group(); g.Desired != 1 {
		t.Errorf("desired %d", g.Desired)
	}
	w.must(func(e *autoscaling.Edit) error {
		_, err := e.ExitStandby("web", []string{w.id(0)})
		return err
	})
	w.settle()
	w.want("InService InService")
	w.did("register " + blue)

	w.must(func(e *autoscaling.Edit) error { // in its place comes another
		_, err := e.EnterStandby("web", []string{w.id(0)}, false)
		return err
	})
	w.settle()
	w.want("Standby InService InService")
}

func TestWhoGoesFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy string
		first  int // of four, launched in turns in two zones, the last two by a newer template
	}{
		{"Default", 0}, {"OldestInstance", 0}, {"NewestInstance", 3}, {"OldestLaunchTemplate", 0},
	} {
		t.Run(test.policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(0)
			w.must(func(e *autoscaling.Edit) error {
				return e.UpdateGroup("web", autoscaling.Settings{Policies: []string{test.policy}})
			})
			for n := range 4 {
				w.pass(time.Second)
				w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", n+1, false) })
				w.settle()
				if n == 1 {
					w.must(func(e *autoscaling.Edit) error {
						return e.SetTemplates([]autoscaling.LaunchTemplate{{Name: "web", Command: []string{"serve", "--new", "{port}"}}})
					})
				}
			}
			first := w.id(test.first)
			w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 3, false) })
			w.settle()
			if w.group().Instance(first) != nil {
				t.Errorf("instance %d is still there", test.first)
			}
		})
	}
	t.Run("a protected one never", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.create(2)
		w.must(func(e *autoscaling.Edit) error { return e.Protect("web", []string{w.id(0), w.id(1)}, true) })
		w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 0, false) })
		w.settle()
		w.want("InService InService")
	})
	t.Run("the zone that has the most", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.create(3) // a, b, a
		w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 2, false) })
		w.settle()
		zones := []string{w.group().Instances[0].Zone, w.group().Instances[1].Zone}
		slices.Sort(zones)
		if !slices.Equal(zones, []string{"eu-west-1a", "eu-west-1b"}) {
			t.Errorf("left in %q", zones)
		}
	})
}

func TestAGroupIsDeletedWithItsInstances(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drains = 10 * time.Second
	w.create(2, blue)
	err := w.edit(func(e *autoscaling.Edit) error { return e.DeleteGroup("web", false) })
	wantCode(t, err, "ResourceInUse")
	w.must(func(e *autoscaling.Edit) error { return e.DeleteGroup("web", true) })
	w.settle()
	w.want("Terminating Terminating")
	wantCode(t, w.edit(func(e *autoscaling.Edit) error { return e.SetDesired("web", 1, false) }), "ScalingActivityInProgress")
	w.pass(10 * time.Second)
	if len(w.state.Groups) != 0 {
		t.Errorf("instances are %q", w.states())
	}
	for id, state := range w.processes {
		if state != autoscaling.Ended {
			t.Errorf("%s is left", id)
		}
	}
}

func TestARefreshReplacesSomeAtATime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		preferences autoscaling.Preferences
		least, most int // active at any time
	}{
		{"one at a time, where none may be missing", autoscaling.Preferences{MinHealthy: 90, MaxHealthy: 100}, 3, 4},
		{"half of them", autoscaling.Preferences{MinHealthy: 50, MaxHealthy: 100}, 2, 4},
		{"all at once", autoscaling.Preferences{MinHealthy: 0, MaxHealthy: 100}, 0, 4},
		{"new ones first", autoscaling.Preferences{MinHealthy: 100, MaxHealthy: 125}, 4, 5},
		{"all new ones first", autoscaling.Preferences{MinHealthy: 100, MaxHealthy: 200}, 4, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(4, blue)
			w.probe(blue, elb.Healthy)
			old := make(map[string]bool)
			for _, i := range w.group().Instances {
				old[i.ID] = true
			}
			w.pass(time.Second)
			test.preferences.Warmup = new(10 * time.Second)
			w.must(func(e *autoscaling.Edit) error {
				_, err := e.StartRefresh("web", nil, test.preferences)
				return err
			})
			wantCode(t, w.edit(func(e *autoscaling.Edit) error {
				_, err := e.StartRefresh("web", nil, test.preferences)
				return err
			}), "InstanceRefreshInProgress")
			least, most := 4, 4
			for range 100 {
				w.settle()
				ready, active := 0, w.group().Active()
				for _, i := range w.group().Instances {
					if i.State == autoscaling.InService && (old[i.ID] || !w.now.Before(i.Serving.Add(10*time.Second))) {
						ready++
					}
				}
				least, most = min(least, ready), max(most, active)
				w.probe(blue, elb.Healthy)
				w.pass(2 * time.Second)
			}
			r := w.group().Refreshes[0]
			if percent, left := r.Complete(); r.Status != autoscaling.RefreshSuccessful || percent != 100 || left != 0 {
				t.Errorf("the refresh is %s, %d %%, %d left, %s", r.Status, percent, left, r.Reason)
			}
			w.want("InService InService InService InService")
			for _, i := range w.group().Instances {
				if old[i.ID] {
					t.Errorf("%s was not replaced", i.ID)
				}
			}
			if least != test.least || most != test.most {
				t.Errorf("%d were ready at least and %d active at most, want %d and %d", least, most, test.least, test.most)
			}
		})
	}
}

func TestARefreshWaitsAtCheckpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(4)
	w.must(func(e *autoscaling.Edit) error {
		_, err := e.StartRefresh("web", nil, autoscaling.Preferences{MinHealthy: 0, MaxHealthy: 100, Checkpoints: []int{25, 100}, CheckpointDelay: time.Minute})
		return err
	})
	w.settle()
	if percent, left := w.group().Refreshes[0].Complete(); percent != 25 || left != 3 {
		t.Errorf("%d %%, %d left", percent, left)
	}
	w.pass(59 * time.Second)
	if percent, _ := w.group().Refreshes[0].Complete(); percent != 25 {
		t.Errorf("%d %% before the delay is over", percent)
	}
	w.pass(time.Second)
	w.pass(time.Minute)
	if r := w.group().Refreshes[0]; r.Status != autoscaling.RefreshSuccessful {
		t.Errorf("the refresh is %s: %s", r.Status, r.Reason)
	}
}

// What is protected, or in Standby, is waited for, and not for ever.
func TestARefreshWaitsForWhatIsProtected(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		protected string
		unprotect bool
		status    autoscaling.RefreshStatus
		replaced  bool
	}{
		{autoscaling.RefreshWait, false, autoscaling.RefreshFailed, false},
		{autoscaling.RefreshWait, true, autoscaling.RefreshSuccessful, true},
		{autoscaling.RefreshIgnore, false, autoscaling.RefreshSuccessful, false},
		{"Refresh", false, autoscaling.RefreshSuccessful, true},
	} {
		t.Run(fmt.Sprintf("%s, unprotected %v", test.protected, test.unprotect), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(1)
			was := w.id(0)
			protect := func(on bool) {
				w.must(func(e *autoscaling.Edit) error { return e.Protect("web", []string{was}, on) })
			}
			protect(true)
			w.must(func(e *autoscaling.Edit) error {
				_, err := e.StartRefresh("web", nil, autoscaling.Preferences{MaxHealthy: 100, Protected: test.protected})
				return err
			})
			w.settle()
			w.pass(time.Hour)
			if test.unprotect {
				protect(false)
				w.settle()
			}
			w.pass(time.Second)
			if got := w.group().Refreshes[0].Status; got != test.status || (w.id(0) != was) != test.replaced {
				t.Errorf("the refresh is %s, the instance was replaced: %v", got, w.id(0) != was)
			}
		})
	}
}

func TestARefreshBringsANewTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(2)
	w.must(func(e *autoscaling.Edit) error {
		return e.SetTemplates([]autoscaling.LaunchTemplate{{Name: "web", Command: []string{"serve", "--new", "{port}"}}})
	})
	refresh := func() {
		t.Helper()
		w.must(func(e *autoscaling.Edit) error {
			_, err := e.StartRefresh("web", nil, autoscaling.Preferences{MinHealthy: 0, MaxHealthy: 100, SkipMatching: true})
			return err
		})
		w.settle()
		w.pass(time.Second)
	}
	refresh()
	for _, i := range w.group().Instances {
		if i.Template.Version != 2 {
			t.Errorf("%s is of version %d", i.ID, i.Template.Version)
		}
	}
	before := []string{w.id(0), w.id(1)}
	refresh() // all match
	if now := []string{w.id(0), w.id(1)}; !slices.Equal(now, before) || w.group().Refreshes[0].Status != autoscaling.RefreshSuccessful {
		t.Errorf("%q instead of %q; the refresh is %s", now, before, w.group().Refreshes[0].Status)
	}
	wantCode(t, w.edit(func(e *autoscaling.Edit) error {
		_, err := e.CancelRefresh("web")
		return err
	}), "ActiveInstanceRefreshNotFound")
}
