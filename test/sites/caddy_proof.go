package sites

func caddyProofs() map[string]proof {
	nothing := want{status: 200, header: "Content-Length: 0"}
	return map[string]proof{
		"caddy-other-host": {
			asked(nothing),
			asked(nothing, path(nowhere)),
			asked(nothing, host(stranger)),
			asked(says(200, "healthy"), host(Domain)),
			asked(status(404), host(Domain), path(nowhere)),
		},
		"caddy-other-path": {
			asked(nothing),
			asked(nothing, path(nowhere)),
			asked(nothing, host(Domain)),
		},
		"caddy-https": {
			asked(want{status: 308, location: "https://127.0.0.5/health", header: "Server: Caddy"}),
			asked(redirects(308, "https://127.0.0.5/health"), forwardedHTTPS),
			asked(redirects(308, "https://example.com/health"), host(Domain)),
		},
		"caddy-upstream-down": {
			asked(want{status: 502, header: "Server: Caddy"}),
			asked(status(502), host(Domain)),
			inLog("connection refused"),
		},
	}
}
