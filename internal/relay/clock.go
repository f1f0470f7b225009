package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
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
	return k.copy(dst, src, func(int64) {})
}

// copy tells now and then how many bytes have moved since.
func (k *Clock) copy(dst io.Writer, src net.Conn, tell func(int64)) (written int64, err error) {
	for {
		by := time.Now().Add(time.Duration(k.limit.Load()) / 4)
		_ = src.SetReadDeadline(by)
		n, err := io.Copy(dst, src)
		written += n
		if n > 0 {
			k.moved.Store(int64(time.Since(k.began)))
			tell(n)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(by) { // not ours
			return written, err
		}
	}
}
