package checktest

import (
	"context"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/health"
)

// Outcome validates a check, runs it once, and returns the end of it as people
// see it, OnTime: "pass: ...", "warn: ..." or "fail: ...". A timeout of 0 is three minutes, for
// what should take no time.
func Outcome(t *testing.T, check checks.Check, timeout time.Duration) string {
	t.Helper()
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	if timeout == 0 {
		timeout = patience
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	start := time.Now()
	output, err := check.Run(ctx)
	if took := time.Since(start); took > timeout+lateness {
		t.Errorf("took %v with a time-out of %v", took, timeout)
	}
	if err != nil && output != "" {
		t.Errorf("both an error and an output: %q", output)
	}
	if err != nil && strings.TrimSpace(err.Error()) == "" {
		t.Error("an error that says nothing")
	}
	result := health.RunOnce(context.WithoutCancel(ctx), nil, health.Check{
		Name: "check",
		Run:  func(context.Context) (string, error) { return output, err },
	})[0]
	return result.Status.String() + ": " + OnTime(result.Output, timeout)
}
