// Package elb holds the rules of Elastic Load Balancing as plain values and
// functions: a health check's settings, which codes count as success, why a
// target is not healthy. It does no I/O.
package elb

// Reason says why a target is not healthy, in ELB's own words (ELBv2 API,
// TargetHealthReasonEnum). It is empty for a healthy one.
type Reason string

// Reasons that a probe can lead to.
const (
	// ResponseCodeMismatch: the answer's status is outside the matcher.
	ResponseCodeMismatch Reason = "Target.ResponseCodeMismatch"
	// Timeout: no answer, or none to its end, within the time-out.
	Timeout Reason = "Target.Timeout"
	// FailedHealthChecks: no connection, or an answer that is none.
	FailedHealthChecks Reason = "Target.FailedHealthChecks"
)
