// Package logfile writes log lines to a file that can be moved away and
// reopened, as logrotate wants, or to one of the process's own streams.
package logfile

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	flushSize  = 32 << 10               // bytes after which lines are written out at once
	flushDelay = 100 * time.Millisecond // longest time a line waits
)

// File collects whole lines and writes them out together: when 32 KiB have come
// together, 100 ms after the first of them, and at Close. Its methods may be
// called at the same time. The zero File throws everything away.
type File struct {
	path   string // "" for a stream, which cannot be reopened
	on     bool
	logger *slog.Logger

	mu    sync.Mutex // guards what follows
	out   io.Writer
	buf   []byte
	timer *time.Timer // not nil: a flush is due
	lost  int         // lines dropped since writing began to fail
}

// Open opens the log called name: "off" or "" (nothing is written), "stdout",
// "stderr", or a file's path, which is created with mode 0640 and appended to.
// Trouble in writing is told to logger, once when it begins and once when it ends.
func Open(name string, stdout, stderr io.Writer, logger *slog.Logger) (*File, error) {
	f := &File{logger: logger, on: name != "off" && name != ""}
	switch name {
	case "off", "":
	case "stdout":
		f.out = stdout
	case "stderr":
		f.out = stderr
	default:
		f.path = name
		if err := f.Reopen(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Off tells whether lines are thrown away, so that they need not be made.
func (f *File) Off() bool { return f == nil || !f.on }

// Write takes one or more whole lines. It never fails: a log that cannot be
// written must not stop the traffic that it tells of.
func (f *File) Write(lines []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out == nil {
		return len(lines), nil
	}
	f.buf = append(f.buf, lines...)
	switch {
	case len(f.buf) >= flushSize:
		f.flushLocked()
	case f.timer == nil:
		f.timer = time.AfterFunc(flushDelay, f.flush)
	}
	return len(lines), nil
}

// Reopen closes the file and opens its path again, after what was written so
// far has reached the old one. If the path cannot be opened, the old file stays.
func (f *File) Reopen() error {
	if f.path == "" {
		return nil
	}
	next, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640) //nolint:gosec // readable by the log's group, as Debian's logs are
	if err != nil {
		return fmt.Errorf("open log: %w; the directory has to exist and be writable for hale's user", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushLocked()
	old, _ := f.out.(*os.File)
	f.out = next
	if old != nil {
		return old.Close()
	}
	return nil
}

// Close writes out what is left and closes the file; streams stay open.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushLocked()
	file, _ := f.out.(*os.File)
	f.out = nil
	if f.path == "" || file == nil {
		return nil
	}
	return file.Close()
}

func (f *File) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushLocked()
}

func (f *File) flushLocked() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if len(f.buf) == 0 || f.out == nil {
		return
	}
	_, err := f.out.Write(f.buf)
	f.reportLocked(err)
	f.buf = f.buf[:0]
}

func (f *File) reportLocked(err error) {
	lines := 0
	for _, c := range f.buf {
		if c == '\n' {
			lines++
		}
	}
	switch {
	case err != nil && f.lost == 0 && f.logger != nil:
		f.logger.Error("log can't be written, lines are lost", "path", f.path, "error", err)
	case err == nil && f.lost > 0 && f.logger != nil:
		f.logger.Info("log can be written again", "path", f.path, "lost_lines", f.lost)
	}
	if err != nil {
		f.lost += lines
	} else {
		f.lost = 0
	}
}
