package serve

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// emptying is how long handshakes that have begun get to end, and the queue to
// be emptied, before a listener closes: longer than the first retransmission
// of TCP on Linux (200 ms).
const emptying = 300 * time.Millisecond

// refuseHandshakes makes the kernel ignore further connection attempts to l,
// while the connections in its queue are still accepted. A listener that just
// closes resets those that the kernel has made and nobody has accepted yet,
// with the requests in them. An ignored attempt is made again by its sender a
// second later, and refused then.
//
// It makes the queue as short as the kernel allows (listen(2) on a listening
// socket changes its backlog), so that, under load, one connection may still be
// in it at the end instead of hundreds.
func refuseHandshakes(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.Listen(int(fd), 0) })
	if err = errors.Join(err, set); err == nil {
		time.Sleep(emptying)
	}
	return err
}
