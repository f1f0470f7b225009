package detect

import (
	"encoding/xml"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

var springPlugin = regexp.MustCompile(`spring-boot|org\.springframework\.boot`)

// springBoot recognises the build of a Spring Boot app, and reads its
// properties (Spring Boot reference, "Common Application Properties").
func springBoot(t *tree, a *app) bool {
	var build source
	var line int
	for _, name := range []string{"pom.xml", "build.gradle", "build.gradle.kts"} {
		s := t.source(name)
		if m, at := s.match(springPlugin, "//"); m != nil {
			build, line = s, at
			break
		}
	}
	if build.text == "" {
		return false
	}
	a.found(build.name, line, "Spring Boot")
	p := springProperties(t)
	port := p.or("server.port", "8080")
	a.url = "http://127.0.0.1:" + springVariable(port.text)
	p.tell(a, "server.port", port, "the app listens on port "+port.text)
	prefix := strings.TrimSuffix(p.or("server.servlet.context-path", "").text, "/")
	a.page = page{prefix + "/", "a page, as a user sees it"}
	if m, at := build.match(regexp.MustCompile(`spring-boot-starter-actuator`), "//"); m != nil {
		a.actuator(p, build, at, prefix)
	}
	if ssl := p.values["server.ssl.key-store"]; ssl.text != "" {
		a.found(ssl.file, ssl.line, "the app itself speaks TLS, which Hale does not towards an app: give it a plain port on loopback, and have TLS end before Hale")
	}
	a.springDatabase(p)
	a.springCommand(t, build)
	return true
}

// actuator asks Spring's own health page, which may have a port of its own.
func (a *app) actuator(p properties, build source, line int, prefix string) {
	base := strings.TrimSuffix(p.or("management.endpoints.web.base-path", "/actuator").text, "/")
	health := base + "/health"
	if m, ok := p.values["management.server.port"]; ok {
		a.management = "http://127.0.0.1:" + springVariable(m.text) + health
		a.found(m.file, m.line, "Spring's health page is on port %s: %s", m.text, health)
		return
	}
	a.page = page{prefix + health, "Spring's own health page: it asks the database and more"}
	a.found(build.name, line, "the actuator answers for the app's health at %s", prefix+health)
}

// jdbcURL takes jdbc:postgresql://host:5432/name?x=y apart.
var jdbcURL = regexp.MustCompile(`^jdbc:(\w+)://([^/:?]*)(?::([^/?]+))?/([^?;]*)`)

func (a *app) springDatabase(p properties) {
	url, ok := p.values["spring.datasource.url"]
	if !ok {
		return
	}
	text := springVariable(url.text)
	if m := variableInText.FindStringSubmatch(text); m != nil && m[0] == text && m[2] == "" {
		a.assumed(url.file, url.line, "the database's URL is in the variable %s in Java's form (jdbc:...); for Hale set %s to postgres://USER:PASSWORD@HOST:PORT/NAME or mysql://...", m[1], databaseURL)
		a.database = database{url: "${" + databaseURL + "}"}
		a.need(databaseURL)
		return
	}
	m := jdbcURL.FindStringSubmatch(text)
	if m == nil {
		a.assumed(url.file, url.line, "the database is left unchecked: only PostgreSQL, MySQL, MariaDB and SQLite are known to Hale's sql check")
		return
	}
	engine, ok := engineOf(m[1])
	if !ok {
		a.assumed(url.file, url.line, "the database is left unchecked: Hale's sql check does not know %s", m[1])
		return
	}
	password := springVariable(p.values["spring.datasource.password"].text)
	variable := variableInText.FindStringSubmatch(password)
	c := connection{
		engine: engine, file: url.file, line: url.line,
		host: m[2], port: m[3], name: m[4], user: springVariable(p.values["spring.datasource.username"].text),
		secretInFile: password != "" && variable == nil,
	}
	if variable != nil {
		c.password = "${" + variable[1] + "}" // never with its default
	}
	a.connects(c)
}

// springCommand guesses what the build makes.
func (a *app) springCommand(t *tree, build source) {
	jar := ""
	if build.name == "pom.xml" {
		var pom struct {
			ArtifactID string `xml:"artifactId"`
			Version    string `xml:"version"`
			Parent     struct {
				Version string `xml:"version"`
			} `xml:"parent"`
			FinalName string `xml:"build>finalName"`
		}
		if xml.Unmarshal([]byte(build.text), &pom) == nil && pom.ArtifactID != "" {
			version := pom.Version
			if version == "" {
				version = pom.Parent.Version
			}
			jar = "target/" + pom.ArtifactID + "-" + version + ".jar"
			if pom.FinalName != "" && !strings.Contains(pom.FinalName, "$") {
				jar = "target/" + pom.FinalName + ".jar"
			}
		}
	} else {
		settings := t.source("settings.gradle")
		if settings.text == "" {
			settings = t.source("settings.gradle.kts")
		}
		name, _ := settings.match(regexp.MustCompile(`rootProject\.name\s*=\s*['"]([\w.-]+)`), "//")
		version, _ := build.match(regexp.MustCompile(`^\s*version\s*=?\s*['"]([\w.-]+)`), "//")
		if name != nil && version != nil {
			jar = "build/libs/" + name[1] + "-" + version[1] + ".jar"
		}
	}
	if jar == "" || strings.Contains(jar, "$") {
		return
	}
	a.command = []string{"java", "-jar", jar}
	a.assumed(build.name, 0, "the app is run by java -jar %s, which the build makes", jar)
}

// property is a value and where it stands.
type property struct {
	text, file string
	line       int
}

type properties struct{ values map[string]property }

func (p properties) or(key, fallback string) property {
	if v, ok := p.values[key]; ok {
		return v
	}
	return property{text: fallback}
}

// tell records a property as found, or its default as assumed.
func (p properties) tell(a *app, key string, v property, text string) {
	if v.file == "" {
		a.assumed("", 0, "%s: no file sets %s", text, key)
		return
	}
	a.found(v.file, v.line, "%s", text)
}

var propertyLine = regexp.MustCompile(`^\s*([\w.\[\]-]+)\s*[=:]\s*(.*?)\s*$`)

// springProperties reads the app's properties, those of production last.
func springProperties(t *tree) properties {
	p := properties{make(map[string]property)}
	const dir = "src/main/resources"
	for _, profile := range []string{"", "-prod", "-production"} {
		for _, ext := range []string{".properties", ".yml", ".yaml"} {
			s := t.source(path.Join(dir, "application"+profile+ext))
			if ext == ".properties" {
				s.matches(propertyLine, "#", func(m []string, line int) {
					p.values[m[1]] = property{m[2], s.name, line}
				})
				continue
			}
			var document yaml.Node
			if s.text != "" && yaml.Unmarshal([]byte(s.text), &document) == nil && len(document.Content) > 0 {
				p.flatten(s.name, "", document.Content[0])
			}
		}
	}
	return p
}

// flatten turns nested keys into dotted ones.
func (p properties) flatten(file, prefix string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		if n.Kind == yaml.ScalarNode {
			p.values[prefix] = property{n.Value, file, n.Line}
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if prefix != "" {
			key = prefix + "." + key
		}
		p.flatten(file, key, n.Content[i+1])
	}
}

var springPlaceholder = regexp.MustCompile(`\$\{([A-Za-z_]\w*)(?::([^}]*))?\}`)

// springVariable turns ${NAME:default} into ${NAME:-default}.
func springVariable(text string) string {
	return springPlaceholder.ReplaceAllStringFunc(text, func(s string) string {
		m := springPlaceholder.FindStringSubmatch(s)
		if strings.Contains(s, ":") {
			return "${" + m[1] + ":-" + m[2] + "}"
		}
		return "${" + m[1] + "}"
	})
}
