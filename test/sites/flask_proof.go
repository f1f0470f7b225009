package sites

func flaskProofs() map[string]proof {
	ok := says(200, "ok")
	notFound := says(404, "<title>404 Not Found</title>")
	failed := says(500, "<title>500 Internal Server Error</title>")
	return map[string]proof{
		"flask-trusted-hosts": append(
			wantsDomain(says(400, "is not trusted"), says(200, "http://"+Domain+"/")),
			asked(ok, path("/health"))),
		"flask-server-name-404":         wantsDomain(notFound, ok),
		"flask-404-308":                 chain(notFound, host(Domain), redirects(308, "http://"+Domain+"/hs/"), path("/hs/"), ok),
		"trailing-slash-redirect-flask": {asked(redirects(308, "/hs/")), asked(ok, path("/hs/"))},
		"wrong-path-404-flask":          {asked(notFound), asked(notFound, host(Domain)), asked(ok, path("/health"))},
		"handler-exception-flask":       {asked(failed), asked(ok, path("/health")), inLog("ZeroDivisionError")},
		"db-pool-exhausted":             {asked(failed), asked(says(200, "Shop"), path("/")), inLog("QueuePool limit of size 1 overflow 0 reached, connection timed out")},
		"db-pool-exhausted-silent": {
			asked(fails(silent)), asked(says(200, "Shop"), path("/"), within(killed)), asked(failed, within(killed)), inLog("QueuePool limit"),
		},
	}
}
