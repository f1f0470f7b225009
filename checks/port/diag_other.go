//go:build !linux

package port

import (
	"context"
	"errors"
)

// diagnose is for Linux; without it, there is no /proc/net either.
func (c *Check) diagnose(context.Context) ([]listener, error) {
	return nil, errors.ErrUnsupported
}
