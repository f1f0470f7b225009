package sites

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A standIn answers like an application of a framework that is not to be had
// here: pages are its own, head is what stands in the head of each, lost is
// what it says where it has no page.
type standIn struct {
	head  string
	pages map[string]string
	lost  string
}

func (s standIn) answer(r *http.Request) string {
	page, ok := s.pages[r.URL.Path]
	if !ok {
		return message("404 Not Found\n"+s.head, s.lost)
	}
	return message("200 OK\n"+s.head, page)
}

// only lets requests through that a condition fits, and has an answer for the
// others.
func only(fits func(*http.Request) bool, otherwise func(*http.Request) string, app func(*http.Request) string) func(*http.Request) string {
	return func(r *http.Request) string {
		if fits(r) {
			return app(r)
		}
		return otherwise(r)
	}
}

func saysHTTPS(r *http.Request) bool { return r.Header.Get("X-Forwarded-Proto") == "https" }
func never(*http.Request) bool       { return false }

// toHTTPS redirects to https with a status line and the rest of a head.
func toHTTPS(status, head string) func(*http.Request) string {
	return func(r *http.Request) string {
		name, _, _ := strings.Cut(r.Host, ":")
		return message(status+"\nlocation: https://"+name+r.URL.RequestURI()+"\n"+head, "")
	}
}

// The applications.
var (
	laravel = standIn{
		head: "Server: nginx\nContent-Type: text/html; charset=UTF-8\nX-Powered-By: PHP/8.2.7\nCache-Control: no-cache, private\n" +
			"Set-Cookie: XSRF-TOKEN=b25seSBmb3IgdGVzdHM%3D; path=/; samesite=lax\nSet-Cookie: laravel_session=b25seSBmb3IgdGVzdHM%3D; path=/; httponly; samesite=lax",
		pages: map[string]string{"/": "<h1>Shop</h1>", "/up": "<title>Shop</title><p>Application up</p>"},
		lost:  laravelNotFound,
	}
	aspnet  = standIn{head: "Server: Kestrel\nContent-Type: text/plain\nCache-Control: no-store, no-cache", pages: map[string]string{"/": "Shop", "/health": "Healthy"}}
	play    = standIn{head: "Content-Type: text/plain; charset=UTF-8", pages: map[string]string{"/": "Shop", "/health": "ok"}, lost: "<title>Not Found</title><h1>Action Not Found</h1>"}
	phoenix = standIn{
		head:  "server: Cowboy\ncontent-type: text/html; charset=utf-8\ncache-control: max-age=0, private, must-revalidate\nx-request-id: GCgxH8Gk7ZsVhS4AAAFC",
		pages: map[string]string{"/": "<h1>Shop</h1>", "/health": "ok"}, lost: "Not Found",
	}
	keycloak = standIn{
		head:  "Content-Type: application/json\nReferrer-Policy: no-referrer\nX-Content-Type-Options: nosniff",
		pages: map[string]string{"/realms/master": `{"realm":"master","public_key":""}`},
		lost:  `{"error":"Unable to find matching target resource method","error_description":"For more on this error consult the server log."}`,
	}
	keycloakManagement = standIn{
		head:  "content-type: application/json; charset=UTF-8",
		pages: map[string]string{"/health": keycloakUp, "/health/live": keycloakUp, "/health/ready": keycloakUp, "/metrics": "# TYPE jvm_info gauge\n"},
		lost:  "<html><body><h1>Resource not found</h1></body></html>",
	}
	wordpress = standIn{
		head:  "Server: Apache/2.4.57 (Debian)\nContent-Type: text/html; charset=UTF-8\nLink: <http://www.example.com/index.php?rest_route=/>; rel=\"https://api.w.org/\"",
		pages: map[string]string{"/": "<title>Shop</title><link href='http://www.example.com/wp-includes/css/dashicons.css'>", "/hello-world/": "<title>Hello</title><link href='/wp-content/themes/a/style.css'>"},
		lost:  "<title>Page not found</title><link href='/wp-content/themes/a/style.css'>",
	}
)

const (
	laravelNotFound = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Not Found</title></head>
<body class="antialiased"><div class="relative flex items-top justify-center min-h-screen">
<div class="px-4 text-lg text-gray-500">404</div><div class="ml-4 text-lg text-gray-500 uppercase">Not Found</div></div></body></html>
`
	keycloakUp = `{"status":"UP","checks":[]}`

	springSecurity = "X-Content-Type-Options: nosniff\nX-XSS-Protection: 0\nCache-Control: no-cache, no-store, max-age=0, must-revalidate\nPragma: no-cache\nExpires: 0\nX-Frame-Options: DENY"
	springUp       = `{"status":"UP","groups":["liveness","readiness"]}`
	springDown     = `{"status":"DOWN","groups":["liveness","readiness"]}`
	tomcatNotFound = `<!doctype html><html lang="en"><head><title>HTTP Status 404 – Not Found</title></head><body><h1>HTTP Status 404 – Not Found</h1></body></html>`
)

// spring is a Spring Boot application whose actuator says health, and wants a
// password for all but what is public; it is mounted at a context path.
type spring struct {
	context, health string
	secured         bool
	public          []string // context left out
}

func (s spring) answer(r *http.Request) string {
	path, ok := strings.CutPrefix(r.URL.Path, s.context)
	if !ok {
		return message("404 \nContent-Type: text/html;charset=utf-8\nContent-Language: en", tomcatNotFound)
	}
	if s.secured && !strings.Contains(strings.Join(s.public, " ")+" ", path+" ") {
		return message("401 \nWWW-Authenticate: Basic realm=\"Realm\"\n"+springSecurity+"\nContent-Type: application/json",
			`{"timestamp":"2024-05-01T12:00:00.000+00:00","status":401,"error":"Unauthorized","path":"`+r.URL.Path+`"}`)
	}
	const actuator = "Content-Type: application/vnd.spring-boot.actuator.v3+json"
	switch path {
	case "/actuator/health":
		if s.health != springUp {
			return message("503 \n"+actuator, s.health)
		}
		return message("200 \n"+actuator, s.health)
	case "/actuator/health/liveness", "/actuator/health/readiness":
		return message("200 \n"+actuator, `{"status":"UP"}`)
	case "/", "":
		return message("200 \nContent-Type: text/html;charset=UTF-8", "<h1>Shop</h1>")
	}
	return message("404 \nContent-Type: application/json", `{"timestamp":"2024-05-01T12:00:00.000+00:00","status":404,"error":"Not Found","path":"`+r.URL.Path+`"}`)
}

// next is a Next.js application mounted at /app, which wants a slash at each
// path's end before anything else, and then https.
func next(r *http.Request) string {
	switch path := r.URL.Path; {
	case !strings.HasSuffix(path, "/"):
		return message("308 Permanent Redirect\nlocation: "+path+"/\nRefresh: 0;url="+path+"/", path+"/")
	case !strings.HasPrefix(path, "/app/"):
		return message("404 Not Found\nX-Powered-By: Next.js\nContent-Type: text/html; charset=utf-8", `<script src="/app/_next/static/chunks/main.js"></script><h2>This page could not be found.</h2>`)
	case !saysHTTPS(r):
		// What the middleware is told of the URL has no prefix.
		return toHTTPS("301 Moved Permanently", "")(&http.Request{Host: r.Host, URL: &url.URL{Path: strings.TrimPrefix(path, "/app")}})
	case path == "/app/api/health/":
		return message("200 OK\ncontent-type: application/json", `{"status":"ok"}`)
	case path == "/app/":
		return message("200 OK\nX-Powered-By: Next.js\nContent-Type: text/html; charset=utf-8", `<script src="/app/_next/static/chunks/main.js"></script><h1>Shop</h1>`)
	}
	return message("404 Not Found\nX-Powered-By: Next.js\nContent-Type: text/html; charset=utf-8", `<script src="/app/_next/static/chunks/main.js"></script><h2>This page could not be found.</h2>`)
}

// nextLanguages sends those to their language who want another than English.
func nextLanguages(r *http.Request) string {
	if language := r.Header.Get("Accept-Language"); r.URL.Path == "/" && !strings.HasPrefix(language, "en") {
		if language == "" {
			language = "de" // the site's default is for a domain of its own
		}
		return message("307 Temporary Redirect\nlocation: /"+language[:2], "/"+language[:2])
	}
	const head = "\nX-Powered-By: Next.js\nContent-Type: text/html; charset=utf-8"
	if r.URL.Path != "/" && len(r.URL.Path) != len("/en") {
		return message("404 Not Found"+head, `<script src="/_next/static/chunks/main.js"></script><h2>This page could not be found.</h2>`)
	}
	return message("200 OK"+head, `<script src="/_next/static/chunks/main.js"></script><h1>Shop</h1>`)
}

// wordpressMoved sends who calls the site otherwise than it calls itself to
// the host without a port, as WordPress does.
func wordpressMoved(r *http.Request) string {
	if name, port, _ := strings.Cut(r.Host, ":"); port != "" {
		return message("301 Moved Permanently\nServer: Apache/2.4.57 (Debian)\nX-Redirect-By: WordPress\nContent-Type: text/html; charset=UTF-8\nLocation: http://"+name+r.URL.RequestURI(), "")
	}
	return wordpress.answer(r)
}

// standInSites are faulty sites of frameworks that are imitated.
func standInSites() []Case {
	stands := func(name, row string, findings []string, answer func(*http.Request) string) Case {
		if findings == nil {
			findings = []string{row}
		}
		return Case{Name: name, Row: row, Findings: findings, Imitated: true, Start: func(t testing.TB) Site { return imitate(t, answer) }}
	}
	asks := func(path string, c Case) Case {
		c.Start = askedFor(path, c.Start)
		return c
	}
	tries := func(path string, c Case) Case {
		c.Path = []string{path}
		return c
	}
	const (
		kestrel    = "400 Bad Request\nServer: Kestrel\nContent-Type: text/html"
		kestrelTo  = "307 Temporary Redirect"
		cowboyTo   = "301 Moved Permanently"
		laravelErr = "Server: nginx\nX-Powered-By: PHP/8.2.7\nCache-Control: no-cache, private\nContent-Type: text/html; charset=UTF-8"
		actuator   = "/actuator/health"
	)
	notAllowed := func(r *http.Request) string {
		return message("400 Bad Request\nContent-Type: text/html; charset=UTF-8",
			"<title>Bad Request</title><h1>Bad Request</h1>\n<p id=\"detail\">\n    For request '"+r.Method+" "+r.URL.Path+"' [Host not allowed: "+r.Host+"]\n</p>\n")
	}
	return []Case{
		asks("/up", stands("laravel-trust-hosts-404", "laravel-trust-hosts", nil, forDomain(laravel.answer, message("404 Not Found\n"+laravelErr, laravelNotFound)))),
		asks("/up", stands("laravel-trust-hosts-400", "laravel-trust-hosts", nil, forDomain(laravel.answer, message("400 Bad Request\n"+laravelErr,
			"<!DOCTYPE html>\n<html><head><title>An Error Occurred: Bad Request</title></head>\n<body><h1>Oops! An Error Occurred</h1>\n<h2>The server returned a \"400 Bad Request\".</h2></body></html>")))),
		stands("aspnet-allowed-hosts", "aspnet-allowed-hosts", nil, forDomain(aspnet.answer, message(kestrel,
			"<HTML><HEAD><TITLE>Bad Request</TITLE></HEAD>\r\n<BODY><h2>Bad Request - Invalid Hostname</h2>\r\n<hr><p>HTTP Error 400. The request hostname is invalid.</p>\r\n</BODY></HTML>"))),
		stands("play-allowed-hosts", "play-allowed-hosts", nil, func(r *http.Request) string { return forDomain(play.answer, notAllowed(r))(r) }),

		stands("aspnet-https-redirection", "aspnet-https-redirection", nil, only(saysHTTPS, toHTTPS(kestrelTo, "Server: Kestrel"), aspnet.answer)),
		stands("proto-header-not-trusted-aspnet", "proto-header-not-trusted", []string{"aspnet-https-redirection", "proto-header-not-trusted"},
			only(never, toHTTPS(kestrelTo, "Server: Kestrel"), aspnet.answer)),
		stands("phoenix-force-ssl", "phoenix-force-ssl", nil, only(saysHTTPS, toHTTPS(cowboyTo, "server: Cowboy\ncache-control: max-age=0, private, must-revalidate"), phoenix.answer)),

		asks(actuator, stands("spring-actuator-secured", "spring-actuator-secured", nil, spring{health: springUp, secured: true, public: []string{"/login"}}.answer)),
		asks(actuator, stands("spring-health-down", "spring-health-down", nil, spring{health: springDown}.answer)),
		asks(actuator, stands("spring-out-of-service", "spring-health-down", nil, spring{health: `{"status":"OUT_OF_SERVICE"}`}.answer)),
		// The password hides the third fault, which shows when it is gone.
		tries("/shop/actuator/health", asks(actuator, stands("spring-triple", "spring-triple", []string{"path-prefix", "spring-actuator-secured"},
			spring{context: "/shop", health: springDown, secured: true, public: []string{"/actuator/health/liveness"}}.answer))),
		tries("/shop/actuator/health", asks(actuator, stands("spring-triple-permitted", "spring-triple", []string{"path-prefix", "spring-health-down"},
			spring{context: "/shop", health: springDown}.answer))),

		asks("/app/api/health", stands("next-prefix-proto", "next-prefix-proto", []string{"trailing-slash-redirect", "express-https-redirect"}, next)),
		tries("/app/api/health", asks("/api/health", stands("next-prefix-proto-without", "next-prefix-proto", []string{"trailing-slash-redirect", "path-prefix", "express-https-redirect"}, next))),
		asks("/", stands("locale-redirect-next", "locale-redirect", nil, nextLanguages)),

		asks("/", stands("wordpress-canonical", "wordpress-canonical", nil, wordpressMoved)),
		asks("/", stands("wordpress-not-installed", "wordpress-not-installed", nil,
			always(message("302 Found\nServer: Apache/2.4.57 (Debian)\nX-Redirect-By: WordPress\nContent-Type: text/html; charset=UTF-8\nLocation: http://"+Private+"/wp-admin/install.php", "")))),
		asks("/", stands("wordpress-database-down", "wordpress-not-installed", nil,
			always(message("500 Internal Server Error\nServer: Apache/2.4.57 (Debian)\nContent-Type: text/html; charset=utf-8",
				"<title>Database Error</title><body id=\"error-page\"><div class=\"wp-die-message\"><h1>Error establishing a database connection</h1></div></body>")))),
		// The flag hides the second fault, which shows when it is gone.
		asks("/", stands("wordpress-pair", "wordpress-pair", []string{"maintenance-mode"},
			always(message("503 Service Unavailable\nServer: Apache/2.4.57 (Debian)\nRetry-After: 600\nContent-Type: text/html; charset=utf-8",
				"<title>Maintenance</title><body id=\"error-page\"><div class=\"wp-die-message\">Briefly unavailable for scheduled maintenance. Check back in a minute.</div></body>")))),
		{
			Name: "path-moved-keycloak", Row: "path-moved-to-management-port", Findings: []string{"path-moved-to-management-port"},
			Inside: true, Alone: true, Imitated: true,
			Start: func(t testing.TB) Site {
				s := imitate(t, keycloak.answer)
				s.Path, s.behind = "/health/ready", imitate(t, keycloakManagement.answer).Address
				return s
			},
		},
	}
}
