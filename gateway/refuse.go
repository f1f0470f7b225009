package gateway

import "strings"

// refuse makes d an answer that says why.
func (g *Gateway) refuse(d *Decision, reason Reason, body string) {
	d.Kind, d.Reason, d.Status, d.Body = Answer, reason, 400, body
	if reason == BadMethod {
		d.Status = 501
	}
	d.Response = g.response.answered(d.Scheme)
}

// refusal tells why a request with this head cannot be served, whatever the
// settings; "" if it can.
func (h *head) refusal(r *Request) (reason Reason, text string) {
	if !servedMethod(r.Method) {
		return BadMethod, "501: this method is not served here\n"
	}
	switch {
	case r.Path == "*" && r.Method == "OPTIONS":
	case r.Path == "" || r.Path[0] != '/':
		return BadTarget, "400: the request's target is not a path that begins with a slash\n"
	case !plainTarget(r.Path) || !plainTarget(r.RawQuery):
		return BadTarget, "400: the request's target has a space, a control character or a #; write it as an escape, such as %20\n"
	case !plainEscapes(r.Path):
		return BadTarget, "400: the request's path has a % that begins no escape, or %00\n"
	}
	if v := h.values[fieldHost]; len(v) > 1 || len(v) == 1 && v[0] != r.Host {
		return SeveralHosts, "400: the request names more than one host; send one Host header\n"
	}
	// Most engines resolve lengths and take these fields out. In case one
	// shows them: RFC 9112, 6.1 and 6.3, without the leniency.
	te, cl := h.values[fieldTransferEncoding], h.values[fieldContentLength]
	switch {
	case len(te) == 0 && len(cl) == 0:
	case len(te) > 0 && (len(cl) > 0 || len(te) > 1 || !strings.EqualFold(te[0], "chunked") || r.Proto == "HTTP/1.0"):
		return AmbiguousLength, "400: the length of the request's body is ambiguous; send Transfer-Encoding: chunked alone, or Content-Length alone\n"
	case len(te) == 0 && (len(cl) > 1 || !isDigits(cl[0])):
		return AmbiguousLength, "400: the length of the request's body is ambiguous; send one Content-Length of digits only\n"
	}
	return "", ""
}

// servedMethod tells whether a method may be handed on. CONNECT would make a
// tunnel, and TRACE sends back the headers that proxies added.
func servedMethod(s string) bool {
	switch s {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	case "", "CONNECT", "TRACE":
		return false
	}
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return true
}

// isToken tells whether c may be in a token (RFC 9110, 5.6.2).
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// plainTarget tells whether s can be part of a request's target: no spaces,
// no control characters, and no "#", which some servers take for the end of
// the path (RFC 9112, 3.2: a target has no fragment).
func plainTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// plainEscapes tells whether each % in a path begins an escape, and none is the
// end of a string in C, where some servers would end the path.
func plainEscapes(path string) bool {
	for {
		i := strings.IndexByte(path, '%')
		if i < 0 {
			return true
		}
		path = path[i+1:]
		if len(path) < 2 || !isHexDigit(path[0]) || !isHexDigit(path[1]) || path[:2] == "00" {
			return false
		}
	}
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
