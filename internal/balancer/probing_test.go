package balancer

import (
	"testing"
	"time"
)

// The first probe comes at once, the second within the interval, and the others
// each an interval after the one before, however late that was.
func TestRhythm(t *testing.T) {
	t.Parallel()
	const interval = 5 * time.Second
	start := time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)
	for range 1000 { // it draws lots
		var r rhythm
		if !r.due(start, interval, 0) {
			t.Fatal("the first does not come at once")
		}
		second := r.next
		if second.Before(start.Add(-together)) || second.After(start.Add(interval)) {
			t.Fatalf("the second comes %v after the first", second.Sub(start))
		}
		if second.Nanosecond()%int(together) != 0 {
			t.Fatalf("the second comes at %v, alone", second)
		}
		if r.due(second.Add(-1), interval, 0) {
			t.Fatal("a probe before its time")
		}
		for i, late := range []time.Duration{0, 3 * time.Millisecond, interval - 1, 0} {
			at := r.next.Add(late)
			if !r.due(at, interval, 0) {
				t.Fatalf("probe %d is left out", i+2)
			}
			if want := second.Add(time.Duration(i+1) * interval); !r.next.Equal(want) {
				t.Fatalf("after probe %d comes one at %v, want %v", i+2, r.next, want)
			}
		}
		if at := r.next.Add(2*interval + time.Second); !r.due(at, interval, 0) || !r.next.Equal(at.Add(interval-time.Second)) {
			t.Fatalf("two intervals late, the next comes %v later, want what is left of the interval", r.next.Sub(at))
		}
		if r.stop(); !r.due(start, interval, 0) {
			t.Fatal("after a stop the first does not come at once")
		}
	}
}

// Of a crowd, the first probes are spread.
func TestRhythmOfACrowd(t *testing.T) {
	t.Parallel()
	const interval, crowd = 5 * time.Second, time.Second
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	atOnce := 0
	for range 1000 {
		var r rhythm
		if r.due(start, interval, crowd) {
			atOnce++
			continue
		}
		if r.next.Before(start) || !r.next.Before(start.Add(crowd)) {
			t.Fatalf("the first comes %v after the beginning", r.next.Sub(start))
		}
		if !r.due(r.next, interval, crowd) {
			t.Fatal("the first does not come")
		}
	}
	if atOnce > 20 {
		t.Errorf("%d of 1,000 come at once", atOnce)
	}
}
