package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"hale/internal/proxy/guard"
)

// This file is all that knows of net/http's server.

// smallBody is up to what length a request's body is read before the request
// is sent on. It then goes out with the head, in one write, and can be sent
// again.
const smallBody = 8 << 10

// front is a request in the hands of net/http's server, and what it takes to
// answer it. Fronts are used again.
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
	hijacked bool
	spooled  *spool // nil for all but chunked bodies to uwsgi
	stop     func() // ends attend, without a guard
	out      Outcome
	exchange exchange

	status  int   // that the client was answered with, by ourselves
	written int64 // bytes of the body, likewise
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
	if f.hijacked && f.peer.ended != nil {
		f.peer.ended()
	}
	if f.spooled != nil {
		f.spooled.close()
	}
	fields, small := f.fields[:0], f.small[:0]
	*f = front{fields: fields, small: small}
	fronts.Put(f)
}

func (f *front) serve() {
	e := f.engine
	f.peer = peerOf(f.r)
	f.head.Peer, f.head.Local, f.head.Start = f.peer.remote, f.peer.local, time.Now()
	if f.r.Method == guard.StandIn && f.peer.conn != nil {
		if refusal := f.peer.conn.Refused(); refusal != nil {
			f.refuse(refusal)
			return
		}
	}
	f.fillHead()
	if f.head.Method == http.MethodTrace || f.head.Method == http.MethodConnect {
		// TRACE would show a page's script what its cookies are; CONNECT is for
		// forward proxies.
		f.action = Action{Kind: Answer}
		f.plain(http.StatusMethodNotAllowed, "")
		f.done(nil)
		return
	}
	f.action = e.policy.Decide(&f.head)
	switch f.action.Kind {
	case Answer:
		drain := f.answer()
		f.done(nil)
		if drain {
			f.drainBody()
		}
	case Serve:
		f.serveLocal()
	case Forward:
		f.forward()
	default:
		e.log.Error("policy took no decision", "kind", f.action.Kind.String())
		f.plain(http.StatusInternalServerError, "")
		f.done(nil)
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
	h.Method, h.Host, h.Proto, h.Header, h.TLS = r.Method, r.Host, r.Proto, header(r.Header), r.TLS != nil
	var query bool
	h.Path, h.RawQuery, query = strings.Cut(originForm(r.RequestURI), "?")
	h.ForceQuery = query && h.RawQuery == ""
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

func (f *front) refuse(refusal *guard.Refusal) {
	f.action = Action{Kind: Refused}
	f.plain(refusal.Status, "The request is not accepted: "+refusal.Reason+".")
	kind := ErrBadRequest
	switch refusal.Status {
	case http.StatusRequestTimeout:
		kind = ErrBodyTimeout
	case http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestURITooLong:
		kind = ErrHeadTooLarge
	}
	f.done(&Error{Kind: kind, Op: "read the request", Err: refusal})
}

// plain answers with a page of our own.
func (f *front) plain(status int, reason string) {
	h := f.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	if upstreams := status == http.StatusBadGateway || status == http.StatusGatewayTimeout; !upstreams || f.req.body != nil {
		f.closeAfter()
		f.abandonBody()
	}
	f.addResponse(h)
	f.write(status, page(status, reason, f.action.RequestID))
}

// drainable is up to what length the body of a request is read that has been
// answered already, so that its connection can be kept.
const drainable = 256 << 10

// answer gives the action's answer, without waiting for a body. It reports
// whether there is one that should be read now.
func (f *front) answer() (drain bool) {
	h := f.w.Header()
	for _, field := range f.action.Response {
		h.Add(field.Name, field.Value)
	}
	status := f.action.Status
	if status == 0 {
		status = http.StatusOK
	}
	switch n := f.r.ContentLength; {
	case n == 0:
	case n < 0, n > drainable, f.r.Header["Expect"] != nil:
		f.closeAfter()
		f.abandonBody()
	default:
		drain = http.NewResponseController(f.w).EnableFullDuplex() == nil
	}
	f.write(status, f.action.Body)
	return drain
}

func (f *front) write(status int, body string) {
	f.status = status
	if f.engine.closing.Load() {
		f.closeAfter()
	}
	allowed := status >= 200 && status != 204 && status != 304
	if allowed {
		f.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	f.w.WriteHeader(status)
	if allowed && f.r.Method != http.MethodHead {
		n, _ := io.WriteString(f.w, body) // a client that is gone is no news
		f.written += int64(n)
	}
}

// closeAfter makes this answer the last one on the client's connection.
func (f *front) closeAfter() {
	f.w.Header()["Connection"] = []string{"close"}
	if f.peer.conn != nil {
		f.peer.conn.LingerOnClose()
	}
}

// drainBody reads the body after the answer. It must not be left to net/http:
// with full duplex, reading that late collides with its look for the next
// request.
func (f *front) drainBody() {
	if http.NewResponseController(f.w).Flush() != nil {
		panic(http.ErrAbortHandler)
	}
	if _, err := io.Copy(io.Discard, f.r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// abandonBody keeps net/http from waiting for a body that nobody will read:
// the connection is closed after this answer anyway.
func (f *front) abandonBody() {
	if f.r.ContentLength != 0 {
		_ = http.NewResponseController(f.w).SetReadDeadline(longAgo)
	}
}

// addResponse adds the action's fields that the answer does not have.
func (f *front) addResponse(h http.Header) {
	for _, field := range f.action.Response {
		name := textproto.CanonicalMIMEHeaderKey(field.Name)
		if _, has := h[name]; !has {
			h[name] = []string{field.Value}
		}
	}
}

// serveLocal lets the action's handler answer.
func (f *front) serveLocal() {
	f.addResponse(f.w.Header()) // which the handler may overwrite
	if f.engine.closing.Load() {
		f.closeAfter()
	}
	rec := &recorder{ResponseWriter: f.w, f: f}
	err := f.callHandler(rec)
	cut := err != nil && f.status != 0 // part of the handler's answer may be out
	switch {
	case err != nil && !cut:
		clear(f.w.Header())
		f.plain(http.StatusInternalServerError, "")
	case f.status == 0:
		f.status = http.StatusOK
	}
	f.done(err)
	if cut {
		panic(http.ErrAbortHandler)
	}
}

func (f *front) callHandler(w http.ResponseWriter) (err *Error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v != http.ErrAbortHandler { //nolint:errorlint // recovered, so never wrapped
			f.engine.log.Error("handler panicked", "error", fmt.Sprint(v), "path", f.head.Path)
		}
		err = &Error{Kind: ErrHandler, Op: "serve", Err: errors.New("the handler panicked")}
	}()
	f.action.Handler.ServeHTTP(w, f.r)
	return nil
}

// recorder notes what a handler answers.
type recorder struct {
	http.ResponseWriter
	f *front
}

func (w *recorder) WriteHeader(status int) {
	if w.f.status == 0 && status >= 200 {
		w.f.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.f.status == 0 {
		w.f.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.f.written += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// forward sends the request on, and its answer back.
func (f *front) forward() {
	s := f.engine.settings.Load()
	if err := f.fillRequest(s); err != nil {
		if errors.Is(err, ErrClientGone) {
			f.status = err.Status() // for the log alone
			f.done(err)
			panic(http.ErrAbortHandler)
		}
		f.plain(err.Status(), "")
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
		f.plain(err.Status(), "")
	}
}

// peer is what is known of a client's connection.
type peer struct {
	remote, local netip.AddrPort
	conn          *guard.Conn // nil without a guard
	ended         func()      // to be called when an upgraded connection has ended; may be nil
}

type peerKey struct{}

// peerOf returns what Server put into the connection's context, or what
// net/http has to say.
func peerOf(r *http.Request) *peer {
	if p, ok := r.Context().Value(peerKey{}).(*peer); ok {
		return p
	}
	p := new(peer)
	p.remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		p.local = addrPort(a)
	}
	return p
}

// addrPort returns a TCP address's parts, IPv4 as such; the zero value for
// others.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
