package proxy

import (
	"iter"
	"net/netip"
	"strconv"

	"hale/internal/uwsgi"
)

// request is what goes to an upstream. It owes nothing to the server that read
// it.
type request struct {
	method, target, host, proto string
	fields                      []Field // edited, without those of the client's hop
	client, local               netip.AddrPort
	scheme                      string

	body   inboundBody // nil if there is none
	length int64       // of the body; -1 if unknown
	given  bool        // the client sent a Content-Length

	// A body that was read already, and can be sent again, is in one of these,
	// and body is nil.
	small   []byte
	spooled *spool

	expect   bool   // the client waits for 100 Continue
	upgrade  string // the protocol to change to, if the upstream wants to
	trailers bool   // it accepts trailers

	announced string                           // names of the fields that its trailer will have
	trailer   func() iter.Seq2[string, string] // its fields, once the body is read
}

// canRepeat reports whether the request can be sent again after it was sent.
func (r *request) canRepeat() bool { return r.body == nil }

// safe reports whether the method asks for no change (RFC 9110, 9.2.1), so that
// a request lost with a stale connection may be sent again unasked.
func (r *request) safe() bool {
	return r.method == "GET" || r.method == "HEAD" || r.method == "OPTIONS"
}

// appendHTTP appends the head for HTTP/1.1.
func (r *request) appendHTTP(b []byte) []byte {
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.host...)
	b = append(b, '\r', '\n')
	for i := range r.fields {
		b = appendField(b, r.fields[i].Name, r.fields[i].Value)
	}
	switch {
	case r.length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if r.announced != "" {
			b = appendField(b, "Trailer", r.announced)
		}
	case r.length > 0 || r.given:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.length, 10)
		b = append(b, '\r', '\n')
	}
	if r.expect {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	if r.trailers {
		b = append(b, "TE: trailers\r\n"...)
	}
	if r.upgrade != "" {
		b = append(b, "Connection: Upgrade\r\n"...)
		b = appendField(b, "Upgrade", r.upgrade)
	}
	return append(b, '\r', '\n')
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':', ' ')
	b = append(b, value...)
	return append(b, '\r', '\n')
}

// appendUWSGI appends the packet of variables for uwsgi.
func (r *request) appendUWSGI(b []byte) ([]byte, error) {
	u := uwsgi.Request{
		Method: r.method, Target: r.target, Proto: r.proto, Host: r.host, Scheme: r.scheme,
		Client: r.client, Local: r.local,
		ContentLength: -1,
		Header:        r.fields,
	}
	if r.length > 0 || r.given {
		u.ContentLength = r.length
	}
	return u.Append(b)
}
