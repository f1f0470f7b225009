package gateway_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hale/gateway"
)

// Who asks, and what the app is told about the way.
func TestClient(t *testing.T) {
	s := gateway.Settings{NewRequestID: func() string { return "new-id" }}
	g := mustNew(t, s)
	s.TrustUnix = true
	unix := mustNew(t, s)
	for _, test := range []struct {
		name, peer, header string
		client, chain      string // client "" is an unknown one; chain is the app's X-Forwarded-For
	}{
		{"nobody said anything", stranger, "", stranger, stranger},
		{"a stranger lies", stranger, "X-Forwarded-For: 1.2.3.4", stranger, stranger},
		{"a stranger lies with Forwarded", stranger, "Forwarded: for=1.2.3.4", stranger, stranger},
		{"a balancer that says nothing", balancer, "", balancer, balancer},
		{"a balancer", balancer, "X-Forwarded-For: 203.0.113.7", "203.0.113.7", "203.0.113.7, 10.0.1.5"},
		{"a balancer on a dual-stack socket", "::ffff:10.0.1.5", "X-Forwarded-For: 203.0.113.7", "203.0.113.7", "203.0.113.7, 10.0.1.5"},
		{"a balancer on a link-local address", "fe80::1%eth0", "X-Forwarded-For: 203.0.113.7", "203.0.113.7", "203.0.113.7, fe80::1"},
		{"a client that lies to the balancer", balancer, "X-Forwarded-For: 1.2.3.4, 203.0.113.7", "203.0.113.7", "1.2.3.4, 203.0.113.7, 10.0.1.5"},
		{"two balancers", balancer, "X-Forwarded-For: 203.0.113.7, 10.0.9.9", "203.0.113.7", "203.0.113.7, 10.0.9.9, 10.0.1.5"},
		{"two fields", balancer, "X-Forwarded-For: 1.2.3.4\nX-Forwarded-For: 203.0.113.7", "203.0.113.7", "1.2.3.4, 203.0.113.7, 10.0.1.5"},
		{"empty elements", balancer, "X-Forwarded-For: 203.0.113.7,, ,", "203.0.113.7", "203.0.113.7,, ,, 10.0.1.5"},
		{"an inner client", balancer, "X-Forwarded-For: 10.0.9.9, 192.168.1.1", "10.0.9.9", "10.0.9.9, 192.168.1.1, 10.0.1.5"},
		{"a port", balancer, "X-Forwarded-For: 203.0.113.7:5678", "203.0.113.7", "203.0.113.7:5678, 10.0.1.5"},
		{"IPv6", balancer, "X-Forwarded-For: 2001:DB8:0::7", "2001:db8::7", "2001:DB8:0::7, 10.0.1.5"},
		{"IPv6 in brackets", balancer, "X-Forwarded-For: [2001:db8::7]", "2001:db8::7", "[2001:db8::7], 10.0.1.5"},
		{"IPv6 with a port", balancer, "X-Forwarded-For: [2001:db8::7]:80", "2001:db8::7", "[2001:db8::7]:80, 10.0.1.5"},
		{"IPv4 in IPv6", balancer, "X-Forwarded-For: ::ffff:203.0.113.7", "203.0.113.7", "::ffff:203.0.113.7, 10.0.1.5"},
		{"a trusted hop in IPv6 form", balancer, "X-Forwarded-For: 203.0.113.7, ::ffff:10.0.9.9", "203.0.113.7", "203.0.113.7, ::ffff:10.0.9.9, 10.0.1.5"},
		{"garbage before what the balancer appended", balancer, "X-Forwarded-For: \x80\x01, 203.0.113.7", "203.0.113.7", "203.0.113.7, 10.0.1.5"},
		{"garbage in a line before", balancer, "X-Forwarded-For: 1.2.3.4\xff\nX-Forwarded-For: 203.0.113.7", "203.0.113.7", "203.0.113.7, 10.0.1.5"},
		{"garbage in the midst", balancer, "X-Forwarded-For: 5.6.7.8, x\nX-Forwarded-For: bücher ,, 1.2.3.4\nX-Forwarded-For: 203.0.113.7 , 10.0.9.9,", "203.0.113.7", "1.2.3.4, 203.0.113.7 , 10.0.9.9,, 10.0.1.5"},
		{"no address before the client", balancer, "X-Forwarded-For: unknown, 203.0.113.7", "203.0.113.7", "203.0.113.7, 10.0.1.5"},
		{"no address at all", balancer, "X-Forwarded-For: unknown", "", "unknown, 10.0.1.5"},
		{"no address next to the balancer", balancer, "X-Forwarded-For: 203.0.113.9, unknown", "", "unknown, 10.0.1.5"},
		{"no address next to the balancer, in a line of its own", balancer, "X-Forwarded-For: 203.0.113.9\nX-Forwarded-For: unknown", "", "unknown, 10.0.1.5"},
		{"garbage next to the balancer", balancer, "X-Forwarded-For: 203.0.113.9\x80", "", "unknown, 10.0.1.5"},
		{"garbage next to the balancer, in a line of its own", balancer, "X-Forwarded-For: 203.0.113.9\nX-Forwarded-For: \x80", "", "unknown, 10.0.1.5"},
		{"no address behind a trusted one", balancer, "X-Forwarded-For: 203.0.113.7, unknown, 10.0.9.9", "", "unknown, 10.0.9.9, 10.0.1.5"},
		{"garbage behind a trusted one", balancer, "X-Forwarded-For: 1.2.3.4\x80, 10.0.8.8,10.0.9.9", "", "unknown, 10.0.8.8,10.0.9.9, 10.0.1.5"},
		{"nobody is named", balancer, "X-Forwarded-For:", "", "unknown, 10.0.1.5"},
		{"nobody is named, in a list", balancer, "X-Forwarded-For: ,, ,\nX-Forwarded-For: ,", "", "unknown, 10.0.1.5"},
		{"an unknown client of a peer without an address", "unix", "X-Forwarded-For: unknown", "", "unknown"},
		{"a bad port", balancer, "X-Forwarded-For: 203.0.113.7:x", "", "unknown, 10.0.1.5"},
		{"a bracket that does not close", balancer, "X-Forwarded-For: [2001:db8::7", "", "unknown, 10.0.1.5"},
		{"an address of octal numbers", balancer, "X-Forwarded-For: 010.0.0.1", "", "unknown, 10.0.1.5"},
		{"two addresses without a comma", balancer, "X-Forwarded-For: 203.0.113.7 10.0.9.9", "", "unknown, 10.0.1.5"},
		{"a zone", balancer, "X-Forwarded-For: fe80::7%eth0", "fe80::7", "fe80::7%eth0, 10.0.1.5"},
		{"a zone of bytes that nobody writes", balancer, "X-Forwarded-For: fe80::7%\x80", "", "unknown, 10.0.1.5"},
		{"a peer without an address", "", "X-Forwarded-For: 203.0.113.7", "", ""},

		{"Forwarded", balancer, "Forwarded: for=203.0.113.7;proto=https", "203.0.113.7", "203.0.113.7, 10.0.1.5"},
		{"Forwarded, IPv6 with a port", balancer, `Forwarded: for="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17", "[2001:db8:cafe::17]:4711, 10.0.1.5"},
		{"Forwarded, an obfuscated port", balancer, `Forwarded: for="203.0.113.7:_p1"`, "203.0.113.7", "203.0.113.7:_p1, 10.0.1.5"},
		{"Forwarded, IPv6 without quotes", balancer, `Forwarded: for=[2001:db8::7]`, "2001:db8::7", "[2001:db8::7], 10.0.1.5"},
		{"Forwarded, a chain", balancer, "Forwarded: for=1.2.3.4, for=203.0.113.7;by=10.0.9.9, for=10.0.9.9", "203.0.113.7", "1.2.3.4, 203.0.113.7, 10.0.9.9, 10.0.1.5"},
		{"Forwarded, an obfuscated client", balancer, "Forwarded: for=_hidden, for=10.0.9.9", "", "unknown, 10.0.9.9, 10.0.1.5"},
		{"Forwarded, no client", balancer, "Forwarded: proto=https", "", "unknown, 10.0.1.5"},
		{"Forwarded, a blank client", balancer, `Forwarded: for=1.2.3.4, for=" "`, "", "unknown, 10.0.1.5"},
		{"Forwarded, nobody is named", balancer, "Forwarded: ,", "", "unknown, 10.0.1.5"},
		{"Forwarded, two clients in one", balancer, `Forwarded: for="1.2.3.4, 203.0.113.7"`, "", "unknown, 10.0.1.5"},
		{"Forwarded, a malformed element before", balancer, "Forwarded: for==1.2.3.4, for=203.0.113.7", "", "unknown, 10.0.1.5"},
		{"Forwarded, a quote that swallows what the proxy appended", balancer, `Forwarded: for="x, for=203.0.113.9`, "", "unknown, 10.0.1.5"},
		{"Forwarded, malformed in a line before", balancer, "Forwarded: for=5.6.7.8\nForwarded: for=\"x\nForwarded: for=1.2.3.4, for=203.0.113.7", "203.0.113.7", "1.2.3.4, 203.0.113.7, 10.0.1.5"},
		{"Forwarded, malformed in the last line", balancer, "Forwarded: for=203.0.113.7\nForwarded: \x80", "", "unknown, 10.0.1.5"},
		{"Forwarded, an obfuscated port that is no token", balancer, `Forwarded: for="203.0.113.7:_p 1"`, "", "unknown, 10.0.1.5"},
		{"Forwarded, an escape that does not end", balancer, `Forwarded: for="\`, "", "unknown, 10.0.1.5"},
		{"Forwarded, an element that goes on", balancer, `Forwarded: for=203.0.113.7 x`, "", "unknown, 10.0.1.5"},
		{"Forwarded does not mend X-Forwarded-For", balancer, "Forwarded: for=203.0.113.7\nX-Forwarded-For: unknown", "", "unknown, 10.0.1.5"},
		{"X-Forwarded-For wins", balancer, "Forwarded: for=1.2.3.4\nX-Forwarded-For: 203.0.113.7", "203.0.113.7", "203.0.113.7, 10.0.1.5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, peer := g, test.peer
			if peer == "unix" {
				g, peer = unix, ""
			}
			d := decide(t, g, parse(t, peer, "GET / HTTP/1.1\nHost: mysite.com\n"+test.header))
			client := ""
			if d.Client.IsValid() {
				client = d.Client.String()
			}
			if client != test.client {
				t.Errorf("client %s, want %s", client, test.client)
			}
			app := appHeader(t, &d, test.header)
			if got := app["X-Forwarded-For"]; got != test.chain {
				t.Errorf("the app's X-Forwarded-For is %q, want %q", got, test.chain)
			}
			if got, found := app["X-Real-Ip"]; got != test.client || found != d.Client.IsValid() {
				t.Errorf("the app's X-Real-Ip is %q, want %q", got, test.client)
			}
			if got, found := app["Forwarded"]; found {
				t.Errorf("the app sees Forwarded %q", got)
			}
		})
	}
}

func TestTrustedProxies(t *testing.T) {
	const header = "X-Forwarded-For: 203.0.113.7"
	for _, test := range []struct {
		name     string
		settings gateway.Settings
		peer     string
		trusted  bool
	}{
		{"loopback, by default", gateway.Settings{}, "127.0.0.1", true},
		{"a private network, by default", gateway.Settings{}, "172.31.0.9", true},
		{"a unique local address, by default", gateway.Settings{}, "fd00::1", true},
		{"the internet, by default", gateway.Settings{}, "8.8.8.8", false},
		{"nobody", gateway.Settings{TrustedProxies: []netip.Prefix{}}, "127.0.0.1", false},
		{"one network", gateway.Settings{TrustedProxies: prefixes("192.0.2.0/24")}, "192.0.2.9", true},
		{"one network alone", gateway.Settings{TrustedProxies: prefixes("192.0.2.0/24")}, "10.0.0.1", false},
		{"a network with host bits", gateway.Settings{TrustedProxies: prefixes("192.0.2.77/24")}, "192.0.2.9", true},
		{"a network in IPv6 form", gateway.Settings{TrustedProxies: prefixes("::ffff:192.0.2.0/120")}, "192.0.2.9", true},
		{"everybody", gateway.Settings{TrustedProxies: prefixes("0.0.0.0/0", "::/0")}, "8.8.8.8", true},
		{"a unix socket, by default", gateway.Settings{}, "", false},
		{"a unix socket", gateway.Settings{TrustUnix: true}, "", true},
	} {
		d := mustNew(t, test.settings).Decide(parse(t, test.peer, "GET / HTTP/1.1\nHost: mysite.com\n"+header))
		if got := d.Client == netip.MustParseAddr("203.0.113.7"); got != test.trusted {
			t.Errorf("%s: %s is trusted: %v, want %v", test.name, test.peer, got, test.trusted)
		}
	}
}

func prefixes(s ...string) []netip.Prefix {
	p := make([]netip.Prefix, len(s))
	for i := range s {
		p[i] = netip.MustParsePrefix(s[i])
	}
	return p
}

// appHeader is what the app gets of a header, one value a field, from an engine
// that takes out what Connection lists before it sets fields (RFC 9110, 7.6.1),
// but for the length of the body, which it needs.
func appHeader(t *testing.T, d *gateway.Decision, header string) map[string]string {
	t.Helper()
	if d.Kind != gateway.Forward {
		t.Fatalf("%s, want forward", outcome(d))
	}
	sent := parse(t, "", "GET / HTTP/1.1\nHost: h\n"+header).Header.(fields)
	m := canonical(sent)
	listed := listedBy(connectionOf(sent))
	// Names that are removed may have been sent in any case.
	maps.DeleteFunc(m, func(have string, _ []string) bool {
		same := func(name string) bool { return strings.EqualFold(name, have) }
		return slices.ContainsFunc(d.Remove, same) || slices.ContainsFunc(listed, same) && have != "Content-Length"
	})
	edited := *d
	edited.Remove = nil
	edited.Edit(m)
	app := make(map[string]string, len(m))
	for name, values := range m {
		app[name] = strings.Join(values, "|")
	}
	return app
}

// listedBy returns the names that Connection fields list.
func listedBy(connection []string) (names []string) {
	for name := range strings.SplitSeq(strings.Join(connection, ","), ",") {
		names = append(names, strings.Trim(name, " \t"))
	}
	return names
}

// What the app sees of a header, beyond the client's address.
func TestEdits(t *testing.T) {
	g := mustNew(t, gateway.Settings{
		Hosts:        []string{"mysite.com", "cdn.example:8443"},
		NewRequestID: func() string { return "new-id" },
	})
	for _, test := range []struct {
		name, peer, header string
		want               string // of the app's header, the fields that matter: "-" for none
	}{
		{"scheme, host and port of plain http", stranger, "", "X-Forwarded-Proto: http\nX-Forwarded-Host: mysite.com\nX-Forwarded-Port: 80"},
		{"and of https", balancer, "X-Forwarded-Proto: https", "X-Forwarded-Proto: https\nX-Forwarded-Host: mysite.com\nX-Forwarded-Port: 443"},
		{"forged ones", stranger, "X-Forwarded-Proto: https\nX-Forwarded-Host: cdn.example\nX-Forwarded-Port: 1", "X-Forwarded-Proto: http\nX-Forwarded-Host: mysite.com\nX-Forwarded-Port: 80"},
		{"a balancer's port", balancer, "X-Forwarded-Port: 8443", "X-Forwarded-Port: 8443"},
		{"a list of ports", balancer, "X-Forwarded-Port: 1, 8443", "X-Forwarded-Port: 8443"},
		{"a port that is none", balancer, "X-Forwarded-Port: 99999", "X-Forwarded-Port: 80"},
		{"a list of schemes becomes one", balancer, "X-Forwarded-Proto: http,https", "X-Forwarded-Proto: https"},
		{"a host that is allowed", balancer, "X-Forwarded-Host: cdn.example:8443", "X-Forwarded-Host: cdn.example:8443\nX-Forwarded-Port: 8443"},
		{"a host that is not allowed there", balancer, "X-Forwarded-Host: cdn.example", "X-Forwarded-Host: mysite.com\nX-Forwarded-Port: 80"},
		{"a host that is not allowed", balancer, "X-Forwarded-Host: evil.example", "X-Forwarded-Host: mysite.com"},
		{"the last of the hosts", balancer, "X-Forwarded-Host: evil.example, cdn.example:8443", "X-Forwarded-Host: cdn.example:8443"},
		{"a malformed host", balancer, "X-Forwarded-Host: a b", "X-Forwarded-Host: mysite.com"},
		{"Forwarded's host", balancer, `Forwarded: host="cdn.example:8443";for=1.2.3.4`, "X-Forwarded-Host: cdn.example:8443\nForwarded: -"},

		{"a request id", stranger, "", "X-Request-Id: new-id"},
		{"a stranger's request id", stranger, "X-Request-Id: mine", "X-Request-Id: new-id"},
		{"a balancer's request id", balancer, "X-Request-Id: Af.09_z-", "X-Request-Id: Af.09_z-"},
		{"a request id that is not sane", balancer, "X-Request-Id: $(reboot)", "X-Request-Id: new-id"},
		{"a request id of 128", balancer, "X-Request-Id: " + strings.Repeat("a", 128), "X-Request-Id: " + strings.Repeat("a", 128)},
		{"a request id of 129", balancer, "X-Request-Id: " + strings.Repeat("a", 129), "X-Request-Id: new-id"},
		{"two request ids", balancer, "X-Request-Id: a\nX-Request-Id: b", "X-Request-Id: new-id"},
		{"a balancer's trace", balancer, "X-Amzn-Trace-Id: Root=1-6-a", "X-Amzn-Trace-Id: Root=1-6-a"},
		{"a stranger's trace", stranger, "X-Amzn-Trace-Id: Root=1-6-a", "X-Amzn-Trace-Id: -"},

		{"other words for the scheme, from anybody", balancer, "X-Forwarded-Ssl: on\nFront-End-Https: on\nX-Forwarded-Protocol: ssl\nX-Forwarded-Scheme: https\nX-Url-Scheme: https\nX-Scheme: https", "X-Forwarded-Ssl: -\nFront-End-Https: -\nX-Forwarded-Protocol: -\nX-Forwarded-Scheme: -\nX-Url-Scheme: -\nX-Scheme: -"},
		{"a false X-Real-IP of an unknown client", balancer, "X-Real-IP: 10.0.1.5\nX-Forwarded-For: unknown", "X-Real-Ip: -"},
		{"a false X-Real-IP, from anybody", balancer, "X-Real-IP: 1.2.3.4", "X-Real-Ip: 10.0.1.5"},
		{"other words for the URL, from a stranger", stranger, "X-Original-URL: /admin\nX-Rewrite-Url: /admin\nX-Forwarded-Prefix: /x", "X-Original-Url: -\nX-Rewrite-Url: -\nX-Forwarded-Prefix: -"},
		{"other words for the URL, through a proxy", balancer, "X-Original-URL: /admin\nx-original-uri: /admin\nX-Rewrite-Url: /admin\nX-Forwarded-Prefix: //evil.example\nX-Forwarded-Uri: /admin\nX-Forwarded-Path: /x\nX-Script-Name: /x\nX-Original-Host: evil.example\nX-Forwarded-Server: evil.example", "X-Original-Url: -\nX-Original-Uri: -\nX-Rewrite-Url: -\nX-Forwarded-Prefix: -\nX-Forwarded-Uri: -\nX-Forwarded-Path: -\nX-Script-Name: -\nX-Original-Host: -\nX-Forwarded-Server: -"},
		{"other words for the client, from a stranger", stranger, "True-Client-IP: 1.2.3.4\nCF-Connecting-IP: 1.2.3.4\nClient-IP: 1.2.3.4\nX-Client-IP: 1.2.3.4", "True-Client-Ip: -\nCf-Connecting-Ip: -\nClient-Ip: -\nX-Client-Ip: -"},
		{"other words for the client, through a proxy", balancer, "True-Client-IP: 1.2.3.4\nCF-Connecting-IP: 1.2.3.4\nClient-IP: 1.2.3.4\nX-Client-IP: 1.2.3.4\nX-Cluster-Client-IP: 1.2.3.4\nFastly-Client-IP: 1.2.3.4\nX-Original-Forwarded-For: 1.2.3.4", "True-Client-Ip: -\nCf-Connecting-Ip: -\nClient-Ip: -\nX-Client-Ip: -\nX-Cluster-Client-Ip: -\nFastly-Client-Ip: -\nX-Original-Forwarded-For: -"},
		{"what only proxies may say, from a stranger", stranger, "X-Forwarded-User: root\nx-forwarded-anything: x\nX-Forwarded-Client-Cert: x", "X-Forwarded-User: -\nX-Forwarded-Anything: -\nX-Forwarded-Client-Cert: -"},
		{"and from a proxy", balancer, "X-Forwarded-User: ann\nX-Forwarded-Client-Cert: x", "X-Forwarded-User: ann\nX-Forwarded-Client-Cert: x"},
		{"underscores", balancer, "X_Forwarded_Proto: https\nX_Forwarded-For: 1.2.3.4\nMy_Field: a", "X_forwarded_proto: -\nX_forwarded-For: -\nMy_field: -\nX-Forwarded-Proto: http"},
		{"other odd names", stranger, "X.Forwarded.Proto: https\nX-Forwarded-Proto!: https", "X.forwarded.proto: -\nX-Forwarded-Proto!: -"},
		{"httpoxy", stranger, "Proxy: evil.example:8080\nPROXY: evil.example:8080", "Proxy: -"},

		{"this connection's own", stranger, "Connection: keep-alive\nKeep-Alive: timeout=5\nProxy-Connection: keep-alive\nProxy-Authorization: Basic x", "Connection: -\nKeep-Alive: -\nProxy-Connection: -\nProxy-Authorization: -"},
		{"what Connection lists", stranger, "Connection: close, X-Hop ,x-other,,\nConnection: X-Third\nX-Hop: 1\nX-Other: 1\nX-Third: 1\nX-Fourth: 1", "Connection: -\nX-Hop: -\nX-Other: -\nX-Third: -\nX-Fourth: 1"},
		{"what Connection cannot take out", stranger, "Connection: Content-Length, Host, X-Forwarded-For, X-Request-Id, X-Real-Ip\nContent-Length: 0", "Content-Length: 0\nX-Forwarded-For: 198.51.100.9\nX-Request-Id: new-id\nX-Real-Ip: 198.51.100.9"},
		{"what Connection cannot take out from behind a proxy", balancer, "Connection: X-Forwarded-Proto, X-Request-Id\nX-Forwarded-Proto: https\nX-Request-Id: a", "X-Forwarded-Proto: https\nX-Request-Id: a"},
		{"what Connection cannot take out in any spelling", balancer, "Connection: close\nConnection: x-forwarded-port,\tX-FORWARDED-HOST ,X-Real-IP,X-Forwarded-For\nX-Forwarded-Port: 8443\nX-Forwarded-Host: mysite.com\nX-Forwarded-For: 203.0.113.7\nX-Real-Ip: 203.0.113.7", "X-Forwarded-Port: 8443\nX-Forwarded-Host: mysite.com\nX-Forwarded-For: 203.0.113.7, 10.0.1.5\nX-Real-Ip: 203.0.113.7"},
		{"a WebSocket that Connection cannot spoil", stranger, "Connection: Upgrade, Connection\nUpgrade: websocket", "Connection: Upgrade\nUpgrade: websocket"},
		{"TE", stranger, "Connection: TE\nTE: gzip;q=0.5", "Te: -"},
		{"TE: trailers", stranger, "Connection: TE\nTE: trailers", "Te: trailers"},
		{"TE: trailers among others", stranger, "TE: gzip, Trailers", "Te: trailers"},

		{"a WebSocket", stranger, "Connection: keep-alive, upgrade\nUpgrade: WebSocket\nSec-WebSocket-Key: k", "Connection: Upgrade\nUpgrade: websocket\nSec-Websocket-Key: k"},
		{"a WebSocket among others", stranger, "Connection: Upgrade\nUpgrade: h2c, websocket", "Connection: Upgrade\nUpgrade: websocket"},
		{"a WebSocket without Connection", stranger, "Upgrade: websocket", "Connection: -\nUpgrade: -"},
		{"a WebSocket with a body", stranger, "Connection: Upgrade\nUpgrade: websocket\nContent-Length: 5", "Connection: -\nUpgrade: -\nContent-Length: 5"},
		{"h2c", stranger, "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__", "Connection: -\nUpgrade: -\nHttp2-Settings: -"},
		{"another upgrade", stranger, "Connection: Upgrade\nUpgrade: TLS/1.0", "Connection: -\nUpgrade: -"},
		{"all else stays", stranger, "Accept: a\nAccept: b\nCookie: c\nAuthorization: d\nOrigin: e\nTrailer: X-Sum\nExpect: 100-continue", "Accept: a|b\nCookie: c\nAuthorization: d\nOrigin: e\nTrailer: X-Sum\nExpect: 100-continue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := decide(t, g, parse(t, test.peer, "GET / HTTP/1.1\nHost: mysite.com\n"+test.header))
			app := appHeader(t, &d, test.header)
			for line := range strings.Lines(test.want) {
				name, want, _ := strings.Cut(strings.TrimSpace(line), ": ")
				if got, found := app[name]; want != "-" && got != want || want == "-" && found {
					t.Errorf("the app sees %s %q, want %q", name, got, want)
				}
			}
			if d.WebSocket != (app["Upgrade"] != "") {
				t.Errorf("WebSocket is %v, but Upgrade %q", d.WebSocket, app["Upgrade"])
			}
		})
	}
}

func TestWebSocketsComeByGetOverHTTP11(t *testing.T) {
	g := mustNew(t, gateway.Settings{})
	for request, want := range map[string]bool{"GET / HTTP/1.1": true, "GET / HTTP/1.0": false, "GET / HTTP/2.0": false, "POST / HTTP/1.1": false} {
		d := g.Decide(parse(t, stranger, request+"\nHost: a\nConnection: Upgrade\nUpgrade: websocket"))
		if d.Kind != gateway.Forward || d.WebSocket != want {
			t.Errorf("%s: %s, WebSocket %v, want %v", request, outcome(&d), d.WebSocket, want)
		}
	}
}

// A field that is right as it came is left alone, so that the usual request
// behind a load balancer costs few edits.
func TestNoEditThatChangesNothing(t *testing.T) {
	g := mustNew(t, gateway.Settings{})
	d := g.Decide(parse(t, balancer, "GET / HTTP/1.1\nHost: a\nX-Forwarded-Proto: https\nX-Forwarded-Port: 443\nX-Forwarded-Host: a\nX-Real-IP: 10.0.1.5\nX-Request-Id: r"))
	if want := []gateway.Field{{Name: "X-Forwarded-For", Value: "10.0.1.5"}}; !slices.Equal(d.Set, want) || len(d.Remove) != 0 {
		t.Errorf("set %v, remove %v; want only %v", d.Set, d.Remove, want)
	}
}

func TestHealthHasAnOrigin(t *testing.T) {
	g := mustNew(t, gateway.Settings{})
	for chain, client := range map[string]netip.Addr{"203.0.113.7": netip.MustParseAddr("203.0.113.7"), "\x80": {}, "10.0.9.9, unknown": {}} {
		d := g.Decide(parse(t, balancer, "GET /health HTTP/1.1\nX-Forwarded-For: "+chain+"\nX-Forwarded-Proto: https\nX-Request-Id: r"))
		if d.Kind != gateway.Health || d.Client != client || d.Scheme != "https" || d.RequestID != "r" {
			t.Errorf("%q: got %v, client %v, scheme %s, id %q", chain, d.Kind, d.Client, d.Scheme, d.RequestID)
		}
	}
}

// The lines of a request are its own: a chain is not cut in place.
func TestChainsAreNotCutInPlace(t *testing.T) {
	lines := []string{"1.2.3.4, x, 203.0.113.7", "10.0.9.9"}
	r := &gateway.Request{Method: "GET", Host: "a", Path: "/", Peer: netip.MustParseAddrPort("10.0.1.5:1"), Header: gateway.Map{"X-Forwarded-For": lines}}
	mustNew(t, gateway.Settings{}).Decide(r)
	if !slices.Equal(lines, []string{"1.2.3.4, x, 203.0.113.7", "10.0.9.9"}) {
		t.Errorf("the request's header became %q", lines)
	}
}

// Whatever a user sends, the address that the load balancer appends is the
// client. Where the user can spoil it, it is unknown, never another.
func FuzzClient(f *testing.F) {
	g := mustNew(f, gateway.Settings{})
	for _, seed := range []string{"", "10.0.9.9", "unknown", "1.2.3.4, \x80", ",", "[::1", "fe80::1%a b", `for="x`, `for="\`, `for=10.0.9.9;x="`, `for="10.0.9.9, 10.0.8.8"`} {
		f.Add(seed, seed)
	}
	const appended = "203.0.113.9"
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, test := range []struct {
			name    string
			lines   []string
			unknown bool // is possible
		}{
			{"X-Forwarded-For", []string{first, second + ", " + appended}, false},
			{"X-Forwarded-For", []string{first, second, appended}, false},
			{"Forwarded", []string{first, second, "proto=https;for=" + appended}, false},
			{"Forwarded", []string{first, second + ", for=" + appended}, true},
			{"Forwarded", []string{first, second + `, for="` + appended + `:80";proto=https`}, true},
		} {
			d := g.Decide(&gateway.Request{Method: "GET", Host: "a", Path: "/", Peer: netip.MustParseAddrPort("10.0.1.5:1"), Header: gateway.Map{test.name: test.lines}})
			if d.Client.IsValid() && d.Client.String() != appended || !d.Client.IsValid() && !test.unknown {
				t.Errorf("%s %q: client %v", test.name, test.lines, d.Client)
			}
		}
	})
}

func TestRequestIDs(t *testing.T) {
	g := mustNew(t, gateway.Settings{})
	seen := make(map[string]bool)
	var digits [32]map[byte]bool // at each place
	for range 1000 {
		id := g.Decide(&gateway.Request{Method: "GET", Host: "a", Path: "/"}).RequestID
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] {
			t.Fatalf("id %q is not 32 new hexadecimal digits", id)
		}
		seen[id] = true
		for i := range len(id) {
			if digits[i] == nil {
				digits[i] = make(map[byte]bool)
			}
			digits[i][id[i]] = true
		}
	}
	for i, d := range digits {
		if len(d) != 16 { // fails by chance once in 10^26 runs
			t.Errorf("digit %d takes only %d values", i, len(d))
		}
	}
}

// A map's names are canonical, so one that is not is no field of the rules.
func TestMapWithNamesThatAreNotCanonical(t *testing.T) {
	g := mustNew(t, gateway.Settings{})
	d := g.Decide(&gateway.Request{
		Method: "GET", Host: "a", Path: "/", Peer: netip.MustParseAddrPort("10.0.1.5:1"),
		Header: gateway.Map{"x-forwarded-proto": {"https"}},
	})
	if d.Scheme != "http" || !slices.Equal(d.Remove, []string{"x-forwarded-proto"}) {
		t.Errorf("scheme %s, remove %q", d.Scheme, d.Remove)
	}

	// Removed without regard to case, it would take the true one with it.
	d = g.Decide(&gateway.Request{
		Method: "GET", Host: "a", Path: "/", Peer: netip.MustParseAddrPort("10.0.1.5:1"),
		Header: gateway.Map{"x-forwarded-proto": {"http"}, "X-Forwarded-Proto": {"https"}},
	})
	if d.Scheme != "https" || !slices.Contains(d.Set, gateway.Field{Name: "X-Forwarded-Proto", Value: "https"}) {
		t.Errorf("scheme %s, set %q", d.Scheme, d.Set)
	}
}

// Decisions of many goroutines share nothing that is written.
func TestDecisionsAreIndependent(t *testing.T) {
	g := mustNew(t, site())
	r := parse(t, balancer, "GET / HTTP/1.1\nHost: mysite.com\nConnection: keep-alive\nX-Forwarded-Proto: https")
	first := g.Decide(r)
	_ = append(first.Remove, "X-Mine")
	first.Set[0].Value = "mine"
	if second := g.Decide(r); slices.Contains(second.Remove, "X-Mine") || second.Set[0].Value == "mine" || len(second.Remove) != 1 {
		t.Errorf("the second decision has %v and %v of the first", second.Remove, second.Set)
	}
	if third := g.Decide(parse(t, balancer, "GET / HTTP/1.1\nHost: mysite.com\nKeep-Alive: 1\nX-Forwarded-Proto: https")); !slices.Equal(third.Remove, []string{"Keep-Alive"}) {
		t.Errorf("the third removes %v", third.Remove)
	}
}
