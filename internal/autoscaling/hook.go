package autoscaling

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"hale/internal/elb"
)

// Transition is the moment in an instance's life that a hook holds up.
type Transition string

// Transitions (API, LifecycleTransition).
const (
	Launching Transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
	Leaving   Transition = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// Results of a lifecycle action.
const (
	Continue = "CONTINUE"
	Abandon  = "ABANDON"
)

// Hook holds instances up until somebody says that they may go on.
type Hook struct {
	Name       string
	Transition Transition
	Heartbeat  time.Duration // after which Default is taken
	Default    string        // CONTINUE or ABANDON
	Metadata   string        `json:",omitempty"`
}

// Limits and defaults of hooks (API, PutLifecycleHook; guide, "Lifecycle hooks").
const (
	DefaultHeartbeat = time.Hour
	leastHeartbeat   = 30 * time.Second
	mostHeartbeat    = 2 * time.Hour
	longestWait      = 48 * time.Hour
	mostHeartbeats   = 100
	mostHooks        = 50
)

// Limit is how long an instance waits at most, heartbeats or not.
func (h Hook) Limit() time.Duration { return min(longestWait, mostHeartbeats*h.Heartbeat) }

// Wait is an instance that waits for a hook.
type Wait struct {
	Hook     string
	Token    string
	Default  string
	Beat     time.Duration // the hook's heartbeat time-out
	Deadline time.Time     // when the default is taken
	Latest   time.Time     // which heartbeats cannot move the deadline beyond
	Result   string        `json:",omitempty"` // empty: it goes on
}

var hookName = regexp.MustCompile(`^[A-Za-z0-9\-_/]{1,255}$`) // API, LifecycleHookName

// PutHook adds a hook or changes one. What is zero stays as it is, or has the
// API's default. Instances that wait do so by what the hook was.
func (e *Edit) PutHook(name string, h Hook) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(g.Hooks, func(o Hook) bool { return o.Name == h.Name })
	if at >= 0 {
		old := g.Hooks[at]
		h.Transition = cmp.Or(h.Transition, old.Transition)
		h.Heartbeat = cmp.Or(h.Heartbeat, old.Heartbeat)
		h.Default = cmp.Or(h.Default, old.Default)
		h.Metadata = cmp.Or(h.Metadata, old.Metadata)
	}
	h.Heartbeat = cmp.Or(h.Heartbeat, DefaultHeartbeat)
	h.Default = cmp.Or(h.Default, Abandon)
	switch {
	case !hookName.MatchString(h.Name):
		return elb.Errorf(elb.CodeValidation, "Lifecycle hook name %q: a name has 1 to 255 letters, digits and - _ /", h.Name)
	case h.Transition != Launching && h.Transition != Leaving:
		return elb.Errorf(elb.CodeValidation, "LifecycleTransition of hook %s is %s or %s", h.Name, Launching, Leaving)
	case h.Heartbeat < leastHeartbeat || h.Heartbeat > mostHeartbeat:
		return elb.Errorf(elb.CodeValidation, "HeartbeatTimeout of hook %s is 30 to 7200 seconds", h.Name)
	case h.Default != Continue && h.Default != Abandon:
		return elb.Errorf(elb.CodeValidation, "DefaultResult of hook %s is %s or %s", h.Name, Continue, Abandon)
	}
	if at >= 0 {
		g.Hooks[at] = h
		return nil
	}
	if len(g.Hooks) == mostHooks {
		return elb.Errorf("LimitExceeded", "A group can have %d lifecycle hooks at most", mostHooks)
	}
	g.Hooks = append(g.Hooks, h)
	slices.SortFunc(g.Hooks, func(a, b Hook) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// DeleteHook removes a hook. Instances that wait for it wait no more: those that
// launch are abandoned, the others go on.
func (e *Edit) DeleteHook(name, hook string) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(g.Hooks, func(o Hook) bool { return o.Name == hook })
	if at < 0 {
		return noHook(name, hook)
	}
	result := Continue
	if g.Hooks[at].Transition == Launching {
		result = Abandon
	}
	g.Hooks = slices.Delete(g.Hooks, at, at+1)
	for i := range g.Instances {
		for n := range g.Instances[i].Waits {
			if w := &g.Instances[i].Waits[n]; w.Hook == hook {
				w.Result = cmp.Or(w.Result, result)
			}
		}
	}
	return nil
}

func noHook(group, hook string) error {
	return elb.Errorf(elb.CodeValidation, "No lifecycle hook found with name %s for AutoScalingGroup %s", hook, group)
}

// CompleteAction ends the wait of an instance for a hook, with CONTINUE or
// ABANDON. The wait is named by the instance or by the token.
func (e *Edit) CompleteAction(name, hook, instance, token, result string) error {
	if result != Continue && result != Abandon {
		return elb.Errorf(elb.CodeValidation, "LifecycleActionResult is %s or %s", Continue, Abandon)
	}
	w, err := e.wait(name, hook, instance, token)
	if err != nil {
		return err
	}
	w.Result = result
	return nil
}

// Heartbeat begins the hook's time-out for an instance anew.
func (e *Edit) Heartbeat(name, hook, instance, token string) error {
	w, err := e.wait(name, hook, instance, token)
	if err != nil {
		return err
	}
	w.Deadline = e.now.Add(w.Beat)
	if w.Deadline.After(w.Latest) {
		w.Deadline = w.Latest
	}
	return nil
}

func (e *Edit) wait(name, hook, instance, token string) (*Wait, error) {
	g, err := e.Group(name)
	if err != nil {
		return nil, err
	}
	for i := range g.Instances {
		n := &g.Instances[i]
		if instance != "" && n.ID != instance {
			continue
		}
		for j := range n.Waits {
			if w := &n.Waits[j]; w.Hook == hook && w.Result == "" && (token == "" || w.Token == token) {
				return w, nil
			}
		}
	}
	if instance == "" {
		return nil, elb.Errorf(elb.CodeValidation, "No active Lifecycle Action found with token %s", token)
	}
	return nil, elb.Errorf(elb.CodeValidation, "No active Lifecycle Action found with instance ID %s", instance)
}

// holdUp has an instance wait for all hooks of a transition, and tells whether
// there are any.
func (g *Group) holdUp(i *Instance, at Transition, now time.Time) bool {
	i.Hooked = true
	i.Waits = nil
	for _, h := range g.Hooks {
		if h.Transition == at {
			i.Waits = append(i.Waits, Wait{
				Hook: h.Name, Token: uuid(), Default: h.Default, Beat: h.Heartbeat,
				Deadline: now.Add(h.Heartbeat), Latest: now.Add(h.Limit()),
			})
		}
	}
	return len(i.Waits) > 0
}

// answered returns what the hooks have come to: empty while one of them is waited
// for. One that abandons decides at once.
func (i *Instance) answered(now time.Time) string {
	result := Continue
	for n := range i.Waits {
		w := &i.Waits[n]
		if w.Result == "" && !now.Before(w.Deadline) {
			w.Result = w.Default
		}
		switch w.Result {
		case Abandon:
			return Abandon
		case "":
			result = ""
		}
	}
	return result
}
