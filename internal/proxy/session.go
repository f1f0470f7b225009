package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/proxy/guard"
)

// session is a client's connection that speaks HTTP/1.x: a loop that reads a
// request, has it answered, and reads the next. Its goroutine does all but two
// things: an upload reads the body while an answer comes, and when that takes long,
// a look-out reads ahead to see whether the client is still there (lookout.go). It
// gives answers back in sessionanswer.go.
type session struct {
	server *Server
	engine *Engine
	nc     net.Conn
	peer   peer
	in     *guard.Reader

	settings  *Settings // as they were when the request began
	idleSince time.Time
	readAt    time.Time // when something was read last, but for bodies
	headBegan time.Time // when the first byte of the head came, or its turn did

	// The request that is being answered.
	front    *front
	bodyRead atomic.Bool // its body has been read to its end
	last     bool        // the connection ends after the answer
	linger   bool        // and the client may still be sending
	failed   bool        // and its end must not be taken for the answer's
	way      way

	mu      sync.Mutex // guards what follows, and the setting of read deadlines
	idle    bool       // waits for a request
	spoilt  bool       // nothing is read any more
	armed   time.Time  // the read deadline that is set
	lookout lookout
}

// newConnTime is how long a new connection is given for its first request while
// the server shuts down; lastLook how long one that is idle, for a request that
// may be on its way.
const (
	newConnTime = 5 * time.Second
	lastLook    = 10 * time.Millisecond
)

// connections numbers them.
var connections atomic.Uint64

// newPeer says what is known of a client's connection.
func (s *Server) newPeer(nc net.Conn) peer {
	p := peer{
		id: connections.Add(1), remote: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr()),
		since: time.Now(), server: s,
	}
	if secure, ok := nc.(*tls.Conn); ok { // hands are shaken
		state := secure.ConnectionState()
		p.handshake = &state
	}
	return p
}

// begin has a connection served, in a goroutine of its own.
func (s *Server) begin(nc net.Conn) {
	settings := s.engine.settings.Load()
	c := &session{server: s, engine: s.engine, nc: newSocket(nc), peer: s.newPeer(nc), settings: settings}
	c.idleSince = c.peer.since
	c.in = guard.NewReader(c, settings.guard())
	c.way.session = c
	s.enter(c)
	go func() {
		defer s.leave(c)
		c.run()
	}()
}

// run serves requests until the connection ends. A fault of ours ends this one
// alone.
func (c *session) run() {
	defer func() {
		if v := recover(); v != nil {
			c.engine.log.Error("connection not served", "error", fmt.Sprint(v))
			_ = c.nc.Close()
		}
	}()
	for c.next() {
	}
	c.spoil()
	switch {
	case c.failed:
		c.reset()
	case c.linger:
		c.drain()
	}
	_ = c.nc.Close()
	c.in.Close()
}

// next serves one request. It reports whether there may be another.
func (c *session) next() bool {
	if c.in.Buffered() {
		// It came during the request before. Its time begins now: the client cannot
		// help how long that took.
		c.readAt = time.Now()
		c.headBegan = c.readAt
	} else if c.in.Wait() != nil {
		return false
	}
	f := newFront(c.engine, &c.peer, &c.way)
	c.front = f
	defer func() {
		c.front = nil
		f.release()
	}()
	c.last, c.linger = false, false
	c.way.reset()
	head, err := c.in.Next(f.in.fields.fields)
	if err != nil {
		return c.refuse(f, err)
	}
	c.settings = c.engine.settings.Load()
	c.bodyRead.Store(head.Length == 0)
	f.in.take(&head)
	f.in.body = (*sessionBody)(c)
	c.way.expects = f.in.expect
	f.head.of(&c.peer, c.readAt)
	if f.in.unmet {
		return c.refuse(f, &guard.Refusal{Status: http.StatusExpectationFailed, Reason: "nothing but 100-continue can be expected"})
	}
	if !f.serve(context.Background()) || // the lookout tells of a client that leaves
		c.way.finish() != nil || c.last || c.way.upgraded {
		return false
	}
	if !c.bodyRead.Load() {
		if _, err := io.Copy(io.Discard, f.in.body); err != nil {
			return false
		}
	}
	if !f.in.keepsConnection() {
		return false
	}
	c.idleSince = time.Now()
	c.settings = c.engine.settings.Load()
	return true
}

// refuse answers what was no valid request, if there was any. The connection ends
// with that.
func (c *session) refuse(f *front, err error) bool {
	refusal, ok := errors.AsType[*guard.Refusal](err)
	if !ok {
		return false
	}
	c.bodyRead.Store(true) // or as good as that
	f.head.of(&c.peer, c.headBegan)
	f.refuse(refusal)
	if c.way.finish() == nil {
		c.linger = true
	}
	return false
}

// Read implements guard.Source.
func (c *session) Read(p []byte, at guard.Phase) (int, error) {
	until := c.until(at)
	for anew := false; ; anew = true {
		if err := c.arm(at, &until, anew); err != nil {
			return 0, err
		}
		n, err := c.nc.Read(p)
		switch {
		case n > 0:
			if at != guard.InBody {
				c.readAt = time.Now()
			}
			if at == guard.Idle {
				c.headBegan = c.readAt
				c.busy()
			}
			return n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded), at == guard.Ahead, !time.Now().Before(until):
			return 0, err
		}
		// A deadline that was set for something before has passed: see arm.
	}
}

// until returns when the time for a phase is over; zero is never.
func (c *session) until(at guard.Phase) time.Time {
	switch at {
	case guard.Idle:
		return c.idleSince.Add(c.settings.IdleTimeout)
	case guard.InHead:
		return c.headBegan.Add(c.settings.HeaderTimeout)
	case guard.InBody:
		return time.Now().Add(c.settings.BodyTimeout)
	case guard.Ahead:
	}
	return time.Time{}
}

// errInterrupted says that nothing is to be read any more.
var errInterrupted = errors.New("reading from the client was ended")

// arm sets the deadline for a read. One that is set and comes earlier is left,
// unless it is to be set anew: to do so for each request would cost more than to
// see, when it passes, that there is time left. While the server shuts down, an
// idle connection has none.
func (c *session) arm(at guard.Phase, until *time.Time, anew bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = at == guard.Idle
	if c.idle && c.server.closing.Load() {
		soon := time.Now().Add(lastLook)
		if c.idleSince.Equal(c.peer.since) {
			soon = later(soon, c.peer.since.Add(newConnTime))
		}
		*until = earlier(*until, soon)
	}
	switch {
	case c.spoilt, at == guard.Ahead && c.lookout.watcher == nil:
		return errInterrupted
	case until.IsZero() && c.armed.IsZero():
		return nil
	case !anew && !until.IsZero() && !c.armed.IsZero() && !until.Before(c.armed):
		return nil
	}
	c.armed = *until
	return c.nc.SetReadDeadline(*until)
}

// busy notes that a request has begun.
func (c *session) busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = false
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// interrupt makes a read that is under way return. The caller holds mu.
func (c *session) interrupt() {
	c.armed = longAgo
	_ = c.nc.SetReadDeadline(longAgo)
}

// spoil ends all reading for good: the connection is of no use afterwards but for
// an answer.
func (c *session) spoil() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoilt = true
	c.interrupt()
}

// wake has a connection that is idle see that the server shuts down.
func (c *session) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle && !c.spoilt {
		c.interrupt()
	}
}

// cut ends the connection, whatever it is doing.
func (c *session) cut() {
	_ = c.below().Close() // TLS's farewell would be held up by a client that does not read
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoilt = true
	c.lookout.lost()
}

// below returns the connection, or what is below its TLS.
func (c *session) below() net.Conn {
	if secure, ok := c.nc.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return c.nc
}

// reset ends the connection in a way that does not look like an end.
func (c *session) reset() {
	nc := c.below()
	if tcp, ok := plainConn(nc).(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = nc.Close()
}

// Lingering: the client may still be sending what nobody reads any more. Closing
// at once would make its kernel throw the answer away (RFC 9112, 9.6).
const (
	lingerTime = 500 * time.Millisecond
	lingerSize = 256 << 10
)

// drain says that no more is to come, and reads what the client still sends.
func (c *session) drain() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.nc, lingerSize)
}

// sessionBody is the body of the request that is being answered.
type sessionBody session

func (b *sessionBody) Read(p []byte) (int, error) {
	c := (*session)(b)
	if c.bodyRead.Load() { // and the lookout may be reading
		return 0, io.EOF
	}
	if err := c.way.goAhead(); err != nil {
		return 0, err
	}
	n, err := c.in.Read(p)
	if c.in.AtEnd() {
		c.bodyRead.Store(true)
	}
	return n, err
}

func (b *sessionBody) trailer() []Field { return b.in.Trailer() }
func (b *sessionBody) unblock()         { (*session)(b).spoil() }
