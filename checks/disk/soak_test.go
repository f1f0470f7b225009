package disk

import (
	"os"
	"testing"

	"hale/test/checktest"
)

// No file that was written is left.
func TestSoak(t *testing.T) {
	dir := t.TempDir()
	left := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	checktest.Soak(t, &Check{Paths: []string{dir}, WarnUsed: 100, MaxUsed: 100, WarnInodes: 100, MaxInodes: 100, Write: true}, left)
	if n := left(); n > 0 {
		t.Errorf("%d files are left", n)
	}
}
