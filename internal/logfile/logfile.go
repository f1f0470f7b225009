// Package logfile writes log lines to a file that can be moved away and
// reopened, as logrotate wants, or to one of the process's own streams. Nobody
// who writes a line ever waits for the disk, or for the program at the other
// end of a pipe.
package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	flushSize  = 32 << 10        // bytes after which lines are written out at once
	maxWaiting = 1 << 20         // bytes that wait at most; further lines are lost
	patience   = 2 * time.Second // for a write under way, in Reopen and Close
)

// Options say where the streams are, and who is told of trouble.
type Options struct {
	Stdout, Stderr io.Writer

	// Delay is how long a line may wait for others, to be written out together
	// with them. 0 means not at all.
	Delay time.Duration

	// Logger is told when lines were lost. Nil means none.
	Logger *slog.Logger
}

// File collects whole lines and writes them out from a goroutine of its own:
// after Delay, when 32 KiB have come together, and at Close. While writing
// takes longer than lines come in, they wait, up to 1 MiB; what comes then is
// counted and lost, since a log must not stop the traffic that it tells of.
// Its methods may be called at the same time. A nil File throws all away.
type File struct {
	path  string // "" for a stream, which cannot be reopened
	delay time.Duration
	log   *slog.Logger

	mu     sync.Mutex // guards what follows
	buf    []byte     // waits to be written
	lost   int        // lines
	closed bool

	wake, full chan struct{} // there is something to write; there is much
	reopen     chan rotation
	stop, done chan struct{}
}

// Open opens the log called name: "off" or "" (nothing is written), "stdout",
// "stderr", or a file's path, which is created with mode 0640 and appended to.
func Open(name string, o Options) (*File, error) {
	f := &File{
		delay: o.Delay, log: o.Logger,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		reopen: make(chan rotation), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	var out io.Writer
	switch name {
	case "off", "":
		return nil, nil //nolint:nilnil // a nil File is one that throws all away
	case "stdout":
		out = o.Stdout
	case "stderr":
		out = o.Stderr
	default:
		f.path = name
		file, err := openFile(name)
		if err != nil {
			return nil, err
		}
		out = file
	}
	go f.run(out)
	return f, nil
}

func openFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640) //nolint:gosec // readable by the log's group, as Debian's logs are
	if err != nil {
		return nil, fmt.Errorf("open log: %w; the directory has to exist and be writable for hale's user", err)
	}
	return file, nil
}

// Off tells whether lines are thrown away, so that they need not be made.
func (f *File) Off() bool { return f == nil }

// Write takes one or more whole lines. It never waits and never fails.
func (f *File) Write(lines []byte) (int, error) {
	if f == nil {
		return len(lines), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.buf)+len(lines) > maxWaiting {
		f.lost += bytes.Count(lines, []byte{'\n'})
		return len(lines), nil
	}
	if len(f.buf) == 0 {
		signal(f.wake)
	}
	f.buf = append(f.buf, lines...)
	if len(f.buf) >= flushSize {
		signal(f.full)
	}
	return len(lines), nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Reopen closes the file and opens its path again, after what was written so
// far has reached the old one. If that is not possible, the old file stays.
// Streams, and a File that is closed, are left as they are.
func (f *File) Reopen() error {
	if f == nil || f.path == "" {
		return nil
	}
	next, err := openFile(f.path)
	if err != nil {
		return err
	}
	r := rotation{next, make(chan struct{})}
	select {
	case f.reopen <- r:
	case <-f.done:
		return next.Close()
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("reopen log %s: a write to the old file has not ended for %v", f.path, patience), next.Close())
	}
	select {
	case <-r.done:
	case <-time.After(patience): // it will be the next file to be written to
	}
	return nil
}

// rotation is a new file, to be written to from when done is closed.
type rotation struct {
	file *os.File
	done chan struct{}
}

// Close writes out what is left and closes the file; streams stay open. It
// waits two seconds at most for a write that does not end.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	first := !f.closed
	f.closed = true
	f.mu.Unlock()
	if first {
		close(f.stop)
	}
	select {
	case <-f.done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("close log %s: a write has not ended for %v", f.name(), patience)
	}
}

func (f *File) name() string {
	if f.path == "" {
		return "stream"
	}
	return f.path
}

// run writes to out until Close.
func (f *File) run(out io.Writer) {
	defer close(f.done)
	w := writer{file: f, out: out}
	defer w.close()
	var due <-chan time.Time // not nil: a flush is due
	for {
		select {
		case <-f.wake:
			if f.delay == 0 {
				w.flush()
			} else if due == nil {
				due = time.After(f.delay)
			}
		case <-due:
			due = nil
			w.flush()
		case <-f.full:
			w.flush()
		case next := <-f.reopen:
			w.flush()
			w.close()
			w.out = next.file
			close(next.done)
		case <-f.stop:
			w.flush()
			return
		}
	}
}

// writer is what only run's goroutine knows.
type writer struct {
	file  *File
	out   io.Writer
	spare []byte // the buffer that is not filled just now
	lost  int    // lines, since writing began to fail
}

func (w *writer) flush() {
	f := w.file
	f.mu.Lock()
	lines, lost := f.buf, f.lost
	f.buf, f.lost = w.spare[:0], 0
	f.mu.Unlock()
	w.spare = lines
	if len(lines) == 0 {
		return
	}
	_, err := w.out.Write(lines)
	if err != nil {
		lost += bytes.Count(lines, []byte{'\n'})
		if w.lost == 0 {
			f.log.Error("log can't be written, lines are lost", "log", f.name(), "error", err)
		}
		w.lost += lost
		return
	}
	if w.lost += lost; w.lost > 0 {
		f.log.Warn("log is written again, lines were lost", "log", f.name(), "lost_lines", w.lost)
		w.lost = 0
	}
}

func (w *writer) close() {
	if file, ok := w.out.(*os.File); ok && w.file.path != "" {
		if err := file.Close(); err != nil {
			w.file.log.Warn("log did not close well", "log", w.file.path, "error", err)
		}
	}
}
