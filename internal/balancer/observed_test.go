package balancer

import (
	"maps"
	"testing"
	"time"

	"hale/internal/elb"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// Each moment counts as much as any other, however often something changed.
func TestHostsByTheMinute(t *testing.T) {
	t.Parallel()
	var o observed
	o.hosts(noon.Add(-time.Hour), false, 0, 0)      // nobody uses the group
	o.hosts(noon.Add(30*time.Second), true, 0, 2)   // from here on it is used
	o.hosts(noon.Add(75*time.Second), true, 2, 0)   // both become healthy
	o.hosts(noon.Add(75*time.Second), true, 2, 0)   // and nothing changes
	o.hosts(noon.Add(150*time.Second), true, 1, 1)  // one fails
	o.hosts(noon.Add(151*time.Second), true, 2, 0)  // for a second
	now := noon.Add(5*time.Minute + 20*time.Second) // nothing since
	minute := func(n int) (from, to time.Time) {    // the n-th
		return noon.Add(time.Duration(n) * time.Minute), noon.Add(time.Duration(n+1) * time.Minute)
	}
	for n, want := range []struct {
		min, max int
		average  float64
		known    time.Duration
	}{
		{0, 0, 0, 30 * time.Second},
		{0, 2, 2 * 45. / 60, time.Minute},
		{1, 2, (2*59. + 1) / 60, time.Minute},
		{2, 2, 2, time.Minute},
		{2, 2, 2, time.Minute},
		{2, 2, 2, 20 * time.Second},
		{0, 0, 0, 0},
	} {
		from, to := minute(n)
		got := o.hostCounts(now, from, to).Healthy
		if got.Min != want.min || got.Max != want.max || got.Average() != want.average || got.Time != want.known {
			t.Errorf("minute %d: %+v, average %v; want %+v", n, got, got.Average(), want)
		}
	}
	all := o.hostCounts(now, noon, noon.Add(time.Hour))
	if all.Unhealthy.Max != 2 || all.Unhealthy.Min != 0 || all.Unhealthy.Average() != (2*45.+1)/290 {
		t.Errorf("in all %+v, average %v", all.Unhealthy, all.Unhealthy.Average())
	}
}

// What lies further back than three hours is forgotten; a group that nobody uses
// has no numbers.
func TestHostsOfLongAgo(t *testing.T) {
	t.Parallel()
	var o observed
	o.hosts(noon, true, 3, 1)
	now := noon.Add(10 * time.Hour)
	if got := o.hostCounts(now, noon, now).Healthy; got.Time != keptMinutes*time.Minute || got.Average() != 3 {
		t.Errorf("got %+v", got)
	}
	o.hosts(now, false, 0, 0)
	later := now.Add(time.Hour)
	if got := o.hostCounts(later, now, later); got.Healthy.Time != 0 {
		t.Errorf("of a group that nobody uses: %+v", got)
	}
}

func TestProbesAreCounted(t *testing.T) {
	t.Parallel()
	var o observed
	for _, reason := range []elb.Reason{"", elb.Timeout, "", elb.Timeout, elb.ResponseCodeMismatch} {
		o.probed(reason)
	}
	sent, failed := o.probes()
	if want := map[elb.Reason]uint64{elb.Timeout: 2, elb.ResponseCodeMismatch: 1}; sent != 5 || !maps.Equal(failed, want) {
		t.Errorf("%d sent, failed %v", sent, failed)
	}
}

// Cumulative's counts are exact: each bound is one of the buckets' own.
func TestCumulative(t *testing.T) {
	t.Parallel()
	var d Durations
	for _, took := range []time.Duration{0, 50 * time.Microsecond, 51 * time.Microsecond, 100 * time.Microsecond, 101 * time.Microsecond, time.Second, time.Hour} {
		d.Add(took)
	}
	list := d.Cumulative()
	for _, want := range []Bucket{
		{50 * time.Microsecond, 2},
		{100 * time.Microsecond, 4},
		{200 * time.Microsecond, 5},
		{819200 * time.Microsecond, 5},
		{1638400 * time.Microsecond, 6},
		{52428800 * time.Microsecond, 6},
	} {
		found := false
		for _, b := range list {
			found = found || b == want
		}
		if !found {
			t.Errorf("%v is not among %v", want, list)
		}
	}
	if len(list) != 21 {
		t.Errorf("%d buckets", len(list))
	}
}

// The rate is of the last 60 seconds, of which a part lies in the minute before.
func TestRate(t *testing.T) {
	t.Parallel()
	var m meter
	answered := func(c *Counts) {
		c.Requests++
		c.Target[2]++
		c.Took.Add(10 * time.Millisecond)
	}
	for range 600 {
		m.count(noon, answered)
	}
	for range 300 {
		m.count(noon.Add(time.Minute), answered)
	}
	got := m.traffic(noon.Add(90 * time.Second))
	if got.PerSecond != 10 { // (300 + 600/2) / 60
		t.Errorf("%v requests/s", got.PerSecond)
	}
	if got.Total.Requests != 900 || got.Total.Target["2xx"] != 900 || len(got.Minutes) != shownMinutes || got.Minutes[shownMinutes-1].Requests != 300 {
		t.Errorf("got %+v", got)
	}
	if got.Latency.P50 != 10 || got.Latency.Max != 10 {
		t.Errorf("latency %+v", got.Latency)
	}
	if got = m.traffic(noon.Add(3 * time.Minute)); got.PerSecond != 0 || got.Latency.P50 != 0 {
		t.Errorf("later: %v requests/s, %+v", got.PerSecond, got.Latency)
	}
}
