package sites

func lighttpdProofs() map[string]proof {
	return map[string]proof{
		"lighttpd-www": {
			asked(redirects(302, "http://www.example.com/health")),
			asked(says(200, "healthy"), host("www.example.com")),
			asked(redirects(302, "http://www.example.com/health"), host(Domain)),
		},
		"lighttpd-directory-slash": {
			asked(redirects(301, "/status/")),
			asked(says(200, "healthy"), path("/status/")),
			asked(status(404), path(nowhere)),
		},
		"lighttpd-upstream-down": {
			asked(want{status: 503, header: "Server: lighttpd"}),
			asked(status(503), host(Domain)),
		},
	}
}
