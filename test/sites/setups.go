package sites

import (
	"path/filepath"
	"testing"
	"time"

	"hale/test/servers"
)

// The four setups of documented sites, each with its faults, and healed as
// documented. In each TLS ends at the load balancer, and users who come
// without it are redirected.

// setupA is nginx before uWSGI on a socket: everything is redirected that was
// not asked for over https, except what the locations given answer.
func setupA(exempt string) string {
	return `
server {
	listen @address@;
	` + exempt + `
	location / {
		if ($http_x_forwarded_proto != "https") { return 301 https://$host$request_uri; }
		include /etc/nginx/uwsgi_params;
		uwsgi_pass unix:@uwsgi@;
	}
}`
}

const (
	exemptHealthCheck = `location ~ ^/health_check/?$ { include /etc/nginx/uwsgi_params; uwsgi_pass unix:@uwsgi@; }`
	exemptDeep        = `location = /deep { include /etc/nginx/uwsgi_params; uwsgi_pass unix:@uwsgi@; access_log @dir@/health.log; }`
)

// settingsC are those of setup C: from the environment, which a file fills that
// the init script reads, and with the instance's address from a file that is
// written at boot.
const settingsC = `
from django.core.exceptions import ImproperlyConfigured

try:
    SECRET_KEY = os.environ["SHOP_SECRET_KEY"]
except KeyError:
    raise ImproperlyConfigured("the environment variable SHOP_SECRET_KEY is not set: add it to /etc/shop/env-vars")
ALLOWED_HOSTS = ["example.com", open(os.environ["SHOP_IPV4_FILE"]).read().strip()]
`

// setupD is Apache with mod_wsgi; the rest of what is to be redirected is in
// the conditions given.
func setupD(conditions string) string {
	return apacheLoad("rewrite", "wsgi") + `
WSGISocketPrefix @dir@/wsgi
WSGIDaemonProcess shop python-path=@dir@/django processes=1 threads=4
WSGIProcessGroup shop
WSGIApplicationGroup %{GLOBAL}
<VirtualHost @address@>
	WSGIScriptAlias / @dir@/django/mysite/wsgi.py
	<Directory @dir@/django/mysite>
		Require all granted
	</Directory>
	RewriteEngine On
	RewriteCond %{HTTP:X-Forwarded-Proto} !https
	` + conditions + `
	RewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]
</VirtualHost>
`
}

const exemptInApache = `RewriteCond %{REQUEST_URI} !^/health_check/?$`

// onApache is a Django site under mod_wsgi.
func onApache(settings, configuration string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		if found, _ := filepath.Glob("/usr/lib/apache2/modules/mod_wsgi.so*"); len(found) == 0 {
			lacks(t, "mod_wsgi is not installed: apt-get install libapache2-mod-wsgi-py3")
		}
		s := newSetting(t)
		// Apache's user may not write a database to the directory.
		djangoIn(t, filepath.Join(s.dir(), "django"), "DATABASES['default']['NAME'] = ':memory:'\n"+settings)
		site := serveApache(s, configuration)
		warm(t, site.Address)
		return site
	}
}

// onMetadata is a Django site behind nginx that asks a metadata service.
func onMetadata(m metadata, settings, http string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		django(t, settings, m.serve(t)...).behind(s, http)
		site := serveNginx(s, http)
		site.behind = s.words["@gunicorn@"]
		warm(t, site.Address)
		return site
	}
}

// onImage is setup C: started by a script on an image that is replaced as a
// whole. What the file of variables has is given.
func onImage(variables string, migrated bool) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		p := django(t, settingsC)
		s.words["@uwsgi@"] = filepath.Join(s.dir(), "app.sock")
		s.file("ipv4", Private+"\n")
		s.file("env-vars", "export SHOP_IPV4_FILE=@dir@/ipv4\n"+variables)
		log := filepath.Join(s.dir(), "shop.log")
		migrate := ":"
		if migrated {
			migrate = "/usr/bin/python3 manage.py migrate --verbosity 0"
		}
		script := s.file("start.sh", `set -e
exec >>`+log+` 2>&1
cd `+p.dir+`
. @dir@/env-vars
`+migrate+`
exec uwsgi --plugin python3 --chdir `+p.dir+` --module mysite.wsgi:application --need-app --die-on-term \
	--master --processes 1 --threads 4 --socket @uwsgi@ --chmod-socket=666
`)
		servers.Need(t, "uwsgi")
		app := servers.Run(t, servers.Spec{Name: "sh", Args: []string{script}, Env: p.environment()})
		s.logs = append(s.logs, log)
		site := serveNginx(s, setupA(exemptDeep))
		if variables == "" {
			if code := app.Wait(); code == 0 {
				t.Fatal("the app started without its variables")
			}
			return site
		}
		app.Listening(s.words["@uwsgi@"])
		warm(t, site.Address)
		return site
	}
}

// setups are the faults of the setups.
func setups() []Case {
	rewrite, hosts := "web-server-xfp-rewrite", "django-allowed-hosts"
	const secret = "export SHOP_SECRET_KEY='only for tests'\n"
	return []Case{
		{
			Name: "setup-a", Row: "setup-a", Findings: []string{rewrite, hosts},
			Start: by("classic", askedFor("/health_check", behindNginx(hostsSet, setupA("")))),
		},
		{
			// The default: who connects to the port is well.
			Name: "setup-a-tcp-ping", Row: "setup-a", Findings: []string{"false-positive-200"},
			Start: func(t testing.TB) Site {
				s := by("classic", behindNginx("INSTALLED_APPS.append('shipping')\n", setupA("")))(t)
				s.Scheme, s.Path = "tcp", ""
				return s
			},
		},
		{
			Name: "setup-b", Row: "beanstalk-severe-4xx", Findings: []string{"imdsv2-required-401", hosts, "django-ssl-redirect"}, Inside: true,
			Start: askedFor("/", onMetadata(metadata{}, askedPlainly+redirectSet+headerSet, toGunicorn)),
		},
		{
			Name: "setup-b-hasty", Row: "beanstalk-severe-4xx", Findings: []string{"imds-timeout-too-small", hosts, "django-ssl-redirect"}, Inside: true,
			Start: askedFor("/", onMetadata(metadata{open: true, delay: 300 * time.Millisecond}, askedHastily+redirectSet+headerSet, toGunicorn)),
		},
		{
			Name: "setup-b-half-healed", Row: "beanstalk-severe-4xx", Findings: []string{"django-ssl-redirect"},
			Start: askedFor("/", onMetadata(metadata{}, askedWithToken+redirectSet+headerSet, toGunicorn)),
		},
		{
			Name: "setup-c-variable", Row: "missing-env-var", Findings: []string{"missing-env-var"}, Inside: true,
			Start: by("classic", askedFor("/deep", onImage("", false))),
		},
		{
			Name: "setup-c-migrations", Row: "unapplied-migrations", Findings: []string{"unapplied-migrations"}, Inside: true,
			Start: by("classic", askedFor("/deep", onImage(secret, false))),
		},
		{
			Name: "setup-d", Row: "setup-d", Findings: []string{rewrite, hosts},
			Start: askedFor("/health_check", onApache(hostsSet, setupD(""))),
		},
		{
			Name: "setup-d-settings", Row: "missing-env-var", Findings: []string{"missing-env-var"}, Inside: true,
			Start: askedFor("/health_check", onApache(`
from django.core.exceptions import ImproperlyConfigured
if "RDS_HOSTNAME" not in os.environ:
    raise ImproperlyConfigured("the environment variable RDS_HOSTNAME is not set: this site runs on AWS only")
`, setupD(exemptInApache))),
		},
		{
			Name: "setup-d-database", Row: "dependency-down-500", Findings: []string{rewrite, hosts, "dependency-down-500"}, Inside: true,
			Start: func(t testing.TB) Site {
				return askedFor("/health_check", onApache(hostsSet+databaseAt(loopback(t)), setupD("")))(t)
			},
		},
	}
}

// healthySetups are the setups as they should be.
func healthySetups() []Case {
	return []Case{
		{Name: "healthy-setup-a", Row: "healthy", Start: by("classic", askedFor("/health_check", func(t testing.TB) Site {
			s := newSetting(t)
			http := setupA(exemptHealthCheck)
			django(t, askedWithToken, metadata{}.serve(t)...).behind(s, http)
			site := serveNginx(s, http)
			warm(t, site.Address)
			return site
		}))},
		{Name: "healthy-setup-b", Row: "healthy", Start: onMetadata(metadata{}, askedWithToken+redirectSet+headerSet+`
SECURE_REDIRECT_EXEMPT = [r"^health/?$"]
SECURE_HSTS_SECONDS = 60
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_BROWSER_XSS_FILTER = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
X_FRAME_OPTIONS = "DENY"
`, toGunicorn)},
		{Name: "healthy-setup-c", Row: "healthy", Start: by("classic", askedFor("/deep", onImage("export SHOP_SECRET_KEY='only for tests'\n", true)))},
		{Name: "healthy-setup-d", Row: "healthy", Start: askedFor("/health_check", onApache(hostsBehind, setupD(exemptInApache)))},
	}
}
