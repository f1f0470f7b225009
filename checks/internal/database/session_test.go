package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What kept a query from being asked is told, also when time runs out in the
// middle of the next attempt.
func TestLockedUntilTheEnd(t *testing.T) {
	locked, broken := errors.New("locked"), errors.New("broken")
	for _, test := range []struct {
		name   string
		first  []error // what attempts come to, before one that hangs
		want   error
		within time.Duration
	}{
		{"locked, then cut off", []error{locked, locked}, locked, 750 * time.Millisecond},
		{"cut off at once", nil, context.DeadlineExceeded, 750 * time.Millisecond},
		{"locked, then broken", []error{locked, broken}, broken, retryPause},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				s := &Session{db: &database{
					passing: func(err error) bool { return errors.Is(err, locked) },
					connect: func(ctx context.Context) (driver.Conn, error) {
						if attempts++; attempts <= len(test.first) {
							return nil, test.first[attempts-1]
						}
						<-ctx.Done()
						return nil, errors.New("interrupted")
					},
				}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				_, err := s.Query(ctx, "select 1", 1)
				if took := time.Since(start); !errors.Is(err, test.want) || took != test.within {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}
