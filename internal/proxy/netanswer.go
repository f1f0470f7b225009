package proxy

import (
	"bytes"
	"context"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"hale/internal/proxy/guard"
)

// netAnswer is a front as the place where an upstream's answer goes.
type netAnswer front

var _ answer = (*netAnswer)(nil)

func (f *netAnswer) attend(c guard.Watcher) {
	if f.peer.conn != nil {
		f.peer.conn.Watch(c)
		return
	}
	stop := context.AfterFunc(f.r.Context(), c.ClientGone)
	f.stop = func() {
		if !stop() {
			c.ClientGone() // it may be under way, and must not hit c's next user
		}
	}
}

func (f *netAnswer) leave() {
	if f.peer.conn != nil {
		f.peer.conn.Watch(nil)
		return
	}
	f.stop()
}

func (f *netAnswer) inform(status int, fields []Field) {
	if !f.r.ProtoAtLeast(1, 1) {
		return // HTTP/1.0 knows none (RFC 9110, 15.2)
	}
	h := f.w.Header()
	for _, field := range fields {
		h.Add(field.Name, field.Value)
	}
	f.w.WriteHeader(status)
	for _, field := range fields {
		h.Del(field.Name)
	}
}

func (f *netAnswer) begin(a *answerHead, last bool) {
	f.adapt(a)
	h := f.w.Header()
	values := make([]string, len(a.fields))
	for i, field := range a.fields {
		name := textproto.CanonicalMIMEHeaderKey(field.Name)
		if had, has := h[name]; has {
			h[name] = append(had, field.Value)
			continue
		}
		values[i] = field.Value
		h[name] = values[i : i+1 : i+1]
	}
	for _, field := range f.action.Append {
		name := textproto.CanonicalMIMEHeaderKey(field.Name)
		h[name] = append(h[name], field.Value)
	}
	(*front)(f).addResponse(h)
	if a.trailer != "" {
		h["Trailer"] = []string{a.trailer}
	}
	if _, has := h["Content-Type"]; !has {
		h["Content-Type"] = nil // net/http would guess
	}
	if last && !f.http2 || f.action.Close || f.peer.over(f.engine) {
		(*front)(f).closeAfter()
	}
	f.w.WriteHeader(a.status)
}

// adapt has the policy see the answer's head, and drops what it says.
func (f *netAnswer) adapt(a *answerHead) {
	if f.engine.answers != nil {
		f.engine.answers.Answered(&f.head, &f.action, a.status, answerFields(a.fields))
	}
	if len(f.action.Drop) > 0 {
		a.fields = slices.DeleteFunc(a.fields, func(field Field) bool {
			return slices.ContainsFunc(f.action.Drop, func(name string) bool { return strings.EqualFold(name, field.Name) })
		})
	}
}

// answerFields are an answer's header fields as a policy's Header.
type answerFields []Field

func (l answerFields) Get(name string) string {
	for _, f := range l {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

func (l answerFields) Values(name string) (values []string) {
	for _, f := range l {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

func (l answerFields) Each(f func(name string, values []string)) {
	for _, field := range l {
		f(field.Name, []string{field.Value})
	}
}

func (f *netAnswer) Write(p []byte) (int, error) {
	if f.http2 {
		f.writing().begin()
		defer f.stall.end()
	}
	return f.w.Write(p)
}

// writing bounds the time that an HTTP/2 client takes for a write. For HTTP/1.1,
// the guard does.
func (f *netAnswer) writing() *stall {
	if f.stall == nil {
		w := f.w
		f.stall = newStall(f.exchange.settings.BodyTimeout, func() { _ = http.NewResponseController(w).SetWriteDeadline(longAgo) })
	}
	return f.stall
}

func (f *netAnswer) Flush() error {
	if f.http2 {
		f.writing().begin()
		defer f.stall.end()
	}
	if fl, ok := f.w.(interface{ FlushError() error }); ok {
		return fl.FlushError()
	}
	return http.NewResponseController(f.w).Flush()
}

// cut sends what net/http still holds, which it would throw away with the
// connection. An HTTP/1.0 client that was told no length takes the connection's
// end for the answer's (RFC 9112, 6.3), so nothing more is sent to it.
func (f *netAnswer) cut() {
	if f.r.ProtoAtLeast(1, 1) || f.w.Header()["Content-Length"] != nil {
		_ = f.Flush() // the answer has failed already
	}
}

func (f *netAnswer) trailer(fields []Field) {
	// A trailer needs chunks, and net/http decides for them when it flushes.
	_ = f.Flush()
	h := f.w.Header()
	for _, field := range fields {
		h.Add(http.TrailerPrefix+textproto.CanonicalMIMEHeaderKey(field.Name), field.Value)
	}
}

func (f *netAnswer) upgrade(a *answerHead) (clientConn, error) {
	f.adapt(a)
	nc, rw, err := http.NewResponseController(f.w).Hijack()
	if err != nil {
		return clientConn{}, err
	}
	f.hijacked = true
	read, _ := rw.Peek(rw.Reader.Buffered())
	client := clientConn{Conn: nc, server: f.peer.server, rest: bytes.Clone(read)}
	if c := f.peer.conn; c != nil {
		inner, rest, err := c.Release()
		if err != nil {
			_ = nc.Close()
			return clientConn{}, err
		}
		client.Conn, client.rest = inner, append(client.rest, rest...)
	}
	head := append([]byte(nil), "HTTP/1.1 101 Switching Protocols\r\n"...)
	head = appendField(head, "Connection", "Upgrade")
	head = appendField(head, "Upgrade", a.upgrade)
	for _, field := range a.fields {
		head = appendField(head, field.Name, field.Value)
	}
	for _, field := range f.action.Append {
		head = appendField(head, field.Name, cleanValue(field.Value))
	}
	for _, field := range f.action.Response {
		if !hasField(a.fields, field.Name) {
			head = appendField(head, field.Name, field.Value)
		}
	}
	if _, err := client.Write(append(head, '\r', '\n')); err != nil {
		_ = client.Close()
		return clientConn{}, err
	}
	return client, nil
}
