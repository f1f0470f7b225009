package proxy

import (
	"io"
	"iter"
	"net/http"
	"net/netip"
	"strings"
)

// fillRequest makes the request for the upstream from what net/http read and
// the action's edits.
func (f *front) fillRequest(s *Settings) *Error {
	r, a, q := f.r, &f.action, &f.req
	if a.Upstream.IsZero() {
		return &Error{Kind: ErrConnect, Op: "forward", Err: errNoUpstream}
	}
	if s.BodySize >= 0 && r.ContentLength > s.BodySize {
		return &Error{Kind: ErrBodyTooLarge, Op: "read the request's body"}
	}
	q.method, q.proto = r.Method, r.Proto
	q.target = originForm(r.RequestURI)
	q.host = r.Host
	q.scheme = a.Scheme
	q.client, q.local = f.head.Peer, f.head.Local
	if a.Client.IsValid() && a.Client != q.client.Addr() {
		q.client = netip.AddrPortFrom(a.Client, 0) // behind a proxy its port is unknown
	}
	f.fillFields()
	if q.host == "" {
		q.host = a.Upstream.Host()
	}
	return f.fillBody(s)
}

// fillFields makes the request's fields: the client's, without those of its
// own hop, edited as the action says.
func (f *front) fillFields() {
	r, a, q := f.r, &f.action, &f.req
	connection := strings.Join(r.Header["Connection"], ",")
	fields := f.fields[:0]
	for name, values := range r.Header {
		if framesMessage(name) || strings.IndexByte(name, '_') >= 0 || a.edits(name) {
			continue
		}
		for _, v := range values {
			fields = append(fields, Field{name, v})
		}
	}
	fields = removeListed(fields, connection)
	for _, field := range a.Set {
		switch {
		case len(field.Name) == len("Host") && strings.EqualFold(field.Name, "Host"):
			q.host = cleanValue(field.Value)
		case isName(field.Name) && !framesMessage(field.Name):
			fields = append(fields, Field{field.Name, cleanValue(field.Value)})
		}
	}
	f.fields, q.fields = fields, fields

	if te := r.Header["Te"]; te != nil {
		q.trailers = hasToken(strings.Join(te, ","), "trailers")
	}
	if connection != "" && hasToken(connection, "Upgrade") {
		q.upgrade = f.upgradeTo()
	}
}

// edits reports whether the action removes or replaces fields of that name.
func (a *Action) edits(name string) bool {
	for _, n := range a.Remove {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return true
		}
	}
	return hasField(a.Set, name)
}

// cleanValue replaces what must not be in a field's value.
func cleanValue(s string) string {
	if isValue(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

// upgradeTo returns the protocol that the client may change to, or "". Another
// version of HTTP is never passed on: its requests would get past the policy.
func (f *front) upgradeTo() string {
	values := f.r.Header["Upgrade"]
	if len(values) != 1 || !f.r.ProtoAtLeast(1, 1) || f.r.ContentLength != 0 || f.action.Upstream.UWSGI() {
		return ""
	}
	protocol := values[0]
	name, version, versioned := strings.Cut(protocol, "/")
	switch {
	case !isName(name), versioned && !isName(version):
		return "" // a list, or nonsense
	case strings.EqualFold(name, "h2c"), strings.EqualFold(name, "h2"), strings.EqualFold(name, "http"), strings.EqualFold(name, "tls"):
		return ""
	}
	return protocol
}

// fillBody says what body the request has. A short one is read at once.
func (f *front) fillBody(s *Settings) *Error {
	r, q := f.r, &f.req
	q.length = r.ContentLength
	_, q.given = r.Header["Content-Length"]
	if q.length == 0 {
		return nil
	}
	q.expect = r.Header["Expect"] != nil && r.ProtoAtLeast(1, 1) // net/http lets nothing but 100-continue pass
	if q.length > 0 && q.length <= smallBody && !q.expect {
		if cap(f.small) < smallBody {
			f.small = make([]byte, smallBody)
		}
		f.small = f.small[:q.length]
		if _, err := io.ReadFull(r.Body, f.small); err != nil {
			return bodyError(err)
		}
		q.small = f.small
		return nil
	}
	q.body = r.Body
	if q.length < 0 && f.action.Upstream.UWSGI() {
		return f.spool(s)
	}
	rc := http.NewResponseController(f.w)
	_ = rc.EnableFullDuplex() // refused by none but HTTP/2
	q.unblock = func() { _ = rc.SetReadDeadline(longAgo) }
	if len(r.Trailer) > 0 {
		names := make([]string, 0, len(r.Trailer))
		for name := range r.Trailer {
			names = append(names, name)
		}
		q.announced = strings.Join(names, ", ")
	}
	q.trailer = func() iter.Seq2[string, string] { return trailerFields(r.Trailer) }
	return nil
}

func trailerFields(t http.Header) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, values := range t {
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}
