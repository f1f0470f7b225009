package sites

import (
	"net"
	"regexp"
	"testing"
)

func expressProofs() map[string]proof {
	ok := says(200, "ok")
	return map[string]proof{
		"express-https-redirect":        wantsHTTPS(301),
		"express-https-redirect-secure": wantsHTTPS(302),
		"proto-header-not-trusted-express": {
			asked(redirects(302, "https://")), asked(redirects(302, "https://"), forwardedHTTPS),
			asked(redirects(302, "https://"), forwardedHTTPS, host(Domain)),
		},
		"app-level-host-guard": wantsDomain(says(403, "Host validation failed for: "), ok),
		"app-auth-middleware-express": {
			asked(says(401, "No authorization token")), asked(status(401), path(nowhere)), asked(status(401), host(Domain)), asked(status(200), path("/login")),
		},
		"login-redirect-express": {asked(redirects(302, "/login?redirect=%2Fhealth")), asked(redirects(302, "/login"), path(nowhere))},
		"wrong-path-404-express": {asked(says(404, "Cannot GET /status")), asked(status(404), host(Domain)), asked(ok, path("/health"))},
		"path-prefix-express":    {asked(says(404, "Cannot GET /ping")), asked(status(404), host(Domain)), asked(ok, path("/api/v1/ping"))},
		"path-moved-to-management-port": {
			asked(says(404, "Cannot GET /ready")), asked(ok, hop), asked(ok, path("/health")),
		},
		"false-positive-200-express":  {asked(says(200, "<title>Shop</title>")), asked(says(200, "<title>Shop</title>"), path(nowhere))},
		"handler-exception-express":   {asked(says(500, "Error: no such discount")), asked(ok, path("/health"))},
		"dependency-down-500-express": {asked(says(500, "connect ECONNREFUSED 127.0.0.1:")), asked(says(200, "Shop"), path("/"))},
		"dependency-told-express":     {asked(says(503, `"database":{"status":"down"}`)), asked(says(200, "Shop"), path("/"))},
		"success-matcher-mismatch-204": {
			asked(status(204)), asked(status(204), host(Domain)), asked(says(200, "Shop"), path("/")),
		},
		"tight-timeout-flapping": {asked(ok, within(killed)), asked(fails(silent)), asked(ok, within(killed)), asked(ok, within(killed)), asked(ok, within(killed))},
		"limiter-and-redirect": {
			asked(redirects(301, "https://")), asked(ok, forwardedHTTPS), asked(says(429, "Too many requests, please try again later.")), asked(status(429), forwardedHTTPS),
		},
		"ecs-node-set": {
			asked(fails(refused)), asked(fails(refused), on("127.0.0.1")), inLog("listening on "), does(whereNodeListens),
		},
	}
}

// whereNodeListens finds the port that Node chose, which must be one of a
// loopback address, and asks there.
func whereNodeListens(t *testing.T, s Site) {
	listens := regexp.MustCompile(`listening on (\S+) port (\d+)`).FindStringSubmatch(readFile(t, s.Log[0]))
	if listens == nil {
		t.Fatal("Node does not say where it listens")
	}
	if ip := net.ParseIP(listens[1]); !ip.IsLoopback() {
		t.Errorf("Node listens on %s, want a loopback address", ip)
	}
	s.Address = net.JoinHostPort(listens[1], listens[2])
	closesIdle(t, s)
}
