// Package statefile keeps what a program has to know again after it ended, however
// it ended: as JSON, in one file of a directory.
package statefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Store keeps a T. What is saved is on the disk when Save returns: each state is a
// whole file, written beside the last one and put in its place, so that there is
// always one that is complete.
type Store[T any] struct {
	dir, name string
	lock      *os.File
}

// version is of the file's form. One that is newer is refused, not guessed.
const version = 1

type stored[T any] struct {
	Version int
	State   *T
}

// Open opens the file of that name in a directory, which is made if it is not
// there, and reads it; without a file, the state is the zero one. Only one process
// at a time may have it open: others are refused.
func Open[T any](dir, name string) (*Store[T], *T, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the state directory: %w; name another with --state", err)
	}
	s := &Store[T]{dir: dir, name: name}
	state, err := s.Take()
	if err != nil {
		return nil, nil, err
	}
	return s, state, nil
}

// Take opens the file again after Release, and reads it.
func (s *Store[T]) Take() (*T, error) {
	path := filepath.Join(s.dir, strings.TrimSuffix(s.name, filepath.Ext(s.name))+".lock")
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w; let this user write there, or name another with --state", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the state directory %s is in use by another hale balance: stop that one, or give this one its own with --state", s.dir)
		}
		return nil, fmt.Errorf("lock the state directory %s: %w", s.dir, err)
	}
	s.lock = lock
	state, err := Read[T](s.dir, s.name)
	if err != nil {
		s.Release()
	}
	return state, err
}

// Release lets others have the file. A nil Store, or one that is released, is left
// as it is.
func (s *Store[T]) Release() {
	if s == nil || s.lock == nil {
		return
	}
	// A child that is being started has the descriptor, too, until it execs.
	_ = syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN)
	_ = s.lock.Close()
	s.lock = nil
}

// Read reads a file, whoever has it open: the state that was saved last, the zero
// one if there is no file.
func Read[T any](dir, name string) (*T, error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return new(T), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	var form struct{ Version int }
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, fmt.Errorf("read the state %s: %w; mend the file, or move it away to begin anew", path, err)
	}
	if form.Version != version {
		return nil, fmt.Errorf("the state %s is of version %d, and this program reads version %d: use the program that wrote it", path, form.Version, version)
	}
	kept := stored[T]{State: new(T)}
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, fmt.Errorf("read the state %s: %w; mend the file, or move it away to begin anew", path, err)
	}
	return kept.State, nil
}

// Save puts a state on the disk.
func (s *Store[T]) Save(state *T) error {
	text, err := json.Marshal(stored[T]{version, state})
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	if err := Replace(filepath.Join(s.dir, s.name), text); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	return nil
}

// Replace puts a file in the place of what is there. When it returns, that is on
// the disk; before, the old one is.
func Replace(path string, content []byte) error {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync() // a rename is a change of the directory
}
