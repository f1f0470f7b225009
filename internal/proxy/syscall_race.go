//go:build linux && race

package proxy

import (
	"errors"
	"syscall"
)

// The race detector knows what happens before what from package syscall's calls
// alone.

func readSocket(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	return n, errnoOf(err)
}

func writeSocket(fd uintptr, p, more []byte) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	if err != nil || n < len(p) || len(more) == 0 {
		return n, errnoOf(err)
	}
	m, err := syscall.Write(int(fd), more)
	if err != nil {
		return n, 0 // shows again
	}
	return n + m, 0
}

func errnoOf(err error) syscall.Errno {
	errno, _ := errors.AsType[syscall.Errno](err)
	return errno
}
