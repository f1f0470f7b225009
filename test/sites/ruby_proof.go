package sites

func rubyProofs() map[string]proof {
	well := want{status: 200, body: "background-color: green", header: "X-Runtime: 0."}
	empty := want{status: 403, header: "Content-Length: 0"}
	return map[string]proof{
		"rails-host-authorization":      append(wantsDomain(empty, well), inLog("Blocked host: "+Private)),
		"rails-host-authorization-page": wantsDomain(says(403, "Blocked host: "), well),
		"rails-force-ssl":               wantsHTTPS(301),
		"rails-hosts-ssl":               chain(empty, host(Domain), redirects(301, "https://"+Domain+"/up"), forwardedHTTPS, well),
		"rails-hosts-ssl-half-exempt": append(
			wantsHTTPS(301),
			asked(status(403), path("/")), asked(redirects(301, "https://"), path("/"), host(Domain))),
		"unapplied-migrations-rails":      {asked(says(500, "something went wrong")), inLog("Migrations are pending")},
		"unapplied-migrations-rails-page": {asked(says(500, "Migrations are pending"))},
		"handler-exception-rails":         {asked(says(500, "something went wrong")), asked(well, path("/up")), inLog("ZeroDivisionError")},
		"wrong-path-404-rails":            {asked(says(404, "exist (404)")), asked(status(404), host(Domain)), asked(well, path("/up"))},
		"wrong-path-404-sinatra":          {asked(says(404, "<h1>Not Found</h1>")), asked(status(404), host(Domain)), asked(says(200, "ok"), path("/health"))},
		"handler-exception-sinatra":       {asked(says(500, "<h1>Internal Server Error</h1>")), asked(says(200, "ok"), path("/health")), inLog("ZeroDivisionError")},
	}
}
