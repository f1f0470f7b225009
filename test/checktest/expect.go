package checktest

import (
	"context"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/health"
)

// Expect runs a check once, within timeout or three minutes if that is 0, and
// compares all that it says. Where want is empty it has to pass and say output;
// otherwise want is its error, with "warn: " in front if it should only warn.
func Expect(t *testing.T, check checks.Check, timeout time.Duration, output, want string) {
	t.Helper()
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	if timeout == 0 {
		timeout = patience
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	got, err := check.Run(ctx)
	got = OnTime(got, timeout)
	want, warns := strings.CutPrefix(want, "warn: ")
	switch {
	case want == "" && (err != nil || got != output):
		t.Errorf("got %q, %v\nwant %q", got, err, output)
	case want != "" && (err == nil || OnTime(err.Error(), timeout) != want):
		t.Errorf("got %q, error = %v\nwant %s", got, err, want)
	case want != "" && Warns(err) != warns:
		t.Errorf("only warns: %v, want %v: %v", Warns(err), warns, err)
	}
}

// Warns reports whether an error of a check's run is only a warning.
func Warns(err error) bool {
	run := func(context.Context) (string, error) { return "", err }
	return health.RunOnce(context.Background(), nil, health.Check{Name: "it", Run: run})[0].Status == health.Warn
}
