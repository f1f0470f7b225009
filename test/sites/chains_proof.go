package sites

func webServerChainsProofs() map[string]proof {
	return map[string]proof{
		"ua-https-502": {
			asked(status(403)),
			asked(redirects(301, "https://127.0.0.5/health"), browser),
			asked(says(502, "<center>nginx"), browser, forwardedHTTPS),
			asked(status(403), forwardedHTTPS),
			inLog("connect() failed (111: Connection refused)"),
			asked(fails(refused), hop),
		},
		"tls-sni-vhost": {
			asked(says(400, "The plain HTTP request was sent to HTTPS port")),
			asked(failsSaying(tlsFailed, "unrecognized name"), overTLS("")),
			asked(status(404), overTLS(Domain)),
			asked(says(200, "healthy"), overTLS(Domain), host(Domain)),
		},
		"proxy-protocol-vhost": {
			asked(fails(closed)),
			asked(status(404), proxyLine),
			asked(says(200, "healthy"), proxyLine, host(Domain)),
			asked(fails(closed), host(Domain)),
		},
	}
}
