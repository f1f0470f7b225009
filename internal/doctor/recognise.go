package doctor

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"hale/internal/probe"
)

// mark is how a piece of software gives itself away in an answer. A page is
// proof of who wrote the answer; a header field that a proxy passes on tells
// only that the software is on the way.
type mark struct {
	name string
	// page matches the body of an answer that the software wrote itself.
	page *regexp.Regexp
	// field and value match a line of the header.
	field string
	value *regexp.Regexp
	// looks is for what a pattern cannot say.
	looks func(*probe.Answer) bool
}

// marks are in the order of their weight: the first page that fits is the
// answer's author. Taken from the programs named, in Debian 12's versions.
var marks = []mark{
	{name: "nginx", page: re(`<center>nginx(/[\d.]+)?</center>|Welcome to nginx!`)},
	{name: "openresty", page: re(`<center>openresty`)},
	{name: "apache", page: re(`<address>Apache|<title>(301 Moved Permanently|302 Found|400 Bad Request|401 Unauthorized|403 Forbidden|404 Not Found|500 Internal Server Error|502 Proxy Error|503 Service Unavailable)</title>\s*</head><body>\s*<h1>|Apache2 (Debian|Ubuntu) Default Page`)},
	{name: "haproxy", page: re(`^<html><body><h1>\d{3} [^<]+</h1>\n[^<]*\n</body></html>\s*$|^<html><body><h1>\d{3} [A-Z][^<]*</h1>`)},
	{name: "varnish", page: re(`Guru Meditation:|<p>Varnish cache server</p>`)},
	{name: "lighttpd", page: re(`(?s)<\?xml version="1.0" encoding="iso-8859-1"\?>.*<title>\d{3} `)},
	{name: "caddy", looks: func(a *probe.Answer) bool { return len(a.Body) == 0 && a.Get("Server") == "Caddy" }},
	{name: "envoy", page: re(`^(no healthy upstream|upstream connect error or disconnect/reset before headers|no_route)`)},
	{name: "awselb", field: "Server", value: re(`^awselb/`)},
	{name: "httpsys", field: "Server", value: re(`^Microsoft-HTTPAPI/`)},
	{name: "iis", field: "Server", value: re(`^Microsoft-IIS/`)},

	{name: "django", page: re(`<h1>Bad Request \(400\)</h1>|<h1>Server Error \(500\)</h1>|<h1>Forbidden \(403\)</h1>|<title>DisallowedHost\s+at |You're seeing this error because you have <code>DEBUG = True|<h1>Not Found</h1><p>The requested resource was not found on this server.</p>`)},
	{name: "django", looks: djangoHeader},
	{name: "flask", page: re(`(?s)^<!doctype html>\s*<html lang=en>\s*<title>\d{3} |^<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3\.2 Final//EN">\s*<title>\d{3} `)},
	{name: "fastapi", page: re(`^\{"detail":("|\[)`)},
	{name: "starlette", page: re(`^(Invalid host header|Not Found|Internal Server Error|Method Not Allowed)$`), field: "Server", value: re(`^uvicorn|^hypercorn|^daphne`)},
	{name: "rails", page: re(`Blocked hosts?: |ActionDispatch::|ActiveRecord::PendingMigration|ActionController::RoutingError|The page you were looking for doesn(&#39;|'|’)t exist \(404\)|We(&#39;|'|’)re sorry, but something went wrong`)},
	{name: "rails", field: "X-Runtime", value: re(`^[\d.]+$`)},
	{name: "sinatra", page: re(`Sinatra doesn|<h1>Not Found</h1>$`), field: "X-Cascade", value: re(`pass`)},
	{name: "symfony", page: re(`Untrusted Host (&quot;|")|Symfony Exception|Oops! An Error Occurred`)},
	{name: "laravel", page: re(`Bad hostname provided|Illuminate\\|<body class="antialiased">\s*<div class="relative flex items-top justify-center min-h-screen`)},
	{name: "laravel", field: "Set-Cookie", value: re(`laravel_session=`)},
	{name: "wordpress", page: re(`wp-(includes|content|admin|die-message)|Briefly unavailable for scheduled maintenance|WordPress &rsaquo;`)},
	{name: "wordpress", field: "X-Redirect-By", value: re(`WordPress`)},
	{name: "express", page: re(`<pre>Cannot (GET|HEAD|OPTIONS|POST) |^(Moved Permanently|Found|Temporary Redirect)\. Redirecting to `)},
	{name: "express", field: "X-Powered-By", value: re(`^Express`)},
	{name: "next", field: "X-Powered-By", value: re(`^Next\.js`)},
	{name: "next", field: "Refresh", value: re(`^0;url=/`)},
	{name: "next", page: re(`/_next/static/|__NEXT_DATA__`)},
	{name: "spring", page: re(`"timestamp":.*"status":\d+.*"path":|Whitelabel Error Page|^\{"status":"(DOWN|OUT_OF_SERVICE|UP)"`)},
	{name: "tomcat", page: re(`<h1>HTTP Status \d{3} |This combination of host and port requires TLS|Apache Tomcat/`)},
	{name: "aspnet", page: re(`Bad Request - Invalid Hostname|HTTP Error 400\. The request hostname is invalid`)},
	{name: "aspnet", field: "Server", value: re(`^Kestrel`)},
	{name: "play", page: re(`Host not allowed: |Action [Nn]ot Found</h1>`)},
	{name: "phoenix", page: re(`Phoenix\.Router\.NoRouteError|Plug\.`)},
	{name: "phoenix", field: "Server", value: re(`(?i)^cowboy`)},
	{name: "uwsgi", looks: func(a *probe.Answer) bool {
		// uWSGI names no charset, as Starlette does, and no server, but a web server before it does.
		return a.Status == 500 && string(a.Body) == "Internal Server Error" && a.Get("Content-Type") == "text/plain" &&
			(a.Get("Server") == "" || slices.ContainsFunc(edges, func(edge string) bool { return strings.HasPrefix(strings.ToLower(a.Get("Server")), edge) }))
	}},
	{name: "uwsgi", page: re(`^(\*\*\* )?no python application|uWSGI Error`)},
	{name: "phpfpm", page: re(`^(File not found\.|Access denied\.)\s*$`)},
	{name: "go", page: re(`^404 page not found\n?$|^405 method not allowed|<a href="[^"]*">(Moved Permanently|Temporary Redirect|Found|See Other|Permanent Redirect)</a>\.\n*$|^400 Bad Request: missing required Host header|^Client sent an HTTP request to an HTTPS server`)},
	{name: "oauth2-proxy", page: re(`oauth2-proxy|OAuth2 Proxy`)},
	{name: "keycloak", page: re(`Keycloak`)},
	{name: "modsecurity", page: re(`ModSecurity|Mod_Security`)},

	{name: "nginx", field: "Server", value: re(`^nginx`)},
	{name: "openresty", field: "Server", value: re(`^openresty`)},
	{name: "apache", field: "Server", value: re(`^Apache`)},
	{name: "lighttpd", field: "Server", value: re(`^lighttpd`)},
	{name: "caddy", field: "Server", value: re(`^Caddy`)},
	{name: "varnish", field: "Via", value: re(`(?i)varnish`)},
	{name: "envoy", field: "Server", value: re(`^(envoy|istio-envoy)`)},
	{name: "gunicorn", field: "Server", value: re(`^gunicorn`)},
	{name: "uvicorn", field: "Server", value: re(`^uvicorn`)},
	{name: "flask", field: "Server", value: re(`^Werkzeug`)},
	{name: "django", field: "Server", value: re(`^WSGIServer`)},
	{name: "puma", field: "Server", value: re(`(?i)^puma`)},
	{name: "php", field: "X-Powered-By", value: re(`^PHP`)},
	{name: "node", field: "Keep-Alive", value: re(`^timeout=\d+$`)},
	{name: "hale", field: "Server", value: re(`^hale`)},
}

func re(pattern string) *regexp.Regexp { return regexp.MustCompile(pattern) }

// djangoHeader knows Django's SecurityMiddleware by what it adds by default.
func djangoHeader(a *probe.Answer) bool {
	for _, cookie := range values(a, "Set-Cookie") {
		if strings.HasPrefix(cookie, "csrftoken=") || strings.HasPrefix(cookie, "django_language=") {
			return true
		}
	}
	return a.Get("X-Content-Type-Options") == "nosniff" && a.Get("Referrer-Policy") == "same-origin"
}

func (m *mark) fits(a *probe.Answer) bool {
	switch {
	case m.looks != nil:
		return m.looks(a)
	case m.page != nil && !m.page.Match(bytes.TrimSpace(a.Body)):
		return false
	case m.field == "":
		return m.page != nil
	}
	return slices.ContainsFunc(values(a, m.field), m.value.MatchString)
}

// author returns the software whose page an answer is; "" if none is known.
func author(a *probe.Answer) string {
	for i := range marks {
		if m := &marks[i]; (m.page != nil || m.looks != nil) && m.fits(a) {
			return m.name
		}
	}
	return ""
}

// software returns everything that an answer tells of who had a hand in it.
func software(a *probe.Answer) []string {
	var names []string
	for i := range marks {
		if m := &marks[i]; m.fits(a) && !slices.Contains(names, m.name) {
			names = append(names, m.name)
		}
	}
	return names
}

// values returns all lines of a header field.
func values(a *probe.Answer, name string) []string {
	var all []string
	for _, f := range a.Header {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}

// edges are the web servers and proxies that stand before an app.
var edges = []string{"nginx", "openresty", "apache", "haproxy", "varnish", "lighttpd", "caddy", "envoy", "awselb", "iis", "httpsys"}

// isEdge tells whether a name, or that of a process, is a web server's or proxy's.
func isEdge(name string) bool {
	return slices.Contains(edges, name) || slices.ContainsFunc(kin[name], func(n string) bool { return slices.Contains(edges, n) })
}

// byEdge tells whether a web server or proxy wrote the answer itself.
func byEdge(a *probe.Answer) bool { return slices.Contains(edges, author(a)) }
