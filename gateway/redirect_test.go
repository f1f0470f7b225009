package gateway_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hale/gateway"
)

func TestRedirect(t *testing.T) {
	instance := func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.0.1.23")} }
	for _, test := range []struct {
		name     string
		settings gateway.Settings
		request  string
		want     string
	}{
		{"the path and the query are kept", gateway.Settings{}, "GET /a%2Fb/c+d/~e;f=g?x=1&y=%20+z&& HTTP/1.1\nHost: mysite.com", "https://mysite.com/a%2Fb/c+d/~e;f=g?x=1&y=%20+z&&"},
		{"an empty query is kept", gateway.Settings{}, "GET /a? HTTP/1.1\nHost: mysite.com", "https://mysite.com/a?"},
		{"a question mark in the query is kept", gateway.Settings{}, "GET /a?b?c HTTP/1.1\nHost: mysite.com", "https://mysite.com/a?b?c"},
		{"dots are kept", gateway.Settings{}, "GET /a/../b/./c HTTP/1.1\nHost: mysite.com", "https://mysite.com/a/../b/./c"},
		{"odd but visible characters are kept", gateway.Settings{}, `GET /"<>^{|}'[]?"<>^{|}'[] HTTP/1.1` + "\nHost: mysite.com", `https://mysite.com/"<>^{|}'[]?"<>^{|}'[]`},
		{"bytes that no URL can hold are escaped", gateway.Settings{}, "GET /bücher?q=ü\xff HTTP/1.1\nHost: mysite.com", "https://mysite.com/b%C3%BCcher?q=%C3%BC%FF"},
		{"two slashes are no host", gateway.Settings{}, "GET //evil.example/a HTTP/1.1\nHost: mysite.com", "https://mysite.com//evil.example/a"},
		{"backslashes are no host", gateway.Settings{}, `GET /\evil.example HTTP/1.1` + "\nHost: mysite.com", `https://mysite.com/\evil.example`},
		{"an at sign is no host", gateway.Settings{}, "GET /@evil.example HTTP/1.1\nHost: mysite.com", "https://mysite.com/@evil.example"},
		{"the host is in lower case, without port and trailing dot", gateway.Settings{}, "GET / HTTP/1.1\nHost: MySite.com.:8080", "https://mysite.com/"},
		{"another port", gateway.Settings{HTTPSPort: 8443}, "GET / HTTP/1.1\nHost: mysite.com:8080", "https://mysite.com:8443/"},
		{"the port that goes without saying", gateway.Settings{HTTPSPort: 443}, "GET / HTTP/1.1\nHost: mysite.com", "https://mysite.com/"},
		{"an IPv6 address", gateway.Settings{}, "GET / HTTP/1.1\nHost: [2001:DB8::5]:80", "https://[2001:db8::5]/"},
		{"the host asked for, not the first", gateway.Settings{Hosts: []string{"mysite.com", ".mysite.com"}}, "GET / HTTP/1.1\nHost: www.mysite.com", "https://www.mysite.com/"},
		{"not a host of X-Forwarded-Host", gateway.Settings{Hosts: []string{"mysite.com", "other.example"}}, "GET / HTTP/1.1\nHost: mysite.com\nX-Forwarded-Host: other.example", "https://mysite.com/"},
		{"the instance's address goes to the main host", gateway.Settings{Hosts: []string{"mysite.com"}, InstanceAddrs: instance}, "GET /a HTTP/1.1\nHost: 10.0.1.23:8080", "https://mysite.com/a"},
		{"an address of a network too", gateway.Settings{Hosts: []string{"10.0.0.0/16", "mysite.com"}}, "GET /a HTTP/1.1\nHost: 10.0.1.24", "https://mysite.com/a"},
		{"an address that is listed stays", gateway.Settings{Hosts: []string{"mysite.com", "10.0.1.24"}}, "GET /a HTTP/1.1\nHost: 10.0.1.24", "https://10.0.1.24/a"},
		{"an address stays if there is no main host", gateway.Settings{Hosts: []string{".mysite.com"}, InstanceAddrs: instance}, "GET /a HTTP/1.1\nHost: 10.0.1.23", "https://10.0.1.23/a"},
		{"no host goes to the main host", gateway.Settings{Hosts: []string{"*", "mysite.com"}}, "GET /a HTTP/1.0", "https://mysite.com/a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.settings.Redirect = 301
			test.settings.NewRequestID = func() string { return "new-id" }
			d := decide(t, mustNew(t, test.settings), parse(t, balancer, test.request))
			if d.Kind != gateway.Redirect || d.Location != test.want {
				t.Errorf("got  %s\nwant redirect 301 %s", outcome(&d), test.want)
			}
			checkAnswer(t, &d)
		})
	}
}

func TestNowhereToRedirect(t *testing.T) {
	g := mustNew(t, gateway.Settings{Redirect: 301})
	if d := g.Decide(parse(t, balancer, "GET / HTTP/1.0")); d.Reason != gateway.NoHost {
		t.Errorf("got %s, want no-host", outcome(&d))
	}
}

// Other methods than GET and HEAD must come again as they were, with the body.
func TestRedirectStatus(t *testing.T) {
	for _, test := range []struct {
		setting            int
		get, head, post, x int
	}{
		{301, 301, 301, 308, 308},
		{302, 302, 302, 307, 307},
		{307, 307, 307, 307, 307},
		{308, 308, 308, 308, 308},
		{0, 0, 0, 0, 0},
	} {
		g := mustNew(t, gateway.Settings{Redirect: test.setting})
		for method, want := range map[string]int{"GET": test.get, "HEAD": test.head, "POST": test.post, "PROPFIND": test.x} {
			if d := g.Decide(&gateway.Request{Method: method, Host: "a", Path: "/"}); d.Status != want {
				t.Errorf("%s with %d: got %s, want %d", method, test.setting, outcome(&d), want)
			}
		}
	}
}

// How a request was made, by the words of proxies.
func TestScheme(t *testing.T) {
	g := mustNew(t, gateway.Settings{NewRequestID: func() string { return "new-id" }})
	for _, test := range []struct {
		name, peer, header string
		tls                bool
		want               string
	}{
		{"nobody said anything", balancer, "", false, "http"},
		{"our own TLS", stranger, "", true, "https"},
		{"our own TLS, and a stranger's word", stranger, "X-Forwarded-Proto: http", true, "https"},
		{"our own TLS behind a balancer that was asked over http", balancer, "X-Forwarded-Proto: http", true, "http"},
		{"a balancer", balancer, "X-Forwarded-Proto: https", false, "https"},
		{"a balancer over IPv6", "::ffff:10.0.1.5", "X-Forwarded-Proto: https", false, "https"},
		{"a stranger", stranger, "X-Forwarded-Proto: https", false, "http"},
		{"a stranger with Forwarded", stranger, "Forwarded: proto=https", false, "http"},
		{"a peer without an address", "", "X-Forwarded-Proto: https", false, "http"},
		{"any case", balancer, "x-forwarded-proto: HTTPS", false, "https"},
		{"the last of a list counts", balancer, "X-Forwarded-Proto: https,http", false, "http"},
		{"the last of a list counts, with spaces", balancer, "X-Forwarded-Proto: http , https ", false, "https"},
		{"the last of several fields counts", balancer, "X-Forwarded-Proto: https\nX-Forwarded-Proto: http", false, "http"},
		{"a WebSocket", balancer, "X-Forwarded-Proto: wss", false, "https"},
		{"a plain WebSocket", balancer, "X-Forwarded-Proto: ws", true, "http"},
		{"an unknown word", balancer, "X-Forwarded-Proto: quic", false, "http"},
		{"an underscore is no dash", balancer, "X_Forwarded_Proto: https", false, "http"},

		{"Forwarded", balancer, "Forwarded: for=203.0.113.7;proto=https;by=10.0.1.5", false, "https"},
		{"Forwarded, quoted", balancer, `Forwarded: proto="https"`, false, "https"},
		{"Forwarded, quoted with escapes", balancer, `Forwarded: for="a\",b"; PROTO="ht\tps"`, false, "https"},
		{"Forwarded, last element", balancer, "Forwarded: proto=https, for=10.0.0.1;proto=http", false, "http"},
		{"Forwarded, last element without proto", balancer, "Forwarded: proto=https, for=10.0.0.1", false, "http"},
		{"Forwarded, last element of other things", balancer, "Forwarded: proto=https, secret=x", false, "http"},
		{"Forwarded, last field", balancer, "Forwarded: proto=http\nForwarded: proto=https", false, "https"},
		{"Forwarded with empty elements", balancer, "Forwarded: ,proto=https,;,", false, "https"},
		{"a comma in quotes is none", balancer, `Forwarded: proto=http;for="x, proto=https"`, false, "http"},
		{"Forwarded, malformed", balancer, `Forwarded: proto=https;for="`, false, "http"},
		{"Forwarded, malformed before", balancer, `Forwarded: =, proto=https`, false, "http"},
		{"X-Forwarded-Proto wins", balancer, "Forwarded: proto=https\nX-Forwarded-Proto: http", false, "http"},
		{"X-Forwarded-Proto wins in the other way", balancer, "Forwarded: proto=http\nX-Forwarded-Proto: https", false, "https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := parse(t, test.peer, "GET / HTTP/1.1\nHost: a\n"+test.header)
			r.TLS = test.tls
			if d := decide(t, g, r); d.Scheme != test.want {
				t.Errorf("got %s, want %s", d.Scheme, test.want)
			}
		})
	}
}

// browserHost is the host that a browser goes to for a Location, after the
// URL standard (WHATWG URL, "basic URL parser"): it forgives much.
func browserHost(location string) string {
	s := strings.Trim(location, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(s)
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !strings.EqualFold(scheme, "https") {
		return "(" + s + ")" // relative, or another scheme: not what we send
	}
	rest = strings.TrimLeft(rest, "/")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	return strings.ToLower(rest)
}

func TestBrowserHost(t *testing.T) {
	for location, want := range map[string]string{
		"https://mysite.com/a":        "mysite.com",
		"https://mysite.com@evil.com": "evil.com",
		`https:/\/evil.com\a`:         "evil.com",
		"https:evil.com?a":            "evil.com",
		" ht\ntps://evil.com":         "evil.com",
		"//evil.com":                  "(//evil.com)",
	} {
		if got := browserHost(location); got != want {
			t.Errorf("%q: got %q, want %q", location, got, want)
		}
	}
}

// FuzzDecide holds what must never happen, whatever is sent.
func FuzzDecide(f *testing.F) {
	patterns := []string{"mysite.com", ".shop.example", "10.0.0.5"}
	s := gateway.Settings{
		Hosts:         patterns,
		InstanceAddrs: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.0.1.23")} },
		Redirect:      301,
		HSTS:          gateway.HSTS{MaxAge: 60e9},
	}
	strict := mustNew(f, s)
	s.Hosts = nil
	lenient := mustNew(f, s)

	f.Add("GET", "mysite.com", "/a", "b=c", "Accept", "*/*", "X-Forwarded-For", "203.0.113.7", true)
	f.Add("GET", "www.shop.example:80", "//evil.example", "", "X-Forwarded-Proto", "https", "X-Forwarded-For", "::1, [::1]:80", true)
	f.Add("POST", "10.0.1.23", `/\evil.example`, "?", "Forwarded", `for="[::1]";proto=https`, "Connection", "close, X-A, Host", true)
	f.Add("GET", "mysite.com@evil.example", "/\r\nSet-Cookie: a=b", "\n", "X_Forwarded_Proto", "https", "X-Request-Id", "a\r\nb", false)
	f.Add("GET", "mysite.com", "@evil.example", "", "X-Forwarded-Host", "evil.example", "X-Forwarded-Port", "80\r\n", true)
	f.Add("GET", "mysite.com", "/chat", "", "Upgrade", "websocket", "Connection", "Upgrade", true)
	f.Add("GET", "mysite.com", "/", "", "Upgrade", "h2c", "Connection", "Upgrade, HTTP2-Settings", true)
	f.Add("GET", "mysite.com", "/", "", "X-Forwarded-Proto", "https", "Connection", "X-Forwarded-Proto, x-request-id", true)
	f.Add("GET", "", "/", "", "", "", "Te", "trailers, gzip", true)
	f.Add("GET", "mysite.com", "/health", "", "X-Forwarded-For", "a\nb", "X-Forwarded-For", "1.2.3.4:5", true)

	f.Fuzz(func(t *testing.T, method, host, path, query, name1, value1, name2, value2 string, trusted bool) {
		peer := netip.MustParseAddrPort("10.0.1.5:40000")
		if !trusted {
			peer = netip.MustParseAddrPort("198.51.100.9:40000")
		}
		header := fields{{name1, value1}, {name2, value2}}
		r := &gateway.Request{Method: method, Host: host, Path: path, RawQuery: query, Proto: "HTTP/1.1", Header: header, Peer: peer}
		for _, g := range []*gateway.Gateway{strict, lenient} {
			d := g.Decide(r)
			switch d.Kind {
			case gateway.Redirect:
				to := browserHost(d.Location)
				allowed, _ := slowAllowed(patterns, to, true)
				if g == strict && !allowed {
					t.Errorf("%+v is sent to %q, host %q", r, d.Location, to)
				}
				if ours, _, _, _ := slowParse(host); g == lenient && ours != "" && to != ours {
					t.Errorf("%+v is sent to %q, host %q", r, d.Location, to)
				}
				target := path
				if query != "" {
					target += "?" + query
				}
				if got := strings.TrimPrefix(d.Location, "https://"+to); got != escapeBeyondASCII(target) {
					t.Errorf("%q became %q", target, got)
				}
			case gateway.Forward:
				if allowed, _ := slowAllowed(append([]string{"10.0.1.23"}, patterns...), host, true); g == strict && !allowed {
					t.Errorf("%+v is forwarded", r)
				}
				checkForwarded(t, r, header, &d)
			case gateway.Answer, gateway.Health:
			default:
				t.Errorf("%+v: %v", r, d.Kind)
			}
			for _, s := range appendFields([]string{d.Location, d.Scheme, d.RequestID, string(d.Reason)}, d.Set, d.Response) {
				if strings.ContainsAny(s, "\r\n\x00") {
					t.Errorf("%+v: a line break in %q", r, s)
				}
			}
		}
	})
}

func appendFields(s []string, lists ...[]gateway.Field) []string {
	for _, l := range lists {
		for _, f := range l {
			s = append(s, f.Name, f.Value)
		}
	}
	return s
}

func escapeBeyondASCII(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < 0x80 {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper("%" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])))
		}
	}
	return b.String()
}

func connectionOf(header fields) (values []string) {
	for _, f := range header {
		if strings.EqualFold(f[0], "Connection") {
			values = append(values, f[1])
		}
	}
	return values
}

// checkForwarded holds for each request that the app sees.
func checkForwarded(t *testing.T, r *gateway.Request, header fields, d *gateway.Decision) {
	t.Helper()
	// The app of a CGI-like server knows names only in this way.
	variable := func(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }
	app := map[string][]string{}
	listed := listedBy(connectionOf(header)) // which an engine takes out, too
	for _, f := range header {
		same := func(name string) bool { return strings.EqualFold(name, f[0]) }
		if !slices.ContainsFunc(d.Remove, same) && !slices.ContainsFunc(listed, same) {
			app[variable(f[0])] = append(app[variable(f[0])], f[1])
		}
	}
	for _, f := range d.Set {
		app[variable(f.Name)] = []string{f.Value}
	}
	connection := strings.ToLower(strings.Join(connectionOf(header), ","))
	for _, name := range d.Remove {
		if !gateway.Owned(name) && !strings.Contains(connection, strings.ToLower(name)) {
			t.Errorf("%+v: %s is removed, but nobody owns it", r, name)
		}
	}
	for _, f := range d.Set {
		if !gateway.Owned(f.Name) {
			t.Errorf("%+v: %s is set, but nobody owns it", r, f.Name)
		}
	}
	for name, want := range map[string]string{"X-Forwarded-Proto": d.Scheme, "X-Request-Id": d.RequestID} {
		if got := app[variable(name)]; len(got) != 1 || got[0] != want {
			t.Errorf("%+v: the app sees %s %q, want %q", r, name, got, want)
		}
	}
	chain := app["X_FORWARDED_FOR"]
	if len(chain) != 1 || !strings.HasSuffix(chain[0], r.Peer.Addr().String()) {
		t.Errorf("%+v: the app sees X-Forwarded-For %q", r, chain)
	}
	nodes := strings.FieldsFunc(strings.Join(chain, ","), func(c rune) bool { return strings.ContainsRune(", \t", c) })
	if client := app["X_REAL_IP"]; d.Client.IsValid() && (len(client) != 1 || client[0] != d.Client.String()) ||
		!d.Client.IsValid() && (len(client) != 0 || nodes[0] != "unknown") {
		t.Errorf("%+v: the app sees X-Real-Ip %q and X-Forwarded-For %q, the client is %v", r, client, chain, d.Client)
	}
	for i, node := range nodes {
		addressOnly := strings.Trim(node, "0123456789abcdefABCDEF.:[]") == ""
		if !addressOnly && !strings.ContainsAny(node, "%_") && (i > 0 || node != "unknown" || d.Client.IsValid()) {
			t.Errorf("%+v: the app sees X-Forwarded-For %q", r, chain)
		}
	}
	for _, name := range []string{"FORWARDED", "PROXY", "HTTP2_SETTINGS", "X_FORWARDED_SSL", "KEEP_ALIVE"} {
		if len(app[name]) > 0 {
			t.Errorf("%+v: the app sees %s", r, name)
		}
	}
	if up := app["UPGRADE"]; len(up) > 0 && (up[0] != "websocket" || !d.WebSocket || app["CONNECTION"][0] != "Upgrade") {
		t.Errorf("%+v: the app sees Upgrade %q", r, up)
	}
}
