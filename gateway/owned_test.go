package gateway_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"hale/gateway"
)

func TestOwned(t *testing.T) {
	g := mustNew(t, gateway.Settings{})
	peer := netip.AddrPortFrom(netip.MustParseAddr(stranger), 40000)
	for _, test := range []struct {
		name  string
		owned bool
	}{
		{"Connection", true},
		{"Keep-Alive", true},
		{"Proxy-Connection", true},
		{"Proxy-Authorization", true},
		{"Transfer-Encoding", true},
		{"Upgrade", true},
		{"HTTP2-Settings", true},
		{"Proxy", true},
		{"TE", true},
		{"Host", true},
		{"Content-Length", true},
		{"X-Request-ID", true},
		{"X-Amzn-Trace-Id", true},

		{"Forwarded", true},
		{"X-Forwarded-For", true},
		{"X-Forwarded-Host", true},
		{"X-Forwarded-Port", true},
		{"X-Forwarded-Proto", true},
		{"X-Forwarded-Protocol", true},
		{"X-Forwarded-Scheme", true},
		{"X-Forwarded-Ssl", true},
		{"X-Forwarded-User", true},
		{"X-Forwarded-", true},
		{"Front-End-Https", true},
		{"X-Url-Scheme", true},
		{"X-Scheme", true},

		{"X-Real-IP", true},
		{"X-Forwarded", true},
		{"Forwarded-For", true},
		{"Client-IP", true},
		{"X-Client-IP", true},
		{"X-Cluster-Client-IP", true},
		{"True-Client-IP", true},
		{"CF-Connecting-IP", true},
		{"CF-Connecting-IPv6", true},
		{"CF-Pseudo-IPv4", true},
		{"Fastly-Client-IP", true},
		{"Fly-Client-IP", true},
		{"CloudFront-Viewer-Address", true},
		{"X-Azure-ClientIP", true},
		{"X-Azure-SocketIP", true},
		{"X-Appengine-User-IP", true},
		{"X-Envoy-External-Address", true},
		{"X-Originating-IP", true},
		{"X-Remote-IP", true},
		{"X-Remote-Addr", true},
		{"Proxy-Client-IP", true},
		{"WL-Proxy-Client-IP", true},
		{"HTTP-Client-IP", true},

		{"X-Original-URL", true},
		{"X-Original-URI", true},
		{"X-Original-Host", true},
		{"X-Original-Forwarded-For", true},
		{"X-Rewrite-URL", true},
		{"X-Forwarded-Prefix", true},
		{"X-Forwarded-Path", true},
		{"X-Forwarded-URI", true},
		{"X-Forwarded-URL", true},
		{"X-Forwarded-Context", true},
		{"X-Forwarded-Server", true},
		{"X-Script-Name", true},
		{"X-HTTP-Host-Override", true},

		{"X_Real_IP", true},
		{"x_forwarded-for", true},
		{"My_Field", true},
		{"X.Real.Ip", true},
		{"X-Real-Ip!", true},
		{"X Real", true},
		{"Bücher", true},
		{"", true},

		{"X-Checksum", false},
		{"Grpc-Status", false},
		{"Server-Timing", false},
		{"Digest", false},
		{"ETag", false},
		{"X-Original", false},
		{"X-Forwarder", false},
		{"X-Real", false},
		{"Hosts", false},
		{"Te-2", false},
		{"-", false},
		{"X-Amzn-Trace-Id-2", false},
	} {
		for _, name := range []string{test.name, strings.ToLower(test.name), strings.ToUpper(test.name)} {
			if got := gateway.Owned(name); got != test.owned {
				t.Errorf("%q is owned: %v, want %v", name, got, test.owned)
			}
			// What is owned is what a stranger cannot send to the app.
			const forged = "forged"
			r := &gateway.Request{Method: "GET", Host: "a", Path: "/", Peer: peer, Header: fields{{name, forged}}}
			d := g.Decide(r)
			reached := d.Kind == gateway.Forward && strings.Contains(fmt.Sprint(appHeader(t, &d, name+": "+forged)), forged)
			if name != "" && reached == test.owned {
				t.Errorf("%q reaches the app: %v, though it is owned: %v", name, reached, test.owned)
			}
		}
	}
}

// Trailers are looked at field by field.
func TestOwnedAllocations(t *testing.T) {
	for name, most := range map[string]float64{"X-Checksum": 0, "X-Forwarded-For": 0, "x_real_ip": 0, "x-checksum": 1, "x-forwarded-for": 1} {
		if n := testing.AllocsPerRun(100, func() { gateway.Owned(name) }); n > most {
			t.Errorf("%s: %v allocations, want at most %v", name, n, most)
		}
	}
}
