package webserver

import "testing"

func TestCaddy(t *testing.T) {
	t.Parallel()
	check(t, Caddy, []reading{
		{
			name: "sites",
			files: map[string]string{
				"main": `{
	email a@example.com
	log {
		output file /var/log/caddy/caddy.log
	}
}

(common) {
	encode gzip
	log {
		output file /var/log/caddy/access.log
	}
}

example.com, www.example.com {
	import common
	# the application
	reverse_proxy localhost:8000
	handle_path /api/* {
		reverse_proxy {
			to h2c://10.0.0.2:81 unix//run/api.sock|0222
			header_up Host {upstream_hostport}
			header_up -X-Forwarded-Proto
		}
	}
}

http://a.example.com,
:8080 {
	bind 10.0.0.10
	@php path *.php
	php_fastcgi @php unix//run/php.sock
	reverse_proxy /x/* https://{$UPSTREAM:app.internal} {
		header_up X-Forwarded-Proto https
		header_up Host {host}
	}
}
import sites/*.caddy
`,
				"sites/b.caddy": "localhost:9443 {\n\treverse_proxy :3000 {\n\t\ttrusted_proxies private_ranges\n\t\ttransport http {\n\t\t\ttls_insecure_skip_verify\n\t\t}\n\t}\n}\n",
			},
			want: `
listen *:443 tls default names=example.com @main:15
listen *:443 tls names=www.example.com @main:15
listen 10.0.0.10:80 default names=a.example.com @main:28
listen 10.0.0.10:8080 default @main:28
listen *:9443 tls default names=localhost @sites/b.caddy:1
http localhost:8000 names=example.com,www.example.com proto=own @main:18
h2c 10.0.0.2:81 path=/api/* names=example.com,www.example.com host=own(Host "{upstream_hostport}")@22 proto=removed(-X-Forwarded-Proto)@23 @main:20
http unix:/run/api.sock path=/api/* names=example.com,www.example.com host=own(Host "{upstream_hostport}")@22 proto=removed(-X-Forwarded-Proto)@23 @main:20
fastcgi unix:/run/php.sock path=path *.php names=a.example.com proto=own @main:32
https app.internal:443 path=/x/* names=a.example.com host=without the port(Host "{host}")@35 proto=fixed(X-Forwarded-Proto https)@34 @main:33
https localhost:3000 names=localhost @sites/b.caddy:2
redirect: example.com: automatic HTTPS redirects http://example.com names=example.com @main:15
redirect: www.example.com: automatic HTTPS redirects http://www.example.com names=www.example.com @main:15
errors to /var/log/caddy/caddy.log
log to /var/log/caddy/access.log
`,
		},
		{
			name: "one site without braces, and rules",
			files: map[string]string{"main": `:8080
respond /health "it is \"fine\"" 200
redir / https://www.example.com{uri} permanent
@secret header X-Secret s3cret
respond @secret 403
basicauth /staff/* {
	bob $2a$14$secret
}
abort /never
respond <<EOF
	text
	EOF 200
reverse_proxy 127.0.0.1:8000 \
	127.0.0.1:8001
`},
			want: `
listen *:8080 default @main:1
http 127.0.0.1:8000 proto=own @main:13
http 127.0.0.1:8001 proto=own @main:13
answer: respond "it is "fine"" 200 path=/health @main:2
redirect: redir "https://www.example.com{uri}" permanent path=/ @main:3
answer: respond 403 path=a condition on x-secret @main:5
authentication: basicauth path=/staff/* @main:6
close: abort path=/never @main:9
answer: respond "text " 200 @main:10
`,
		},
		{
			name: "HTTPS that is not automatic, and proxies that are trusted",
			files: map[string]string{"main": `{
	auto_https disable_redirects
	http_port 8000
	servers {
		trusted_proxies static private_ranges
	}
}
example.com {
	reverse_proxy 127.0.0.1:1
}
http://b.example.com {
	reverse_proxy 127.0.0.1:2
}
`},
			want: `
listen *:443 tls default names=example.com @main:8
listen *:8000 default names=b.example.com @main:11
http 127.0.0.1:1 names=example.com @main:9
http 127.0.0.1:2 names=b.example.com @main:12
`,
		},
		{
			name:  "JSON",
			files: map[string]string{"main": `{"apps": {}}`},
			want:  "unread: not read, since it is JSON; a Caddyfile would be: main\n",
		},
	})
}
