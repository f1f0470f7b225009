package sites

func tomcatProofs() map[string]proof {
	notFound := says(404, "<h1>HTTP Status 404")
	return map[string]proof{
		"servlet-requires-secure": {asked(redirects(302, "https://"+Private+":8443/health")), asked(says(200, "ok"), forwardedHTTPS)},
		"proto-header-not-trusted-tomcat": {
			asked(redirects(302, "https://")), asked(redirects(302, ":8443/health"), forwardedHTTPS), asked(redirects(302, "https://"), forwardedHTTPS, host(Domain)),
		},
		"trailing-slash-redirect-tomcat": {asked(redirects(302, "/shop/")), asked(says(200, "Shop"), path("/shop/"))},
		"path-prefix-tomcat":             {asked(notFound), asked(notFound, host(Domain)), asked(says(200, "ok"), path("/shop/health"))},
		"handler-exception-tomcat":       {asked(notFound), asked(notFound, path("/")), asked(notFound, host(Domain)), inLog("startup failed due to previous errors")},
		"wrong-path-404-tomcat":          {asked(notFound), asked(notFound, host(Domain)), asked(says(200, "ok"), path("/health"))},
	}
}
