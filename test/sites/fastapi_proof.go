package sites

import "testing"

func fastapiProofs() map[string]proof {
	ok := says(200, `{"status":"ok"}`)
	badHost := says(400, "Invalid host header")
	return map[string]proof{
		"starlette-trusted-host":   append(wantsDomain(badHost, ok), asked(ok, host(Domain+":8000"))),
		"starlette-https-redirect": wantsHTTPS(307),
		"proto-header-not-trusted-uvicorn": {
			asked(redirects(307, "https://")), asked(redirects(307, "https://"), forwardedHTTPS),
			asked(ok, forwardedHTTPS, on("127.0.0.1")),
		},
		"fastapi-three": chain(
			badHost, host(Domain), redirects(307, "https://"+Domain+"/healthz"), forwardedHTTPS, redirects(307, "https://"+Domain+"/healthz/"), path("/healthz/"), ok),
		"fastapi-three-untrusted": append(
			chain(badHost, host(Domain), redirects(307, "https://"+Domain+"/healthz"), forwardedHTTPS, redirects(307, "https://"+Domain+"/healthz")),
			asked(redirects(307, "/healthz/"), host(Domain), forwardedHTTPS, on("127.0.0.1"))),
		"trailing-slash-redirect-fastapi": {asked(redirects(307, "/healthz/")), asked(ok, path("/healthz/"))},
		"canonical-host-redirect-starlette": {
			asked(badHost), asked(badHost, host(stranger)), asked(redirects(307, "http://www."+Domain+"/health"), host(Domain)), asked(ok, host("www."+Domain)),
		},
		"app-auth-middleware-fastapi": {
			asked(want{status: 401, body: "Not authenticated", header: "WWW-Authenticate: Bearer"}),
			asked(status(401), path(nowhere)), asked(status(401), host(Domain)), asked(status(200), path("/docs")),
		},
		"wrong-path-404-fastapi":     {asked(says(404, `{"detail":"Not Found"}`)), asked(status(404), host(Domain)), asked(ok, path("/health"))},
		"path-prefix-fastapi":        {asked(says(404, `{"detail":"Not Found"}`)), asked(status(404), host(Domain)), asked(ok, path("/api/health"))},
		"method-not-allowed-fastapi": {asked(want{status: 405, header: "Allow: GET"}, noHost, method("OPTIONS")), asked(status(405), method("HEAD")), asked(ok, noHost)},
		"bad-request-by-app-fastapi": {asked(says(422, `"loc":["query","query"]`)), asked(ok, path("/health")), asked(status(200), path("/search?query=1"))},
		"handler-exception-fastapi":  {asked(says(500, "Internal Server Error")), asked(ok, path("/health")), inLog("ZeroDivisionError")},
		"concurrency-limit-503": {
			asked(says(503, "Service Unavailable")), asked(status(503), path("/")),
			does(func(_ *testing.T, s Site) { s.relief() }), asked(ok),
		},
	}
}
