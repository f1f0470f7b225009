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
		blocks: st.Blocks, free: st.Bfree, available: st.Bavail, files: st.Files, freeFiles: st.Ffree,
		blockSize: st.Frsize, readOnly: st.Flags&unix.ST_RDONLY != 0,
	}, err
}
