package logfile_test

import (
	"bytes"
	"fmt"
	"io"
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

func open(t *testing.T, name string, o logfile.Options) *logfile.File {
	t.Helper()
	f, err := logfile.Open(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLinesAreWrittenTogetherAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		f := open(t, "stdout", logfile.Options{Stdout: &out, Delay: 100 * time.Millisecond})
		fmt.Fprintln(f, "one")
		fmt.Fprintln(f, "two")
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("written at once: %q", out.String())
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if out.String() != "one\ntwo\n" || out.writes() != 1 {
			t.Errorf("after 100 ms: %q in %d writes", out.String(), out.writes())
		}
		fmt.Fprintln(f, "three")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if !strings.HasSuffix(out.String(), "three\n") {
			t.Errorf("Close lost a line: %q", out.String())
		}
	})
}

func TestWithoutDelayALineIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		f := open(t, "stderr", logfile.Options{Stderr: &out})
		fmt.Fprintln(f, "one")
		synctest.Wait()
		if out.String() != "one\n" {
			t.Errorf("written: %q", out.String())
		}
		f.Close()
	})
}

// TestAReaderThatStalls fills a pipe that nobody reads: writing goes on at
// once, memory is bounded, Close gives up, and when the reader is back the lost
// lines are told.
func TestAReaderThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told buffer
		stalled := &stall{release: make(chan struct{})}
		f := open(t, "stdout", logfile.Options{Stdout: stalled, Logger: slog.New(slog.NewTextHandler(&told, nil))})
		start := time.Now()
		line := strings.Repeat("x", 1023) + "\n"
		for range 3000 {
			io.WriteString(f, line)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("writing took %v", d)
		}
		synctest.Wait()
		close(stalled.release)
		synctest.Wait()
		fmt.Fprintln(f, "after")
		synctest.Wait()
		f.Close()
		if n := stalled.Len(); n > 2<<20+64<<10 {
			t.Errorf("%d bytes were kept", n)
		}
		if !strings.Contains(told.String(), "lost_lines=") {
			t.Errorf("told %q, want the number of lost lines", told.String())
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalled := &stall{release: make(chan struct{})}
		f := open(t, "stdout", logfile.Options{Stdout: stalled})
		fmt.Fprintln(f, "one")
		synctest.Wait()
		if err := f.Close(); err == nil || !strings.Contains(err.Error(), "has not ended for 2s") {
			t.Errorf("Close: %v", err)
		}
		close(stalled.release)
	})
}

func TestReopenFollowsARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	f := open(t, path, logfile.Options{Delay: time.Hour})
	fmt.Fprintln(f, "before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "after")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path + ".1": "before\n", path: "after\n"} {
		if got, _ := os.ReadFile(name); string(got) != want {
			t.Errorf("%s holds %q, want %q", filepath.Base(name), got, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestReopenKeepsTheOldFileWhenThePathIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := open(t, filepath.Join(dir, "access.log"), logfile.Options{})
	moved := dir + ".moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil || !strings.Contains(err.Error(), "has to exist") {
		t.Errorf("Reopen: %v, want the way out", err)
	}
	fmt.Fprintln(f, "kept")
	f.Close()
	if got, _ := os.ReadFile(filepath.Join(moved, "access.log")); string(got) != "kept\n" {
		t.Errorf("the old file holds %q", got)
	}
}

func TestAFullDiskIsToldOnce(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	var told buffer
	f := open(t, "/dev/full", logfile.Options{Logger: slog.New(slog.NewTextHandler(&told, nil))})
	for range 20 {
		fmt.Fprintln(f, "a line")
		time.Sleep(time.Millisecond) // so that it takes more than one write
	}
	f.Close()
	if n := strings.Count(told.String(), "lines are lost"); n != 1 {
		t.Errorf("told %d times: %s", n, told.String())
	}
}

func TestOff(t *testing.T) {
	f := open(t, "off", logfile.Options{})
	if !f.Off() {
		t.Error("Off() is false")
	}
	if n, err := f.Write([]byte("x\n")); n != 2 || err != nil {
		t.Error(n, err)
	}
	if err := f.Reopen(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// buffer is a bytes.Buffer that goroutines may share.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	n  int
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) Len() int { return len(b.String()) }

func (b *buffer) writes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// stall is a reader that does not read until it is released.
type stall struct {
	buffer
	release chan struct{}
}

func (s *stall) Write(p []byte) (int, error) {
	<-s.release
	return s.buffer.Write(p)
}
