package yamlfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is all that is wrong with one file, in the order of the file. Its
// text has one line for each fault.
type Error struct {
	Faults []Fault // never empty
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the faults one by one.
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Faults))
	for i, f := range e.Faults {
		errs[i] = f
	}
	return errs
}

// Fault is one mistake in a file.
type Fault struct {
	File   string // as given to Load
	Line   int    // from 1
	Column int    // from 1
	Key    string // path of the key, such as health.checks[2].interval; empty for the file as a whole
	Text   string // what was seen, and the way out
}

// Error returns the fault in one line: file:line:column: key: text.
func (f Fault) Error() string {
	if f.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Key, f.Text)
}

// newError returns nil where there is no fault.
func newError(faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
	return &Error{slices.Compact(faults)}
}
