package host

import (
	"cmp"
	"context"

	"hale/internal/autoscaling"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

// Inventories is a load balancer that consists of an inventory.
type Inventories interface {
	Inventory() *inventory.Inventory
	Change(ctx context.Context, change func(*inventory.Edit) error) error
	TargetHealth(group string) []inventory.TargetStatus
	// Recheck looks again at whether instances among the targets still run.
	Recheck()
}

// Over returns the balancer that instances are registered with: those of an
// inventory's target groups whose targets are instances.
func Over(b Inventories) Balancer { return over{b} }

type over struct{ Inventories }

func (o over) TargetGroup(arn string) error { return TargetGroup(o.Inventory(), arn) }

// TargetGroup refuses, with an *elb.Error, what is no target group of an inventory
// that instances can be registered with.
func TargetGroup(v *inventory.Inventory, arn string) error {
	g := v.Groups[arn]
	switch {
	case g == nil:
		return elb.Errorf(elb.CodeValidation, "Provided Target Groups may not be valid. Please ensure they exist and try again: %s", arn)
	case cmp.Or(g.Kind.Targets, elb.Instances) != elb.Instances:
		return elb.Errorf(elb.CodeValidation, "Provided Target Groups may not be valid: the targets of %s are of type %s, and have to be of type instance", arn, g.Kind.Targets)
	}
	return nil
}

func (o over) Targets(arn string) (map[autoscaling.Target]elb.State, bool) {
	if o.Inventory().Groups[arn] == nil {
		return nil, false
	}
	targets := make(map[autoscaling.Target]elb.State)
	for _, t := range o.TargetHealth(arn) {
		targets[autoscaling.Target{Instance: t.ID, Port: t.Port}] = t.State
	}
	return targets, true
}

func (o over) Register(ctx context.Context, arn string, target autoscaling.Target) error {
	return o.Change(ctx, func(e *inventory.Edit) error {
		_, err := e.Register(arn, []inventory.Target{{TargetID: idOf(target)}})
		return err
	})
}

func (o over) Deregister(ctx context.Context, arn string, target autoscaling.Target) error {
	return o.Change(ctx, func(e *inventory.Edit) error {
		_, err := e.Deregister(arn, []inventory.TargetID{idOf(target)})
		return err
	})
}

func idOf(t autoscaling.Target) inventory.TargetID {
	return inventory.TargetID{ID: t.Instance, Port: t.Port}
}
