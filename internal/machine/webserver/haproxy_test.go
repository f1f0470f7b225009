package webserver

import "testing"

func TestHAProxy(t *testing.T) {
	t.Parallel()
	check(t, HAProxy, []reading{
		{
			name: "frontends and their backends",
			files: map[string]string{"main": `global
	log /dev/log local0
defaults
	mode http
	option httpchk GET /ignored
frontend web
	bind *:80
	bind :::81 v4v6
	bind 10.0.0.1:443,[::1]:443 ssl crt /etc/x.pem strict-sni accept-proxy # a comment
	bind /run/front.sock
	bind fd@${FD}
	http-request set-header X-Forwarded-Proto https if { ssl_fc }
	http-request set-header X-Forwarded-Proto http if !{ ssl_fc }
	acl is_api hdr(host) -i api.example.com "b.example.com"
	acl slow path_beg /slow
	use_backend api if is_api
	use_backend www if { hdr(host),field(1,:) -i www.example.com } slow
	use_backend %[req.hdr(x)] if slow
	default_backend www
backend api
	http-request set-header Host "${TARGET}"
	server a "${APP}":8001 check
	server b 10.0.0.3:8002 ssl verify none
	server c 10.0.0.4:8003 disabled
backend www
	http-request del-header X-Forwarded-Proto
	server a unix@/run/www.sock
	server b ::1:8004 proto h2
backend unnamed
	server a 127.0.0.1
	server b /run/other.sock
`},
			options: Options{Env: func(name string) string { return map[string]string{"APP": "10.0.0.2"}[name] }},
			want: `
listen 0.0.0.0:80 default names=api.example.com,b.example.com,www.example.com @main:7
listen *:81 default names=api.example.com,b.example.com,www.example.com @main:8
listen 10.0.0.1:443 tls proxy default names=api.example.com,b.example.com,www.example.com @main:9
listen [::1]:443 tls proxy default names=api.example.com,b.example.com,www.example.com @main:9
listen unix:/run/front.sock default names=api.example.com,b.example.com,www.example.com @main:10
http 10.0.0.2:8001 path=if is_api names=api.example.com,b.example.com host=unknown(${TARGET})@21 proto=own(http if !{ ssl_fc })@13 @main:22
https 10.0.0.3:8002 path=if is_api names=api.example.com,b.example.com host=unknown(${TARGET})@21 proto=own(http if !{ ssl_fc })@13 @main:23
http unix:/run/www.sock path=if { hdr(host),field(1,:) -i www.example.com } slow names=www.example.com proto=removed(del-header)@26 @main:27
h2c [::1]:8004 path=if { hdr(host),field(1,:) -i www.example.com } slow names=www.example.com proto=removed(del-header)@26 @main:28
http unix:/run/www.sock proto=removed(del-header)@26 @main:27
h2c [::1]:8004 proto=removed(del-header)@26 @main:28
http 127.0.0.1 @main:30
http unix:/run/other.sock @main:31
server name: bind 10.0.0.1:443,[::1]:443 ssl crt /etc/x.pem strict-sni accept-proxy @main:9
`,
		},
		{
			name: "rules, and what listens and proxies at once",
			files: map[string]string{
				"10.cfg": `listen db
	mode tcp
	bind 127.0.0.1:5432
	server a db.internal:5432
	tcp-request connection reject if { src 10.0.0.66 }
`,
				"20.cfg": `defaults
	mode http
	default-server ssl
listen web
	bind :8080
	bind :8443 ssl ca-file x verify required
	redirect scheme https unless { hdr(X-Forwarded-Proto) https }
	http-request redirect scheme https if !{ ssl_fc } { path /a }
	http-request deny if { req.hdr(x-secret) -m str s3cret }
	http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 }
	http-request auth realm staff
	http-request return status 200 if { path /health }
	monitor-uri /haproxy
	reqadd X-Forwarded-Proto:\ https
	http-request set-header Host %[req.hdr(host)]
	server a 127.0.0.1:8000
	server b 127.0.0.1:8001 no-ssl
`,
				"ignored.conf": "listen no\n",
			},
			main: []string{"."},
			want: `
listen 127.0.0.1:5432 default @10.cfg:3
listen 0.0.0.0:8080 default @20.cfg:5
listen 0.0.0.0:8443 tls default @20.cfg:6
tcp db.internal:5432 @10.cfg:4
https 127.0.0.1:8000 host=as sent(%[req.hdr(host)])@15 proto=fixed(https)@14 @20.cfg:16
http 127.0.0.1:8001 host=as sent(%[req.hdr(host)])@15 proto=fixed(https)@14 @20.cfg:17
refuse: tcp-request connection reject if { src 10.0.0.66 } @10.cfg:5
client certificate: bind :8443 ssl ca-file x verify required @20.cfg:6
redirect: redirect scheme https unless { hdr(X-Forwarded-Proto) https } @20.cfg:7
redirect: http-request redirect scheme https if !{ ssl_fc } { path /a } @20.cfg:8
refuse: http-request deny if a condition on x-secret @20.cfg:9
limit: http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 } @20.cfg:10
authentication: http-request auth realm staff @20.cfg:11
answer: http-request return status 200 if { path /health } @20.cfg:12
answer: monitor-uri /haproxy @20.cfg:13
`,
		},
	})
}
