package sites

func imitatedProofs() map[string]proof {
	return map[string]proof{
		"envoy-no-healthy-upstream": {
			asked(says(503, "no healthy upstream")),
			asked(says(503, "no healthy upstream"), host(Domain)),
		},
		"envoy-connect-error": {
			asked(says(503, "upstream connect error")),
			asked(says(503, "upstream connect error"), host(Domain)),
		},
		"envoy-no-route": {
			asked(want{status: 404, header: "Server: envoy"}),
			asked(status(404), host(stranger)),
			asked(says(200, "healthy"), host(Domain)),
		},
		"iis-no-binding": {
			asked(says(400, "The request hostname is invalid.")),
			asked(status(400), host(stranger)),
			asked(says(200, "healthy"), host(Domain)),
		},
		"iis-no-site": {
			asked(want{status: 404, header: "Server: Microsoft-HTTPAPI"}),
			asked(status(404), host(stranger)),
			asked(says(200, "healthy"), host(Domain)),
		},
		"iis-pool-stopped": {
			asked(says(503, "The service is unavailable.")),
			asked(status(503), host(Domain)),
		},
	}
}
