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
