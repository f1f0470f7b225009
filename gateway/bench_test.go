package gateway_test

import (
	"net/netip"
	"testing"

	"hale/gateway"
)

// BenchmarkDecide measures the rules alone, on requests as a browser sends
// them through a load balancer.
func BenchmarkDecide(b *testing.B) {
	g := mustNew(b, gateway.Settings{
		Hosts:         []string{"mysite.com", ".mysite.com", "10.0.0.0/16"},
		InstanceAddrs: func() []netip.Addr { return nil },
		Redirect:      301,
		NoSniff:       true,
	})
	browser := gateway.Map{
		"Accept":                    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Encoding":           {"gzip, deflate, br"},
		"Accept-Language":           {"en-GB,en;q=0.5"},
		"Connection":                {"keep-alive"},
		"Cookie":                    {"sessionid=0123456789abcdef"},
		"Upgrade-Insecure-Requests": {"1"},
		"User-Agent":                {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
		"X-Amzn-Trace-Id":           {"Root=1-67891233-abcdef012345678912345678"},
		"X-Forwarded-For":           {"203.0.113.7"},
		"X-Forwarded-Port":          {"443"},
		"X-Forwarded-Proto":         {"https"},
	}
	lb := netip.MustParseAddrPort("10.0.1.5:40000")
	requests := []struct {
		name string
		want gateway.Kind
		r    gateway.Request
	}{
		{"forward", gateway.Forward, gateway.Request{Method: "GET", Host: "mysite.com", Path: "/shop/42", RawQuery: "page=2", Proto: "HTTP/1.1", Header: browser, Peer: lb}},
		{"subdomain", gateway.Forward, gateway.Request{Method: "GET", Host: "www.eu.MySite.com", Path: "/shop/42", Proto: "HTTP/1.1", Header: browser, Peer: lb}},
		{"direct", gateway.Redirect, gateway.Request{Method: "GET", Host: "mysite.com", Path: "/shop/42", Proto: "HTTP/1.1", Header: browser, Peer: netip.MustParseAddrPort("198.51.100.9:40000")}},
		{"probe", gateway.Health, gateway.Request{Method: "GET", Host: "10.0.1.23:8080", Path: "/health", Proto: "HTTP/1.1", Header: gateway.Map{"User-Agent": {"ELB-HealthChecker/2.0"}, "Connection": {"close"}}, Peer: lb}},
		{"refuse", gateway.Answer, gateway.Request{Method: "GET", Host: "evil.example", Path: "/", Proto: "HTTP/1.1", Header: browser, Peer: lb}},
	}
	for _, bench := range requests {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := g.Decide(&bench.r); d.Kind != bench.want {
					b.Fatalf("%v, want %v", d.Kind, bench.want)
				}
			}
		})
	}
}

// A decision is made for every request, so what it costs is part of the rules.
func TestAllocations(t *testing.T) {
	g := mustNew(t, gateway.Settings{Hosts: []string{"mysite.com"}, Redirect: 301})
	header := gateway.Map{"Connection": {"keep-alive"}, "X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"}}
	for path, most := range map[string]float64{"/": 3, "/health": 0} {
		r := &gateway.Request{Method: "GET", Host: "MySite.com:80", Path: path, Header: header, Peer: netip.MustParseAddrPort("10.0.1.5:40000")}
		if n := testing.AllocsPerRun(100, func() { g.Decide(r) }); n > most {
			t.Errorf("%s: %v allocations, want at most %v", path, n, most)
		}
	}
}

func mustNew(tb testing.TB, s gateway.Settings) *gateway.Gateway {
	tb.Helper()
	g, err := gateway.New(s)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}
