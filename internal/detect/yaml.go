package detect

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// yaml writes hale.yaml. It is text with comments for people, so it is written
// as text; every value goes through scalar or list.
func (a *app) yaml() []byte {
	w := &writer{}
	listen, admin := a.addresses()
	w.line("# What Hale does for this app; `hale config schema` knows all keys.")
	w.line("# Written by `hale init` after a look at the files: read it through once.")
	w.line("# A secret stays where it is: ${NAME} is taken from the environment.")
	w.line("")
	w.line("listen: %s   # where the load balancer and its health check come in", scalar(listen))
	if admin != "" {
		w.line("admin: %s", scalar(admin))
	}
	a.writeApp(w)
	a.writeHosts(w)
	a.writeHTTPS(w)
	w.line("")
	w.line("# On SIGTERM the health answer fails at once, and Hale serves on until the load")
	w.line("# balancer has noticed: its unhealthy threshold x interval, plus one interval.")
	w.line("drain: {notice: 25s, finish: 30s}")
	a.writeChecks(w)
	return []byte(w.b.String())
}

// addresses returns where Hale listens: not where the app does.
func (a *app) addresses() (listen, admin string) {
	port := ""
	if u, err := url.Parse(variableInText.ReplaceAllString(a.url, "$2")); err == nil {
		port = u.Port()
	}
	listen = ":8080"
	if port == "8080" {
		listen = ":8000"
		a.assumed("", 0, "Hale listens on port 8000, since the app has 8080: point the load balancer's target group and health check at 8000")
	}
	if port == "8086" {
		admin = "127.0.0.1:8087"
	}
	return listen, admin
}

// variableInText matches ${NAME} and ${NAME:-default}.
var variableInText = regexp.MustCompile(`\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}`)

func (a *app) writeApp(w *writer) {
	w.line("")
	w.line("app:")
	w.line("  url: %s   # where the app answers Hale", scalar(a.url))
	if len(a.command) > 0 {
		w.line("  # Hale runs the app as its child. Take this out if something else does, such as")
		w.line("  # a systemd unit of its own.")
		w.line("  command: %s", list(a.command))
	} else {
		w.line("  # command: [program, argument]   # Hale can run the app as its child")
	}
	if len(a.migrate) > 0 {
		w.line("  # Before the app starts. It changes the database, so it is left to you: uncomment")
		w.line("  # it if each instance may do that as it starts.")
		w.line("  # before:")
		w.line("  #   - %s", list(a.migrate))
	}
	switch {
	case a.envFile != "":
		w.line("  env_file: %s   # KEY=value lines, as a shell would source them", scalar(a.envFile))
	case a.envSample != "":
		w.line("  # env_file: .env   # KEY=value lines; %s shows which", a.envSample)
	default:
		w.line("  # env_file: /etc/application/env-vars   # KEY=value lines, as a shell would source them")
	}
	if len(a.require) > 0 {
		w.line("  require_env: %s   # the app is not started without them", list(a.require))
	}
}

func (a *app) writeHosts(w *writer) {
	w.line("")
	w.line("hosts:")
	if len(a.hosts) > 0 {
		w.line("  allow: %s   # others are answered 400; the health answer is for any", list(a.hosts))
	} else {
		w.line("  # allow: [mysite.com, .mysite.com]   # others are then answered 400; absent: any host")
	}
	w.line("  instance_address: auto   # load balancers ask by this machine's own address")
}

func (a *app) writeHTTPS(w *writer) {
	w.line("")
	w.line("https:")
	if a.redirect {
		w.line("  redirect: 301   # plain HTTP is sent to https, but for the health answer")
	} else {
		w.line("  redirect: off   # 301 sends plain HTTP to https, but for the health answer")
	}
	if a.hsts > 0 {
		w.line("  hsts: %s", duration(a.hsts))
	}
	if a.nosniff || a.frames != "" {
		w.line("")
		var fields []string
		if a.nosniff {
			fields = append(fields, "nosniff: true")
		}
		if a.frames != "" {
			fields = append(fields, "frame_options: "+a.frames)
		}
		w.line("headers: {%s}", strings.Join(fields, ", "))
	}
}

func (a *app) writeChecks(w *writer) {
	w.line("")
	w.line("# What must work for this instance to take traffic.")
	w.line("health:")
	w.line("  path: /health   # point the load balancer's health check here")
	w.line("  checks:")
	cause := ""
	if db := a.database; db.url != "" {
		cause = ", depends_on: database"
		scope := ", scope: shared"
		if db.local {
			scope = ""
		}
		w.line("    - {name: database, type: sql, url: %s, interval: 5s, timeout: 2s%s}", scalar(db.url), scope)
	}
	if m := a.migrations; m.tool != "" && a.database.url != "" {
		dir := ""
		if m.dir != "" {
			dir = ", dir: " + scalar(m.dir)
		}
		w.line("    - {name: migrations, type: migrations, tool: %s%s, database: %s%s}   # none is missing", m.tool, dir, scalar(a.database.url), cause)
	}
	host := ""
	if a.asksForHost() {
		host = fmt.Sprintf(", host: %s", scalar(publicHost(a.hosts)))
	}
	why := ""
	if a.page.why != "" {
		why = "   # " + a.page.why
	}
	w.line("    - {name: page, type: page, path: %s, status: 200%s%s}%s", scalar(a.page.path), host, cause, why)
	if a.management != "" {
		w.line("    - {name: management, type: http, url: %s}   # the framework's own view of its health", scalar(a.management))
	}
	if len(a.require) > 0 {
		w.line("    - {name: settings, type: env, names: %s}", list(a.require))
	}
	w.line("    - {name: disk, type: disk, paths: [/], warn_used: 85%%, max_used: 95%%}")
}

// asksForHost says whether there is a name that users know the app by.
func (a *app) asksForHost() bool { return publicHost(a.hosts) != "" }

// publicHost returns the first name, rather than address, of a list of hosts.
func publicHost(hosts []string) string {
	for _, h := range hosts {
		name := strings.TrimPrefix(h, ".")
		if net.ParseIP(strings.Trim(name, "[]")) == nil && name != "localhost" && strings.Contains(name, ".") {
			return name
		}
	}
	return ""
}

type writer struct{ b strings.Builder }

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(&w.b, format, args...)
	w.b.WriteByte('\n')
}

// plain matches text that YAML reads as the string that it is, also within
// brackets: a colon in it is followed by no blank.
var plain = regexp.MustCompile(`^(?:[A-Za-z/._-][A-Za-z0-9/._=+-]*|[A-Za-z][A-Za-z0-9/._=+:@-]*[A-Za-z0-9/])$`)

// scalar writes a string so that YAML, also within brackets, reads it back.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n", "~", "", "-", ".":
		return quoted(s)
	}
	if plain.MatchString(s) {
		return s
	}
	return quoted(s)
}

// quoted writes a double-quoted scalar (YAML 1.2, 7.3.1).
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func list(items []string) string {
	texts := make([]string, len(items))
	for i, s := range items {
		texts[i] = scalar(s)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// duration writes whole hours as such, and anything else in seconds, as
// headers and settings do.
func duration(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
