// Package checks holds what all checks share. Each family of checks is a
// package of its own below this one, so that a program links only what it uses.
// It is named as its type is in hale.yaml; where that is also the name of a
// package of the standard library, import one of the two under another name.
package checks

import (
	"context"
	"fmt"
)

// Check is the options of one check, ready to be filled in by a configuration
// and to be run. Validate refuses options that cannot work, before the first
// run; Run asks once (see health.Check.Run). A Check that holds something
// between runs, a connection for one, also implements io.Closer.
type Check interface {
	Validate() error
	Run(ctx context.Context) (output string, err error)
}

// OptionError is a bad option: its Key as written in hale.yaml, and what is
// wrong with it, ending in the way out.
type OptionError struct {
	Key string
	Err error
}

func (e *OptionError) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

// Optionf makes an OptionError.
func Optionf(key, format string, args ...any) error {
	return &OptionError{key, fmt.Errorf(format, args...)}
}
