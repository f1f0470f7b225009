package sites

import (
	"strings"
	"testing"
)

// How the applications are set up.
const (
	starletteHosts = `
from starlette.middleware.trustedhost import TrustedHostMiddleware
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["example.com"])
`
	starletteSSL = `
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
app.add_middleware(HTTPSRedirectMiddleware)
`
	bearer = `
from starlette.responses import JSONResponse


@app.middleware("http")
async def authenticate(request, call_next):
    if request.url.path != "/docs" and not request.headers.get("Authorization"):
        return JSONResponse({"detail": "Not authenticated"}, 401, {"WWW-Authenticate": "Bearer"})
    return await call_next(request)
`
)

// trusting tells uvicorn to believe what every peer says of the client.
var trusting = []string{"--proxy-headers", "--forwarded-allow-ips", "*"}

// onUvicorn is a FastAPI site under uvicorn.
func onUvicorn(lines string, args ...string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		address := private(t)
		p := pythonApp(t, "fastapi", "python3-fastapi", lines)
		p.args = args
		return site(address, p.uvicorn(t, address))
	}
}

// fastapiSites are faulty sites in FastAPI and Starlette.
func fastapiSites() []Case {
	hosts, redirect, slash, notTrusted := "starlette-trusted-host", "starlette-https-redirect", "trailing-slash-redirect", "proto-header-not-trusted"
	return []Case{
		{Name: "starlette-trusted-host", Row: hosts, Findings: []string{hosts}, Start: onUvicorn(starletteHosts)},
		{Name: "starlette-https-redirect", Row: redirect, Findings: []string{redirect}, Start: onUvicorn(starletteSSL, trusting...)},
		{Name: "proto-header-not-trusted-uvicorn", Row: notTrusted, Findings: []string{redirect, notTrusted}, Start: onUvicorn(starletteSSL)},
		{
			// What is added last comes first.
			Name: "fastapi-three", Row: "fastapi-three", Findings: []string{hosts, redirect, slash},
			Start: askedFor("/healthz", onUvicorn(starletteSSL+starletteHosts, trusting...)),
		},
		{
			Name: "fastapi-three-untrusted", Row: "fastapi-three", Findings: []string{hosts, redirect, notTrusted},
			Start: askedFor("/healthz", onUvicorn(starletteSSL+starletteHosts)),
		},
		{Name: "trailing-slash-redirect-fastapi", Row: slash, Findings: []string{slash}, Start: askedFor("/healthz", onUvicorn(""))},
		{
			// A list with the www name alone sends the bare one there.
			Name: "canonical-host-redirect-starlette", Row: "canonical-host-redirect", Findings: []string{hosts, "canonical-host-redirect"},
			Start: onUvicorn(strings.Replace(starletteHosts, "example.com", "www.example.com", 1)),
		},
		{Name: "app-auth-middleware-fastapi", Row: "app-auth-middleware", Findings: []string{"app-auth-middleware"}, Path: []string{"/docs"}, Start: onUvicorn(bearer)},
		{Name: "wrong-path-404-fastapi", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/health"}, Start: askedFor("/status", onUvicorn(""))},
		{
			Name: "path-prefix-fastapi", Row: "path-prefix", Findings: []string{"path-prefix"}, Path: []string{"/api/health"},
			Start: onUvicorn("\ninner, app = app, FastAPI()\napp.mount('/api', inner)\n"),
		},
		{Name: "method-not-allowed-fastapi", Row: "method-not-allowed", Findings: []string{"method-not-allowed"}, Start: by("haproxy", onUvicorn(""))},
		{Name: "bad-request-by-app-fastapi", Row: "bad-request-by-app", Findings: []string{"bad-request-by-app"}, Path: []string{"/health"}, Start: askedFor("/search", onUvicorn(""))},
		{Name: "handler-exception-fastapi", Row: "handler-exception", Findings: []string{"handler-exception"}, Start: askedFor("/broken", onUvicorn(""))},
		{Name: "concurrency-limit-503", Row: "concurrency-limit-503", Findings: []string{"concurrency-limit-503"}, Start: crowded},
	}
}
