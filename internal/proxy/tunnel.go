package proxy

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/relay"
)

// clientConn is a client's connection after an upgrade.
type clientConn struct {
	net.Conn
	server *Server // nil without one
	rest   []byte  // read from it already
}

// halfCloseTime is how long an upgraded connection may stay open in one
// direction after the other one ended.
const halfCloseTime = 30 * time.Second

// tunnel hands the client's connection and the upstream's to one another, and
// returns when both have ended.
func (x *exchange) tunnel(h *answerHead) *Error {
	const op = "upgrade"
	if x.req.upgrade == "" {
		return x.fail(ErrBadAnswer, op, errors.New("101 without being asked to change protocols"))
	}
	if !strings.EqualFold(h.upgrade, x.req.upgrade) {
		return x.fail(ErrBadAnswer, op, errors.New("101 for another protocol than the client asked for"))
	}
	x.conn.setDeadline(time.Time{})
	x.started = true
	x.out.Status = h.status
	client, err := x.answer.upgrade(h)
	if err != nil {
		return x.fail(ErrClientGone, op, err)
	}
	t := &tunnel{client: client, upstream: x.conn, owner: client.server, idle: x.settings.TunnelTimeout}
	if !x.engine.tunnels.add(t) {
		t.cut()
	}
	x.conn.joins(t)
	in, out := t.run()
	x.engine.tunnels.remove(t)
	x.out.BytesIn, x.out.BytesOut = in, out
	if t.wasCut.Load() {
		return x.fail(ErrClosing, op, nil)
	}
	return nil
}

// joins makes the connection part of a tunnel, which is cut with it.
func (c *conn) joins(t *tunnel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tunnel = t
	if c.wasCut {
		t.cut()
	}
}

// tunnel is an upgraded connection: bytes in both directions.
type tunnel struct {
	client   clientConn
	upstream *conn
	owner    *Server
	idle     time.Duration
	clock    *relay.Clock // nil if it may be idle for ever
	wasCut   atomic.Bool
}

// cut ends the tunnel, whatever its state.
func (t *tunnel) cut() {
	t.wasCut.Store(true)
	t.close()
}

func (t *tunnel) close() {
	_ = t.client.Close()
	_ = t.upstream.Close()
}

// run moves bytes until both directions have ended, and returns how many.
func (t *tunnel) run() (in, out int64) {
	defer t.close()
	if t.idle > 0 {
		t.clock = relay.NewClock(t.idle, t.close)
		defer t.clock.Stop()
	}
	up, down := plainConn(t.upstream.Conn), plainConn(t.client.Conn)
	var wg sync.WaitGroup
	wg.Go(func() { in = t.move(up, down, t.client.rest) })
	out = t.move(down, up, t.upstream.buffered())
	wg.Wait()
	return in, out
}

// move copies one direction, after what was read from src already. At its end
// dst is told; a failure ends the other direction as well.
func (t *tunnel) move(dst, src net.Conn, rest []byte) int64 {
	n := 0
	var err error
	if len(rest) > 0 {
		n, err = dst.Write(rest)
	}
	total := int64(n)
	if err == nil {
		// On Linux two sockets are joined by splice(2), without a copy.
		var m int64
		if t.clock != nil {
			m, err = t.clock.Copy(dst, src)
		} else {
			m, err = io.Copy(dst, src)
		}
		total += m
	}
	half, ok := dst.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		t.close()
		return total
	}
	if t.clock != nil {
		t.clock.Shorten(halfCloseTime)
	} else {
		_ = dst.SetReadDeadline(time.Now().Add(halfCloseTime))
	}
	return total
}

// tunnels are those under way.
type tunnels struct {
	mu     sync.Mutex
	active map[*tunnel]struct{}
	closed bool
}

// add reports false when no tunnel may live on.
func (s *tunnels) add(t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == nil {
		s.active = make(map[*tunnel]struct{})
	}
	s.active[t] = struct{}{}
	return !s.closed && (t.owner == nil || !t.owner.cut.Load())
}

func (s *tunnels) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active, t)
}

// cut ends those of a server, or all of them if that is nil, and those to come.
func (s *tunnels) cut(of *Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of == nil {
		s.closed = true
	} else {
		of.cut.Store(true)
	}
	for t := range s.active {
		if of == nil || t.owner == of {
			t.cut()
		}
	}
}
