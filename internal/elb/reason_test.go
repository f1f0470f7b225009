package elb_test

import (
	"testing"

	"hale/internal/elb"
)

// The codes and texts of the API's TargetHealthReasonEnum: all of them.
func TestReasons(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"Elb.RegistrationInProgress":      "Target registration is in progress",
		"Elb.InitialHealthChecking":       "Initial health checks in progress",
		"Target.ResponseCodeMismatch":     "Health checks failed with these codes: []",
		"Target.Timeout":                  "Request timed out",
		"Target.FailedHealthChecks":       "Health checks failed",
		"Target.NotRegistered":            "Target is not registered to the target group",
		"Target.NotInUse":                 "Target group is not configured to receive traffic from the load balancer",
		"Target.DeregistrationInProgress": "Target deregistration is in progress",
		"Target.InvalidState":             "Target is in the stopped state",
		"Target.IpUnusable":               "The IP address cannot be used as a target, as it is in use by a load balancer",
		"Target.HealthCheckDisabled":      "Health checks are disabled",
		"Elb.InternalError":               "Health checks failed due to an internal error",
		"":                                "",
	} {
		if got := elb.Reason(reason).Description(); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
	if got := elb.Mismatch(301, 500); got != "Health checks failed with these codes: [301, 500]" {
		t.Error(got)
	}
}
