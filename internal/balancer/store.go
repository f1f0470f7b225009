package balancer

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"hale/internal/balancer/inventory"
	"hale/internal/elb/spread"
)

// store keeps the inventory in a directory. What is saved is on the disk when
// save returns: each state is a whole file, written beside the last one and put
// in its place, so that there is always one that is complete.
type store struct {
	dir  string
	lock *os.File
}

// stateFile and lockFile are what the directory holds.
const (
	stateFile = "state.json"
	keyFile   = "cookie.key"
	lockFile  = "lock"
)

// stateVersion is of the state's form. One that is newer is refused, not guessed.
const stateVersion = 1

type state struct {
	Version   int
	Inventory *inventory.Inventory
}

// openStore opens a directory, which is made if it is not there, and reads its
// state. Only one program at a time may have it open.
func openStore(dir string) (*store, *inventory.Inventory, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the state directory: %w", err)
	}
	s := &store{dir: dir}
	if err := s.take(); err != nil {
		return nil, nil, err
	}
	v, err := s.load()
	if err != nil {
		s.release()
		return nil, nil, err
	}
	return s, v, nil
}

// take locks the directory for this process.
func (s *store) take() error {
	lock, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock the state directory: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		s.lock = lock
		return nil
	}
	_ = lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("the state directory %s is in use by another hale balance: stop that one, or give this one its own with --state", s.dir)
	}
	return fmt.Errorf("lock the state directory %s: %w", s.dir, err)
}

func (s *store) load() (*inventory.Inventory, error) {
	path := filepath.Join(s.dir, stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return new(inventory.Inventory), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	var form struct{ Version int }
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, fmt.Errorf("read the state %s: %w; mend the file, or move it away to begin anew", path, err)
	}
	if form.Version != stateVersion {
		return nil, fmt.Errorf("the state %s is of version %d, and this program reads version %d: use the program that wrote it", path, form.Version, stateVersion)
	}
	stored := state{Inventory: new(inventory.Inventory)}
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("read the state %s: %w; mend the file, or move it away to begin anew", path, err)
	}
	return stored.Inventory, nil
}

// save puts an inventory on the disk.
func (s *store) save(v *inventory.Inventory) error {
	text, err := json.Marshal(state{stateVersion, v})
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	if err := s.replace(stateFile, text); err != nil {
		return fmt.Errorf("save the state in %s: %w", s.dir, err)
	}
	return nil
}

func (s *store) replace(name string, text []byte) error {
	path := filepath.Join(s.dir, name)
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
	return syncDir(s.dir)
}

// syncDir has a directory's entries on the disk: a rename is one.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// release lets others have the directory.
func (s *store) release() {
	// A child that is being started has the descriptor, too, until it execs.
	_ = syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN)
	_ = s.lock.Close()
}

// newSealer returns what seals stickiness cookies: with the key that the store
// holds, so that clients stick through a restart. Without a store, the key is new.
func newSealer(s *store) (*spread.Sealer, error) {
	key := make([]byte, spread.KeySize)
	_, _ = rand.Read(key) // never fails
	if s == nil {
		return spread.NewSealer(key)
	}
	kept, err := os.ReadFile(filepath.Join(s.dir, keyFile))
	switch {
	case err == nil && len(kept) == spread.KeySize:
		key = kept
	case err == nil || errors.Is(err, fs.ErrNotExist):
		if err := s.replace(keyFile, key); err != nil {
			return nil, fmt.Errorf("keep the key of stickiness cookies in %s: %w", s.dir, err)
		}
	default:
		return nil, fmt.Errorf("read the key of stickiness cookies: %w", err)
	}
	return spread.NewSealer(key)
}
