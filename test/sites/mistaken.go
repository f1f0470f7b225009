package sites

import (
	"fmt"
	"path/filepath"
	"testing"

	"hale/test/servers"
)

// mistakenSites are sites whose answers are easily taken for those of other
// software, or for another fault.
func mistakenSites() []Case {
	return []Case{
		{
			// A bare 301 without a server's name is HAProxy's, and Rails's, too.
			Name: "sinatra-https", Row: "web-server-xfp-rewrite", Findings: []string{"web-server-xfp-rewrite"},
			Start: func(t testing.TB) Site {
				servers.NeedRuby(t, "sinatra/base", "ruby-sinatra")
				dir, address := filepath.Join(t.TempDir(), "sinatra"), private(t)
				write(t, filepath.Join(dir, "config.ru"), `require "sinatra/base"

class Shop < Sinatra::Base
  set :environment, :production
  before { redirect to(request.path_info).sub("http:", "https:"), 301 unless request.secure? }
  get("/health") { "ok" }
end

run Shop
`)
				return site(address, puma(t, dir, address))
			},
		},
		{
			// Every browser sends Accept, and a probe does not.
			Name: "express-wants-accept", Row: "handler-exception", Findings: []string{"handler-exception"},
			Start: onExpress("app.get('/health', (req, res) => res.send(req.headers.accept.includes('json') ? '{}' : 'ok'));\n"),
		},
		{
			// The app is well, on loopback; the proxy before it does not run. The
			// load balancer does not reach the app by its port.
			Name: "proxy-down", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.fill("@app@")
				return s.site()
			},
		},
		{
			// Another site on the same machine answers the path that this one lacks,
			// and is no management port of its.
			Name: "neighbour", Row: "wrong-path-404", Findings: []string{"express-https-redirect", "wrong-path-404"}, Inside: true, Path: []string{"/healthz"},
			Start: func(t testing.TB) Site {
				serve(t, Private, app())
				site := onExpress(expressSSL + "app.get('/healthz', (req, res) => res.send('ok'));\n")(t)
				site.Path = "/status"
				return site
			},
		},
		{
			// Of two other sites on the machine, neither is what the load balancer wants.
			Name: "neighbours", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: func(t testing.TB) Site {
				serve(t, Private, app())
				serve(t, Private, app())
				return site(private(t))
			},
		},
		{
			// The site could not start, by its own log: who takes any port, and answers
			// everything, is somebody else.
			Name: "neighbour-of-crashed", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				other := newSetting(t)
				started := filepath.Join(other.dir(), "started")
				node(other, `http.createServer((req, res) => res.end('ok')).listen(0, () => require('fs').writeFileSync('`+started+`', ''));`,
					servers.Spec{Ready: thereIs(started)})
				s := newSetting(t)
				return s.site(nodeDies(s, `require('./routes/index.js');`, servers.Spec{}))
			},
		},
		{
			// Nobody is behind the proxy: who passes on a port that the kernel chose has
			// it from nobody knows where, and is another program.
			Name: "neighbour-of-proxy", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				other := newSetting(t)
				started := filepath.Join(other.dir(), "started")
				node(other, `http.createServer((req, res) => { res.statusCode = req.url === '/health' ? 200 : 404; res.end(); })
	.listen(0, () => require('fs').writeFileSync('`+started+`', ''));`, servers.Spec{Ready: thereIs(started)})
				return haproxy(`
frontend web
	bind @address@
	default_backend app
backend app
	retries 0
	server app @nobody@
`)(t)
			},
		},
		{
			// Of two programs on the machine that answer HTTP one passes, by a path that
			// many have: it may be another site.
			Name: "neighbours-of-proxy", Row: "nothing-listening", Findings: []string{"ua-blocked", "nothing-listening"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				listens := `http.createServer((req, res) => { res.statusCode = req.url === '/health' ? %d : 404; res.end(); }).listen(%d);`
				for _, other := range []struct{ status, port int }{{200, 8081}, {404, 8082}} {
					node(newSetting(t), fmt.Sprintf(listens, other.status, other.port), servers.Spec{Listens: []string{fmt.Sprint("127.0.0.1:", other.port)}})
				}
				return nginx(`server {
	listen @port@;
	if ($http_user_agent ~* HealthChecker) { return 403; }
	location / { proxy_pass http://@nobody@; }
}`)(t)
			},
		},
		{
			// The proxy's idea of the app's port is wrong, and not the load balancer's.
			Name: "proxy-wrong-port", Row: "wrong-port", Findings: []string{"ua-blocked", "wrong-port"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				node(newSetting(t), `server.listen(8081, '127.0.0.1');`, servers.Spec{Listens: []string{"127.0.0.1:8081"}})
				return nginx(`server {
	listen @port@;
	if ($http_user_agent ~* HealthChecker) { return 403; }
	location / { proxy_pass http://@nobody@; }
}`)(t)
			},
		},
		{
			// What is behind the redirect is no fault of a port's.
			Name: "kubelet-follows-any-redirect", Row: "kubelet-follows-redirect", Findings: []string{"kubelet-follows-redirect"},
			Start: by("kubelet", onExpress("app.use((req, res) => res.redirect(301, 'https://' + req.headers.host + req.url));\n")),
		},
		{
			// PHP that nobody runs is a file like any other, and passes.
			Name: "php-source", Row: "false-positive-200", Findings: []string{"false-positive-200"},
			Start: askedFor("/health.php", nginxFile("health.php", "<?php echo \"healthy\\n\";")),
		},
		{
			Name: "php-fatal", Row: "handler-exception", Findings: []string{"handler-exception"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("www/health.php", "<?php new Shop();")
				s.words["@fpm@"] = filepath.Join(s.dir(), "fpm.sock")
				s.logs = append(s.logs, servePHP(s, s.words["@fpm@"]))
				site := serveNginx(s, `server {
	listen @address@;
	root @dir@/www;
	location ~ \.php$ { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass unix:@fpm@; }
}`)
				site.Path = "/health.php"
				return site
			},
		},
	}
}

// nginxFile is an nginx that serves a file, and knows no programs.
func nginxFile(name, content string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		s.file("www/"+name, content)
		return serveNginx(s, "server { listen @address@; root @dir@/www; }\n")
	}
}
