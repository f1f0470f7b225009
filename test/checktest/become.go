package checktest

import (
	"regexp"
	"testing"
	"time"

	"hale/checks"
)

// Become runs a check until its Outcome is want.
func Become(t *testing.T, check checks.Check, timeout time.Duration, want string) {
	t.Helper()
	BecomeLike(t, check, timeout, "^"+regexp.QuoteMeta(want)+"$")
}

// BecomeLike runs a check until its Outcome matches a regular expression.
func BecomeLike(t *testing.T, check checks.Check, timeout time.Duration, pattern string) {
	t.Helper()
	want := regexp.MustCompile(pattern)
	var got string
	defer func() {
		if t.Failed() {
			t.Logf("last said: %s", got)
		}
	}()
	Eventually(t, pattern, func() bool {
		got = Outcome(t, check, timeout)
		return want.MatchString(got)
	})
}
