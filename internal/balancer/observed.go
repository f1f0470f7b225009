package balancer

import (
	"maps"
	"slices"
	"sync"
	"time"

	"hale/internal/elb"
)

// observed is what was seen of a group's targets: how many were healthy, by the
// minute, and what came of their probes. The zero value has seen nothing.
type observed struct {
	mu      sync.Mutex // guards what follows
	since   time.Time  // from when on the levels hold; zero: they are not known
	now     [2]int     // healthy, unhealthy
	minutes [keptMinutes]*hostMinute
	sent    uint64
	failed  map[elb.Reason]uint64
}

// hostMinute is what was held of a group's targets in one minute.
type hostMinute struct {
	number int64 // since 1970
	HostCounts
}

// HostCounts is how many targets of a group were healthy and unhealthy over a
// time. Those that are new, drain or are not in use are neither.
type HostCounts struct{ Healthy, Unhealthy Level }

// Level is a number over a time. The zero Level is of no time.
type Level struct {
	Min, Max int
	Time     time.Duration // that it is known of
	sum      float64       // of the number, times seconds
}

// Average returns the mean over the time, each moment counting as much.
func (l Level) Average() float64 {
	if l.Time == 0 {
		return 0
	}
	return l.sum / l.Time.Seconds()
}

// Hold adds that the number was n for so long.
func (l *Level) Hold(n int, long time.Duration) {
	l.merge(Level{Min: n, Max: n, Time: long, sum: float64(n) * long.Seconds()})
}

func (l *Level) merge(o Level) {
	if l.Time == 0 {
		*l = o
		return
	}
	if o.Time == 0 {
		return
	}
	l.Min, l.Max = min(l.Min, o.Min), max(l.Max, o.Max)
	l.Time += o.Time
	l.sum += o.sum
}

// Merge adds another time.
func (c *HostCounts) Merge(o HostCounts) {
	c.Healthy.merge(o.Healthy)
	c.Unhealthy.merge(o.Unhealthy)
}

// hosts is told each time that the numbers may have changed; used tells whether a
// load balancer uses the group. Without one, nobody asks its targets.
func (o *observed) hosts(now time.Time, used bool, healthy, unhealthy int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settle(now)
	o.now = [2]int{healthy, unhealthy}
	if !used {
		o.since = time.Time{}
	} else if o.since.IsZero() {
		o.since = now
	}
}

// settle writes what has held since into the minutes, up to now.
func (o *observed) settle(now time.Time) {
	if o.since.IsZero() || !now.After(o.since) {
		return
	}
	if kept := now.Add(-keptMinutes * time.Minute); o.since.Before(kept) {
		o.since = kept
	}
	for o.since.Before(now) {
		number := o.since.Unix() / 60
		end := time.Unix((number+1)*60, 0)
		if end.After(now) {
			end = now
		}
		place := &o.minutes[number%keptMinutes]
		if *place == nil || (*place).number != number {
			*place = &hostMinute{number: number}
		}
		(*place).Healthy.Hold(o.now[0], end.Sub(o.since))
		(*place).Unhealthy.Hold(o.now[1], end.Sub(o.since))
		o.since = end
	}
}

// hostCounts returns what held in the minutes that begin from, up to before to.
func (o *observed) hostCounts(now, from, to time.Time) HostCounts {
	var all HostCounts
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settle(now)
	for _, m := range o.minutes {
		if m == nil {
			continue
		}
		if at := time.Unix(m.number*60, 0); !at.Before(from) && at.Before(to) {
			all.Merge(m.HostCounts)
		}
	}
	return all
}

// probed counts a probe; reason is empty for one that passed.
func (o *observed) probed(reason elb.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent++
	if reason == "" {
		return
	}
	if o.failed == nil {
		o.failed = make(map[elb.Reason]uint64)
	}
	o.failed[reason]++
}

func (o *observed) probes() (sent uint64, failed map[elb.Reason]uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent, maps.Clone(o.failed)
}

// held counts the targets of these states.
func (g *group) held(states ...elb.State) int {
	n := 0
	for _, t := range g.order {
		if slices.Contains(states, t.health.State) {
			n++
		}
	}
	return n
}
