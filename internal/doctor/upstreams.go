package doctor

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"hale/internal/machine"
	"hale/internal/machine/webserver"
	"hale/internal/probe"
)

// upstreams are where the local proxy sends the current request, as far as its
// configuration tells; all that it has where it does not.
func (x *examination) upstreams() []webserver.Upstream {
	asked := x.current.probe
	if asked.Path == "" {
		asked = x.Probe
	}
	return x.surroundings.upstreamsFor(asked)
}

// proxyAt tells whether a web server listens at an address that sends requests on.
func proxyAt(address netip.AddrPort) bool {
	server, err := machine.WebServerOf(ownerAt(address).PID)
	return err == nil && len(server.Upstreams) > 0
}

// backend is the address behind a local proxy.
func (x *examination) backend() string {
	for _, up := range slices.Concat(x.upstreams(), x.surroundings.front) {
		return up.Address
	}
	return ""
}

// upstreamsFor are those for a request: of the virtual host that its Host leads to,
// with the path that fits it best.
func (s *surroundings) upstreamsFor(asked probe.Probe) []webserver.Upstream {
	path, _, _ := strings.Cut(asked.Path, "?")
	return bestFor(path, s.ofHost(strings.ToLower(hostOnly(asked.SentHost()))))
}

// ofHost are the upstreams of the virtual host that a Host leads to.
func (s *surroundings) ofHost(host string) []webserver.Upstream {
	all := s.server.Upstreams
	var own, others []webserver.Upstream
	for _, up := range all {
		switch {
		case slices.ContainsFunc(up.ServerNames, func(name string) bool { return namesHost(name, host) }):
			own = append(own, up)
		case slices.ContainsFunc(up.ServerNames, isPattern):
			return all // who knows
		case len(up.ServerNames) == 0:
			others = append(others, up)
		}
	}
	if len(own) > 0 {
		return own
	}
	if s.server.Program == webserver.Nginx || s.server.Program == webserver.Apache {
		if first, ok := s.defaultNames(); ok {
			others = slices.DeleteFunc(slices.Clone(all), func(up webserver.Upstream) bool { return !slices.Equal(up.ServerNames, first) })
		}
	}
	if len(others) > 0 {
		return others
	}
	return all
}

// defaultNames are the names of the virtual host that has what is no other's: the
// one that is marked so, or the first of the port.
func (s *surroundings) defaultNames() (names []string, ok bool) {
	if len(s.at) == 0 {
		return nil, false
	}
	port := s.at[0].Address.Port()
	for _, l := range s.server.Listens {
		if l.Port() != port {
			continue
		}
		if l.Default {
			return l.ServerNames, true
		}
		if !ok {
			names, ok = l.ServerNames, true
		}
	}
	return names, ok
}

// namesHost tells whether a name of a virtual host, as written, is a host's.
func namesHost(name, host string) bool {
	name = strings.ToLower(name)
	if below, ok := strings.CutPrefix(name, "*."); ok {
		return strings.HasSuffix(host, "."+below)
	}
	if below, ok := strings.CutPrefix(name, "."); ok {
		return host == below || strings.HasSuffix(host, name)
	}
	return name == host
}

// isPattern tells a name that only its server can read.
func isPattern(name string) bool {
	return strings.ContainsAny(strings.TrimPrefix(name, "*."), "~*$^\\")
}

// Weights of how well a path fits: nginx takes an exact one before all, and a
// pattern before a prefix that does not forbid it.
const (
	fitsNot    = -1
	fitsRegexp = 1 << 16
	fitsFirmly = 1 << 17
	fitsWhole  = 1 << 20
)

// bestFor are the upstreams whose path fits best, and those of which nobody knows.
func bestFor(path string, all []webserver.Upstream) []webserver.Upstream {
	best := fitsNot
	for _, up := range all {
		if fit, known := fitOf(up.Path, path); known {
			best = max(best, fit)
		}
	}
	if best == fitsNot {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(up webserver.Upstream) bool {
		fit, known := fitOf(up.Path, path)
		return known && fit < best
	})
}

// fitOf tells how well a path, as a configuration has it, fits a request's; known is
// false where that is not to be told.
func fitOf(written, path string) (fit int, known bool) {
	how, what, two := strings.Cut(strings.TrimSpace(written), " ")
	what = strings.TrimSpace(what)
	prefix := func(start string, firm int) (int, bool) {
		if start = strings.TrimSuffix(start, "*"); !strings.HasPrefix(path, start) {
			return fitsNot, true
		}
		return firm + len(start), true
	}
	switch {
	case written == "":
		return 0, true
	case !two && strings.HasPrefix(how, "/") && !strings.Contains(strings.TrimSuffix(how, "*"), "*"):
		return prefix(how, 0)
	case how == "=":
		if what != path {
			return fitsNot, true
		}
		return fitsWhole, true
	case how == "^~":
		return prefix(what, fitsFirmly)
	case how == "~", how == "~*":
		if how == "~*" {
			what = "(?i)" + what
		}
		pattern, err := regexp.Compile(what)
		if err != nil {
			return 0, false
		}
		if !pattern.MatchString(path) {
			return fitsNot, true
		}
		return fitsRegexp, true
	}
	return 0, false
}

// addresses are those of upstreams.
func addresses(upstreams []webserver.Upstream) []string {
	var all []string
	for _, up := range upstreams {
		all = append(all, up.Address)
	}
	return all
}

// upstreamsOf are those of the servers of a port: nginx has them within the
// server's block, after its listen directives. Where that tells nothing, all.
func upstreamsOf(c *webserver.Config, port uint16) []webserver.Upstream {
	if c.Program != webserver.Nginx {
		return c.Upstreams
	}
	var own []webserver.Upstream
	for _, up := range c.Upstreams {
		nearest := 0
		for _, l := range c.Listens {
			if l.File == up.File && l.Line <= up.Line {
				nearest = max(nearest, l.Line)
			}
		}
		for _, l := range c.Listens {
			between := slices.ContainsFunc(c.Upstreams, func(other webserver.Upstream) bool {
				return other.File == l.File && other.Line >= l.Line && other.Line < nearest
			})
			if l.File == up.File && l.Line <= nearest && !between && l.Port() == port {
				own = append(own, up)
				break
			}
		}
	}
	if len(own) == 0 {
		return c.Upstreams
	}
	return own
}
