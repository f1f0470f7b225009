package balancer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hale/internal/balancer/inventory"
	"hale/internal/elb/spread"
	"hale/internal/statefile"
)

// stateFile and keyFile are what the state directory holds of the balancer.
const (
	stateFile = "balancer.json"
	keyFile   = "cookie.key"
)

// Kept returns the inventory that a state directory holds, whoever has it open:
// the last one that was saved, an empty one if there is none.
func Kept(dir string) (*inventory.Inventory, error) {
	return statefile.Read[inventory.Inventory](dir, stateFile)
}

// newSealer returns what seals stickiness cookies: with the key that the directory
// holds, so that clients stick through a restart. Without a directory, the key is new.
func newSealer(dir string) (*spread.Sealer, error) {
	key := make([]byte, spread.KeySize)
	_, _ = rand.Read(key) // never fails
	if dir == "" {
		return spread.NewSealer(key)
	}
	kept, err := os.ReadFile(filepath.Join(dir, keyFile))
	switch {
	case err == nil && len(kept) == spread.KeySize:
		key = kept
	case err == nil || errors.Is(err, fs.ErrNotExist):
		if err := statefile.Replace(filepath.Join(dir, keyFile), key); err != nil {
			return nil, fmt.Errorf("keep the key of stickiness cookies in %s: %w", dir, err)
		}
	default:
		return nil, fmt.Errorf("read the key of stickiness cookies: %w", err)
	}
	return spread.NewSealer(key)
}
