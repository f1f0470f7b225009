package sites

func haproxyProofs() map[string]proof {
	noServer := says(503, "No server is available to handle this request.")
	return map[string]proof{
		"haproxy-host-without-port": {
			asked(noServer),
			asked(says(200, "healthy"), noPort),
			asked(says(200, "healthy"), host(Domain)),
			asked(noServer, host(Domain+":8080")),
			asked(noServer, host(stranger)),
		},
		"haproxy-no-backend": {
			asked(noServer),
			asked(noServer, noPort),
			asked(says(200, "healthy"), host(Domain)),
			asked(says(200, "healthy"), host(Domain+":8080")),
			asked(noServer, host(stranger)),
		},
		"haproxy-no-backend-bare-name": {
			asked(noServer),
			asked(noServer, noPort),
			asked(says(200, "healthy"), host(Domain)),
			asked(noServer, host(Domain+":8080")),
			asked(noServer, host(stranger)),
		},
		"haproxy-tls-to-plain-server": {
			asked(noServer),
			asked(noServer, host(Domain)),
		},
		"haproxy-https": {
			asked(redirects(302, "https://127.0.0.5:")),
			asked(redirects(302, "https://127.0.0.5:"), forwardedHTTPS),
			asked(redirects(302, "https://example.com/health"), host(Domain)),
		},
		"haproxy-https-by-header": {
			asked(redirects(302, "https://127.0.0.5:")),
			asked(says(200, "healthy"), forwardedHTTPS),
		},
		"haproxy-rate-limit": {
			asked(says(200, "healthy")),
			asked(says(429, "Too Many Requests")),
		},
		"haproxy-server-down": {
			asked(says(503, "No server is available to handle this request.")),
			asked(status(503), host(Domain)),
		},
		"haproxy-server-timeout": {
			asked(says(504, "The server didn't respond in time.")),
		},
		"haproxy-accept-proxy": {
			asked(fails(closed)),
			asked(fails(closed), host(Domain)),
			asked(says(200, "healthy"), proxyLine),
		},
	}
}
