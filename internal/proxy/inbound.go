package proxy

import (
	"cmp"
	"io"
	"strings"

	"hale/internal/proxy/guard"
)

// inbound is a request as it came in, whatever the client speaks.
type inbound struct {
	method, target, host, proto string    // the target in origin form, or "*"
	fields                      fieldList // without Host, Transfer-Encoding and Trailer
	http10, http2               bool

	length int64 // of the body; -1 if unknown
	given  bool  // there is a Content-Length
	body   inboundBody
	expect bool // the client waits for 100 Continue before it sends the body
	unmet  bool // it expects something else

	// What fields of the client's hop list.
	connection, te, upgrade, announced string
}

// inboundBody is a request's body on its way from the client.
type inboundBody interface {
	io.Reader
	// trailer returns the fields after the body, once that was read.
	trailer() []Field
	// unblock makes a Read return, from another goroutine. The client's connection,
	// or stream, is of no use afterwards.
	unblock()
}

// take makes it of what the guard has read.
func (in *inbound) take(h *guard.Head) {
	in.method, in.target = h.Method, originForm(h.Target)
	in.length, in.given = h.Length, h.HasLength
	in.proto, in.http10 = "HTTP/1.1", h.HTTP10
	if h.HTTP10 {
		in.proto = "HTTP/1.0"
	}
	in.host = authority(h.Target)
	in.fields.fields = h.Fields[:0]
	for _, f := range h.Fields {
		if !in.note(f.Name, f.Value) {
			in.fields.add(f)
		}
	}
}

// note takes note of a field that concerns the message's form, or the client's
// hop. It reports whether a policy is not to see it.
func (in *inbound) note(name, value string) (hidden bool) {
	switch len(name) {
	case len("TE"):
		if strings.EqualFold(name, "TE") {
			in.te = joined(in.te, value)
		}
	case len("Host"):
		if strings.EqualFold(name, "Host") {
			in.host = cmp.Or(in.host, value) // a target's goes before (RFC 9112, 3.2.2)
			return true
		}
	case len("Expect"):
		if !strings.EqualFold(name, "Expect") {
			break
		}
		switch {
		case in.http10, in.http2: // HTTP/1.0 has none (RFC 9110, 10.1.1); HTTP/2's is net/http's
		case strings.EqualFold(value, "100-continue"):
			in.expect = in.length != 0
		default:
			in.unmet = true
		}
	case len("Upgrade"):
		switch {
		case strings.EqualFold(name, "Upgrade"):
			in.upgrade = joined(in.upgrade, value)
		case strings.EqualFold(name, "Trailer"):
			in.announced = joined(in.announced, value)
			return true
		}
	case len("Connection"):
		if strings.EqualFold(name, "Connection") {
			in.connection = joined(in.connection, value)
		}
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// keepsConnection reports whether the client will ask for more on its connection
// (RFC 9112, 9.3).
func (in *inbound) keepsConnection() bool {
	if in.http10 {
		return hasToken(in.connection, "keep-alive")
	}
	return !hasToken(in.connection, "close")
}

// authority returns the host of a target that is an absolute URL, else "".
func authority(target string) string {
	_, rest, found := strings.Cut(target, "://")
	if !found || target[0] == '/' {
		return ""
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return rest
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

// fieldList is header fields as they came, as a policy's Header.
type fieldList struct {
	fields []Field
	values []string // theirs, so that Each has slices to give
}

func (l *fieldList) reset() {
	clear(l.fields)
	clear(l.values)
	l.fields, l.values = l.fields[:0], l.values[:0]
}

func (l *fieldList) add(f Field) {
	l.fields, l.values = append(l.fields, f), append(l.values, f.Value)
}

func (l *fieldList) Get(name string) string {
	for i := range l.fields {
		if f := &l.fields[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

func (l *fieldList) Values(name string) (values []string) {
	for i := range l.fields {
		if f := &l.fields[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

func (l *fieldList) Len() int { return len(l.fields) }

func (l *fieldList) At(i int) (name, value string) { return l.fields[i].Name, l.fields[i].Value }

func (l *fieldList) Each(f func(name string, values []string)) {
	for i := range l.fields {
		f(l.fields[i].Name, l.values[i:i+1:i+1])
	}
}
