package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"hale/internal/proxy/guard"
)

// front is a request in the hands of net/http's server, and what it takes to
// answer it: by itself (ownanswer.go), or by way of an exchange with an
// upstream, which gets its request (netrequest.go) and gives its answer back
// (netanswer.go). No other files, but those of Server, know of net/http's server.
// Fronts are used again.
type front struct {
	engine *Engine
	w      http.ResponseWriter
	r      *http.Request

	head     Head
	action   Action
	req      request
	fields   []Field // req.fields' place
	small    []byte  // req.small's place
	peer     *peer
	http2    bool // it came over HTTP/2
	hijacked bool
	spooled  *spool // nil for all but chunked bodies to uwsgi
	stop     func() // ends attend, without a guard
	out      Outcome
	exchange exchange

	status  int   // that the client was answered with, by ourselves
	written int64 // bytes of the body, likewise

	stall *stall // of writes over HTTP/2; nil before the first
}

var fronts = sync.Pool{New: func() any { return new(front) }}

// ServeHTTP implements http.Handler.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := fronts.Get().(*front)
	f.engine, f.w, f.r = e, w, r
	defer f.release()
	f.serve()
}

// release ends the use of f. An answer that is cut panics, which is net/http's
// way to have the connection closed; so does what should not, but without the
// trace that net/http would log.
func (f *front) release() {
	v := recover()
	if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // recovered, so never wrapped
		f.engine.log.Error("request not handled", "error", fmt.Sprint(v), "path", f.head.Path)
		v = http.ErrAbortHandler
	}
	f.recycle()
	if v != nil {
		panic(v)
	}
}

func (f *front) recycle() {
	clear(f.fields)
	if f.peer != nil && f.peer.server != nil {
		switch {
		case f.hijacked:
			f.peer.server.connEnded()
		case f.http2:
			f.peer.server.count(0, -1)
		}
	}
	if f.spooled != nil {
		f.spooled.close()
	}
	fields, small := f.fields[:0], f.small[:0]
	if cap(small) > largeBuffer {
		small = nil
	}
	*f = front{fields: fields, small: small}
	fronts.Put(f)
}

func (f *front) serve() {
	e := f.engine
	f.peer = peerOf(f.r)
	f.head.of(f.peer, time.Now())
	f.http2 = f.r.ProtoMajor == 2
	if f.http2 && f.peer.server != nil {
		f.peer.server.count(0, 1)
	}
	if f.r.Method == guard.StandIn && f.peer.conn != nil {
		if refusal := f.peer.conn.Refused(); refusal != nil {
			f.refuse(refusal)
			return
		}
	}
	if f.http2 {
		if refusal := f.checkHTTP2(); refusal != nil {
			f.refuse(refusal)
			return
		}
	}
	f.fillHead()
	if f.head.Method == http.MethodTrace || f.head.Method == http.MethodConnect {
		// TRACE would show a page's script what its cookies are; CONNECT is for
		// forward proxies.
		f.action = Action{Kind: Answer}
		f.plain(http.StatusMethodNotAllowed, "", nil)
		f.done(nil)
		return
	}
	if decided := f.peer.decided; decided != nil {
		f.action, f.peer.decided = *decided, nil
	} else {
		f.action = e.policy.Decide(&f.head)
	}
	switch f.action.Kind {
	case Answer:
		drain := f.answer()
		f.done(nil)
		if drain {
			f.drainBody()
		}
	case Forward:
		f.forward()
	default:
		e.log.Error("policy took no decision", "kind", f.action.Kind.String())
		f.plain(http.StatusInternalServerError, "", nil)
		f.done(nil)
	}
}

// forward sends the request on, and its answer back.
func (f *front) forward() {
	s := f.engine.settings.Load()
	if err := f.fillRequest(s); err != nil {
		if errors.Is(err, ErrClientGone) {
			f.status = err.Status() // for the log alone
			f.done(err)
			panic(http.ErrAbortHandler)
		}
		f.plain(err.Status(), "", err)
		f.done(err)
		return
	}
	f.exchange = exchange{engine: f.engine, settings: s, req: &f.req, answer: (*netAnswer)(f), out: &f.out}
	err, started := f.engine.forward(f.r.Context(), &f.exchange, &f.head, &f.action)
	switch {
	case err == nil:
	case started || errors.Is(err, ErrClientGone):
		// Cut the connection: what the client has must not look complete.
		panic(http.ErrAbortHandler)
	default:
		f.ownAnswer(f.exchange.page)
	}
}

// done tells the policy of what needed no upstream.
func (f *front) done(err *Error) {
	out := Outcome{Status: f.status, BytesOut: f.written, Total: time.Since(f.head.Start)}
	if err != nil {
		out.Err = err
	}
	f.engine.policy.Done(&f.head, &f.action, &out)
}

func (f *front) fillHead() {
	r, h := f.r, &f.head
	h.Method, h.Host, h.Proto, h.Header = r.Method, r.Host, r.Proto, header(r.Header)
	var query bool
	h.Path, h.RawQuery, query = strings.Cut(originForm(r.RequestURI), "?")
	h.ForceQuery = query && h.RawQuery == ""
	h.Chunked = len(r.TransferEncoding) > 0
}

// of fills what is known of the connection.
func (h *Head) of(p *peer, start time.Time) {
	h.Peer, h.Local, h.ConnID, h.Start = p.remote, p.local, p.id, start
	h.Handshake, h.TLS = p.handshake, p.handshake != nil
}

// checkHTTP2 does the guard's work for HTTP/2, whose framing is net/http's.
func (f *front) checkHTTP2() *guard.Refusal {
	r := f.r
	hosts := r.Header["Host"] // beside :authority, or in its place
	delete(r.Header, "Host")
	return guard.CheckRequest(&guard.Request{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Hosts: hosts, Header: r.Header,
	}, f.engine.settings.Load().guard())
}

// header is net/http's as a policy's.
type header http.Header

func (h header) Get(name string) string      { return http.Header(h).Get(name) }
func (h header) Values(name string) []string { return http.Header(h).Values(name) }

func (h header) Each(f func(name string, values []string)) {
	for name, values := range h {
		f(name, values)
	}
}

// originForm returns the path and query of a target, which may be an absolute
// URL (RFC 9112, 3.2.2).
func originForm(target string) string {
	if target == "" || target[0] == '/' || target == "*" {
		return target
	}
	_, rest, found := strings.Cut(target, "://")
	if !found {
		return target
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	default:
		return rest[i:]
	}
}
