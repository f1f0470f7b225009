package proxy

import (
	"context"
	"net/http"
	"net/textproto"
	"strconv"
	"time"

	"hale/internal/proxy/guard"
)

// stream is a request over HTTP/2, in the hands of net/http's server, and the way
// back for its answer. No other files, but that of Server, know of that server.
type stream struct {
	w     http.ResponseWriter
	r     *http.Request
	front *front
	stop  func() // ends attend
	stall *stall // of writes; nil before the first
}

var _ back = (*stream)(nil)

// serveHTTP2 is net/http's handler.
func (s *Server) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	s.count(0, 1)
	defer s.count(0, -1)
	p := r.Context().Value(peerKey{}).(*peer)
	b := &stream{w: w, r: r}
	b.front = newFront(s.engine, p, b)
	complete := b.serve()
	b.front.release()
	if !complete {
		panic(http.ErrAbortHandler) // net/http's way to have the stream reset
	}
}

func (b *stream) serve() (complete bool) {
	f := b.front
	f.head.of(f.peer, time.Now())
	settings := f.engine.settings.Load()
	f.in.http2 = true
	if refusal := b.check(settings); refusal != nil {
		f.in.method = b.r.Method
		f.refuse(refusal)
		return true
	}
	b.take(settings)
	return f.serve(b.r.Context())
}

// check does the guard's work, as far as it is not framing, which is net/http's.
func (b *stream) check(settings *Settings) *guard.Refusal {
	r := b.r
	hosts := r.Header["Host"] // beside :authority, or in its place
	delete(r.Header, "Host")
	return guard.CheckRequest(&guard.Request{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Hosts: hosts, Header: r.Header,
	}, settings.guard())
}

// take makes the request's inbound.
func (b *stream) take(settings *Settings) {
	r, in := b.r, &b.front.in
	in.method, in.target, in.host, in.proto = r.Method, originForm(r.RequestURI), r.Host, r.Proto
	in.length = r.ContentLength
	_, in.given = r.Header["Content-Length"]
	for name, values := range r.Header {
		for _, value := range values {
			if !in.note(name, value) {
				in.fields.add(Field{name, value})
			}
		}
	}
	for name := range r.Trailer { // without values yet
		in.announced = joined(in.announced, name)
	}
	body := &streamBody{stream: b}
	body.stall = newStall(settings.BodyTimeout, body.unblock)
	in.body = body
}

// streamBody is the request's body, whose reads have their time-out. An HTTP/2
// upstream may wait for the next piece as long as the other direction moves, so
// then the exchange sees to its time.
type streamBody struct {
	stream *stream
	stall  *stall
}

func (b *streamBody) Read(p []byte) (int, error) {
	f := b.stream.front
	if f.req.body == nil || !f.action.Upstream.HTTP2() {
		b.stall.begin()
		defer b.stall.end()
	}
	return b.stream.r.Body.Read(p)
}

func (b *streamBody) trailer() (fields []Field) {
	for name, values := range b.stream.r.Trailer {
		for _, v := range values {
			fields = append(fields, Field{name, v})
		}
	}
	return fields
}

func (b *streamBody) unblock() {
	_ = http.NewResponseController(b.stream.w).SetReadDeadline(longAgo)
}

func (b *stream) attend(w watcher) {
	stop := context.AfterFunc(b.r.Context(), w.clientGone)
	b.stop = func() {
		if !stop() {
			w.clientGone() // it may be under way, and must not hit its next user
		}
	}
}

func (b *stream) leave() { b.stop() }

func (b *stream) inform(status int, fields []Field) {
	h := b.w.Header()
	for _, field := range fields {
		h.Add(field.Name, field.Value)
	}
	b.w.WriteHeader(status)
	for _, field := range fields {
		h.Del(field.Name)
	}
}

func (b *stream) begin(a *answerHead, _ bool) {
	f := b.front
	adapt(f, a)
	h := b.w.Header()
	for _, field := range a.fields {
		add(h, field)
	}
	for _, field := range f.action.Append {
		add(h, field)
	}
	for _, field := range f.action.Response {
		if name := textproto.CanonicalMIMEHeaderKey(field.Name); h[name] == nil {
			h[name] = []string{field.Value}
		}
	}
	if a.trailer != "" {
		h["Trailer"] = []string{a.trailer}
	}
	b.head(a.status, f.action.Close || f.peer.over(f.engine))
}

func add(h http.Header, field Field) {
	name := textproto.CanonicalMIMEHeaderKey(field.Name)
	h[name] = append(h[name], field.Value)
}

// head sends the head. With last, the connection takes no other requests.
func (b *stream) head(status int, last bool) {
	h := b.w.Header()
	if _, has := h["Content-Type"]; !has {
		h["Content-Type"] = nil // net/http would guess
	}
	if last {
		h["Connection"] = []string{"close"}
	}
	b.w.WriteHeader(status)
}

// reply implements back.
func (b *stream) reply(r *reply) {
	h := b.w.Header()
	for _, field := range r.fields {
		add(h, field)
	}
	if r.length >= 0 {
		h["Content-Length"] = []string{strconv.Itoa(r.length)}
	}
	timeout := b.front.engine.settings.Load().BodyTimeout
	_ = http.NewResponseController(b.w).SetWriteDeadline(time.Now().Add(timeout))
	b.head(r.status, r.last)
	if len(r.body) > 0 {
		_, _ = b.w.Write(r.body) // a client that is gone is no news
	}
}

func (b *stream) Write(p []byte) (int, error) {
	b.writing().begin()
	defer b.stall.end()
	return b.w.Write(p)
}

// writing bounds the time that the client takes for a write.
func (b *stream) writing() *stall {
	if b.stall == nil {
		b.stall = newStall(b.front.exchange.settings.BodyTimeout, func() { _ = http.NewResponseController(b.w).SetWriteDeadline(longAgo) })
	}
	return b.stall
}

func (b *stream) Flush() error {
	b.writing().begin()
	defer b.stall.end()
	return http.NewResponseController(b.w).Flush()
}

// cut sends what net/http still holds, which it would throw away with the stream.
func (b *stream) cut() { _ = b.Flush() } // the answer has failed already

func (b *stream) trailer(fields []Field) {
	// net/http decides for a trailer when it flushes.
	_ = b.Flush()
	h := b.w.Header()
	for _, field := range fields {
		h.Add(http.TrailerPrefix+textproto.CanonicalMIMEHeaderKey(field.Name), field.Value)
	}
}

// upgrade is never asked for: see upgradeTo.
func (b *stream) upgrade(*answerHead) (clientConn, error) { return clientConn{}, http.ErrNotSupported }
