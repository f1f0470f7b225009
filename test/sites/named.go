package sites

import (
	"net/http"
	"testing"
	"time"

	"hale/test/servers"
)

// usersTLS is a second server of nginx, to which the site's users come.
const usersTLS = `server { listen @users@ ssl; ` + nginxTLS + ` location / { proxy_pass http://@gunicorn@; proxy_set_header Host $host; } }
`

// certified is a Django site whose nginx also speaks TLS, with a certificate for
// names.
func certified(settings string, names ...string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		s.certify(servers.NewCertificate(t, names...))
		s.words["@users@"] = private(t)
		http := toGunicorn + usersTLS
		django(t, settings).behind(s, http)
		site := serveNginx(s, http)
		site.Users = s.words["@users@"]
		warm(t, site.Address)
		return site
	}
}

// namedSites are sites whose public name nobody tells the diagnosis. Their
// second fault can be seen only by who has found it.
func namedSites() []Case {
	djangoHosts := "django-allowed-hosts"
	hosts, redirect := hostsSet, redirectSet+headerSet
	cases := []Case{
		{
			Name: "named-by-certificate", Row: "eb-django-classic", Findings: []string{djangoHosts, "django-ssl-redirect"},
			Start: certified(hosts+redirect, Domain, "www."+Domain),
		},
		{
			// The list has the bare name's siblings, too; the certificate those alone.
			Name: "named-by-wildcard", Row: "eb-django-classic", Findings: []string{djangoHosts, "django-ssl-redirect"},
			Start: certified("ALLOWED_HOSTS = ['www.example.com']\n"+redirect, "*."+Domain),
		},
		{
			Name: "named-in-django", Row: "eb-django-classic", Findings: []string{djangoHosts, "django-ssl-redirect"}, Inside: true,
			Start: behindNginx(hosts+redirect, toGunicorn),
		},
		{
			Name: "named-in-environment", Row: "eb-django-classic", Findings: []string{djangoHosts, "django-ssl-redirect"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				django(t, "ALLOWED_HOSTS = os.environ['SHOP_HOSTS'].split(',')\n"+redirect, "SHOP_HOSTS=.example.com,10.0.0.1").behind(s, toGunicorn)
				site := serveNginx(s, toGunicorn)
				warm(t, site.Address)
				return site
			},
		},
		{
			// Apache works in / itself; its configuration has the script.
			Name: "named-in-mod-wsgi", Row: "eb-django-classic", Findings: []string{djangoHosts, "django-ssl-redirect"}, Inside: true,
			Start: onApache(hosts+redirect, setupD(`RewriteCond %{REQUEST_URI} !^/health`)),
		},
		{
			Name: "named-in-flask", Row: "flask-404-308", Findings: []string{"flask-server-name-404", "trailing-slash-redirect"}, Inside: true,
			Start: askedFor("/hs", onFlask("\napp.config.update(\n    SERVER_NAME='example.com',\n)\n")),
		},
		{
			Name: "named-in-rails", Row: "rails-hosts-ssl", Findings: []string{"rails-host-authorization", "rails-force-ssl"}, Inside: true,
			Start: onRails("config.hosts << '.example.com'\n" + railsSSL),
		},
		{
			Name: "named-in-starlette", Row: "fastapi-three", Findings: []string{"starlette-trusted-host", "starlette-https-redirect", "trailing-slash-redirect"}, Inside: true,
			Start: askedFor("/healthz", onUvicorn(starletteSSL+starletteHosts, trusting...)),
		},
		{
			// Its code has the name in a list that nobody knows the form of.
			Name: "named-in-url", Row: "app-level-host-guard", Findings: []string{"app-level-host-guard"}, Inside: true,
			Start: func(t testing.TB) Site {
				address := private(t)
				env := []string{"HOST=0.0.0.0", "PORT=" + portOf(address), "APP_URL=https://example.com/"}
				return site(address, runExpress(t, express(t, `
	const own = new URL(process.env.APP_URL).hostname;
	app.use((req, res, next) => {
		if (req.hostname === own) return next();
		res.status(403).json({ error: 'Host validation failed for: ' + req.headers.host });
	});
`), env, address))
			},
		},
	}
	for i := range cases {
		cases[i].Nameless = true
	}
	return cases
}

// idleSites close idle connections, and do not say so: those that are watched
// for long enough show it.
func idleSites() []Case {
	const idle = "keepalive-shorter-than-lb-idle"
	return []Case{
		{Name: "uvicorn-keepalive", Row: idle, Findings: []string{idle}, Slow: true, IdleWait: 12 * time.Second, Start: onUvicorn("", "--timeout-keep-alive", "5")},
		{Name: "lighttpd-keepalive", Row: idle, Findings: []string{idle}, Slow: true, IdleWait: 15 * time.Second, Start: lighttpdIdle},
		// What takes longer than anybody watches, the command line tells.
		{Name: "uvicorn-keepalive-told", Row: idle, Findings: []string{idle}, Inside: true, Start: onUvicorn("", "--timeout-keep-alive", "12")},
		{
			Name: "gunicorn-keepalive-told", Row: idle, Findings: []string{idle}, Inside: true,
			Start: func(t testing.TB) Site {
				address := private(t)
				p := pythonApp(t, "flask", "python3-flask", "")
				p.args = []string{"--keep-alive=10"}
				return site(address, p.gunicorn(t, address))
			},
		},
		{
			// More comes than a health answer ever has, and no end of it.
			Name: "go-stream", Row: "body-never-ends", Findings: []string{"body-never-ends"}, Slow: true,
			Start: func(t testing.TB) Site {
				return site(serve(t, Private, atHealth(stream)))
			},
		},
	}
}

// lighttpdIdle is lighttpd as it is by default, before the app's own answers.
func lighttpdIdle(t testing.TB) Site {
	s := newSetting(t)
	return serveLighttpd(s, `
server.max-keep-alive-idle := 5
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => `+portOf(s.fill("@app@"))+`)))
`)
}

// stream sends a body for as long as the client reads it, quickly.
func stream(w http.ResponseWriter, r *http.Request) {
	part := make([]byte, 32<<10)
	flush := http.NewResponseController(w)
	for r.Context().Err() == nil {
		if _, err := w.Write(part); err != nil || flush.Flush() != nil {
			return
		}
		time.Sleep(time.Millisecond) // for the neighbours
	}
}
