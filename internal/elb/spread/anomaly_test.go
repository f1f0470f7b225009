package spread_test

import (
	"math"
	"testing"

	"hale/internal/elb/spread"
)

// traffic has a target answer requests, of which some fail.
func traffic(t *target, requests, failed int) {
	for i := range requests {
		t.Begin()
		t.End(i < failed)
	}
}

func TestAnomalies(t *testing.T) {
	t.Parallel()
	type did struct{ requests, failed int }
	for _, test := range []struct {
		name string
		did  []did
		want string // those that are anomalous
	}{
		{"nobody fails", []did{{100, 0}, {100, 0}, {100, 0}}, ""},
		{"one fails", []did{{100, 50}, {100, 0}, {100, 0}}, "a"},
		{"one fails always", []did{{100, 0}, {100, 0}, {100, 100}}, "c"},
		{"with two healthy targets, nothing is judged", []did{{100, 50}, {100, 0}}, ""},
		{"all fail alike: that is not the target's fault", []did{{100, 50}, {100, 50}, {100, 50}}, ""},
		{"a little more than the others", []did{{100, 10}, {100, 5}, {100, 5}}, ""},
		{"three times the others", []did{{100, 15}, {100, 5}, {100, 5}}, "a"},
		{"errors that hardly count", []did{{1000, 40}, {1000, 0}, {1000, 0}}, ""},
		{"too few to tell", []did{{4, 4}, {100, 0}, {100, 0}}, ""},
		{"enough to tell", []did{{5, 5}, {100, 0}, {100, 0}}, "a"},
		{"two of ten", []did{{50, 25}, {50, 25}, {50, 0}, {50, 0}, {50, 0}, {50, 0}, {50, 0}, {50, 0}, {50, 0}, {50, 0}}, "ab"},
		{"most of them: then the others are the exception", []did{{50, 25}, {50, 25}, {50, 0}}, ""},
		{"no other has any requests", []did{{100, 100}, {0, 0}, {0, 0}}, ""},
		{"no requests at all", []did{{0, 0}, {0, 0}, {0, 0}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			all := named("abcdefghij"[:len(test.did)])
			g := group(spread.Settings{}, all...)
			for i, did := range test.did {
				traffic(all[i], did.requests, did.failed)
			}
			g.Assess()
			got := ""
			for _, one := range all {
				anomalous, mitigated := one.Anomaly()
				if anomalous {
					got += one.name
				}
				if mitigated {
					t.Errorf("%s gets less, though that is switched off", one.name)
				}
			}
			if got != test.want {
				t.Errorf("anomalous: %q, want %q", got, test.want)
			}
		})
	}
}

// The weight falls by halves while a target fails, to a sixteenth, and rises the
// same way when it does not.
func TestMitigation(t *testing.T) {
	t.Parallel()
	all := named("abcd")
	settings := spread.Settings{Algorithm: spread.WeightedRandom, Mitigate: true}
	g := group(settings, all...)
	period := func(failed int) {
		for _, one := range all[1:] {
			traffic(one, 100, 0)
		}
		traffic(all[0], 100, failed)
		g.Assess()
	}
	weight := 1.0
	check := func(when string) {
		t.Helper()
		if _, mitigated := all[0].Anomaly(); mitigated != (weight < 1) {
			t.Errorf("%s: mitigated is %v, weight %v", when, mitigated, weight)
		}
		if got, want := shares(g, start, many)["a"], weight/(3+weight); !near(got, want) || got == 0 {
			t.Errorf("%s: share %.3f, want %.3f", when, got, want)
		}
	}
	check("before")
	for range 6 {
		period(100)
		weight = math.Max(weight/2, 1.0/16)
		check("while it fails")
	}
	for range 6 {
		period(0)
		weight = math.Min(weight*2, 1)
		check("when it recovers")
	}
	period(100)
	g.Use(start, spread.Settings{Algorithm: spread.WeightedRandom}, healthy(all...))
	weight = 1
	if got := shares(g, start, many)["a"]; !near(got, 0.25) {
		t.Errorf("mitigation is off, and the share %.3f", got)
	}
	g.Assess()
	check("after mitigation was switched off")
}

// A target whose health check has it leave and come back is judged anew.
func TestMitigationForgets(t *testing.T) {
	t.Parallel()
	all := named("abc")
	settings := spread.Settings{Algorithm: spread.WeightedRandom, Mitigate: true}
	g := group(settings, all...)
	traffic(all[0], 100, 100)
	traffic(all[1], 100, 0)
	g.Assess()
	g.Use(start, settings, healthy(all[1:]...))
	if anomalous, mitigated := all[0].Anomaly(); anomalous || mitigated {
		t.Errorf("anomalous %v, mitigated %v", anomalous, mitigated)
	}
	traffic(all[0], 100, 100) // what was in flight
	g.Use(start, settings, healthy(all...))
	traffic(all[1], 100, 0)
	traffic(all[2], 100, 0)
	g.Assess()
	if anomalous, _ := all[0].Anomaly(); anomalous {
		t.Error("judged by what was in flight when it left")
	}
}
