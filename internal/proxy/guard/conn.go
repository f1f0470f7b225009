package guard

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// StandIn is the method of the request that is read in place of a bad one. A
// client may use it too, so a server asks Refused as well.
const StandIn = "REFUSED"

const standIn = StandIn + " / HTTP/1.1\r\nHost: invalid\r\nConnection: close\r\n\r\n"

// Lingering: the client may still be sending what nobody reads any more.
// Closing at once would make its kernel throw the answer away (RFC 9112, 9.6).
const (
	lingerTime = 500 * time.Millisecond
	lingerSize = 256 << 10
)

// directRead is how large a reader's buffer has to be to be read into
// directly. A reader with less room than that, as net/http's when it waits for
// one byte to notice that a client is gone, is served from a buffer.
const directRead = 512

// Conn is a client's connection under guard. One goroutine at a time may read,
// and one write; deadlines may be set and Close called by any.
type Conn struct {
	net.Conn
	limits Limits
	prober Prober // may be nil
	shift  func() time.Duration

	// Read's own. buf[next:good] is to be handed on next; buf[good:] is an
	// unfinished head or line, of which the first looked bytes are whole lines.
	// When there is nothing of either, buf is nil: an idle connection has none.
	scan       scanner
	buf        []byte
	next, good int
	looked     int
	begun      bool      // a first head has been handed on
	err        error     // what Read returns once buf[next:good] is empty
	headBegan  time.Time // when the first byte of the unfinished, or refused, head came
	probed     time.Time // when the Prober last took a request; zero since the server's deadline was put off for that

	writeSet time.Time // Write's own: when it set the deadline last

	refusal atomic.Pointer[Refusal]
	linger  atomic.Bool
	closed  atomic.Bool
	probing sync.Mutex // held by the Prober, and by Close

	mu    sync.Mutex // guards what follows, and the setting of the read deadline
	outer time.Time  // the reader's deadline
	inner time.Time  // ours
	gone  bool       // reading has failed for good
	watch Watcher
}

// A Watcher is interested in whether a client is still there.
type Watcher interface {
	// ClientGone is called at most once, by the goroutine that reads.
	ClientGone()
}

// NewConn puts a connection under guard.
func NewConn(conn net.Conn, limits Limits) *Conn {
	c := &Conn{Conn: conn, limits: limits}
	c.scan.headSize, c.scan.lineSize, c.scan.fieldSize = limits.HeadSize, limits.LineSize, limits.FieldSize
	c.setInner(time.Now().Add(limits.IdleTimeout))
	return c
}

// Refused returns why a request on the connection was refused, or nil. It is
// meant for the request whose method is StandIn; earlier ones on the same
// connection are good, and may be unanswered still.
func (c *Conn) Refused() *Refusal { return c.refusal.Load() }

// HeadBegan returns when the first byte of the head came that was Refused. It is
// of no meaning before.
func (c *Conn) HeadBegan() time.Time { return c.headBegan }

// LingerOnClose makes Close wait a moment for the client to read its answer,
// after one that was given before the request's body was read.
func (c *Conn) LingerOnClose() { c.linger.Store(true) }

// Watch has w told when reading from the client fails, which is when it has
// left: at once if that was so before. A nil w ends that; a call of ClientGone
// that is under way is waited for.
func (c *Conn) Watch(w Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch = w
	if w != nil && c.gone {
		w.ClientGone()
	}
}

// lost tells the watcher.
func (c *Conn) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone && c.watch != nil {
		c.watch.ClientGone()
	}
	c.gone = true
}

// Release ends the guard, for a connection that is upgraded to another
// protocol: it returns the connection itself, without deadlines, and the bytes
// that were read from it and not handed on. Nobody may be reading.
func (c *Conn) Release() (conn net.Conn, rest []byte, err error) {
	if r := c.Refused(); r != nil {
		return nil, nil, r
	}
	if c.scan.ignored { // it may have been the other protocol's
		return nil, nil, refuse("an empty line before the connection was upgraded")
	}
	rest = c.buf[c.next:]
	c.buf, c.next, c.good = nil, 0, 0
	return c.Conn, rest, c.Conn.SetDeadline(time.Time{})
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.next < c.good {
			n := copy(p, c.buf[c.next:c.good])
			c.next += n
			if c.next == len(c.buf) {
				c.freeBuffer()
			}
			return n, nil
		}
		if c.err != nil {
			return 0, c.err
		}
		var n int
		var err error
		if c.buf == nil && len(p) >= directRead {
			n, err = c.readDirect(p)
		} else {
			err = c.readBuffered()
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			if err = c.readError(err); err != nil {
				return 0, err
			}
		}
	}
}

// readDirect reads into p and returns how much of it may be handed on.
func (c *Conn) readDirect(p []byte) (int, error) {
	c.setDeadline()
	idle := c.begun && c.scan.at == atStart
	n, err := c.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	n, deliver, looked := c.scan.scan(p[:n], 0)
	c.begun = c.begun || deliver > 0
	switch {
	case idle && deliver == n && c.prober != nil && isLoneHead(p[:n]) && c.probe(p[:n]):
		return 0, c.err
	case c.scan.refusal != nil:
		c.headBegan = time.Now()
		c.refuse()
	case deliver < n:
		c.buf = append(newBuffer(), p[deliver:n]...)
		c.next, c.good, c.looked = 0, 0, looked
		c.headBegins()
	}
	return deliver, nil
}

// readBuffered reads more into the buffer.
func (c *Conn) readBuffered() error {
	c.setDeadline()
	if c.buf == nil {
		c.buf = newBuffer()
	}
	if c.good > 0 {
		c.buf = c.buf[:copy(c.buf, c.buf[c.good:])]
		c.next, c.good = 0, 0
	}
	fresh := len(c.buf) == 0
	if len(c.buf) == cap(c.buf) {
		c.buf = append(c.buf, 0)[:len(c.buf)] // grows; the scanner bounds it
	}
	n, err := c.Conn.Read(c.buf[len(c.buf):cap(c.buf)])
	if n == 0 {
		if fresh {
			c.freeBuffer()
		}
		return err
	}
	n, c.good, c.looked = c.scan.scan(c.buf[:len(c.buf)+n], c.looked)
	c.buf = c.buf[:n]
	c.begun = c.begun || c.good > 0
	switch begins := fresh || c.good > 0; {
	case c.scan.refusal != nil:
		if begins {
			c.headBegan = time.Now()
		}
		c.refuse()
	case len(c.buf) == 0: // an empty line that is ignored
		c.freeBuffer()
	case c.good < len(c.buf) && begins:
		c.headBegins()
	}
	return nil
}

// refuse arranges for what is read after the good bytes in the buffer: the
// stand-in and the end of the stream, or within a body the refusal itself.
func (c *Conn) refuse() {
	r := c.scan.refusal
	c.refusal.Store(r)
	c.linger.Store(true)
	c.buf = c.buf[:c.good]
	if !c.scan.inHead {
		c.err = r
		return
	}
	c.err = io.EOF
	if c.buf == nil {
		c.buf = newBuffer()
	}
	c.buf = append(c.buf, standIn...)
	c.good = len(c.buf)
}

// readError returns what Read is to return for the connection's error, or nil
// if there is something to hand on now.
func (c *Conn) readError(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.lost()
		return err
	}
	now := time.Now()
	c.mu.Lock()
	ours := passed(c.inner, now) && !passed(c.outer, now)
	c.mu.Unlock()
	if !ours && !c.probed.IsZero() && len(c.buf) == 0 {
		if again := c.probed.Add(c.limits.IdleTimeout); now.Before(again) {
			c.probed = time.Time{}
			return c.setOuter(again)
		}
	}
	if !ours || !c.begun && len(c.buf) == 0 {
		return err
	}
	reason := "the request's body did not arrive in time"
	if c.scan.at == atStart || c.scan.at == inHeader {
		reason = "the request's header did not arrive in time"
	}
	c.scan.refuse(&Refusal{http.StatusRequestTimeout, reason})
	c.good = c.next
	c.refuse()
	return nil
}

func passed(deadline, now time.Time) bool {
	return !deadline.IsZero() && !now.Before(deadline)
}

// headBegins starts the time that a head may take to arrive. Chunks' lines and
// trailers, which are held back like heads, have the body's time instead.
func (c *Conn) headBegins() {
	if c.scan.at == atStart || c.scan.at == inHeader {
		c.headBegan = time.Now()
		c.setInner(c.headBegan.Add(c.limits.HeaderTimeout))
	}
}

// setDeadline sets our deadline for the read that follows.
func (c *Conn) setDeadline() {
	switch c.scan.at {
	case inBody, atChunkSize, inChunk, atChunkEnd, inTrailer:
		// Within a quarter of its time a deadline is good enough: setting one
		// costs as much as reading a few kilobytes.
		now := time.Now()
		if left := c.inner.Sub(now); left < c.limits.BodyTimeout*3/4 || left > c.limits.BodyTimeout {
			c.setInner(now.Add(c.limits.BodyTimeout))
		}
	case atStart:
		if c.begun && len(c.buf) == 0 && !c.inner.IsZero() {
			c.setInner(time.Time{}) // between requests the server's deadline counts
		}
	default: // within a head its deadline holds
	}
}

// setInner sets our deadline. Only Read, or who makes the Conn, calls it, so
// that they may look at inner without the lock.
func (c *Conn) setInner(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inner = t
	_ = c.Conn.SetReadDeadline(earlier(c.outer, c.inner))
}

// ShiftDeadlines has the deadlines that the reader sets come later by what shift
// returns then, or earlier: for a server whose own time-out cannot be changed.
func (c *Conn) ShiftDeadlines(shift func() time.Duration) { c.shift = shift }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.shift != nil && !t.IsZero() {
		t = t.Add(c.shift())
	}
	return c.setOuter(t)
}

func (c *Conn) setOuter(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Equal(c.outer) {
		return nil
	}
	c.outer = t
	return c.Conn.SetReadDeadline(earlier(c.outer, c.inner))
}

// earlier returns the earlier deadline; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// SetWriteDeadline implements net.Conn. To take the deadline off is left
// undone: each Write sees to its own.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Write implements net.Conn. It fails when the client has taken nothing for
// Limits.BodyTimeout.
func (c *Conn) Write(p []byte) (int, error) {
	written := 0
	for {
		if now := time.Now(); now.Sub(c.writeSet) > c.limits.BodyTimeout/4 {
			c.writeSet = now
			_ = c.Conn.SetWriteDeadline(now.Add(c.limits.BodyTimeout))
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if n == 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.closed.Load() {
			return written, err
		}
		c.writeSet = time.Time{} // slow, but taking some
	}
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if !c.probing.TryLock() {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(lingerTime))
		c.probing.Lock()
	}
	defer c.probing.Unlock()
	if c.linger.Load() {
		c.drain()
	}
	return c.Conn.Close()
}

// drain says that no more is to come, and reads what the client still sends.
func (c *Conn) drain() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.Conn, lingerSize)
}

const bufferSize = 4 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func newBuffer() []byte { return buffers.Get().(*[bufferSize]byte)[:0] }

func (c *Conn) freeBuffer() {
	if cap(c.buf) == bufferSize {
		buffers.Put((*[bufferSize]byte)(c.buf[:bufferSize]))
	}
	c.buf, c.next, c.good, c.looked = nil, 0, 0, 0
}
