package sites

import "testing"

// behindTLS is how Django is set up where a load balancer ends TLS, but for the
// health check, of which nobody thought.
const behindTLS = hostsSet + redirectSet + headerSet

// nginxSaysItself replaces Host and the scheme by its own.
const nginxSaysItself = "server { listen @address@; location / { proxy_pass http://@gunicorn@; proxy_set_header X-Forwarded-Proto $scheme; } }"

// djangoChains are sites with several faults, one behind the other.
func djangoChains() []Case {
	hosts, redirect := "django-allowed-hosts", "django-ssl-redirect"
	return []Case{
		{Name: "eb-django-classic", Row: "eb-django-classic", Findings: []string{hosts, redirect}, Start: behindNginx(behindTLS, toGunicorn)},
		{
			Name: "django-migrations-third", Row: "django-migrations-third", Findings: []string{hosts, redirect, "unapplied-migrations"}, Inside: true,
			Start: askedFor("/orders", behindNginx(behindTLS, toGunicorn)),
		},
		{
			Name: "django-login-third", Row: "django-login-third", Findings: []string{hosts, redirect, "login-redirect"},
			Start: askedFor("/private", behindNginx(behindTLS, toGunicorn)),
		},
		{
			Name: "vhost444-ssl-slash", Row: "vhost444-ssl-slash", Findings: []string{"nginx-default-server-444", redirect, "trailing-slash-redirect"},
			Start: askedFor("/healthz", behindNginx(behindTLS, `
server { listen @address@ default_server; return 444; }
server { listen @address@; server_name example.com; location / { proxy_pass http://@gunicorn@; proxy_set_header Host $host; } }`)),
		},
		{
			Name: "loopback-hosts-ssl", Row: "loopback-hosts-ssl", Findings: []string{"bound-to-loopback", hosts, redirect}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(django(t, behindTLS).gunicorn(t, s.on("127.0.0.1")))
			},
		},
		{
			Name: "proto-not-trusted-direct", Row: "proto-not-trusted-direct", Findings: []string{hosts, redirect, "proto-header-not-trusted"},
			Start: onGunicorn(hostsSet + redirectSet),
		},
		{
			// gunicorn believes nginx, which is on the same machine.
			Name: "proto-trusted-behind-nginx", Row: "proto-not-trusted-direct", Findings: []string{hosts, redirect},
			Start: behindNginx(hostsSet+redirectSet, toGunicorn),
		},
		{
			Name: "basic-auth-hides-400", Row: "basic-auth-hides-400", Findings: []string{"basic-auth", hosts}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("htpasswd", "ops:{PLAIN}only for tests\n")
				http := `server { listen @address@; auth_basic "Staging"; auth_basic_user_file @dir@/htpasswd;
	location / { proxy_pass http://@gunicorn@; proxy_set_header Host $host; } }`
				django(t, hostsSet).behind(s, http)
				site := serveNginx(s, http)
				site.behind = s.words["@gunicorn@"]
				return site
			},
		},
		{
			Name: "proxy-proto-and-host", Row: "proxy-proto-and-host", Inside: true,
			Findings: []string{"django-host-from-local-proxy", "proxy-overwrites-proto", redirect},
			Start:    behindNginx(hostsBehind+redirectSet+headerSet, nginxSaysItself),
		},
		{
			// Here the instance's own address is not in the list either, which
			// shows when nginx passes on what it is told.
			Name: "proxy-proto-and-hosts", Row: "proxy-proto-and-host", Inside: true,
			Findings: []string{"django-host-from-local-proxy", "proxy-overwrites-proto", hosts, redirect},
			Start:    behindNginx(behindTLS, nginxSaysItself),
		},
		{
			Name: "exhausted-and-redirect", Row: "exhausted-and-redirect", Findings: []string{"worker-exhaustion", redirect},
			Inside: true, Timeout: hasty, Slow: true,
			Start: func(t testing.TB) Site {
				s := onGunicorn(redirectSet+headerSet, "--threads", "1")(t)
				s.relief = occupy(t, s.Address, "/slow?seconds=0.45")
				return s
			},
		},
	}
}
