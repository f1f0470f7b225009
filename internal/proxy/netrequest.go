package proxy

import (
	"cmp"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
)

var errNoUpstream = errors.New("the action names no upstream")

// smallBody is the room that a front has for a body that is read before the
// request is sent on.
const smallBody = 8 << 10

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
	q.target = cmp.Or(f.action.Target, originForm(r.RequestURI))
	q.host = r.Host
	q.scheme = a.Scheme
	q.client, q.local = f.head.Peer, f.head.Local
	if a.Client.IsValid() && a.Client != q.client.Addr() {
		q.client = netip.AddrPortFrom(a.Client, 0) // behind a proxy its port is unknown
	}
	f.fillFields(s.Underscores)
	if q.host == "" {
		q.host = a.Upstream.Host()
	}
	return f.fillBody(s)
}

// fillFields makes the request's fields: the client's, without those of its
// own hop, edited as the action says.
func (f *front) fillFields(underscores bool) {
	r, a, q := f.r, &f.action, &f.req
	connection := f.connection()
	fields := f.fields[:0]
	for name, values := range r.Header {
		if framesMessage(name) || a.edits(name) || strings.IndexByte(name, '_') >= 0 && (!underscores || a.forges(name)) {
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
	q.upgrade = f.upgradeTo()
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

// forges reports whether an app that knows CGI's names would take a field, its
// name with an underscore, for one that the action edits or the policy owns.
func (a *Action) forges(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	return framesMessage(name) || a.edits(name) || a.Owns != nil && a.Owns(name)
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

// upgradeTo returns the protocol that the connection may change to, since both
// the client and the action say so, or "". Another version of HTTP it never is:
// its requests would get past the policy.
func (f *front) upgradeTo() string {
	r, protocol := f.r, f.action.Upgrade
	if protocol == "" || !hasToken(f.connection(), "Upgrade") || !hasToken(strings.Join(r.Header["Upgrade"], ","), protocol) {
		return ""
	}
	if !r.ProtoAtLeast(1, 1) || f.http2 || r.ContentLength != 0 || f.action.Upstream.UWSGI() || f.action.Upstream.HTTP2() {
		return ""
	}
	name, version, versioned := strings.Cut(protocol, "/")
	switch {
	case !isName(name), versioned && !isName(version):
		return ""
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
	if q.length > 0 && q.length <= s.RepeatBody && !q.expect {
		if int64(cap(f.small)) < q.length {
			f.small = make([]byte, max(smallBody, q.length))
		}
		f.small = f.small[:q.length]
		if _, err := io.ReadFull(f.body(s), f.small); err != nil {
			return bodyError(err)
		}
		q.small = f.small
		return nil
	}
	q.body = f.body(s)
	if q.length < 0 && f.action.Upstream.UWSGI() {
		return f.spool(s)
	}
	rc := http.NewResponseController(f.w)
	_ = rc.EnableFullDuplex() // refused by none but HTTP/2, which is so anyway
	q.unblock = func() { _ = rc.SetReadDeadline(longAgo) }
	var announced []string
	for name := range r.Trailer { // without values yet
		if f.trails(name) {
			announced = append(announced, name)
		}
	}
	q.announced = strings.Join(announced, ", ")
	q.trailer = f.trailer
	return nil
}

// body returns the request's body, whose reads have their time-out: the guard's,
// or HTTP/2's. An HTTP/2 upstream may wait for the next piece as long as the
// other direction moves, so the exchange sees to its time.
func (f *front) body(s *Settings) io.Reader {
	if !f.http2 || f.action.Upstream.HTTP2() && (f.r.ContentLength < 0 || f.r.ContentLength > s.RepeatBody) {
		return f.r.Body
	}
	w := f.w
	return &timedBody{f.r.Body, newStall(s.BodyTimeout, func() { _ = http.NewResponseController(w).SetReadDeadline(longAgo) })}
}

// timedBody is the body of a request over HTTP/2.
type timedBody struct {
	r     io.Reader
	stall *stall
}

func (b *timedBody) Read(p []byte) (int, error) {
	b.stall.begin()
	defer b.stall.end()
	return b.r.Read(p)
}

// spool reads a chunked body to its end, so that its length is known.
func (f *front) spool(s *Settings) *Error {
	f.spooled = new(spool)
	if err := f.spooled.fill(f.req.body, s); err != nil {
		return err
	}
	q := &f.req
	q.length, q.given = f.spooled.size, true
	q.expect = false // reading has answered it
	q.body = nil
	q.spooled = f.spooled
	return nil
}

// trailer returns the fields of the request's trailer that go on, once the body
// is read.
func (f *front) trailer() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, values := range f.r.Trailer {
			if !f.trails(name) {
				continue
			}
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

// trails reports whether a field of that name may go on in the trailer. An app
// may read it as one of the header's, where it would be forged: the rules are
// the header's, and what the action's edits found absent there must not come
// after all.
func (f *front) trails(name string) bool {
	a := &f.action
	return !framesMessage(name) && strings.IndexByte(name, '_') < 0 && !a.edits(name) && (a.Owns == nil || !a.Owns(name)) &&
		!hasToken(f.connection(), name)
}

// connection returns what the request's Connection lists.
func (f *front) connection() string { return strings.Join(f.r.Header["Connection"], ",") }
