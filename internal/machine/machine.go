// Package machine sees what this machine itself tells of a failing health check,
// without sending anything to the site: which sockets listen and who holds them,
// who waits there, what a process is busy with, where a web server sends its
// requests, what the logs say last, whether the disk is full.
//
// All values are snapshots. It reads /proc and asks the kernel, and needs Linux;
// elsewhere each function's error is errors.ErrUnsupported. What belongs to
// other users' processes takes their rights, or root's.
package machine

import (
	"errors"
	"fmt"
	"runtime"
)

// supported returns the error of systems that cannot tell.
func supported() error {
	if runtime.GOOS == "linux" {
		return nil
	}
	return fmt.Errorf("this can be seen on Linux only, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
