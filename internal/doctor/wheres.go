package doctor

import (
	"slices"
	"strings"
)

// Where is a piece of software or a platform for which fixes are written.
type Where struct {
	// Name is the name of its files of fixes, and stands in JSON.
	Name string
	// Title is what people call it.
	Title string
	Role  Role
}

// Role is what something does for a site.
type Role int

// Roles, in the order in which fixes are told: a fault is best mended where
// it is made, so from the app outwards.
const (
	RoleFramework Role = iota // what the app is written with
	RoleServer                // what runs the app
	RoleEdge                  // web servers and proxies before it
	RoleMachine               // the operating system
	RolePlatform              // what starts and replaces machines and containers
	RoleBalancer              // the load balancer itself, and Hale
)

func (r Role) String() string {
	return [...]string{"framework", "app server", "web server", "machine", "platform", "load balancer"}[r]
}

// Wheres returns all there are, in the order in which fixes are told.
func Wheres() []Where { return slices.Clone(wheres) }

// FixedIn returns for which of them there are fixes of a failure mode.
func FixedIn(id string) []Where { return fixable(id) }

var wheres = []Where{
	{"django", "Django", RoleFramework},
	{"flask", "Flask", RoleFramework},
	{"fastapi", "FastAPI", RoleFramework},
	{"starlette", "Starlette", RoleFramework},
	{"rails", "Rails", RoleFramework},
	{"sinatra", "Sinatra", RoleFramework},
	{"laravel", "Laravel", RoleFramework},
	{"symfony", "Symfony", RoleFramework},
	{"wordpress", "WordPress", RoleFramework},
	{"express", "Express", RoleFramework},
	{"next", "Next.js", RoleFramework},
	{"spring", "Spring Boot", RoleFramework},
	{"aspnet", "ASP.NET Core", RoleFramework},
	{"phoenix", "Phoenix", RoleFramework},
	{"play", "Play", RoleFramework},
	{"go", "Go", RoleFramework},
	{"keycloak", "Keycloak", RoleFramework},
	{"oauth2-proxy", "oauth2-proxy", RoleFramework},

	{"gunicorn", "gunicorn", RoleServer},
	{"uwsgi", "uWSGI", RoleServer},
	{"uvicorn", "uvicorn", RoleServer},
	{"puma", "Puma", RoleServer},
	{"python", "Python", RoleServer},
	{"php-fpm", "PHP-FPM", RoleServer},
	{"node", "Node.js", RoleServer},
	{"tomcat", "Tomcat", RoleServer},

	{"nginx", "nginx", RoleEdge},
	{"apache", "Apache", RoleEdge},
	{"haproxy", "HAProxy", RoleEdge},
	{"caddy", "Caddy", RoleEdge},
	{"envoy", "Envoy", RoleEdge},
	{"varnish", "Varnish", RoleEdge},
	{"lighttpd", "lighttpd", RoleEdge},
	{"iis", "IIS", RoleEdge},
	{"modsecurity", "ModSecurity", RoleEdge},

	{"systemd", "systemd", RoleMachine},
	{"linux", "Linux", RoleMachine},

	{"docker", "Docker", RolePlatform},
	{"kubernetes", "Kubernetes", RolePlatform},
	{"istio", "Istio", RolePlatform},
	{"ecs", "Amazon ECS", RolePlatform},
	{"beanstalk", "Elastic Beanstalk", RolePlatform},
	{"gcp", "Google Cloud", RolePlatform},
	{"azure", "Azure", RolePlatform},

	{"aws", "AWS", RoleBalancer},
	{"hale", "Hale", RoleBalancer},
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
	return slices.IndexFunc(wheres, func(w Where) bool { return w.Name == name })
}

// isPlatform tells whether a name is that of a machine or a platform, and of no
// program that answers.
func isPlatform(name string) bool {
	i := named(name)
	return i >= 0 && wheres[i].Role > RoleEdge
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

// namedAfter tells whether a failure mode is of one piece of software by its name.
func namedAfter(id string, w Where) bool {
	return strings.HasPrefix(id, w.Name+"-") || strings.HasPrefix(id, "servlet-") && w.Name == "tomcat"
}

// isHere tells whether a fix's place was recognised at the site, or is what the
// failure mode is named after.
func isHere(id string, w Where, recognised []string) bool {
	return namedAfter(id, w) || slices.ContainsFunc(recognised, func(name string) bool {
		return name == w.Name || slices.Contains(kin[name], w.Name)
	})
}

// fitting picks from the wheres that a failure mode has fixes for, in the
// order of wheres:
//   - of software, what was recognised; and what the mode's own id begins with
//     ("nginx-wrong-vhost"), unless other software of the same role was
//     recognised. If that leaves nothing, all;
//   - of platforms, what was recognised; if nothing was, all;
//   - always the machine, the load balancer and Hale.
func fitting(id string, available []Where, recognised []string) []Where {
	has := func(name string) bool {
		return slices.ContainsFunc(available, func(w Where) bool { return w.Name == name })
	}
	chosen := map[string]bool{}
	roles := map[Role]bool{}
	for _, name := range recognised {
		for _, n := range append([]string{name}, kin[name]...) {
			if has(n) {
				chosen[n] = true
				roles[wheres[named(n)].Role] = true
				break
			}
		}
	}
	for _, w := range available {
		if w.Role <= RoleEdge && namedAfter(id, w) && !roles[w.Role] {
			chosen[w.Name] = true
			roles[w.Role] = true
		}
	}
	anySoftware := roles[RoleFramework] || roles[RoleServer] || roles[RoleEdge]
	var fit []Where
	for _, w := range available {
		switch {
		case chosen[w.Name], w.Role == RoleMachine, w.Role == RoleBalancer,
			w.Role <= RoleEdge && !anySoftware,
			w.Role == RolePlatform && !roles[RolePlatform]:
			fit = append(fit, w)
		}
	}
	return fit
}
