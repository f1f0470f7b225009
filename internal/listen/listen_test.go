package listen_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"

	"hale/internal/listen"
)

// The addresses of tests in memory.
const (
	target = "10.0.1.23:8080"
	node   = "10.0.2.17:41234"
)

// site is a Server on a listener in memory, so that time is synctest's and
// addresses are whatever a test wants.
type site struct {
	t      *testing.T
	ln     *memoryListener
	cancel context.CancelFunc
	served chan struct{}
	result listen.Summary
	err    error
}

// start serves until end, or the test's end.
func start(t *testing.T, s listen.Server, local string, log listen.Log) *site {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	at := &site{
		t: t, cancel: cancel, served: make(chan struct{}),
		ln: &memoryListener{address: tcpAddress(local), conns: make(chan net.Conn), closed: make(chan struct{})},
	}
	go func() {
		defer close(at.served)
		at.result, at.err = s.Serve(ctx, at.ln, log)
	}()
	t.Cleanup(func() { at.end() })
	return at
}

// end interrupts the server, waits for it, and returns what it has to say.
func (s *site) end() listen.Summary {
	s.cancel()
	<-s.served
	return s.result
}

// client is the other end of a connection, which reads all the time.
type client struct {
	net.Conn
	server *memoryConn
	heard  chan struct{} // closed when the server has hung up

	mu     sync.Mutex // guards answer
	answer bytes.Buffer
}

// dial connects from an address.
func (s *site) dial(peer string) *client {
	s.t.Helper()
	near, far := net.Pipe()
	c := &client{
		Conn: near, heard: make(chan struct{}),
		server: &memoryConn{Conn: far, local: s.ln.address, remote: tcpAddress(peer)},
	}
	select {
	case s.ln.conns <- c.server:
	case <-s.ln.closed:
		far.Close()
	}
	go func() {
		defer close(c.heard)
		b := make([]byte, 4096)
		for {
			n, err := near.Read(b)
			c.mu.Lock()
			c.answer.Write(b[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

// send sends, unless the server has hung up.
func (c *client) send(text string) { _, _ = io.WriteString(c.Conn, text) }

// reset closes the connection so that the server sees a reset.
func (c *client) reset() {
	c.server.mu.Lock()
	c.server.reset = true
	c.server.mu.Unlock()
	c.Close()
}

// got returns what the server has answered so far.
func (c *client) got() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answer.String()
}

type memoryListener struct {
	address *net.TCPAddr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
func (l *memoryListener) Addr() net.Addr { return l.address }

// memoryConn is the server's end of a pipe, whose errors are those of sockets.
type memoryConn struct {
	net.Conn
	local, remote *net.TCPAddr

	mu    sync.Mutex // guards reset
	reset bool
}

func (c *memoryConn) LocalAddr() net.Addr  { return c.local }
func (c *memoryConn) RemoteAddr() net.Addr { return c.remote }

func (c *memoryConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.asSocket(err)
}

func (c *memoryConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.asSocket(err)
}

func (c *memoryConn) asSocket(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case c.reset:
		return syscall.ECONNRESET
	case errors.Is(err, io.ErrClosedPipe): // by this end, or a write to one that is gone
		return net.ErrClosed
	}
	return err
}

func tcpAddress(s string) *net.TCPAddr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// notes is a log that keeps what it is told.
type notes struct {
	mu     sync.Mutex // guards everything that follows
	visits []*listen.Visit
	left   []*listen.Left
	fails  error
}

func (n *notes) Visit(v *listen.Visit) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.visits = append(n.visits, v)
	return n.fails
}

func (n *notes) Left(l *listen.Left) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left = append(n.left, l)
	return nil
}

func (n *notes) all() ([]*listen.Visit, []*listen.Left) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.visits, n.left
}
