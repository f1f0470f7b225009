package balance

import (
	"fmt"
	"net/netip"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/autoscaling/host"
	"hale/internal/balancer"
	"hale/internal/balancer/certificate"
	"hale/internal/balancer/configuration"
	"hale/internal/balancer/inventory"
)

// Plan returns what Run would do to what the state directory holds, and does
// nothing.
func Plan(o Options) ([]configuration.Step, error) {
	file, err := (&server{options: o}).load()
	if err != nil {
		return nil, err
	}
	dir, err := stateDirectory(file, o)
	if err != nil {
		return nil, err
	}
	var certificates certificate.Store
	if err := certificates.Use(sources(file, dir)); err != nil {
		return nil, err
	}
	kept := new(inventory.Inventory)
	if dir != "" {
		if kept, err = balancer.Kept(dir); err != nil {
			return nil, err
		}
	}
	place := file.Place()
	// Which instances run, only a balancer at work knows.
	place.Instance = func(string) (netip.Addr, bool) { return netip.Addr{}, true }
	edit := kept.Begin(place, time.Now())
	steps, err := file.Apply(edit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ConfigFile, err)
	}
	changes, err := planScaling(file, dir, edit.Inventory())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ConfigFile, err)
	}
	for _, c := range changes {
		steps = append(steps, scalingStep(c))
	}
	return steps, nil
}

// planScaling is Plan for Auto Scaling groups, over what the balancer will have.
func planScaling(file *configuration.File, dir string, planned *inventory.Inventory) ([]autoscaling.Change, error) {
	kept := new(autoscaling.State)
	if dir != "" {
		var err error
		if kept, err = host.Kept(dir); err != nil {
			return nil, err
		}
	}
	edit := kept.Begin(autoscaling.Place{
		Region: file.Region, Account: string(file.Account),
		TargetGroup: func(arn string) error { return host.TargetGroup(planned, arn) },
	}, time.Now())
	if err := edit.SetTemplates(file.Templates()); err != nil {
		return nil, err
	}
	return edit.Apply(file.Scaling(planned))
}
