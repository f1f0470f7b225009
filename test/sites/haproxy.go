package sites

import (
	"testing"
	"time"

	"hale/test/servers"
)

// serveHAProxy starts HAProxy with a configuration, whose words are replaced,
// after the usual global and default sections, and returns the site.
func serveHAProxy(s *setting, configuration string) Site {
	s.t.Helper()
	file := s.file("haproxy.cfg", `
global
	log stdout format raw local0
	maxconn 200
defaults
	mode http
	log global
	option httplog
	timeout connect 2s
	timeout client 80s
	timeout server 80s
	timeout http-request 10s
	timeout http-keep-alive 75s
`+configuration)
	p := servers.Run(s.t, servers.Spec{Name: "haproxy", Args: []string{"-db", "-f", file}, Listens: []string{listening(s, configuration)}})
	return s.site(p.OutputFile())
}

// haproxy starts a site whose HAProxy has the configuration.
func haproxy(configuration string) func(testing.TB) Site {
	return func(t testing.TB) Site { return serveHAProxy(newSetting(t), configuration) }
}

// toApp is a backend with the application.
const toApp = `
backend app
	server app1 @app@
`

func haproxySites() []Case {
	return []Case{
		{
			Name: "haproxy-host-without-port", Row: "host-port-mismatch", Findings: []string{"host-port-mismatch"},
			Start: haproxy(`
frontend web
	bind @address@
	acl ours hdr(host) -i example.com www.example.com 127.0.0.5
	use_backend app if ours
` + toApp),
		},
		{
			Name: "haproxy-no-backend", Row: "no-backend-for-host-503", Findings: []string{"no-backend-for-host-503"},
			Start: haproxy(`
frontend web
	bind @address@
	use_backend app if { hdr(host),field(1,:) -i example.com www.example.com }
` + toApp),
		},
		{
			// The port alone would not do either: the address is on no list.
			Name: "haproxy-no-backend-bare-name", Row: "no-backend-for-host-503", Findings: []string{"no-backend-for-host-503"},
			Start: haproxy(`
frontend web
	bind @address@
	use_backend app if { hdr(host) -i example.com }
` + toApp),
		},
		{
			Name: "haproxy-tls-to-plain-server", Row: "proxy-upstream-protocol", Findings: []string{"proxy-upstream-protocol"}, Inside: true,
			Start: haproxy(`
frontend web
	bind @address@
	default_backend app
backend app
	retries 0
	server app1 @app@ ssl verify none
`),
		},
		{
			Name: "haproxy-https", Row: "haproxy-redirect-scheme", Findings: []string{"haproxy-redirect-scheme"},
			Start: haproxy(`
frontend web
	bind @address@
	http-request redirect scheme https unless { ssl_fc }
	default_backend app
` + toApp),
		},
		{
			Name: "haproxy-https-by-header", Row: "haproxy-redirect-scheme", Findings: []string{"haproxy-redirect-scheme"},
			Start: haproxy(`
frontend web
	bind @address@
	http-request redirect scheme https unless { req.hdr(X-Forwarded-Proto) -i https }
	default_backend app
` + toApp),
		},
		{
			Name: "haproxy-rate-limit", Row: "rate-limited", Findings: []string{"rate-limited"},
			Start: haproxy(`
frontend web
	bind @address@
	stick-table type ip size 1k expire 10m store http_req_rate(10m)
	http-request track-sc0 src
	http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1 }
	default_backend app
` + toApp),
		},
		{
			Name: "haproxy-server-down", Row: "proxy-upstream-down-503", Findings: []string{"proxy-upstream-down-503"},
			Start: haproxy(`
frontend web
	bind @address@
	default_backend app
backend app
	retries 0
	server app1 @nobody@
`),
		},
		{
			Name: "haproxy-server-timeout", Row: "proxy-timeout-504", Findings: []string{"proxy-timeout-504"}, Timeout: 10 * time.Second,
			Start: haproxy(`
frontend web
	bind @address@
	default_backend app
backend app
	timeout server 1s
	server app1 @silent@
`),
		},
		{
			Name: "haproxy-accept-proxy", Row: "proxy-protocol-expected", Findings: []string{"proxy-protocol-expected"},
			Start: haproxy(`
frontend web
	bind @address@ accept-proxy
	default_backend app
` + toApp),
		},
	}
}
