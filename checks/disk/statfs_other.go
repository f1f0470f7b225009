//go:build darwin || freebsd

package disk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// statfs asks for the figures of the file system on which a path lies.
func statfs(path string) (figures, error) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	for errors.Is(err, unix.EINTR) {
		err = unix.Statfs(path, &st)
	}
	return figures{
		blocks: st.Blocks, free: st.Bfree, available: uint64(max(0, int64(st.Bavail))), files: st.Files, freeFiles: uint64(max(0, int64(st.Ffree))), //nolint:gosec // signed on some systems
		blockSize: int64(st.Bsize), readOnly: uint64(st.Flags)&unix.MNT_RDONLY != 0, //nolint:gosec // their sizes differ between systems
	}, err
}
