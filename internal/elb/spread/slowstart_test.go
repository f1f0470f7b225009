package spread_test

import (
	"testing"
	"time"

	"hale/internal/elb/spread"
)

// Who enters slow start. Each row is a life of a group: at each second, the
// targets that are healthy from then on, and of those the ones in slow start.
func TestWhoEntersSlowStart(t *testing.T) {
	t.Parallel()
	type step struct {
		after   int
		healthy string
		want    string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"the first ones of an empty group do not", []step{{0, "abc", ""}}},
		{"the ones after them do", []step{{0, "ab", ""}, {10, "abc", "c"}}},
		{"they leave it when the time is over", []step{{0, "ab", ""}, {10, "abc", "c"}, {29, "abc", "c"}, {1, "abc", ""}}},
		{"each at its own time", []step{{0, "a", ""}, {10, "ab", "b"}, {20, "abc", "bc"}, {10, "abc", "c"}, {20, "abc", ""}}},
		{"a target that comes back begins anew", []step{{0, "ab", ""}, {10, "a", ""}, {10, "ab", "b"}, {10, "a", ""}, {10, "ab", "b"}, {29, "ab", "b"}, {1, "ab", ""}}},
		{"nobody does while the group is empty again", []step{{0, "ab", ""}, {10, "", ""}, {10, "ab", ""}}},
		{"nor while all others are in it", []step{{0, "a", ""}, {10, "ab", "b"}, {5, "b", "b"}, {5, "bc", "b"}}},
		{"the last of the others may leave at the same moment", []step{{0, "a", ""}, {10, "b", ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := map[rune]*target{}
			for _, one := range named("abc") {
				all[rune(one.name[0])] = one
			}
			settings := spread.Settings{SlowStart: 30 * time.Second}
			g := new(spread.Group[*target])
			now := start
			for i, step := range test.steps {
				now = now.Add(time.Duration(step.after) * time.Second)
				var members []*target
				for _, name := range step.healthy {
					members = append(members, all[name])
				}
				g.Use(now, settings, healthy(members...))
				got := ""
				for _, name := range step.healthy {
					if all[name].SlowStarting(now, settings) {
						got += string(name)
					}
				}
				if got != step.want {
					t.Fatalf("step %d: %q in slow start, want %q", i+1, got, step.want)
				}
			}
		})
	}
}

// The share rises in a line. Of three others, each gets 1; the new one, half of
// that when half the time is over.
func TestShareInSlowStart(t *testing.T) {
	t.Parallel()
	all := named("abcd")
	settings := spread.Settings{SlowStart: 100 * time.Second}
	g := group(settings, all[:3]...)
	g.Use(start, settings, healthy(all...))
	for _, test := range []struct {
		after int
		want  float64 // the new one's share, compared with each of the others'
	}{{0, 0.01}, {25, 0.25}, {50, 0.5}, {75, 0.75}, {100, 1}, {200, 1}} {
		got := shares(g, start.Add(time.Duration(test.after)*time.Second), many)
		whole := 3 + test.want
		if !near(got["d"], test.want/whole) || !near(got["a"], 1/whole) || !near(got["b"], 1/whole) || !near(got["c"], 1/whole) {
			t.Errorf("after %d s: %.3v, want %.3f of the new one, %.3f of each other", test.after, got, test.want/whole, 1/whole)
		}
	}
}

func TestSlowStartSettingsChange(t *testing.T) {
	t.Parallel()
	all := named("abc")
	off, on := spread.Settings{}, spread.Settings{SlowStart: 30 * time.Second}
	g := group(off, all[:2]...)
	g.Use(start, on, healthy(all[:2]...))
	if all[0].SlowStarting(start, on) || all[1].SlowStarting(start, on) {
		t.Error("targets that are healthy enter slow start when it is switched on")
	}
	g.Use(start, on, healthy(all...))
	if !all[2].SlowStarting(start, on) {
		t.Error("a new one does not")
	}
	g.Use(start, off, healthy(all...))
	g.Use(start, on, healthy(all...))
	if all[2].SlowStarting(start, on) {
		t.Error("it is in slow start again, after that was switched off and on")
	}
}

// A target that gets traffic only because none is healthy has its full share.
func TestNoSlowStartOfUnhealthyOnes(t *testing.T) {
	t.Parallel()
	all := named("ab")
	settings := spread.Settings{SlowStart: 30 * time.Second}
	g := group(settings, all[0])
	g.Use(start, settings, []spread.Member[*target]{{Target: all[0]}, {Target: all[1]}})
	if all[1].SlowStarting(start, settings) {
		t.Error("an unhealthy target is in slow start")
	}
	if got := picks(t, g, 4); got != "abab" && got != "baba" {
		t.Errorf("choices: %s", got)
	}
	g.Use(start, settings, healthy(all...))
	if all[0].SlowStarting(start, settings) || all[1].SlowStarting(start, settings) {
		t.Error("the first ones that are healthy again are in slow start")
	}
}
