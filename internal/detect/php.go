package detect

import (
	"regexp"
	"strings"

	"hale/internal/supervise"
)

// php recognises the files of a PHP site. PHP runs within a web server, or
// behind one as FastCGI: that server is what Hale asks.
func php(t *tree, a *app) bool {
	name, ok := t.first("public/index.php", "index.php", "web/index.php")
	if !ok {
		return false
	}
	a.found(name, 0, "PHP")
	a.behindWebServer()
	return true
}

func (a *app) behindWebServer() {
	a.url = "http://127.0.0.1:80"
	a.assumed("", 0, "a web server with PHP (Apache, or nginx and php-fpm) answers on port 80 of this machine, and Hale before it")
}

var laravelHealth = regexp.MustCompile(`health:\s*['"]([^'"]+)['"]`)

// laravel reads Laravel's .env ("Configuration", "Database").
func laravel(t *tree, a *app) bool {
	if !t.exists("artisan") || !t.exists("bootstrap/app.php") {
		return false
	}
	a.found("artisan", 0, "Laravel")
	a.behindWebServer()
	a.migrate = []string{"php", "artisan", "migrate", "--force"}
	a.need("APP_KEY")
	a.found("", 0, "the app needs the variable APP_KEY")
	boot := t.source("bootstrap/app.php")
	if m, line := boot.match(laravelHealth, "//"); m != nil {
		a.found(boot.name, line, "the app has a page %s of its own, which says that it has booted; the home page says more", m[1])
	}
	values, name, lines := dotenv(t)
	engine, ok := engineOf(values["DB_CONNECTION"])
	switch {
	case !ok && values["DB_CONNECTION"] == "":
		a.assumed("", 0, "no database: no .env names one")
	case !ok:
		a.assumed(name, lines["DB_CONNECTION"], "the database is left unchecked: Hale's sql check does not know %s", values["DB_CONNECTION"])
	case engine.scheme == "sqlite":
		file := values["DB_DATABASE"]
		if file == "" {
			file = "database/database.sqlite"
		}
		a.connectsToFile(file, name, lines["DB_CONNECTION"])
	default:
		a.connects(connection{
			engine: engine, file: name, line: lines["DB_CONNECTION"],
			host: "${DB_HOST:-127.0.0.1}", port: "${DB_PORT:-" + engine.port + "}",
			name: "${DB_DATABASE}", user: "${DB_USERNAME}", password: "${DB_PASSWORD}",
		})
	}
	if m := siteHost.FindStringSubmatch(values["APP_URL"]); m != nil {
		a.hosts = append(a.hosts, m[1])
		a.found(name, lines["APP_URL"], "APP_URL names the host %s", m[1])
	}
	return true
}

// siteHost takes the name out of https://name/..., where it is one that the
// world may know.
var siteHost = regexp.MustCompile(`^https?://([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})(?::\d+)?(?:/|$)`)

// symfony reads Symfony's .env, which names DATABASE_URL.
func symfony(t *tree, a *app) bool {
	s := t.source("composer.json")
	m, line := s.match(regexp.MustCompile(`"symfony/(framework-bundle|runtime)"`), "")
	if m == nil || !t.exists("bin/console") {
		return false
	}
	a.found(s.name, line, "Symfony")
	a.behindWebServer()
	a.need("APP_SECRET")
	if _, name, lines := dotenv(t); lines[databaseURL] > 0 {
		a.connectsByURL(databaseURL, name, lines[databaseURL])
		a.migrate = []string{"php", "bin/console", "doctrine:migrations:migrate", "--no-interaction"}
	}
	return true
}

var (
	wordPressDefine = regexp.MustCompile(`define\(\s*['"](DB_NAME|DB_USER|DB_PASSWORD|DB_HOST|WP_HOME|WP_SITEURL)['"]\s*,\s*['"]([^'"]*)['"]`)
	wordPressEnv    = regexp.MustCompile(`define\(\s*['"]DB_PASSWORD['"]\s*,\s*getenv(?:_docker)?\(\s*['"](\w+)['"]`)
)

// wordPress reads wp-config.php, but for the password.
func wordPress(t *tree, a *app) bool {
	s := t.source("wp-config.php")
	if s.text == "" && !t.exists("wp-load.php") {
		return false
	}
	a.found(s.name, 0, "WordPress")
	a.behindWebServer()
	values := make(map[string]string)
	at := 0
	s.matches(wordPressDefine, "//", func(m []string, line int) {
		values[m[1]] = m[2]
		if m[1] == "DB_NAME" {
			at = line
		}
	})
	if m := siteHost.FindStringSubmatch(values["WP_HOME"]); m != nil {
		a.hosts = append(a.hosts, m[1])
	}
	mysql, _ := engineOf("mysql")
	host, port, _ := strings.Cut(values["DB_HOST"], ":")
	c := connection{engine: mysql, file: s.name, line: at, host: host, port: port, name: values["DB_NAME"], user: values["DB_USER"], secretInFile: values["DB_PASSWORD"] != ""}
	if m, _ := s.match(wordPressEnv, "//"); m != nil {
		c.password = "${" + m[1] + "}"
	}
	c.incomplete = c.password == "" && !c.secretInFile
	a.connects(c)
	return true
}

// dotenv reads the names, and what is no secret, of .env or of its example.
func dotenv(t *tree) (values map[string]string, name string, lines map[string]int) {
	values, lines = make(map[string]string), make(map[string]int)
	name, ok := t.first(".env", ".env.example", ".env.dist")
	if !ok {
		return values, "", lines
	}
	src, _ := t.read(name)
	variables, err := supervise.ParseEnv(name, []byte(src), func(string) string { return "" })
	if err != nil { // told by environmentFile
		return values, name, lines
	}
	for _, v := range variables {
		lines[v.Name] = v.Line
		switch v.Name {
		case "DB_CONNECTION", "DB_DATABASE", "APP_URL": // nothing else is read
			values[v.Name] = v.Value
		}
	}
	return values, name, lines
}
