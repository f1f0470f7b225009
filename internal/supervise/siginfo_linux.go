package supervise

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cldExited is si_code of a child that ended by itself; the other codes that
// WEXITED brings mean that a signal ended it (sigaction(2)).
const cldExited = 1

// death is the part of siginfo_t that tells of a dead child, for which
// unix.Siginfo has no names.
type death struct {
	pid    int32
	_      uint32 // the user's number
	status int32
}

// deathOf returns what info tells. It follows three ints, and begins where a
// pointer may stand.
func deathOf(info *unix.Siginfo) death {
	const word = unsafe.Sizeof(uintptr(0))
	const offset = (3*unsafe.Sizeof(int32(0)) + word - 1) / word * word
	return *(*death)(unsafe.Add(unsafe.Pointer(info), offset))
}

// waitStatus returns how the child ended in the form that wait4 gives.
func waitStatus(info *unix.Siginfo) syscall.WaitStatus {
	status := syscall.WaitStatus(deathOf(info).status) //nolint:gosec // an exit code or a signal's number
	if info.Code == cldExited {
		status <<= 8
	}
	return status
}
