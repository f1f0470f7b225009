package health

import "time"

// Result is what is known of one check.
type Result struct {
	Name   string
	Type   string
	Impact Impact
	Scope  Scope

	Status Status    // after rise and fall; Unknown before the first answer
	Output string    // explains Status: the latest run's that agreed with it
	Since  time.Time // when Status last changed

	Last       Status        // of the last run alone
	LastOutput string        // differs from Output only while rise or fall holds Status
	Time       time.Time     // when the last run ended, or missed its deadline
	Took       time.Duration // by the last run, so far if it is stuck

	Stuck   bool // a run has missed its deadline and is still going on
	Expired bool // Status is Fail because no answer came for too long

	Runs     uint64 // answers counted; each interval that a stuck run lasts is one
	Failures uint64 // those of them that failed
	Overruns uint64 // runs that became stuck

	against  int  // answers in a row that speak against Status
	passed   bool // has passed or warned once
	answered bool // has answered its Monitor, and not only one before (Adopt)
}

// newResult is the result of a check that was never asked.
func newResult(c *Check, now time.Time) Result {
	return Result{Name: c.Name, Type: c.Type, Impact: c.Impact, Scope: c.Scope, Since: now}
}

// Verdict is the instance's answer, made from all results.
type Verdict struct {
	Status   Status
	Starting bool      // some critical check has not passed yet
	Draining bool      // Drain has been called
	Reason   string    // why Status is not Pass, with the checks' explanations
	Since    time.Time // when Status last changed
	Results  []Result  // in the order of the checks
}
