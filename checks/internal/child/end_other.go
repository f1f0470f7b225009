//go:build !linux

package child

import "errors"

func awaitEnd(int) error { return errors.ErrUnsupported }
