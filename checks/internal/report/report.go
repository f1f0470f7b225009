// Package report gathers what a check has found about several things at once,
// so that one run tells all that is wrong.
package report

import (
	"errors"
	"fmt"
	"strings"

	"hale/health"
)

// Report is what was found so far. The zero value is empty, and passes.
type Report struct{ fine, warnings, failures []string }

// Passf notes something that is well.
func (r *Report) Passf(format string, args ...any) {
	r.fine = append(r.fine, fmt.Sprintf(format, args...))
}

// Warnf notes something that somebody should look at.
func (r *Report) Warnf(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// Failf notes something that is broken.
func (r *Report) Failf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// Limit judges a number that is better small: it fails above most and warns
// above warn, where 0 means no limit. The text says what the number is of, and
// the number, as in "orders lags 12".
func (r *Report) Limit(n, warn, most int64, text string) {
	switch {
	case most > 0 && n > most:
		r.Failf("%s, more than %d", text, most)
	case warn > 0 && n > warn:
		r.Warnf("%s, more than %d", text, warn)
	default:
		r.Passf("%s", text)
	}
}

// Result is what the check's Run returns: failures before warnings, and what is
// well only if all is.
func (r *Report) Result() (string, error) {
	switch {
	case len(r.failures) > 0:
		return "", errors.New(strings.Join(append(r.failures, r.warnings...), "; "))
	case len(r.warnings) > 0:
		return "", health.Warnf("%s", strings.Join(r.warnings, "; "))
	default:
		return strings.Join(r.fine, "; "), nil
	}
}

// Count is a number of things for people: "1 message", "2 messages".
func Count[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
