package autoscaling

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hale/internal/elb"
)

// Facts are what Step has to know of the world.
type Facts struct {
	// Processes are those of instances, by the instances' ids. One that is not in
	// it was not started yet.
	Processes map[string]ProcessState
	// StartErrors are why instances could not be started.
	StartErrors map[string]string
	// Targets are the targets of target groups by the groups' ARNs. A group that
	// is not in it does not exist.
	Targets map[string]map[Target]elb.State
	// Free tells whether something can listen on an address, and on which port if
	// that is 0.
	Free func(netip.AddrPort) (netip.AddrPort, bool)
}

// ProcessState is what there is of an instance's process.
type ProcessState int

// Process states.
const (
	NotStarted ProcessState = iota
	Running
	Leftover // the process has ended, but others that it started have not
	Ended    // nothing is left
)

// Action is something that is to be done in the world.
type Action struct {
	Do       Deed
	Instance string
	Group    string // the target group's ARN, of Register and Deregister
}

// Deed is what an action does.
type Deed int

// Deeds.
const (
	Start      Deed = iota // the instance's process
	Ask                    // it to end: SIGTERM to the process and all that it started
	Kill                   // it and all that it started: SIGKILL
	Register               // the instance with a target group
	Deregister             // it
)

var deedNames = [...]string{"start", "ask to end", "kill", "register", "deregister"}

// String returns what the deed is called in logs.
func (d Deed) String() string { return deedNames[d] }

// shortLife is how long an instance has to live not to count as one that could
// not start; pauses double from minPause to maxPause with each that could not.
const (
	shortLife = 2 * time.Second
	minPause  = time.Second
	maxPause  = time.Minute
)

// Step returns the state that follows from what is so at the time now, and what is
// to be done. The state has to be kept before the actions are carried out.
func Step(s *State, f Facts, now time.Time) (*State, []Action) {
	now = now.UTC().Truncate(time.Millisecond)
	w := step{state: s.clone(), facts: f, now: now}
	for _, name := range w.state.Names() {
		w.group = w.state.Groups[name]
		w.advance()
		if w.group.Deleting && len(w.group.Instances) == 0 {
			delete(w.state.Groups, name)
		}
	}
	return w.state, w.actions
}

// step is one call of Step; group is the one that is looked at.
type step struct {
	state   *State
	facts   Facts
	now     time.Time
	group   *Group
	actions []Action
}

func (w *step) advance() {
	g := w.group
	var gone []string
	for n := range g.Instances {
		i := &g.Instances[n]
		w.live(i)
		if i.State == TerminatingProceed && w.over(i) && !w.takesTraffic(i) {
			g.end(i, "", w.now)
			gone = append(gone, i.ID)
		}
	}
	g.Instances = slices.DeleteFunc(g.Instances, func(i Instance) bool { return slices.Contains(gone, i.ID) })
	w.examine()
	surge := w.refresh()
	w.resize(surge)
	w.attachments()
}

// live moves one instance on in its life.
func (w *step) live(i *Instance) {
	g := w.group
	process := w.facts.Processes[i.ID]
	switch i.State {
	case Pending, PendingWait, PendingProceed:
		if !i.Returning && (process == Leftover || process == Ended || w.facts.StartErrors[i.ID] != "") {
			w.failed(i, cmp.Or(w.facts.StartErrors[i.ID], "its process ended before it came into service"))
			return
		}
		w.launch(i, process)
	case InService:
		w.register(i)
	case EnteringStandby:
		if w.deregister(i) {
			i.State = Standby
			g.end(i, "", w.now)
		}
	case Terminating:
		if gone := w.deregister(i); !gone && process == Running {
			return // it may still answer requests
		}
		i.State = TerminatingProceed
		if !i.Hooked && g.holdUp(i, Leaving, w.now) {
			i.State = TerminatingWait
		}
	case TerminatingWait:
		w.deregister(i) // of a process that has ended, targets may be there
		if i.answered(w.now) != "" {
			i.State = TerminatingProceed
		}
	case TerminatingProceed:
		w.deregister(i)
	case Standby:
	}
}

// launch brings an instance into service: its process, the hooks, the target
// groups.
func (w *step) launch(i *Instance, process ProcessState) {
	if process == NotStarted && !i.Returning {
		w.do(Start, i, "")
		return
	}
	if i.State == Pending {
		if !i.Hooked && !i.Returning && w.group.holdUp(i, Launching, w.now) {
			i.State = PendingWait
			return
		}
		i.State = PendingProceed
	}
	if i.State == PendingWait {
		switch i.answered(w.now) {
		case "":
			return
		case Abandon:
			w.group.terminate(i, "its launch was abandoned by a lifecycle hook", w.now)
			return
		}
		i.State = PendingProceed
	}
	i.Waits = nil
	i.Apart = w.group.suspends("AddToLoadBalancer")
	if !w.register(i) {
		return
	}
	i.State, i.Serving, i.Returning = InService, w.now, false
	w.group.end(i, "", w.now)
}

// register has an instance registered with all target groups of its group that
// exist, and tells whether it is.
func (w *step) register(i *Instance) bool {
	if i.Apart {
		return true
	}
	all := true
	for _, s := range w.group.Sources {
		targets, exists := w.facts.Targets[s.ARN]
		if s.State == Removing || !exists || slices.Contains(i.Registered, s.ARN) {
			continue
		}
		if state, ok := targets[i.Target()]; ok && state != elb.Draining {
			i.Registered = append(i.Registered, s.ARN)
			continue
		}
		w.do(Register, i, s.ARN)
		all = false
	}
	return all
}

// deregister has an instance deregistered from all target groups that know it,
// and tells whether none does.
func (w *step) deregister(i *Instance) bool {
	none := true
	arns := slices.Clone(i.Registered)
	for _, s := range w.group.Sources {
		if !slices.Contains(arns, s.ARN) {
			arns = append(arns, s.ARN)
		}
	}
	for _, arn := range arns {
		state, there := w.facts.Targets[arn][i.Target()]
		if !there {
			continue
		}
		none = false
		if state != elb.Draining {
			w.do(Deregister, i, arn)
		}
	}
	if none {
		i.Registered = nil
	}
	return none
}

// takesTraffic tells whether an instance is still registered somewhere.
func (w *step) takesTraffic(i *Instance) bool {
	for _, targets := range w.facts.Targets {
		if state, there := targets[i.Target()]; there && state != elb.Draining {
			return true
		}
	}
	return false
}

// over ends the process of an instance, and tells whether nothing is left of it.
func (w *step) over(i *Instance) bool {
	if process := w.facts.Processes[i.ID]; process == NotStarted || process == Ended {
		return true
	}
	stop := DefaultStopTimeout
	if t, _ := w.state.find(i.Template); t != nil {
		stop = t.Stop()
	}
	switch {
	case i.Stopping.IsZero():
		i.Stopping = w.now
		w.do(Ask, i, "")
	case !w.now.Before(i.Stopping.Add(stop)):
		w.do(Kill, i, "")
	}
	return false
}

func (w *step) do(deed Deed, i *Instance, group string) {
	w.actions = append(w.actions, Action{deed, i.ID, group})
}

// failed ends an instance that did not get as far as to serve, or did not for
// long. The more of them in a row, the longer it takes until there is another.
func (w *step) failed(i *Instance, cause string) {
	p := &w.group.Launches
	p.Failures++
	p.Last, p.Until = w.now, w.now
	most := maxPause
	if w.runs(i.Template) {
		most = minPause
	}
	if p.Failures > 1 {
		p.Until = w.now.Add(min(minPause<<min(p.Failures-2, 16), most))
	}
	w.group.terminate(i, cause, w.now)
}

// runs tells whether an instance of a template's version has served for a while, so
// that the fault is not the program's alone.
func (w *step) runs(template TemplateRef) bool {
	return slices.ContainsFunc(w.group.Instances, func(i Instance) bool {
		return i.Template == template && i.State == InService && i.Unhealthy == "" && w.now.Sub(i.Launched) >= shortLife
	})
}

// examine replaces instances that are not healthy.
func (w *step) examine() {
	g := w.group
	for n := range g.Instances {
		i := &g.Instances[n]
		if i.State != InService {
			continue
		}
		ended := w.facts.Processes[i.ID] == Leftover || w.facts.Processes[i.ID] == Ended || w.facts.Processes[i.ID] == NotStarted
		if i.Unhealthy == "" && !g.suspends("HealthCheck") {
			switch {
			case ended:
				i.Unhealthy = "its process had ended (EC2 health check)"
			case w.rejected(i):
				i.Unhealthy = "a target group held it for unhealthy (ELB health check)"
			}
		}
		if !ended && i.Launched.After(g.Launches.Last) && w.now.Sub(i.Launched) >= shortLife {
			g.Launches.Failures = 0
		}
		switch {
		case i.Unhealthy == "" || g.suspends("ReplaceUnhealthy") || g.suspends("Terminate"):
		case ended && w.now.Sub(i.Launched) < shortLife:
			w.failed(i, i.Unhealthy)
		default:
			g.terminate(i, i.Unhealthy, w.now)
		}
	}
}

// rejected tells whether a load balancer's verdict is that an instance is to be
// replaced. It is listened to when the grace period is over, and only once the
// target group has had a healthy target.
func (w *step) rejected(i *Instance) bool {
	g := w.group
	if !g.asksBalancer() || w.now.Before(i.Serving.Add(g.Grace)) {
		return false
	}
	return slices.ContainsFunc(g.Sources, func(s Source) bool {
		return s.State == SourceInService && w.facts.Targets[s.ARN][i.Target()] == elb.Unhealthy
	})
}

// resize launches and ends instances until there are as many as there are to be.
func (w *step) resize(surge int) {
	g := w.group
	if g.Deleting {
		for n := range g.Instances {
			if i := &g.Instances[n]; !i.State.Ending() {
				g.terminate(i, "the group is being deleted", w.now)
			}
		}
		return
	}
	wanted, active := g.Desired+surge, g.Active()
	for ; active > wanted && !g.suspends("Terminate"); active-- {
		i := w.surplus()
		if i == nil {
			break // all others are protected
		}
		g.terminate(i, fmt.Sprintf("the group had %d instances and was to have %d", active, wanted), w.now)
	}
	if g.suspends("Launch") || w.now.Before(g.Launches.Until) {
		return
	}
	for ; active < wanted; active++ {
		if !w.add(fmt.Sprintf("the group had %d instances and was to have %d", active, wanted)) {
			break
		}
	}
}

// add makes a new instance.
func (w *step) add(cause string) bool {
	g := w.group
	template, ref := w.state.find(g.Template)
	cause = fmt.Sprintf("At %s %s.", w.now.Format(time.RFC3339), cause)
	at, err := netip.AddrPort{}, error(elb.Errorf(elb.CodeValidation, "launch template %s is not there any more", g.Template))
	if template != nil {
		at, err = template.Place(w.state.taken(), w.facts.Free)
	}
	if err != nil {
		p := &g.Launches
		p.Failures++
		p.Last, p.Until = w.now, w.now.Add(min(minPause<<min(p.Failures, 16), maxPause))
		g.note(Activity{Description: "Launching a new EC2 instance", Cause: cause, Start: w.now, End: w.now, Failed: true, Message: err.Error()})
		return false
	}
	g.Instances = append(g.Instances, Instance{
		ID: instanceID(), Zone: w.emptiest(), Address: at, Template: ref,
		State: Pending, Protected: g.ProtectNew, Launched: w.now,
	})
	i := &g.Instances[len(g.Instances)-1]
	g.begin(i, "Launching a new EC2 instance: "+i.ID, cause, w.now)
	w.do(Start, i, "")
	return true
}

// taken returns where instances listen, or will.
func (s *State) taken() map[netip.AddrPort]bool {
	taken := make(map[netip.AddrPort]bool)
	for _, g := range s.Groups {
		for i := range g.Instances {
			taken[g.Instances[i].Address] = true
		}
	}
	return taken
}

// attachments says how far each target group's attachment is.
func (w *step) attachments() {
	g := w.group
	for n := range g.Sources {
		s := &g.Sources[n]
		switch s.State {
		case Removing:
			w.detach(s)
		case Adding, Added:
			if s.State == Adding && w.allRegistered(s.ARN) {
				s.State = Added
			}
			if s.State == Added && w.healthyOf(s.ARN) > 0 {
				s.State = SourceInService
			}
		case SourceInService:
		}
	}
	g.Sources = slices.DeleteFunc(g.Sources, func(s Source) bool { return s.State == Removing && w.detached(s.ARN) })
}

func (w *step) allRegistered(arn string) bool {
	if _, exists := w.facts.Targets[arn]; !exists {
		return false
	}
	return !slices.ContainsFunc(w.group.Instances, func(i Instance) bool {
		return i.State.Active() && !i.Apart && !slices.Contains(i.Registered, arn)
	})
}

func (w *step) healthyOf(arn string) int {
	healthy := 0
	for n := range w.group.Instances {
		if w.facts.Targets[arn][w.group.Instances[n].Target()] == elb.Healthy {
			healthy++
		}
	}
	return healthy
}

func (w *step) detach(s *Source) {
	for n := range w.group.Instances {
		i := &w.group.Instances[n]
		if state, there := w.facts.Targets[s.ARN][i.Target()]; there && state != elb.Draining {
			w.do(Deregister, i, s.ARN)
		}
	}
}

func (w *step) detached(arn string) bool {
	for n := range w.group.Instances {
		if _, there := w.facts.Targets[arn][w.group.Instances[n].Target()]; there {
			return false
		}
	}
	w.group.forget(arn)
	return true
}
