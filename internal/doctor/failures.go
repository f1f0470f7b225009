package doctor

import (
	"bytes"
	"context"
	"slices"
	"strings"
)

// errorHypotheses are what answers 5xx come from. From outside, the answer's
// own text and the difference between paths tell; inside, the log does.
var errorHypotheses = []hypothesis{
	{id: "missing-env-var", on: []class{classServerError, classBadGateway, classUnavailable}, inside: true, look: lacksVariable},
	{id: "uwsgi-no-app", on: []class{classServerError}, fits: is("uwsgi"), look: likeAnyPath},
	{id: "disk-full", on: []class{classServerError, classBadGateway}, inside: true, look: diskFull},
	{id: "unapplied-migrations", on: []class{classServerError}, fits: has(pendingMigrations), look: theAnswer},
	{id: "unapplied-migrations", on: []class{classServerError, classUnavailable}, inside: true, look: loggedAgain(pendingMigrations)},
	{id: "db-pool-exhausted", on: []class{classServerError, classUnavailable, classSilent}, inside: true, look: loggedAgain(poolExhausted)},
	{id: "dependency-down-500", on: []class{classServerError, classUnavailable}, fits: has(dependencyDown), look: theAnswer},
	{id: "dependency-down-500", on: []class{classServerError, classUnavailable}, inside: true, look: loggedAgain(dependencyDown)},
	{id: "spring-health-down", on: []class{classUnavailable}, fits: has(`^\{"status":\s*"(DOWN|OUT_OF_SERVICE)"`), look: downByItself},
	{id: "dependency-down-500", on: []class{classServerError, classUnavailable}, fits: all(not(byEdgeItself), namesWhatIsDown), look: ownVerdict},
	{id: "handler-exception", on: []class{classServerError}, changes: withUsualFields, only: true},
	{id: "handler-exception", on: []class{classServerError}, look: othersWork},
	{id: "handler-exception", on: []class{classEmpty}, look: othersWork},
	{id: "handler-exception", on: []class{classServerError}, inside: true, look: logged(traceback)},

	{id: "wordpress-not-installed", on: []class{classServerError}, fits: has(`Error establishing a database connection`), look: theAnswer},
	{id: "worker-killed", on: []class{classUnavailable}, fits: all(slow, has(`<title>Timeout</title>`)), look: closesAlike},
	{id: "maintenance-mode", on: []class{classUnavailable}, fits: maintenance, look: maintained},
	{id: "maintenance-mode", on: []class{classUnavailable}, fits: is("nginx", "openresty"), look: likeAnyPath},
	{id: "concurrency-limit-503", on: []class{classUnavailable}, fits: all(runs("uvicorn"), has(`^Service Unavailable$`)), look: theAnswer},
	{id: "iis-app-pool-or-binding", on: []class{classUnavailable}, fits: runs("httpsys"), look: theAnswer},
	{id: "envoy-no-upstream", on: []class{classUnavailable}, fits: runs("envoy"), look: theAnswer},

	{id: "proxy-timeout-504", on: []class{classGatewayTimeout}, look: theAnswer},
	{id: "proxy-timeout-504", on: []class{classBadGateway}, fits: all(is("apache"), slow), look: theAnswer},
	{id: "proxy-upstream-protocol", on: []class{classTLSPort}, look: saidBehind},
	{id: "proxy-upstream-protocol", on: []class{classBadGateway, classUnavailable}, inside: true, look: otherUpstream},
	{id: "proxy-upstream-protocol", on: []class{classBadGateway}, inside: true, look: logged(`invalid request block size: 21573|Invalid message received with signature \[18245\]|SSL_do_handshake\(\) failed.*upstream|wrong version number.*upstream|upstream sent (no valid|invalid) (HTTP|header)`)},
	{id: "proxy-upstream-down-502", on: []class{classBadGateway}, look: upstreamDown},
	{id: "proxy-upstream-down-503", on: []class{classUnavailable}, fits: all(byEdgeItself, not(is("nginx", "openresty")), either(not(is("haproxy")), slow, domainKnown, hasUpstream)), look: upstreamDown},
}

// What logs and error pages say of a cause. They are hints of one kind:
// the texts of several programs for the same thing.
const (
	pendingMigrations = `no such table|[Rr]elation "[^"]*" does not exist|Table '[^']*' doesn't exist|Unknown column|no such column|column "?[^" ]*"? does not exist|PendingMigration|Migrations are pending|unapplied migration`
	poolExhausted     = `remaining connection slots|[Tt]oo many (connections|clients)|QueuePool limit|Connection is not available, request timed out|could not obtain a (database )?connection|ConnectionTimeoutError|PoolError: connection pool exhausted`
	dependencyDown    = `could not connect to server|connection to server at .* failed|Can't connect to (local )?(MySQL |MariaDB )?server|could not translate host name|Error \d+ connecting to .*(refused|timed out)|ECONNREFUSED|Temporary failure in name resolution|Name or service not known|getaddrinfo (ENOTFOUND|EAI_AGAIN)|kombu\.exceptions\.OperationalError|redis\.exceptions\.ConnectionError|OperationalError: \(2\d{3},|` +
		`dial tcp[^"\n]*(connection refused|i/o timeout|no route to host|no such host)|Connection refused - connect\(2\)|Connection to \S+ refused|Communications link failure|` +
		`SQLSTATE\[(HY000|08\d{3})\] \[\d+\]|ServerSelection(Timeout)?Error|password authentication failed for user|Access denied for user '|unable to open database file`
	traceback = `Traceback \(most recent call last\)|panic serving|Unhandled(Promise)?(Rejection|Exception)|^\s+at .*\(.*\.(js|java|rb):\d+|Internal Server Error: /|Error during (the )?processing|Servlet\.service\(\) .* threw exception|PHP (Fatal|Parse) error|Uncaught \w+: `
)

// What health pages say that name what is down: {"database": {"status": "down"}},
// database: connection refused, fail: redis.
const (
	dependencies   = `(database|db|postgres\w*|mysql|mariadb|mongo\w*|redis|valkey|memcached|cache|rabbitmq|amqp|kafka|nats|elasticsearch|opensearch|broker|queue|celery|sidekiq|storage|s3)`
	downWords      = `(down|fail\w*|errors?|unavailable|unhealthy|refused|timed? ?out|timeout|unreachable|false|critical|dead|not ok)`
	saysWhatIsDown = `(?i)\b` + dependencies + `\b["']?\s*[:=][^},\n]{0,60}?\b` + downWords + `\b|\b` + dependencies + `( is| connection| check)* ` + downWords + `\b|\b` + downWords + `: ` + dependencies + `\b`
)

var (
	downSaid = re(saysWhatIsDown)
	// none is what stands after a name such as "errors" where there are none.
	none = re(`^["']?\s*[:=]\s*(["']?(0\b|false|null|none|no\b)|\[\s*\]|""|'')`)
	// onPurpose are states in which an app does not want to be asked.
	onPurpose = re(`(?i)\b(drain\w*|shutting[ _-]?down|stopping|terminating|starting|warming|maintenance|standby|paused)\b`)
)

// namesWhatIsDown fits a health page that names a dependency that is down. Numbers
// of failures that are 0 are no failures, and who drains says so.
func namesWhatIsDown(x *examination) bool {
	body := x.current.answer.Body
	if onPurpose.Match(body) {
		return false
	}
	return slices.ContainsFunc(downSaid.FindAllIndex(body, -1), func(at []int) bool { return !none.Match(body[at[1]:]) })
}

const maintenanceWords = `(?i)maintenance|<title>Be right back`

// maintenance fits a site that says so.
func maintenance(x *examination) bool {
	a := &x.current.answer
	if by := author(a); slices.Contains(edges, by) && by != "nginx" { // whose own page of 503 speaks of maintenance, too
		return false
	}
	return a.Get("Retry-After") != "" || has(maintenanceWords)(x)
}

func maintained(ctx context.Context, x *examination) []Evidence {
	seen := theAnswer(ctx, x)
	if !has(maintenanceWords)(x) { // an app that is not ready says when to come again, too
		if seen = append(seen, likeAnyPath(ctx, x)...); len(seen) < 2 {
			return nil
		}
	}
	if after := x.current.answer.Get("Retry-After"); after != "" {
		seen = append(seen, Evidence{Change: "Retry-After", Before: printable(after, 60)})
	}
	return seen
}

// saidBehind proves that the complaint of plain HTTP to a TLS port comes from
// behind: the probed port does not speak TLS.
func saidBehind(ctx context.Context, x *examination) []Evidence {
	e := x.with(ctx, secure)
	if e.sign.class != classTLS || e.answer.TLS != nil {
		return nil
	}
	return []Evidence{x.unturned(secure, e)}
}

// slow fits an answer that came late: it waited for something.
func slow(x *examination) bool { return x.current.answer.Times.Total > moment }

// withUsualFields sends what every browser and every load balancer sends with users'
// requests, and a probe does not: code that takes it for granted fails without.
func withUsualFields(x *examination) []change {
	var all []change
	for _, c := range []change{acceptAll, userAgent, forwardedFor} {
		if name, _, _ := strings.Cut(c.text, ":"); x.current.probe.Get(name) == "" || c.code == userAgent.code {
			all = append(all, c)
		}
	}
	return all
}

// othersWork tells that the server is well and the handler of this path is
// not: a path that does not exist gets a proper answer.
func othersWork(ctx context.Context, x *examination) []Evidence {
	for _, c := range []change{randomPath(), pathIs("path", "/")} {
		e := x.with(ctx, c)
		if x.going() && !e.sign.class.transport() && e.answer.Status < 500 {
			seen := []Evidence{x.unturned(c, e)}
			if x.Inside {
				seen = append(seen, logged(traceback)(ctx, x)...)
			}
			return seen
		}
	}
	return nil
}

// ownVerdict proves a health page that says by itself what is down: another path
// is served, so that the app runs.
func ownVerdict(ctx context.Context, x *examination) []Evidence {
	seen := othersWork(ctx, x)
	if len(seen) == 0 {
		return nil
	}
	return append(seen, Evidence{Change: "the answer's text", Before: printable(string(bytes.Join(bytes.Fields(x.current.answer.Body), []byte(" "))), 160)})
}

// downByItself looks whether the process says that it is alive.
func downByItself(ctx context.Context, x *examination) []Evidence {
	seen := []Evidence{{Change: "the answer's text", Before: printable(string(bytes.TrimSpace(x.current.answer.Body)), 160)}}
	base, _, _ := strings.Cut(x.current.probe.Path, "?")
	c := pathIs("path", strings.TrimSuffix(base, "/")+"/liveness")
	if e := x.with(ctx, c); x.going() {
		seen = append(seen, x.unturned(c, e))
	}
	return seen
}
