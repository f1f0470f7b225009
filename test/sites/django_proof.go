package sites

import (
	"net/http"
	"slices"
	"testing"
)

// wantsDomain proves a list of hosts: the public name passes it, to what is
// wanted then, and neither an address nor an unknown name does.
func wantsDomain(refusal, then want) proof {
	return proof{asked(refusal), asked(refusal, host(stranger)), asked(then, host(Domain))}
}

// chain proves faults one behind the other: it is answers and, between two of
// them, the change that is kept from then on.
func chain(first want, rest ...any) proof {
	p := proof{asked(first)}
	var kept []change
	for _, part := range rest {
		switch part := part.(type) {
		case change:
			kept = append(kept, part)
		case func(*request):
			kept = append(kept, part)
		case want:
			p = append(p, asked(part, slices.Clone(kept)...))
		}
	}
	return p
}

// wantsHTTPS proves a redirect that a claim of https turns.
func wantsHTTPS(code int) proof {
	return proof{asked(redirects(code, "https://"+Private)), asked(status(http.StatusOK), forwardedHTTPS)}
}

func djangoProofs() map[string]proof {
	badHost := says(400, "<h1>Bad Request (400)</h1>")
	named := "'. You may need to add '127.0.0.5' to ALLOWED_HOSTS."
	ok := says(200, "ok")
	looksFixed := append(wantsDomain(badHost, ok), inLog(named))
	return map[string]proof{
		"django-allowed-hosts":                    append(wantsDomain(badHost, ok), asked(ok, host(Domain+":8000")), inLog(named)),
		"django-allowed-hosts-debug":              wantsDomain(says(400, "<title>DisallowedHost"), ok),
		"django-allowed-hosts-uwsgi":              append(wantsDomain(badHost, ok), inLog(named)),
		"django-allowed-hosts-nginx-uwsgi":        append(wantsDomain(badHost, ok), inLog(named)),
		"django-allowed-hosts-runserver":          append(wantsDomain(badHost, ok), inLog(named)),
		"django-allowed-hosts-looks-fixed-port":   looksFixed,
		"django-allowed-hosts-looks-fixed-mask":   looksFixed,
		"django-allowed-hosts-looks-fixed-star":   looksFixed,
		"django-allowed-hosts-looks-fixed-space":  looksFixed,
		"django-allowed-hosts-looks-fixed-scheme": looksFixed,
		// No Host that anybody sends reaches Django.
		"django-host-from-local-proxy": {
			asked(badHost), asked(badHost, host(Domain)), inLog("Invalid HTTP_HOST header: '127.0.0.1:"), asked(ok, hop),
		},
		"django-host-from-upstream-name": {
			asked(badHost), asked(badHost, host(Domain)), inLog("'shop_app'. The domain name provided is not valid according to RFC 1034/1035"), asked(ok, hop),
		},
		"django-allowed-hosts-old": append(wantsDomain(want{status: 400, body: "<h1>Bad Request (400)</h1>", header: "Content-Length: 26"}, ok), asked(ok, host(Domain+":8000"))),

		"django-ssl-redirect":              wantsHTTPS(301),
		"django-ssl-redirect-nginx":        wantsHTTPS(301),
		"django-ssl-redirect-exempt-slash": wantsHTTPS(301),
		// The users, whose load balancer says https, are sent around in circles.
		"proto-header-not-trusted-django": {
			asked(redirects(301, "https://")), asked(redirects(301, "https://"), forwardedHTTPS),
			asked(redirects(301, "https://"+Domain+"/health"), forwardedHTTPS, host(Domain)),
		},
		"django-ssl-redirect-uwsgi":       wantsHTTPS(301),
		"django-ssl-redirect-nginx-uwsgi": wantsHTTPS(301),
		"proxy-overwrites-proto": {
			asked(redirects(301, "https://")), asked(redirects(301, "https://"), forwardedHTTPS),
			asked(ok, hop, forwardedHTTPS),
		},
		"trailing-slash-redirect-django": {asked(redirects(301, "/healthz/")), asked(ok, path("/healthz/"))},
		"canonical-host-redirect-django": {
			asked(redirects(301, "http://www."+Private)), asked(redirects(301, "http://www."+Domain+"/health"), host(Domain)),
			asked(ok, host("www."+Domain)),
		},
		"locale-redirect-django": {
			asked(redirects(302, "/en/")), asked(redirects(302, "/fr/"), field("Accept-Language", "fr")), asked(ok, path("/en/")),
		},
		"login-redirect-django": {
			asked(redirects(302, "/accounts/login/?next=/private")), asked(status(404), path(nowhere)), asked(ok, path("/health")),
		},
		"kubelet-follows-redirect": {
			asked(redirects(301, "https://"+Private)), asked(failsSaying(tlsFailed, "first record does not look like a TLS handshake"), overTLS("")),
			asked(ok, forwardedHTTPS),
		},
		// gunicorn takes TLS for the beginning of a request, and waits for more.
		"kubelet-follows-redirect-gunicorn": {
			asked(redirects(301, "https://"+Private)), asked(fails(noTLS), overTLS("")), asked(ok, forwardedHTTPS),
		},

		"unapplied-migrations":       {asked(says(500, "<h1>Server Error (500)</h1>")), asked(ok, path("/health")), inLog("no such table: shop_order")},
		"unapplied-migrations-debug": {asked(says(500, "no such table: shop_order")), asked(ok, path("/health"))},
		"handler-exception-django":   {asked(says(500, "<h1>Server Error (500)</h1>")), asked(ok, path("/health")), inLog("ZeroDivisionError")},
		"dependency-down-500-django": {asked(says(500, "<h1>Server Error (500)</h1>")), asked(ok, path("/health")), inLog("failed: Connection refused")},
		"method-not-allowed-django":  {asked(want{status: 405, header: "Allow: POST"}), asked(ok, path("/health"))},
		"wrong-path-404-django":      {asked(status(404)), asked(status(404), host(Domain)), asked(ok, path("/health"))},
		"disk-full":                  {asked(says(500, "<h1>Server Error (500)</h1>")), asked(ok, path("/health")), inLog("database or disk is full")},
		"uwsgi-no-app": {
			asked(want{status: 500, body: "Internal Server Error", header: "Content-Type: text/plain"}), asked(status(500), path(nowhere)),
			inLog("no python application found"), inLog("No module named 'shipping'"),
		},
		"worker-killed-gunicorn": {asked(fails(closed)), asked(ok, path("/health")), inLog("WORKER TIMEOUT")},
		"worker-killed-uwsgi":    {asked(fails(closed)), inLog("HARAKIRI"), asked(ok, path("/health"))},
		"slow-handler-django":    {asked(fails(silent)), asked(ok, within(killed)), asked(ok, path("/health"), within(killed))},

		"imdsv2-required-401":    append(wantsDomain(badHost, ok), inLog(named)),
		"imds-timeout-too-small": append(wantsDomain(badHost, ok), inLog(named)),
		"imds-hop-limit":         append(wantsDomain(badHost, ok), inLog(named)),
		"imds-hosts-ssl":         {asked(badHost), asked(redirects(301, "https://"+Domain), host(Domain)), asked(ok, host(Domain), forwardedHTTPS)},
		"imds-hosts-ssl-hop":     {asked(badHost), asked(redirects(301, "https://"+Domain), host(Domain)), asked(ok, host(Domain), forwardedHTTPS)},
		"imds-hosts-ssl-hasty":   {asked(badHost), asked(redirects(301, "https://"+Domain), host(Domain)), asked(ok, host(Domain), forwardedHTTPS)},

		"eb-django-classic": chain(badHost, host(Domain), redirects(301, "https://"), forwardedHTTPS, ok),
		"django-migrations-third": append(
			chain(badHost, host(Domain), redirects(301, "https://"), forwardedHTTPS, says(500, "<h1>Server Error (500)</h1>"), path("/health"), ok),
			inLog("no such table: shop_order")),
		"django-login-third": chain(
			badHost, host(Domain), redirects(301, "https://"), forwardedHTTPS, redirects(302, "/accounts/login/?next=/private"), path("/health"), ok),
		"vhost444-ssl-slash": chain(
			fails(closed), host(Domain), redirects(301, "https://example.com/healthz"), forwardedHTTPS, redirects(301, "/healthz/"), path("/healthz/"), ok),
		"loopback-hosts-ssl": chain(
			fails(refused), on("127.0.0.1"), badHost, host(Domain), redirects(301, "https://"), forwardedHTTPS, ok),
		"proto-not-trusted-direct": append(
			chain(badHost, host(Domain), redirects(301, "https://"), forwardedHTTPS, redirects(301, "https://")),
			// From where gunicorn trusts the header it turns the answer.
			asked(ok, host(Domain), forwardedHTTPS, on("127.0.0.1"))),
		"basic-auth-hides-400": append(
			proof{asked(want{status: 401, header: `WWW-Authenticate: Basic realm="Staging"`}), asked(status(401), host(Domain))},
			asked(badHost, hop), asked(ok, hop, host(Domain))),
		"proto-trusted-behind-nginx": chain(badHost, host(Domain), redirects(301, "https://"), forwardedHTTPS, ok),
		"proxy-proto-and-host": {
			asked(badHost), asked(badHost, host(Domain)), asked(badHost, host(Domain), forwardedHTTPS),
			asked(redirects(301, "https://"), hop), asked(ok, hop, forwardedHTTPS),
		},
		"proxy-proto-and-hosts": {
			asked(badHost), asked(badHost, host(Domain)), asked(badHost, hop),
			asked(redirects(301, "https://"), hop, host(Domain)), asked(ok, hop, host(Domain), forwardedHTTPS),
		},
		"exhausted-and-redirect": {
			asked(fails(silent)), asked(redirects(301, "https://"), within(killed)), asked(ok, within(killed), forwardedHTTPS),
			does(func(_ *testing.T, s Site) { s.relief() }), asked(redirects(301, "https://"), within(killed)),
		},
	}
}
