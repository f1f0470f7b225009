package sites

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// Settings of Django, as people write them.
const (
	hostsSet    = "ALLOWED_HOSTS = ['example.com']\n"
	hostsBehind = "ALLOWED_HOSTS = ['example.com', '127.0.0.5']\n"
	redirectSet = "SECURE_SSL_REDIRECT = True\n"
	headerSet   = "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')\n"
	healthFirst = "MIDDLEWARE.insert(0, 'mysite.health.HealthMiddleware')\n"
)

// Time-outs of probes.
const (
	// hasty is exceeded by a handler that takes two seconds, and four times as
	// much is not.
	hasty = time.Second
	// killed outlasts a server that kills a worker after a few seconds.
	killed = 30 * time.Second
)

// django is the project in testdata/django, with more lines at the end of its
// settings.
func django(t testing.TB, settings string, env ...string) python {
	t.Helper()
	return djangoIn(t, filepath.Join(t.TempDir(), "django"), settings, env...)
}

// djangoIn is django in a directory that is chosen.
func djangoIn(t testing.TB, dir, settings string, env ...string) python {
	t.Helper()
	servers.NeedDjango(t)
	unpack(t, "django", dir)
	file := filepath.Join(dir, "mysite", "settings.py")
	write(t, file, readFile(t, file)+settings)
	return python{dir: dir, module: "mysite.wsgi:application", env: env}
}

// manage runs a command of the project's manage.py.
func (p python) manage(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command(servers.NeedDjango(t), append([]string{"manage.py"}, args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.environment()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("manage.py %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// runserver runs Django's development server and returns its log.
func (p python) runserver(t testing.TB, address string) (log string) {
	t.Helper()
	return run(t, servers.Spec{
		Name: servers.NeedDjango(t),
		Args: []string{"manage.py", "runserver", "--noreload", bind(address)},
		Dir:  p.dir,
		Env:  p.environment(),
	}, address).OutputFile()
}

// onGunicorn is a Django site under gunicorn, which faces the load balancer.
func onGunicorn(settings string, args ...string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		p := django(t, settings)
		p.args = args
		address := private(t)
		return site(address, p.gunicorn(t, address))
	}
}

// onUWSGI is a Django site under uWSGI, which faces the load balancer.
func onUWSGI(settings string, args ...string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		p := django(t, settings)
		p.args = args
		address := private(t)
		return site(address, p.uwsgi(t, address))
	}
}

// behindNginx is a Django site behind nginx, which has the content of the block
// http; @gunicorn@ there is the address of gunicorn, @uwsgi@ the socket of
// uWSGI, of which one runs.
func behindNginx(settings, http string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		django(t, settings).behind(s, http)
		site := serveNginx(s, http)
		site.behind = s.words["@gunicorn@"]
		warm(t, site.Address)
		return site
	}
}

// behind runs the application where a proxy's configuration wants it.
func (p python) behind(s *setting, configuration string) {
	s.t.Helper()
	if strings.Contains(configuration, "@gunicorn@") {
		s.words["@gunicorn@"] = loopback(s.t)
		s.logs = append(s.logs, p.gunicorn(s.t, s.words["@gunicorn@"]))
	} else {
		s.words["@uwsgi@"] = filepath.Join(s.dir(), "app.sock")
		s.logs = append(s.logs, p.uwsgi(s.t, s.words["@uwsgi@"]))
	}
}

// How nginx passes requests on to Django.
const (
	toGunicorn = "server { listen @address@; location / { proxy_pass http://@gunicorn@; proxy_set_header Host $host; } }\n"
	toUWSGI    = "server { listen @address@; location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:@uwsgi@; } }\n"
)

// databaseAt is the setting of a PostgreSQL database.
func databaseAt(address string) string {
	return fmt.Sprintf("DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'HOST': '127.0.0.1', 'PORT': %s, 'NAME': 'shop', 'USER': 'shop'}}\n", portOf(address))
}

// djangoHosts are sites that refuse the Host of the probe.
func djangoHosts() []Case {
	cases := []Case{
		{Name: "django-allowed-hosts", Row: "django-allowed-hosts", Findings: []string{"django-allowed-hosts"}, Start: onGunicorn(hostsSet)},
		{Name: "django-allowed-hosts-debug", Row: "django-allowed-hosts", Findings: []string{"django-allowed-hosts"}, Start: onGunicorn(hostsSet + "DEBUG = True\n")},
		{Name: "django-allowed-hosts-uwsgi", Row: "django-allowed-hosts", Findings: []string{"django-allowed-hosts"}, Start: onUWSGI(hostsSet)},
		{Name: "django-allowed-hosts-nginx-uwsgi", Row: "django-allowed-hosts", Findings: []string{"django-allowed-hosts"}, Start: behindNginx(hostsSet, toUWSGI)},
		{Name: "django-allowed-hosts-runserver", Row: "django-allowed-hosts", Findings: []string{"django-allowed-hosts"}, Start: func(t testing.TB) Site {
			address := private(t)
			return site(address, django(t, hostsSet).runserver(t, address))
		}},
		// nginx says Host: 127.0.0.1:PORT of itself, to Django and to everybody.
		{
			Name: "django-host-from-local-proxy", Row: "django-host-from-local-proxy", Findings: []string{"django-host-from-local-proxy"},
			Inside: true, Start: behindNginx(hostsBehind, "server { listen @address@; location / { proxy_pass http://@gunicorn@; } }"),
		},
		{
			// Or the upstream's name, which is no name for a host in anybody's list.
			Name: "django-host-from-upstream-name", Row: "django-host-from-local-proxy", Findings: []string{"django-host-from-local-proxy"},
			Inside: true, Start: behindNginx("", "upstream shop_app { server @gunicorn@; } server { listen @address@; location / { proxy_pass http://shop_app; } }"),
		},
		{
			// The body that its log calls "400 26".
			Name: "django-allowed-hosts-old", Row: "django-allowed-hosts", Findings: []string{"django-allowed-hosts"}, Imitated: true,
			Start: func(t testing.TB) Site {
				return imitate(t, forDomain(standIn{head: "Server: gunicorn/19.9.0\nContent-Type: text/plain", pages: map[string]string{"/health": "ok"}}.answer,
					message("400 Bad Request\nServer: gunicorn/19.9.0\nContent-Type: text/html", "<h1>Bad Request (400)</h1>")))
			},
		},
	}
	// Forms in which the instance's address stands in the list and never
	// matches.
	for _, form := range []struct{ name, entry string }{
		{"port", "127.0.0.5:8000"},
		{"scheme", "http://127.0.0.5"},
		{"mask", "127.0.0.0/24"},
		{"star", "127.0.0.*"},
	} {
		cases = append(cases, Case{
			Name: "django-allowed-hosts-looks-fixed-" + form.name, Row: "django-allowed-hosts-looks-fixed",
			Findings: []string{"django-allowed-hosts-looks-fixed"}, Inside: true,
			Start: onGunicorn(fmt.Sprintf("ALLOWED_HOSTS = ['example.com', '%s']\n", form.entry)),
		})
	}
	return append(cases, Case{
		Name: "django-allowed-hosts-looks-fixed-space", Row: "django-allowed-hosts-looks-fixed",
		Findings: []string{"django-allowed-hosts-looks-fixed"}, Inside: true,
		Start: func(t testing.TB) Site {
			address := private(t)
			p := django(t, "ALLOWED_HOSTS = os.environ['ALLOWED_HOSTS'].split(',')\n", "ALLOWED_HOSTS=example.com, 127.0.0.5")
			return site(address, p.gunicorn(t, address))
		},
	})
}

// djangoRedirects are sites that send the probe elsewhere.
func djangoRedirects() []Case {
	return []Case{
		{Name: "django-ssl-redirect", Row: "django-ssl-redirect", Findings: []string{"django-ssl-redirect"}, Start: onGunicorn(redirectSet + headerSet)},
		{
			Name: "django-ssl-redirect-nginx", Row: "django-ssl-redirect", Findings: []string{"django-ssl-redirect"},
			Start: behindNginx(redirectSet+headerSet, toGunicorn),
		},
		{
			// uWSGI believes the header, from everybody, so that no setting is needed.
			Name: "django-ssl-redirect-uwsgi", Row: "django-ssl-redirect", Findings: []string{"django-ssl-redirect"}, Start: onUWSGI(redirectSet),
		},
		{
			Name: "django-ssl-redirect-nginx-uwsgi", Row: "django-ssl-redirect", Findings: []string{"django-ssl-redirect"},
			Start: behindNginx(redirectSet, toUWSGI),
		},
		{
			// The pattern is matched without the leading slash.
			Name: "django-ssl-redirect-exempt-slash", Row: "django-ssl-redirect", Findings: []string{"django-ssl-redirect"},
			Start: onGunicorn(redirectSet + headerSet + "SECURE_REDIRECT_EXEMPT = [r'^/health$']\n"),
		},
		{
			Name: "proto-header-not-trusted-django", Row: "proto-header-not-trusted", Findings: []string{"django-ssl-redirect", "proto-header-not-trusted"},
			Start: onGunicorn(redirectSet),
		},
		{
			Name: "proxy-overwrites-proto", Row: "proxy-overwrites-proto", Findings: []string{"proxy-overwrites-proto", "django-ssl-redirect"}, Inside: true,
			Start: behindNginx(redirectSet+headerSet, `
server { listen @address@; location / { proxy_pass http://@gunicorn@; proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto $scheme; } }`),
		},
		{Name: "trailing-slash-redirect-django", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"}, Start: askedFor("/healthz", onGunicorn(""))},
		{
			Name: "canonical-host-redirect-django", Row: "canonical-host-redirect", Findings: []string{"canonical-host-redirect"},
			Start: onGunicorn("ALLOWED_HOSTS = ['.example.com', '127.0.0.5']\nPREPEND_WWW = True\n"),
		},
		{
			Name: "locale-redirect-django", Row: "locale-redirect", Findings: []string{"locale-redirect"},
			Start: askedFor("/", onGunicorn("ROOT_URLCONF = 'mysite.locale_urls'\nMIDDLEWARE.insert(2, 'django.middleware.locale.LocaleMiddleware')\n")),
		},
		{Name: "login-redirect-django", Row: "login-redirect", Findings: []string{"login-redirect"}, Start: askedFor("/private", onGunicorn(""))},
		{
			// It follows the redirect, into TLS on a plain port.
			Name: "kubelet-follows-redirect", Row: "kubelet-follows-redirect", Findings: []string{"kubelet-follows-redirect"},
			Start: by("kubelet", behindNginx(redirectSet+headerSet, `
server { listen @address@; location / { proxy_pass http://@gunicorn@; proxy_set_header Host $http_host; } }`)),
		},
		{
			Name: "kubelet-follows-redirect-gunicorn", Row: "kubelet-follows-redirect", Findings: []string{"kubelet-follows-redirect"}, Slow: true,
			Start: by("kubelet", onGunicorn(redirectSet+headerSet)),
		},
	}
}

// djangoFailures are sites whose Django answers an error.
func djangoFailures() []Case {
	return []Case{
		{Name: "unapplied-migrations", Row: "unapplied-migrations", Findings: []string{"unapplied-migrations"}, Inside: true, Start: askedFor("/orders", onGunicorn(""))},
		{Name: "unapplied-migrations-debug", Row: "unapplied-migrations", Findings: []string{"unapplied-migrations"}, Start: askedFor("/orders", onGunicorn("DEBUG = True\n"))},
		{Name: "handler-exception-django", Row: "handler-exception", Findings: []string{"handler-exception"}, Start: askedFor("/broken", onGunicorn(""))},
		{
			Name: "dependency-down-500-django", Row: "dependency-down-500", Findings: []string{"dependency-down-500"}, Inside: true,
			Start: func(t testing.TB) Site {
				return askedFor("/database", onGunicorn(databaseAt(loopback(t))))(t)
			},
		},
		{Name: "method-not-allowed-django", Row: "method-not-allowed", Findings: []string{"method-not-allowed"}, Start: askedFor("/post", onGunicorn(""))},
		{Name: "wrong-path-404-django", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/health"}, Start: askedFor("/status", onGunicorn(""))},
		{Name: "disk-full", Row: "disk-full", Findings: []string{"disk-full"}, Inside: true, Start: fullDisk},
		{
			Name: "uwsgi-no-app", Row: "uwsgi-no-app", Findings: []string{"uwsgi-no-app"},
			// The deployment forgot a package.
			Start: onUWSGI("INSTALLED_APPS.append('shipping')\n"),
		},
		{Name: "worker-killed-gunicorn", Row: "worker-killed", Findings: []string{"worker-killed"}, Timeout: killed, Slow: true, Start: askedFor("/slow?seconds=60", onGunicorn("", "--preload", "--threads", "1", "--timeout", "3"))},
		{Name: "worker-killed-uwsgi", Row: "worker-killed", Findings: []string{"worker-killed"}, Timeout: killed, Slow: true, Start: askedFor("/slow?seconds=60", onUWSGI("", "--threads", "1", "--harakiri", "2"))},
		{Name: "slow-handler-django", Row: "slow-handler", Findings: []string{"slow-handler"}, Timeout: hasty, Slow: true, Start: askedFor("/slow?seconds=2", onGunicorn(""))},
	}
}
