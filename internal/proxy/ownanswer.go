package proxy

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"hale/internal/proxy/guard"
)

// refuse answers what was no valid request.
func (f *front) refuse(refusal *guard.Refusal) {
	f.action = Action{Kind: Refused}
	if f.peer.conn != nil {
		f.head.Start = f.peer.conn.HeadBegan()
	}
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

// plain answers with a page of our own. err is why; it may be nil.
func (f *front) plain(status int, reason string, err *Error) {
	f.ownAnswer(f.engine.page(&f.head, &f.action, status, reason, err))
}

// page is what the engine answers with by itself: what the policy says, or a
// page that says in plain words what happened.
func (e *Engine) page(h *Head, a *Action, status int, reason string, err *Error) Page {
	if e.errors == nil {
		return Page{Status: status, Body: []byte(page(status, reason, a.RequestID))}
	}
	var cause error // an *Error that is nil would not be
	if err != nil {
		cause = err
	}
	p := e.errors.Page(h, a, status, cause)
	p.Status = cmp.Or(p.Status, status)
	if p.Header == nil {
		p.Header = http.Header{}
	}
	return p
}

func (f *front) ownAnswer(p Page) {
	h := f.w.Header()
	if p.Header == nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if p.Status == http.StatusMethodNotAllowed {
			h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		}
	} else {
		maps.Copy(h, p.Header)
		if h["Content-Type"] == nil {
			h["Content-Type"] = nil // net/http would guess
		}
	}
	// The client's connection can be kept if the fault was the upstream's, and
	// nothing of the request is still to come. A stream of HTTP/2 ends alone.
	if upstreams := p.Status == http.StatusBadGateway || p.Status == http.StatusGatewayTimeout; !f.http2 && (!upstreams || f.req.body != nil) {
		f.closeAfter()
		f.abandonBody()
	}
	f.addResponse(h)
	f.write(p.Status, p.Body)
}

// drainable is up to what length the body of a request is read that has been
// answered already, so that its connection can be kept.
const drainable = 256 << 10

// answer gives the action's answer, without waiting for a body. It reports
// whether there is one that should be read now.
func (f *front) answer() (drain bool) {
	h := f.w.Header()
	maps.Copy(h, f.action.Header)
	for _, field := range f.action.Response {
		if name := textproto.CanonicalMIMEHeaderKey(field.Name); f.action.Header[name] == nil {
			h[name] = append(h[name], field.Value)
		}
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // net/http would guess
	}
	status := cmp.Or(f.action.Status, http.StatusOK)
	switch n := f.r.ContentLength; {
	case n == 0, f.http2:
	case n < 0, n > drainable, f.r.Header["Expect"] != nil:
		f.closeAfter()
		f.abandonBody()
	default:
		drain = http.NewResponseController(f.w).EnableFullDuplex() == nil
	}
	f.write(status, f.action.Body)
	return drain
}

func (f *front) write(status int, body []byte) {
	f.status = status
	if f.action.Close || f.peer.over(f.engine) {
		f.closeAfter()
	}
	allowed := hasBody(status)
	if h := f.w.Header(); allowed && h["Content-Length"] == nil {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if f.http2 {
		_ = http.NewResponseController(f.w).SetWriteDeadline(time.Now().Add(f.engine.settings.Load().BodyTimeout))
	}
	f.w.WriteHeader(status)
	if allowed && f.r.Method != http.MethodHead {
		n, _ := f.w.Write(body) // a client that is gone is no news
		f.written += int64(n)
	}
}

// hasBody reports whether an answer of that status may have a body (RFC 9110, 6.4.1).
func hasBody(status int) bool { return status >= 200 && status != 204 && status != 304 }

// closeAfter makes this answer the last one on the client's connection. To
// HTTP/2, net/http says so in its way.
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

// page is what a person is told in place of an answer. It names neither
// addresses nor causes that concern the site's operator alone: those are in
// the log, under the request id.
func page(status int, reason, requestID string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n\n", status, statusText(status))
	if reason == "" {
		reason = pageReason(status)
	}
	if reason != "" {
		b.WriteString(reason)
		b.WriteString("\n")
	}
	if requestID != "" {
		fmt.Fprintf(&b, "\nRequest id: %s\n", requestID)
	}
	return b.String()
}

func pageReason(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "The request is not valid HTTP."
	case http.StatusMethodNotAllowed:
		return "This method is not supported here."
	case http.StatusRequestTimeout:
		return "The request did not arrive in time."
	case http.StatusRequestEntityTooLarge:
		return "The request's body is larger than this site accepts."
	case http.StatusRequestURITooLong:
		return "The address is longer than this site accepts."
	case http.StatusRequestHeaderFieldsTooLarge:
		return "The request's header is larger than this site accepts. Clearing the site's cookies may help."
	case http.StatusInternalServerError:
		return "The request could not be handled."
	case http.StatusBadGateway:
		return "The application behind this site did not give a valid answer. Please try again in a moment."
	case http.StatusGatewayTimeout:
		return "The application behind this site did not answer in time. Please try again in a moment."
	}
	return ""
}

func statusText(status int) string {
	if t := http.StatusText(status); t != "" {
		return t
	}
	return "Error"
}
