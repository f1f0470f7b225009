package doctor

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// site is what the answers told of the site so far.
type site struct {
	// domain is the public name as given; guesses are names that answers told.
	domain  string
	guesses []string
	// software is who had a hand in the answers.
	software []string
	// rightPath and rightPort are those that answered as the probed ones should.
	rightPath, rightPort string
	// prefixes are where apps are mounted, as answers told.
	prefixes []string
}

// guess takes a name that may be the site's own.
func (s *site) guess(name string) {
	name = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(name, "*."), "."))
	if name == "" || name == randomHost || isAddress(name) || !strings.Contains(name, ".") || slices.Contains(s.guesses, name) {
		return
	}
	s.guesses = append(s.guesses, name)
}

// names are the hosts worth trying, the surest first.
func (s *site) names() []string {
	var names []string
	if s.domain != "" {
		names = append(names, s.domain)
	}
	for _, g := range s.guesses {
		if g != s.domain && len(names) < 4 {
			names = append(names, g)
		}
	}
	if s.domain == "" {
		names = append(names, "localhost")
	}
	return names
}

// best is the surest name, "" if none is known.
func (s *site) best() string {
	if s.domain == "" && len(s.guesses) > 0 {
		return s.guesses[0]
	}
	return s.domain
}

// learn takes what an answer tells.
func (s *site) learn(e exchange) {
	for _, name := range software(&e.answer) {
		if !slices.Contains(s.software, name) {
			s.software = append(s.software, name)
		}
	}
	if location := e.answer.Get("Location"); location != "" {
		if to, err := url.Parse(location); err == nil && to.Hostname() != "" {
			sent, _, err := net.SplitHostPort(e.probe.SentHost())
			if err != nil {
				sent = e.probe.SentHost()
			}
			// "www." before the address that was sent is no name of the site's.
			if !strings.EqualFold(to.Hostname(), sent) && !isAddress(strings.TrimPrefix(to.Hostname(), "www.")) {
				s.guess(to.Hostname())
			}
		}
	}
	if t := e.answer.TLS; t != nil && len(t.PeerCertificates) > 0 {
		for _, name := range t.PeerCertificates[0].DNSNames {
			s.guess(name)
		}
	}
}
