package config

import (
	"slices"

	"hale/health"
	"hale/internal/elb"
)

// Clock returns when the instance's own verdict turns, and how it leaves: what
// has to fit a load balancer's times. Of the checks, those are in it that can
// fail the answer to the load balancer.
func (c *Config) Clock() elb.Instance {
	clock := elb.Instance{Notice: elb.Known(c.Drain.Notice), Finish: elb.Known(c.Drain.Finish)}
	for i := range c.Health.Checks {
		k := &c.Health.Checks[i]
		ready := len(k.Profile) == 0 || slices.Contains(k.Profile, Profile(health.ProfileReady))
		if k.Impact == health.Critical && ready {
			clock.Checks = append(clock.Checks, k.clocks("", 0, 0)...)
		}
	}
	return clock
}

// clocks are a check's own, or those of a group's members. A group that is to
// fail counts on from the answer with which its member failed, so that
// thresholds add up.
func (c *Check) clocks(of string, rise, fall int) []elb.Check {
	name := of + c.Name
	rise, fall = rise+max(c.Rise, 1), fall+max(c.Fall, 1)
	members := c.Members()
	if len(members) == 0 {
		return []elb.Check{{Name: name, Interval: c.Interval, Timeout: c.Timeout, Rise: rise, Fall: fall}}
	}
	var all []elb.Check
	for i := range members {
		all = append(all, members[i].clocks(name+": ", rise-1, fall-1)...)
	}
	return all
}
