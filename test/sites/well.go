package sites

// healthyServers are web servers as they should be set up: a probe gets its
// answer whatever it calls the site, users are sent where they belong, and
// idle connections outlive the load balancer's patience.
func healthyServers() []Case {
	cases := []Case{
		{
			// The health path is exempt from everything that the rest is subject to.
			Name: "healthy-nginx",
			Start: nginx(`
server {
	listen @address@ default_server;
	location = /health { default_type text/plain; return 200 "healthy\n"; }
	location / { return 444; }
}
server {
	listen @address@;
	server_name example.com;
	location = /health { proxy_pass http://@app@; }
	location / {
		if ($http_x_forwarded_proto != "https") { return 301 https://$host$request_uri; }
		proxy_pass http://@app@;
	}
}`),
		},
		{
			Name:  "healthy-nginx-proxy",
			Start: nginx(`server { listen @address@; ` + nginxProxy + `}`),
		},
		{
			Name:  "healthy-nginx-tls",
			Start: overHTTPS(nginx(`server { listen @address@ ssl; ` + nginxTLS + nginxProxy + `}`)),
		},
		{
			Name: "healthy-apache",
			Start: apache(apacheLoad("rewrite", "proxy", "proxy_http") + `
<VirtualHost @address@>
	ServerName example.com
	RewriteEngine On
	RewriteCond %{HTTP:X-Forwarded-Proto} =http
	RewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]
	ProxyPass / http://@app@/
</VirtualHost>
`),
		},
		{
			Name: "healthy-haproxy",
			Start: haproxy(`
frontend web
	bind @address@
	http-request redirect scheme https unless { path /health } or { req.hdr(X-Forwarded-Proto) -i https }
	default_backend app
` + toApp),
		},
		{
			Name:  "healthy-caddy",
			Start: caddy("http://:@port@ {\n\treverse_proxy @app@\n}\n"),
		},
		{
			Name:  "healthy-lighttpd",
			Start: lighttpdBefore("@app@"),
		},
		{
			Name:  "healthy-varnish",
			Start: varnish("@app@"),
		},
		{
			Name: "healthy-php-fpm",
			Start: askedFor("/health.php", behindPHP(`
	location ~ \.php$ {
		fastcgi_param REQUEST_METHOD $request_method;
		fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		fastcgi_pass unix:@fpm@;
	}
`)),
		},
		{
			Name:  "healthy-grpc",
			Start: grpc("grpc.health.v1.Health", "/grpc.health.v1.Health/Check", "0"),
		},
	}
	// Each prober is content with the same site.
	for _, prober := range []string{"classic", "nlb", "route53", "kubelet", "gcp", "azure", "consul", "haproxy", "nginx-plus", "docker"} {
		cases = append(cases, Case{
			Name:  "healthy-for-" + prober,
			Start: by(prober, nginx(`server { listen @address@; `+nginxWell+`}`)),
		})
	}
	for i := range cases {
		cases[i].Row = "healthy"
	}
	return cases
}
