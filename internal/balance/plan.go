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
	if err := certificates.Use(named(file, dir)); err != nil {
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
	scaling := new(autoscaling.State)
	if dir != "" {
		if scaling, err = host.Kept(dir); err != nil {
			return nil, err
		}
	}
	more, err := planScaling(file, scaling, edit.Inventory())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ConfigFile, err)
	}
	return append(steps, more...), nil
}
