package probe

import (
	"context"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// endless gives bytes until a time has come, as a connection does until its
// deadline.
type endless struct {
	until time.Time
}

func (s endless) Read(b []byte) (int, error) {
	if !time.Now().Before(s.until) {
		return 0, os.ErrDeadlineExceeded
	}
	return len(b), nil
}

// A body without a length is read until the time-out, however much comes, but
// what is too much comes slowly: a few seconds bring megabytes, not gigabytes.
func TestDrainWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 3 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, test := range []struct {
			sized bool
			limit int64 // of the prober
			want  Outcome
			least int64
			most  int64
		}{
			{false, 0, BodyTimeout, 250 << 20, 260 << 20}, // 64 MiB at once, and three seconds of 64 MiB each
			{true, 0, Answered, 64 << 20, 65 << 20},
			{false, 10 << 10, Answered, 10 << 10, 16 << 10},
		} {
			a := Answer{Outcome: Answered}
			c := conversation{Probe: Probe{Prober: &Prober{BodyLimit: test.limit}}, a: &a, ctx: ctx, in: newReader(nil)}
			var body io.Reader = endless{time.Now().Add(patience)}
			c.drain(body, test.sized)
			if a.Outcome != test.want || a.BodySize < test.least || a.BodySize > test.most || len(a.Body) > mostKept {
				t.Errorf("sized %v, limit %d: %v after %d bytes, of which %d kept", test.sized, test.limit, a.Outcome, a.BodySize, len(a.Body))
			}
		}
	})
}
