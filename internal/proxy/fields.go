package proxy

import "strings"

// tokenChars marks the bytes of names (RFC 9110, 5.6.2).
var tokenChars = makeTokenChars()

func makeTokenChars() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}

func isName(s string) bool {
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return false
		}
	}
	return s != ""
}

// isValue reports whether s has no control character but tabs.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// hasToken reports whether a comma-separated list has the token, in any case.
func hasToken(list, token string) bool {
	if len(list) == len(token) {
		return strings.EqualFold(list, token)
	}
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(t, " \t"), token) {
			return true
		}
	}
	return false
}

// removeListed removes, in place, the fields that a Connection field's list
// names: they are for this hop alone (RFC 9110, 7.6.1).
func removeListed(fields []Field, list string) []Field {
	if list == "" || strings.EqualFold(list, "close") || strings.EqualFold(list, "keep-alive") {
		return fields
	}
	kept := fields[:0]
	for _, f := range fields {
		if !hasToken(list, f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// hasField reports whether there is a field of that name, in any case.
func hasField(fields []Field, name string) bool {
	for _, f := range fields {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// framesMessage reports whether the field says how long the message is, or
// concerns the connection: the engine's business, not a policy's.
func framesMessage(name string) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "TE")
	case 4:
		return strings.EqualFold(name, "Host")
	case 6:
		return strings.EqualFold(name, "Expect")
	case 7:
		return strings.EqualFold(name, "Trailer") || strings.EqualFold(name, "Upgrade")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 14:
		return strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "HTTP2-Settings")
	case 16:
		return strings.EqualFold(name, "Proxy-Connection")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	case 19:
		return strings.EqualFold(name, "Proxy-Authorization")
	}
	return false
}
