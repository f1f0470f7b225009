package doctor

import (
	"slices"
	"strings"
)

// where is a piece of software or a platform for which fixes are written.
type where struct {
	// name is the name of its files of fixes, and stands in JSON.
	name string
	// title is what people call it.
	title string
	role  role
}

// role is what something does for a site.
type role int

// Roles, in the order in which fixes are told: a fault is best mended where
// it is made, so from the app outwards.
const (
	framework role = iota // what the app is written with
	server                // what runs the app
	edge                  // web servers and proxies before it
	system                // the operating system
	platform              // what starts and replaces machines and containers
	balancer              // the load balancer itself, and Hale
)

// wheres are all there are. Fixes are told in this order.
var wheres = []where{
	{"django", "Django", framework},
	{"flask", "Flask", framework},
	{"fastapi", "FastAPI", framework},
	{"starlette", "Starlette", framework},
	{"rails", "Rails", framework},
	{"sinatra", "Sinatra", framework},
	{"laravel", "Laravel", framework},
	{"symfony", "Symfony", framework},
	{"wordpress", "WordPress", framework},
	{"express", "Express", framework},
	{"next", "Next.js", framework},
	{"spring", "Spring Boot", framework},
	{"aspnet", "ASP.NET Core", framework},
	{"phoenix", "Phoenix", framework},
	{"play", "Play", framework},
	{"go", "Go", framework},
	{"keycloak", "Keycloak", framework},
	{"oauth2-proxy", "oauth2-proxy", framework},

	{"gunicorn", "gunicorn", server},
	{"uwsgi", "uWSGI", server},
	{"uvicorn", "uvicorn", server},
	{"puma", "Puma", server},
	{"python", "Python", server},
	{"php-fpm", "PHP-FPM", server},
	{"node", "Node.js", server},
	{"tomcat", "Tomcat", server},

	{"nginx", "nginx", edge},
	{"apache", "Apache", edge},
	{"haproxy", "HAProxy", edge},
	{"caddy", "Caddy", edge},
	{"envoy", "Envoy", edge},
	{"varnish", "Varnish", edge},
	{"lighttpd", "lighttpd", edge},
	{"iis", "IIS", edge},
	{"modsecurity", "ModSecurity", edge},

	{"systemd", "systemd", system},
	{"linux", "Linux", system},

	{"docker", "Docker", platform},
	{"kubernetes", "Kubernetes", platform},
	{"istio", "Istio", platform},
	{"ecs", "Amazon ECS", platform},
	{"beanstalk", "Elastic Beanstalk", platform},
	{"gcp", "Google Cloud", platform},
	{"azure", "Azure", platform},

	{"aws", "AWS", balancer},
	{"hale", "Hale", balancer},
}

// kin tells of names that software is recognised by, or that its process has,
// whose fixes fit besides those of its own name, if it has any; the closest
// first.
var kin = map[string][]string{
	"openresty":   {"nginx"},
	"apache2":     {"apache"},
	"httpd":       {"apache"},
	"httpsys":     {"iis"},
	"awselb":      {"aws"},
	"phpfpm":      {"php-fpm"},
	"php":         {"php-fpm"},
	"flask":       {"gunicorn"},
	"fastapi":     {"starlette", "uvicorn"},
	"starlette":   {"uvicorn"},
	"rails":       {"puma"},
	"sinatra":     {"puma"},
	"laravel":     {"php-fpm"},
	"symfony":     {"php-fpm"},
	"wordpress":   {"php-fpm"},
	"express":     {"node"},
	"next":        {"node"},
	"next-server": {"next", "node"}, // how Next.js calls its process
	"spring":      {"tomcat"},
	"java":        {"spring", "tomcat"},
	"dotnet":      {"aspnet"},
	"beam.smp":    {"phoenix"},
	"tomcat":      {"spring"},
}

// named returns the index in wheres of a name, -1 if there is none.
func named(name string) int {
	return slices.IndexFunc(wheres, func(w where) bool { return w.name == name })
}

// process cuts a process's name down to its program's: "php-fpm8.2" and
// "php-fpm: pool www" are both "php-fpm".
func process(name string) string {
	if i := strings.IndexAny(name, ": "); i >= 0 {
		name = name[:i]
	}
	name = name[strings.LastIndexByte(name, '/')+1:]
	return strings.ToLower(strings.TrimRight(name, "0123456789."))
}

// fitting picks from the wheres that a failure mode has fixes for, in the
// order of wheres:
//   - of software, what was recognised; and what the mode's own id begins with
//     ("nginx-wrong-vhost"), unless other software of the same role was
//     recognised. If that leaves nothing, all;
//   - of platforms, what was recognised; if nothing was, all;
//   - always the machine, the load balancer and Hale.
func fitting(id string, available []where, recognised []string) []where {
	has := func(name string) bool {
		return slices.ContainsFunc(available, func(w where) bool { return w.name == name })
	}
	chosen := map[string]bool{}
	roles := map[role]bool{}
	for _, name := range recognised {
		for _, n := range append([]string{name}, kin[name]...) {
			if has(n) {
				chosen[n] = true
				roles[wheres[named(n)].role] = true
				break
			}
		}
	}
	for _, w := range available {
		if w.role <= edge && strings.HasPrefix(id, w.name+"-") && !roles[w.role] {
			chosen[w.name] = true
			roles[w.role] = true
		}
	}
	anySoftware := roles[framework] || roles[server] || roles[edge]
	var fit []where
	for _, w := range available {
		switch {
		case chosen[w.name], w.role == system, w.role == balancer,
			w.role <= edge && !anySoftware,
			w.role == platform && !roles[platform]:
			fit = append(fit, w)
		}
	}
	return fit
}
