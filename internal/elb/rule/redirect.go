package rule

import (
	"strconv"
	"strings"

	"hale/internal/elb"
)

// Location returns the URL of a rule whose Action is a Redirect. It always has
// the port, as ELB's does: https://example.com:443/ (seen in
// internetstandards/Internet.nl#1291). A query that comes out empty has no
// question mark (seen likewise).
//
// It is a URL whatever the request holds: what a URL cannot is escaped, line
// breaks among it, and nothing of the path or the query can become part of the
// host. It is "" where the request has no host and the redirect names none; such
// a request cannot be redirected (unconfirmed; HTTP/1.0 alone has them).
func (e *Entry) Location(r *Request) string { return e.location.expand(r) }

// location is a redirect's URL made ready: each part is text and keywords in
// turn.
type location struct{ protocol, host, port, path, query []piece }

// piece is text, or a keyword in its place.
type piece struct {
	text    string // escaped already
	keyword keyword
}

type keyword uint8

const (
	noKeyword keyword = iota
	protocolKeyword
	hostKeyword
	portKeyword
	pathKeyword
	queryKeyword
)

var keywords = []struct {
	name string
	is   keyword
}{
	{"#{protocol}", protocolKeyword},
	{"#{host}", hostKeyword},
	{"#{port}", portKeyword},
	{"#{path}", pathKeyword},
	{"#{query}", queryKeyword},
}

func newLocation(c RedirectConfig) location {
	return location{
		protocol: pieces(lower(c.Protocol), inHost),
		host:     pieces(c.Host, inHost),
		port:     pieces(c.Port, inHost),
		path:     pieces(c.Path, inPath),
		query:    pieces(c.Query, inQuery),
	}
}

// pieces cuts a part at its keywords.
func pieces(s string, where class) []piece {
	var cut []piece
	for s != "" {
		at, found := len(s), piece{}
		length := 0
		for _, k := range keywords {
			if i := strings.Index(s, k.name); i >= 0 && i < at {
				at, found, length = i, piece{keyword: k.is}, len(k.name)
			}
		}
		if at > 0 {
			cut = append(cut, piece{text: string(appendEscaped(nil, s[:at], where))})
		}
		if length > 0 {
			cut = append(cut, found)
		}
		s = s[at+length:]
	}
	return cut
}

func (l *location) expand(r *Request) string {
	var buf [256]byte
	b := appendPieces(buf[:0], l.protocol, r, inHost)
	b = append(b, "://"...)
	start := len(b)
	if b = appendPieces(b, l.host, r, inHost); len(b) == start {
		return ""
	}
	b = append(b, ':')
	b = appendPieces(b, l.port, r, inHost)
	b = appendPieces(b, l.path, r, inPath)
	b = append(b, '?')
	start = len(b)
	if b = appendPieces(b, l.query, r, inQuery); len(b) == start {
		b = b[:start-1]
	}
	return string(b)
}

func appendPieces(b []byte, pieces []piece, r *Request, where class) []byte {
	for i := range pieces {
		switch p := &pieces[i]; p.keyword {
		case noKeyword:
			b = append(b, p.text...)
		case protocolKeyword:
			if r.Protocol == elb.HTTPS {
				b = append(b, "https"...)
			} else {
				b = append(b, "http"...)
			}
		case hostKeyword:
			b = appendEscaped(b, HostName(r.Host), where)
		case portKeyword:
			b = strconv.AppendInt(b, int64(r.Port), 10)
		case pathKeyword:
			b = appendEscaped(b, strings.TrimPrefix(r.Path, "/"), where)
		case queryKeyword:
			b = appendEscaped(b, r.RawQuery, where)
		}
	}
	return b
}

// class is a part of a URL. What it may hold as it is follows RFC 3986, 3.2 to
// 3.4. The percent sign is among it everywhere: what is escaped stays so.
type class uint8

const (
	inHost class = 1 << iota
	inPath
	inQuery
)

var classes = makeClasses()

func makeClasses() (t [256]class) {
	const unreserved = letters + digits + "-._~"
	const subDelims = "!$&'()*+,;="
	for _, part := range []struct {
		chars string
		class class
	}{
		{unreserved + subDelims + "[]:%", inHost},
		{unreserved + subDelims + ":@/%", inPath},
		{unreserved + subDelims + ":@/?%", inQuery},
		// Browsers send these as they are, and nobody takes them for anything
		// else within a query.
		{"[]|{}^`\\", inQuery},
	} {
		for _, c := range []byte(part.chars) {
			t[c] |= part.class
		}
	}
	return t
}

func appendEscaped(b []byte, s string, where class) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if classes[c]&where != 0 {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}
