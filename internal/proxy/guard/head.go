package guard

import (
	"bytes"
	"net/http"
	"net/netip"
)

// requestLine takes "METHOD SP target SP HTTP/1.x" (RFC 9112, 3).
func (s *scanner) requestLine(line []byte) *Refusal {
	method, rest, found := bytes.Cut(line, space)
	if !all(method, isToken) || len(method) == 0 {
		return refuse("the method has an invalid character")
	}
	if !found {
		return refuse("the request line has no target and no version")
	}
	target, version, found := bytes.Cut(rest, space)
	switch {
	case len(target) == 0:
		return refuse("the request line has a space too many, or no target")
	case !all(target, isTarget):
		return refuse("the target has a control character or a #")
	case !found:
		return refuse("the request line has no version, as in HTTP/0.9")
	}
	s.head = head{authority: s.head.authority[:0], method: len(method), target: len(method) + 1 + len(target)}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		s.head.http10 = true
	default:
		if len(version) == 8 && string(version[:5]) == "HTTP/" && version[6] == '.' {
			return &Refusal{http.StatusHTTPVersionNotSupported, "only HTTP/1.1 and HTTP/1.0 are spoken here"}
		}
		return refuse("the request line does not end with HTTP/1.1 or HTTP/1.0")
	}
	return s.target(method, target)
}

var (
	space  = []byte(" ")
	scheme = []byte("://")
)

// target takes the request's target in origin, absolute or asterisk form
// (RFC 9112, 3.2). CONNECT, with its own form, is for forward proxies.
func (s *scanner) target(method, target []byte) *Refusal {
	if string(method) == http.MethodConnect {
		return &Refusal{http.StatusMethodNotAllowed, "CONNECT is not supported: this is no forward proxy"}
	}
	if target[0] == '/' {
		return checkEscapes(target)
	}
	if len(target) == 1 && target[0] == '*' {
		if string(method) != http.MethodOptions {
			return refuse("the target * is for OPTIONS alone")
		}
		return nil
	}
	name, rest, found := bytes.Cut(target, scheme)
	if !found || !foldEqual(name, "http") && !foldEqual(name, "https") {
		return refuse("the target is neither a path nor an http URL")
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	if len(authority) == 0 || !validHost(authority) {
		return refuse("the target's host is not valid")
	}
	s.head.absolute = true
	s.head.authority = append(s.head.authority, authority...)
	return checkEscapes(rest[end:])
}

// checkEscapes refuses a path whose percent signs do not start an escape. A
// query may hold any.
func checkEscapes(target []byte) *Refusal {
	for i := 0; ; {
		n := bytes.IndexByte(target[i:], '%')
		if n < 0 {
			return nil
		}
		i += n
		if bytes.IndexByte(target[:i], '?') >= 0 {
			return nil
		}
		if i+2 >= len(target) || class[target[i+1]]&class[target[i+2]]&isHex == 0 {
			return refuse("the path has a % that starts no escape")
		}
		i += 3
	}
}

// headerLine takes "name: value" (RFC 9112, 5).
func (s *scanner) headerLine(line []byte) *Refusal {
	name, value, r := s.field(line)
	if r != nil {
		return r
	}
	h := &s.head
	switch len(name) {
	case len("host"):
		if !foldEqual(name, "host") {
			return nil
		}
		h.hosts++
		switch {
		case h.hosts > 1:
			return refuse("more than one Host field")
		case len(value) > 0 && !validHost(value):
			return refuse("the Host field is not a valid host")
		case h.absolute && !bytes.EqualFold(value, h.authority):
			return refuse("the target's host differs from the Host field")
		}
	case len("trailer"):
		if foldEqual(name, "trailer") {
			return checkAnnounced(value)
		}
	case len("content-length"):
		if !foldEqual(name, "content-length") {
			return nil
		}
		if h.hasLength {
			return refuse("more than one Content-Length field")
		}
		n, ok := parseLength(value)
		if !ok {
			return refuse("Content-Length is not a number of bytes")
		}
		h.hasLength, h.length = true, n
	case len("transfer-encoding"):
		if !foldEqual(name, "transfer-encoding") {
			return nil
		}
		switch {
		case h.chunked:
			return refuse("more than one Transfer-Encoding field")
		case foldEqual(value, "chunked"):
		case isUnknownCoding(value):
			return &Refusal{http.StatusNotImplemented, "Transfer-Encoding is not supported but for chunked"}
		default:
			return refuse("Transfer-Encoding is not exactly chunked")
		}
		h.chunked = true
	}
	return nil
}

// isUnknownCoding reports whether a Transfer-Encoding is well-formed, and names a
// coding that there is none of here (RFC 9112, 6.1).
func isUnknownCoding(value []byte) bool {
	unknown := false
	for coding := range bytes.SplitSeq(value, []byte(",")) {
		if coding = trim(coding); len(coding) == 0 || !all(coding, isToken) {
			return false
		}
		unknown = unknown || !foldEqual(coding, "chunked") && !foldEqual(coding, "identity")
	}
	return unknown
}

// trailerLine takes a field of a trailer, which must not be one that frames or
// routes the message (RFC 9110, 6.5.1).
func (s *scanner) trailerLine(line []byte) *Refusal {
	name, _, r := s.field(line)
	if r != nil {
		return r
	}
	if forbiddenTrailer(name) {
		return refuse("a field that frames or routes the message is in the trailer")
	}
	return nil
}

// checkAnnounced refuses a Trailer field that announces such a field.
func checkAnnounced(value []byte) *Refusal {
	for name := range bytes.SplitSeq(value, []byte(",")) {
		if forbiddenTrailer(trim(name)) {
			return refuse("the Trailer field announces one that frames or routes the message")
		}
	}
	return nil
}

func forbiddenTrailer(name []byte) bool {
	return foldEqual(name, "content-length") || foldEqual(name, "transfer-encoding") ||
		foldEqual(name, "trailer") || foldEqual(name, "host")
}

// field splits a line into its name and its value without white space around.
func (s *scanner) field(line []byte) (name, value []byte, r *Refusal) {
	if s.fields++; s.fields > MaxFields {
		return nil, nil, &Refusal{http.StatusRequestHeaderFieldsTooLarge, "too many header fields"}
	}
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, refuse("a header line is folded, or starts with white space")
	}
	i := 0
	for i < len(line) && class[line[i]]&isToken != 0 {
		i++
	}
	switch {
	case i == len(line):
		return nil, nil, refuse("a header line has no colon")
	case line[i] != ':' && (line[i] == ' ' || line[i] == '\t'):
		return nil, nil, refuse("white space in a header field's name, or before its colon")
	case line[i] != ':':
		return nil, nil, refuse("a header field's name has an invalid character")
	case i == 0:
		return nil, nil, refuse("a header field has no name")
	}
	from, to := i+1, len(line)
	for from < to && (line[from] == ' ' || line[from] == '\t') {
		from++
	}
	for from < to && (line[to-1] == ' ' || line[to-1] == '\t') {
		to--
	}
	name, value = line[:i], line[from:to]
	if !all(value, isValue) {
		return nil, nil, refuse("a header field's value has a control character")
	}
	s.spans = append(s.spans, span{s.lineAt, s.lineAt + i, s.lineAt + from, s.lineAt + to})
	return name, value, nil
}

// trim removes the optional white space around a value (RFC 9110, 5.6.3).
func trim(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// parseLength reads digits and nothing else; 18 of them fit an int64.
func parseLength(s []byte) (n int64, ok bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// validHost reports whether s is a name or an address, with a port or without
// (RFC 3986, 3.2.2). There are no escapes and no zones: nobody needs them, and
// programs differ over them.
func validHost(s []byte) bool {
	var port []byte
	if s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		a, err := netip.ParseAddr(string(s[1:end]))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
		port = s[end+1:]
	} else {
		i := bytes.IndexByte(s, ':')
		if i < 0 {
			i = len(s)
		}
		if i == 0 || !all(s[:i], isHost) {
			return false
		}
		port = s[i:]
	}
	if len(port) == 0 {
		return true
	}
	if port[0] != ':' || len(port) > 6 {
		return false
	}
	for _, c := range port[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
