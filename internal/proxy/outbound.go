package proxy

import (
	"cmp"
	"errors"
	"io"
	"iter"
	"net/netip"
	"net/textproto"
	"strings"
)

var errNoUpstream = errors.New("the action names no upstream")

// smallBody is the room that a front has for a body that is read before the
// request is sent on.
const smallBody = 8 << 10

// fillRequest makes the request for the upstream from what came in and the
// action's edits.
func (f *front) fillRequest(s *Settings) *Error {
	in, a, q := &f.in, &f.action, &f.req
	if a.Upstream.IsZero() {
		return &Error{Kind: ErrConnect, Op: "forward", Err: errNoUpstream}
	}
	if s.BodySize >= 0 && in.length > s.BodySize {
		return &Error{Kind: ErrBodyTooLarge, Op: "read the request's body"}
	}
	q.method, q.proto = in.method, in.proto
	q.target = cmp.Or(f.action.Target, in.target)
	q.host = in.host
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
	in, a, q := &f.in, &f.action, &f.req
	fields := f.fields[:0]
	for _, field := range in.fields.fields {
		name := field.Name
		if framesMessage(name) || a.edits(name) || strings.IndexByte(name, '_') >= 0 && (!underscores || a.forges(name)) {
			continue
		}
		fields = append(fields, field)
	}
	fields = removeListed(fields, in.connection)
	for _, field := range a.Set {
		switch {
		case len(field.Name) == len("Host") && strings.EqualFold(field.Name, "Host"):
			q.host = cleanValue(field.Value)
		case isName(field.Name) && !framesMessage(field.Name):
			fields = append(fields, Field{field.Name, cleanValue(field.Value)})
		}
	}
	f.fields, q.fields = fields, fields

	q.trailers = in.te != "" && hasToken(in.te, "trailers")
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
	in, protocol := &f.in, f.action.Upgrade
	if protocol == "" || in.upgrade == "" || !hasToken(in.connection, "Upgrade") || !hasToken(in.upgrade, protocol) {
		return ""
	}
	if in.http10 || in.http2 || in.length != 0 || f.action.Upstream.UWSGI() || f.action.Upstream.HTTP2() {
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
	in, q := &f.in, &f.req
	q.length, q.given = in.length, in.given
	if q.length == 0 {
		return nil
	}
	q.expect = in.expect
	if q.length > 0 && q.length <= s.RepeatBody && !q.expect {
		if int64(cap(f.small)) < q.length {
			f.small = make([]byte, max(smallBody, q.length))
		}
		f.small = f.small[:q.length]
		if _, err := io.ReadFull(in.body, f.small); err != nil {
			return bodyError(err)
		}
		q.small = f.small
		return nil
	}
	q.body = in.body
	if q.length < 0 && f.action.Upstream.UWSGI() {
		return f.spool(s)
	}
	for name := range strings.SplitSeq(in.announced, ",") {
		if name = strings.Trim(name, " \t"); name != "" && f.trails(name) {
			q.announced = joined(q.announced, name)
		}
	}
	q.trailer = f.trailer
	return nil
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
		for _, field := range f.in.body.trailer() {
			if f.trails(field.Name) && !yield(field.Name, field.Value) {
				return
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
	return isName(name) && !framesMessage(name) && strings.IndexByte(name, '_') < 0 && !a.edits(name) &&
		(a.Owns == nil || !a.Owns(textproto.CanonicalMIMEHeaderKey(name))) && !hasToken(f.in.connection, name)
}
