package machine

import (
	"time"

	"hale/internal/explain"
)

// Clock is what the kernel knows of the machine's clock, by the service that
// sets it (adjtimex(2)). Nobody else is asked for the time.
type Clock struct {
	// Synchronised tells that a time service has lately said that the clock is
	// right. In a container it is the host's that says so.
	Synchronised bool
	// Offset is by how much the clock was wrong when the service last looked, as
	// far as it has not been put right; Estimated how wrong it may be, Worst how
	// wrong at most. What is not synchronised has no meaning here.
	Offset, Estimated, Worst time.Duration
}

// ReadClock asks the kernel.
func ReadClock() (Clock, error) {
	if err := supported(); err != nil {
		return Clock{}, err
	}
	c, err := adjtimex()
	if err != nil {
		return Clock{}, &explain.Error{Text: "the kernel does not tell the state of its clock: " + explain.Innermost(err), Err: err}
	}
	return c, nil
}
