package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	smallBuffer = 4 << 10  // kept with each connection
	largeBuffer = 32 << 10 // lent for the time of a large body
)

// longAgo is a deadline that makes what is blocked return.
var longAgo = time.Unix(1, 0)

// conn is a connection to an upstream, with its buffers. One goroutine reads
// and one writes at a time; interrupt may be called by any.
type conn struct {
	net.Conn
	plain  net.Conn // the part below TLS
	pool   *pool
	index  int       // in pool.underway; guarded by the pool's mu
	reused bool      // has carried a request before
	since  time.Time // when it became idle

	// What was read and not used yet is in[r:w].
	in    []byte
	r, w  int
	small []byte // in's place when in is lent a large buffer

	out    []byte  // the head that is written
	fields []Field // the head that was read

	mu        sync.Mutex // guards what follows, and the setting of deadlines
	spoilt    bool       // interrupted
	abandoned bool       // because the client has left
	wasCut    bool       // or for this one: Engine.Cut
	tunnel    *tunnel    // that the connection is part of; may be nil
	readBy    time.Time
}

// newConn returns a connection, of which plain is the part below TLS.
func newConn(nc, plain net.Conn, p *pool) *conn {
	return &conn{Conn: nc, plain: plain, pool: p, in: make([]byte, smallBuffer)}
}

// interrupt makes reads and writes fail, those under way and those to come. A
// connection is of no use afterwards.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoil()
}

func (c *conn) spoil() {
	c.spoilt = true
	_ = c.SetDeadline(longAgo)
}

// clientGone interrupts what is under way for a client that has left.
func (c *conn) clientGone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned = true
	c.spoil()
}

// state reports whether the connection was interrupted, and whether because
// the client has left, or because it was cut.
func (c *conn) state() (spoilt, abandoned, wasCut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoilt, c.abandoned, c.wasCut
}

// setDeadline bounds reads and writes alike.
func (c *conn) setDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.spoilt {
		c.readBy = t
		_ = c.SetDeadline(t)
	}
}

func (c *conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.spoilt && !t.Equal(c.readBy) {
		c.readBy = t
		_ = c.SetReadDeadline(t)
	}
}

func (c *conn) setWriteDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.spoilt {
		_ = c.SetWriteDeadline(t)
	}
}

// buffered returns what was read and not used yet.
func (c *conn) buffered() []byte { return c.in[c.r:c.w] }

// skip marks the first n of the buffered bytes as used.
func (c *conn) skip(n int) { c.r += n }

var errBufferFull = errors.New("buffer full")

// fill reads more. It returns errBufferFull when there is no room left, which
// cannot happen when nothing is buffered.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else if c.w == len(c.in) && c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.in) {
		return errBufferFull
	}
	n, err := c.Read(c.in[c.w:])
	c.w += n
	if n > 0 {
		return nil // an error shows again with the next Read
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// grow makes room for more than is buffered, up to limit bytes in all.
func (c *conn) grow(limit int) bool {
	if len(c.in) >= limit {
		return false
	}
	in := make([]byte, min(2*len(c.in), limit))
	c.w = copy(in, c.buffered())
	c.r, c.in = 0, in
	return true
}

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// borrow lends the connection a large buffer, until restore.
func (c *conn) borrow() {
	if c.small != nil || len(c.in) >= largeBuffer {
		return
	}
	large := largeBuffers.Get().(*[largeBuffer]byte)
	c.w = copy(large[:], c.buffered())
	c.r, c.small, c.in = 0, c.in, large[:]
}

// restore gives a lent buffer back, and one that grew to the collector. What
// is still buffered is lost.
func (c *conn) restore() {
	if c.small != nil {
		largeBuffers.Put((*[largeBuffer]byte)(c.in))
		c.in, c.small = c.small, nil
	}
	if len(c.in) > smallBuffer {
		c.in = make([]byte, smallBuffer)
	}
	if cap(c.out) > largeBuffer {
		c.out = nil
	}
	c.r, c.w = 0, 0
	clear(c.fields) // lets go of the answer's text
	c.fields = c.fields[:0]
}

// alive looks, without waiting, whether an idle connection can carry another
// request. Servers close idle connections as they see fit, and a request that
// crosses the closing is lost. Worse is one that has sent more than it
// announced: that would be taken for the answer to the next request.
func (c *conn) alive() bool {
	s, ok := c.plain.(interface{ quiet() bool })
	return !ok || s.quiet() // what cannot be looked at is an in-memory connection of a test
}
