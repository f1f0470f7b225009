package health

import "time"

// Result is what is known of one check.
type Result struct {
	Name     string
	Type     string // of a group "any" or "all", unless it was given one
	Group    string // the group that it is a member of, and which counts in its place
	Impact   Impact
	Scope    Scope
	Profiles []string // that it counts for; none means ready and startup

	Status Status    // after rise and fall; Unknown before the first answer
	Output string    // explains Status: the latest run's that agreed with it
	Since  time.Time // when Status last changed

	Last       Status        // of the last run alone
	LastOutput string        // differs from Output only while rise or fall holds Status
	Time       time.Time     // when the last run ended, or missed its deadline
	Took       time.Duration // by the last run, so far if it is stuck

	Stuck   bool // a run has missed its deadline and is still going on
	Expired bool // Status is Fail because no answer came for too long

	// CausedBy names the check that the failure follows from, directly or through
	// others: the root, which follows from none itself. The verdict then counts the
	// failure as having that one's Scope, and does not report it beside it. It is
	// kept when the root is well again, until this check has answered after that.
	CausedBy string

	Runs     uint64 // answers counted; each interval that a stuck run lasts is one
	Failures uint64 // those of them that failed
	Overruns uint64 // runs that became stuck

	against  int    // answers in a row that speak against Status
	tally    []int  // of a group, by member: answers that speak against Status; never changed in place
	cause    string // what CausedBy says, also of a failure that Fall still forgives
	behind   string // the check that is reported in its place, if one is
	passed   bool   // has passed or warned once
	answered bool   // has answered its Monitor, and not only one before (Adopt)
	told     Status // that was announced last
	untold   bool   // Status was not announced, being a consequence
}

// Verdict is the instance's answer, made from all results.
type Verdict struct {
	Status   Status
	Starting bool      // some critical check has not passed yet
	Draining bool      // Drain has been called
	Reason   string    // why Status is not Pass, with the checks' explanations
	Since    time.Time // when Status last changed
	Results  []Result  // those that count, in the order of the checks, groups before their members
}
