package sites

import (
	"crypto/tls"
	"strings"
	"testing"
)

func namedProofs() map[string]proof {
	badHost, ok := says(400, "<h1>Bad Request (400)</h1>"), says(200, "ok")
	django := chain(badHost, host("www."+Domain), redirects(301, "https://"), forwardedHTTPS, ok)
	bare := chain(badHost, host(Domain), redirects(301, "https://"), forwardedHTTPS, ok)
	return map[string]proof{
		"named-by-certificate": append(bare, does(shows(Domain))),
		"named-by-wildcard":    append(django, asked(badHost, host(Domain)), does(shows("*."+Domain))),
		"named-in-django":      bare,
		"named-in-mod-wsgi":    bare,
		"named-in-environment": django,
		"named-in-flask":       chain(status(404), host(Domain), redirects(308, "/hs/"), path("/hs/"), ok),
		"named-in-rails":       chain(status(403), host("shop."+Domain), redirects(301, "https://"), forwardedHTTPS, status(200)),
		"named-in-starlette": chain(
			says(400, "Invalid host header"), host(Domain), redirects(307, "https://"+Domain+"/healthz"), forwardedHTTPS,
			redirects(307, "https://"+Domain+"/healthz/"), path("/healthz/"), says(200, `{"status":"ok"}`)),
		"named-in-url": wantsDomain(says(403, "Host validation failed for: "), ok),
	}
}

// shows proves the first name in the certificate that users are shown.
func shows(name string) func(*testing.T, Site) {
	return func(t *testing.T, s Site) {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Users, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := conn.ConnectionState().PeerCertificates[0].DNSNames; len(got) == 0 || got[0] != name {
			t.Errorf("the certificate is for %q, want %q", strings.Join(got, " "), name)
		}
	}
}

func idleProofs() map[string]proof {
	kept := asked(status(200))
	return map[string]proof{
		"uvicorn-keepalive":       {kept, does(closesIdle)},
		"lighttpd-keepalive":      {kept, does(closesIdle)},
		"uvicorn-keepalive-told":  {kept, does(closesIdle)},
		"gunicorn-keepalive-told": {kept, does(closesIdle)},
		"go-stream":               {asked(want{status: 200, outcome: bodySilent})},
	}
}
