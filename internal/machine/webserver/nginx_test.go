package webserver

import "testing"

func TestNginx(t *testing.T) {
	t.Parallel()
	check(t, Nginx, []reading{
		{
			name: "Debian's, with a site for uWSGI",
			files: map[string]string{
				"main": `user www-data;
error_log /var/log/nginx/error.log;
include modules-enabled/*.conf;
events { worker_connections 768; }
http {
	sendfile on; # a comment
	access_log /var/log/nginx/access.log;
	include conf.d/*.conf;
	include sites-enabled/*;
}
`,
				"sites-enabled/site": `server {
    listen 80 default_server;
    listen [::]:80 default_server;
    server_name example.com www.example.com;
    location /static { alias /srv/static; }
    location / {
        include uwsgi_params;
        uwsgi_pass unix:/run/site.sock;
    }
}
`,
				"uwsgi_params": "uwsgi_param QUERY_STRING $query_string;\nuwsgi_param HTTP_X_FORWARDED_PROTO $scheme;\n",
			},
			want: `
listen 0.0.0.0:80 default names=example.com,www.example.com @sites-enabled/site:2
listen [::]:80 default names=example.com,www.example.com @sites-enabled/site:3
uwsgi unix:/run/site.sock path=/ names=example.com,www.example.com proto=own($scheme)@2 @sites-enabled/site:8
errors to /var/log/nginx/error.log
log to /var/log/nginx/access.log
`,
		},
		{
			name: "what proxy_pass sends by default, and what it is told to",
			files: map[string]string{"main": `
http {
  map $http_x_forwarded_proto $proto { default $scheme; https https; }
  upstream app { server 127.0.0.1:8001 weight=2; server unix:/run/b.sock; server 10.0.0.3; server 10.0.0.4:80 down; }
  server {
    listen 8080;
    location /default { proxy_pass http://127.0.0.1:8000; }
    location /overwrites { proxy_pass http://app/; proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto $scheme; }
    location = /keeps { proxy_set_header Host $http_host; proxy_set_header x-forwarded-proto $proto; proxy_pass https://app.internal; }
    location ~* "\.(a|b){2}$" { proxy_set_header Host example.com; proxy_set_header X-Forwarded-Proto "https"; proxy_pass http://[::1]:8000; }
    location /removes { proxy_set_header Host ""; proxy_pass http://unix:/run/app.sock:/uri/; }
    location /computes { proxy_set_header Host $x$y; proxy_pass http://127.0.0.1:8000$request_uri; }
  }
  server {
    proxy_set_header Host $host;
    set $backend "http://10.0.0.9:81"; set $port 82;
    location /inherits { proxy_pass $backend; }
    location /inherits-not { proxy_set_header Upgrade $http_upgrade; proxy_pass http://10.0.0.9:${port}; }
    location /unknown { proxy_pass http://$1:80; }
  }
}
`},
			want: `
listen 0.0.0.0:8080 default @main:6
listen 0.0.0.0:80 default @main:14
http 127.0.0.1:8000 path=/default host=own @main:7
http 127.0.0.1:8001 path=/overwrites host=without the port($host)@8 proto=own($scheme)@8 @main:8
http unix:/run/b.sock path=/overwrites host=without the port($host)@8 proto=own($scheme)@8 @main:8
http 10.0.0.3:80 path=/overwrites host=without the port($host)@8 proto=own($scheme)@8 @main:8
https app.internal:443 path== /keeps host=as sent($http_host)@9 proto=as sent($proto)@9 @main:9
http [::1]:8000 path=~* \.(a|b){2}$ host=fixed(example.com)@10 proto=fixed(https)@10 @main:10
http unix:/run/app.sock path=/removes host=removed @main:11
http 127.0.0.1:8000 path=/computes host=unknown($x$y)@12 @main:12
http 10.0.0.9:81 path=/inherits host=without the port($host)@15 @main:17
http 10.0.0.9:82 path=/inherits-not host=own @main:18
http $1:80 path=/unknown host=without the port($host)@15 @main:19
`,
		},
		{
			name: "other protocols",
			files: map[string]string{"main": `
stream { server { listen 5432; proxy_pass db.internal:5432; } }
mail { server { listen 25; server_name mail.example.com; } }
http { server { listen unix:/run/front.sock; listen 127.0.0.1:81 ssl http2 proxy_protocol;
  location /f { fastcgi_pass 127.0.0.1:9000; fastcgi_param HTTP_HOST $host; }
  location /u { uwsgi_pass uwsgi://127.0.0.1:3031; uwsgi_pass_request_headers off; }
  location /s { scgi_pass localhost:4000; }
  location /g { grpc_pass grpc://127.0.0.1:50051; }
} }
`},
			want: `
listen 0.0.0.0:5432 default @main:2
listen unix:/run/front.sock default @main:4
listen 127.0.0.1:81 tls http2 proxy default @main:4
tcp db.internal:5432 @main:2
fastcgi 127.0.0.1:9000 path=/f host=without the port($host)@5 @main:5
uwsgi 127.0.0.1:3031 path=/u host=removed proto=removed @main:6
scgi localhost:4000 path=/s @main:7
grpc 127.0.0.1:50051 path=/g host=own @main:8
`,
		},
		{
			name: "rules",
			files: map[string]string{"main": `http {
  server { listen 80; return 444; }
  server {
    server_name www.example.com; ssl on;
    if ($http_x_forwarded_proto != "https") { return 301 https://$host$request_uri; }
    if ($http_x_origin_secret != "s3cret") { return 403; }
    rewrite ^/old /new last;
    rewrite ^ https://$host$uri permanent;
    location = /health { auth_basic off; return 200 "ok\n"; }
    location / { allow 10.0.0.0/8; deny all; auth_basic "Staff only"; limit_req zone=a; }
    location /x { allow all; return 302 /y; }
    ssl_verify_client on; ssl_reject_handshake on; modsecurity on;
  }
}
`},
			want: `
listen 0.0.0.0:80 default @main:2
listen 0.0.0.0:80 tls names=www.example.com @main:3
close: return 444 @main:2
redirect: if ($http_x_forwarded_proto != https): return 301 https://$host$request_uri names=www.example.com @main:5
refuse: if a condition on x-origin-secret: return 403 names=www.example.com @main:6
redirect: rewrite ^ https://$host$uri permanent names=www.example.com @main:8
answer: return 200 "ok " path== /health names=www.example.com @main:9
allow: allow 10.0.0.0/8 path=/ names=www.example.com @main:10
refuse: deny all path=/ names=www.example.com @main:10
authentication: auth_basic "Staff only" path=/ names=www.example.com @main:10
limit: limit_req zone=a path=/ names=www.example.com @main:10
redirect: return 302 /y path=/x names=www.example.com @main:11
client certificate: ssl_verify_client on names=www.example.com @main:12
server name: ssl_reject_handshake on names=www.example.com @main:12
filter: modsecurity on names=www.example.com @main:12
`,
		},
		{
			name: "logs that are files",
			files: map[string]string{"main": `
error_log logs/error.log warn;
http { access_log off; error_log stderr; error_log syslog:server=unix:/dev/log; error_log memory:32m;
server { access_log /var/log/nginx/$host.log; access_log /srv/log/access.log main; access_log /dev/stdout; error_log /srv/log/error.log; } }
`},
			options: Options{Dir: "/usr/share/nginx"},
			want: `
listen 0.0.0.0:80 default @main:4
errors to /usr/share/nginx/logs/error.log
errors to /srv/log/error.log
log to /srv/log/access.log
`,
		},
		{
			name: "Lua, which may hold braces and quotes",
			files: map[string]string{"main": `http { server { listen 81;
content_by_lua_block {
  local t = { a = "}", b = '{' } -- }
  --[[ } ]] local s = [[ } ]]
}
location / { proxy_pass http://127.0.0.1:1; } } }
`},
			want: `
listen 0.0.0.0:81 default @main:1
http 127.0.0.1:1 path=/ host=own @main:6
`,
		},
		{
			name:  "a file that cannot be read, and one that ends early",
			files: map[string]string{"main": "http { include absent.conf; include none*.conf; include cut; server { listen 82; } }", "cut": "server { listen 81; } }"},
			want: `
listen 0.0.0.0:81 default @cut:1
listen 0.0.0.0:82 default @main:1
unread: no such file: absent.conf
unread: read up to line 1 only, where a block ends that has not begun, or blocks are too deep: cut
`,
		},
	})
}
