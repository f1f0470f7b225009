package sites

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// nodeModules is where Debian keeps Node's libraries.
const nodeModules = "NODE_PATH=/usr/share/nodejs:/usr/lib/nodejs"

// express is the application in testdata/express, with lines that come before
// its routes. In them are app and express.
func express(t testing.TB, lines string) (dir string) {
	t.Helper()
	needNode(t, "express", "node-express")
	dir = filepath.Join(t.TempDir(), "express")
	unpack(t, "express", dir)
	write(t, filepath.Join(dir, "site.js"), "module.exports = (app, express) => {\n"+lines+"};\n")
	return dir
}

// needNode skips the test unless Node has a library, which a package brings.
func needNode(t testing.TB, library, pkg string) {
	t.Helper()
	servers.Need(t, "node")
	if found, _ := filepath.Glob("/usr/*/nodejs/" + library); len(found) == 0 {
		lacks(t, library+" is not installed for Node: apt-get install "+pkg)
	}
}

// runExpress runs the application in dir and returns its log. It listens on the
// addresses when runExpress returns; it is not asked for anything, for it may
// count that.
func runExpress(t testing.TB, dir string, env []string, addresses ...string) (log string) {
	t.Helper()
	return servers.Run(t, servers.Spec{Name: "node", Args: []string{"shop.js"}, Dir: dir, Env: append(env, nodeModules), Listens: addresses}).OutputFile()
}

// onExpress is an Express site.
func onExpress(lines string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		address := private(t)
		return site(address, runExpress(t, express(t, lines), []string{"HOST=0.0.0.0", "PORT=" + portOf(address)}, address))
	}
}

// What people put before the routes.
const (
	expressSSL = `
	app.use((req, res, next) => {
		if (req.headers['x-forwarded-proto'] === 'https') return next();
		res.redirect(301, 'https://' + req.hostname + req.url);
	});
`
	expressSecure = `
	app.use((req, res, next) => req.secure ? next() : res.redirect('https://' + req.hostname + req.url));
`
	expressGuard = `
	app.use((req, res, next) => {
		if (['example.com', 'localhost'].includes(req.hostname)) return next();
		res.status(403).json({ error: 'Host validation failed for: ' + req.headers.host });
	});
`
	expressToken = `
	app.use((req, res, next) => {
		if (req.path === '/login' || req.headers.authorization) return next();
		res.status(401).json({ error: 'Unauthorized', message: 'No authorization token was found' });
	});
	app.get('/login', (req, res) => res.send('<form method="post"></form>'));
`
	expressLogin = `
	app.use((req, res, next) => {
		if (req.path === '/login' || req.headers.cookie) return next();
		res.redirect('/login?redirect=' + encodeURIComponent(req.path));
	});
	app.get('/login', (req, res) => res.send('<form method="post"></form>'));
`
	// as express-rate-limit does
	expressLimit = `
	const seen = {};
	app.use((req, res, next) => {
		seen[req.ip] = (seen[req.ip] || 0) + 1;
		res.set({ 'X-RateLimit-Limit': '2', 'X-RateLimit-Remaining': String(Math.max(0, 2 - seen[req.ip])) });
		if (seen[req.ip] <= 2) return next();
		res.status(429).set('Retry-After', '60').send('Too many requests, please try again later.');
	});
`
)

// expressSites are faulty sites in Express.
func expressSites() []Case {
	redirect, notTrusted := "express-https-redirect", "proto-header-not-trusted"
	return []Case{
		{Name: "express-https-redirect", Row: redirect, Findings: []string{redirect}, Start: onExpress(expressSSL)},
		{Name: "express-https-redirect-secure", Row: redirect, Findings: []string{redirect}, Start: onExpress("app.set('trust proxy', 1);" + expressSecure)},
		{Name: "proto-header-not-trusted-express", Row: notTrusted, Findings: []string{redirect, notTrusted}, Start: onExpress(expressSecure)},
		{Name: "app-level-host-guard", Row: "app-level-host-guard", Findings: []string{"app-level-host-guard"}, Start: onExpress(expressGuard)},
		{Name: "app-auth-middleware-express", Row: "app-auth-middleware", Findings: []string{"app-auth-middleware"}, Path: []string{"/login"}, Start: onExpress(expressToken)},
		// All of it wants a login, so that no path shows that another does not.
		{Name: "login-redirect-express", Row: "login-redirect", Findings: []string{"login-redirect"}, Start: onExpress(expressLogin)},
		{Name: "wrong-path-404-express", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/health"}, Start: askedFor("/status", onExpress(""))},
		{
			Name: "path-prefix-express", Row: "path-prefix", Findings: []string{"path-prefix"}, Path: []string{"/api/v1/ping"},
			Start: askedFor("/ping", onExpress("const api = express.Router(); api.get('/ping', (req, res) => res.send('ok')); app.use('/api/v1', api);\n")),
		},
		{
			Name: "path-moved-to-management-port", Row: "path-moved-to-management-port", Findings: []string{"path-moved-to-management-port"},
			Inside: true, Alone: true, Start: managed,
		},
		{
			Name: "false-positive-200-express", Row: "false-positive-200", Findings: []string{"false-positive-200"},
			Start: onExpress("app.get(/.*/, (req, res) => res.send('<!doctype html><title>Shop</title><div id=\"root\"></div>'));\n"),
		},
		// NODE_ENV is not production.
		{Name: "handler-exception-express", Row: "handler-exception", Findings: []string{"handler-exception"}, Start: askedFor("/broken", onExpress(""))},
		{
			Name: "dependency-down-500-express", Row: "dependency-down-500", Findings: []string{"dependency-down-500"},
			Start: func(t testing.TB) Site {
				return onExpress(`
	app.get('/health', (req, res, next) => {
		require('net').connect(` + portOf(loopback(t)) + `, '127.0.0.1').on('error', next).on('connect', () => next());
	});
`)(t)
			},
		},
		{
			Name: "dependency-told-express", Row: "dependency-down-500", Findings: []string{"dependency-down-500"},
			Start: onExpress("app.get('/health', (req, res) => res.status(503).json({status: 'error', checks: {database: {status: 'down'}, cache: {status: 'up'}}}));\n"),
		},
		{
			Name: "success-matcher-mismatch-204", Row: "success-matcher-mismatch", Findings: []string{"success-matcher-mismatch"},
			Start: onExpress("app.get('/health', (req, res) => res.status(204).end());\n"),
		},
		{
			Name: "tight-timeout-flapping", Row: "tight-timeout-flapping", Findings: []string{"tight-timeout-flapping"}, Timeout: hasty, Slow: true,
			Start: onExpress(`
	let asked = 0;
	app.get('/health', (req, res) => setTimeout(() => res.send('ok'), asked++ % 3 === 1 ? 1800 : 5));
`),
		},
		{Name: "limiter-and-redirect", Row: "limiter-and-redirect", Findings: []string{"rate-limited", redirect}, Start: onExpress(expressLimit + expressSSL)},
		{
			Name: "ecs-node-set", Row: "ecs-node-set",
			Findings: []string{"port-undefined-random", "container-healthcheck-tool-missing", "keepalive-shorter-than-lb-idle", "ecs-kill-loop"},
			Inside:   true, Alone: true, Start: unset,
		},
	}
}

// managed is a site whose health check has moved to a port of its own.
func managed(t testing.TB) Site {
	s := newSetting(t)
	management := private(t)
	dir := express(t, `
	const management = express();
	management.get('/ready', (req, res) => res.send('ok'));
	management.listen(process.env.MANAGEMENT_PORT, process.env.HOST).keepAliveTimeout = 65000;
`)
	log := runExpress(t, dir, []string{"HOST=0.0.0.0", "PORT=" + portOf(s.address), "MANAGEMENT_PORT=" + portOf(management)}, s.address, management)
	site := s.site(log)
	site.Path, site.behind = "/ready", management
	return site
}

// unset is a task of ECS whose PORT and HOST nobody has set, whose author has
// left idle connections to Node, whose container has no curl for its own check,
// and whose service has no grace period.
func unset(t testing.TB) Site {
	s := newSetting(t)
	dir := express(t, "")
	edit(t, filepath.Join(dir, "shop.js"), "app.listen(process.env.PORT, process.env.HOST);", `app.listen(process.env.PORT, 'localhost', () =>
	console.log('listening on ' + server.address().address + ' port ' + server.address().port));`)
	edit(t, filepath.Join(dir, "shop.js"), "server.keepAliveTimeout = 65000;\n", "")
	write(t, filepath.Join(dir, "task-definition.json"), `{
	"family": "shop",
	"containerDefinitions": [{
		"name": "web", "essential": true, "portMappings": [{"containerPort": 3000}],
		"healthCheck": {"command": ["CMD-SHELL", "curl -f http://localhost:3000/health || exit 1"]}
	}]
}
`)
	log := runExpress(t, dir, []string{onECS, imagePath(s, "node")})
	for deadline := time.Now().Add(time.Minute); !strings.Contains(readFile(t, log), "listening on "); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("Node does not listen: %s", readFile(t, log))
		}
	}
	site := s.site(log)
	site.Settings = inService(s.address, 30, 0)
	return site
}
