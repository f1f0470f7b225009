package webserver

import "testing"

func TestApache(t *testing.T) {
	t.Parallel()
	check(t, Apache, []reading{
		{
			name: "Debian's, with a site for mod_wsgi",
			files: map[string]string{
				"main": `# comments have lines of their own
ErrorLog ${APACHE_LOG_DIR}/error.log
IncludeOptional mods-enabled/*.load
Include ports.conf
<Directory />
	Require all denied
</Directory>
<FilesMatch "^\.ht">
	Require all denied
</FilesMatch>
IncludeOptional sites-enabled/*.conf
IncludeOptional absent.conf
`,
				"mods-enabled/wsgi.load": "LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so\n",
				"ports.conf":             "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n<IfModule !mod_wsgi.c>\n\tListen 81\n</IfModule>\n",
				"sites-enabled/000.conf": `<VirtualHost *:80>
	ServerName http://example.com:80
	ServerAlias www.example.com \
		api.example.com
	CustomLog ${APACHE_LOG_DIR}/access.log combined
	ErrorLog "|/usr/bin/rotatelogs /var/log/x"
	WSGIScriptAlias / /srv/site/wsgi.py
	RewriteEngine On
	RewriteCond %{HTTP:X-Forwarded-Proto} !https
	RewriteCond %{REQUEST_URI} !^/health$
	RewriteRule (.*) https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]
	RewriteRule ^/old /new [PT]
</VirtualHost>
`,
			},
			options: Options{Env: func(name string) string { return map[string]string{"APACHE_LOG_DIR": "/var/log/apache2"}[name] }},
			want: `
listen *:80 default names=example.com,www.example.com,api.example.com @sites-enabled/000.conf:1
listen *:443 default @ports.conf:3
wsgi /srv/site/wsgi.py path=/ names=example.com,www.example.com,api.example.com @sites-enabled/000.conf:7
redirect: RewriteCond %{HTTP:X-Forwarded-Proto} !https: RewriteCond %{REQUEST_URI} !^/health$: RewriteRule (.*) "https://%{HTTP_HOST}%{REQUEST_URI}" [R=301,L] names=example.com,www.example.com,api.example.com @sites-enabled/000.conf:11
refuse: <Directory />: Require all denied @main:6
errors to /var/log/apache2/error.log
log to /var/log/apache2/access.log
`,
		},
		{
			name: "proxies",
			files: map[string]string{"main": `
Listen 10.0.0.10:80
ProxyPass /main http://127.0.0.1:7000/
RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}
<Proxy "balancer://pool">
  BalancerMember http://10.0.0.1:8001 route=a
  BalancerMember https://10.0.0.2
</Proxy>
<VirtualHost 10.0.0.10:80>
  ServerName a.example.com
  ProxyPass /static !
  ProxyPass "/" "http://127.0.0.1:8000/" retry=0
  ProxyPassMatch ^/(.*\.php)$ fcgi://127.0.0.1:9000/srv/$1
  <Location "/api">
    ProxyPreserveHost On
    RequestHeader set X-Forwarded-Proto "https"
    ProxyPass unix:/run/api.sock|http://localhost/api
  </Location>
</VirtualHost>
<VirtualHost 10.0.0.10:80>
  ServerName b.example.com
  ProxyPreserveHost On
  RequestHeader unset X-Forwarded-Proto
  ProxyPass / balancer://pool/
  RewriteRule ^/ws/(.*) ws://127.0.0.1:8002/$1 [P,L]
  RewriteRule ^/v/(.*) http://127.0.0.1:8003$1 [P]
  <FilesMatch \.php$>
    SetHandler "proxy:unix:/run/php/fpm.sock|fcgi://localhost/"
  </FilesMatch>
  ProxyPass /t ajp://127.0.0.1/
</VirtualHost>
<VirtualHost _default_:443>
  SSLEngine on
  RemoteIPProxyProtocol On
  RequestHeader set Host "fixed.example.com"
  RequestHeader set X-Forwarded-Proto https env=HTTPS
  ProxyPass / uwsgi://127.0.0.1/
</VirtualHost>
`},
			want: `
listen 10.0.0.10:80 default names=a.example.com @main:9
listen 10.0.0.10:80 names=b.example.com @main:20
listen *:443 tls proxy default @main:32
http 127.0.0.1:8000 path=/ names=a.example.com host=own proto=own(set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}")@4 @main:12
fastcgi 127.0.0.1:9000 path=^/(.*\.php)$ names=a.example.com proto=own(set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}")@4 @main:13
http unix:/run/api.sock path=/api names=a.example.com host=as sent(ProxyPreserveHost On)@15 proto=fixed(https)@16 @main:17
http 10.0.0.1:8001 path=/ names=b.example.com host=as sent(ProxyPreserveHost On)@22 proto=removed(unset X-Forwarded-Proto)@23 @main:24
https 10.0.0.2:443 path=/ names=b.example.com host=as sent(ProxyPreserveHost On)@22 proto=removed(unset X-Forwarded-Proto)@23 @main:24
http 127.0.0.1:8002 path=^/ws/(.*) names=b.example.com host=as sent(ProxyPreserveHost On)@22 proto=removed(unset X-Forwarded-Proto)@23 @main:25
http 127.0.0.1:8003 path=^/v/(.*) names=b.example.com host=as sent(ProxyPreserveHost On)@22 proto=removed(unset X-Forwarded-Proto)@23 @main:26
fastcgi unix:/run/php/fpm.sock names=b.example.com host=as sent(ProxyPreserveHost On)@22 proto=removed(unset X-Forwarded-Proto)@23 @main:28
ajp 127.0.0.1:8009 path=/t names=b.example.com host=as sent(ProxyPreserveHost On)@22 proto=removed(unset X-Forwarded-Proto)@23 @main:30
uwsgi 127.0.0.1:3031 path=/ host=fixed(fixed.example.com)@35 proto=unknown(set X-Forwarded-Proto https env=HTTPS)@36 @main:37
http 127.0.0.1:7000 path=/main host=own proto=own(set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}")@4 @main:3
`,
		},
		{
			name: "rules, and sections that count or not",
			files: map[string]string{"main": `
Define PORT 8080
Listen ${PORT}
Listen 8443 https
<IfDefine STAGING>
  AuthType Basic
  Require valid-user
</IfDefine>
<IfDefine !STAGING>
  Redirect /never /x
  <IfDefine NESTED>
  </IfDefine>
  Redirect /never /y
</IfDefine>
Redirect permanent / https://www.example.com/
<Location /admin>
  <RequireAny>
    Require ip 10.0.0.0/8
    Require not ip 10.0.0.66
  </RequireAny>
</Location>
<LocationMatch ^/a>
  Order deny,allow
  Deny from all
  Allow from 10.0.0.1
</LocationMatch>
<If "req('X-Token') != 's3cret'">
  Require all denied
</If>
SSLVerifyClient require
SSLStrictSNIVHostCheck on
SecRuleEngine On
RewriteCond %{HTTP_USER_AGENT} ELB
RewriteRule ^ - [F]
Require all granted
`},
			options: Options{Defines: []string{"STAGING"}},
			want: `
listen *:8080 default @main:3
listen *:8443 tls default @main:4
authentication: Require valid-user @main:7
redirect: Redirect permanent / https://www.example.com/ @main:15
allow: Require ip 10.0.0.0/8 path=/admin @main:18
refuse: Require not ip 10.0.0.66 path=/admin @main:19
refuse: Deny from all path=~ ^/a @main:24
allow: Allow from 10.0.0.1 path=~ ^/a @main:25
refuse: If a condition on x-token: Require all denied @main:28
client certificate: SSLVerifyClient require @main:30
server name: SSLStrictSNIVHostCheck on @main:31
filter: SecRuleEngine On @main:32
refuse: RewriteCond %{HTTP_USER_AGENT} ELB: RewriteRule ^ - [F] @main:34
`,
		},
	})
}
