package detect

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

var (
	railsApplication = regexp.MustCompile(`class\s+Application\s*<\s*Rails::Application`)
	railsForceSSL    = regexp.MustCompile(`^\s*config\.force_ssl\s*=\s*(\S+)`)
	railsHosts       = regexp.MustCompile(`^\s*config\.hosts\s*(?:<<|=|\+=|\.concat|\.push)\s*(.+)$`)
	railsFetch       = regexp.MustCompile(`ENV\.fetch\(\s*["']([A-Z][A-Z0-9_]*)["']\s*\)(\s*(?:\{|do\b))?`)
	railsRoot        = regexp.MustCompile(`^\s*root\b`)
	railsUp          = regexp.MustCompile(`["']rails/health#show["']`)
	rubyString       = regexp.MustCompile(`"([^"#]*)"|'([^']*)'`)
	rubyHostPattern  = regexp.MustCompile(`/\\?A?\.\*\\\.([a-z0-9\\.-]+?)(?:\\z|\$)?/`)
	pumaPort         = regexp.MustCompile(`^\s*port\s+(.+?)\s*$`)
	pumaBind         = regexp.MustCompile(`^\s*bind\s+["'](unix|tcp)://([^"'?]+)`)
	rubyDefault      = regexp.MustCompile(`ENV\.fetch\(\s*["'](\w+)["']\s*(?:,\s*["']?([\w.:/-]+)["']?\s*)?\)\s*(?:\{\s*["']?([\w.:/-]+)["']?\s*\})?|ENV\[["'](\w+)["']\]\s*(?:\|\|\s*["']?([\w.:/-]+)["']?)?`)
)

// rails recognises config/application.rb, and reads the production settings
// (Rails guide, "Configuring Rails Applications").
func rails(t *tree, a *app) bool {
	application := t.source("config/application.rb")
	groups, line := application.match(railsApplication, "#")
	if groups == nil {
		return false
	}
	a.found(application.name, line, "Rails")
	production := t.source("config/environments/production.rb")
	a.railsHosts(production, application)
	if m, line := production.match(railsForceSSL, "#"); m != nil && m[1] == "true" {
		a.redirect = true
		a.found(production.name, line, "force_ssl sends plain HTTP to https; Hale does it first, and exempts the health answer")
	}
	a.railsDatabase(t)
	a.puma(t)
	a.railsVariables(t, application, production, t.source("config/puma.rb"))
	routes := t.source("config/routes.rb")
	root, _ := routes.match(railsRoot, "#")
	_, up := routes.match(railsUp, "#")
	switch {
	case root != nil || up == 0:
		a.page = page{"/", "the home page, as a user sees it"}
	default:
		a.page = page{"/up", "Rails answers 200 here once it has booted"}
		a.found(routes.name, up, "the app has no home page: its page /up is checked")
	}
	a.migrate = []string{"bin/rails", "db:migrate"}
	a.assumed("", 0, "RAILS_ENV=production is set in the environment: without it Rails runs as if in development")
	return true
}

// railsHosts reads config.hosts: strings, and patterns for all subdomains.
func (a *app) railsHosts(sources ...source) {
	for _, s := range sources {
		first := 0
		s.matches(railsHosts, "#", func(m []string, line int) {
			if first == 0 {
				first = line
			}
			for _, str := range rubyString.FindAllStringSubmatch(m[1], -1) {
				if host := str[1] + str[2]; hostPattern.MatchString(host) {
					a.hosts = append(a.hosts, host)
				}
			}
			for _, p := range rubyHostPattern.FindAllStringSubmatch(m[1], -1) {
				a.hosts = append(a.hosts, "."+strings.ReplaceAll(p[1], `\.`, "."))
			}
		})
		if len(a.hosts) > 0 {
			a.found(s.name, first, "config.hosts allows %s", strings.Join(a.hosts, ", "))
			return
		}
	}
	a.assumed("", 0, "any host is allowed for now: config.hosts names none; write the site's names into hosts.allow")
}

var erbTag = regexp.MustCompile(`<%=?\s*(.*?)\s*-?%>`)

// railsDatabase reads the production section of config/database.yml.
func (a *app) railsDatabase(t *tree) {
	file := t.source("config/database.yml")
	if file.text == "" {
		a.assumed("", 0, "no database: there is no config/database.yml")
		return
	}
	text := erbTag.ReplaceAllStringFunc(file.text, func(tag string) string {
		return `"` + rubyVariable(erbTag.FindStringSubmatch(tag)[1]) + `"`
	})
	var sections map[string]map[string]any
	if err := yaml.Unmarshal([]byte(text), &sections); err != nil {
		a.assumed(file.name, 0, "the database is left unchecked: the file cannot be read without running it")
		return
	}
	section := sections["production"]
	if primary, ok := section["primary"].(map[string]any); ok { // several databases
		section = primary
	}
	_, line := file.match(regexp.MustCompile(`^production:`), "#")
	get := func(key string) string { return yamlText(section[key]) }
	if url := get("url"); url != "" {
		if m := variableInText.FindStringSubmatch(url); m != nil {
			a.connectsByURL(m[1], file.name, line)
			return
		}
		a.connectsBySecret(file.name, line)
		return
	}
	engine, ok := engineOf(get("adapter"))
	switch {
	case !ok:
		a.assumed(file.name, line, "the database is left unchecked: Hale's sql check does not know the adapter %q", get("adapter"))
	case engine.scheme == "sqlite":
		a.connectsToFile(get("database"), file.name, line)
	default:
		password := get("password")
		secret := password != "" && !variableInText.MatchString(password)
		if secret {
			password = ""
		}
		if m := variableInText.FindStringSubmatch(password); m != nil && m[2] != "" {
			password = "${" + m[1] + "}" // never with its default
		}
		a.connects(connection{
			engine: engine, file: file.name, line: line, secretInFile: secret,
			host: get("host"), port: get("port"), name: get("database"), user: get("username"), password: password,
		})
	}
}

// yamlText is a scalar as text.
func yamlText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return ""
	default:
		text, err := yaml.Marshal(v)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
}

// rubyVariable turns ENV["X"], ENV.fetch("X", "d") and ENV.fetch("X") { d } into
// ${X} and ${X:-d}; "" for anything else.
func rubyVariable(expression string) string {
	m := rubyDefault.FindStringSubmatch(expression)
	if m == nil {
		return ""
	}
	name, fallback := m[1]+m[4], m[2]+m[3]+m[5]
	switch {
	case fallback != "":
		return "${" + name + ":-" + fallback + "}"
	case m[4] != "": // ENV["X"] is nil where it is not set
		return "${" + name + ":-}"
	}
	return "${" + name + "}"
}

// puma reads config/puma.rb ("Puma: a Ruby web server", configuration file).
func (a *app) puma(t *tree) {
	s := t.source("config/puma.rb")
	a.command = []string{"bundle", "exec", "puma"}
	a.url = "http://127.0.0.1:${PORT:-3000}"
	if m, line := s.match(pumaBind, "#"); m != nil {
		if m[1] == "unix" {
			a.url = "unix://" + t.absolute(".", m[2])
		} else {
			a.url = "http://" + loopback(m[2])
		}
		a.found(s.name, line, "puma listens on %s://%s", m[1], m[2])
		return
	}
	if m, line := s.match(pumaPort, "#"); m != nil {
		port := rubyVariable(m[1])
		if port == "" && isPort(m[1]) {
			port = m[1]
		}
		if port != "" {
			a.url = "http://127.0.0.1:" + port
			a.found(s.name, line, "puma listens on port %s", port)
			return
		}
	}
	a.assumed("", 0, "puma listens on its default, port 3000")
}

// railsVariables finds what must be set.
func (a *app) railsVariables(t *tree, sources ...source) {
	for _, s := range sources {
		s.matches(railsFetch, "#", func(m []string, line int) {
			if m[2] == "" { // no block that gives a default
				a.need(m[1])
				a.found(s.name, line, "the app needs the variable %s", m[1])
			}
		})
	}
	switch {
	case t.exists("config/credentials.yml.enc") && !t.exists("config/master.key"):
		a.need("RAILS_MASTER_KEY")
		a.found("config/credentials.yml.enc", 0, "the credentials need the variable RAILS_MASTER_KEY: config/master.key is not here")
	case !t.exists("config/credentials.yml.enc"):
		a.need("SECRET_KEY_BASE")
		a.assumed("", 0, "the app needs the variable SECRET_KEY_BASE: there are no credentials that hold it")
	}
}
