package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"hale/internal/explain"
)

// testSize is what is written: a block, so that room for it has to be found.
const testSize = 4096

// write writes a file to the disk and removes it.
func write(path string) error {
	dir := path
	if info, err := os.Stat(path); err != nil {
		return err
	} else if !info.IsDir() {
		dir = filepath.Dir(path)
	}
	f, err := temporary(dir)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, testSize))
	// What is written is on the disk only now.
	return errors.Join(err, f.Sync(), f.Close())
}

// named opens a file that has lost its name by the time it is written to.
func named(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".hale-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// whyNot says why a file could not be written.
func whyNot(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{syscall.ENOSPC, "no space or inodes left"},
		{syscall.EDQUOT, "the user's quota is used up"},
		{syscall.EROFS, "it is read-only"},
		{syscall.EIO, "the disk has an error"},
		{fs.ErrPermission, "permission denied"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return explain.Innermost(err)
}
