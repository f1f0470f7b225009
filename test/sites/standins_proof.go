package sites

func standInProofs() map[string]proof {
	up := says(200, "Application up")
	laravelCookie := want{status: 200, header: "Set-Cookie: XSRF-TOKEN"}
	healthy := says(200, "Healthy")
	to := "https://" + Private + "/health"
	liveness := asked(says(200, `{"status":"UP"}`), path("/actuator/health/liveness"))
	return map[string]proof{
		"laravel-trust-hosts-404": append(wantsDomain(says(404, "Not Found"), up), asked(status(404), path("/")), asked(laravelCookie, path("/"), host(Domain))),
		"laravel-trust-hosts-400": append(wantsDomain(says(400, "Bad Request"), up), asked(status(400), path("/")), asked(laravelCookie, path("/"), host(Domain))),
		"aspnet-allowed-hosts":    wantsDomain(says(400, "Bad Request - Invalid Hostname"), healthy),
		"play-allowed-hosts":      wantsDomain(says(400, "[Host not allowed: "), says(200, "ok")),

		"aspnet-https-redirection":        wantsHTTPS(307),
		"proto-header-not-trusted-aspnet": {asked(redirects(307, to)), asked(redirects(307, to), forwardedHTTPS)},
		"phoenix-force-ssl":               wantsHTTPS(301),

		"spring-actuator-secured": {asked(want{status: 401, header: `WWW-Authenticate: Basic realm="Realm"`}), asked(status(401), path("/")), asked(status(401), host(Domain))},
		"spring-health-down":      {asked(says(503, `{"status":"DOWN"`)), liveness, asked(says(200, "Shop"), path("/"))},
		"spring-out-of-service":   {asked(says(503, `{"status":"OUT_OF_SERVICE"`)), liveness},
		"spring-triple": {
			asked(says(404, "HTTP Status 404")), asked(status(404), host(Domain)), asked(status(401), path("/shop/actuator/health")),
			asked(says(200, `"UP"`), path("/shop/actuator/health/liveness")),
		},
		"spring-triple-permitted": {
			asked(says(404, "HTTP Status 404")), asked(says(503, `"DOWN"`), path("/shop/actuator/health")),
			asked(says(200, `"UP"`), path("/shop/actuator/health/liveness")),
		},

		"next-prefix-proto": chain(
			redirects(308, "/app/api/health/"), path("/app/api/health/"), redirects(301, "https://"+Private+"/api/health/"), forwardedHTTPS, says(200, `"ok"`)),
		"next-prefix-proto-without": chain(
			redirects(308, "/api/health/"), path("/api/health/"), says(404, "could not be found"), path("/app/api/health/"),
			redirects(301, "https://"+Private+"/api/health/"), forwardedHTTPS, says(200, `"ok"`)),
		"locale-redirect-next": {asked(redirects(307, "/de")), asked(redirects(307, "/fr"), field("Accept-Language", "fr")), asked(status(200), path("/de"))},

		"wordpress-canonical":     {asked(redirects(301, "http://"+Private+"/")), asked(says(200, "wp-includes"), noPort), asked(says(200, "wp-includes"), host(Domain))},
		"wordpress-not-installed": {asked(redirects(302, "/wp-admin/install.php")), asked(redirects(302, "/wp-admin/install.php"), host(Domain))},
		"wordpress-database-down": {asked(says(500, "Error establishing a database connection"))},
		"wordpress-pair":          {asked(want{status: 503, body: "scheduled maintenance", header: "Retry-After: 600"}), asked(status(503), host(Domain), noPort)},
		"path-moved-keycloak":     {asked(says(404, "Unable to find matching target resource method")), asked(says(200, "UP"), hop)},
	}
}
