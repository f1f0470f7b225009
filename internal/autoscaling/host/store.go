package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"hale/internal/autoscaling"
)

// store keeps the state in a directory. What is saved is on the disk when save
// returns: each state is a whole file, written beside the last one and put in its
// place, so that there is always one that is complete.
type store struct {
	dir  string
	lock *os.File
}

// stateFile and lockFile are what the directory holds beside the balancer's own.
const (
	stateFile = "autoscaling.json"
	lockFile  = "autoscaling.lock"
)

// stateVersion is of the state's form. One that is newer is refused, not guessed.
const stateVersion = 1

type stored struct {
	Version int
	State   *autoscaling.State
}

// openStore opens a directory, which is made if it is not there, and reads its
// state. Only one program at a time may have it open.
func openStore(dir string) (*store, *autoscaling.State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the state directory: %w", err)
	}
	s := &store{dir: dir}
	state, err := s.take()
	if err != nil {
		return nil, nil, err
	}
	return s, state, nil
}

// take locks the directory, and reads its state.
func (s *store) take() (*autoscaling.State, error) {
	lock, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the state directory %s is in use by another hale balance: stop that one, or give this one its own with --state", s.dir)
		}
		return nil, fmt.Errorf("lock the state directory %s: %w", s.dir, err)
	}
	s.lock = lock
	state, err := s.load()
	if err != nil {
		s.close()
	}
	return state, err
}

func (s *store) load() (*autoscaling.State, error) {
	path := filepath.Join(s.dir, stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return new(autoscaling.State), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the groups: %w", err)
	}
	var form struct{ Version int }
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, fmt.Errorf("read the groups %s: %w; mend the file, or move it away to begin anew", path, err)
	}
	if form.Version != stateVersion {
		return nil, fmt.Errorf("the groups %s are of version %d, and this program reads version %d: use the program that wrote them", path, form.Version, stateVersion)
	}
	kept := stored{State: new(autoscaling.State)}
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, fmt.Errorf("read the groups %s: %w; mend the file, or move it away to begin anew", path, err)
	}
	return kept.State, nil
}

// Kept returns the state that a state directory holds, whoever has it open: the
// last one that was saved, an empty one if there is none.
func Kept(dir string) (*autoscaling.State, error) { return (&store{dir: dir}).load() }

// save puts a state on the disk.
func (s *store) save(state *autoscaling.State) error {
	text, err := json.Marshal(stored{stateVersion, state})
	if err != nil {
		return fmt.Errorf("save the groups: %w", err)
	}
	if err := s.replace(text); err != nil {
		return fmt.Errorf("save the groups in %s: %w", s.dir, err)
	}
	return nil
}

func (s *store) replace(text []byte) error {
	path := filepath.Join(s.dir, stateFile)
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
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
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync() // a rename is a change of the directory
}

// close lets others have the directory.
func (s *store) close() {
	if s != nil && s.lock != nil {
		// A process that is just being started has the descriptor, too, until it runs
		// its program.
		_ = syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN)
		_ = s.lock.Close()
		s.lock = nil
	}
}
