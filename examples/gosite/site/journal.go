package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// journal is the file that every visit is written to before it is answered.
type journal struct {
	path string

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
}

const maxJournal = 1 << 20 // bytes; then it becomes FILE.1 and a new one begins

func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	if err := j.openLocked(); err != nil {
		return nil, err
	}
	return j, nil
}

func (j *journal) openLocked() error {
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open journal: %w", err), f.Close())
	}
	j.file, j.size = f, info.Size()
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// replace runs change while the journal is closed, and opens what is there then.
func (j *journal) replace(change func(path string) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.replaceLocked(change)
}

func (j *journal) replaceLocked(change func(path string) error) error {
	return errors.Join(j.file.Close(), change(j.path), j.openLocked())
}

type visit struct {
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Agent  string    `json:"agent,omitempty"`
}

func (j *journal) visit(r *http.Request) error {
	return j.write(visit{time.Now().UTC(), r.Method, r.URL.Path, r.UserAgent()})
}

// check writes a line: nothing less shows that the next visit's will fit.
func (j *journal) check() error {
	return j.write(struct {
		Time  time.Time `json:"time"`
		Check bool      `json:"check"`
	}{time.Now().UTC(), true})
}

func (j *journal) write(line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.size >= maxJournal {
		if err := j.replaceLocked(func(path string) error { return os.Rename(path, path+".1") }); err != nil {
			return fmt.Errorf("rotate journal: %w", err)
		}
	}
	n, err := j.file.Write(append(b, '\n'))
	j.size += int64(n)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}
