package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// newHTTP2 returns the transport for an upstream that speaks HTTP/2.
func newHTTP2(e *Engine, p *pool) *http.Transport {
	s := e.settings.Load()
	protocols := new(http.Protocols)
	if p.tls != nil {
		protocols.SetHTTP2(true)
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	open := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return p.open(ctx, e.settings.Load().ConnectTimeout)
	}
	return &http.Transport{
		Protocols:   protocols,
		DialContext: open,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			plain, err := open(ctx, network, address)
			if err != nil {
				return nil, err
			}
			secure, err := p.shakeHands(ctx, plain, e.settings.Load().TLSTimeout)
			if err != nil {
				return nil, err // not a nil *tls.Conn
			}
			return secure, nil
		},
		DisableCompression:     true,
		MaxResponseHeaderBytes: int64(s.ResponseHeaderSize),
		IdleConnTimeout:        s.IdleConnTimeout,
	}
}

// call is an exchange with an upstream that speaks HTTP/2. Both directions are
// streams, and either may end first; time runs out when neither moves.
type call struct {
	x      *exchange
	ctx    context.Context
	cancel context.CancelCauseFunc
	index  int       // in pool.underway; guarded by the pool's mu
	body   *sentBody // nil if there is none to be read from the client

	hints   sync.WaitGroup // the goroutine that passes interim answers on
	mu      sync.Mutex     // guards what follows
	interim []interim
	deaf    bool // interim answers are taken no more
	over    bool // a kept body is given no more

	// Times are counted since began.
	began    time.Time
	timer    *time.Timer
	limit    atomic.Int64 // in nanoseconds; 0 is none
	moved    atomic.Int64 // when either direction last did
	sent     atomic.Int64 // when the head went out; 0 before
	asked    atomic.Bool  // there was a connection, so the upstream may have seen something
	reused   atomic.Bool
	ready    atomic.Int64 // when there was a connection
	reading  atomic.Bool  // a read of the body from the client is under way
	relaying atomic.Bool  // a write to the client is
}

// interim is a 1xx answer.
type interim struct {
	status int
	fields []Field
}

// Why a call's context is over.
var (
	errClientLeft = errors.New("the client has left")
	errIdle       = errors.New("neither side sent anything in time")
	errBodyIdle   = errors.New("no more of the body came in time, and no answer")
)

// clientGone implements watcher.
func (c *call) clientGone() { c.cancel(errClientLeft) }

// runHTTP2 is run over HTTP/2.
func (x *exchange) runHTTP2(ctx context.Context, p *pool) *Error {
	c := &call{x: x, began: x.begun}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	defer c.cancel(nil)
	c.limit.Store(int64(x.settings.ResponseTimeout))
	c.timer = time.AfterFunc(x.settings.ResponseTimeout+time.Hour, c.tick)
	c.timer.Reset(x.settings.ResponseTimeout) // not before tick can know it
	defer c.timer.Stop()
	p.begin(c)
	x.answer.attend(c)
	defer func() { // after a fault of ours too
		x.answer.leave()
		p.end(c)
		c.end()
	}()
	return c.converse(p.http2)
}

// end ends the reading of the body.
func (c *call) end() {
	x := c.x
	if c.body != nil {
		c.body.end()
		x.out.BytesIn, x.bodyRead = c.body.read, c.body.begun.Load()
		return
	}
	x.out.BytesIn = int64(len(x.req.small))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// tick ends the call when it has not moved for its limit, or comes again.
func (c *call) tick() {
	limit := time.Duration(c.limit.Load())
	if limit == 0 {
		return
	}
	idle := time.Since(c.began) - time.Duration(c.moved.Load())
	switch {
	case !c.asked.Load(): // connecting has time-outs of its own
		c.timer.Reset(limit)
	case c.relaying.Load(): // the client takes its time, which is bounded there
		c.timer.Reset(limit)
	case idle >= limit && c.reading.Load():
		c.cancel(errBodyIdle)
	case idle >= limit:
		c.cancel(errIdle)
	default:
		c.timer.Reset(limit - idle)
	}
}

func (c *call) move() { c.moved.Store(int64(time.Since(c.began))) }

func (c *call) converse(transport *http.Transport) *Error {
	x := c.x
	r := c.request()
	resp, err := transport.RoundTrip(r)
	c.mu.Lock()
	c.deaf = true // the transport may have some more to tell, of a call that is over
	c.mu.Unlock()
	c.hints.Wait()
	// The transport tells when it has written the head, but perhaps later than
	// the answer comes; and of what it was stopped at, nobody knows.
	if c.asked.Load() && (err == nil || c.ctx.Err() != nil) {
		c.sent.CompareAndSwap(0, c.ready.Load())
	}
	x.out.Sent = x.out.Sent || c.sent.Load() > 0
	x.out.Reused = c.reused.Load()
	if ready := c.ready.Load(); ready > 0 && !x.out.Reused {
		x.out.Connect = time.Duration(ready)
	}
	if at := c.sent.Load(); at > 0 {
		x.sent = c.began.Add(time.Duration(at))
	}
	if err != nil {
		return c.failed("read the answer's header", err, ErrNoAnswer)
	}
	defer resp.Body.Close()
	x.gotByte = true
	h := &x.head
	if err := c.fill(h, resp); err != nil {
		return x.fail(ErrBadAnswer, "read the answer's header", err)
	}
	x.answered = time.Now()
	x.out.Answered, x.out.FirstByte = true, x.answered.Sub(x.begun)
	return c.relay(h, resp)
}

// request makes net/http's.
func (c *call) request() *http.Request {
	q := c.x.req
	u := &url.URL{Scheme: "http", Host: c.x.out.Upstream.Address(), Opaque: q.target}
	if c.x.out.Upstream.TLS() {
		u.Scheme = "https"
	}
	if strings.HasPrefix(q.target, "//") { // an opaque one of that form would be another host's
		u.Opaque = ""
		path, query, asked := strings.Cut(q.target, "?")
		u.RawQuery, u.ForceQuery = query, asked && query == ""
		u.Path, u.RawPath = path, path
		if plain, err := url.PathUnescape(path); err == nil {
			u.Path = plain
		}
	}
	header := make(http.Header, len(q.fields)+2)
	for _, f := range q.fields {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		header[name] = append(header[name], f.Value)
	}
	if q.trailers {
		header["Te"] = []string{"trailers"}
	}
	if header["User-Agent"] == nil {
		header["User-Agent"] = []string{""} // or the transport adds its own
	}
	r := &http.Request{Method: q.method, URL: u, Host: q.host, Header: header, Proto: "HTTP/2.0", ProtoMajor: 2}
	switch {
	case len(q.small) > 0:
		r.ContentLength = int64(len(q.small))
		r.GetBody = func() (io.ReadCloser, error) { return &keptBody{call: c, rest: q.small}, nil }
		r.Body, _ = r.GetBody()
	case q.body != nil:
		c.body = newSentBody(c, q.body, q.length)
		r.ContentLength, r.Body = q.length, c.body
		if q.announced != "" {
			r.Trailer = http.Header{}
			for name := range strings.SplitSeq(q.announced, ", ") {
				r.Trailer[textproto.CanonicalMIMEHeaderKey(name)] = nil
			}
			c.body.trailer = r.Trailer
		}
	}
	return r.WithContext(httptrace.WithClientTrace(c.ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			c.move()
			c.asked.Store(true)
			c.reused.Store(i.Reused)
			c.ready.Store(max(1, int64(time.Since(c.began))))
		},
		WroteHeaders: func() {
			c.sent.Store(int64(time.Since(c.began)))
			c.move()
		},
		Got1xxResponse: c.informed,
	}))
}

// informed takes an interim answer. It is called by the goroutine that reads for
// all requests on the connection, and must not wait for this one's client.
func (c *call) informed(status int, header textproto.MIMEHeader) error {
	c.move()
	if status == http.StatusContinue {
		return nil // net/http's server says so itself when the body is read
	}
	h := interim{status: status}
	for name, values := range header {
		if framesMessage(name) {
			continue
		}
		for _, v := range values {
			h.fields = append(h.fields, Field{name, v})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf {
		return nil
	}
	c.interim = append(c.interim, h)
	if len(c.interim) == 1 {
		c.hints.Go(c.passOn)
	}
	return nil
}

// passOn sends interim answers on until there is none left. One that is under
// way stays in the list.
func (c *call) passOn() {
	for {
		c.mu.Lock()
		h := c.interim[0]
		c.mu.Unlock()
		c.x.answer.inform(h.status, h.fields)
		c.mu.Lock()
		c.interim = c.interim[1:]
		left := len(c.interim)
		c.mu.Unlock()
		if left == 0 {
			return
		}
	}
}

// fill makes the answer's head from net/http's.
func (c *call) fill(h *answerHead, resp *http.Response) error {
	*h = answerHead{status: resp.StatusCode, length: resp.ContentLength}
	if h.status < 200 || h.status > 599 {
		return fmt.Errorf("its status %d is not between 200 and 599", h.status)
	}
	for name := range resp.Trailer {
		if !framesMessage(name) {
			h.trailer = joined(h.trailer, name)
		}
	}
	for name, values := range resp.Header {
		// HTTP/1.1 has trailers in answers of unknown length alone.
		if framesMessage(name) && (name != "Content-Length" || h.trailer != "") {
			continue
		}
		for _, v := range values {
			h.fields = append(h.fields, Field{name, v})
		}
	}
	h.eventStream = isEventStream(resp.Header.Get("Content-Type"))
	return nil
}

// relay sends the answer to the client.
func (c *call) relay(h *answerHead, resp *http.Response) *Error {
	x := c.x
	x.started = true
	x.out.Status = h.status
	limit := x.settings.StreamTimeout
	if h.eventStream {
		limit = 0
	}
	c.move()
	c.limit.Store(int64(limit))
	if limit > 0 {
		c.timer.Reset(limit)
	}
	x.answer.begin(h, c.body != nil && !c.body.gone.Load())
	x.shown = time.Now()
	grace := graceStream
	switch {
	case h.eventStream:
		grace = 0
	case resp.ContentLength >= 0:
		grace = graceWithLength
	}
	show := newShower(c, grace)
	large := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(large)
	for {
		n, err := show.read(resp.Body, large[:])
		c.move()
		if n > 0 {
			c.relaying.Store(true)
			m, werr := x.answer.Write(large[:n])
			c.relaying.Store(false)
			x.out.BytesOut += int64(m)
			if werr != nil {
				return x.fail(ErrClientGone, "write the answer", werr)
			}
		}
		switch {
		case show.err != nil:
			return x.fail(ErrClientGone, "write the answer", show.err)
		case errors.Is(err, io.EOF):
			c.trail(resp.Trailer)
			return nil
		case err != nil:
			failed := c.failed("read the answer's body", err, ErrCutOff)
			if !errors.Is(failed.Kind, ErrClientGone) {
				x.answer.cut()
			}
			return failed
		}
	}
}

// shower lets the client have what was written of an answer when no more comes
// within a moment, so that most answers go out in one piece.
type shower struct {
	call  *call
	grace time.Duration
	timer *time.Timer
	shown chan error
	err   error // of writing to the client
}

func newShower(c *call, grace time.Duration) *shower {
	s := &shower{call: c, grace: grace, shown: make(chan error, 1)}
	s.timer = time.AfterFunc(time.Hour, func() { s.shown <- s.show() })
	s.timer.Stop()
	return s
}

func (s *shower) show() error {
	s.call.relaying.Store(true)
	defer s.call.relaying.Store(false)
	return s.call.x.answer.Flush()
}

// read reads more of the answer's body. The client is written to by the timer
// meanwhile, but not any more when read returns.
func (s *shower) read(body io.Reader, p []byte) (int, error) {
	if s.grace == 0 {
		if s.err = s.show(); s.err != nil {
			return 0, s.err
		}
		return body.Read(p)
	}
	s.timer.Reset(s.grace)
	n, err := body.Read(p)
	if !s.timer.Stop() {
		s.err = <-s.shown
	}
	return n, err
}

// trail gives the client the fields after the body.
func (c *call) trail(trailer http.Header) {
	var fields []Field
	for name, values := range trailer {
		if framesMessage(name) {
			continue
		}
		for _, v := range values {
			fields = append(fields, Field{name, v})
		}
	}
	if len(fields) > 0 {
		c.x.answer.trailer(fields)
	}
}

// failed says why the call ended early: kind, if nobody but the upstream was to
// blame.
func (c *call) failed(op string, err error, kind error) *Error {
	x := c.x
	cause := context.Cause(c.ctx)
	if c.body != nil {
		_ = c.body.Close() // so that its error is not to be waited for
		if c.body.err != nil {
			return c.body.err
		}
	}
	switch {
	case errors.Is(cause, errBodyIdle) && !x.started:
		return &Error{Kind: ErrBodyTimeout, Op: "read the request's body", Err: cause}
	case errors.Is(cause, errIdle), errors.Is(cause, errBodyIdle):
		return x.fail(ErrTimeout, op, cause)
	case errors.Is(cause, ErrCut):
		return x.fail(ErrCut, op, nil)
	case cause != nil:
		return x.fail(ErrClientGone, op, nil)
	}
	if failed, ok := errors.AsType[*handshakeError](err); ok {
		return x.fail(ErrTLS, "shake hands", failed.err)
	}
	if !c.asked.Load() {
		x.out.Connect = time.Since(x.begun)
		return x.fail(ErrConnect, "connect", err)
	}
	if stream, ok := errors.AsType[streamError](err); ok && stream.Cause != nil && stream.Code == protocolError && !fromPeer(stream.Cause) {
		kind = ErrBadAnswer
	}
	if strings.Contains(err.Error(), "looked like an HTTP/1.1 header") {
		kind, err = ErrBadAnswer, errNotHTTP2Answer
	}
	return x.fail(kind, op, err)
}

var errNotHTTP2Answer = errors.New("it is HTTP/1.1, not HTTP/2")

// streamError is net/http's error of a stream, which converts itself to what has
// the same fields (see its As).
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream %d: code %d", e.StreamID, e.Code) }

const protocolError = 1 // RFC 9113, 7

// fromPeer reports whether the upstream said so, rather than net/http of what it
// said.
func fromPeer(cause error) bool { return strings.Contains(cause.Error(), "received from peer") }

// keptBody is a request's body that was read already. What holds it is used
// again after the call, but the transport may read on for a moment.
type keptBody struct {
	call *call
	rest []byte
}

func (b *keptBody) Read(p []byte) (int, error) {
	b.call.mu.Lock()
	defer b.call.mu.Unlock()
	switch {
	case b.call.over:
		return 0, errBodyClosed
	case len(b.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *keptBody) Close() error { return nil }

// sentBody is a request's body on its way from the client to net/http's
// transport, which reads and closes it in goroutines of its own.
type sentBody struct {
	call    *call
	length  int64       // -1 if unknown
	trailer http.Header // the request's, to be filled; may be nil

	begun   atomic.Bool // something of it was asked for
	gone    atomic.Bool // all of it was read
	unwatch func() bool
	watched chan struct{} // closed when the context's end has been seen to
	stopped atomic.Bool   // by Close, so that an error of reading is its doing

	stopping sync.Mutex // held while unblocking; guards over
	over     bool       // closed: no read begins any more

	mu   sync.Mutex // held while reading; guards what follows
	r    io.Reader
	read int64
	err  *Error // why it could not be read
}

// newSentBody returns a body that is closed when the call's context is over: the
// transport does not look at that while it reads.
func newSentBody(c *call, r io.Reader, length int64) *sentBody {
	b := &sentBody{call: c, r: r, length: length, watched: make(chan struct{})}
	b.unwatch = context.AfterFunc(c.ctx, func() {
		defer close(b.watched)
		_ = b.Close()
	})
	return b
}

// end closes the body, and returns when nobody else does so any more.
func (b *sentBody) end() {
	if !b.unwatch() {
		<-b.watched
	}
	_ = b.Close()
}

var errBodyClosed = errors.New("the request's body is needed no more")

func (b *sentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.begin() {
		return 0, errBodyClosed
	}
	b.call.reading.Store(true)
	n, err := b.r.Read(p)
	b.call.reading.Store(false)
	b.call.move()
	x := b.call.x
	b.read += int64(n)
	switch limit := x.settings.BodySize; {
	case limit >= 0 && b.read > limit:
		b.err = x.fail(ErrBodyTooLarge, "read the request's body", nil)
		return 0, b.err
	case errors.Is(err, io.EOF):
		if b.length >= 0 && b.read < b.length {
			b.err = bodyError(io.ErrUnexpectedEOF)
			return 0, b.err
		}
		b.gone.Store(true)
		b.fillTrailer()
	case err != nil && !b.stopped.Load() && b.call.ctx.Err() == nil:
		b.err = bodyError(err)
	}
	return n, err
}

func (b *sentBody) fillTrailer() {
	if b.trailer == nil || b.call.x.req.trailer == nil {
		return
	}
	for name, value := range b.call.x.req.trailer() {
		if name = textproto.CanonicalMIMEHeaderKey(name); isName(name) && isValue(value) {
			b.trailer[name] = append(b.trailer[name], value)
		}
	}
}

// Close ends the reading, also one that is under way. The client's connection,
// or its stream, is of no use afterwards unless all was read, or nothing.
func (b *sentBody) Close() error {
	b.stop()
	b.mu.Lock() // when a read that was under way has returned
	defer b.mu.Unlock()
	return nil
}

// begin notes that something is read, unless the body is closed.
func (b *sentBody) begin() bool {
	b.stopping.Lock()
	defer b.stopping.Unlock()
	if !b.over {
		b.begun.Store(true)
	}
	return !b.over
}

// stop makes a read that is under way return. The transport may come late, when
// the exchange is over and used anew; or have begun to stop it, and be waited for.
func (b *sentBody) stop() {
	b.stopping.Lock()
	defer b.stopping.Unlock()
	b.over = true
	if b.begun.Load() && !b.gone.Load() && b.stopped.CompareAndSwap(false, true) {
		b.call.x.unblock()
	}
}
