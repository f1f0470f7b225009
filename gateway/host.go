package gateway

import (
	"net/netip"
	"strings"
)

// host is a well-formed Host. The zero value is the absence of one.
type host struct {
	name string     // as sent, without port and trailing dot; an IPv6 address in its brackets
	addr netip.Addr // valid if name is an address; IPv4 in IPv6 is IPv4
	port string     // as sent; "" if none
	num  uint16     // port; 0 if none
}

// maxName is the length of the longest name in the domain name system
// (RFC 1035, 2.3.4: 255 octets, which are 253 characters).
const maxName = 253

const noHost = "400: the request names no host; send a Host header\n"

// readHost parses the Host of a request. It is strict, since what it lets
// through is compared, logged, sent to the app and put into redirects: names
// are letters, digits, dashes, underscores and dots; no user information,
// no percent escapes, no lists, no zones.
//
// Requests of HTTP/1.0 may do without a host: it was not known then.
func readHost(s, proto string) (h host, reason Reason, text string) {
	if s == "" {
		if proto == "HTTP/1.0" {
			return host{}, "", ""
		}
		return host{}, NoHost, noHost
	}
	h, ok := parseHost(s)
	if !ok {
		return host{}, BadHost, "400: the Host header is not a host name or an address, with or without a port\n"
	}
	return h, "", ""
}

func parseHost(s string) (h host, ok bool) {
	var rest string
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return host{}, false
		}
		a, err := netip.ParseAddr(s[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return host{}, false
		}
		h.name, h.addr, rest = s[:end+1], a.Unmap(), s[end+1:]
	} else {
		h.name = s
		if colon := strings.IndexByte(s, ':'); colon >= 0 {
			h.name, rest = s[:colon], s[colon:]
		}
		h.name = strings.TrimSuffix(h.name, ".")
		numeric, valid := checkName(h.name)
		if !valid {
			return host{}, false
		}
		if numeric {
			a, err := netip.ParseAddr(h.name)
			if err != nil {
				return host{}, false
			}
			h.addr = a
		}
	}
	if rest != "" {
		if rest[0] != ':' {
			return host{}, false
		}
		h.port = rest[1:]
		if h.num, ok = parsePort(h.port); !ok {
			return host{}, false
		}
	}
	return h, true
}

// checkName tells whether s can be a host's name, and whether its last label
// is a number: then it is an IPv4 address or nothing, as the URL standard of
// browsers has it (WHATWG URL, "ends in a number").
func checkName(s string) (numeric, valid bool) {
	if s == "" || len(s) > maxName {
		return false, false
	}
	label, digits := 0, true // length of the label so far, and whether it is digits only
	start := 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			label++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
			label++
			digits = false
		case c == '.' && label > 0:
			label, digits, start = 0, true, i+1
		default:
			return false, false
		}
		if label > 63 {
			return false, false
		}
	}
	return digits || isHex(s[start:]), label > 0
}

// isHex tells whether s is a number like 0x7f, which browsers read as such.
func isHex(s string) bool {
	if len(s) < 2 || s[0] != '0' || s[1]|0x20 != 'x' {
		return false
	}
	for i := 2; i < len(s); i++ {
		if !isHexDigit(s[i]) {
			return false
		}
	}
	return true
}

// parsePort parses a port from 1 to 65535, without leading zeros.
func parsePort(s string) (uint16, bool) {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return uint16(n), n <= 65535
}

// lower returns name in lower case, which for most is name itself.
func lower(name string) string {
	for i := range len(name) {
		if 'A' <= name[i] && name[i] <= 'Z' {
			return strings.ToLower(name)
		}
	}
	return name
}

// harmless returns what of a Host can be shown to anybody, in any context:
// other characters than those of well-formed hosts become question marks, and
// long ones are cut.
func harmless(s string) string {
	const most = 100
	cut := len(s) > most
	b := []byte(s[:min(len(s), most)])
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			b[i] = '?'
		}
	}
	if cut {
		b = append(b, "..."...)
	}
	return string(b)
}
