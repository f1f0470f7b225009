// Package handover hands listening sockets to the process that takes one's place,
// so that no connection is refused while they change: the kernel's queue of a
// socket stays, whichever process accepts from it.
//
// A process Takes what its predecessor has, if there is one, listens with Listen,
// and Offers its own sockets to whoever comes next.
package handover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketName is of the socket, in a directory that only its owner can enter, that
// a successor asks at.
const socketName = "handover.sock"

// Sockets are the listening sockets of a process, by address as Listen is given
// it. The zero value has none.
type Sockets struct {
	mu        sync.Mutex // guards what follows
	inherited map[string]*net.TCPListener
	open      map[string]*listener
}

// listener is a socket that is told of when it is closed.
type listener struct {
	*net.TCPListener
	sockets *Sockets
	address string
}

// Close closes the socket. Others that have it, too, go on.
func (l *listener) Close() error {
	l.sockets.mu.Lock()
	if l.sockets.open[l.address] == l {
		delete(l.sockets.open, l.address)
	}
	l.sockets.mu.Unlock()
	return l.TCPListener.Close()
}

// Listen returns a listener at a TCP address: the one that was inherited, or a new
// one.
func (s *Sockets) Listen(ctx context.Context, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tcp := s.inherited[address]
	delete(s.inherited, address)
	if tcp == nil {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		tcp = l.(*net.TCPListener)
	}
	return s.track(tcp, address), nil
}

// track keeps a socket that was opened; mu is held.
func (s *Sockets) track(tcp *net.TCPListener, address string) *listener {
	l := &listener{tcp, s, address}
	if s.open == nil {
		s.open = make(map[string]*listener)
	}
	s.open[address] = l
	return l
}

// Succeed is Listen in the place of sockets that s opened, and that are about to be
// closed: nobody is refused at the address meanwhile, nor lost who waits in a queue.
// What it returns stays when they are closed. Those of the others are not touched.
//
// Of a socket at the same address or a part of it, it is the same one, also of one
// that was inherited. One that is
// wider has the connections to come no more, but perhaps some in its queue: it is
// among wider, for its last ones.
func (s *Sockets) Succeed(ctx context.Context, address string, left ...net.Listener) (opened, wider []net.Listener, err error) {
	at, err := netip.ParseAddrPort(address)
	if port, ok := strings.CutPrefix(address, ":"); ok { // as package net reads it
		at, err = netip.ParseAddrPort("[::]:" + port)
	}
	if err != nil { // a name; what it overlaps with is not known
		l, err := s.Listen(ctx, address)
		if err != nil {
			return nil, nil, err
		}
		return []net.Listener{l}, nil, nil
	}
	defer func() {
		if err != nil {
			for _, l := range append(opened, wider...) {
				_ = l.Close()
			}
			opened, wider = nil, nil
		}
	}()
	there := false
	for _, l := range left {
		was := addressOf(l)
		if !covers(at, was) && !covers(was, at) {
			continue
		}
		same, err := s.again(l)
		switch {
		case errors.Is(err, net.ErrClosed):
		case err != nil:
			return opened, wider, err
		case covers(at, was):
			opened = append(opened, same)
			there = there || was == at
		default:
			wider = append(wider, same)
		}
	}
	if there {
		return opened, wider, nil
	}
	opened = append(opened, s.inheritedWithin(at)...)
	var l net.Listener
	if beside := append(slices.Clip(opened), wider...); len(beside) > 0 && !s.inherits(address) {
		l, err = s.listenBeside(ctx, address, beside)
	} else {
		l, err = s.Listen(ctx, address)
	}
	if err != nil {
		return opened, wider, err
	}
	return append(opened, l), wider, nil
}

// inherits tells whether Listen has a socket at an address already.
func (s *Sockets) inherits(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inherited[address] != nil
}

// inheritedWithin takes the sockets that were inherited at parts of an address.
func (s *Sockets) inheritedWithin(at netip.AddrPort) []net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []net.Listener
	for address, l := range s.inherited {
		if was := addressOf(l); was != at && covers(at, was) {
			delete(s.inherited, address)
			of = append(of, s.track(l, address))
		}
	}
	return of
}

// addressOf returns where a socket listens.
func addressOf(l net.Listener) netip.AddrPort {
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// covers tells whether a socket at one address takes all connections to another.
func covers(wide, narrow netip.AddrPort) bool {
	switch {
	case wide.Port() != narrow.Port():
		return false
	case wide.Addr() == netip.IPv4Unspecified():
		return narrow.Addr().Is4()
	default:
		return wide == narrow || wide.Addr() == netip.IPv6Unspecified() // which takes IPv4, too
	}
}

// again returns another listener on the socket of one that s opened.
func (s *Sockets) again(open net.Listener) (net.Listener, error) {
	l, ok := open.(*listener)
	if !ok || l.sockets != s {
		return nil, fmt.Errorf("the socket at %s is not one of these", open.Addr())
	}
	file, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("keep the socket at %s: %w", l.address, err)
	}
	defer file.Close()
	other, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("keep the socket at %s: %w", l.address, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.track(other.(*net.TCPListener), l.address), nil
}

// listenBeside is Listen where other sockets have a part of the address: one at
// 127.0.0.1 and one at 0.0.0.0, with the same port. While both are there, the narrower
// one gets the connections to its address. Other programs can no more join in than
// before.
func (s *Sockets) listenBeside(ctx context.Context, address string, open []net.Listener) (_ net.Listener, err error) {
	defer func() {
		for _, l := range open {
			err = errors.Join(err, reusePort(l, false))
		}
	}()
	for _, l := range open {
		if err := reusePort(l, true); err != nil {
			return nil, err
		}
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return setReusePort(c, true) }}
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := reusePort(l, false); err != nil {
		_ = l.Close()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.track(l.(*net.TCPListener), address), nil
}

// reusePort lets sockets whose address overlaps with this one's be opened, if they
// are let, too (socket(7), SO_REUSEPORT).
func reusePort(l net.Listener, on bool) error {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%s is no socket", l.Addr())
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return setReusePort(raw, on)
}

func setReusePort(c syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var err error
	if failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value) }); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("share a port between two sockets: %w", err)
	}
	return nil
}

// Inherit adds a socket that came from elsewhere, from systemd for one, for the
// first Listen at its address. What is not TCP is refused.
func (s *Sockets) Inherit(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("the inherited socket %s is not one of TCP", l.Addr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inherit(tcp.Addr().String(), tcp)
	return nil
}

func (s *Sockets) inherit(address string, l *net.TCPListener) {
	if s.inherited == nil {
		s.inherited = make(map[string]*net.TCPListener)
	}
	s.inherited[address] = l
}

// CloseRest closes what was inherited and nobody listens at.
func (s *Sockets) CloseRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.inherited {
		_ = l.Close()
	}
	s.inherited = nil
}

// Predecessor is the process that sockets were taken from. It goes on serving
// until it is told that its successor does.
type Predecessor struct{ conn *net.UnixConn }

// Take takes the sockets of the process that offers them in a directory. Without
// such a process, both results are nil. The predecessor changes nothing from now
// on, and waits for Ready, or for the connection's end.
func (s *Sockets) Take(ctx context.Context, dir string) (*Predecessor, error) {
	conn, err := dial(ctx, dir)
	if err != nil || conn == nil {
		return nil, err
	}
	p := &Predecessor{conn}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for {
		address, l, err := receive(conn)
		if err != nil {
			_ = conn.Close()
			s.CloseRest()
			return nil, fmt.Errorf("take the sockets of the process that runs: %w", err)
		}
		if address == "" {
			return p, nil
		}
		s.mu.Lock()
		s.inherit(address, l)
		s.mu.Unlock()
	}
}

// Ready tells the predecessor to accept no more, and to end.
func (p *Predecessor) Ready() error {
	if p == nil {
		return nil
	}
	_, err := p.conn.Write([]byte(ready))
	return errors.Join(err, p.conn.Close())
}

// Abandon tells the predecessor to go on as before.
func (p *Predecessor) Abandon() {
	if p != nil {
		_ = p.conn.Close()
	}
}

// ready is what a successor says when it serves.
const ready = "ready"

// most is how long an address is, with room.
const most = 256

func dial(ctx context.Context, dir string) (*net.UnixConn, error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no predecessor is no error
	}
	if err != nil {
		return nil, fmt.Errorf("look for a process that runs: %w", err)
	}
	defer d.Close()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unixpacket", within(d))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, nil //nolint:nilnil // likewise
	case err != nil:
		return nil, fmt.Errorf("ask the process that runs for its sockets: %w", err)
	}
	return conn.(*net.UnixConn), nil
}

// within returns the socket's path by way of the open directory: the path of a
// unix socket can have 107 bytes, and that of the directory may be longer.
func within(dir *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketName)
}

// receive reads a socket and its address; an empty address is the end.
func receive(conn *net.UnixConn) (address string, l *net.TCPListener, err error) {
	text, control := make([]byte, most), make([]byte, syscall.CmsgSpace(4))
	n, controls, _, _, err := conn.ReadMsgUnix(text, control)
	if err != nil {
		return "", nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:controls])
	if err != nil {
		return "", nil, err
	}
	if address = string(text[:n]); address == end && len(messages) == 0 {
		return "", nil, nil
	}
	if len(messages) != 1 {
		return "", nil, errors.New("it ended before it had sent them all")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return "", nil, fmt.Errorf("a message with %d sockets: %w", len(fds), err)
	}
	syscall.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), address)
	defer file.Close()
	listening, err := net.FileListener(file)
	if err != nil {
		return "", nil, err
	}
	tcp, ok := listening.(*net.TCPListener)
	if !ok {
		_ = listening.Close()
		return "", nil, fmt.Errorf("%s is no TCP socket", address)
	}
	return address, tcp, nil
}

// end is what comes after the last socket.
const end = "end"

// Offer offers the sockets to successors, until ctx ends. For each one that asks,
// pause is called first: from its return on nothing may change that the successor
// reads. Then it has the sockets. If it says that it serves, Offer returns true:
// this process is to accept no more, and to end. If it does not come to that,
// resume is called, and all is as before.
func (s *Sockets) Offer(ctx context.Context, dir string, pause func() error, resume func()) (succeeded bool, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return false, fmt.Errorf("offer the sockets to a successor: %w", err)
	}
	defer d.Close()
	// The one of a process that did not get to remove it.
	if err := os.Remove(filepath.Join(dir, socketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("offer the sockets to a successor: %w", err)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unixpacket", within(d))
	if err != nil {
		return false, fmt.Errorf("offer the sockets to a successor: %w", err)
	}
	unix := l.(*net.UnixListener)
	unix.SetUnlinkOnClose(false) // a successor has one of its own there by then
	defer unix.Close()
	stop := context.AfterFunc(ctx, func() { _ = unix.Close() })
	defer stop()
	for {
		conn, err := unix.AcceptUnix()
		if ctx.Err() != nil {
			return false, os.Remove(filepath.Join(dir, socketName))
		}
		if err != nil {
			return false, fmt.Errorf("wait for a successor: %w", err)
		}
		if s.handTo(ctx, conn, pause, resume) {
			return true, nil
		}
	}
}

func (s *Sockets) handTo(ctx context.Context, conn *net.UnixConn, pause func() error, resume func()) bool {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if pause() != nil {
		return false
	}
	if s.send(conn) == nil {
		text := make([]byte, most)
		if n, err := conn.Read(text); err == nil && string(text[:n]) == ready {
			return true
		}
	}
	resume()
	return false
}

func (s *Sockets) send(conn *net.UnixConn) error {
	s.mu.Lock()
	open := maps.Clone(s.open)
	s.mu.Unlock()
	for _, address := range slices.Sorted(maps.Keys(open)) {
		if err := sendOne(conn, open[address]); err != nil {
			return err
		}
	}
	_, err := conn.Write([]byte(end))
	return err
}

func sendOne(conn *net.UnixConn, l *listener) error {
	file, err := l.File()
	if err != nil {
		return err
	}
	defer file.Close()
	_, _, err = conn.WriteMsgUnix([]byte(l.address), syscall.UnixRights(int(file.Fd())), nil)
	return err
}
