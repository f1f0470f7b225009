package gateway_test

import (
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hale/gateway"
)

func TestHosts(t *testing.T) {
	for _, test := range []struct {
		patterns string
		allowed  []string // over http; over https if they begin with "https "
		refused  []string
	}{
		{"", []string{"mysite.com", "anything.example:8080", "10.0.0.1", "[::1]:80"}, nil},
		{"*", []string{"mysite.com", "anything.example:8080", "10.0.0.1", "[::1]:80"}, nil},
		{"*:8080", []string{"mysite.com:8080", "10.0.0.1:8080"}, []string{"mysite.com", "mysite.com:80"}},
		{
			"mysite.com",
			[]string{"mysite.com", "MySite.Com", "mysite.com.", "mysite.com:80", "mysite.com:8443", "MYSITE.COM.:1"},
			[]string{"www.mysite.com", "mysite.co", "mysite.comm", "amysite.com", "com", "10.0.0.1"},
		},
		{
			".mysite.com",
			[]string{"mysite.com", "www.mysite.com", "a.b.c.mysite.com:8080", "WWW.MySite.com."},
			[]string{"amysite.com", "mysite.com.evil.example", "com", "xmysite.com"},
		},
		{
			"mysite.com:8443",
			[]string{"mysite.com:8443", "MYSITE.com.:8443"},
			[]string{"mysite.com", "mysite.com:443", "www.mysite.com:8443"},
		},
		// The port of a request that names none is its scheme's.
		{"mysite.com:80", []string{"mysite.com", "mysite.com:80"}, []string{"mysite.com:8080", "https mysite.com"}},
		{"mysite.com:443", []string{"https mysite.com", "mysite.com:443"}, []string{"mysite.com", "https mysite.com:80"}},
		{".mysite.com:8443", []string{"www.mysite.com:8443", "mysite.com:8443"}, []string{"www.mysite.com"}},
		{"a.example:81 a.example:82 .a.example:83", []string{"a.example:81", "a.example:82", "a.example:83", "b.a.example:83"}, []string{"a.example:84", "b.a.example:81"}},
		{"a.example:81 a.example", []string{"a.example:81", "a.example:82"}, nil},
		{"Mysite.Com.", []string{"mysite.com", "mysite.com."}, nil},
		{"xn--bcher-kva.example", []string{"xn--bcher-kva.example", "XN--BCHER-KVA.example"}, []string{"bcher.example"}},
		{"localhost", []string{"localhost:8000", "LOCALHOST"}, []string{"127.0.0.1", "[::1]"}},
		{"my_app", []string{"my_app:8000"}, nil},

		{"10.0.0.5", []string{"10.0.0.5", "10.0.0.5:8080", "10.0.0.5.", "[::ffff:10.0.0.5]"}, []string{"10.0.0.50", "10.0.0.5.example"}},
		{"10.0.0.5:8080", []string{"10.0.0.5:8080"}, []string{"10.0.0.5", "10.0.0.5:80"}},
		{"[2001:db8::5]", []string{"[2001:db8::5]", "[2001:DB8:0:0::5]:8080"}, []string{"[2001:db8::6]", "[::5]"}},
		{"2001:db8::5", []string{"[2001:db8::5]:8080"}, []string{"[2001:db8::6]"}},
		{"[2001:db8::5]:8080", []string{"[2001:db8::5]:8080"}, []string{"[2001:db8::5]"}},
		{"10.0.0.0/16", []string{"10.0.0.1", "10.0.255.255:8080", "[::ffff:10.0.0.1]"}, []string{"10.1.0.1", "mysite.com"}},
		{"2001:db8::/32", []string{"[2001:db8::5]:8080"}, []string{"[2001:db9::5]", "10.0.0.1"}},
	} {
		t.Run(test.patterns, func(t *testing.T) {
			g := mustNew(t, gateway.Settings{Hosts: strings.Fields(test.patterns)})
			for _, h := range test.allowed {
				if d := decideHost(g, h); d.Kind != gateway.Forward {
					t.Errorf("%s: %s, want forward", h, outcome(&d))
				}
			}
			for _, h := range test.refused {
				if d := decideHost(g, h); d.Reason != gateway.HostNotAllowed {
					t.Errorf("%s: %s, want it refused", h, outcome(&d))
				}
			}
		})
	}
}

func decideHost(g *gateway.Gateway, h string) gateway.Decision {
	h, https := strings.CutPrefix(h, "https ")
	return g.Decide(&gateway.Request{Method: "GET", Host: h, Path: "/", TLS: https})
}

func TestInstanceAddrs(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("10.0.1.23"), netip.MustParseAddr("::ffff:10.0.1.24"), netip.MustParseAddr("fe80::1%eth0")}
	g := mustNew(t, gateway.Settings{
		Hosts:         []string{"mysite.com"},
		InstanceAddrs: func() []netip.Addr { return addrs },
	})
	for h, allowed := range map[string]bool{
		"10.0.1.23": true, "10.0.1.23:8080": true, "10.0.1.24": true, "[::ffff:10.0.1.23]": true, "[fe80::1]:80": true,
		"10.0.1.25": false, "[fe80::2]": false, "www.mysite.com": false, "mysite.com": true,
	} {
		if d := decideHost(g, h); (d.Kind == gateway.Forward) != allowed {
			t.Errorf("%s: %s, want allowed: %v", h, outcome(&d), allowed)
		}
	}
	addrs = append(addrs, netip.MustParseAddr("10.0.1.25")) // a new address shows at once
	if d := decideHost(g, "10.0.1.25"); d.Kind != gateway.Forward {
		t.Errorf("a new address: %s", outcome(&d))
	}
}

func TestMainHost(t *testing.T) {
	for _, test := range []struct{ patterns, want string }{
		{"", ""},
		{"* .mysite.com 10.0.0.5 [::1]:80 10.0.0.0/8", ""},
		{".mysite.com WWW.MySite.com:8443 mysite.com", "www.mysite.com"},
	} {
		if got := mustNew(t, gateway.Settings{Hosts: strings.Fields(test.patterns)}).Host(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.patterns, got, test.want)
		}
	}
}

// Each mistake is told with the pattern and the way out.
func TestMistakenSettings(t *testing.T) {
	host := func(pattern, problem string) (gateway.Settings, string) {
		return gateway.Settings{Hosts: []string{"mysite.com", pattern}}, `Hosts[1]: ` + strconv.Quote(pattern) + ` ` + problem
	}
	type row struct {
		settings gateway.Settings
		want     string
	}
	var rows []row
	for _, h := range [][2]string{
		{"", "is empty; write a host name, or leave out hosts to allow any"},
		{" mysite.com", "has spaces around it; remove them"},
		{"https://www.mysite.com/shop", "is a URL; write the host alone: www.mysite.com"},
		{"*.mysite.com", "has a wildcard; write .mysite.com, which is the domain and all its subdomains"},
		{"10.0.0.*", "has a wildcard; write .domain for a domain and all its subdomains, a network like 10.0.0.0/16, or * alone for any host"},
		{"mysite.*", "has a wildcard; write .domain for a domain and all its subdomains, a network like 10.0.0.0/16, or * alone for any host"},
		{"*:x", "has no port from 1 to 65535 after its colon; correct it, or leave it out to allow any port"},
		{"a.example, b.example", "is a list; write each host as an element of its own"},
		{"a.example b.example", "is a list; write each host as an element of its own"},
		{"me@mysite.com", "has user information; write the host alone"},
		{"mysite.com/shop", "has a path; write the host alone, or a network like 10.0.0.0/16"},
		{"10.0.0.0/33", "has a path; write the host alone, or a network like 10.0.0.0/16"},
		{"fe80::1%eth0", "has an IPv6 zone or an escape; write the host without it"},
		{"bücher.example", "has letters beyond ASCII; write it as browsers send it, in punycode (xn--...)"},
		{"mysite.com:", "has no port from 1 to 65535 after its colon; correct it, or leave it out to allow any port"},
		{"mysite.com:http", "has no port from 1 to 65535 after its colon; correct it, or leave it out to allow any port"},
		{"mysite.com:65536", "has no port from 1 to 65535 after its colon; correct it, or leave it out to allow any port"},
		{"2001:db8::5:8080:1:2:3:4:5", "is not an IPv6 address; with a port, write it in brackets: [2001:db8::5]:8080"},
		{"[2001:db8::5", "is not an IPv6 address in brackets, with or without a port; write it like [2001:db8::5] or [2001:db8::5]:8080"},
		{"[10.0.0.1]", "is not an IPv6 address in brackets, with or without a port; write it like [2001:db8::5] or [2001:db8::5]:8080"},
		{"10.0.0", "ends in a number but is not an IPv4 address; write all four numbers, without leading zeros"},
		{"10.0.0.256", "ends in a number but is not an IPv4 address; write all four numbers, without leading zeros"},
		{".0.0.10", "is part of an address; write a network like 10.0.0.0/16, or whole addresses"},
		{".10.0.0.10", "is part of an address; write a network like 10.0.0.0/16, or whole addresses"},
		{".", "is not a domain; write its name after the dot"},
		{"..mysite.com", "is not a host name; write letters, digits, dashes and dots, like mysite.com"},
		{"my..site", "is not a host name; write letters, digits, dashes and dots, like mysite.com"},
		{"my$site.com", "is not a host name; write letters, digits, dashes and dots, like mysite.com"},
	} {
		s, want := host(h[0], h[1])
		rows = append(rows, row{s, want})
	}
	rows = append(rows,
		row{gateway.Settings{HealthPath: "health"}, `HealthPath: "health" is not a path; begin it with a slash`},
		row{gateway.Settings{HealthPath: "/a b"}, `HealthPath: "/a b" is not a plain path; write one like /health, without a query, spaces or doubled slashes`},
		row{gateway.Settings{HealthPath: "/a?b"}, `HealthPath: "/a?b" is not a plain path; write one like /health, without a query, spaces or doubled slashes`},
		row{gateway.Settings{HealthPath: "/up/", HealthEndpoints: []string{"deep", "Deep"}}, `HealthEndpoints[1]: "Deep" is no name of an endpoint; write a lower-case word such as deep, for /up/deep`},
		row{gateway.Settings{HealthEndpoints: []string{""}}, `HealthEndpoints[0]: "" is no name of an endpoint; write a lower-case word such as deep, for /health/deep`},
		row{gateway.Settings{HealthEndpoints: []string{"checks"}}, `HealthEndpoints[0]: "checks" is no name of an endpoint; write a lower-case word such as deep, for /health/deep`},
		row{gateway.Settings{HealthPath: "//a"}, `HealthPath: "//a" is not a plain path; write one like /health, without a query, spaces or doubled slashes`},
		row{gateway.Settings{TrustedProxies: []netip.Prefix{{}}}, `TrustedProxies[0]: "invalid Prefix" is not a network; write one like 10.0.0.0/8`},
		row{gateway.Settings{Redirect: 303}, `Redirect: "303" is not a redirect's status; write 301, 302, 307 or 308, or 0 for none`},
		row{gateway.Settings{HTTPSPort: 65536}, `HTTPSPort: "65536" is not a port; write one from 1 to 65535, or 0 for 443`},
		row{gateway.Settings{HTTPSPort: -1}, `HTTPSPort: "-1" is not a port; write one from 1 to 65535, or 0 for 443`},
		row{gateway.Settings{FrameOptions: "deny"}, `FrameOptions: "deny" is not known to browsers; write DENY or SAMEORIGIN, or leave it empty`},
		row{gateway.Settings{ReferrerPolicy: "none"}, `ReferrerPolicy: "none" is not known to browsers; write one of no-referrer, no-referrer-when-downgrade, origin, origin-when-cross-origin, same-origin, strict-origin, strict-origin-when-cross-origin, unsafe-url`},
		row{gateway.Settings{HSTS: gateway.HSTS{Preload: true, MaxAge: 1e9}}, `HSTS: "Preload" needs IncludeSubDomains; set both, or neither`},
		row{gateway.Settings{HSTS: gateway.HSTS{IncludeSubDomains: true}}, `HSTS: "MaxAge 0" turns HSTS off while its other settings want it; set MaxAge, to 60 seconds at first`},
	)
	for _, r := range rows {
		t.Run(r.want, func(t *testing.T) {
			_, err := gateway.New(r.settings)
			if err == nil || err.Error() != r.want {
				t.Errorf("got  %v\nwant %v", err, r.want)
			}
			if _, ok := errors.AsType[*gateway.SettingError](err); !ok {
				t.Errorf("%T is no *SettingError", err)
			}
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, err := gateway.New(gateway.Settings{Hosts: []string{"a b", "fine.example", "c/d"}, Redirect: 200})
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d lines, want 3:\n%v", n, err)
	}
}

// slowAllowed is what TestHosts says, written for reading and not for speed.
func slowAllowed(patterns []string, asked string, https bool) (allowed, wellFormed bool) {
	wantName, wantAddr, wantPort, ok := slowParse(asked)
	if !ok {
		return false, false
	}
	if wantPort == 0 {
		wantPort = 80
		if https {
			wantPort = 443
		}
	}
	for _, p := range patterns {
		if network, err := netip.ParsePrefix(p); err == nil {
			if network.Contains(wantAddr) {
				return true, true
			}
			continue
		}
		rest, every := strings.CutPrefix(p, "*")
		if every {
			p = "any.example" + rest
		}
		p, domain := strings.CutPrefix(p, ".")
		name, addr, port, ok := slowParse(p)
		if !ok {
			panic(p)
		}
		samePort := port == 0 || port == wantPort
		same := every || name == wantName || domain && strings.HasSuffix(wantName, "."+name)
		if addr.IsValid() || wantAddr.IsValid() {
			same = every || addr == wantAddr
		}
		if same && samePort {
			return true, true
		}
	}
	return len(patterns) == 0, true
}

var (
	hostForm  = regexp.MustCompile(`^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*)\.?)(?::([1-9][0-9]{0,4}))?$`)
	lastIsNum = regexp.MustCompile(`(?i)(^|\.)([0-9]+|0x[0-9a-f]*)$`)
)

func slowParse(s string) (name string, addr netip.Addr, port int, ok bool) {
	parts := hostForm.FindStringSubmatch(s)
	if parts == nil {
		return "", netip.Addr{}, 0, false
	}
	if parts[3] != "" {
		port, _ = strconv.Atoi(parts[3])
	}
	literal, name := parts[1], strings.ToLower(parts[2])
	if literal == "" && lastIsNum.MatchString(name) {
		literal = name
	}
	if literal != "" {
		a, err := netip.ParseAddr(literal)
		if err != nil || a.Is6() != (parts[1] != "") {
			return "", netip.Addr{}, 0, false
		}
		return "", a.Unmap(), port, port <= 65535
	}
	return name, netip.Addr{}, port, port <= 65535 && len(name) <= 253
}

// FuzzHosts compares the rules with the slow model.
func FuzzHosts(f *testing.F) {
	sets := [][]string{
		nil,
		{"mysite.com", ".shop.example", "a.example:8080", ".b.example:81", "10.0.0.5", "10.1.0.0/16", "[2001:db8::5]", "[2001:db8::6]:80"},
		{"*:8080", "mysite.com"},
	}
	gateways := make([]*gateway.Gateway, len(sets))
	for i, set := range sets {
		gateways[i] = mustNew(f, gateway.Settings{Hosts: set})
	}
	for _, seed := range []string{
		"mysite.com", "MYSITE.com.:443", "x.shop.example", "shop.example.", "xshop.example", "a.example:8080", "a.example", "c.b.example:81",
		"10.0.0.5", "10.1.2.3:99", "[2001:db8::5]", "[2001:DB8::6]:80", "[::ffff:10.0.0.5]", "0x7f.1", "a..b", "a:", ".", "", "[", "[]", "a@b", "a,b", "bücher", "a\r\nb",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, asked string, https bool) {
		for i, g := range gateways {
			allowed, wellFormed := slowAllowed(sets[i], asked, https)
			d := g.Decide(&gateway.Request{Method: "GET", Host: asked, Path: "/", TLS: https})
			if (d.Kind == gateway.Forward) != allowed || (d.Reason == gateway.BadHost || d.Reason == gateway.NoHost) == wellFormed {
				t.Errorf("hosts %q, asked for %q: %s, but the model says allowed %v, well-formed %v", sets[i], asked, outcome(&d), allowed, wellFormed)
			}
		}
	})
}
