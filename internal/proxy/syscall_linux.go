//go:build linux && !race

package proxy

import (
	"syscall"
	"unsafe"
)

func readSocket(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

// writeSocket writes p, and more after it, which may be empty.
func writeSocket(fd uintptr, p, more []byte) (int, syscall.Errno) {
	if len(more) == 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		return int(n), errno
	}
	both := [2]syscall.Iovec{{Base: &p[0]}, {Base: &more[0]}}
	both[0].SetLen(len(p))
	both[1].SetLen(len(more))
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&both)), uintptr(len(both)))
	return int(n), errno
}
