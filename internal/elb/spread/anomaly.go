package spread

import (
	"sync/atomic"
	"time"
)

// AWS says what it compares (answers 5xx, errors of TCP and TLS), that it takes
// three healthy targets, and that the weight falls step by step while a target
// fails more than the others, and rises again when it recovers. It gives no
// number. These are our own.
const (
	// AssessEvery is how often to call Assess: long enough for a rate to mean
	// something, short enough to help.
	AssessEvery = 10 * time.Second
	// leastTargets is AWS's.
	leastTargets = 3
	// leastErrors is how many errors of one period make a target anomalous, so
	// that a single one among few requests does not.
	leastErrors = 5
	// Its errors have to be this many times as frequent as the others' together,
	// and by so many percentage points of all requests more frequent.
	timesOthers, pointsAbove = 3, 5
	// mostLowered: each period in which a target is anomalous halves its weight,
	// down to a sixteenth; each in which it is not doubles it. It never gets
	// nothing, or nobody would see it recover.
	mostLowered = 4
)

// sample is what a target did in a period.
type sample struct{ requests, errors uint64 }

// tally counts a sample: requests in the upper half of the number, errors in the
// lower.
type tally struct{ both atomic.Uint64 }

func (y *tally) count(failed bool) {
	if failed {
		y.both.Add(1<<32 | 1)
	} else {
		y.both.Add(1 << 32)
	}
}

// take returns the sample and begins the next.
func (y *tally) take() sample {
	both := y.both.Swap(0)
	return sample{both >> 32, both & (1<<32 - 1)}
}

// Anomaly returns what DescribeTargetHealth tells as AnomalyDetection: whether the
// target fails more than the others, and whether it gets less than its share
// because of that.
func (t *Target) Anomaly() (anomalous, mitigated bool) {
	return t.anomalous.Load(), t.lowered.Load() > 0
}

// Assess compares what the healthy targets did since the last call, and raises or
// lowers their weights. Call it each AssessEvery, for groups of HTTP and HTTPS.
func (g *Group[T]) Assess() {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.list.Load()
	if l == nil {
		return
	}
	targets := healthy(l.members)
	samples := make([]sample, len(targets))
	for i, t := range targets {
		samples[i] = t.tally.take()
	}
	for i, anomalous := range outliers(samples) {
		targets[i].assess(anomalous, l.Mitigate)
	}
}

func (t *Target) assess(anomalous, mitigate bool) {
	t.anomalous.Store(anomalous)
	lowered := t.lowered.Load()
	switch {
	case !mitigate:
		lowered = 0
	case anomalous:
		lowered = min(lowered+1, mostLowered)
	default:
		lowered = max(lowered-1, 0)
	}
	t.lowered.Store(lowered)
}

// outliers tells of each sample whether its errors are so much more frequent than
// those of all others together that its target is anomalous.
func outliers(samples []sample) []bool {
	found := make([]bool, len(samples))
	if len(samples) < leastTargets {
		return found
	}
	var all sample
	for _, s := range samples {
		all.requests += s.requests
		all.errors += s.errors
	}
	for i, s := range samples {
		others := sample{all.requests - s.requests, all.errors - s.errors}
		found[i] = s.errors >= leastErrors && others.requests > 0 && s.exceeds(others)
	}
	return found
}

// exceeds tells whether errors are timesOthers as frequent as the others', and
// pointsAbove more frequent. Rates are compared as fractions, by cross products.
func (s sample) exceeds(others sample) bool {
	own, theirs := s.errors*others.requests, others.errors*s.requests
	return own >= timesOthers*theirs && 100*(own-theirs) >= pointsAbove*s.requests*others.requests
}
