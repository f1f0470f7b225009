package sites

func varnishProofs() map[string]proof {
	return map[string]proof{
		"varnish-backend-down": {
			asked(says(503, "Guru Meditation")),
			asked(says(503, "Backend fetch failed"), host(Domain)),
		},
	}
}
