// Package elb holds the rules of Elastic Load Balancing as plain values and
// functions: a health check's settings, which codes count as success, how a
// target's health changes and why, which targets of a group take traffic, what
// attributes there are, how things are named. It does no I/O.
package elb

import (
	"strconv"
	"strings"
)

// Reason says why a target is not healthy, in ELB's own words (ELBv2 API,
// TargetHealthReasonEnum). It is empty for a healthy one.
type Reason string

// Reasons that a probe can lead to.
const (
	// ResponseCodeMismatch: the answer's status is outside the matcher.
	ResponseCodeMismatch Reason = "Target.ResponseCodeMismatch"
	// Timeout: no answer, or none to its end, within the time-out.
	Timeout Reason = "Target.Timeout"
	// FailedHealthChecks: no connection, or an answer that is none. A Network
	// Load Balancer knows no other.
	FailedHealthChecks Reason = "Target.FailedHealthChecks"
)

// Reasons that no probe is asked for.
const (
	// RegistrationInProgress: the target was registered a moment ago.
	RegistrationInProgress Reason = "Elb.RegistrationInProgress"
	// InitialHealthChecking: no verdict has been reached yet.
	InitialHealthChecking Reason = "Elb.InitialHealthChecking"
	// InternalError: the load balancer failed, not the target.
	InternalError Reason = "Elb.InternalError"
	// NotRegistered: the group has no such target, or no longer.
	NotRegistered Reason = "Target.NotRegistered"
	// NotInUse: no rule of a listener points at the group, or the target's zone
	// is not enabled. Such a target is not probed at all.
	NotInUse Reason = "Target.NotInUse"
	// DeregistrationInProgress: the target is draining.
	DeregistrationInProgress Reason = "Target.DeregistrationInProgress"
	// InvalidState: the instance is stopped or terminated.
	InvalidState Reason = "Target.InvalidState"
	// IPUnusable: the address belongs to a load balancer.
	IPUnusable Reason = "Target.IpUnusable"
	// HealthCheckDisabled: nobody asks; of Lambda functions alone.
	HealthCheckDisabled Reason = "Target.HealthCheckDisabled"
)

// Description returns what AWS writes beside a reason, empty for none. That of
// ResponseCodeMismatch has the codes, which Mismatch adds.
func (r Reason) Description() string { return descriptions[r] }

var descriptions = map[Reason]string{
	ResponseCodeMismatch:     "Health checks failed with these codes: []",
	Timeout:                  "Request timed out",
	FailedHealthChecks:       "Health checks failed",
	RegistrationInProgress:   "Target registration is in progress",
	InitialHealthChecking:    "Initial health checks in progress",
	InternalError:            "Health checks failed due to an internal error",
	NotRegistered:            "Target is not registered to the target group",
	NotInUse:                 "Target group is not configured to receive traffic from the load balancer",
	DeregistrationInProgress: "Target deregistration is in progress",
	InvalidState:             "Target is in the stopped state",
	IPUnusable:               "The IP address cannot be used as a target, as it is in use by a load balancer",
	HealthCheckDisabled:      "Health checks are disabled",
}

// Mismatch returns the description of ResponseCodeMismatch for codes.
func Mismatch(codes ...int) string {
	texts := make([]string, len(codes))
	for i, code := range codes {
		texts[i] = strconv.Itoa(code)
	}
	return "Health checks failed with these codes: [" + strings.Join(texts, ", ") + "]"
}
