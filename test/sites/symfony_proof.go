package sites

func symfonyProofs() map[string]proof {
	ok := says(200, "ok")
	return map[string]proof{
		"symfony-trusted-hosts":       append(wantsDomain(says(400, "Oops! An Error Occurred"), ok), inLog("Untrusted Host")),
		"symfony-trusted-hosts-debug": wantsDomain(says(400, "Untrusted Host"), ok),
		"handler-exception-symfony":   {asked(says(500, "Oops! An Error Occurred")), asked(ok, path("/health")), inLog("no such discount")},
	}
}
