package autoscaling

import (
	"slices"
	"time"

	"hale/internal/elb"
)

// Refresh replaces a group's instances, some at a time.
type Refresh struct {
	ID         string // a UUID
	Status     RefreshStatus
	Reason     string `json:",omitempty"` // of the status
	Start, End time.Time
	// Template is the one that the group is to have from then on; nil: its own.
	Template *TemplateRef `json:",omitempty"`
	Preferences
	Instances []string  // those that are replaced
	Progress  time.Time // when the last one went, or a new one came into service
	Replaced  int       // how many have gone
	// Checkpoint is how many of Checkpoints were waited for, or are; Held is until
	// when.
	Checkpoint int       `json:",omitempty"`
	Held       time.Time `json:",omitzero"`
}

// Preferences say how a refresh goes (API, RefreshPreferences).
type Preferences struct {
	MinHealthy, MaxHealthy int            // per cent of the desired capacity
	Warmup                 *time.Duration `json:",omitempty"` // nil: the group's
	SkipMatching           bool           `json:",omitempty"`
	Checkpoints            []int          `json:",omitempty"` // per cent of the instances that are replaced
	CheckpointDelay        time.Duration
	// Protected and InStandby say what becomes of instances that are protected from
	// scale-in, and of those in Standby: RefreshIgnore, RefreshWait, or any other for
	// those that are replaced.
	Protected, InStandby string
}

// What becomes of instances that a refresh must not simply replace. It waits for an
// hour until people have unprotected them, or taken them out of Standby.
const (
	RefreshIgnore = "Ignore"
	RefreshWait   = "Wait"
)

// RefreshStatus is how far a refresh is (API, InstanceRefreshStatus).
type RefreshStatus string

// Statuses.
const (
	RefreshPending    RefreshStatus = "Pending"
	RefreshInProgress RefreshStatus = "InProgress"
	RefreshSuccessful RefreshStatus = "Successful"
	RefreshFailed     RefreshStatus = "Failed"
	RefreshCancelling RefreshStatus = "Cancelling"
	RefreshCancelled  RefreshStatus = "Cancelled"
)

// Running tells whether a refresh goes on.
func (s RefreshStatus) Running() bool {
	return s == RefreshPending || s == RefreshInProgress || s == RefreshCancelling
}

// Defaults and limits (API, RefreshPreferences).
const (
	DefaultMinHealthy      = 90
	DefaultMaxHealthy      = 100
	DefaultCheckpointDelay = time.Hour
	mostRefreshes          = 20
	refreshPatience        = time.Hour // without progress; then it fails
)

// StartRefresh begins to replace a group's instances. With a template, the group
// launches by that one from then on.
func (e *Edit) StartRefresh(name string, template *TemplateRef, p Preferences) (*Refresh, error) {
	g, err := e.changeable(name)
	if err != nil {
		return nil, err
	}
	if r := g.refreshing(); r != nil {
		return nil, elb.Errorf("InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if template != nil {
		if t, _ := e.next.find(*template); t == nil {
			return nil, elb.Errorf(elb.CodeValidation, "The specified launch template, with template name %s, does not exist here", *template)
		}
		g.Template = *template
	}
	_, now := e.next.find(g.Template)
	r := Refresh{ID: uuid(), Status: RefreshPending, Start: e.now, Progress: e.now, Template: template, Preferences: p}
	for n := range g.Instances {
		i := &g.Instances[n]
		switch {
		case i.State.Ending() || p.SkipMatching && i.Template == now:
		case i.Protected && p.Protected == RefreshIgnore || !i.State.Active() && p.InStandby == RefreshIgnore:
		default:
			r.Instances = append(r.Instances, i.ID)
		}
	}
	g.Refreshes = slices.Insert(g.Refreshes, 0, r)
	g.Refreshes = g.Refreshes[:min(len(g.Refreshes), mostRefreshes)]
	return &g.Refreshes[0], nil
}

func (p Preferences) check() error {
	last := 0
	for _, at := range p.Checkpoints {
		if at <= last || at > 100 {
			return elb.Errorf(elb.CodeValidation, "CheckpointPercentages are numbers from 1 to 100, each greater than the one before")
		}
		last = at
	}
	switch {
	case p.MinHealthy < 0 || p.MinHealthy > 100:
		return elb.Errorf(elb.CodeValidation, "MinHealthyPercentage is 0 to 100")
	case p.MaxHealthy < 100 || p.MaxHealthy > 200:
		return elb.Errorf(elb.CodeValidation, "MaxHealthyPercentage is 100 to 200")
	case p.MaxHealthy-p.MinHealthy > 100:
		return elb.Errorf(elb.CodeValidation, "The difference between MaxHealthyPercentage and MinHealthyPercentage is 100 at most")
	case p.CheckpointDelay < 0 || p.CheckpointDelay > 48*time.Hour:
		return elb.Errorf(elb.CodeValidation, "CheckpointDelay is 0 to 172800 seconds")
	}
	return nil
}

// CancelRefresh ends the refresh that goes on. What was replaced stays replaced.
func (e *Edit) CancelRefresh(name string) (*Refresh, error) {
	g, err := e.Group(name)
	if err != nil {
		return nil, err
	}
	r := g.refreshing()
	if r == nil {
		return nil, elb.Errorf("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for Auto Scaling group %s", name)
	}
	r.Status = RefreshCancelling
	return r, nil
}

func (g *Group) refreshing() *Refresh {
	if len(g.Refreshes) > 0 && g.Refreshes[0].Status.Running() {
		return &g.Refreshes[0]
	}
	return nil
}

func (g *Group) endRefreshes(status RefreshStatus, reason string, now time.Time) {
	if r := g.refreshing(); r != nil {
		r.Status, r.Reason, r.End = status, reason, now
	}
}

// Complete returns which share of the instances has been replaced, in per cent,
// and how many are left.
func (r *Refresh) Complete() (percent, left int) {
	if r.Status == RefreshSuccessful || len(r.Instances) == 0 {
		return 100, 0
	}
	return r.Replaced * 100 / len(r.Instances), len(r.Instances) - r.Replaced
}

// replacedFirst has instances that a refresh is about to replace go before others.
func (w *step) replacedFirst(a, b *Instance) int {
	r := w.group.refreshing()
	if r == nil {
		return 0
	}
	return first(slices.Contains(r.Instances, b.ID), slices.Contains(r.Instances, a.ID))
}

// refresh moves a refresh on. It ends instances that are to be replaced, as many as
// may be missing, and returns how many more than desired there may be meanwhile;
// resize launches the new ones.
func (w *step) refresh() (surge int) {
	g := w.group
	r := g.refreshing()
	switch {
	case r == nil:
		return 0
	case r.Status == RefreshCancelling:
		g.endRefreshes(RefreshCancelled, "Cancelled due to user request", w.now)
		return 0
	case g.suspends("InstanceRefresh"):
		return 0
	}
	r.Status = RefreshInProgress
	old, ready, active := w.census(r)
	w.count(r, len(old))
	patience := refreshPatience
	if len(r.Checkpoints) > 0 {
		patience += r.CheckpointDelay
	}
	if w.now.Sub(r.Progress) > patience {
		g.endRefreshes(RefreshFailed, "No instance could be replaced for an hour", w.now)
		return 0
	}
	if len(old) == 0 {
		if ready >= g.Desired && active <= g.Desired {
			g.endRefreshes(RefreshSuccessful, "", w.now)
		}
		return 0
	}
	allowed := w.untilCheckpoint(r, len(old))
	if allowed == 0 {
		return 0
	}
	most := g.Desired * r.MaxHealthy / 100
	if r.MaxHealthy > 100 {
		most = max(most, g.Desired+1)
	}
	surge = min(most-g.Desired, allowed)
	spare := ready - (g.Desired*r.MinHealthy+99)/100
	if spare <= 0 && surge == 0 && ready >= g.Desired {
		spare = 1 // or it would never come to an end
	}
	for _, i := range old {
		serving := w.ready(i, r)
		if allowed == 0 || serving && spare <= 0 || i.Protected && r.Protected == RefreshWait || !i.State.Active() && r.InStandby == RefreshWait {
			continue
		}
		if serving {
			spare--
		}
		allowed--
		r.Progress = w.now
		g.terminate(i, "it was taken out of service by an instance refresh", w.now)
	}
	return min(surge, g.remaining(r))
}

// census returns the instances that are still to be replaced, and counts those
// that are ready and those that are active.
func (w *step) census(r *Refresh) (old []*Instance, ready, active int) {
	for n := range w.group.Instances {
		i := &w.group.Instances[n]
		if i.State.Ending() {
			continue
		}
		if slices.Contains(r.Instances, i.ID) {
			old = append(old, i)
		}
		if w.ready(i, r) {
			ready++
		}
		if i.State.Active() {
			active++
		}
	}
	return old, ready, active
}

func (g *Group) remaining(r *Refresh) int {
	left := 0
	for n := range g.Instances {
		if i := &g.Instances[n]; !i.State.Ending() && slices.Contains(r.Instances, i.ID) {
			left++
		}
	}
	return left
}

func (w *step) count(r *Refresh, left int) {
	if replaced := len(r.Instances) - left; replaced != r.Replaced {
		r.Replaced, r.Progress = replaced, w.now
	}
}

// ready tells whether an instance serves, for long enough, and no target group says
// that it does not.
func (w *step) ready(i *Instance, r *Refresh) bool {
	warmup := w.group.Grace
	if w.group.Warmup != nil {
		warmup = *w.group.Warmup
	}
	if r.Warmup != nil {
		warmup = *r.Warmup
	}
	if i.State != InService || i.Unhealthy != "" {
		return false
	}
	if !i.Launched.Before(r.Start) && w.now.Before(i.Serving.Add(warmup)) {
		return false
	}
	return !slices.ContainsFunc(w.group.Sources, func(s Source) bool {
		state := w.facts.Targets[s.ARN][i.Target()]
		return s.State == SourceInService && (state == elb.Unhealthy || state == elb.Initial)
	})
}

// untilCheckpoint returns how many instances may be replaced before the next
// checkpoint, and waits at one.
func (w *step) untilCheckpoint(r *Refresh, left int) int {
	all := len(r.Instances)
	for ; r.Checkpoint < len(r.Checkpoints); r.Checkpoint++ {
		upTo := (all*r.Checkpoints[r.Checkpoint] + 99) / 100
		if replaced := all - left; replaced < upTo {
			return upTo - replaced
		}
		if r.Held.IsZero() {
			r.Held = w.now.Add(r.CheckpointDelay)
		}
		if w.now.Before(r.Held) {
			r.Reason = "Waiting at a checkpoint until " + r.Held.Format(time.RFC3339)
			return 0
		}
		r.Held, r.Reason = time.Time{}, ""
	}
	return left
}
