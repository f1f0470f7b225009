// Package proctest makes trees of /proc and /sys for tests.
package proctest

import (
	"os"
	"path/filepath"
	"testing"

	"hale/internal/proc"
)

// FS makes a file system of files, named as in "proc/loadavg".
func FS(t testing.TB, files map[string]string) proc.FS {
	t.Helper()
	fs := proc.FS{Root: t.TempDir()}
	Write(t, fs, files)
	return fs
}

// Write writes files into a file system.
func Write(t testing.TB, fs proc.FS, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(fs.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
