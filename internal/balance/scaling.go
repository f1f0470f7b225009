package balance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/autoscaling/host"
	"hale/internal/balancer"
	"hale/internal/balancer/configuration"
	"hale/internal/balancer/inventory"
)

// openBoth opens the host of instances, and the balancer that asks it for their
// addresses.
func (s *server) openBoth(options balancer.Options) error {
	instances, err := host.Open(host.Options{
		StateDir: s.stateDir, Region: s.file.Region, Account: string(s.file.Account), Log: s.logger,
		Templates: s.file.Templates(), KeepTemplates: s.options.ConfigFile == "",
	})
	if err != nil {
		return err
	}
	options.Place.Instance = instances.Address
	b, err := balancer.Open(options)
	if err != nil {
		return errors.Join(err, instances.Close(context.Background())) // it has started nothing
	}
	s.balancer, s.instances = b, instances
	s.useAccessLog()
	return nil
}

// scale makes the Auto Scaling groups be as a file says, which has been applied to
// the balancer.
func (s *server) scale(file *configuration.File) error {
	if s.options.ConfigFile == "" {
		return nil
	}
	var steps []configuration.Step
	err := s.instances.Change(func(e *autoscaling.Edit) (err error) {
		steps, err = putScaling(e, file, s.balancer.Inventory())
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.options.ConfigFile, err)
	}
	s.tell(steps)
	return nil
}

// planScaling returns what scale would do to a state, over what the balancer will
// have by then, and does nothing.
func planScaling(file *configuration.File, kept *autoscaling.State, planned *inventory.Inventory) ([]configuration.Step, error) {
	place := autoscaling.Place{
		Region: file.Region, Account: string(file.Account),
		TargetGroup: func(arn string) error { return host.TargetGroup(planned, arn) },
	}
	return putScaling(kept.Begin(place, time.Now()), file, planned)
}

func putScaling(e *autoscaling.Edit, file *configuration.File, v *inventory.Inventory) ([]configuration.Step, error) {
	if err := e.SetTemplates(file.Templates()); err != nil {
		return nil, err
	}
	changes, err := e.Apply(file.Scaling(v))
	if err != nil {
		return nil, err
	}
	var steps []configuration.Step
	for _, c := range changes {
		steps = append(steps, configuration.Step{Verb: configuration.Verb(c.Verb), Kind: "Auto Scaling group", Name: c.Group, Detail: c.Detail})
	}
	return steps, nil
}
