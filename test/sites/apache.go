package sites

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// apacheModules are loaded into every Apache; what else a site needs it loads
// with apacheLoad. The others that are always needed are built in.
var apacheModules = []string{"mpm_event", "authz_core", "dir", "alias"}

// apacheLoad returns the lines that load modules of Debian's Apache.
func apacheLoad(names ...string) string {
	var lines strings.Builder
	for _, name := range names {
		fmt.Fprintf(&lines, "LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", name)
	}
	return lines.String()
}

// apacheWell is a virtual host's content that answers as app does, from files.
const apacheWell = `
	DocumentRoot @root@
	<Directory @root@>
		Require all granted
	</Directory>
`

// serveApache starts Apache with a configuration, whose words are replaced, and
// returns the site. Idle connections stay open for longer than a load
// balancer keeps them, unless the configuration says otherwise.
func serveApache(s *setting, configuration string) Site {
	s.t.Helper()
	if strings.Contains(configuration, "@root@") {
		s.words["@root@"] = filepath.Join(s.dir(), "www")
		s.file("www/health", "healthy\n")
		s.file("www/index.html", "welcome\n")
	}
	log := filepath.Join(s.dir(), "apache-error.log")
	user := ""
	if os.Geteuid() == 0 {
		user = "User nobody\nGroup nogroup"
	}
	listen := "@address@"
	if !strings.Contains(configuration, listen) {
		listen = "@port@"
	}
	file := s.file("apache.conf", fmt.Sprintf(`
ServerRoot @dir@
DefaultRuntimeDir @dir@
PidFile @dir@/apache.pid
ServerName localhost
ErrorLog %s
%s
%s
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 16
MinSpareThreads 1
MaxSpareThreads 16
DirectoryIndex index.html
KeepAliveTimeout 75
ServerSignature On
<Directory />
	Require all denied
</Directory>
Listen %s
%s
`, log, apacheLoad(apacheModules...), user, listen, configuration))
	servers.Run(s.t, servers.Spec{
		Name: "apache2", Args: []string{"-D", "FOREGROUND", "-f", file},
		Listens: []string{listening(s, configuration)},
	})
	return s.site(log)
}

// apache starts a site whose Apache has the configuration.
func apache(configuration string) func(testing.TB) Site {
	return func(t testing.TB) Site { return serveApache(newSetting(t), configuration) }
}

// apacheHosts are sites whose Apache chooses the wrong virtual host.
func apacheHosts() []Case {
	return []Case{
		{
			Name: "apache-first-host", Row: "apache-default-vhost", Findings: []string{"apache-default-vhost"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("blog/index.html", "blog\n")
				return serveApache(s, `
<VirtualHost @address@>
	ServerName blog.example.org
	DocumentRoot @dir@/blog
	<Directory @dir@/blog>
		Require all granted
	</Directory>
</VirtualHost>
<VirtualHost @address@>
	ServerName example.com
	`+apacheWell+`
</VirtualHost>
`)
			},
		},
		{
			Name: "apache-first-host-refuses", Row: "apache-default-vhost", Findings: []string{"apache-default-vhost"},
			Start: apache(`
<VirtualHost @address@>
	ServerName default.invalid
	<Location />
		Require all denied
	</Location>
</VirtualHost>
<VirtualHost @address@>
	ServerName example.com
	` + apacheWell + `
</VirtualHost>
`),
		},
	}
}

// apacheRedirects are sites whose Apache sends the probe elsewhere.
func apacheRedirects() []Case {
	return []Case{
		{
			Name: "apache-redirect-permanent", Row: "nginx-return-301", Findings: []string{"nginx-return-301"},
			Start: apache(`
<VirtualHost @address@>
	ServerName example.com
	Redirect permanent / https://example.com/
</VirtualHost>
`),
		},
		{
			Name: "apache-https-by-header", Row: "web-server-xfp-rewrite", Findings: []string{"web-server-xfp-rewrite"},
			Start: apache(apacheLoad("rewrite") + `
<VirtualHost @address@>
	ServerName example.com
	RewriteEngine On
	RewriteCond %{HTTP:X-Forwarded-Proto} !https
	RewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]
	` + apacheWell + `
</VirtualHost>
`),
		},
		{
			Name: "apache-directory-slash", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"},
			Start: askedFor("/status", func(t testing.TB) Site {
				s := newSetting(t)
				s.file("www/status/index.html", "healthy\n")
				return serveApache(s, `<VirtualHost @address@>
	ServerName example.com
	`+apacheWell+`
</VirtualHost>`)
			}),
		},
		{
			Name: "apache-www", Row: "canonical-host-redirect", Findings: []string{"canonical-host-redirect"},
			Start: known("www.example.com", apache(apacheLoad("rewrite")+`
<VirtualHost @address@>
	ServerName www.example.com
	RewriteEngine On
	RewriteCond %{HTTP_HOST} !^www\. [NC]
	RewriteRule ^/(.*)$ http://www.%{HTTP_HOST}/$1 [R=301,L]
	`+apacheWell+`
</VirtualHost>
`)),
		},
	}
}

// apacheRefusals are sites whose Apache turns the probe away.
func apacheRefusals() []Case {
	return []Case{
		{
			Name: "apache-basic-auth", Row: "basic-auth", Findings: []string{"basic-auth"},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("htpasswd", "someone:$apr1$SfQvvtGR$3gXdKVYUJVhcG.rWsLx1c/\n")
				return serveApache(s, apacheLoad("auth_basic", "authn_core", "authn_file", "authz_user")+`
<VirtualHost @address@>
	ServerName example.com
	`+apacheWell+`
	<Location />
		AuthType Basic
		AuthName "Staging"
		AuthUserFile @dir@/htpasswd
		Require valid-user
	</Location>
</VirtualHost>
`)
			},
		},
		{
			Name: "apache-require-ip", Row: "ip-allowlist", Findings: []string{"ip-allowlist"}, Inside: true,
			Start: apache(apacheLoad("authz_host") + `
<VirtualHost *:@port@>
	ServerName example.com
	` + apacheWell + `
	<Location />
		Require ip 127.0.0.1 192.0.2.0/24
	</Location>
</VirtualHost>
`),
		},
		{
			Name: "apache-bots", Row: "ua-blocked", Findings: []string{"ua-blocked"},
			Start: apache(apacheLoad("setenvif") + `
<VirtualHost @address@>
	ServerName example.com
	SetEnvIfNoCase User-Agent "(bot|crawl|checker|curl|wget|^$)" robot
	` + apacheWell + `
	<Location />
		<RequireAll>
			Require all granted
			Require not env robot
		</RequireAll>
	</Location>
</VirtualHost>
`),
		},
		{
			Name: "apache-empty-docroot", Row: "apache-empty-docroot-403", Findings: []string{"apache-empty-docroot-403"}, Inside: true,
			Start: askedFor("/", func(t testing.TB) Site {
				s := newSetting(t)
				s.file("empty/.gitkeep", "")
				return serveApache(s, apacheLoad("autoindex")+`
<VirtualHost @address@>
	ServerName example.com
	DocumentRoot @dir@/empty
	<Directory @dir@/empty>
		Options -Indexes
		Require all granted
	</Directory>
</VirtualHost>
`)
			}),
		},
		{
			Name: "apache-docroot-not-granted", Row: "docroot-permission-403", Findings: []string{"docroot-permission-403"}, Inside: true,
			Start: apache(`
<VirtualHost @address@>
	ServerName example.com
	DocumentRoot @root@
</VirtualHost>
`),
		},
	}
}

// apacheProxies are sites whose Apache answers, but not what is behind it.
func apacheProxies() []Case {
	return []Case{
		{
			Name: "apache-upstream-down", Row: "proxy-upstream-down-503", Findings: []string{"proxy-upstream-down-503"},
			Start: apache(apacheLoad("proxy", "proxy_http") + `
<VirtualHost @address@>
	ServerName example.com
	ProxyPass / http://@nobody@/
</VirtualHost>
`),
		},
		{
			// Apache says 502 here, not 504.
			Name: "apache-proxy-timeout", Row: "proxy-timeout-504", Findings: []string{"proxy-timeout-504"},
			Inside: true, Timeout: 10 * time.Second,
			Start: apache(apacheLoad("proxy", "proxy_http") + `
<VirtualHost @address@>
	ServerName example.com
	ProxyTimeout 1
	ProxyPass / http://@silent@/
</VirtualHost>
`),
		},
	}
}

// apachePassing are sites whose Apache says 200, which does not say enough.
func apachePassing() []Case {
	return []Case{
		{
			// Nobody asks the app: Apache sends a file.
			Name: "apache-static-file", Row: "false-positive-200", Findings: []string{"false-positive-200"},
			Start: apache(`
<VirtualHost @address@>
	ServerName example.com
	` + apacheWell + `
</VirtualHost>
`),
		},
		{
			// Apache's own default.
			Name: "apache-keepalive", Row: "keepalive-shorter-than-lb-idle", Findings: []string{"keepalive-shorter-than-lb-idle"}, Slow: true,
			Start: apache(apacheLoad("proxy", "proxy_http") + `
KeepAliveTimeout 5
<VirtualHost @address@>
	ServerName example.com
	ProxyPass / http://@app@/
</VirtualHost>
`),
		},
	}
}

// crs loads ModSecurity with the OWASP Core Rule Set.
const crs = `
SecRuleEngine On
SecAuditEngine Off
SecTmpDir @dir@
SecDataDir @dir@
SecDefaultAction "phase:1,log,auditlog,pass"
SecDefaultAction "phase:2,log,auditlog,pass"
SecAction "id:900990,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=334"
`

// apacheFirewalls are sites behind ModSecurity.
func apacheFirewalls() []Case {
	firewall := func(settings string) func(testing.TB) Site {
		return func(t testing.TB) Site {
			needFile(t, "/usr/lib/apache2/modules/mod_security2.so", "libapache2-mod-security2")
			needFile(t, "/usr/share/modsecurity-crs/rules", "modsecurity-crs")
			return serveApache(newSetting(t), apacheLoad("unique_id")+
				"LoadModule security2_module /usr/lib/apache2/modules/mod_security2.so\n"+crs+settings+`
Include /usr/share/modsecurity-crs/rules/REQUEST-901-*.conf
Include /usr/share/modsecurity-crs/rules/REQUEST-920-*.conf
Include /usr/share/modsecurity-crs/rules/REQUEST-949-*.conf
<VirtualHost @address@>
	ServerName example.com
	`+apacheWell+`
</VirtualHost>
`)
		}
	}
	return []Case{
		{
			// Stricter than by default, where 5 points are enough.
			Name: "apache-crs-strict", Row: "waf-numeric-host", Findings: []string{"waf-numeric-host"},
			Start: firewall(`SecAction "id:900110,phase:1,nolog,pass,t:none,setvar:tx.inbound_anomaly_score_threshold=3"`),
		},
		{
			// 3 points for the address in Host, 2 for no Accept: either alone passes.
			Name: "crs-additive", Row: "crs-additive", Findings: []string{"waf-numeric-host"},
			Start: firewall(`SecAction "id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level=2"`),
		},
	}
}

// needFile is servers.Need for what is not a program.
func needFile(t testing.TB, path, pkg string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		lacks(t, path+" is missing: apt-get install "+pkg)
	}
}
