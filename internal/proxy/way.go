package proxy

import (
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// way is how answers go back over a session: what is written is kept until there
// is enough of it, or it is flushed.
type way struct {
	session *session
	out     []byte // what is kept; nil when there is nothing
	err     error  // why nothing can be written any more
	left    int    // bytes that were not written then

	writeBy time.Time // the write deadline that is set

	mu      sync.Mutex // guards what follows: an upload may have the client told to go on
	expects bool       // the client waits for 100 Continue

	begun    bool // the head was written
	bodyless bool // nothing follows it
	chunks   bool // the body goes in chunks
	length   bool // its length was told
	upgraded bool
	trailing []Field
}

var _ back = (*way)(nil)

// outSize is how much of an answer is kept: what goes beyond it is written
// together with what is kept, without a copy.
const outSize = 8 << 10

var outs = sync.Pool{New: func() any { return new([outSize]byte) }}

func (w *way) reset() {
	w.expects, w.begun, w.bodyless, w.chunks, w.length, w.upgraded, w.trailing = false, false, false, false, false, false, nil
}

func (w *way) attend(a watcher) { w.session.attend(a) }
func (w *way) leave()           { w.session.unattend() }

// goAhead tells a client that waits for it to send its body.
func (w *way) goAhead() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.expects {
		return nil
	}
	w.expects = false
	return w.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"), nil)
}

func (w *way) inform(status int, fields []Field) {
	if w.session.front.in.http10 {
		return // HTTP/1.0 knows none (RFC 9110, 15.2)
	}
	if status == http.StatusContinue {
		w.keepError(w.goAhead())
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line(status, "")
	for _, f := range fields {
		w.field(f.Name, f.Value)
	}
	w.out = append(w.out, '\r', '\n')
	_ = w.Flush()
}

func (w *way) begin(a *answerHead, last bool) {
	f := w.session.front
	adapt(f, a)
	w.line(a.status, a.reason)
	dated := false
	for _, field := range a.fields {
		switch len(field.Name) {
		case len("Date"):
			dated = dated || strings.EqualFold(field.Name, "Date")
		case len("Content-Length"):
			if strings.EqualFold(field.Name, "Content-Length") {
				if a.status == http.StatusNoContent {
					continue // RFC 9110, 8.6
				}
				w.length = true
			}
		}
		w.field(field.Name, field.Value)
	}
	for _, field := range f.action.Append {
		w.field(field.Name, cleanValue(field.Value))
	}
	for _, field := range f.action.Response {
		if !hasField(a.fields, field.Name) && !hasField(f.action.Append, field.Name) {
			w.field(field.Name, cleanValue(field.Value))
		}
	}
	w.bodyless = f.in.method == http.MethodHead || !hasBody(a.status)
	w.end(dated, a.trailer, last || f.action.Close || f.peer.over(f.engine))
}

// reply implements back.
func (w *way) reply(r *reply) {
	f := w.session.front
	w.line(r.status, r.reason)
	dated := false
	for _, field := range r.fields {
		dated = dated || field.Name == "Date"
		w.field(field.Name, cleanValue(field.Value))
	}
	if r.length >= 0 {
		w.out = append(w.out, "Content-Length: "...)
		w.out = strconv.AppendInt(w.out, int64(r.length), 10)
		w.out = append(w.out, '\r', '\n')
	}
	w.bodyless = f.in.method == http.MethodHead || !hasBody(r.status)
	w.length = true
	w.end(dated, "", r.last)
	_, _ = w.Write(r.body) // a client that is gone is no news
}

// line begins a head.
func (w *way) line(status int, reason string) {
	if w.out == nil {
		w.out = outs.Get().(*[outSize]byte)[:0]
	}
	w.out = append(w.out, "HTTP/1.1 "...)
	w.out = strconv.AppendInt(w.out, int64(status), 10)
	w.out = append(w.out, ' ')
	if reason == "" {
		reason = http.StatusText(status)
	}
	w.out = append(w.out, reason...)
	w.out = append(w.out, '\r', '\n')
}

func (w *way) field(name, value string) { w.out = appendField(w.out, name, value) }

// end ends a head with what concerns the connection and the body's form.
func (w *way) end(dated bool, trailer string, last bool) {
	c := w.session
	in := &c.front.in
	if !dated {
		w.field("Date", c.engine.date.at(c.front.head.Start))
	}
	if !w.bodyless && !w.length {
		if in.http10 {
			c.last = true // the connection's end is the body's
		} else {
			w.chunks = true
			w.out = append(w.out, "Transfer-Encoding: chunked\r\n"...)
			if trailer != "" {
				w.field("Trailer", trailer)
			}
		}
	}
	if last {
		c.last, c.linger = true, true
	}
	switch {
	case c.last || !in.keepsConnection():
		w.out = append(w.out, "Connection: close\r\n"...)
	case in.http10:
		w.out = append(w.out, "Connection: keep-alive\r\n"...)
	}
	w.out = append(w.out, '\r', '\n')
	w.begun = true
	w.mu.Lock()
	w.expects = false // it has its answer
	w.mu.Unlock()
}

// Write writes a part of the body.
func (w *way) Write(p []byte) (int, error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.bodyless, len(p) == 0:
		return len(p), nil
	}
	if w.out == nil {
		w.out = outs.Get().(*[outSize]byte)[:0]
	}
	if w.chunks {
		w.out = strconv.AppendInt(w.out, int64(len(p)), 16)
		w.out = append(w.out, '\r', '\n')
	}
	if len(w.out)+len(p)+len("\r\n") <= cap(w.out) {
		w.out = append(w.out, p...)
		if w.chunks {
			w.out = append(w.out, '\r', '\n')
		}
		return len(p), nil
	}
	if err := w.write(w.out, p); err != nil {
		w.err = err
		return max(0, len(p)-w.left), err
	}
	w.out = w.out[:0]
	if w.chunks {
		w.out = append(w.out, '\r', '\n')
	}
	return len(p), nil
}

// Flush writes what is kept.
func (w *way) Flush() error {
	if w.err == nil && len(w.out) > 0 {
		w.err = w.write(w.out, nil)
	}
	if w.out != nil {
		if cap(w.out) == outSize {
			outs.Put((*[outSize]byte)(w.out[:outSize]))
		}
		w.out = nil
	}
	return w.err
}

// finish writes what is left of an answer. There may be none.
func (w *way) finish() error {
	if w.chunks && w.begun {
		w.out = append(w.out, "0\r\n"...)
		for _, f := range w.trailing {
			w.field(f.Name, f.Value)
		}
		w.out = append(w.out, '\r', '\n')
	}
	return w.Flush()
}

// cut implements answer. An HTTP/1.0 client that was told no length takes the
// connection's end for the answer's (RFC 9112, 6.3), so nothing more is sent to it,
// and its connection is reset.
func (w *way) cut() {
	if !w.session.front.in.http10 || w.length {
		_ = w.Flush() // the answer has failed already
		return
	}
	w.session.failed = true
}

func (w *way) trailer(fields []Field) { w.trailing = fields }

func (w *way) upgrade(a *answerHead) (clientConn, error) {
	c := w.session
	f := c.front
	adapt(f, a)
	c.unattend() // for the tunnel will see
	w.line(a.status, a.reason)
	w.field("Connection", "Upgrade")
	w.field("Upgrade", a.upgrade)
	for _, field := range a.fields {
		w.field(field.Name, field.Value)
	}
	for _, field := range f.action.Append {
		w.field(field.Name, cleanValue(field.Value))
	}
	for _, field := range f.action.Response {
		if !hasField(a.fields, field.Name) {
			w.field(field.Name, cleanValue(field.Value))
		}
	}
	w.out = append(w.out, '\r', '\n')
	w.upgraded = true
	if err := w.Flush(); err != nil {
		return clientConn{}, err
	}
	return clientConn{Conn: c.nc, server: c.server, rest: c.in.Release()}, c.nc.SetDeadline(time.Time{})
}

func (w *way) keepError(err error) {
	if err != nil && w.err == nil {
		w.err = err
	}
}

// write writes a and b. It fails when the client has taken nothing for
// Settings.BodyTimeout.
func (w *way) write(a, b []byte) error {
	nc, timeout := w.session.nc, w.session.settings.BodyTimeout
	for {
		// Within a quarter of its time a deadline is good enough.
		if now := time.Now(); w.writeBy.Sub(now) < timeout*3/4 || w.writeBy.Sub(now) > timeout {
			w.writeBy = now.Add(timeout)
			_ = nc.SetWriteDeadline(w.writeBy)
		}
		n, err := writeBoth(nc, a, b)
		if err == nil {
			return nil
		}
		skip := min(n, len(a))
		a, b = a[skip:], b[n-skip:]
		if w.left = len(a) + len(b); n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		w.writeBy = time.Time{} // slow, but taking some
	}
}

// writeBoth writes one after the other, at once if the connection can.
func writeBoth(nc net.Conn, a, b []byte) (int, error) {
	if s, ok := nc.(interface {
		writeBoth(a, b []byte) (int, error)
	}); ok && len(a) > 0 && len(b) > 0 {
		return s.writeBoth(a, b)
	}
	var n, m int
	var err error
	if len(a) > 0 {
		n, err = nc.Write(a)
	}
	if len(b) > 0 && err == nil {
		m, err = nc.Write(b)
	}
	return n + m, err
}

// adapt has the policy see an answer's head, and drops what it says.
func adapt(f *front, a *answerHead) {
	if f.engine.answers != nil {
		f.engine.answers.Answered(&f.head, &f.action, a.status, (*answerFields)(&a.fields))
	}
	if len(f.action.Drop) > 0 {
		a.fields = slices.DeleteFunc(a.fields, func(field Field) bool {
			return slices.ContainsFunc(f.action.Drop, func(name string) bool { return strings.EqualFold(name, field.Name) })
		})
	}
}

// answerFields are an answer's header fields as a policy's Header.
type answerFields []Field

func (l *answerFields) Get(name string) string {
	for i := range *l {
		if f := &(*l)[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

func (l *answerFields) Values(name string) (values []string) {
	for i := range *l {
		if f := &(*l)[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

func (l *answerFields) Len() int { return len(*l) }

func (l *answerFields) At(i int) (name, value string) { return (*l)[i].Name, (*l)[i].Value }

func (l *answerFields) Each(f func(name string, values []string)) {
	for _, field := range *l {
		f(field.Name, []string{field.Value})
	}
}
