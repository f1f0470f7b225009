// Package listen stands in for an app: it answers whatever comes to a port, and
// tells what it was: its bytes, whose probe it looks like, and what an app may
// stumble over in it.
//
//	ln, err := listen.Bind(ctx, ":8080")
//	server := listen.Server{Probers: probe.Probers()}
//	summary, err := server.Serve(ctx, ln, &listen.Text{Out: os.Stdout})
//
// Nothing that a client sends ends it, and what a client can make it keep is
// bounded: in time (Server.Patience), in bytes (32 KiB of what came are shown)
// and in the number of connections.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"hale/internal/probe"
)

// DefaultPatience is how long a client may take for a whole request, and how
// long a kept connection may be idle: as long as an Application Load Balancer
// keeps one by default.
const DefaultPatience = time.Minute

// maxConnections bounds the connections that are open at once. Who comes beyond
// is turned away, and counted.
const maxConnections = 256

// Server is what stands in for an app. The zero value answers 200 with an empty
// body, and takes every client for a stranger.
type Server struct {
	// Answer is what every request gets.
	Answer Answer
	// TLS is the configuration of a port for HTTPS; nil: a plain port.
	TLS *tls.Config
	// Probers is the table that requests are compared with.
	Probers []probe.Prober
	// Count is how many visits end Serve; 0: only its context does.
	Count int
	// Patience bounds each wait for a client; 0: DefaultPatience.
	Patience time.Duration
}

// Answer is what a request is answered with.
type Answer struct {
	Status int // 0: 200
	// Header is added, or replaces the field of that name.
	Header []probe.Field
	Body   string
	// Delay is how long the answer is held back.
	Delay time.Duration
	// GRPC is the status of gRPC calls. nil: as a server answers that has the
	// health service and no other, 0 there and 12 (UNIMPLEMENTED) elsewhere.
	GRPC *int
}

// Log is told what happens, one thing at a time. An error of it ends Serve.
type Log interface {
	// Visit is told when all of it has come, before it is answered.
	Visit(*Visit) error
	// Left is told when a connection has ended that brought a request.
	Left(*Left) error
}

// Serve answers on ln, which it closes, until ctx is done, Count is reached or
// the log fails. It returns when all connections have ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener, log Log) (Summary, error) {
	r := &run{Server: *s, listener: ln, log: log, open: make(map[*connection]bool)}
	if r.Patience == 0 {
		r.Patience = DefaultPatience
	}
	if r.Answer.Status == 0 {
		r.Answer.Status = 200
	}
	r.tally.began = time.Now()
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-ctx.Done():
			r.hangUp()
		case <-done:
		}
	})
	err := r.accept(ctx)
	r.connections.Wait()
	close(done)
	watching.Wait()

	r.telling.Lock()
	defer r.telling.Unlock()
	return r.tally.summary(), errors.Join(err, r.failed)
}

// run is one call of Serve.
type run struct {
	Server
	listener    net.Listener
	connections sync.WaitGroup

	telling sync.Mutex // guards everything that follows, and is held while the log is told
	log     Log
	tally   tally
	failed  error // the log's error

	mu     sync.Mutex           // guards everything that follows
	open   map[*connection]bool // true: an answer is due
	ending bool                 // nobody else is let in
}

func (r *run) accept(ctx context.Context) error {
	for number := 1; ; number++ {
		conn, err := r.listener.Accept()
		switch {
		case err == nil:
			r.letIn(conn, number)
		case r.over():
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			// Somebody else's fault, or soon over.
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		default:
			r.hangUp()
			return fmt.Errorf("accept on %s: %w", r.listener.Addr(), err)
		}
	}
}

// letIn serves a connection, if there is room.
func (r *run) letIn(conn net.Conn, number int) {
	c := newConnection(r, conn, number)
	r.mu.Lock()
	room := len(r.open) < maxConnections && !r.ending
	if room {
		r.open[c] = false
	}
	r.mu.Unlock()
	r.telling.Lock()
	r.tally.connected(room)
	r.telling.Unlock()
	if !room {
		_ = conn.Close()
		return
	}
	r.connections.Go(func() {
		c.serve()
		r.mu.Lock()
		delete(r.open, c)
		r.mu.Unlock()
	})
}

// visit numbers a visit and tells it. It reports whether the visitor is to be
// answered: not if it came too late.
func (r *run) visit(c *connection, v *Visit) bool {
	r.mu.Lock()
	late := r.ending
	if !late {
		r.open[c] = true
	}
	r.mu.Unlock()
	if late {
		return false
	}
	v.Looks = recognise(v, r.Probers)
	v.Stumbles = stumbles(v)

	r.telling.Lock()
	defer r.telling.Unlock()
	if r.failed != nil || r.Count > 0 && r.tally.visits == r.Count {
		return false
	}
	r.tally.add(v)
	v.Number = r.tally.visits
	v.Reply.Keep = v.Reply.Keep && v.Number != r.Count
	if err := r.log.Visit(v); err != nil {
		r.failed = err
		r.hangUp()
		return false
	}
	if v.Number == r.Count {
		r.drain()
	}
	return true
}

// answered tells that a connection is owed nothing any more. It reports whether
// the connection may stay.
func (r *run) answered(c *connection) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[c] = false
	return !r.ending
}

// left tells how a connection ended.
func (r *run) left(l *Left) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.failed != nil {
		return
	}
	if err := r.log.Left(l); err != nil {
		r.failed = err
		r.hangUp()
	}
}

func (r *run) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ending
}

// drain lets nobody in any more, and ends the connections that are owed nothing.
func (r *run) drain() { r.end(false) }

// hangUp ends all connections.
func (r *run) hangUp() { r.end(true) }

func (r *run) end(all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ending = true
	_ = r.listener.Close()
	for c, due := range r.open {
		if all || !due {
			_ = c.conn.Close()
		}
	}
}

// addressOf returns what net knows of an address as a value; not valid for what
// is no address of TCP.
func addressOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
