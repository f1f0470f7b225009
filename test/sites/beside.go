package sites

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// besideSites are sites beside which something else is to be seen that is easily
// taken for the cause: other sites of the same web server, what logs say of other
// times and other things, a second fault that the first one's cure cures, too.
func besideSites() []Case {
	return []Case{
		{
			// The default virtual host's app is gone; the site that is meant is well.
			Name: "default-host-down", Row: "nginx-wrong-vhost", Findings: []string{"nginx-wrong-vhost"},
			Start: nginx(`
server { listen @address@ default_server; server_name old.example.com; location / { proxy_pass http://@nobody@; } }
server { listen @address@; server_name example.com; location / { proxy_pass http://@app@; } }
`),
		},
		{
			// And the other way round: what passes is another site.
			Name: "default-host-passes", Row: "false-positive-200", Findings: []string{"false-positive-200"},
			Start: nginx(`
server { listen @address@ default_server; server_name old.example.com; location / { proxy_pass http://@app@; } }
server { listen @address@; server_name example.com; location / { proxy_pass http://@nobody@; } }
`),
		},
		{
			// Other names of the same HAProxy are other sites.
			Name: "haproxy-other-sites", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: haproxy(`
frontend web
	bind @address@
	use_backend other if { hdr(host) -i old.example.com }
	default_backend app
backend other
	server other1 @app@
backend app
	retries 0
	server app1 @nobody@
`),
		},
		{
			// The upstream of other paths is well, and does not know this one.
			Name: "other-paths-upstream", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: askedFor("/api/health", nginx(`
server { listen @address@; location / { proxy_pass http://@app@; } location /api/ { proxy_pass http://@nobody@; } }
`)),
		},
		{
			// The app of another site has the path, on a port of its own.
			Name: "other-site-has-path", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Inside: true,
			Start: askedFor("/status", besideExpress("app.get('/status', (req, res) => res.send('ok'));\n", `
server { listen @address@; server_name example.com; location / { proxy_pass http://@app@; } }
server { listen @address@; server_name old.example.com; location / { proxy_pass http://@other@; } }
`)),
		},
		{
			// What another app of the same web server lacks is in that one's log.
			Name: "other-app-lacks-variable", Row: "handler-exception", Findings: []string{"handler-exception"}, Inside: true,
			Start: askedFor("/broken", besideExpress("console.error('Error: Environment variable DATABASE_URL is not set');\n", `
server { listen @address@; location / { proxy_pass http://@app@; } location /api/ { proxy_pass http://@other@; } }
`)),
		},
		{
			// The only program that answers HTTP is one that reports figures, to whatever is
			// asked.
			Name: "agent-alone", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true, Alone: true,
			Start: agent(200),
		},
		{
			// It has a page at /, as everybody has.
			Name: "agent-has-root", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true, Alone: true,
			Start: askedFor("/", agent(404)),
		},
		{
			// The proxy before the app stands behind another.
			Name: "proxy-behind-proxy", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.address = loopback(t)
				s.words["@address@"] = s.address
				inner := serveNginx(s, "server { listen @address@; location / { proxy_pass http://@nobody@; } }\n")
				site := haproxy(`
frontend web
	bind @address@
	default_backend app
backend app
	server app1 ` + inner.Address + `
`)(t)
				site.Log = append(site.Log, inner.Log...)
				return site
			},
		},
		{
			// The redirect is to https and to a name; the name alone is what it wants.
			Name: "https-and-name", Row: "canonical-host-redirect", Findings: []string{"canonical-host-redirect"},
			Start: onExpress("app.use((req, res, next) => req.hostname === 'www.example.com' ? next() : res.redirect(301, 'https://www.example.com' + req.url));\n"),
		},
		{
			// nginx says of a dead app what it was told to say.
			Name: "own-page-of-502", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: nginx(`server {
	listen @address@;
	error_page 502 /sorry; location = /sorry { internal; return 502 "We are sorry."; }
	location / { proxy_pass http://@nobody@; }
}`),
		},
		{
			// It lacked a variable once, was given that, and ended later for another reason.
			Name: "variable-given-since", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(s.file("app.log", `Traceback (most recent call last):
  File "/srv/shop/wsgi.py", line 3, in <module>
    database = os.environ['DATABASE_URL']
  File "/usr/lib/python3.11/os.py", line 679, in __getitem__
    raise KeyError(key) from None
KeyError: 'DATABASE_URL'
[2026-01-02 10:00:00 +0000] [7] [INFO] Starting gunicorn 20.1.0
[2026-01-02 10:00:00 +0000] [7] [INFO] Listening at: http://@address@ (7)
[2026-01-02 10:00:01 +0000] [8] [INFO] Booting worker with pid: 8
[2026-01-03 10:00:00 +0000] [7] [INFO] Handling signal: term
`))
			},
		},
		{
			// It goes on without what it says that it lacks, and dies of something else.
			Name: "variable-not-needed", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(nodeDies(s, `console.error('warning: SENTRY_DSN is not set, reports of errors are off'); require('./routes/index.js');`, servers.Spec{}))
			},
		},
		{
			// Its log is from before it had the port.
			Name: "port-was-in-use", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Inside: true,
			Start: askedFor("/status", onExpress("console.error('Error: listen EADDRINUSE: address already in use'); console.error('tried again');\n")),
		},
		{
			// Any dictionary of Python's has keys.
			Name: "key-missing", Row: "handler-exception", Findings: []string{"handler-exception"}, Inside: true,
			Start: onFlask("app.view_functions['health'] = lambda: {}['TOTAL']\n"),
		},
		{
			// A disk is full, and the app does not need it.
			Name: "disk-full-beside", Row: "handler-exception", Findings: []string{"handler-exception"}, Inside: true,
			Start: func(t testing.TB) Site {
				disk := smallDisk(t)
				fillUp(t, filepath.Join(disk, "app.log"))
				site := askedFor("/broken", onExpress(""))(t)
				site.Log = append(site.Log, filepath.Join(disk, "app.log"))
				return site
			},
		},
		{
			// What reports figures to a server that is gone says so all the time.
			Name: "reporter-refused", Row: "handler-exception", Findings: []string{"handler-exception"}, Inside: true,
			Start: askedFor("/broken", onExpress("setInterval(() => console.error('statsd: Error: connect ECONNREFUSED 127.0.0.1:8125'), 5);\n")),
		},
		{
			// One header opens both redirects; the web server's alone hides the other.
			Name: "redirects-twice", Row: "web-server-xfp-rewrite", Findings: []string{"web-server-xfp-rewrite", "django-ssl-redirect"}, Inside: true,
			Start: behindNginx(redirectSet+headerSet, `server {
	listen @address@;
	if ($http_x_forwarded_proto != https) { return 301 https://$host$request_uri; }
	location / { proxy_pass http://@gunicorn@; proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto; }
}`),
		},
		{
			// Users' requests have it from the load balancer, probes have not.
			Name: "wants-forwarded-for", Row: "handler-exception", Findings: []string{"handler-exception"},
			Start: onExpress("app.use((req, res, next) => { req.client = req.headers['x-forwarded-for'].split(',')[0]; next(); });\n"),
		},
		{
			Name: "wants-accept-406", Row: "bad-request-by-app", Findings: []string{"bad-request-by-app"},
			Start: onExpress("app.use((req, res, next) => req.headers.accept ? next() : res.status(406).send('Not Acceptable'));\n"),
		},
		{
			Name: "websockets-alone", Row: "bad-request-by-app", Findings: []string{"bad-request-by-app"},
			Start: onExpress("app.use((req, res) => res.status(426).send('Upgrade Required'));\n" +
				"const create = require('http').createServer; require('http').createServer = (...all) => create(...all).on('upgrade', (req, socket) => " +
				"socket.end('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n'));\n"),
		},
		{
			// No tenant has the probe's Host for its name.
			Name: "no-tenant-500", Row: "app-level-host-guard", Findings: []string{"app-level-host-guard"},
			Start: onExpress("app.use((req, res, next) => { if (req.hostname !== 'example.com') throw new Error('no tenant ' + req.hostname); next(); });\n"),
		},
		{
			Name: "no-tenant-401", Row: "app-level-host-guard", Findings: []string{"app-level-host-guard"},
			Start: onExpress("app.use((req, res, next) => req.hostname === 'example.com' ? next() : res.status(401).send('no tenant'));\n"),
		},
		{
			Name: "takes-post-alone", Row: "method-not-allowed", Findings: []string{"method-not-allowed"},
			Start: onExpress("app.get('/health', (req, res) => res.status(405).set('Allow', 'POST').send('Method Not Allowed'));\n"),
		},
		{
			// HAProxy's own check asks for what the app does not have; the app is well.
			Name: "haproxy-check-fails", Row: "proxy-upstream-down-503", Findings: []string{"proxy-upstream-down-503"}, Inside: true, Nameless: true,
			Start: func(t testing.TB) Site {
				site := haproxy(`
frontend web
	bind @address@
	default_backend app
backend app
	option httpchk GET /no-such-check
	http-check expect status 200
	server app1 @app@ check inter 100ms fall 1
`)(t)
				for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
					if status(503).of(health(site, Patience).send()) == "" {
						return site
					}
				}
				t.Fatal("HAProxy does not hold the server for dead")
				return site
			},
		},
		{
			// A redirect to the same page is for who brings the cookie then.
			Name: "wants-cookie", Row: "bad-request-by-app", Findings: []string{"bad-request-by-app"},
			Start: onExpress("app.use((req, res, next) => (req.headers.cookie || '').includes('visited=1') ? next() : res.set('Set-Cookie', 'visited=1').redirect(req.url));\n"),
		},
		{
			// It goes on without its cache, and fails by itself.
			Name: "cache-not-needed", Row: "handler-exception", Findings: []string{"handler-exception"}, Inside: true,
			Start: askedFor("/broken", onExpress("app.use('/broken', (req, res, next) => { console.error('cache: connect ECONNREFUSED 127.0.0.1:6379'); next(); });\n")),
		},
		{
			// A site of files is all that there is.
			Name: "healthy-files", Row: "healthy", Inside: true,
			Start: askedFor("/", nginxFile("index.html", "<!doctype html><title>Shop</title><p>"+strings.Repeat("We sell. ", 30))),
		},
	}
}

// besideExpress is an Express site behind nginx, which has another one, with lines
// of its own, beside it.
func besideExpress(lines, http string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		for word, lines := range map[string]string{"@app@": "", "@other@": lines} {
			s.words[word] = loopback(t)
			runExpress(t, express(t, lines), []string{"HOST=127.0.0.1", "PORT=" + portOf(s.words[word])}, s.words[word])
		}
		return serveNginx(s, http)
	}
}

// agent is a machine on which nobody is the site, and a program has a page at / on a
// port of its own, and another status elsewhere.
func agent(elsewhere int) func(testing.TB) Site {
	return func(t testing.TB) Site {
		node(newSetting(t), fmt.Sprintf(`http.createServer((req, res) => { res.statusCode = req.url === '/' ? 200 : %d; res.end('up 1'); }).listen(9117);`, elsewhere),
			servers.Spec{Listens: []string{"127.0.0.1:9117"}})
		return site(private(t))
	}
}
