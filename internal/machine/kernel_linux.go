package machine

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// statfs asks for the figures of the file system on which a path lies
// (statfs(2)).
func statfs(path string) (Disk, error) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	for errors.Is(err, unix.EINTR) {
		err = unix.Statfs(path, &st)
	}
	block := uint64(max(st.Frsize, 0))
	return Disk{
		Path: path, Size: bytesOf(st.Blocks, block), Available: bytesOf(st.Bavail, block),
		Files: bytesOf(st.Files, 1), FreeFiles: bytesOf(st.Ffree, 1), ReadOnly: st.Flags&unix.ST_RDONLY != 0,
	}, err
}

// adjtimex asks for the state of the clock, and changes nothing when asked to
// change nothing (adjtimex(2)).
func adjtimex() (Clock, error) {
	var timex unix.Timex
	state, err := unix.Adjtimex(&timex)
	if err != nil {
		return Clock{}, os.NewSyscallError("adjtimex", err)
	}
	unit := time.Microsecond
	if timex.Status&unix.STA_NANO != 0 {
		unit = time.Nanosecond
	}
	return Clock{
		Synchronised: state != unix.TIME_ERROR && timex.Status&unix.STA_UNSYNC == 0,
		Offset:       time.Duration(timex.Offset) * unit,
		Estimated:    time.Duration(timex.Esterror) * time.Microsecond,
		Worst:        time.Duration(timex.Maxerror) * time.Microsecond,
	}, nil
}
