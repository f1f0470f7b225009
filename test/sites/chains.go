package sites

import "testing"

// webServerChains are sites in which web servers have several faults, one
// behind the other.
func webServerChains() []Case {
	return []Case{
		{
			Name: "ua-https-502", Row: "ua-https-502", Findings: []string{"ua-blocked", "web-server-xfp-rewrite", "nothing-listening"},
			Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				site := serveNginx(s, `
map $http_user_agent $robot { default 0; "~*(bot|crawl|spider|checker|curl|wget)" 1; "" 1; }
server {
	listen @address@;
	if ($robot) { return 403; }
	if ($http_x_forwarded_proto != "https") { return 301 https://$host$request_uri; }
	location / { proxy_pass http://@nobody@; proxy_set_header Host $host; }
}`)
				site.behind = s.words["@nobody@"]
				return site
			},
		},
		{
			Name: "tls-sni-vhost", Row: "tls-sni-vhost", Findings: []string{"http-to-https-port", "tls-sni-required", "nginx-wrong-vhost"},
			Start: nginx(`
server { listen @address@ ssl default_server; ssl_reject_handshake on; location / { return 404; } }
server { listen @address@ ssl; server_name example.com; ` + nginxTLS + nginxWell + `}`),
		},
		{
			Name: "proxy-protocol-vhost", Row: "proxy-protocol-vhost", Findings: []string{"proxy-protocol-expected", "nginx-wrong-vhost"},
			Start: nginx(`
server { listen @address@ proxy_protocol; server_name blog.example.org; location / { return 404; } location = / { return 200 "blog\n"; } }
server { listen @address@ proxy_protocol; server_name example.com; ` + nginxWell + `}`),
		},
	}
}
