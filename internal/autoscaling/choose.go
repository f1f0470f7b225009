package autoscaling

import (
	"cmp"
	"maps"
	"slices"
)

// policies say which of two instances goes first when a group shrinks: negative
// for the first one (API, TerminationPolicies).
var policies = map[string]func(a, b *Instance) int{
	"Default":              byVersion, // of the zone that has the most, which surplus sees to
	"OldestInstance":       byAge,
	"NewestInstance":       func(a, b *Instance) int { return byAge(b, a) },
	"OldestLaunchTemplate": byVersion,
}

// Policies returns the names of termination policies.
func Policies() []string { return slices.Sorted(maps.Keys(policies)) }

func byAge(a, b *Instance) int { return a.Launched.Compare(b.Launched) }

func byVersion(a, b *Instance) int {
	if a.Template.Name != b.Template.Name {
		return 0
	}
	return cmp.Compare(a.Template.Version, b.Template.Version)
}

// surplus returns the instance that goes when the group shrinks, nil if all are
// protected: one that does not serve yet, or else one of the zone that has the
// most, by the group's policies, the oldest of those that are left.
func (w *step) surplus() *Instance {
	perZone := w.perZone()
	var candidates []*Instance
	for n := range w.group.Instances {
		if i := &w.group.Instances[n]; i.State.Active() && !i.Protected {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	return slices.MinFunc(candidates, func(a, b *Instance) int {
		order := cmp.Or(
			w.replacedFirst(a, b),
			first(b.State != InService, a.State != InService),
			cmp.Compare(perZone[b.Zone], perZone[a.Zone]),
		)
		for _, policy := range w.group.Policies {
			order = cmp.Or(order, policies[policy](a, b))
		}
		return cmp.Or(order, byAge(a, b))
	})
}

// first compares by whether something is so: who has it comes first.
func first(b, a bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

func (w *step) perZone() map[string]int {
	count := make(map[string]int)
	for n := range w.group.Instances {
		if i := &w.group.Instances[n]; i.State.Active() {
			count[i.Zone]++
		}
	}
	return count
}

// emptiest returns the zone that has the fewest instances, the first of those
// that have the same number.
func (w *step) emptiest() string {
	count := w.perZone()
	return slices.MinFunc(w.group.Zones, func(a, b string) int { return cmp.Compare(count[a], count[b]) })
}
