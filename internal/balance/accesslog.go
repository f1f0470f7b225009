package balance

import (
	"sync"
	"time"

	"hale/internal/elb/accesslog"
	"hale/internal/logfile"
	"hale/internal/yamlfile"
)

// accessLog writes a line for each request. A nil one writes none.
type accessLog struct {
	file  *logfile.File
	lines sync.Pool // of *[]byte
}

// logDelay is how long a line may wait for others.
const logDelay = 100 * time.Millisecond

// openAccessLog opens the log of that name; nil for off.
func openAccessLog(target yamlfile.LogTarget, o Options) (*accessLog, error) {
	if target == yamlfile.LogOff {
		return nil, nil //nolint:nilnil // a nil log is one that writes nothing
	}
	file, err := logfile.Open(string(target), logfile.Options{Stdout: o.Stdout, Stderr: o.Stderr, Delay: logDelay, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return &accessLog{file: file}, nil
}

// Log implements balancer.AccessLog.
func (l *accessLog) Log(e *accesslog.Entry) {
	line, ok := l.lines.Get().(*[]byte)
	if !ok {
		line = new([]byte)
	}
	*line = e.Append((*line)[:0])
	_, _ = l.file.Write(*line) // never fails
	l.lines.Put(line)
}

// useAccessLog has the balancer write into the one that is open.
func (s *server) useAccessLog() {
	if s.accessLog == nil {
		s.balancer.LogTo(nil)
		return
	}
	s.balancer.LogTo(s.accessLog)
}

func (l *accessLog) reopen() error {
	if l == nil {
		return nil
	}
	return l.file.Reopen()
}

func (l *accessLog) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
