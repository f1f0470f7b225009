// Package doctor finds out why a load balancer's health check fails: it sends
// the load balancer's own probe, changes one thing at a time, and keeps the
// changes that turn the answer. What a change turned is proven; what could not
// be proven is listed as not decided.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"hale/internal/elb"
	"hale/internal/machine"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// Limits of an examination.
const (
	// MostRequests is how many probes are sent at most.
	MostRequests = 60
	// Pace is the time between two probes at least.
	Pace = 15 * time.Millisecond
	// IdleWait is how long an idle connection is watched by default, for less time
	// where the examination would not end within MostTime.
	IdleWait = 3500 * time.Millisecond
	// MostTime is within what time an examination ends of a target that answers
	// quickly, unless more is asked for.
	MostTime = 4700 * time.Millisecond
)

// Options are what an examination is asked for.
type Options struct {
	// Probe is the load balancer's own.
	Probe probe.Probe
	// Target is how the user named it, for the report.
	Target string
	// Domain is the name that the site's users write; empty: found from
	// redirects, certificates and, with Inside, from configuration and code.
	Domain string
	// UsersPort is where the same address may speak TLS with the site's users, so
	// that its certificate tells the site's name; 0: 443. It is asked when the
	// name may turn the answer, and nothing else told it.
	UsersPort uint16
	// Paths are tried where the health check's own is not found.
	Paths []string
	// Inside lets the doctor look at this machine; Logs are files that it
	// reads besides those that it finds.
	Inside bool
	Logs   []string
	// Owned tells which of the machine's listening sockets belong to the site;
	// nil: all.
	Owned func(machine.Socket) bool
	// IdleTimeout is how long the load balancer keeps an idle connection
	// (zero: its default), IdleWait how long one is watched to see whether the
	// target closes it first (zero: the default, as far as MostTime allows;
	// negative: not at all).
	IdleTimeout, IdleWait time.Duration
	// Group is the target group that the probe is for; nil: none is known. What
	// its settings tell by themselves goes into the report, and how long things
	// take with them. Without one, Timing adds that for the prober's defaults.
	Group  *targetgroup.Group
	Timing bool
	// Known are times that no probe can measure. P99 and Passed are measured.
	Known targetgroup.Measured
	// Progress is told each step; nil: nobody.
	Progress func(step string)
}

// Report is what an examination came to. The JSON form is a contract.
type Report struct {
	Target   string    `json:"target"`
	As       string    `json:"as"`
	Healthy  bool      `json:"healthy"`
	Findings []Finding `json:"findings"`
	// HealthyWhenFixed tells that the probe passed with every proven change.
	HealthyWhenFixed bool `json:"healthy_when_fixed"`

	// Answer is what the load balancer's own probe met, Reason its reason code.
	Answer string `json:"answer"`
	Reason string `json:"reason,omitempty"`
	// Names are those that the doctor found by itself, and that turned the answer.
	Names []Name `json:"names,omitempty"`
	// Proven is what a passing check showed, Undecided what no experiment could.
	Proven    []string    `json:"proven,omitempty"`
	Undecided []Undecided `json:"not_decided,omitempty"`
	// Notes are facts of the target group, or of times, that no finding is named
	// after; Timing is how long things take.
	Notes  []targetgroup.Note `json:"notes,omitempty"`
	Timing []elb.Row          `json:"timing,omitempty"`
	// Machine are facts of the machine that was looked at from inside, as far as
	// they bear on the health check and something is wrong with them.
	Machine []targetgroup.Note `json:"machine,omitempty"`
	// Times are of the answers that passed; nil: none did.
	Times    *Times  `json:"times,omitempty"`
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
}

// Finding is one cause, with its evidence and its fixes.
type Finding struct {
	ID       string     `json:"id"`
	Title    string     `json:"title"`
	Because  string     `json:"because"`
	Evidence []Evidence `json:"evidence"`
	Fixes    []Fix      `json:"fixes"`
	// Way is what to do about this one, Targets those that it is about, where
	// settings or the load balancer told it, and not an experiment.
	Way     string   `json:"way,omitempty"`
	Targets []string `json:"targets,omitempty"`
}

// Evidence is one experiment: what was changed, and the answer before and
// after it. What was seen without a probe has an empty After.
type Evidence struct {
	Change string `json:"change"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// MarshalJSON gives an answer that redirects as its status alone, and where to
// beside it.
func (e Evidence) MarshalJSON() ([]byte, error) {
	type evidence struct {
		Change         string `json:"change"`
		Before         string `json:"before"`
		After          string `json:"after"`
		BeforeLocation string `json:"before_location,omitempty"`
		AfterLocation  string `json:"after_location,omitempty"`
	}
	out := evidence{Change: e.Change}
	out.Before, out.BeforeLocation = cutLocation(e.Before)
	out.After, out.AfterLocation = cutLocation(e.After)
	return json.Marshal(out)
}

// redirectBrief is an answer's status with its Location, as brief has it.
var redirectBrief = re(`^(3\d\d) to (\S+)$`)

func cutLocation(brief string) (status, location string) {
	if m := redirectBrief.FindStringSubmatch(brief); m != nil {
		return m[1], m[2]
	}
	return brief, ""
}

// Undecided is what the doctor could not prove, and how to find out.
type Undecided struct {
	What string `json:"what"`
	How  string `json:"how"`
}

// Examine finds out why the probe fails, or what its passing proves. The error
// is for an examination that could not be made; an unhealthy target is none.
func Examine(ctx context.Context, o Options) (Report, error) {
	x, r, err := examine(ctx, o)
	if err != nil {
		return Report{}, err
	}
	r.Notes = nil // they come first
	x.addTold(&r)
	r.Notes = slices.Concat(x.notes, r.Notes)
	return r, nil
}

// examine is all of Examine that is asked of the target.
func examine(ctx context.Context, o Options) (*examination, Report, error) {
	x := newExamination(o)
	if err := x.run(ctx); err != nil {
		return nil, Report{}, fmt.Errorf("examine %s: %w", o.Target, err)
	}
	r := x.report()
	r.Times = x.times()
	r.Seconds = time.Since(x.began).Seconds()
	return x, r, nil
}
