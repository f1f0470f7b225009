package sites

func apacheProofs() map[string]proof {
	return map[string]proof{
		"apache-first-host": {
			asked(says(404, "Apache")),
			asked(says(200, "healthy"), host(Domain)),
			asked(status(404), host(stranger)),
		},
		"apache-first-host-refuses": {
			asked(says(403, "Apache")),
			asked(says(200, "healthy"), host(Domain)),
			asked(status(403), host(stranger)),
		},
		"apache-redirect-permanent": {
			asked(redirects(301, "https://example.com/health")),
			asked(redirects(301, "https://example.com/health"), forwardedHTTPS),
			asked(redirects(301, "https://example.com/health"), host(Domain)),
		},
		"apache-https-by-header": {
			asked(redirects(301, "https://127.0.0.5:")),
			asked(says(200, "healthy"), forwardedHTTPS),
		},
		"apache-directory-slash": {
			asked(redirects(301, "/status/")),
			asked(says(200, "healthy"), path("/status/")),
			asked(status(404), path(nowhere)),
		},
		"apache-www": {
			asked(redirects(301, "http://www.127.0.0.5:")),
			asked(says(200, "healthy"), host("www.example.com")),
		},
		"apache-basic-auth": {
			asked(want{status: 401, header: `WWW-Authenticate: Basic realm="Staging"`}),
			asked(status(401), host(Domain)),
			asked(status(401), path(nowhere)),
		},
		"apache-require-ip": {
			asked(status(403)),
			asked(status(403), host(Domain)),
			asked(says(200, "healthy"), on("127.0.0.1")),
			inLog("AH01630: client denied by server configuration"),
		},
		"apache-bots": {
			asked(status(403)),
			asked(status(403), host(Domain)),
			asked(says(200, "healthy"), browser),
		},
		"apache-empty-docroot": {
			asked(says(403, "Apache")),
			asked(status(404), path(nowhere)),
			inLog("AH01276: Cannot serve directory"),
		},
		"apache-docroot-not-granted": {
			asked(says(403, "You don't have permission to access this resource.")),
			asked(status(403), path(nowhere)),
			inLog("AH01630: client denied by server configuration"),
		},
		"apache-upstream-down": {
			asked(says(503, "Service Unavailable")),
			asked(status(503), host(Domain)),
			inLog("AH00957"),
		},
		"apache-proxy-timeout": {
			asked(says(502, "Proxy Error")),
			inLog("AH01102"),
		},
		"apache-static-file": {
			asked(want{status: 200, body: "healthy", header: "Accept-Ranges: bytes"}),
			asked(want{status: 200, header: `ETag: "8-`}),
			asked(status(404), path(nowhere)),
		},
		"apache-keepalive": {
			asked(says(200, "healthy")),
			does(closesIdle),
		},
		"apache-crs-strict": {
			asked(says(403, "Apache")),
			asked(says(403, "Apache"), field("Accept", "*/*")),
			asked(says(200, "healthy"), host(Domain)),
			asked(says(200, "healthy"), host(stranger)),
			inLog(`[id "920350"]`),
			inLog(`[id "949110"]`),
		},
		"crs-additive": {
			asked(says(403, "Apache")),
			asked(says(200, "healthy"), host(Domain)),
			asked(says(200, "healthy"), field("Accept", "*/*")),
			inLog(`[id "920350"]`),
			inLog(`[id "920300"]`),
			inLog(`[id "949110"]`),
		},
	}
}
