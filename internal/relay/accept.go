package relay

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

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
