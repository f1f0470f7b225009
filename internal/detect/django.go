package detect

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settingsVariable names the settings module to Django.
const settingsVariable = "DJANGO_SETTINGS_MODULE"

// django recognises a manage.py that names a settings module, and reads the
// settings (Django's documentation, "Settings" and "Deployment checklist").
func django(t *tree, a *app) bool {
	manage, dotted, line := djangoManage(t)
	if manage == "" {
		return false
	}
	base := path.Dir(manage)
	a.found(manage, line, "Django, with the settings module %s", dotted)
	wsgi, asgi := djangoEntry(t, base, dotted)
	if wsgi.settings != "" && wsgi.settings != dotted {
		a.found(wsgi.file, wsgi.line, "the server runs with the settings module %s", wsgi.settings)
		dotted = wsgi.settings
	}
	m, ok := loadModule(t, base, dotted)
	if !ok {
		a.assumed(manage, line, "the settings are Django's defaults: %s is not below this directory", dotted)
	}
	for _, missing := range m.unknown {
		a.assumed(m.files[0], 0, "what the settings take from %s does not matter here: it is not below this directory", missing)
	}
	d := djangoSettings{app: a, module: m}
	d.entries(wsgi, asgi)
	d.hosts()
	d.https()
	d.headers()
	d.database(base)
	d.variables()
	pythonServer(t, a, base, d.wsgiModule, d.asgiModule)
	a.migrate = []string{"python3", manage, "migrate", "--noinput"}
	a.usesDjango(manage)
	if !d.hasHealthView(t) {
		a.page = page{"/", "the home page, as a user sees it"}
	}
	return true
}

// djangoManage finds the manage.py and the settings module that it names.
func djangoManage(t *tree) (file, dotted string, line int) {
	for _, name := range t.find(func(name string) bool { return path.Base(name) == "manage.py" }) {
		src, _ := t.read(name)
		if dotted, line := settingsModule(src); dotted != "" {
			return name, dotted, line
		}
	}
	return "", "", 0
}

var settingsPattern = regexp.MustCompile(settingsVariable + `["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']`)

// settingsModule finds os.environ.setdefault("DJANGO_SETTINGS_MODULE", "X").
func settingsModule(src string) (dotted string, line int) {
	m := settingsPattern.FindStringSubmatchIndex(src)
	if m == nil {
		return "", 0
	}
	return src[m[2]:m[3]], lineOf(src, m[0])
}

// entry is a wsgi.py or an asgi.py.
type entry struct {
	file, dotted, settings string
	line                   int
}

// djangoEntry finds what the server imports, beside the settings.
func djangoEntry(t *tree, base, settings string) (wsgi, asgi entry) {
	pkg, _, _ := strings.Cut(settings, ".")
	look := func(name string) entry {
		dotted := pkg + "." + name
		file, ok := moduleFile(t, base, dotted)
		if !ok {
			return entry{}
		}
		src, _ := t.read(file)
		module, line := settingsModule(src)
		return entry{file, dotted, module, line}
	}
	return look("wsgi"), look("asgi")
}

// djangoSettings turns settings into facts.
type djangoSettings struct {
	*app
	module                 *module
	wsgiModule, asgiModule string
}

// get returns a setting's value.
func (d *djangoSettings) get(name string) (value, assigned, bool) {
	at, ok := d.module.values[name]
	if !ok {
		return value{}, at, false
	}
	return evaluate(at.tokens), at, true
}

func (d *djangoSettings) entries(wsgi, asgi entry) {
	d.wsgiModule, d.asgiModule = wsgi.dotted, asgi.dotted
	if v, at, ok := d.get("WSGI_APPLICATION"); ok && v.kind == textValue {
		d.wsgiModule = strings.TrimSuffix(v.text, ".application")
		d.found(at.file, at.line, "the WSGI module is %s", d.wsgiModule)
	} else if wsgi.file != "" {
		d.found(wsgi.file, 0, "the WSGI module is %s", wsgi.dotted)
	}
}

func (d *djangoSettings) hosts() {
	v, at, ok := d.get("ALLOWED_HOSTS")
	switch {
	case !ok:
		d.assumed("", 0, "any host is allowed for now: the settings have no ALLOWED_HOSTS; write the site's names into hosts.allow")
		return
	case v.env != "" && len(v.list) == 0:
		d.assumed(at.file, at.line, "any host is allowed for now: ALLOWED_HOSTS comes from the variable %s; write the same names into hosts.allow", v.env)
		return
	case slices.Contains(v.list, "*"):
		d.found(at.file, at.line, "ALLOWED_HOSTS allows any host")
		return
	case v.kind == textValue && v.env == "":
		d.found(at.file, at.line, "ALLOWED_HOSTS is a string, which Django reads as a list of letters: write a list")
		return
	case len(v.list) == 0:
		d.assumed(at.file, at.line, "any host is allowed for now: ALLOWED_HOSTS is made at run time, or empty; write the site's names into hosts.allow")
		return
	}
	for _, host := range v.list {
		if !hostPattern.MatchString(host) {
			d.found(at.file, at.line, "ALLOWED_HOSTS has %q, which can never match: write bare names, without scheme, port, blank or mask", host)
			continue
		}
		d.app.hosts = append(d.app.hosts, host)
	}
	d.found(at.file, at.line, "ALLOWED_HOSTS allows %s", strings.Join(d.app.hosts, ", "))
	if v.partial {
		d.assumed(at.file, at.line, "the hosts that ALLOWED_HOSTS gets at run time are this machine's own addresses, which instance_address allows: add others to hosts.allow")
	}
}

// hostPattern is what Django can match: a name, .name or an address.
var hostPattern = regexp.MustCompile(`^(\.?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])$`)

func (d *djangoSettings) https() {
	v, at, ok := d.get("SECURE_SSL_REDIRECT")
	switch {
	case ok && v.kind == truthValue && v.truth:
		d.redirect = true
		d.found(at.file, at.line, "SECURE_SSL_REDIRECT sends plain HTTP to https; Hale does it first, and exempts the health answer")
	case ok && v.env != "" && v.kind != truthValue:
		d.assumed(at.file, at.line, "plain HTTP is let through to Django: SECURE_SSL_REDIRECT comes from the variable %s; if it is on, write https.redirect: 301", v.env)
	}
	_, proxied := d.module.values["SECURE_PROXY_SSL_HEADER"]
	if d.redirect && !proxied {
		d.found(at.file, at.line, "SECURE_SSL_REDIRECT without SECURE_PROXY_SSL_HEADER redirects users behind a load balancer for ever: add SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")")
	}
	if at, ok := d.module.values["SECURE_PROXY_SSL_HEADER"]; ok {
		if v := evaluate(at.tokens); len(v.list) == 2 {
			d.found(at.file, at.line, "SECURE_PROXY_SSL_HEADER trusts %s: %s", headerOf(v.list[0]), v.list[1])
		}
	}
	if v, at, ok := d.get("SECURE_HSTS_SECONDS"); ok && v.kind == numberValue && v.number > 0 {
		d.hsts = time.Duration(v.number) * time.Second
		d.found(at.file, at.line, "SECURE_HSTS_SECONDS is %d", v.number)
	}
}

// headerOf turns WSGI's HTTP_X_FORWARDED_PROTO into X-Forwarded-Proto.
func headerOf(key string) string {
	words := strings.Split(strings.ToLower(strings.TrimPrefix(key, "HTTP_")), "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "-")
}

func (d *djangoSettings) headers() {
	if v, _, ok := d.get("SECURE_CONTENT_TYPE_NOSNIFF"); ok && v.truth {
		d.nosniff = true
	}
	if v, at, ok := d.get("X_FRAME_OPTIONS"); ok && (v.text == "DENY" || v.text == "SAMEORIGIN") {
		d.frames = v.text
		d.found(at.file, at.line, "X_FRAME_OPTIONS is %s", v.text)
	}
}

func (d *djangoSettings) database(base string) {
	at, ok := d.module.values["DATABASES"]
	if !ok {
		d.assumed("", 0, "no database: the settings have no DATABASES")
		return
	}
	entry := dictionary(at.tokens)["default"]
	if entry == nil {
		entry = at.tokens
	}
	parts := dictionary(entry)
	if len(parts) == 0 || parts["ENGINE"] == nil {
		d.databaseByURL(at, entry)
		return
	}
	full := evaluate(parts["ENGINE"]).text
	engine, ok := engineOf(full[strings.LastIndexByte(full, '.')+1:])
	if !ok {
		d.assumed(at.file, at.line, "the database is left unchecked: Hale's sql check does not know the engine %q", full)
		return
	}
	if engine.scheme == "sqlite" {
		d.connectsToFile(sqliteFile(base, parts["NAME"]), at.file, at.line)
		return
	}
	password := evaluate(parts["PASSWORD"])
	c := connection{
		engine: engine, file: at.file, line: at.line,
		host: urlPart(parts["HOST"]), port: urlPart(parts["PORT"]),
		name: urlPart(parts["NAME"]), user: urlPart(parts["USER"]),
	}
	switch {
	case password.env != "":
		c.password = "${" + password.env + "}" // never with the default that the settings give it
		if refs := environmentRefs(parts["PASSWORD"]); password.text == "" && !refs[0].required {
			c.password = "${" + password.env + ":-}"
		}
	case password.text != "":
		c.secretInFile = true
	case len(parts["PASSWORD"]) > 0 && password.kind == unknownValue:
		c.incomplete = true
	}
	d.connects(c)
}

// databaseByURL is for dj_database_url.config(), env.db() and functions of the
// app's own: they take it all from one variable.
func (d *djangoSettings) databaseByURL(at assigned, tokens []token) {
	name := databaseURL
	sure := false
	for _, t := range tokens {
		if t.kind == stringToken && strings.Contains(t.text, "://") && len(environmentRefs(tokens)) == 0 && !slices.ContainsFunc(tokens, func(t token) bool { return t.text == "config" }) {
			d.connectsBySecret(at.file, t.line)
			return
		}
		if t.kind == stringToken && variableName.MatchString(t.text) && strings.HasSuffix(t.text, "_URL") {
			name, sure = t.text, true
			break
		}
		sure = sure || t.text == "dj_database_url" || t.text == "db"
	}
	if sure {
		d.connectsByURL(name, at.file, at.line)
		return
	}
	d.app.database = database{url: "${" + name + "}"}
	d.need(name)
	d.assumed(at.file, at.line, "the database's URL is in the variable %s: DATABASES is made at run time", name)
}

// urlPart is a part of the database's settings as it stands in a URL of
// hale.yaml: itself, or ${VARIABLE}, or ${VARIABLE:-default}.
func urlPart(tokens []token) string {
	v := evaluate(tokens)
	text := v.text
	if v.kind == numberValue {
		text = strconv.Itoa(v.number)
	}
	switch refs := environmentRefs(tokens); {
	case v.env == "":
		return strings.ReplaceAll(text, "$", "$$")
	case refs[0].required:
		return "${" + v.env + "}"
	default:
		return "${" + v.env + ":-" + text + "}"
	}
}

// sqliteFile reads BASE_DIR / "db.sqlite3", os.path.join(BASE_DIR, "x") and
// plain strings: the last string in the expression counts.
func sqliteFile(base string, tokens []token) string {
	file := "db.sqlite3"
	for _, t := range tokens {
		if t.kind == stringToken && t.text != "" && !variableName.MatchString(t.text) {
			file = t.text
		}
	}
	if path.IsAbs(file) {
		return file
	}
	return path.Join(base, file)
}

// dictionary reads {"key": value, ...} and dict(key=value, ...).
func dictionary(tokens []token) map[string][]token {
	entries := make(map[string][]token)
	switch {
	case len(tokens) > 1 && tokens[0].is("{"):
		inner, _ := bracketed(tokens, 0)
		for _, item := range split(inner, ",") {
			if len(item) > 2 && item[0].kind == stringToken && item[1].is(":") {
				entries[item[0].text] = item[2:]
			}
		}
	case len(tokens) > 2 && tokens[0].text == "dict" && tokens[1].is("("):
		inner, _ := bracketed(tokens, 1)
		for _, item := range split(inner, ",") {
			if len(item) > 2 && item[0].kind == nameToken && item[1].is("=") {
				entries[item[0].text] = item[2:]
			}
		}
	}
	return entries
}

// variables collects what the settings need from the environment.
func (d *djangoSettings) variables() {
	for _, n := range d.module.needs {
		switch {
		case n.required && !n.maybe && !slices.Contains(d.require, n.name):
			d.need(n.name)
			d.found(n.file, n.line, "the settings need the variable %s", n.name)
		case n.required && n.maybe:
			d.assumed(n.file, n.line, "the variable %s is not needed: it is read under a condition; add it to require_env if it is", n.name)
		}
	}
}

var healthRoute = regexp.MustCompile(`path\(\s*["'](health[\w-]*|healthz|up|status)/?["']`)

// hasHealthView finds a route of the app that says how it is.
func (d *djangoSettings) hasHealthView(t *tree) bool {
	for _, name := range t.find(func(name string) bool { return path.Base(name) == "urls.py" }) {
		src, _ := t.read(name)
		if m := healthRoute.FindStringSubmatchIndex(src); m != nil {
			route := src[m[2]:m[3]]
			d.found(name, lineOf(src, m[0]), "the app has a page %s of its own: users never see it behind Hale's health path, if that is the same", "/"+route)
		}
	}
	return false
}
