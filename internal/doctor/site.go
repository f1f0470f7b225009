package doctor

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// site is what the answers told of the site so far.
type site struct {
	// domain is the public name as given; guesses are names that answers, and
	// with a look at the machine configuration and code, told.
	domain  string
	guesses []Name
	// software is who had a hand in the answers.
	software []string
	// rightPath and rightPort are those that answered as the probed ones should.
	rightPath, rightPort string
	// prefixes are where apps are mounted, as answers told.
	prefixes []string
}

// Name is one under which users may know the site.
type Name struct {
	Name string `json:"name"`
	// From is where the doctor has it from.
	From string `json:"from"`
}

// fromServer is where names are from that a web server serves, of any site.
const fromServer = "the web server's configuration"

// hostName is a name as it may stand in Host, perhaps with a port: what others
// say goes into requests. One without a dot is of no site that the world knows.
var hostName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9](:[0-9]{1,5})?$`)

// guess takes a name that may be the site's own. Of one that stands for many,
// as "*.example.com" in a certificate and ".example.com" in a list of hosts,
// those are taken that are used most.
func (s *site) guess(name, from string) {
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
	wildcard := strings.HasPrefix(name, "*.")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "*"), ".")
	if !hostName.MatchString(name) || name == randomHost {
		return
	}
	s.add(name, from)
	if wildcard { // the bare name need not be one of them
		s.add("www."+name, from)
	}
}

func (s *site) add(name, from string) {
	if !slices.ContainsFunc(s.guesses, func(g Name) bool { return g.Name == name }) {
		s.guesses = append(s.guesses, Name{name, from})
	}
}

// mostNames is how many guesses are tried.
const mostNames = 4

// names are the hosts worth trying, the surest first.
func (s *site) names() []string {
	var names []string
	if s.domain != "" {
		names = append(names, s.domain)
	}
	for _, g := range s.guesses {
		if s.domain != "" && g.From == fromServer {
			continue // of another site on the same machine, perhaps
		}
		if g.Name != s.domain && len(names) < mostNames {
			names = append(names, g.Name)
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
		return s.guesses[0].Name
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
				s.guess(to.Hostname(), "a redirect")
			}
		}
	}
	if t := e.answer.TLS; t != nil && len(t.PeerCertificates) > 0 {
		from := "the certificate of " + e.probe.Address.String()
		certificate := t.PeerCertificates[0]
		for _, name := range certificate.DNSNames {
			s.guess(name, from)
		}
		if len(certificate.DNSNames) == 0 { // as they were before 2000, and from openssl by hand
			s.guess(certificate.Subject.CommonName, from)
		}
	}
}
