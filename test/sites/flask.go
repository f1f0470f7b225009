package sites

import (
	"path/filepath"
	"testing"

	"hale/test/servers"
)

// pythonApp is an application of one file, shop.py, with lines of its own at
// the end.
func pythonApp(t testing.TB, framework, pkg, lines string) python {
	t.Helper()
	servers.NeedPython(t, framework, pkg)
	dir := filepath.Join(t.TempDir(), framework)
	unpack(t, framework, dir)
	file := filepath.Join(dir, "shop.py")
	write(t, file, readFile(t, file)+lines)
	return python{dir: dir, module: "shop:app"}
}

// onFlask is a Flask site under gunicorn.
func onFlask(lines string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		address := private(t)
		return site(address, pythonApp(t, "flask", "python3-flask", lines).gunicorn(t, address))
	}
}

// flaskPool makes of /health a question to a database, over a pool of one
// connection, which something else keeps. Who waits, waits for so many seconds.
func flaskPool(seconds string) string {
	return `
from sqlalchemy import create_engine, pool, text

engine = create_engine("sqlite://", poolclass=pool.QueuePool, pool_size=1, max_overflow=0, pool_timeout=` + seconds + `)
report = engine.connect()


def database():
    with engine.connect() as connection:
        return str(connection.execute(text("select 1")).scalar())


app.view_functions["health"] = database
`
}

// flaskSites are faulty sites in Flask.
func flaskSites() []Case {
	return []Case{
		{
			// Werkzeug looks at the list when a view asks for the host.
			Name: "flask-trusted-hosts", Row: "flask-trusted-hosts", Findings: []string{"flask-trusted-hosts"},
			Start: askedFor("/here", onFlask(`
class TrustedRequest(app.request_class):
    trusted_hosts = ["example.com"]


app.request_class = TrustedRequest
`)),
		},
		{
			Name: "flask-server-name-404", Row: "flask-server-name-404", Findings: []string{"flask-server-name-404"},
			Start: onFlask("\napp.config['SERVER_NAME'] = 'example.com'\n"),
		},
		{
			Name: "flask-404-308", Row: "flask-404-308", Findings: []string{"flask-server-name-404", "trailing-slash-redirect"},
			Start: askedFor("/hs", onFlask("\napp.config['SERVER_NAME'] = 'example.com'\n")),
		},
		{Name: "trailing-slash-redirect-flask", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"}, Start: askedFor("/hs", onFlask(""))},
		// A route without a slash has no twin with one.
		{Name: "wrong-path-404-flask", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/health"}, Start: askedFor("/health/", onFlask(""))},
		{Name: "handler-exception-flask", Row: "handler-exception", Findings: []string{"handler-exception"}, Start: askedFor("/broken", onFlask(""))},
		{Name: "db-pool-exhausted", Row: "db-pool-exhausted", Findings: []string{"db-pool-exhausted"}, Inside: true, Timeout: killed, Slow: true, Start: needsSQLAlchemy(onFlask(flaskPool("0.5")))},
		{Name: "db-pool-exhausted-silent", Row: "db-pool-exhausted", Findings: []string{"db-pool-exhausted"}, Inside: true, Timeout: hasty, Slow: true, Start: needsSQLAlchemy(onFlask(flaskPool("2.5")))},
	}
}

func needsSQLAlchemy(start func(testing.TB) Site) func(testing.TB) Site {
	return func(t testing.TB) Site {
		servers.NeedPython(t, "sqlalchemy", "python3-sqlalchemy")
		return start(t)
	}
}
