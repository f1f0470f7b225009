package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"hale/internal/uwsgi"
)

// answer is where an upstream's answer goes: the client, by way of whatever
// server it is connected to. One goroutine calls it.
type answer interface {
	// attend has the watcher told when the client leaves, until leave.
	attend(watcher)
	leave()
	// inform sends a 1xx answer, before the head.
	inform(status int, fields []Field)
	// begin sends the head, or keeps it until the first Flush. With last, the
	// connection is closed after this answer.
	begin(h *answerHead, last bool)
	io.Writer
	Flush() error
	// cut is called when the rest of the answer will not come, before the
	// connection is closed for it: what was written is sent.
	cut()
	// trailer gives the fields after the body.
	trailer(fields []Field)
	// upgrade sends the head of a 101 and hands over the client's connection.
	upgrade(h *answerHead) (clientConn, error)
}

// exchange is one try to have a request answered by an upstream.
type exchange struct {
	engine   *Engine
	settings *Settings
	req      *request
	answer   answer
	out      *Outcome

	conn    *conn
	uwsgi   bool
	begun   time.Time
	packet  int  // size of uwsgi's variables
	started bool // the client was sent a head
	gotByte bool // something of the answer came

	bodyRead bool // over HTTP/2: something of the body was read from the client
	page     Page // what the client is answered with if there is no answer

	// When the request went out, the answer's head was there, and it began to go
	// to the client.
	sent, answered, shown time.Time

	up   upload
	head answerHead
}

// most1xx bounds the interim answers to one request; more are a fault.
const most1xx = 16

// run does it all: it returns when the client has its answer, or an error says
// why not, and no goroutine is left.
func (x *exchange) run(ctx context.Context, p *pool, fresh bool) *Error {
	x.begun = time.Now()
	x.uwsgi = p.upstream.UWSGI()
	x.out.Upstream = p.upstream
	if p.http2 != nil {
		return x.runHTTP2(ctx, p)
	}
	if err := x.connect(ctx, p, fresh); err != nil {
		return err
	}
	again, err := x.attended(p)
	spoilt, clientGone, wasCut := x.conn.state()
	switch {
	case err == nil || err.clientsFault():
	case clientGone:
		err = x.fail(ErrClientGone, err.Op, nil)
	case wasCut:
		err = x.fail(ErrCut, err.Op, nil)
	}
	if err == nil && again && !spoilt {
		p.put(x.conn, x.settings.IdleConns, x.settings.IdleConnTimeout)
		return nil
	}
	_ = x.conn.Close()
	return err
}

// attended converses while it is seen whether the client is still there. That
// ends, and so does the connection, with a fault of ours too.
func (x *exchange) attended(p *pool) (again bool, err *Error) {
	p.begin(x.conn)
	x.answer.attend(x.conn)
	faulty := true
	defer func() {
		x.answer.leave()
		p.end(x.conn)
		if faulty {
			_ = x.conn.Close()
		}
	}()
	again, err = x.converse(&x.head)
	faulty = false
	return again, err
}

func (x *exchange) connect(ctx context.Context, p *pool, fresh bool) *Error {
	x.conn = nil
	if !fresh && !x.uwsgi {
		x.conn = p.get()
	}
	if x.out.Reused = x.conn != nil; x.out.Reused {
		return nil
	}
	var err error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x.answer.attend(cancelled(cancel))
	x.conn, err = p.connect(ctx, x.settings)
	x.answer.leave()
	x.out.Connect = time.Since(x.begun)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return x.fail(ErrClientGone, "connect", context.Cause(ctx))
	default:
		return x.connectFailed(err)
	}
}

// cancelled is a watcher that ends what goes on under a context.
type cancelled context.CancelFunc

func (c cancelled) clientGone() { c() }

func (x *exchange) connectFailed(err error) *Error {
	if failed, ok := errors.AsType[*handshakeError](err); ok {
		return x.fail(ErrTLS, "shake hands", failed.err)
	}
	return x.fail(ErrConnect, "connect", err)
}

// consumed reports whether some of the body was read from the client, and is
// gone.
func (x *exchange) consumed() bool { return x.up.done != nil && x.req.body != nil || x.bodyRead }

// times tells the outcome how long each part took.
func (x *exchange) times(start time.Time) {
	if x.out.Sent && !x.sent.IsZero() {
		x.out.RequestTime = x.sent.Sub(start)
		if !x.answered.IsZero() {
			x.out.TargetTime = x.answered.Sub(x.sent)
		}
	}
	if !x.answered.IsZero() && !x.shown.IsZero() {
		x.out.ResponseTime = x.shown.Sub(x.answered)
	}
}

// converse sends the request and relays the answer. It reports whether the
// connection can carry another request.
func (x *exchange) converse(h *answerHead) (reusable bool, err *Error) {
	if err := x.send(); err != nil {
		return false, err
	}
	defer func() {
		// The answer is there, or never will be; who still sends is stopped.
		if !x.up.finish(x) {
			reusable = false
		}
		if h.status != 101 {
			x.out.BytesIn = x.up.read
		}
		if err != nil && x.up.err != nil {
			err = x.up.err // the cause of it
		}
	}()
	if err := x.readHead(h); err != nil {
		return false, err
	}
	if h.status == 101 {
		return false, x.tunnel(h)
	}
	if err := x.relay(h); err != nil {
		return false, err
	}
	return h.keepAlive && !x.uwsgi && len(x.conn.buffered()) == 0, nil
}

// send sends the head, and the body if it is short; a long one is begun, and
// goes on while the answer is read.
func (x *exchange) send() *Error {
	c, r := x.conn, x.req
	c.out = c.out[:0]
	if x.uwsgi {
		var err error
		if c.out, err = r.appendUWSGI(c.out); err != nil {
			if errors.Is(err, uwsgi.ErrBadPath) {
				return x.fail(ErrBadRequest, "encode the request", err)
			}
			return x.fail(ErrHeadTooLarge, "encode the request", err)
		}
		x.packet = len(c.out) - 4
	} else {
		c.out = r.appendHTTP(c.out)
	}
	c.out = append(c.out, r.small...)
	x.sent = time.Now()
	c.setDeadline(x.sent.Add(x.settings.ResponseTimeout))
	n, err := c.Write(c.out)
	x.out.Sent = x.out.Sent || n > 0
	if err != nil {
		// An answer may have come before, "408" or "431" for one; but a stale
		// connection has none, so it is not waited for.
		if isTimeout(err) {
			return x.fail(ErrTimeout, "send the request", err)
		}
		if !x.out.Reused && n > 0 {
			return nil // see what the answer says
		}
		return x.fail(ErrNoAnswer, "send the request", err)
	}
	if r.spooled != nil || r.body != nil && (!r.expect || x.uwsgi) {
		x.up.start(x)
	}
	return nil
}

// readHead reads the answer's head, past the interim ones.
func (x *exchange) readHead(h *answerHead) *Error {
	c := x.conn
	waiting := x.req.expect && !x.uwsgi && x.req.body != nil
	if waiting {
		c.setReadDeadline(time.Now().Add(x.settings.ContinueTimeout))
	}
	for interim := 0; ; {
		err := c.readHead(h, x.req.method, x.settings.ResponseHeaderSize)
		x.gotByte = x.gotByte || err == nil || len(c.buffered()) > 0
		switch {
		case err != nil && waiting && isTimeout(err) && !x.spoilt():
			// Many apps never say 100.
			waiting = false
			x.up.start(x)
			continue
		case err != nil:
			return x.headFailed(err)
		}
		if h.status >= 200 || h.status == 101 {
			x.up.answered()
			x.out.Answered = true
			x.answered = time.Now()
			x.out.FirstByte = x.answered.Sub(x.begun)
			return nil
		}
		if interim++; interim > most1xx {
			return x.fail(ErrBadAnswer, "read the answer's header", errors.New("too many interim answers"))
		}
		switch {
		case h.status == 100 && waiting:
			waiting = false
			x.answer.inform(h.status, nil)
			x.up.start(x)
		case h.status != 100:
			x.answer.inform(h.status, h.fields)
		}
	}
}

func (x *exchange) headFailed(err error) *Error {
	const op = "read the answer's header"
	var he *headError
	switch {
	case errors.As(err, &he):
		return x.fail(ErrBadAnswer, op, he.err)
	case isTimeout(err):
		return x.fail(ErrTimeout, op, err)
	case errors.Is(err, io.EOF):
		err = errEmpty
	}
	if x.uwsgi && !x.gotByte {
		err = &uwsgi.NoAnswerError{Size: x.packet, Err: err}
	}
	return x.fail(ErrNoAnswer, op, err)
}

// spoilt reports whether the connection was interrupted.
func (x *exchange) spoilt() bool {
	spoilt, _, _ := x.conn.state()
	return spoilt
}

// stale reports whether err is that of a connection which the upstream had
// closed while it was idle.
func (x *exchange) stale(err *Error) bool {
	return x.out.Reused && errors.Is(err.Kind, ErrNoAnswer) && !x.gotByte && !x.started
}

func (x *exchange) fail(kind error, op string, cause error) *Error {
	return &Error{Kind: kind, Op: op, Upstream: x.out.Upstream, Err: cause}
}

// clientsFault reports whether the client's own doing ended the exchange.
func (e *Error) clientsFault() bool {
	return errors.Is(e.Kind, ErrBadRequest) || errors.Is(e.Kind, ErrBodyTooLarge) || errors.Is(e.Kind, ErrBodyTimeout)
}
