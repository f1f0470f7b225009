package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
)

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

// pageHeader is that of the engine's own pages.
var pageHeader = http.Header{
	"Content-Type":           {"text/plain; charset=utf-8"},
	"X-Content-Type-Options": {"nosniff"},
	"Cache-Control":          {"no-store"},
}

func (f *front) ownAnswer(p Page) {
	if p.Header == nil {
		p.Header = pageHeader
		if p.Status == http.StatusMethodNotAllowed {
			f.addOwn(Field{"Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"})
		}
	}
	for name, values := range p.Header {
		for _, value := range values {
			f.addOwn(Field{name, value})
		}
	}
	// The client's connection can be kept if the fault was the upstream's, and
	// nothing of the request is still to come. A stream of HTTP/2 ends alone.
	upstreams := p.Status == http.StatusBadGateway || p.Status == http.StatusGatewayTimeout
	f.write(p.Status, p.Reason, p.Header, p.Body, !f.in.http2 && (!upstreams || f.req.body != nil))
}

// hasBody reports whether an answer of that status may have a body (RFC 9110, 6.4.1).
func hasBody(status int) bool { return status >= 200 && status != 204 && status != 304 }

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
