package health

import (
	"testing"
	"time"
)

// Whoever waits for a run may be woken late, on a machine that is busy: with the
// time up, and the answer there.
func TestAnAnswerThatIsThereCounts(t *testing.T) {
	timeUp := make(chan time.Time)
	close(timeUp)
	over := make(chan struct{})
	close(over)
	for range 100 {
		r := &run{done: make(chan reply, 1)}
		r.done <- reply{status: Pass}
		if a, ok := r.answered(timeUp, over); !ok || a.status != Pass {
			t.Fatalf("%v, %v", a, ok)
		}
	}
	if _, ok := (&run{done: make(chan reply, 1)}).answered(timeUp, nil); ok {
		t.Error("an answer out of nothing")
	}
}

func TestJudgeOfResults(t *testing.T) {
	well, warned := Result{Status: Pass}, Result{Status: Warn}
	ill, soft, shared := Result{Status: Fail}, Result{Status: Fail, Impact: Degraded}, Result{Status: Fail, Scope: Shared}
	for _, tt := range []struct {
		name    string
		results []Result
		shared  SharedFailure
		want    Status
	}{
		{"none", nil, SharedFails, Pass},
		{"all pass", []Result{well, well}, SharedFails, Pass},
		{"one warns", []Result{well, warned}, SharedFails, Warn},
		{"one fails", []Result{ill, warned, well}, SharedFails, Fail},
		{"a degraded one fails", []Result{well, soft}, SharedFails, Warn},
		{"a shared one fails", []Result{shared, well}, SharedFails, Fail},
		{"a shared one fails, which only warns", []Result{shared, well}, SharedWarns, Warn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Judge(tt.results, tt.shared); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
