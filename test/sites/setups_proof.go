package sites

import (
	"path/filepath"
	"slices"
	"testing"
)

func setupProofs() map[string]proof {
	badHost := says(400, "<h1>Bad Request (400)</h1>")
	ok := says(200, "ok")
	toHTTPS := redirects(301, "https://")
	refusal := `"GET / HTTP/1.1" 400 `
	return map[string]proof{
		"setup-a": chain(toHTTPS, forwardedHTTPS, badHost, host(Domain), ok),
		"setup-a-tcp-ping": {
			asked(says(500, "Internal Server Error"), path("/health_check"), forwardedHTTPS),
			asked(says(500, "Internal Server Error"), path("/"), forwardedHTTPS, host(Domain)),
			asked(fails(silent), func(r *request) { r.body = []byte("G") }), // the connection stands
		},
		"setup-b":             append(chain(badHost, host(Domain), toHTTPS, forwardedHTTPS, ok), inAccessLog(refusal)),
		"setup-b-hasty":       append(chain(badHost, host(Domain), toHTTPS, forwardedHTTPS, ok), inAccessLog(refusal)),
		"setup-b-half-healed": wantsHTTPS(301),
		"setup-c-variable":    {asked(says(502, "<center>nginx")), asked(status(502), host(Domain)), inLog("the environment variable SHOP_SECRET_KEY is not set")},
		"setup-c-migrations":  {asked(says(503, "fail")), asked(says(200, "ok"), path("/health"), forwardedHTTPS), inLog("unapplied migrations: [(<Migration contenttypes.0001_initial>")},
		"setup-d":             chain(toHTTPS, forwardedHTTPS, badHost, host(Domain), ok),
		"setup-d-settings": {
			asked(says(500, "<title>500 Internal Server Error</title>")), asked(status(500), path("/"), forwardedHTTPS),
			inLog("ImproperlyConfigured: the environment variable RDS_HOSTNAME is not set"),
		},
		"setup-d-database": append(
			chain(toHTTPS, forwardedHTTPS, badHost, host(Domain), says(500, "<h1>Server Error (500)</h1>"), path("/health"), ok),
			inLog("failed: Connection refused")),

		"healthy-setup-a": {
			asked(ok), asked(ok, path("/health_check/")), asked(ok, noPort, field("Connection", "keep-alive"), field("Accept", "*/*")),
			asked(toHTTPS, path("/")), asked(badHost, path("/"), host(stranger), forwardedHTTPS), asked(status(404), path(nowhere), forwardedHTTPS),
		},
		"healthy-setup-b": {
			asked(ok), asked(toHTTPS, path("/")), asked(badHost, host(stranger)),
			asked(want{status: 200, header: "Strict-Transport-Security: max-age=60"}, path("/"), forwardedHTTPS),
		},
		"healthy-setup-c": {asked(ok), asked(toHTTPS, path("/")), asked(badHost, path("/"), host(stranger), forwardedHTTPS)},
		"healthy-setup-d": {asked(ok), asked(ok, path("/health_check/")), asked(toHTTPS, path("/")), asked(status(404), path(nowhere), forwardedHTTPS)},
	}
}

// inAccessLog is a step: nginx's log of requests has a text.
func inAccessLog(text string) step {
	return does(func(t *testing.T, s Site) {
		t.Helper()
		for i, log := range s.Log {
			if filepath.Base(log) == "nginx-error.log" {
				s.Log = slices.Clone(s.Log[i : i+1])
				s.Log[0] = filepath.Join(filepath.Dir(log), "nginx-access.log")
				inLog(text).do(t, s)
				return
			}
		}
		t.Errorf("no nginx among %v", s.Log)
	})
}
