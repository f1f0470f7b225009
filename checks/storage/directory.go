package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hale/internal/explain"
)

// directory is a store in the file system. The kernel does not let go of a call
// that waits for a disk or a server, so contexts do not end its methods.
type directory struct{ path string }

func newDirectory(path, dir string) *directory {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return &directory{filepath.Clean(path)}
}

func (d *directory) where() string { return d.path }
func (d *directory) close()        {}

// put writes a file and waits until it is on the disk. It opens none that is
// there already: in a directory that others may write to, that could be a link.
func (d *directory) put(_ context.Context, name, content string) (string, error) {
	path := filepath.Join(d.path, name)
	_ = os.Remove(path) // of a run before, if it is there
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", refusal{d.explain("cannot create a file", err)}
	}
	_, err = io.WriteString(file, content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		// The file is there, and may be empty.
		return "", d.explain("cannot write a file", err)
	}
	return "", nil
}

func (d *directory) get(_ context.Context, name string) (string, error) {
	file, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return "", d.explain("cannot read a file", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxObject))
	if err != nil {
		return "", d.explain("cannot read a file", err)
	}
	return string(content), nil
}

func (d *directory) remove(_ context.Context, name, _ string) error {
	err := os.Remove(filepath.Join(d.path, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.explain("cannot delete a file", err)
	}
	return nil
}

// list looks at the first entries alone: there may be millions.
func (d *directory) list(_ context.Context, prefix string) ([]object, error) {
	dir, err := os.Open(d.path)
	if err != nil {
		return nil, d.explain("cannot be opened", err)
	}
	defer dir.Close()
	const some = 1000
	entries, err := dir.ReadDir(some)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, d.explain("cannot be listed", err)
	}
	var objects []object
	for _, entry := range entries {
		if prefix == "" || !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			objects = append(objects, object{entry.Name(), info.ModTime()})
		}
	}
	return objects, nil
}

// explain says what an error of the file system means.
func (d *directory) explain(what string, err error) error {
	var text string
	switch {
	case errors.Is(err, unix.EROFS):
		text = "the file system is mounted read-only"
	case errors.Is(err, unix.ENOSPC):
		text = "no space or no inode is left on the disk"
	case errors.Is(err, unix.EDQUOT):
		text = "the quota is used up"
	case errors.Is(err, unix.ENOTDIR):
		text = "not a directory"
	case errors.Is(err, unix.ESTALE):
		text = "the network file system's server has forgotten the directory (stale file handle)"
	case errors.Is(err, unix.EIO):
		text = what + ": input/output error: the disk or its server is broken"
	case errors.Is(err, fs.ErrPermission):
		text = what + fmt.Sprintf(": permission denied to user %d", os.Geteuid())
	case errors.Is(err, fs.ErrNotExist):
		// The file was there a moment ago, so it may be the file that is gone.
		if _, statErr := os.Stat(d.path); errors.Is(statErr, fs.ErrNotExist) {
			text = "no such directory"
		} else {
			text = what + ": it is not there"
		}
	default:
		text = what + ": " + explain.Innermost(err)
	}
	return &explain.Error{Text: text + ": " + d.path, Err: err}
}
