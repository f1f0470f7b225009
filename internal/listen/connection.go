package listen

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// connection is a client's connection, from its first byte to its last.
type connection struct {
	run         *run
	number      int
	conn        net.Conn
	peer, local netip.AddrPort
	// wire is what is read: the connection itself, or what is inside TLS.
	wire  *wire
	proxy *ProxyHeader
	hello *Hello
	// since is when the next request began to be waited for; last is the visit
	// before, answered whether it was.
	since    time.Time
	visits   int
	last     *Visit
	answered bool
}

func newConnection(r *run, conn net.Conn, number int) *connection {
	return &connection{
		run: r, number: number, conn: conn, wire: newWire(conn),
		peer: addressOf(conn.RemoteAddr()), local: addressOf(conn.LocalAddr()),
		since: time.Now(),
	}
}

// serve tells by the first bytes what is spoken, and speaks it.
func (c *connection) serve() {
	defer c.conn.Close()
	until := c.patience()
	if _, err := c.wire.peek(1, until); err != nil {
		c.nothing(err)
		return
	}
	if c.startsProxyHeader(until) {
		if !c.readProxyHeader(until) {
			return
		}
		if _, err := c.wire.peek(1, until); err != nil {
			c.nothing(err)
			return
		}
	}
	if c.wire.starts(tlsRecord, until) {
		if c.run.TLS == nil {
			c.helloOnPlain(until)
			return
		}
		if !c.handshake(until) {
			return
		}
		if _, err := c.wire.peek(1, until); err != nil {
			c.nothing(err)
			return
		}
	}
	if c.wire.starts(http2Preface, until) {
		c.http2()
	} else {
		c.http1()
	}
}

// patience is when the wait that begins now ends.
func (c *connection) patience() time.Time { return time.Now().Add(c.run.Patience) }

// begin makes a visit of what comes now.
func (c *connection) begin() *Visit {
	now := time.Now()
	c.visits++
	v := &Visit{
		Connection: c.number, Nth: c.visits, Time: now, Waited: now.Sub(c.since),
		Peer: c.peer, Local: c.local, Proxy: c.proxy, TLS: c.hello,
		PlainOnTLS: c.run.TLS != nil && c.hello == nil,
		Reply:      Reply{GRPC: -1},
	}
	if c.visits > 1 {
		v.Proxy, v.TLS = nil, nil // have been told
	}
	return v
}

// tell tells a visit with what was taken for it. It reports whether the visitor
// is to be answered.
func (c *connection) tell(v *Visit) bool {
	v.Raw, v.Size = c.wire.shown()
	if c.run.over() || !c.run.visit(c, v) {
		return false
	}
	c.last, c.answered, c.since = v, false, time.Now()
	return true
}

// nothing tells of a connection on which nothing more came than what was told
// to be there: not a byte, a PROXY header, a handshake.
func (c *connection) nothing(err error) {
	v := c.begin()
	v.Kind = Bare
	switch {
	case c.hello != nil:
		v.Kind = Handshake
	case isTimeout(err):
		v.Kind = Silent
	}
	v.PlainOnTLS = false
	v.Time = c.since
	v.Why = ended(err, v.Waited)
	c.tell(v)
}

// foreign tells of what is not HTTP, and answers as web servers do.
func (c *connection) foreign(v *Visit) {
	c.wire.gather()
	v.Kind, v.Why = Foreign, protocolOf(c.wire.kept)
	v.Reply.Status = 400
	if c.tell(v) {
		c.refuse(v)
	}
}

// done tells how the connection ended, after err or, if that is nil, as was
// agreed. What the server itself has ended is not told.
func (c *connection) done(err error) {
	if c.last == nil || errors.Is(err, net.ErrClosed) {
		return
	}
	c.run.left(&Left{
		Connection: c.number, Visit: c.last.Number, Visits: c.visits, Answered: c.answered,
		After: time.Since(c.since), ByUs: isTimeout(err), Reset: isReset(err),
	})
}

// ended is how a connection ended, in words.
func ended(err error, after time.Duration) string {
	switch {
	case isTimeout(err):
		return "nothing more for " + shortly(after)
	case isReset(err):
		return "reset (RST) after " + shortly(after)
	}
	return "closed after " + shortly(after)
}

// shortly is a duration to about three digits.
func shortly(d time.Duration) string {
	switch {
	case d >= 100*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + "s"
	case d >= time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'g', 3, 64) + "ms"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64) + "ms"
}
