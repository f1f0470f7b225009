package supervise

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	keptLines = 10   // of a failing command, for its error
	maxLine   = 8192 // bytes of one line of output; a longer one is logged in pieces
)

// StepError is a command before the app that failed.
type StepError struct {
	Number  int    // of the command in the list; the first is 1
	Program string // its first word; the others may hold secrets
	Exit    Exit
	Err     error    // why it could not be started; nil where it ran
	Lines   []string // the last lines of its output
}

func (e *StepError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("before command %d: %v", e.Number, e.Err)
	}
	text := fmt.Sprintf("before command %d (%s): %s", e.Number, e.Program, e.Exit)
	if len(e.Lines) > 0 {
		text += "; its last lines:\n\t" + strings.Join(e.Lines, "\n\t")
	}
	return text
}

func (e *StepError) Unwrap() error { return e.Err }

// Before runs commands one after the other, each to its end, and logs every
// line of their output. What a command leaves behind in its process group is
// ended with it. The first that does not exit with 0 ends it all with a
// *StepError. When ctx is done, the command that runs is stopped as a Child
// would be, within DefaultStopTimeout, and the error wraps ctx's cause; so it
// does where ctx is done only after the last command, or there is none at all.
func Before(ctx context.Context, log *slog.Logger, steps ...Step) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for i, s := range steps {
		if err := s.run(ctx, log, i+1); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("before the app: stopped: %w", err)
	}
	return nil
}

func (s Step) run(ctx context.Context, log *slog.Logger, number int) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("before command %d: not started: %w", number, err)
	}
	failure := &StepError{Number: number}
	var last tail
	var out, errOut *lineWriter
	started := make(chan struct{}) // closed when the log says so: output may come before
	p, err := start(s, syscall.SIGTERM, func(cmd *exec.Cmd) {
		failure.Program = cmd.Args[0]
		log = log.With("command", number, "program", cmd.Args[0])
		says := func(stream string) *lineWriter {
			return &lineWriter{line: func(text string) {
				last.add(text)
				<-started
				log.Info("before command says", "stream", stream, "line", text)
			}}
		}
		out, errOut = says("stdout"), says("stderr")
		cmd.Stdout, cmd.Stderr = out, errOut
	})
	if err != nil {
		failure.Err = err
		return failure
	}
	log.Info("before command started", "pid", p.pid)
	close(started)
	left := p.end(ctx, syscall.SIGTERM, DefaultStopTimeout, func() {
		log.Warn("before command did not stop in time and is killed", "pid", p.pid, "stop_timeout", DefaultStopTimeout.String())
	})
	if left > 0 {
		log.Warn("before command left processes behind, which were ended", "pid", p.pid, "processes", left)
	}
	out.flush()
	errOut.flush()
	failure.Exit, failure.Lines = p.exit(), last.lines
	if err := context.Cause(ctx); err != nil && failure.Exit.Code != 0 {
		return fmt.Errorf("before command %d (%s): stopped: %w", number, failure.Program, err)
	}
	if failure.Exit.Code != 0 {
		return failure
	}
	log.Info("before command done", "took", failure.Exit.Uptime.Round(time.Millisecond).String())
	return nil
}

// tail keeps the last lines of two streams.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == keptLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
}

// lineWriter hands what is written to it on, line by line.
type lineWriter struct {
	line func(string)
	buf  []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if room := maxLine - len(w.buf); len(line) > room {
			line, after, ended = rest[:room], rest[room:], true
		}
		w.buf = append(w.buf, line...)
		if ended {
			w.emit()
		}
		rest = after
	}
	return len(b), nil
}

// flush hands on a last line that has no newline.
func (w *lineWriter) flush() {
	if len(w.buf) > 0 {
		w.emit()
	}
}

func (w *lineWriter) emit() {
	w.line(clean(w.buf))
	w.buf = w.buf[:0]
}

// clean makes text of a line's bytes: progress bars overwrite their line with
// carriage returns, of which the last state is what a person would see.
func clean(b []byte) string {
	b = bytes.TrimRight(b, "\r")
	if i := bytes.LastIndexByte(b, '\r'); i >= 0 {
		b = b[i+1:]
	}
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	return string(b)
}
