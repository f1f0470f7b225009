package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"hale/internal/explain"
)

// readKernel asks with adjtimex(2), which changes nothing when asked to change
// nothing. Time services keep STA_UNSYNC clear, which the kernel sets after some
// hours without one; the errors they tell in microseconds.
func readKernel() (state, error) {
	var timex unix.Timex
	clock, err := unix.Adjtimex(&timex)
	if err != nil {
		return state{}, &explain.Error{Text: fmt.Sprintf("the kernel does not tell the state of its clock (adjtimex): %s", explain.Innermost(err)), Err: err}
	}
	return state{
		synchronised: clock != unix.TIME_ERROR && timex.Status&unix.STA_UNSYNC == 0,
		estimated:    time.Duration(timex.Esterror) * time.Microsecond,
		worst:        time.Duration(timex.Maxerror) * time.Microsecond,
	}, nil
}
