package file_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"hale/checks/file"
	"hale/test/checktest"
)

func TestSoak(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state-1"), []byte("running"), 0o600); err != nil {
		t.Fatal(err)
	}
	checktest.Soak(t, &file.Check{Path: "state-*", Dir: dir, Contains: "running", MaxAge: 24 * time.Hour}, nil)
}
