package sites

func healthyServersProofs() map[string]proof {
	well := proof{
		asked(says(200, "healthy")),
		asked(says(200, "healthy"), host(Domain)),
		asked(says(200, "healthy"), host(stranger)),
		asked(status(404), path(nowhere)),
	}
	all := map[string]proof{
		"healthy-nginx": {
			asked(says(200, "healthy")),
			asked(says(200, "healthy"), host(Domain)),
			asked(fails(closed), path("/")),
			asked(redirects(301, "https://example.com/"), host(Domain), path("/")),
			asked(says(200, "welcome"), host(Domain), path("/"), forwardedHTTPS),
		},
		"healthy-haproxy": {
			asked(says(200, "healthy")),
			asked(says(200, "healthy"), host(Domain)),
			asked(redirects(302, "https://example.com/"), host(Domain), path("/")),
			asked(says(200, "welcome"), host(Domain), path("/"), forwardedHTTPS),
		},
		"healthy-grpc": {grpcSays("0")},
	}
	for _, c := range healthyServers() {
		if all[c.Name] == nil {
			all[c.Name] = well
		}
	}
	return all
}
