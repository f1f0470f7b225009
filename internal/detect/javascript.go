package detect

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
)

// packageJSON is the part of package.json that matters here.
type packageJSON struct {
	Main         string            `json:"main"`
	Scripts      map[string]string `json:"scripts"`
	Dependencies map[string]string `json:"dependencies"`
}

// readPackage reads package.json; false where there is none, or one that only
// builds what others serve.
func readPackage(t *tree) (packageJSON, source, bool) {
	s := t.source("package.json")
	var p packageJSON
	if s.text == "" || json.Unmarshal([]byte(s.text), &p) != nil {
		return p, s, false
	}
	_, hasMain := t.first("server.js", "app.js", "index.js", "src/server.js", "src/app.js", "src/index.js")
	return p, s, p.Scripts["start"] != "" || hasMain
}

// withPackage makes a row of a package that the app depends on.
func withPackage(t *tree, a *app, name, title string) bool {
	p, s, ok := readPackage(t)
	if !ok || p.Dependencies[name] == "" {
		return false
	}
	_, line := s.match(regexp.MustCompile(`"`+regexp.QuoteMeta(name)+`"\s*:`), "")
	a.found(s.name, line, "%s", title)
	a.javascript(t, p, s)
	return true
}

func nextJS(t *tree, a *app) bool  { return withPackage(t, a, "next", "Next.js") }
func nestJS(t *tree, a *app) bool  { return withPackage(t, a, "@nestjs/core", "NestJS") }
func express(t *tree, a *app) bool { return withPackage(t, a, "express", "Express") }
func fastify(t *tree, a *app) bool { return withPackage(t, a, "fastify", "Fastify") }

func node(t *tree, a *app) bool {
	p, s, ok := readPackage(t)
	if !ok || t.exists("go.mod") || t.exists("manage.py") {
		return false
	}
	a.found(s.name, 0, "Node.js")
	a.javascript(t, p, s)
	return true
}

var (
	nodePort     = regexp.MustCompile(`process\.env\.PORT\s*(?:\|\||\?\?)\s*['"]?(\d{2,5})`)
	nodePortFlat = regexp.MustCompile(`\.listen\(\s*(\d{2,5})\b|\blisten\(\s*\{[^}]*\bport:\s*(\d{2,5})`)
	nodeEnvPort  = regexp.MustCompile(`process\.env\.PORT\b`)
	nodeDatabase = regexp.MustCompile(`process\.env\.(DATABASE_URL)\b|process\.env\[['"](DATABASE_URL)['"]\]`)
	nodeProto    = regexp.MustCompile(`(?i)x-forwarded-proto|req\.secure|sslify`)
	prismaURL    = regexp.MustCompile(`url\s*=\s*env\("([A-Z][A-Z0-9_]*)"\)`)
)

// javascript finds the port, the command and the database of a Node.js app.
func (a *app) javascript(t *tree, p packageJSON, manifest source) {
	start := p.Scripts["start"]
	words, simple := shellWords(start)
	_, line := manifest.match(regexp.MustCompile(`"start"\s*:`), "")
	switch {
	case start == "":
		main, _ := t.first("server.js", "app.js", "index.js", "src/server.js", "src/app.js", "src/index.js")
		if p.Main != "" && t.exists(p.Main) {
			main = p.Main
		}
		a.command = []string{"node", main}
		a.assumed("package.json", 0, "the app is run by node %s: there is no start script", main)
	case simple && words[0] == "node" && !holdsSecret(start):
		a.command = words
		a.found(manifest.name, line, "the app is run by node")
	default:
		// npm passes signals on to what it runs, and finds node_modules/.bin.
		a.command = []string{"npm", "start"}
		a.found(manifest.name, line, "the app is run by npm start")
	}
	all := t.sources(t.javascriptFiles(p.Main, words))
	switch s, m, at := inAny(all, nodePort, "//"); {
	case addressIn(words) != "":
		a.url = addressIn(words)
		a.found(manifest.name, line, "the start script says where it listens: %s", strings.TrimPrefix(a.url, "http://"))
	case m != nil:
		a.url = "http://127.0.0.1:${PORT:-" + m[1] + "}"
		a.found(s.name, at, "the app listens on port $PORT, else %s", m[1])
	default:
		a.javascriptPort(all)
	}
	a.javascriptDatabase(t, all)
	if s, m, at := inAny(all, nodeProto, "//"); m != nil {
		a.assumed(s.name, at, "the app tells https by the load balancer's header here: if it redirects, let Hale do it, with https.redirect")
	}
	a.assumed("", 0, "NODE_ENV=production is set in the environment")
}

func (a *app) javascriptPort(all []source) {
	if s, m, at := inAny(all, nodePortFlat, "//"); m != nil {
		a.url = "http://127.0.0.1:" + m[1] + m[2]
		a.found(s.name, at, "the app listens on port %s", m[1]+m[2])
		return
	}
	a.url = "http://127.0.0.1:${PORT:-3000}"
	if s, m, at := inAny(all, nodeEnvPort, "//"); m != nil {
		a.url = "http://127.0.0.1:${PORT}"
		a.need("PORT")
		a.found(s.name, at, "the app listens on port $PORT; without it on none that could be known ahead")
		return
	}
	a.assumed("", 0, "the app listens on port $PORT, else 3000, as is the custom")
}

// javascriptFiles are the files in which a server is likely to be made, the
// likeliest first.
func (t *tree) javascriptFiles(main string, words []string) []string {
	var files []string
	for _, name := range append([]string{main}, words...) {
		if name != "" && t.exists(path.Clean(name)) {
			files = append(files, path.Clean(name))
		}
	}
	for _, name := range t.find(func(name string) bool {
		switch path.Ext(name) {
		case ".js", ".mjs", ".cjs", ".ts":
			return !strings.Contains(name, ".test.") && !strings.Contains(name, ".spec.") && !strings.Contains(name, ".config.")
		}
		return false
	}) {
		if !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	return files[:min(len(files), 200)]
}

func (a *app) javascriptDatabase(t *tree, all []source) {
	schema := t.source("prisma/schema.prisma")
	if m, line := schema.match(prismaURL, "//"); m != nil {
		a.connectsByURL(m[1], schema.name, line)
		a.migrate = []string{"npx", "prisma", "migrate", "deploy"}
		return
	}
	if s, m, line := inAny(all, nodeDatabase, "//"); m != nil {
		a.connectsByURL(m[1]+m[2], s.name, line)
	}
}
