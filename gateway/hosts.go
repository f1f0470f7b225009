package gateway

import (
	"net/netip"
	"slices"
	"strings"
)

// hosts is the set of allowed hosts.
type hosts struct {
	all      bool // nothing was said about hosts
	any      ports
	names    map[string]nameRule // in lower case
	addrs    map[netip.Addr]ports
	networks []networkRule
	instance func() []netip.Addr
	main     string // first exact name
}

// nameRule is what is allowed for one name.
type nameRule struct{ exact, domain ports }

type networkRule struct {
	prefix netip.Prefix
	ports  ports
}

// ports is a set of ports; the zero value is empty.
type ports struct {
	all  bool
	some []uint16
}

// with returns p with the port of a pattern; 0 stands for all.
func (p ports) with(port uint16) ports {
	if port == 0 {
		p.all = true
		return p
	}
	p.some = append(p.some, port)
	return p
}

// has tells whether p has the port that h was asked for at.
func (p ports) has(h host, scheme string) bool {
	if p.all || len(p.some) == 0 {
		return p.all
	}
	port := h.num
	if port == 0 {
		port = defaultPort(scheme)
	}
	return slices.Contains(p.some, port)
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

func newHosts(patterns []string, instance func() []netip.Addr, m *mistakes) hosts {
	s := hosts{
		all:      len(patterns) == 0,
		names:    make(map[string]nameRule),
		addrs:    make(map[netip.Addr]ports),
		instance: instance,
	}
	for i, p := range patterns {
		if problem := s.add(p); problem != "" {
			m.add("Hosts", i, p, problem)
		}
	}
	return s
}

// add adds a pattern, or returns what is wrong with it and the way out.
func (s *hosts) add(pattern string) (problem string) {
	if pattern == "*" {
		s.any = s.any.with(0)
		return ""
	}
	if a, err := netip.ParseAddr(pattern); err == nil && a.Zone() == "" {
		s.addrs[a.Unmap()] = s.addrs[a.Unmap()].with(0)
		return ""
	}
	if n, err := netip.ParsePrefix(pattern); err == nil {
		s.networks = append(s.networks, networkRule{plainPrefix(n), ports{}.with(0)})
		return ""
	}
	if problem := mistaken(pattern); problem != "" {
		return problem
	}
	if port, ok := strings.CutPrefix(pattern, "*:"); ok {
		n, ok := parsePort(port)
		if !ok {
			return badPort
		}
		s.any = s.any.with(n)
		return ""
	}
	name, domain := strings.CutPrefix(pattern, ".")
	if name == "" {
		return "is not a domain; write its name after the dot"
	}
	if numeric, _ := checkName(name); numeric && domain {
		return "is part of an address; write a network like 10.0.0.0/16, or whole addresses"
	}
	h, ok := parseHost(name)
	switch {
	case !ok:
		return explain(name)
	case h.addr.IsValid():
		s.addrs[h.addr] = s.addrs[h.addr].with(h.num)
		return ""
	}
	key := strings.ToLower(h.name)
	rule := s.names[key]
	if domain {
		rule.domain = rule.domain.with(h.num)
	} else {
		rule.exact = rule.exact.with(h.num)
		if s.main == "" {
			s.main = key
		}
	}
	s.names[key] = rule
	return ""
}

const badPort = "has no port from 1 to 65535 after its colon; correct it, or leave it out to allow any port"

// mistaken tells what is wrong with patterns that people write for good
// reasons, since other programs take them.
func mistaken(pattern string) string {
	switch {
	case pattern == "":
		return "is empty; write a host name, or leave out hosts to allow any"
	case strings.TrimSpace(pattern) != pattern:
		return "has spaces around it; remove them"
	case strings.Contains(pattern, "://"):
		_, rest, _ := strings.Cut(pattern, "://")
		rest, _, _ = strings.Cut(rest, "/")
		return "is a URL; write the host alone: " + rest
	case strings.HasPrefix(pattern, "*."):
		return "has a wildcard; write " + pattern[1:] + ", which is the domain and all its subdomains"
	case strings.Contains(pattern, "*") && !strings.HasPrefix(pattern, "*:"):
		return "has a wildcard; write .domain for a domain and all its subdomains, a network like 10.0.0.0/16, or * alone for any host"
	case strings.ContainsAny(pattern, ", "):
		return "is a list; write each host as an element of its own"
	case strings.Contains(pattern, "@"):
		return "has user information; write the host alone"
	case strings.Contains(pattern, "%"):
		return "has an IPv6 zone or an escape; write the host without it"
	case strings.Contains(pattern, "/"):
		return "has a path; write the host alone, or a network like 10.0.0.0/16"
	}
	return ""
}

// explain tells why name is not a host.
func explain(name string) string {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return "has letters beyond ASCII; write it as browsers send it, in punycode (xn--...)"
		}
	}
	bare, port, found := strings.Cut(name, ":")
	if found && !strings.HasPrefix(name, "[") {
		if strings.Contains(port, ":") {
			return "is not an IPv6 address; with a port, write it in brackets: [2001:db8::5]:8080"
		}
		if _, ok := parsePort(port); !ok {
			return badPort
		}
	}
	if strings.HasPrefix(name, "[") {
		return "is not an IPv6 address in brackets, with or without a port; write it like [2001:db8::5] or [2001:db8::5]:8080"
	}
	if numeric, valid := checkName(strings.TrimSuffix(bare, ".")); valid && numeric {
		return "ends in a number but is not an IPv4 address; write all four numbers, without leading zeros"
	}
	return "is not a host name; write letters, digits, dashes and dots, like mysite.com"
}

// allow tells whether a request for h, made over scheme, may be served.
func (s *hosts) allow(h host, scheme string) bool {
	if s.all || s.any.has(h, scheme) {
		return true
	}
	if h.addr.IsValid() {
		return s.allowAddr(h, scheme)
	}
	return s.allowName(h, scheme)
}

func (s *hosts) allowAddr(h host, scheme string) bool {
	if s.addrs[h.addr].has(h, scheme) {
		return true
	}
	for _, n := range s.networks {
		if n.prefix.Contains(h.addr) && n.ports.has(h, scheme) {
			return true
		}
	}
	if s.instance == nil {
		return false
	}
	for _, a := range s.instance() {
		if plainAddr(a) == h.addr {
			return true
		}
	}
	return false
}

func (s *hosts) allowName(h host, scheme string) bool {
	// The lower-case copy stays on the stack.
	var buf [maxName]byte
	name := appendLower(buf[:0], h.name)
	rule := s.names[string(name)]
	if rule.exact.has(h, scheme) || rule.domain.has(h, scheme) {
		return true
	}
	for i, c := range name {
		if c == '.' && s.names[string(name[i+1:])].domain.has(h, scheme) {
			return true
		}
	}
	return false
}

func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return b
}
