package logfile_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/logfile"
)

func TestLinesAreWrittenTogetherAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		f, err := logfile.Open("stdout", &out, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte("one\n"))
		f.Write([]byte("two\n"))
		if out.String() != "" {
			t.Errorf("written at once: %q", out.String())
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if out.String() != "one\ntwo\n" {
			t.Errorf("after 100 ms: %q", out.String())
		}
		f.Write([]byte("three\n"))
		f.Close()
		if !strings.HasSuffix(out.String(), "three\n") {
			t.Errorf("Close lost a line: %q", out.String())
		}
	})
}

// buffer is a bytes.Buffer that the flushing timer and the test may share.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestReopenFollowsARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	f, err := logfile.Open(path, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("before\n"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("after\n"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path + ".1": "before\n", path: "after\n"} {
		if got, _ := os.ReadFile(name); string(got) != want {
			t.Errorf("%s holds %q, want %q", filepath.Base(name), got, want)
		}
	}
}

func TestReopenKeepsTheOldFileWhenThePathIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	f, err := logfile.Open(path, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	moved := dir + ".moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil || !strings.Contains(err.Error(), "has to exist") {
		t.Errorf("Reopen: %v, want the way out", err)
	}
	f.Write([]byte("kept\n"))
	f.Close()
	if got, _ := os.ReadFile(filepath.Join(moved, "access.log")); string(got) != "kept\n" {
		t.Errorf("the old file holds %q", got)
	}
}

func TestAFullDiskIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	f, err := logfile.Open("/dev/full", nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	big := bytes.Repeat([]byte("0123456789abcde\n"), 4096)
	f.Write(big)
	f.Write(big)
	if n := strings.Count(log.String(), "lines are lost"); n != 1 {
		t.Errorf("told %d times: %s", n, &log)
	}
}

func TestOff(t *testing.T) {
	f, err := logfile.Open("off", nil, nil, nil)
	if err != nil || !f.Off() {
		t.Fatalf("Off() = %v, %v", f.Off(), err)
	}
	if n, err := f.Write([]byte("x\n")); n != 2 || err != nil {
		t.Error(n, err)
	}
}
