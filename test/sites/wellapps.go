package sites

import (
	"fmt"
	"testing"
)

// healthyApps are applications as they should be: what guards them from other
// hosts and from plain HTTP is on, and lets the health check through.
func healthyApps() []Case {
	guarded := hostsSet + redirectSet + headerSet + healthFirst
	behind := func(start func(testing.TB) Site) func(testing.TB) Site {
		return func(t testing.TB) Site {
			app := start(t)
			s := newSetting(t)
			s.logs = app.Log
			s.words["@app@"] = "127.0.0.1:" + portOf(app.Address)
			front := serveNginx(s, `server { listen @address@; `+nginxProxy+`}`)
			front.Path = app.Path
			return front
		}
	}
	cases := []Case{
		{Name: "healthy-django-gunicorn", Start: onGunicorn(guarded)},
		{Name: "healthy-django-exempt", Start: onGunicorn(hostsBehind + redirectSet + headerSet + "SECURE_REDIRECT_EXEMPT = [r'^health/?$']\n")},
		{Name: "healthy-django-uwsgi", Start: onUWSGI(guarded)},
		{Name: "healthy-django-nginx-uwsgi", Start: behindNginx(guarded, toUWSGI)},
		{Name: "healthy-django-nginx-gunicorn", Start: behindNginx(guarded, toGunicorn)},
		{Name: "healthy-django-runserver", Start: func(t testing.TB) Site {
			address := private(t)
			return site(address, django(t, guarded).runserver(t, address))
		}},
		{Name: "healthy-rails", Start: onRails(railsHosts + railsSSL + railsAnyHost + railsAnyScheme)},
		{Name: "healthy-sinatra", Start: onSinatra},
		{Name: "healthy-flask", Start: onFlask("")},
		{Name: "healthy-fastapi", Start: onUvicorn(starletteSSL+starletteHosts+starletteHealth, trusting...)},
		{Name: "healthy-express", Start: onExpress("app.get('/health', (req, res) => res.send('ok'));" + expressGuard + expressSSL)},
		{Name: "healthy-express-nginx", Start: behind(onExpress(""))},
		{Name: "healthy-symfony", Start: onSymfony(fmt.Sprintf(`'debug' => false, 'trusted_hosts' => ['^example\.com$', '^%s$']`, `127\.0\.0\.5`))},
		{Name: "healthy-tomcat", Start: onTomcat("ROOT", tomcatTrusts, "")},
		{Name: "healthy-tomcat-nginx", Start: behind(onTomcat("ROOT", tomcatTrusts, ""))},
		{Name: "healthy-spring", Imitated: true, Start: askedFor("/actuator/health", func(t testing.TB) Site {
			return imitate(t, spring{health: springUp, secured: true, public: []string{"/actuator/health"}}.answer)
		})},
	}
	for i := range cases {
		cases[i].Row = "healthy"
	}
	return cases
}

// starletteHealth answers the health check before any middleware does, since
// none of them can exempt a path.
const starletteHealth = `
guarded = app


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/health":
        from starlette.responses import JSONResponse
        await JSONResponse({"status": "ok"})(scope, receive, send)
    else:
        await guarded(scope, receive, send)
`
