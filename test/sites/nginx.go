package sites

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// nginxWell is a server block's content that answers as app does.
const nginxWell = `
	default_type text/plain;
	location = /health { return 200 "healthy\n"; }
	location = / { return 200 "welcome\n"; }
	location / { return 404; }
`

// nginxProxy passes everything on to the application.
const nginxProxy = `
	location / { proxy_pass http://@app@; proxy_set_header Host $host; }
`

// nginxTLS is what a server block needs to speak TLS.
const nginxTLS = `ssl_certificate @certificate@; ssl_certificate_key @key@;`

// serveNginx starts nginx with the content of its block http, whose words are
// replaced, and returns the site at the setting's address.
func serveNginx(s *setting, http string) Site {
	s.t.Helper()
	return serveNginxWith(s, "", http)
}

// serveNginxWith does so with lines of the main block as well.
func serveNginxWith(s *setting, main, http string) Site {
	s.t.Helper()
	spec, log := nginxSpec(s, main, http)
	spec.Listens = []string{listening(s, http)}
	servers.Run(s.t, spec)
	return s.site(log)
}

// nginxSpec writes nginx's configuration, and says how to start nginx with it
// and which file is its error log. What is mentioned in the configuration runs.
func nginxSpec(s *setting, main, http string) (spec servers.Spec, log string) {
	s.t.Helper()
	log = filepath.Join(s.dir(), "nginx-error.log")
	user := ""
	if os.Geteuid() == 0 {
		user = "user nobody nogroup;" // what else nginx takes depends on how it was built
	}
	config := s.file("nginx.conf", fmt.Sprintf(`%s
daemon off;
worker_processes 1;
pid @dir@/nginx.pid;
error_log %s;
%s
events {}
http {
	access_log @dir@/nginx-access.log;
	client_body_temp_path @dir@/body; proxy_temp_path @dir@/proxy; fastcgi_temp_path @dir@/fastcgi;
	uwsgi_temp_path @dir@/uwsgi; scgi_temp_path @dir@/scgi;
%s
}
`, user, log, main, http))
	return servers.Spec{Name: "nginx", Args: []string{"-c", config, "-e", log}}, log
}

// listening is the address at which a configuration makes a server listen: on
// loopback, for those that say it with the port alone.
func listening(s *setting, configuration string) string {
	switch {
	case strings.Contains(configuration, "@address@"):
		return s.address
	case strings.Contains(configuration, "ipv6only=on"), strings.Contains(configuration, "v6only"):
		return s.on("::1")
	default:
		return s.on("127.0.0.1")
	}
}

// nginx starts a site whose nginx has the content of the block http.
func nginx(http string) func(testing.TB) Site {
	return func(t testing.TB) Site { return serveNginx(newSetting(t), http) }
}

// askedFor turns a site into one that is asked for another path.
func askedFor(path string, start func(testing.TB) Site) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := start(t)
		s.Path = path
		return s
	}
}

// by turns a site into one that another prober asks.
func by(prober string, start func(testing.TB) Site) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := start(t)
		s.As = prober
		return s
	}
}

// known turns a site into one that users know under another name.
func known(domain string, start func(testing.TB) Site) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := start(t)
		s.Domain = domain
		return s
	}
}

// overHTTPS turns a site into one whose target group is set to HTTPS.
func overHTTPS(start func(testing.TB) Site) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := start(t)
		s.Scheme = "https"
		return s
	}
}

// nginxHosts are sites whose nginx chooses the wrong server block.
func nginxHosts() []Case {
	return []Case{
		{
			Name: "nginx-default-444", Row: "nginx-default-server-444", Findings: []string{"nginx-default-server-444"},
			Start: nginx(`
server { listen @address@ default_server; return 444; }
server { listen @address@; server_name example.com; ` + nginxWell + `}`),
		},
		{
			Name: "nginx-first-server", Row: "nginx-wrong-vhost", Findings: []string{"nginx-wrong-vhost"},
			Start: nginx(`
server { listen @address@; server_name blog.example.org; location / { return 404; } location = / { return 200 "blog\n"; } }
server { listen @address@; server_name example.com; ` + nginxWell + `}`),
		},
		{
			Name: "nginx-first-server-refuses", Row: "nginx-wrong-vhost", Findings: []string{"nginx-wrong-vhost"},
			Start: nginx(`
server { listen @address@ default_server; server_name _; return 403; }
server { listen @address@; server_name example.com; ` + nginxProxy + `}`),
		},
		{
			// nginx's own documents recommend this against requests without Host.
			Name: "nginx-no-host-444", Row: "host-missing", Findings: []string{"host-missing"},
			Start: by("haproxy", askedFor("/", nginx(`
server { listen @address@; server_name ""; return 444; }
server { listen @address@ default_server; server_name example.com; `+nginxWell+`}`))),
		},
		{
			Name: "nginx-knows-own-address", Row: "nlb-host-is-node-ip", Findings: []string{"nlb-host-is-node-ip"},
			Start: by("nlb", nginx(`
server { listen @address@ default_server; return 400; }
server { listen @address@; server_name example.com 127.0.0.5; `+nginxWell+`}`)),
		},
	}
}

// nginxRedirects are sites whose nginx sends the probe elsewhere, or says
// something else than 200 on purpose.
func nginxRedirects() []Case {
	return []Case{
		{
			Name: "nginx-return-301", Row: "nginx-return-301", Findings: []string{"nginx-return-301"},
			Start: nginx(`server { listen @address@; server_name example.com; return 301 https://$host$request_uri; }`),
		},
		{
			Name: "nginx-https-by-header", Row: "web-server-xfp-rewrite", Findings: []string{"web-server-xfp-rewrite"},
			Start: nginx(`
server {
	listen @address@;
	if ($http_x_forwarded_proto != "https") { return 301 https://$host$request_uri; }
` + nginxProxy + `}`),
		},
		{
			Name: "nginx-directory-slash", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("www/health/index.html", "healthy\n")
				s.file("www/index.html", "welcome\n")
				return serveNginx(s, `server { listen @address@; root @dir@/www; }`)
			},
		},
		{
			Name: "nginx-prefix-slash", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"},
			Start: askedFor("/api", nginx(`
server { listen @address@; location /api/ { proxy_pass http://@app@/; } location / { return 404; } }`)),
		},
		{
			Name: "nginx-www", Row: "canonical-host-redirect", Findings: []string{"canonical-host-redirect"},
			Start: known("www.example.com", nginx(`
server {
	listen @address@;
	if ($host !~ "^www\.") { return 301 $scheme://www.$host$request_uri; }
`+nginxWell+`}`)),
		},
		{
			Name: "nginx-one-name", Row: "canonical-host-redirect", Findings: []string{"canonical-host-redirect"},
			Start: nginx(`
server { listen @address@ default_server; return 302 http://example.com$request_uri; }
server { listen @address@; server_name example.com; ` + nginxProxy + `}`),
		},
		{
			Name: "nginx-204", Row: "success-matcher-mismatch", Findings: []string{"success-matcher-mismatch"},
			Start: nginx(`
server {
	listen @address@;
	location = /health { return 204; }
	location = / { return 200 "welcome\n"; }
	location / { return 404; }
}`),
		},
		{
			// The kubelet follows to the same host, into TLS on a port without.
			Name: "nginx-kubelet", Row: "kubelet-follows-redirect", Findings: []string{"kubelet-follows-redirect"},
			Start: by("kubelet", nginx(`
server {
	listen @address@;
	if ($http_x_forwarded_proto != "https") { return 301 https://$http_host$request_uri; }
`+nginxProxy+`}`)),
		},
	}
}

// nginxRefusals are sites whose nginx turns the probe away.
func nginxRefusals() []Case {
	return []Case{
		{
			Name: "nginx-basic-auth", Row: "basic-auth", Findings: []string{"basic-auth"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("htpasswd", "someone:{PLAIN}secret\n")
				return serveNginx(s, `server { listen @address@; auth_basic "Staging"; auth_basic_user_file @dir@/htpasswd; `+nginxProxy+`}`)
			},
		},
		{
			Name: "nginx-allow-deny", Row: "ip-allowlist", Findings: []string{"ip-allowlist"}, Inside: true,
			Start: nginx(`server { listen @port@; allow 127.0.0.1; deny all; ` + nginxProxy + `}`),
		},
		{
			Name: "nginx-bots", Row: "ua-blocked", Findings: []string{"ua-blocked"},
			Start: nginx(`
map $http_user_agent $robot { default 0; "~*(bot|crawl|spider|checker|curl|wget)" 1; "" 1; }
server { listen @address@; if ($robot) { return 403; } ` + nginxWell + `}`),
		},
		{
			Name: "nginx-bots-444", Row: "ua-blocked", Findings: []string{"ua-blocked"},
			Start: nginx(`
map $http_user_agent $robot { default 1; "~*(mozilla|opera)" 0; }
server { listen @address@; if ($robot) { return 444; } ` + nginxWell + `}`),
		},
		{
			Name: "nginx-limit-req", Row: "rate-limited", Findings: []string{"rate-limited"},
			Start: nginx(`
limit_req_zone $binary_remote_addr zone=perip:1m rate=1r/m;
server { listen @address@; limit_req zone=perip; ` + nginxProxy + `}`),
		},
		{
			Name: "nginx-limit-req-429", Row: "rate-limited", Findings: []string{"rate-limited"},
			Start: nginx(`
limit_req_zone $binary_remote_addr zone=perip:1m rate=1r/m;
limit_req_status 429;
server { listen @address@; limit_req zone=perip; ` + nginxProxy + `}`),
		},
		{
			Name: "nginx-no-index", Row: "apache-empty-docroot-403", Findings: []string{"apache-empty-docroot-403"},
			Path: []string{"/robots.txt"},
			Start: askedFor("/", func(t testing.TB) Site {
				s := newSetting(t)
				s.file("www/robots.txt", "User-agent: *\nDisallow:\n")
				return serveNginx(s, `server { listen @address@; root @dir@/www; }`)
			}),
		},
		{
			Name: "nginx-unreadable-file", Row: "docroot-permission-403", Findings: []string{"docroot-permission-403"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("www/index.html", "welcome\n")
				chmod(t, s.file("www/health", "healthy\n"), 0)
				return serveNginx(s, `server { listen @address@; root @dir@/www; }`)
			},
		},
	}
}

// nginxPaths are sites whose nginx has nothing at the health path, or the
// same for every path.
func nginxPaths() []Case {
	return []Case{
		{
			Name: "nginx-404", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/healthz"},
			Start: nginx(`
server {
	listen @address@;
	location = /healthz { return 200 "healthy\n"; }
	location / { return 404; }
}`),
		},
		{
			Name: "nginx-prefix", Row: "path-prefix", Findings: []string{"path-prefix"}, Path: []string{"/api/health"},
			Start: nginx(`
server { listen @address@; location /api/ { proxy_pass http://@app@/; } location / { return 404; } }`),
		},
		{
			Name: "nginx-static-options", Row: "method-not-allowed", Findings: []string{"method-not-allowed"},
			Start: by("haproxy", askedFor("/", func(t testing.TB) Site {
				s := newSetting(t)
				s.file("www/index.html", "welcome\n")
				return serveNginx(s, `server { listen @address@; root @dir@/www; }`)
			})),
		},
		{
			Name: "nginx-single-page-app", Row: "false-positive-200", Findings: []string{"false-positive-200"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("www/index.html", `<!doctype html><title>Shop</title><div id="app"></div>`)
				return serveNginx(s, `server { listen @address@; root @dir@/www; location / { try_files $uri /index.html; } }`)
			},
		},
	}
}

// nginxProxies are sites whose nginx answers, but not what is behind it.
func nginxProxies() []Case {
	return []Case{
		{
			Name: "nginx-upstream-down", Row: "proxy-upstream-down-502", Findings: []string{"proxy-upstream-down-502"},
			Start: nginx(`server { listen @address@; location / { proxy_pass http://@nobody@; } }`),
		},
		{
			Name: "nginx-socket-missing", Row: "proxy-upstream-down-502", Findings: []string{"proxy-upstream-down-502"}, Inside: true,
			Start: nginx(`server { listen @address@; location / { uwsgi_pass unix:@dir@/uwsgi.sock; } }`),
		},
		{
			Name: "nginx-socket-forbidden", Row: "proxy-upstream-down-502", Findings: []string{"proxy-upstream-down-502"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				socket := filepath.Join(s.dir(), "app.sock")
				serveUnix(t, socket, app())
				chmod(t, socket, 0)
				return serveNginx(s, `server { listen @address@; location / { proxy_pass http://unix:`+socket+`:; } }`)
			},
		},
		{
			Name: "nginx-unknown-upstream", Row: "proxy-unresolvable-upstream", Findings: []string{"proxy-unresolvable-upstream"},
			Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				spec, log := nginxSpec(s, "", `server { listen @address@; location / { proxy_pass http://app:8000; } }`)
				if code := servers.Run(t, spec).Wait(); code == 0 {
					t.Fatal("nginx started with an upstream that does not exist")
				}
				return s.site(log)
			},
		},
		{
			Name: "nginx-https-to-plain-upstream", Row: "proxy-upstream-protocol", Findings: []string{"proxy-upstream-protocol"}, Inside: true,
			Start: nginx(`server { listen @address@; location / { proxy_pass https://@app@; } }`),
		},
		{
			Name: "nginx-http-to-https-upstream", Row: "proxy-upstream-protocol", Findings: []string{"proxy-upstream-protocol"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.words["@behind@"] = loopback(t)
				return serveNginx(s, `
server { listen @behind@ ssl; `+nginxTLS+nginxWell+`}
server { listen @address@; location / { proxy_pass http://@behind@; } }`)
			},
		},
		{
			Name: "nginx-uwsgi-to-http-upstream", Row: "proxy-upstream-protocol", Findings: []string{"proxy-upstream-protocol"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.words["@behind@"] = loopback(t)
				node(s, `server.listen(`+portOf(s.words["@behind@"])+`, '127.0.0.1');
`, servers.Spec{Listens: []string{s.words["@behind@"]}})
				return serveNginx(s, `server { listen @address@; location / { uwsgi_pass @behind@; } }`)
			},
		},
		{
			Name: "nginx-http-to-uwsgi-socket", Row: "proxy-upstream-protocol", Findings: []string{"proxy-upstream-protocol"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.words["@uwsgi@"] = loopback(t)
				s.logs = append(s.logs, uwsgiSocket(s, s.words["@uwsgi@"]))
				return serveNginx(s, `server { listen @address@; location / { proxy_pass http://@uwsgi@; } }`)
			},
		},
		{
			Name: "nginx-gateway-timeout", Row: "proxy-timeout-504", Findings: []string{"proxy-timeout-504"}, Timeout: 10 * time.Second,
			Start: nginx(`server { listen @address@; location / { proxy_pass http://@silent@; proxy_read_timeout 1s; } }`),
		},
		{
			Name: "nginx-maintenance", Row: "maintenance-mode", Findings: []string{"maintenance-mode"}, Path: []string{"/robots.txt"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("maintenance.flag", "")
				s.file("www/robots.txt", "User-agent: *\nDisallow:\n")
				s.file("www/maintenance.html", "<title>Maintenance</title><h1>We will be back soon</h1>\n")
				return serveNginx(s, `
server {
	listen @address@;
	root @dir@/www;
	error_page 503 @maintenance;
	location @maintenance { add_header Retry-After 600 always; rewrite ^ /maintenance.html break; }
	location = /robots.txt { }
	location / {
		if (-f @dir@/maintenance.flag) { return 503; }
		proxy_pass http://@app@;
	}
}`)
			},
		},
	}
}

// nginxBodies are sites whose nginx says 200 with a body that some stumble
// over.
func nginxBodies() []Case {
	return []Case{
		{
			Name: "nginx-big-body", Row: "big-health-body", Findings: []string{"big-health-body"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.words["@docs@"] = serve(t, "127.0.0.1", atHealth(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = fmt.Fprintf(w, `{"routes": [%s{}]}`, strings.Repeat(`{"methods": ["GET", "POST"], "args": {}},`, 5000))
				}))
				return serveNginx(s, `server { listen @address@; location / { proxy_pass http://@docs@; } }`)
			},
		},
		{
			Name: "nginx-gzip", Row: "compressed-body", Findings: []string{"compressed-body"},
			Start: by("consul", nginx(`
server { listen @address@; gzip on; gzip_types *; gzip_min_length 1; `+nginxProxy+`}`)),
		},
	}
}

// nginxStale is a site whose configuration was mended, and whose nginx was not
// told.
func nginxStale() []Case {
	return []Case{
		{
			Name: "nginx-not-reloaded", Row: "stale-process", Findings: []string{"nginx-return-301", "stale-process"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				site := serveNginx(s, `server { listen @address@; return 301 https://$host$request_uri; }`)
				config := filepath.Join(s.dir(), "nginx.conf")
				old, err := os.ReadFile(config)
				if err != nil {
					t.Fatal(err)
				}
				mended := strings.Replace(string(old), "return 301 https://$host$request_uri;",
					`location = /health { return 200 "healthy\n"; } location / { return 301 https://$host$request_uri; }`, 1)
				if err := os.WriteFile(config, []byte(mended), 0o644); err != nil {
					t.Fatal(err)
				}
				// A person mends it later than the second in which nginx started.
				later := time.Now().Add(time.Minute)
				if err := os.Chtimes(config, later, later); err != nil {
					t.Fatal(err)
				}
				return site
			},
		},
	}
}
