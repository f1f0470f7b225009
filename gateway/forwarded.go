package gateway

import "strings"

// forwardedHeader is what a Forwarded header (RFC 7239) says: the chain of all its
// elements, and the rest from the last one, which the peer wrote.
type forwardedHeader struct {
	chain       []string // as for X-Forwarded-For
	proto, host string
}

// parseForwarded parses the lines of a Forwarded header, of which there is at
// least one. Of a malformed line nothing is believed: it cannot be told where
// an element of it begins, nor so who wrote it. Nor is anything before it.
// Elements that name no address are unknown nodes, so that the chain is never
// empty.
func parseForwarded(lines []string) forwardedHeader {
	var f forwardedHeader
	for _, line := range lines {
		for more := true; more; {
			var e forwardedElement
			var ok bool
			e, line, more, ok = cutElement(line)
			if !ok {
				f = forwardedHeader{chain: append(f.chain[:0], unknownNode)}
				break
			}
			if e.pairs == 0 {
				continue // lists may have empty elements (RFC 9110, 5.6.1)
			}
			node := e.node
			if a, _ := parseNode(node); !a.IsValid() {
				node = unknownNode // a quoted one may hold commas, too
			}
			f.chain = append(f.chain, node)
			f.proto, f.host = e.proto, e.host
		}
	}
	if len(f.chain) == 0 {
		f.chain = []string{unknownNode}
	}
	return f
}

// forwardedElement is what one proxy wrote.
type forwardedElement struct {
	node, proto, host string
	pairs             int // of all names
}

// cutElement parses the element at the start of s, up to and with the comma
// behind it.
func cutElement(s string) (e forwardedElement, rest string, more, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t")
		n := tokenLen(s)
		if n > 0 {
			name := s[:n]
			if n == len(s) || s[n] != '=' {
				return e, "", false, false
			}
			var value string
			if value, s, ok = cutValue(s[n+1:]); !ok {
				return e, "", false, false
			}
			e.pairs++
			switch {
			case strings.EqualFold(name, "for"):
				e.node = value
			case strings.EqualFold(name, "proto"):
				e.proto = value
			case strings.EqualFold(name, "host"):
				e.host = value
			}
			s = strings.TrimLeft(s, " \t")
		}
		if s == "" {
			return e, "", false, true
		}
		switch s[0] {
		case ',':
			return e, s[1:], true, true
		case ';':
			s = s[1:]
		default:
			return e, "", false, false
		}
	}
}

// cutValue parses a token or a quoted string (RFC 9110, 5.6.4). Unquoted
// addresses with colons and brackets are no tokens, but are often sent.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		n := 0
		for n < len(s) && (isToken(s[n]) || strings.IndexByte(":[]", s[n]) >= 0) {
			n++
		}
		return s[:n], s[n:], n > 0
	}
	s = s[1:]
	if end := strings.IndexAny(s, `"\`); end >= 0 && s[end] == '"' {
		return s[:end], s[end+1:], true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func tokenLen(s string) int {
	n := 0
	for n < len(s) && isToken(s[n]) {
		n++
	}
	return n
}
