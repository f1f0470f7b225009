package mongodb

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"

	"hale/checks/internal/link"
	"hale/internal/explain"
)

// wire makes the driver's connections, with TLS if need be, remembers how each
// went, and closes them all when the run is over, whatever the driver waits for.
// The driver's own errors often hide what the network said.
type wire struct {
	ctx    context.Context // the run's; the connections do not outlive it
	cancel context.CancelFunc
	stop   func() bool
	tls    *tls.Config // nil: none

	mu       sync.Mutex // guards everything that follows
	conns    map[*link.Conn]struct{}
	last     map[string]*link.Conn // by address
	failures map[string]error      // the first of each address, explained
}

func newWire(ctx context.Context) *wire {
	w := &wire{conns: make(map[*link.Conn]struct{}), last: make(map[string]*link.Conn), failures: make(map[string]error)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.stop = context.AfterFunc(ctx, w.hangUp)
	return w
}

// DialContext implements options.ContextDialer.
func (w *wire) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := link.Dial(w.ctx, address)
	if err != nil {
		w.failed(address, err)
		return nil, err
	}
	w.mu.Lock()
	w.conns[conn] = struct{}{}
	w.last[address] = conn
	w.mu.Unlock()
	l := &line{conn, w}
	if w.tls != nil {
		config := w.tls.Clone()
		config.ServerName = cmp.Or(config.ServerName, link.Host(address))
		err = conn.Secure(config)
	}
	if err == nil {
		err = w.ctx.Err() // hangUp may have come before this connection
	}
	if err != nil {
		w.failed(address, err)
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// failed keeps the first failure of an address.
func (w *wire) failed(address string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failures[address] == nil {
		w.failures[address] = err
	}
}

// hangUp closes what is open.
func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		_ = conn.Close()
	}
	clear(w.conns)
}

// close ends the wire: what is open is closed, and no more connections are made.
func (w *wire) close() {
	w.stop()
	w.cancel()
	w.hangUp()
}

// line is a connection that the wire forgets when the driver closes it.
type line struct {
	*link.Conn
	wire *wire
}

func (l *line) Close() error {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	delete(l.wire.conns, l.Conn)
	return l.Conn.Close()
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.note(err)
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	l.note(err)
	return n, err
}

// note keeps what went wrong, unless it is that the driver has hung up.
func (l *line) note(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.wire.failed(l.Address(), l.Explain("", err))
	}
}

// authenticationFailed is the server's code of that name.
const authenticationFailed = 18

// explain says what an error of the driver's about a server means.
func (w *wire) explain(ctx context.Context, start time.Time, address string, err error) error {
	w.mu.Lock()
	conn, failure := w.last[address], w.failures[address]
	w.mu.Unlock()
	if code, name, said, ok := complaint(err); ok {
		if code == authenticationFailed {
			return &explain.Error{Text: fmt.Sprintf("user, password or their database (authSource) refused%s: %s", link.Quote(said), address), Err: err}
		}
		return &explain.Error{Text: fmt.Sprintf("%s (%s, code %d): %s", explain.Line(said), explain.Line(name), code, address), Err: err}
	}
	switch {
	case failure != nil:
		return failure
	case conn == nil && ctx.Err() != nil:
		if budget, ok := explain.Budget(ctx, start); ok {
			return &explain.Error{Text: fmt.Sprintf("no connection within %v: %s", budget, address), Err: err}
		}
		return explain.Network(ctx.Err(), address)
	case conn == nil:
		return explain.Network(err, address)
	case explain.IsTimeout(err) || ctx.Err() != nil:
		return conn.Explain("", context.DeadlineExceeded)
	case strings.Contains(err.Error(), "auth error"):
		return &explain.Error{Text: fmt.Sprintf("login failed: %s: %s", explain.Line(explain.Innermost(err)), address), Err: err}
	default: // what was read makes no sense
		return conn.Stranger("MongoDB", err)
	}
}

// complaint returns what the server itself says in an error.
func complaint(err error) (code int32, name, said string, ok bool) {
	// Errors of the network come as complaints, too, but without a code.
	if command, ok := errors.AsType[mongo.CommandError](err); ok && command.Code != 0 {
		return command.Code, command.Name, command.Message, true
	}
	// Those of the handshake and of the login are the inner layer's.
	if command, ok := errors.AsType[driver.Error](err); ok && command.Code != 0 {
		return command.Code, command.Name, command.Message, true
	}
	return 0, "", "", false
}
