package probe

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/elb"
)

// Probes begin an interval apart, whatever they take, and never overlap.
func TestRepeat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		n        int
		took     []time.Duration
		want     []time.Duration // when each began
		ends     time.Duration   // when all was over
		interval time.Duration
	}{
		"quick answers": {n: 3, took: []time.Duration{0, 0, 0}, interval: 10 * time.Second, want: []time.Duration{0, 10 * time.Second, 20 * time.Second}, ends: 20 * time.Second},
		"slow answers":  {n: 3, took: []time.Duration{15 * time.Second, time.Second, time.Second}, interval: 10 * time.Second, want: []time.Duration{0, 15 * time.Second, 25 * time.Second}, ends: 26 * time.Second},
		"one":           {n: 1, took: []time.Duration{time.Second}, interval: 10 * time.Second, want: []time.Duration{0}, ends: time.Second},
		"until the end": {took: []time.Duration{0, 0, 0, 0}, interval: 10 * time.Second, want: []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second}, ends: 35 * time.Second},
		"interrupted":   {n: 9, took: []time.Duration{0, time.Hour}, interval: 10 * time.Second, want: []time.Duration{0, 10 * time.Second}, ends: 35 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
				defer cancel()
				start := time.Now()
				var begun []time.Duration
				send := func(ctx context.Context) Answer {
					took := test.took[len(begun)]
					begun = append(begun, time.Since(start))
					select {
					case <-time.After(took):
					case <-ctx.Done():
					}
					return Answer{}
				}
				answers := 0
				for range repeat(ctx, test.n, test.interval, send) {
					answers++
				}
				if !slices.Equal(begun, test.want) || time.Since(start) != test.ends {
					t.Errorf("begun at %v, ended after %v; want %v, %v", begun, time.Since(start), test.want, test.ends)
				}
				if name == "interrupted" && answers != 1 {
					t.Errorf("%d answers, though one was interrupted", answers)
				}
			})
		})
	}
}

// What a load balancer makes of passes (+) and failures (-) in a row.
func TestTally(t *testing.T) {
	t.Parallel()
	alb := Timing{Healthy: 5, Unhealthy: 2, First: 1}
	haproxy := Timing{Healthy: 2, Unhealthy: 3}
	for _, test := range []struct {
		timing  Timing
		answers string
		want    elb.State
	}{
		{alb, "", elb.Initial},
		{alb, "+", elb.Healthy},
		{alb, "-", elb.Initial},
		{alb, "--", elb.Unhealthy},
		{alb, "-+", elb.Healthy},
		{alb, "+-", elb.Healthy},
		{alb, "+--", elb.Unhealthy},
		{alb, "+-+-+-", elb.Healthy},
		{alb, "--++++", elb.Unhealthy},
		{alb, "--+++++", elb.Healthy},
		{alb, "--++++-+++++", elb.Healthy},
		{haproxy, "", elb.Healthy},
		{haproxy, "--", elb.Healthy},
		{haproxy, "---", elb.Unhealthy},
		{haproxy, "---+", elb.Unhealthy},
		{haproxy, "---++", elb.Healthy},
	} {
		tally := Tally{Timing: test.timing}
		for _, sign := range test.answers {
			tally.Add(&Answer{Healthy: sign == '+'})
		}
		if tally.State() != test.want || tally.Passed+tally.Failed != len(test.answers) {
			t.Errorf("%+v, %q: %s, %d passed, %d failed; want %s", test.timing, test.answers, tally.State(), tally.Passed, tally.Failed, test.want)
		}
	}
}

func TestTallyCounts(t *testing.T) {
	t.Parallel()
	var tally Tally
	if a, b, c := tally.Span(); a != 0 || b != 0 || c != 0 {
		t.Error(a, b, c)
	}
	for i, reason := range []elb.Reason{elb.Timeout, "", elb.FailedHealthChecks, elb.Timeout} {
		tally.Add(&Answer{Healthy: reason == "", Reason: reason, Times: Times{Total: time.Duration(9 - i)}})
	}
	if want := []ReasonCount{{elb.Timeout, 2}, {elb.FailedHealthChecks, 1}}; !slices.Equal(tally.Reasons, want) {
		t.Errorf("%+v, want %+v", tally.Reasons, want)
	}
	if a, b, c := tally.Span(); a != 6 || b != 8 || c != 9 {
		t.Error(a, b, c)
	}
}
