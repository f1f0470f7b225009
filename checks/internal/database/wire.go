package database

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// wire makes the network connections of a driver, and can cut them: whatever
// the driver does, no more than one connection is open between the runs. Only
// the request to cancel a query that was cut off may outlive its run, by twice
// cancelTime at most.
type wire struct {
	mu    sync.Mutex // guards everything that follows
	conns map[*line]struct{}
	ended bool  // the current run's time is up
	made  bool  // the current run has made, or was left, a connection
	err   error // the first error that the current run has met on a connection
}

// markKey marks the context with which a driver is told to connect. Drivers
// that open a second connection to have a query cancelled (lib/pq) do so with a
// context of their own.
type markKey struct{}

// connecting marks ctx as that of the connection itself.
func connecting(ctx context.Context) context.Context {
	return context.WithValue(ctx, markKey{}, true)
}

// begin starts a run.
func (w *wire) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.made, w.err = false, false, nil
	for l := range w.conns {
		w.made = w.made || l.main
	}
}

// DialContext connects. There is one connection: one that is still open from an
// attempt before (lib/pq leaves it when the server knows no TLS) is closed. A
// second one, for cancelling a query, lives for cancelTime at most.
func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	main := ctx.Value(markKey{}) != nil
	if main {
		w.hangUp()
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cancelTime)
		defer cancel()
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		if main {
			w.note(err)
		}
		return nil, err
	}
	if !main {
		if err := conn.SetDeadline(time.Now().Add(cancelTime)); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return w.add(conn, main)
}

// Dial and DialTimeout are what lib/pq's Dialer has beside DialContext; it uses
// neither.
func (w *wire) Dial(network, address string) (net.Conn, error) {
	return w.DialContext(context.Background(), network, address)
}

func (w *wire) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return w.DialContext(ctx, network, address)
}

func (w *wire) add(conn net.Conn, main bool) (net.Conn, error) {
	l := &line{Conn: conn, wire: w, main: main}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended && main {
		_ = conn.Close()
		return nil, context.DeadlineExceeded
	}
	if w.conns == nil {
		w.conns = make(map[*line]struct{})
	}
	w.conns[l] = struct{}{}
	w.made = w.made || main
	return l, nil
}

// cut ends every read and write that is under way on the connection, and all
// that come; the driver closes it then. A connection that is there to have the
// query cancelled goes on, for the short time that it has.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for l := range w.conns {
		if l.main {
			_ = l.SetDeadline(time.Unix(1, 0))
		}
	}
}

// hangUp closes the connection, in case the driver has forgotten it. One that
// is there to cancel a query ends by itself.
func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.conns {
		if l.main {
			_ = l.Conn.Close()
			delete(w.conns, l)
		}
	}
}

// note keeps the first error of a run.
func (w *wire) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *wire) connected() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

func (w *wire) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// line is a connection that knows its wire.
type line struct {
	net.Conn
	wire *wire
	main bool
}

func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.note(err)
	return n, err
}

func (l *line) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.note(err)
	return n, err
}

func (l *line) note(err error) {
	if err != nil && l.main && !errors.Is(err, net.ErrClosed) {
		l.wire.note(err)
	}
}

func (l *line) Close() error {
	l.wire.mu.Lock()
	delete(l.wire.conns, l)
	l.wire.mu.Unlock()
	return l.Conn.Close()
}

// SyscallConn lets go-sql-driver see whether the server has closed an idle
// connection.
func (l *line) SyscallConn() (syscall.RawConn, error) {
	if conn, ok := l.Conn.(syscall.Conn); ok {
		return conn.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
