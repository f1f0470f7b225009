package autoscaling

import (
	"fmt"
	"time"

	"hale/internal/elb"
)

// SetHealth says whether an instance is healthy. One that is not is replaced;
// with respect set, not while its grace period lasts.
func (e *Edit) SetHealth(id string, healthy, respect bool) error {
	g, i, err := e.instance(id)
	if err != nil {
		return err
	}
	switch {
	case healthy:
		i.Unhealthy = ""
	case respect && (i.Serving.IsZero() || e.now.Before(i.Serving.Add(g.Grace))):
	default:
		i.Unhealthy = "it was set unhealthy by a user"
	}
	return nil
}

// Terminate ends an instance. With decrement set, it is not replaced.
func (e *Edit) Terminate(id string, decrement bool) (*Group, Activity, error) {
	g, i, err := e.instance(id)
	if err != nil {
		return nil, Activity{}, err
	}
	if i.State.Ending() {
		return nil, Activity{}, elb.Errorf("ScalingActivityInProgress", "Instance %s is being terminated", id)
	}
	if decrement {
		if err := g.decrement(1); err != nil {
			return nil, Activity{}, err
		}
		g.Scaled = e.now
	}
	g.terminate(i, "it was taken out of service in response to a user request", e.now)
	return g, g.Activities[0], nil
}

func (e *Edit) instance(id string) (*Group, *Instance, error) {
	g, i := e.next.Instance(id)
	if i == nil {
		return nil, nil, elb.Errorf(elb.CodeValidation, "Instance Id not found - No managed instance found for instance ID %s", id)
	}
	if g.Deleting {
		_, err := e.changeable(g.Name)
		return nil, nil, err
	}
	return g, i, nil
}

// decrement makes the group smaller, if its limits allow that.
func (g *Group) decrement(by int) error {
	if g.Desired-by < g.Min {
		return elb.Errorf(elb.CodeValidation, "Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", g.Min)
	}
	g.Desired -= by
	return nil
}

// terminate has an instance go: deregistered first, then the hooks, then the end
// of its process.
func (g *Group) terminate(i *Instance, cause string, now time.Time) {
	if !i.Serving.IsZero() {
		g.end(i, "", now)
	} else {
		g.end(i, "The instance did not come into service: "+cause, now)
	}
	i.State, i.Hooked, i.Waits = Terminating, false, nil
	g.begin(i, "Terminating EC2 instance: "+i.ID, fmt.Sprintf("At %s %s.", now.Format(time.RFC3339), cause), now)
}

// EnterStandby takes instances out of service without ending them. With decrement
// set, they are not replaced.
func (e *Edit) EnterStandby(name string, ids []string, decrement bool) ([]Activity, error) {
	return e.move(name, ids, InService, func(g *Group, i *Instance) {
		i.State = EnteringStandby
		cause := "it was moved to standby in response to a user request"
		if decrement {
			cause += ", which shrank the group to " + fmt.Sprint(g.Desired)
		}
		g.begin(i, "Moving EC2 instance to Standby: "+i.ID, fmt.Sprintf("At %s %s.", e.now.Format(time.RFC3339), cause), e.now)
	}, func(g *Group) error {
		if !decrement {
			return nil
		}
		return g.decrement(len(ids))
	})
}

// ExitStandby has instances come back into service. The group grows by them.
func (e *Edit) ExitStandby(name string, ids []string) ([]Activity, error) {
	return e.move(name, ids, Standby, func(g *Group, i *Instance) {
		i.State, i.Returning, i.Serving = Pending, true, time.Time{}
		i.Registered, i.Apart = nil, false
		g.begin(i, "Moving EC2 instance out of Standby: "+i.ID, fmt.Sprintf("At %s it was moved out of standby in response to a user request.", e.now.Format(time.RFC3339)), e.now)
	}, func(g *Group) error {
		if g.Desired+len(ids) > g.Max {
			return elb.Errorf(elb.CodeValidation, "The group would have %d instances, and has %d at most", g.Desired+len(ids), g.Max)
		}
		g.Desired += len(ids)
		return nil
	})
}

func (e *Edit) move(name string, ids []string, from LifecycleState, move func(*Group, *Instance), resize func(*Group) error) ([]Activity, error) {
	g, err := e.changeable(name)
	if err != nil {
		return nil, err
	}
	moved := make(map[string]bool)
	for _, id := range ids {
		i := g.Instance(id)
		switch {
		case i == nil:
			return nil, elb.Errorf(elb.CodeValidation, "The instance %s is not part of Auto Scaling group %s.", id, name)
		case i.State != from || moved[id]:
			return nil, elb.Errorf(elb.CodeValidation, "The instance %s is not in %s.", id, from)
		}
		moved[id] = true
	}
	if err := resize(g); err != nil {
		return nil, err
	}
	var activities []Activity
	for _, id := range ids {
		move(g, g.Instance(id))
		activities = append(activities, g.Activities[0])
	}
	return activities, nil
}

// Protect says whether instances may be ended when the group shrinks.
func (e *Edit) Protect(name string, ids []string, protect bool) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if g.Instance(id) == nil {
			return elb.Errorf(elb.CodeValidation, "The instance %s is not part of Auto Scaling group %s.", id, name)
		}
	}
	for _, id := range ids {
		g.Instance(id).Protected = protect
	}
	return nil
}

// Started notes the process of an instance.
func (e *Edit) Started(id string, p Process) {
	if _, i := e.next.Instance(id); i != nil {
		i.Process = p
	}
}
