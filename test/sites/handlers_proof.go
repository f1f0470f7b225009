package sites

func goProofs() map[string]proof {
	ok := says(200, "healthy")
	return map[string]proof{
		"trailing-slash-redirect-go":   {asked(redirects(307, "/healthz/")), asked(ok, path("/healthz/"))}, // 301 before Go 1.26
		"wrong-path-404-go":            {asked(says(404, "404 page not found")), asked(status(404), host(Domain)), asked(ok, path("/health"))},
		"app-level-host-guard-go":      wantsDomain(says(404, "404 page not found"), ok),
		"https-redirect-go":            wantsHTTPS(301),
		"method-not-allowed-go":        {asked(want{status: 405, header: "Allow: POST"}), asked(ok, path("/health"))},
		"handler-exception-go":         {asked(fails(closed)), asked(ok, path("/health")), asked(fails(closed), host(Domain))},
		"worker-killed-go":             {asked(fails(closed)), asked(ok, path("/health"))},
		"handler-timeout-go":           {asked(says(503, "<title>Timeout</title>")), asked(ok, path("/health"))},
		"success-matcher-mismatch-202": {asked(status(202)), asked(ok, path("/health"))},
		"bad-request-by-app-go":        {asked(says(400, "X-Tenant-Id")), asked(status(200), field("X-Tenant-Id", "7")), asked(ok, path("/health"))},
	}
}
