//go:build !linux

package machine

import "errors"

func statfs(string) (Disk, error) { return Disk{}, errors.ErrUnsupported }
func adjtimex() (Clock, error)    { return Clock{}, errors.ErrUnsupported }
