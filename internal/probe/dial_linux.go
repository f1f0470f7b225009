package probe

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dial connects to an address from a local one, or from the kernel's choice.
//
// A balancer probes thousands of targets each second, each on a connection of its
// own: what net's Dialer does for names, for several addresses and for contexts
// would be a fifth of what a probe costs.
func dial(ctx context.Context, source netip.Addr, to netip.AddrPort, deadline time.Time) (connection, error) {
	if to.Addr().Zone() != "" || source.IsValid() && (source.Zone() != "" || source.Is4() != to.Addr().Unmap().Is4()) {
		return dialAny(ctx, source, to, deadline)
	}
	for tries := 0; ; tries++ {
		s, err := newSocket(source, to)
		if err != nil {
			return connection{}, err
		}
		conn := watch(ctx, s)
		if err := s.connected(ctx, deadline); err != nil {
			conn.unwatch()
			_ = s.Close()
			return connection{}, err
		}
		if tries == mostTries || !s.isItself() {
			return conn, nil
		}
		conn.unwatch()
		_ = s.Close()
	}
}

// mostTries is how often a socket that was connected to itself is made anew: the
// kernel's choice of a port was the one that nobody listens on.
const mostTries = 2

// socket is a TCP connection of the runtime's poller, without net's machinery.
type socket struct {
	*os.File
	fd        int
	local, to netip.AddrPort // local: once it is connected
}

// newSocket begins to connect a socket.
func newSocket(source netip.Addr, to netip.AddrPort) (*socket, error) {
	s := &socket{to: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())}
	family := unix.AF_INET
	if s.to.Addr().Is6() {
		family = unix.AF_INET6
	}
	var err error
	if s.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, s.failed("dial", os.NewSyscallError("socket", err))
	}
	if source.IsValid() {
		err = os.NewSyscallError("bind", unix.Bind(s.fd, sockaddr(netip.AddrPortFrom(source.Unmap(), 0))))
	}
	if err == nil {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	if err == nil {
		if begun, e := s.tryConnect(); !begun {
			err = os.NewSyscallError("connect", e)
		}
	}
	if err != nil {
		_ = unix.Close(s.fd)
		return nil, s.failed("dial", err)
	}
	s.File = os.NewFile(uintptr(s.fd), "tcp")
	return s, nil
}

// tryConnect begins to connect, or asks what has come of it: nothing yet is
// EALREADY or the like, and under way.
func (s *socket) tryConnect() (underWay bool, err error) {
	err = unix.Connect(s.fd, sockaddr(s.to))
	switch {
	case errors.Is(err, unix.EISCONN):
		return true, nil
	case errors.Is(err, unix.EALREADY), errors.Is(err, unix.EINPROGRESS), errors.Is(err, unix.EINTR):
		return true, err
	}
	return err == nil, err
}

// connected waits until the connection is there.
func (s *socket) connected(ctx context.Context, deadline time.Time) error {
	underWay, failed := s.tryConnect() // on one machine, it is there by now
	if underWay && failed != nil {
		_ = s.SetWriteDeadline(deadline)
		if ctx.Err() != nil { // ended meanwhile: the deadline was in the past already
			_ = s.SetWriteDeadline(longAgo)
		}
		raw, err := s.SyscallConn()
		if err == nil {
			err = raw.Write(func(uintptr) bool {
				underWay, failed = s.tryConnect()
				return !underWay || failed == nil
			})
		}
		if err != nil {
			return s.failed("dial", err)
		}
	}
	if failed != nil {
		return s.failed("dial", os.NewSyscallError("connect", failed))
	}
	return nil
}

// isItself tells whether the socket is connected to itself, as can be where nobody
// listens on a port that the kernel takes for its own choices.
func (s *socket) isItself() bool {
	if local, err := unix.Getsockname(s.fd); err == nil {
		s.local = addrPort(local)
	}
	return s.local == s.to
}

// Read reads as net's connections do, with their errors.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.File.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.failed("read", err)
	}
	return n, err
}

// Write writes as net's connections do, with their errors.
func (s *socket) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	if err != nil {
		err = s.failed("write", err)
	}
	return n, err
}

// LocalAddr returns this end.
func (s *socket) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr returns the target's end.
func (s *socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.to) }

// failed tells of an error as net does.
func (s *socket) failed(op string, err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		err = file.Err
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			err = os.NewSyscallError(op, errno)
		}
	}
	e := &net.OpError{Op: op, Net: "tcp", Addr: s.RemoteAddr(), Err: err}
	if s.local.IsValid() {
		e.Source = s.LocalAddr()
	}
	return e
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) //nolint:gosec // a port
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)) //nolint:gosec // a port
	}
	return netip.AddrPort{}
}
