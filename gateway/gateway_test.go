package gateway_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hale/gateway"
)

// fields is a header as an engine of its own may keep it: names as sent.
type fields [][2]string

func (f fields) Each(see func(name string, values []string)) {
	for _, field := range f {
		see(field[0], []string{field[1]})
	}
}

// parse reads a head as tables of tests write it:
//
//	GET /path?query HTTP/1.1
//	Host: mysite.com
//
// Its Host becomes the request's, as servers do it.
func parse(tb testing.TB, peer, text string) *gateway.Request {
	tb.Helper()
	first, rest, _ := strings.Cut(text, "\n")
	line := strings.Split(strings.TrimSpace(first), " ")
	if len(line) != 3 {
		tb.Fatalf("%q is no request line", first)
	}
	r := &gateway.Request{Method: line[0], Proto: line[2]}
	var found bool
	r.Path, r.RawQuery, found = strings.Cut(line[1], "?")
	r.ForceQuery = found && r.RawQuery == ""
	if peer != "" {
		r.Peer = netip.AddrPortFrom(netip.MustParseAddr(peer), 40000)
	}
	var header fields
	for l := range strings.Lines(rest) {
		name, value, found := strings.Cut(strings.Trim(l, "\t\n"), ":")
		if !found {
			continue
		}
		value = strings.TrimSpace(value)
		if name == "Host" && r.Host == "" {
			r.Host = value
			continue
		}
		header = append(header, [2]string{name, value})
	}
	r.Header = header
	return r
}

// canonical is f as net/http keeps it.
func canonical(f fields) gateway.Map {
	m := gateway.Map{}
	for _, field := range f {
		words := strings.Split(strings.ToLower(field[0]), "-")
		for i, w := range words {
			if w != "" {
				words[i] = strings.ToUpper(w[:1]) + w[1:]
			}
		}
		name := strings.Join(words, "-")
		m[name] = append(m[name], field[1])
	}
	return m
}

const (
	balancer = "10.0.1.5"     // a trusted peer
	stranger = "198.51.100.9" // one that is not
)

// decide makes a decision, and makes it again of the same head as net/http
// would keep it: both must be the same.
func decide(t *testing.T, g *gateway.Gateway, r *gateway.Request) gateway.Decision {
	t.Helper()
	got := g.Decide(r)
	if f, ok := r.Header.(fields); ok {
		again := *r
		again.Header = canonical(f)
		other := g.Decide(&again)
		a, b := got, other
		// The order and case of removed names may differ.
		a.Remove, b.Remove = sortedFold(a.Remove), sortedFold(b.Remove)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("a header as a list and as a map make different decisions:\n%+v\n%+v", a, b)
		}
	}
	return got
}

func sortedFold(names []string) []string {
	names = slices.Clone(names)
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// site is the settings of most tests: a site behind a load balancer.
func site() gateway.Settings {
	return gateway.Settings{
		Hosts:         []string{"mysite.com", ".shop.mysite.com"},
		InstanceAddrs: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.0.1.23")} },
		HostsSetting:  "hosts.allow in hale.yaml",
		Redirect:      301,
		NewRequestID:  func() string { return "new-id" },
	}
}

// What is asked first, second and so on.
func TestOrder(t *testing.T) {
	g := mustNew(t, site())
	for _, test := range []struct {
		name, peer, request string
		want                string // kind, status, and reason or location
	}{
		{"a probe of an ALB", balancer, "GET /health HTTP/1.1\nHost: 10.0.1.23:8080\nUser-Agent: ELB-HealthChecker/2.0\nConnection: close", "health"},
		{"a probe with the address of somebody else", balancer, "GET /health HTTP/1.1\nHost: 10.0.9.9", "health"},
		{"a probe without a Host", balancer, "OPTIONS /health HTTP/1.0", "health"},
		{"a probe with an invalid Host", balancer, "GET /health HTTP/1.1\nHost: a b@c:99999", "health"},
		{"a probe over https", balancer, "GET /health/ HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https", "health"},
		{"a probe with a query", balancer, "GET /health?format=json HTTP/1.1\nHost: 10.0.1.23", "health"},
		{"a probe by another method", balancer, "POST /health HTTP/1.1\nHost: 10.0.1.23", "health"},
		{"a method, before the host", balancer, "TRACE / HTTP/1.1\nHost: evil.example", "answer 501 bad-method"},
		{"a host that is malformed, before one that is not allowed", balancer, "GET / HTTP/1.1\nHost: evil example", "answer 400 bad-host"},
		{"a host, before the redirect", balancer, "GET / HTTP/1.1\nHost: evil.example", "answer 400 host-not-allowed"},
		{"a host, over https too", balancer, "GET / HTTP/1.1\nHost: evil.example\nX-Forwarded-Proto: https", "answer 400 host-not-allowed"},
		{"plain http", balancer, "GET /a?b HTTP/1.1\nHost: mysite.com", "redirect 301 https://mysite.com/a?b"},
		{"plain http, by a proxy's word", balancer, "GET /a?b HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: http", "redirect 301 https://mysite.com/a?b"},
		{"https by a stranger's word", stranger, "GET / HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https", "redirect 301 https://mysite.com/"},
		{"https", balancer, "GET / HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https", "forward"},
		{"the instance's address", balancer, "GET / HTTP/1.1\nHost: 10.0.1.23:8080\nX-Forwarded-Proto: https", "forward"},
		{"the server as a whole", balancer, "OPTIONS * HTTP/1.1\nHost: mysite.com", "answer 204"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := decide(t, g, parse(t, test.peer, test.request))
			if got := outcome(&d); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// outcome writes a decision in a few words.
func outcome(d *gateway.Decision) string {
	words := []string{d.Kind.String()}
	if d.Status != 0 {
		words = append(words, strconv.Itoa(d.Status))
	}
	if d.Reason != "" {
		words = append(words, string(d.Reason))
	}
	if d.Location != "" {
		words = append(words, d.Location)
	}
	return strings.Join(words, " ")
}

// Endpoints of one's own are exempt from the hosts and from https, as /health is.
func TestHealthEndpoints(t *testing.T) {
	g := mustNew(t, gateway.Settings{HealthEndpoints: []string{"deep"}, Hosts: []string{"mysite.com"}, Redirect: 301})
	for path, want := range map[string]gateway.Kind{
		"/health": gateway.Health, "/health/deep": gateway.Health, "/health/deep/": gateway.Health,
		"/health/deep//": gateway.Answer, "/health/deeper": gateway.Answer, "/deep": gateway.Answer,
	} {
		if d := g.Decide(&gateway.Request{Method: "GET", Host: "10.0.0.5", Path: path}); d.Kind != want {
			t.Errorf("%q: %v, want %v", path, d.Kind, want)
		}
	}
}

func TestHealthPaths(t *testing.T) {
	for _, test := range []struct {
		setting string
		own     []string
		not     []string
	}{
		{
			"", // /health
			[]string{
				"/health", "/health/", "/health/live", "/health/live/", "/health/ready", "/health/ready/", "/health/startup", "/health/startup/",
				"/health/checks/database", "/health/checks/home%20page",
			},
			[]string{
				"/", "", "/healthz", "/health.php", "/Health", "/%68ealth", "//health", "/health//", "/health/live//", "/health/other", "/health/other/",
				"/health/checks", "/health/checks/", "/health/checks/a/", "/health/checks/a/b", "/health/../admin", "/a/health", "*",
			},
		},
		{"/health_check", []string{"/health_check", "/health_check/", "/health_check/live"}, []string{"/health", "/health_checks"}},
		{"/up/", []string{"/up", "/up/", "/up/checks/a"}, []string{"/upload", "/up//"}},
		{"/", []string{"/", "/live", "/checks/a"}, []string{"", "//", "/index.html"}},
	} {
		g := mustNew(t, gateway.Settings{HealthPath: test.setting})
		for _, path := range test.own {
			if d := g.Decide(&gateway.Request{Method: "GET", Host: "a", Path: path}); d.Kind != gateway.Health {
				t.Errorf("with path %q, %q: %v, want health", test.setting, path, d.Kind)
			}
		}
		for _, path := range test.not {
			if d := g.Decide(&gateway.Request{Method: "GET", Host: "a", Path: path}); d.Kind == gateway.Health {
				t.Errorf("with path %q, %q is taken for health", test.setting, path)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	g := mustNew(t, gateway.Settings{NewRequestID: func() string { return "new-id" }})
	for _, test := range []struct {
		name, request string
		want          gateway.Reason // "" means forward
	}{
		{"no host", "GET / HTTP/1.1", gateway.NoHost},
		{"no host in HTTP/2", "GET / HTTP/2.0", gateway.NoHost},
		{"no host in HTTP/1.0", "GET / HTTP/1.0", ""},
		{"two hosts", "GET / HTTP/1.1\nHost: mysite.com\nhost: evil.example", gateway.SeveralHosts},
		{"the Host left among the fields", "GET / HTTP/1.1\nHost: mysite.com\nhost: mysite.com", ""},
		{"a list of hosts", "GET / HTTP/1.1\nHost: mysite.com, evil.example", gateway.BadHost},
		{"user information", "GET / HTTP/1.1\nHost: mysite.com@evil.example", gateway.BadHost},
		{"a space", "GET / HTTP/1.1\nHost: mysite.com evil.example", gateway.BadHost},
		{"a path", "GET / HTTP/1.1\nHost: evil.example/mysite.com", gateway.BadHost},
		{"a backslash", "GET / HTTP/1.1\nHost: evil.example\\.mysite.com", gateway.BadHost},
		{"an escape", "GET / HTTP/1.1\nHost: mysite%2ecom", gateway.BadHost},
		{"a control character", "GET / HTTP/1.1\nHost: mysite.com\x00", gateway.BadHost},
		{"letters beyond ASCII", "GET / HTTP/1.1\nHost: bücher.example", gateway.BadHost},
		{"punycode", "GET / HTTP/1.1\nHost: xn--bcher-kva.example", ""},
		{"an underscore", "GET / HTTP/1.1\nHost: my_app:8000", ""},
		{"an empty label", "GET / HTTP/1.1\nHost: my..site", gateway.BadHost},
		{"a leading dot", "GET / HTTP/1.1\nHost: .mysite.com", gateway.BadHost},
		{"a dot alone", "GET / HTTP/1.1\nHost: .", gateway.BadHost},
		{"a trailing dot", "GET / HTTP/1.1\nHost: mysite.com.:80", ""},
		{"two trailing dots", "GET / HTTP/1.1\nHost: mysite.com..", gateway.BadHost},
		{"a label of 63", "GET / HTTP/1.1\nHost: " + strings.Repeat("a", 63), ""},
		{"a label of 64", "GET / HTTP/1.1\nHost: " + strings.Repeat("a", 64), gateway.BadHost},
		{"a name of 253", "GET / HTTP/1.1\nHost: " + strings.Repeat("abc.", 63) + "a", ""},
		{"a name of 254", "GET / HTTP/1.1\nHost: " + strings.Repeat("abc.", 63) + "ab", gateway.BadHost},
		{"an empty port", "GET / HTTP/1.1\nHost: mysite.com:", gateway.BadHost},
		{"port 0", "GET / HTTP/1.1\nHost: mysite.com:0", gateway.BadHost},
		{"port 65535", "GET / HTTP/1.1\nHost: mysite.com:65535", ""},
		{"port 65536", "GET / HTTP/1.1\nHost: mysite.com:65536", gateway.BadHost},
		{"a long port", "GET / HTTP/1.1\nHost: mysite.com:000080", gateway.BadHost},
		{"a signed port", "GET / HTTP/1.1\nHost: mysite.com:+80", gateway.BadHost},
		{"two ports", "GET / HTTP/1.1\nHost: mysite.com:80:80", gateway.BadHost},
		{"an IPv4 address", "GET / HTTP/1.1\nHost: 10.0.1.23:8080", ""},
		{"an IPv4 address in octal", "GET / HTTP/1.1\nHost: 010.0.1.23", gateway.BadHost},
		{"an IPv4 address in hexadecimal", "GET / HTTP/1.1\nHost: 0x7f000001", gateway.BadHost},
		{"an IPv4 address with a last number in hexadecimal", "GET / HTTP/1.1\nHost: 10.0.0.0X7F", gateway.BadHost},
		{"a name that only looks like hexadecimal", "GET / HTTP/1.1\nHost: 0xfog", ""},
		{"an IPv4 address of three numbers", "GET / HTTP/1.1\nHost: 10.0.23", gateway.BadHost},
		{"an IPv6 address", "GET / HTTP/1.1\nHost: [2001:db8::5]:8080", ""},
		{"an IPv6 address without brackets", "GET / HTTP/1.1\nHost: 2001:db8::5", gateway.BadHost},
		{"an IPv6 zone", "GET / HTTP/1.1\nHost: [fe80::1%25eth0]", gateway.BadHost},
		{"an IPv6 address that does not end", "GET / HTTP/1.1\nHost: [::1", gateway.BadHost},
		{"an IPv6 address and more", "GET / HTTP/1.1\nHost: [::1]a", gateway.BadHost},
		{"IPv4 in brackets", "GET / HTTP/1.1\nHost: [10.0.0.1]", gateway.BadHost},

		{"a tunnel", "CONNECT mysite.com:443 HTTP/1.1\nHost: mysite.com", gateway.BadMethod},
		{"a trace", "TRACE / HTTP/1.1\nHost: mysite.com", gateway.BadMethod},
		{"a method that is no token", "GET: / HTTP/1.1\nHost: mysite.com", gateway.BadMethod},
		{"a method of WebDAV", "PROPFIND / HTTP/1.1\nHost: mysite.com", ""},

		{"a target without a slash", "GET @evil.example HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"an empty target", "GET ?a HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"an asterisk", "GET * HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"a control character in the path", "GET /a\x00b HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"a line feed in the query", "GET /?a\rb HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"a delete character", "GET /a\x7f HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"a fragment", "GET /a#b HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"a fragment in the query", "GET /?a#b HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"a percent sign that begins no escape", "GET /100% HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"an escape of no hexadecimal digits", "GET /%g0 HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"an escaped zero byte", "GET /a.php%00.jpg HTTP/1.1\nHost: mysite.com", gateway.BadTarget},
		{"escapes", "GET /%2F%e4%01 HTTP/1.1\nHost: mysite.com", ""},
		{"a percent sign in the query", "GET /?100% HTTP/1.1\nHost: mysite.com", ""},
		{"raw UTF-8", "GET /bücher HTTP/1.1\nHost: mysite.com", ""},

		{"chunked", "POST / HTTP/1.1\nHost: mysite.com\nTransfer-Encoding: Chunked", ""},
		{"chunked and a length", "POST / HTTP/1.1\nHost: mysite.com\nTransfer-Encoding: chunked\nContent-Length: 5", gateway.AmbiguousLength},
		{"chunked in HTTP/1.0", "POST / HTTP/1.0\nHost: mysite.com\nTransfer-Encoding: chunked", gateway.AmbiguousLength},
		{"chunked twice", "POST / HTTP/1.1\nHost: mysite.com\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked", gateway.AmbiguousLength},
		{"almost chunked", "POST / HTTP/1.1\nHost: mysite.com\nTransfer-Encoding: xchunked", gateway.AmbiguousLength},
		{"chunked in a list", "POST / HTTP/1.1\nHost: mysite.com\nTransfer-Encoding: chunked, identity", gateway.AmbiguousLength},
		{"a length", "POST / HTTP/1.1\nHost: mysite.com\nContent-Length: 5", ""},
		{"two lengths", "POST / HTTP/1.1\nHost: mysite.com\nContent-Length: 5\nContent-Length: 6", gateway.AmbiguousLength},
		{"a list of lengths", "POST / HTTP/1.1\nHost: mysite.com\nContent-Length: 5, 5", gateway.AmbiguousLength},
		{"a signed length", "POST / HTTP/1.1\nHost: mysite.com\nContent-Length: +5", gateway.AmbiguousLength},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := decide(t, g, parse(t, stranger, test.request))
			if test.want == "" {
				if d.Kind != gateway.Forward {
					t.Errorf("got %s, want forward", outcome(&d))
				}
				return
			}
			status := 400
			if test.want == gateway.BadMethod {
				status = 501
			}
			if d.Kind != gateway.Answer || d.Reason != test.want || d.Status != status || !d.Close {
				t.Errorf("got %s (close: %v), want %s", outcome(&d), d.Close, test.want)
			}
			checkAnswer(t, &d)
		})
	}
}

// checkAnswer holds for all that the gateway answers itself: one line of text
// that no browser takes for anything else.
func checkAnswer(t *testing.T, d *gateway.Decision) {
	t.Helper()
	if !strings.HasSuffix(d.Body, "\n") || strings.Count(d.Body, "\n") != 1 || strings.ContainsAny(d.Body, "<>&\r\x00") {
		t.Errorf("body %q is not a line of plain text", d.Body)
	}
	for _, f := range []gateway.Field{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "X-Content-Type-Options", Value: "nosniff"},
	} {
		if !slices.Contains(d.Response, f) {
			t.Errorf("response fields %v lack %v", d.Response, f)
		}
	}
}

func TestHostNotAllowedSaysWhatToChange(t *testing.T) {
	g := mustNew(t, site())
	for _, test := range []struct{ host, want string }{
		{"evil.example", `400: host "evil.example" is not allowed here; to allow it, add it to hosts.allow in hale.yaml` + "\n"},
		{"10.9.9.9:8080", `400: host "10.9.9.9:8080" is not allowed here; to allow it, add it to hosts.allow in hale.yaml` + "\n"},
		{
			strings.Repeat("abcde.", 20) + "example",
			`400: host "` + strings.Repeat("abcde.", 20)[:100] + `..." is not allowed here; to allow it, add it to hosts.allow in hale.yaml` + "\n",
		},
	} {
		d := g.Decide(&gateway.Request{Method: "GET", Host: test.host, Path: "/"})
		if d.Body != test.want {
			t.Errorf("got  %q\nwant %q", d.Body, test.want)
		}
		checkAnswer(t, &d)
		if d.Close {
			t.Error("the connection is closed, though nothing on it is ambiguous")
		}
	}
	if d := mustNew(t, gateway.Settings{Hosts: []string{"a.example"}}).Decide(&gateway.Request{Method: "GET", Host: "b.example", Path: "/"}); !strings.Contains(d.Body, "add it to Settings.Hosts of the gateway") {
		t.Errorf("without HostsSetting: %q", d.Body)
	}
}

func TestResponseFields(t *testing.T) {
	g := mustNew(t, gateway.Settings{
		Hosts:          []string{"mysite.com"},
		Redirect:       301,
		HSTS:           gateway.HSTS{MaxAge: 60e9},
		NoSniff:        true,
		FrameOptions:   "DENY",
		ReferrerPolicy: "no-referrer, strict-origin-when-cross-origin",
		NewRequestID:   func() string { return "new-id" },
	})
	const text = "Content-Type: text/plain; charset=utf-8|"
	const always = "X-Content-Type-Options: nosniff|X-Frame-Options: DENY|Referrer-Policy: no-referrer, strict-origin-when-cross-origin"
	const hsts = "|Strict-Transport-Security: max-age=60"
	for _, test := range []struct{ name, request, want string }{
		{"forwarded over https", "GET / HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https", always + hsts},
		{"redirected", "GET / HTTP/1.1\nHost: mysite.com", text + always},
		{"refused over http", "GET / HTTP/1.1\nHost: evil.example", text + always + "|Cache-Control: no-store"},
		{"refused over https", "GET / HTTP/1.1\nHost: evil.example\nX-Forwarded-Proto: https", text + always + hsts + "|Cache-Control: no-store"},
		{"health", "GET /health HTTP/1.1\nHost: mysite.com\nX-Forwarded-Proto: https", ""},
	} {
		d := decide(t, g, parse(t, balancer, test.request))
		if got := list(d.Response); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
	}
	if d := mustNew(t, gateway.Settings{}).Decide(&gateway.Request{Method: "GET", Host: "a", Path: "/", TLS: true}); len(d.Response) != 0 {
		t.Errorf("the zero settings add %v", d.Response)
	}
}

func list(fields []gateway.Field) string {
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = f.Name + ": " + f.Value
	}
	return strings.Join(lines, "|")
}

func TestHSTS(t *testing.T) {
	for _, test := range []struct {
		hsts gateway.HSTS
		want string
	}{
		{gateway.HSTS{}, ""},
		{gateway.HSTS{MaxAge: 60e9}, "Strict-Transport-Security: max-age=60"},
		{gateway.HSTS{MaxAge: -1}, "Strict-Transport-Security: max-age=0"},
		{gateway.HSTS{MaxAge: 60e9, IncludeSubDomains: true}, "Strict-Transport-Security: max-age=60; includeSubDomains"},
		{gateway.HSTS{MaxAge: 60e9, IncludeSubDomains: true, Preload: true}, "Strict-Transport-Security: max-age=60; includeSubDomains; preload"},
	} {
		g := mustNew(t, gateway.Settings{HSTS: test.hsts})
		if d := g.Decide(&gateway.Request{Method: "GET", Host: "a", Path: "/", TLS: true}); list(d.Response) != test.want {
			t.Errorf("%+v: got %q, want %q", test.hsts, list(d.Response), test.want)
		}
		if d := g.Decide(&gateway.Request{Method: "GET", Host: "a", Path: "/"}); len(d.Response) != 0 {
			t.Errorf("%+v: sent over http: %v", test.hsts, d.Response)
		}
	}
}

func TestKindsAsText(t *testing.T) {
	got, err := json.Marshal([]gateway.Kind{gateway.Undecided, gateway.Health, gateway.Answer, gateway.Redirect, gateway.Forward, 9})
	if want := `["undecided","health","answer","redirect","forward","gateway.Kind(9)"]`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
