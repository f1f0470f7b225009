package proxy

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket is a connection that is read and written by system calls of which Go's
// scheduler is not told. They never wait, since sockets do not block; but to tell
// it costs a proxy, which does little else, a tenth of its time: above all since
// its watchdog looks every 20 µs what has become of them. What has to wait, waits in
// Go's poller as ever. One goroutine reads and one writes at a time.
type socket struct {
	net.Conn
	raw         syscall.RawConn
	read, write attempt

	look   func(fd uintptr)
	looked bool // nothing was there
}

// attempt is a read or a write under way.
type attempt struct {
	p, more []byte // more is written after p
	n       int
	errno   syscall.Errno
	try     func(fd uintptr) (done bool)
}

// newSocket returns the connection as a socket, or itself if it is none.
func newSocket(nc net.Conn) net.Conn {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nc
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nc
	}
	s := &socket{Conn: nc, raw: raw}
	s.read.try, s.write.try, s.look = s.tryRead, s.tryWrite, s.tryLook
	return s
}

// plainConn returns the connection that is none of our sockets, for what io.Copy
// knows how to join.
func plainConn(nc net.Conn) net.Conn {
	if s, ok := nc.(*socket); ok {
		return s.Conn
	}
	return nc
}

func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	a := &s.read
	a.p, a.n, a.errno = p, 0, 0
	err := s.raw.Read(a.try)
	a.p = nil
	switch {
	case err != nil:
		return 0, named("read", err)
	case a.errno != 0:
		return 0, s.fails("read", a.errno)
	case a.n == 0:
		return 0, io.EOF
	}
	return a.n, nil
}

func (s *socket) tryRead(fd uintptr) bool {
	a := &s.read
	for {
		n, errno := readSocket(fd, a.p)
		switch errno {
		case 0:
			a.n = n
			return true
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			a.errno = errno
			return true
		}
	}
}

func (s *socket) Write(p []byte) (int, error) {
	return s.writeBoth(p, nil)
}

// writeBoth writes one after the other, at once if it can.
func (s *socket) writeBoth(p, more []byte) (int, error) {
	a := &s.write
	a.p, a.more, a.n, a.errno = p, more, 0, 0
	err := s.raw.Write(a.try)
	a.p, a.more = nil, nil
	if err == nil && a.errno != 0 {
		err = s.fails("write", a.errno)
	}
	return a.n, named("write", err)
}

func (s *socket) tryWrite(fd uintptr) bool {
	a := &s.write
	for len(a.p) > 0 {
		n, errno := writeSocket(fd, a.p, a.more)
		switch errno {
		case 0:
			a.wrote(n)
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			a.errno = errno
			return true
		}
	}
	return true
}

func (a *attempt) wrote(n int) {
	a.n += n
	if n >= len(a.p) && len(a.more) > 0 {
		n -= len(a.p)
		a.p, a.more = a.more, nil
	}
	a.p = a.p[n:]
}

// quiet reports, without waiting, whether there is nothing to read, not even the
// end. A byte that is read is lost.
func (s *socket) quiet() bool {
	s.looked = false
	return s.raw.Control(s.look) == nil && s.looked
}

func (s *socket) tryLook(fd uintptr) {
	var b [1]byte
	_, errno := readSocket(fd, b[:])
	s.looked = errno == syscall.EAGAIN
}

func (s *socket) fails(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// named gives an error of the poller's the usual name of what was tried.
func named(op string, err error) error {
	if e, ok := err.(*net.OpError); ok { //nolint:errorlint // as it was made
		e.Op = op
	}
	return err
}

// CloseWrite says that nothing more will be written.
func (s *socket) CloseWrite() error {
	return s.Conn.(interface{ CloseWrite() error }).CloseWrite()
}
