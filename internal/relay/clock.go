package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A Clock ends a pair of connections over which nothing has moved for a time, in
// either direction. To tell, it needs no copy of what moves: the kernel may join
// two sockets (splice(2)), and the clock looks now and then what came of it. So
// the end may come up to a quarter of the time late.
type Clock struct {
	began time.Time
	limit atomic.Int64 // nanoseconds
	moved atomic.Int64 // when something last did, since began
	timer *time.Timer
}

const never = time.Duration(1<<63 - 1)

// NewClock returns a clock that calls end, once, when nothing has moved for
// limit. Stop has to be called.
func NewClock(limit time.Duration, end func()) *Clock {
	k := &Clock{began: time.Now()}
	k.limit.Store(int64(limit))
	k.timer = time.AfterFunc(never, func() {
		limit := time.Duration(k.limit.Load())
		if idle := time.Since(k.began) - time.Duration(k.moved.Load()); idle < limit {
			k.timer.Reset(limit - idle)
			return
		}
		end()
	})
	k.timer.Reset(limit) // not before it is known to its own function
	return k
}

// Stop stops the clock.
func (k *Clock) Stop() { k.timer.Stop() }

// Shorten lowers the limit, for when one direction has ended.
func (k *Clock) Shorten(limit time.Duration) {
	if int64(limit) < k.limit.Load() {
		k.limit.Store(int64(limit))
		k.timer.Reset(limit)
	}
}

// Copy copies src to dst until src ends, as io.Copy does. It uses src's read
// deadline.
func (k *Clock) Copy(dst io.Writer, src net.Conn) (written int64, err error) {
	for {
		by := time.Now().Add(time.Duration(k.limit.Load()) / 4)
		_ = src.SetReadDeadline(by)
		n, err := io.Copy(dst, src)
		written += n
		if n > 0 {
			k.moved.Store(int64(time.Since(k.began)))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(by) { // not ours
			return written, err
		}
	}
}

// AcceptEach calls f for each connection of the listener, until that fails, and
// returns why: net.ErrClosed if it was closed. It bears a shortage of file
// descriptors, or of memory.
func AcceptEach(ctx context.Context, l net.Listener, f func(net.Conn)) error {
	for wait := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			wait = 0
			f(nc)
			continue
		}
		if !isShortage(err) {
			return err
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

func isShortage(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
