package link

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		start := time.Now()

		first, done := NewAttempt(ctx, 3)
		<-first.Done()
		if took := time.Since(start); took != 3*time.Second || !errors.Is(first.Err(), context.DeadlineExceeded) {
			t.Errorf("the first of three ends after %v with %v", took, first.Err())
		}
		done()

		second, done := NewAttempt(ctx, 2)
		if deadline, ok := second.Deadline(); !ok || deadline.Sub(start) != 6*time.Second {
			t.Errorf("the second has until %v", deadline.Sub(start))
		}
		time.Sleep(2 * time.Second)
		second.Settle()
		if deadline, ok := second.Deadline(); !ok || deadline.Sub(start) != 9*time.Second {
			t.Errorf("having answered, the second has until %v", deadline.Sub(start))
		}
		<-second.Done()
		if took := time.Since(start); took != 9*time.Second || !errors.Is(second.Err(), context.DeadlineExceeded) {
			t.Errorf("having answered, the second ends after %v with %v", took, second.Err())
		}
		done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	endless, done := NewAttempt(ctx, 2)
	if _, ok := endless.Deadline(); ok || endless.Err() != nil {
		t.Errorf("without a deadline there is none to share: %v", endless.Err())
	}
	cancel()
	<-endless.Done()
	if !errors.Is(endless.Err(), context.Canceled) {
		t.Errorf("cancelled: %v", endless.Err())
	}
	done()
}
