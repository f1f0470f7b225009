//go:build unix

package proxy

import (
	"errors"
	"net"
	"syscall"
)

// prepareLook makes the function that alive calls, once for a connection.
func (c *conn) prepareLook(plain net.Conn) {
	sc, ok := plain.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	var b [1]byte
	c.raw = raw
	c.look = func(fd uintptr) {
		// A byte that is read is lost, but whoever sends one unasked has
		// spoilt the connection. Sockets do not block, so neither does this.
		_, err := syscall.Read(int(fd), b[:])
		if errors.Is(err, syscall.EAGAIN) {
			c.found = lookQuiet
		}
	}
}
