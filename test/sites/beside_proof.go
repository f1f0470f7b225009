package sites

func besideProofs() map[string]proof {
	refuses := asked(fails(refused))
	wantsHTTPSBehind := asked(redirects(301, "https://"), hop)
	return map[string]proof{
		"default-host-down":   {asked(status(502)), asked(status(502), host("nobody.example.net")), asked(status(200), host(Domain))},
		"default-host-passes": {asked(status(200)), asked(status(200), host("nobody.example.net")), asked(status(502), host(Domain))},
		"haproxy-other-sites": {asked(status(503)), asked(status(503), host(Domain)), asked(status(200), host("old.example.com"))},
		"other-paths-upstream": {
			asked(status(502)), asked(status(200), path("/")), inLog("connect() failed (111: Connection refused)"),
		},
		"other-site-has-path":      {asked(status(404)), asked(status(404), host(Domain)), asked(says(200, "ok"), host("old.example.com"))},
		"other-app-lacks-variable": {asked(status(500)), asked(status(200), path("/health")), asked(status(404), path("/api/health"))},
		"agent-alone":              {refuses, asked(says(200, "up 1"), port("9117"))},
		"agent-has-root":           {refuses, asked(says(200, "up 1"), port("9117")), asked(status(404), port("9117"), path(nowhere))},
		"proxy-behind-proxy":       {asked(status(502)), asked(status(502), host(Domain)), inLog("connect() failed (111: Connection refused)")},
		"https-and-name": {
			asked(redirects(301, "https://www.example.com/health")), asked(redirects(301, "https://www.example.com/health"), forwardedHTTPS),
			asked(says(200, "ok"), host("www.example.com")),
		},
		"own-page-of-502":      {asked(says(502, "We are sorry.")), asked(status(502), host(Domain))},
		"variable-given-since": {refuses, inLog("Listening at: ")},
		"variable-not-needed":  {refuses, inLog("Cannot find module './routes/index.js'")},
		"port-was-in-use":      {asked(status(404)), asked(status(200), path("/health")), inLog("EADDRINUSE")},
		"key-missing":          {asked(status(500)), asked(status(404), path(nowhere)), inLog("KeyError: 'TOTAL'")},
		"disk-full-beside":     {asked(status(500)), asked(status(200), path("/health"))},
		"reporter-refused":     {asked(status(500)), asked(status(200), path("/health")), inLog("ECONNREFUSED")},
		"redirects-twice": {
			asked(redirects(301, "https://")), wantsHTTPSBehind, asked(status(200), forwardedHTTPS), asked(status(200), hop, forwardedHTTPS),
		},
		"wants-forwarded-for": {asked(status(500)), asked(status(500), path(nowhere)), asked(status(200), field("X-Forwarded-For", "192.0.2.1"))},
		"wants-accept-406":    {asked(status(406)), asked(status(406), host(Domain)), asked(status(200), field("Accept", "*/*"))},
		"websockets-alone": {
			asked(status(426)), asked(status(426), path(nowhere)),
			asked(status(101), field("Connection", "Upgrade"), field("Upgrade", "websocket")),
		},
		"no-tenant-500":    {asked(status(500)), asked(status(500), path(nowhere)), asked(status(200), host(Domain))},
		"no-tenant-401":    {asked(status(401)), asked(status(401), path(nowhere)), asked(status(200), host(Domain))},
		"takes-post-alone": {asked(status(405)), asked(status(404), path(nowhere))},
		"haproxy-check-fails": {
			asked(says(503, "No server is available to handle this request.")), asked(status(503), host(Domain)),
		},
		"wants-cookie":     {asked(redirects(302, "/health")), asked(status(200), field("Cookie", "visited=1"))},
		"cache-not-needed": {asked(status(500)), asked(status(200), path("/health")), inLog("ECONNREFUSED")},
		"healthy-files":    {asked(status(200)), asked(status(404), path(nowhere))},
	}
}
