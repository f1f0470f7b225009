package balancer

import (
	"errors"
	"math"
	"sync"
	"time"

	"hale/internal/proxy"
)

// Counts is what happened to requests: in one minute, or since the balancer began.
type Counts struct {
	Requests uint64 // that a target was chosen for
	// Target is the targets' answers by class: [2] is 2xx. ELB is the load
	// balancer's own: [3] are redirects, [4] and [5] errors.
	Target, ELB [6]uint64
	// ConnectionErrors are targets that could not be connected to, by tries.
	ConnectionErrors uint64
	// Of a Network Load Balancer: connections that have ended, how many of them by
	// whose reset, and their bytes from and to clients.
	Connections, ClientResets, TargetResets, ELBResets uint64
	BytesIn, BytesOut                                  uint64
	Took                                               Durations // until the head of the target's answer
}

// Durations is how long things took: how many, their sum, and roughly how they
// are spread.
type Durations struct {
	Count    uint64
	Sum      time.Duration
	Min, Max time.Duration
	buckets  [buckets]uint32
}

// Bucket i holds durations up to least × 2^(i/perDouble): within 9 % of the truth,
// from 50 µs to more than an hour.
const (
	buckets   = 216
	perDouble = 8
	least     = 50 * time.Microsecond
)

// Add counts a duration.
func (d *Durations) Add(took time.Duration) {
	if d.Count == 0 || took < d.Min {
		d.Min = took
	}
	d.Max = max(d.Max, took)
	d.Count++
	d.Sum += took
	i := 0
	if took > least {
		i = min(int(math.Ceil(math.Log2(float64(took)/float64(least))*perDouble)), buckets-1)
	}
	d.buckets[i]++
}

// Quantile returns the duration that a share q of all are within.
func (d *Durations) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(d.Count)))
	var seen uint64
	for i, n := range d.buckets {
		if seen += uint64(n); n > 0 && seen >= rank {
			upper := time.Duration(float64(least) * math.Exp2(float64(i)/perDouble))
			return min(max(upper, d.Min), d.Max)
		}
	}
	return 0
}

// Merge adds what another counted.
func (d *Durations) Merge(o *Durations) {
	if o.Count == 0 {
		return
	}
	if d.Count == 0 || o.Min < d.Min {
		d.Min = o.Min
	}
	d.Max = max(d.Max, o.Max)
	d.Count += o.Count
	d.Sum += o.Sum
	for i := range d.buckets {
		d.buckets[i] += o.buckets[i]
	}
}

// Merge adds what another counted.
func (c *Counts) Merge(o *Counts) {
	c.Requests += o.Requests
	for i := range c.Target {
		c.Target[i] += o.Target[i]
		c.ELB[i] += o.ELB[i]
	}
	c.ConnectionErrors += o.ConnectionErrors
	c.Connections += o.Connections
	c.ClientResets += o.ClientResets
	c.TargetResets += o.TargetResets
	c.ELBResets += o.ELBResets
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
	c.Took.Merge(&o.Took)
}

// keptMinutes is how far back single minutes are known: three hours, as
// CloudWatch keeps its finest points.
const keptMinutes = 180

// meter counts requests, in all and by the minute. The zero meter has counted
// none.
type meter struct {
	mu      sync.Mutex // guards what follows
	total   Counts
	minutes [keptMinutes]*minute // by the minute's number
}

// minute is the counts of one minute.
type minute struct {
	number int64 // since 1970
	Counts
}

// count counts a request that ended at now, in whatever way f says.
func (m *meter) count(now time.Time, f func(*Counts)) {
	number := now.Unix() / 60
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.total)
	place := &m.minutes[number%keptMinutes]
	if *place == nil || (*place).number != number {
		*place = &minute{number: number}
	}
	f(&(*place).Counts)
}

// sum returns the counts of the minutes that begin from, up to before to.
func (m *meter) sum(from, to time.Time) Counts {
	var all Counts
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, of := range m.minutes {
		if of == nil {
			continue
		}
		if at := time.Unix(of.number*60, 0); !at.Before(from) && at.Before(to) {
			all.Merge(&of.Counts)
		}
	}
	return all
}

// counted returns all counts.
func (m *meter) counted() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// count counts what came of a request: for its group, and for its load balancer.
func (p *policy) count(now time.Time, o *proxy.Outcome, q *request) {
	f := func(c *Counts) {
		class := min(max(o.Status/100, 0), 5)
		if q.target != nil {
			c.Requests++
		}
		if !o.Answered {
			c.ELB[class]++
			return
		}
		c.Target[class]++
		c.Took.Add(o.TargetTime)
	}
	p.meter.count(now, f)
	if q.group != nil {
		q.group.meter.count(now, f)
	}
}

// countTry counts a try at a target that could not be connected to, also where
// another target answers in its place.
func (p *policy) countTry(now time.Time, o *proxy.Outcome, q *request) {
	if !errors.Is(o.Err, proxy.ErrConnect) {
		return
	}
	f := func(c *Counts) { c.ConnectionErrors++ }
	p.meter.count(now, f)
	q.group.meter.count(now, f)
}
