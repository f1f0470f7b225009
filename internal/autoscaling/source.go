package autoscaling

import (
	"slices"
	"time"

	"hale/internal/elb"
)

// mostSources is how many target groups one call names (API,
// AttachLoadBalancerTargetGroups), and a group has.
const (
	mostSourcesOfCall = 10
	mostSources       = 50
)

// Attach has a group's instances registered with target groups. One that is
// attached stays as it is.
func (e *Edit) Attach(name string, arns []string) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	if len(arns) > mostSourcesOfCall {
		return elb.Errorf(elb.CodeValidation, "You can name %d target groups at most in one call", mostSourcesOfCall)
	}
	for _, arn := range arns {
		if e.place.TargetGroup == nil {
			return elb.Errorf(elb.CodeValidation, "There are no target groups here")
		}
		if err := e.place.TargetGroup(arn); err != nil {
			return err
		}
	}
	for _, arn := range arns {
		switch s := g.source(arn); {
		case s == nil:
			g.Sources = append(g.Sources, Source{arn, Adding})
		case s.State == Removing:
			s.State = Adding
			g.forget(arn)
		}
	}
	if len(g.Sources) > mostSources {
		return elb.Errorf("LimitExceeded", "A group can be attached to %d target groups at most", mostSources)
	}
	return nil
}

// Detach has a group's instances deregistered from target groups, which drains
// them.
func (e *Edit) Detach(name string, arns []string) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	for _, arn := range arns {
		s := g.source(arn)
		if s == nil || s.State == Removing {
			return elb.Errorf(elb.CodeValidation, "Target group %s is not attached to AutoScalingGroup %s", arn, name)
		}
	}
	for _, arn := range arns {
		g.source(arn).State = Removing
	}
	return nil
}

// forget has instances registered anew with a target group.
func (g *Group) forget(arn string) {
	for i := range g.Instances {
		n := &g.Instances[i]
		n.Registered = slices.DeleteFunc(n.Registered, func(of string) bool { return of == arn })
	}
}

// Activity is what a group did (API, Activity).
type Activity struct {
	ID                 string // a UUID
	Instance           string `json:",omitempty"`
	Description, Cause string
	Start              time.Time
	End                time.Time `json:",omitzero"` // zero: it goes on
	Failed             bool      `json:",omitempty"`
	Message            string    `json:",omitempty"`
}

// mostActivities is how many are kept of a group.
const mostActivities = 100

// begin notes an activity of an instance, in the place of one that goes on.
func (g *Group) begin(i *Instance, description, cause string, now time.Time) {
	g.end(i, "", now)
	i.Activity = g.note(Activity{Instance: i.ID, Description: description, Cause: cause, Start: now})
}

func (g *Group) note(a Activity) string {
	a.ID = uuid()
	g.Activities = slices.Insert(g.Activities, 0, a)
	g.Activities = g.Activities[:min(len(g.Activities), mostActivities)]
	return a.ID
}

// end ends the activity of an instance, as one that failed if a message says why.
func (g *Group) end(i *Instance, message string, now time.Time) {
	for n := range g.Activities {
		if a := &g.Activities[n]; a.ID == i.Activity {
			a.End, a.Failed, a.Message = now, message != "", message
		}
	}
	i.Activity = ""
}
