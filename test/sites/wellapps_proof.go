package sites

func healthyAppProofs() map[string]proof {
	ok := says(200, "ok")
	// guarded is a site whose other pages are for its users.
	guarded := func(refusal int) proof {
		return proof{
			asked(ok), asked(ok, host(Domain)), asked(ok, host(stranger)), asked(status(refusal), path("/")),
			asked(redirects(301, "https://"+Domain+"/"), host(Domain), path("/")), asked(status(200), host(Domain), path("/"), forwardedHTTPS),
			asked(status(404), host(Domain), path(nowhere), forwardedHTTPS),
		}
	}
	well := proof{asked(ok), asked(ok, host(Domain)), asked(ok, host(stranger)), asked(status(404), path(nowhere))}
	all := map[string]proof{
		"healthy-django-exempt": {
			asked(ok), asked(ok, host(Domain)), asked(status(400), host(stranger)), asked(redirects(301, "https://"), path("/")),
			asked(status(404), path(nowhere), forwardedHTTPS),
		},
		"healthy-rails": {
			asked(says(200, "green")), asked(says(200, "green"), host(stranger)), asked(status(403), path("/")),
			asked(redirects(301, "https://"), host(Domain), path("/")), asked(status(404), path(nowhere), host(Domain), forwardedHTTPS),
		},
		"healthy-fastapi": {
			asked(ok), asked(ok, host(stranger)), asked(status(400), path("/")), asked(redirects(307, "https://"), host(Domain), path("/")),
			asked(status(404), path(nowhere), host(Domain), forwardedHTTPS),
		},
		"healthy-express": guarded(403),
		"healthy-symfony": {asked(ok), asked(ok, host(Domain)), asked(status(400), host(stranger)), asked(status(404), path(nowhere))},
		"healthy-spring":  {asked(says(200, `"UP"`)), asked(status(401), path("/")), asked(status(401), path(nowhere))},
	}
	for _, name := range []string{"gunicorn", "uwsgi", "nginx-uwsgi", "nginx-gunicorn", "runserver"} {
		all["healthy-django-"+name] = guarded(400)
	}
	for _, name := range []string{"sinatra", "flask", "express-nginx", "tomcat", "tomcat-nginx"} {
		all["healthy-"+name] = well
	}
	return all
}
