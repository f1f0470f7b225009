package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"hale/internal/proxy/guard"
)

// refuse answers what was no valid request.
func (f *front) refuse(refusal *guard.Refusal) {
	f.action = Action{Kind: Refused}
	f.plain(refusal.Status, "The request is not accepted: "+refusal.Reason+".")
	f.head.Start = f.peer.conn.HeadBegan()
	kind := ErrBadRequest
	switch refusal.Status {
	case http.StatusRequestTimeout:
		kind = ErrHeadTimeout
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
	// The client's connection can be kept if the fault was the upstream's, and
	// nothing of the request is still to come.
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
