package celery

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"hale/checks/internal/redisserver"
	"hale/checks/internal/trust"
)

const (
	// metaKey begins the keys of results (celery.backends.base.KeyValueStoreBackend).
	metaKey = "celery-task-meta-"

	// longest is what is read of a result, in bytes. Longer ones cannot be read.
	longest = 2 << 10

	scanCount = 1000
)

// redisResults is Redis as a result backend: a key for each result, named by a
// random id, so that a task's can only be found by looking at all. Runs do so
// bit by bit: each goes on where the last one stopped.
type redisResults struct {
	address *redisserver.Address
	trust   trust.Options
	prefix  string

	known finding   // since the check began
	swept time.Time // when the last sweep that came to its end had begun; zero: none did
	sweep sweep
}

// sweep is one time through all keys.
type sweep struct {
	cursor         string // "": not begun
	began          time.Time
	looked         int64
	named, unnamed int64
	large          int64
}

func (b *redisResults) where() string { return b.address.Where }
func (b *redisResults) close() error  { return nil }

func (b *redisResults) look(ctx context.Context, task string, enough time.Duration) (finding, error) {
	conn, err := b.address.Dial(ctx, b.trust, maxReplies+most*longest)
	if err != nil {
		return finding{}, err
	}
	defer conn.Close()
	// As long as the last success is young there is nothing to be learnt: half of
	// the time that it may be old is left to find a younger one.
	if time.Since(b.known.succeeded) < enough/2 {
		_, err := conn.Ask([]string{"PING"})
		return b.known, err
	}
	if b.sweep.cursor == "" {
		b.sweep = sweep{cursor: "0", began: time.Now()}
	}
	for looked := int64(0); looked < most; {
		n, err := b.page(conn, task)
		if err != nil {
			return finding{}, err
		}
		looked += n
		b.sweep.looked += n
		b.known.looked = b.sweep.looked
		if b.sweep.cursor == "0" {
			b.swept = b.sweep.began
			b.known.nameless = b.sweep.named == 0 && b.sweep.unnamed > 0
			b.known.large = b.sweep.large
			b.sweep = sweep{}
			break
		}
	}
	// A sweep may have passed by what was written after it had begun.
	b.known.partial = b.swept.IsZero() || !b.known.succeeded.IsZero() && b.swept.Before(b.known.succeeded.Add(enough))
	return b.known, nil
}

// page looks at the next keys, and returns how many it was about.
func (b *redisResults) page(conn *redisserver.Conn, task string) (int64, error) {
	replies, err := conn.Ask([]string{"SCAN", b.sweep.cursor, "MATCH", globbed(b.prefix) + metaKey + "*", "COUNT", strconv.Itoa(scanCount)})
	if err != nil {
		return 0, err
	}
	page, _ := replies[0].([]any)
	if len(page) != 2 {
		b.sweep.cursor = "0"
		return 0, nil
	}
	b.sweep.cursor, _ = page[0].(string)
	keys, _ := page[1].([]any)
	var question [][]string
	for _, key := range keys {
		name, _ := key.(string)
		question = append(question, []string{"GETRANGE", name, "0", strconv.Itoa(longest)})
	}
	if len(question) > 0 {
		contents, err := conn.Ask(question...)
		if err != nil {
			return 0, err
		}
		for _, content := range contents {
			text, _ := content.(string)
			b.read(text, task)
		}
	}
	return scanCount, nil
}

// read reads a result (celery.backends.base.Backend._get_result_meta).
func (b *redisResults) read(text, task string) {
	if len(text) > longest {
		b.sweep.large++
		return
	}
	var meta struct {
		Status   string  `json:"status"`
		Name     string  `json:"name"`
		DateDone *string `json:"date_done"`
	}
	if json.Unmarshal([]byte(text), &meta) != nil || meta.DateDone == nil {
		return // of another kind, or not done
	}
	if meta.Name == "" {
		b.sweep.unnamed++
		return
	}
	b.sweep.named++
	if done, ok := parseTime(*meta.DateDone); ok && meta.Name == task {
		b.known.note(meta.Status, done)
	}
}

// note takes notice of a result.
func (f *finding) note(status string, done time.Time) {
	switch {
	case status == "SUCCESS" && done.After(f.succeeded):
		f.succeeded = done
	case status == "FAILURE" && done.After(f.failed):
		f.failed = done
	}
}

// globbed writes a text so that MATCH takes it literally.
func globbed(text string) string {
	var escaped []byte
	for _, b := range []byte(text) {
		switch b {
		case '*', '?', '[', ']', '\\', '^':
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, b)
	}
	return string(escaped)
}
