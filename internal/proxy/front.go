package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"hale/internal/proxy/guard"
)

// front is a request from its head to the policy's last word on it, and what it
// takes to answer it: by itself (ownanswer.go), or by way of an exchange with an
// upstream, which gets its request (outbound.go). It owes nothing to what the
// client speaks: the request came as an inbound, and the answer goes back over a
// back. Fronts are used again.
type front struct {
	engine *Engine
	peer   *peer
	back   back
	in     inbound

	head     Head
	action   Action
	req      request
	fields   []Field // req.fields' place
	small    []byte  // req.small's place
	own      []Field // of an answer of our own
	spooled  *spool  // nil for all but chunked bodies to uwsgi
	out      Outcome
	exchange exchange

	status  int   // that the client was answered with, by ourselves
	written int64 // bytes of the body, likewise
}

// back is the way back to the client, by whatever its connection speaks.
type back interface {
	answer

	// reply gives an answer of our own, whole.
	reply(*reply)
}

// reply is an answer of our own.
type reply struct {
	status int
	reason string  // empty: the usual one
	fields []Field // sorted
	body   []byte  // nil for HEAD
	length int     // what is said of the body's length, besides the fields; -1 is nothing
	last   bool    // the connection is closed after it
}

var fronts = sync.Pool{New: func() any { return new(front) }}

func newFront(e *Engine, p *peer, b back) *front {
	f := fronts.Get().(*front)
	f.engine, f.peer, f.back = e, p, b
	return f
}

func (f *front) release() {
	if f.spooled != nil {
		f.spooled.close()
	}
	clear(f.fields)
	clear(f.own)
	f.in.fields.reset()
	if cap(f.small) > largeBuffer {
		f.small = nil
	}
	*f = front{fields: f.fields[:0], small: f.small[:0], own: f.own[:0], in: inbound{fields: f.in.fields}}
	fronts.Put(f)
}

// serve answers the request. It reports whether that went as it should: if not,
// the client's connection, or stream, has to be cut, so that what the client has
// does not look complete.
func (f *front) serve(ctx context.Context) (complete bool) {
	defer func() {
		if v := recover(); v != nil {
			f.engine.log.Error("request not handled", "error", fmt.Sprint(v), "path", f.head.Path)
			complete = false
		}
	}()
	f.fillHead()
	if f.head.Method == http.MethodTrace || f.head.Method == http.MethodConnect {
		// TRACE would show a page's script what its cookies are; CONNECT is for
		// forward proxies.
		f.action = Action{Kind: Answer}
		f.plain(http.StatusMethodNotAllowed, "", nil)
		f.done(nil)
		return true
	}
	f.action = f.engine.policy.Decide(&f.head)
	switch f.action.Kind {
	case Answer:
		f.answer()
		f.done(nil)
	case Forward:
		return f.forward(ctx)
	default:
		f.engine.log.Error("policy took no decision", "kind", f.action.Kind.String())
		f.plain(http.StatusInternalServerError, "", nil)
		f.done(nil)
	}
	return true
}

// forward sends the request on, and its answer back.
func (f *front) forward(ctx context.Context) (complete bool) {
	s := f.engine.settings.Load()
	if err := f.fillRequest(s); err != nil {
		if errors.Is(err, ErrClientGone) {
			f.status = err.Status() // for the log alone
			f.done(err)
			return false
		}
		f.plain(err.Status(), "", err)
		f.done(err)
		return true
	}
	f.exchange = exchange{engine: f.engine, settings: s, req: &f.req, answer: f.back, out: &f.out}
	err, started := f.engine.forward(ctx, &f.exchange, &f.head, &f.action)
	switch {
	case err == nil:
	case started || errors.Is(err, ErrClientGone):
		return false
	default:
		f.ownAnswer(f.exchange.page)
	}
	return true
}

// done tells the policy of what needed no upstream.
func (f *front) done(err *Error) {
	f.out = Outcome{Status: f.status, BytesOut: f.written, Total: time.Since(f.head.Start)}
	if err != nil {
		f.out.Err = err
	}
	f.engine.policy.Done(&f.head, &f.action, &f.out)
}

// fillHead makes the head that the policy sees.
func (f *front) fillHead() {
	in, h := &f.in, &f.head
	h.Method, h.Host, h.Proto, h.Header = in.method, in.host, in.proto, &in.fields
	var query bool
	h.Path, h.RawQuery, query = strings.Cut(in.target, "?")
	h.ForceQuery = query && h.RawQuery == ""
	h.Chunked = in.length < 0 && !in.http2
}

// of fills what is known of the connection.
func (h *Head) of(p *peer, start time.Time) {
	h.Peer, h.Local, h.ConnID, h.Start = p.remote, p.local, p.id, start
	h.Handshake, h.TLS = p.handshake, p.handshake != nil
}

// refuse answers what was no valid request.
func (f *front) refuse(refusal *guard.Refusal) {
	f.action = Action{Kind: Refused}
	kind := ErrBadRequest
	switch refusal.Status {
	case http.StatusRequestTimeout:
		kind = ErrHeadTimeout
	case http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestURITooLong:
		kind = ErrHeadTooLarge
	}
	err := &Error{Kind: kind, Op: "read the request", Err: refusal}
	f.plain(refusal.Status, "The request is not accepted: "+refusal.Reason+".", err)
	f.done(err)
}

// answer gives the action's answer, without waiting for a body.
func (f *front) answer() {
	a := &f.action
	for name, values := range a.Header {
		for _, value := range values {
			f.addOwn(Field{name, value})
		}
	}
	f.write(cmp.Or(a.Status, http.StatusOK), a.Reason, a.Header, a.Body, !f.in.http2 && !f.drains())
}

// drainable is up to what length the body of a request is read that has been
// answered already, so that its connection can be kept.
const drainable = 256 << 10

// drains reports whether the connection can go on although the request's body is
// not asked for.
func (f *front) drains() bool {
	return f.in.length >= 0 && f.in.length <= drainable && !f.in.expect
}

// addOwn adds a field to an answer of our own, in the order of their names: there
// are only a few.
func (f *front) addOwn(field Field) {
	f.own = append(f.own, field)
	for i := len(f.own) - 1; i > 0 && f.own[i].Name < f.own[i-1].Name; i-- {
		f.own[i], f.own[i-1] = f.own[i-1], f.own[i]
	}
}

// write gives an answer of our own, with the action's fields besides.
func (f *front) write(status int, reason string, header http.Header, body []byte, last bool) {
	f.status = status
	for _, field := range f.action.Response {
		if !hasKey(header, field.Name) {
			f.addOwn(field)
		}
	}
	r := reply{status: status, reason: reason, length: -1, last: last || f.action.Close || f.peer.over(f.engine)}
	if hasBody(status) {
		if header["Content-Length"] == nil {
			r.length = len(body)
		}
		if f.in.method != http.MethodHead {
			r.body = body
		}
	}
	r.fields = f.own
	f.back.reply(&r)
	f.written += int64(len(r.body))
}

func hasKey(h http.Header, name string) bool {
	for key := range h {
		if len(key) == len(name) && strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}
