package spread

import "time"

// leastWarmth is the share that slow start begins with: a choice of ours, so that
// a target gets its first requests before half its time is over when there are
// few of them.
const leastWarmth = fullShare / 100

// warm begins the slow start of the targets that turned healthy, and ends that
// of those that are healthy no longer. It returns when the last one is over, in
// nanoseconds since 1970.
//
// A target enters slow start when it turns healthy, if another healthy target is
// past its own: so the first ones of an empty group don't, and neither do those
// that come while all others are in it. Targets that are healthy already when
// slow start is switched on stay out of it (guide, "Target groups", slow start).
func warm(now time.Time, slowStart time.Duration, before, after []*Target) (until int64) {
	at := now.UnixNano()
	stays := make(map[*Target]bool, len(after))
	for _, t := range after {
		stays[t] = true
	}
	established := false
	for _, t := range before {
		switch {
		case !stays[t]:
			t.leave()
		case t.warmth(at, slowStart) == fullShare:
			established = true
		}
	}
	for _, t := range after {
		if !t.healthy {
			t.enter()
			if established {
				t.warmSince.Store(at)
			}
		}
		if slowStart == 0 {
			t.warmSince.Store(0)
		}
		if since := t.warmSince.Load(); since != 0 {
			until = max(until, since+int64(slowStart))
		}
	}
	return until
}

// enter begins the count of a target that turned healthy: how requests ended
// before does not matter.
func (t *Target) enter() {
	t.healthy = true
	t.tally.take()
}

// leave forgets what was found of a target that is healthy no longer.
func (t *Target) leave() {
	t.healthy = false
	t.warmSince.Store(0)
	t.lowered.Store(0)
	t.anomalous.Store(false)
}

// warmth returns the share that slow start leaves to a target: it rises in a line
// until the time is over.
func (t *Target) warmth(at int64, slowStart time.Duration) uint32 {
	since := t.warmSince.Load()
	passed := at - since
	if since == 0 || passed >= int64(slowStart) {
		return fullShare
	}
	share := float64(max(passed, 0)) / float64(slowStart) * fullShare
	return max(uint32(share), leastWarmth)
}

// SlowStarting tells whether a target gets less than its share because it turned
// healthy a short time ago.
func (t *Target) SlowStarting(now time.Time, s Settings) bool {
	return t.warmth(now.UnixNano(), s.SlowStart) < fullShare
}
