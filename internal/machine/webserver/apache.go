package webserver

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"hale/internal/explain"
)

// readApache reads what httpd.apache.org/docs/2.4/mod/directives.html describes.
func readApache(c *Config, r *reader, o Options, file string) {
	a := &apache{
		reader: r, config: c, options: o, root: first(o.Dir, filepath.Dir(file)),
		defines: make(map[string]string), modules: make(map[string]bool), members: make(map[string][]string),
	}
	for _, name := range o.Defines {
		a.defines[name] = ""
	}
	r.include(file, func(name, content string) {
		a.server(a.parse(name, content))
	})
}

// apache is one reading of its configuration.
type apache struct {
	*reader
	config     *Config
	options    Options
	root       string              // ServerRoot
	defines    map[string]string   // of Define and -D
	modules    map[string]bool     // that were loaded: "ssl"
	members    map[string][]string // of balancers
	directives int
}

// section is a line of the configuration, or a <Section> with what it holds.
// Names are in lower case.
type section struct {
	Place
	name    string
	written string // its name as it is written
	args    []string
	inner   []section
	open    bool // a section's beginning
}

func (s section) arg(i int) string {
	if i < len(s.args) {
		return s.args[i]
	}
	return ""
}

func (s section) on() bool { return strings.EqualFold(s.arg(0), "on") }

// parse reads a file, and puts those that it includes in their places.
func (a *apache) parse(name, content string) []section {
	lines := apacheLines(content)
	all, _ := a.level(lines, name, "", 0)
	return all
}

// level reads lines up to the end of a section; what is left comes back.
func (a *apache) level(lines []apacheLine, file, within string, depth int) (all []section, rest []apacheLine) {
	for len(lines) > 0 {
		l := lines[0]
		lines = lines[1:]
		if a.directives++; a.directives > maxDirectives {
			return all, nil
		}
		text, isSection := strings.CutPrefix(l.text, "<")
		if end, closes := strings.CutPrefix(text, "/"); isSection && closes {
			if strings.EqualFold(strings.TrimRight(end, "> \t"), within) {
				return all, lines
			}
			continue // of a section that was not begun
		}
		if isSection {
			text = strings.TrimSuffix(strings.TrimSpace(text), ">")
		}
		words := apacheWords(a.expand(text))
		if len(words) == 0 {
			continue
		}
		s := section{Place: Place{file, l.number}, name: strings.ToLower(words[0]), written: words[0], args: words[1:], open: isSection}
		if isSection {
			if depth >= maxNesting {
				a.complain(fmt.Errorf("read up to line %d only, where sections are too deep: %s", l.number, explain.Line(file)))
				return all, nil
			}
			// Whether a section counts is known before what it holds is read, which
			// may define things.
			if !a.counts(s) {
				lines = skipSection(lines, s.name)
				continue
			}
			s.inner, lines = a.level(lines, file, s.name, depth+1)
			if strings.HasPrefix(s.name, "if") && s.name != "if" {
				all = append(all, s.inner...)
				continue
			}
			all = append(all, s)
			continue
		}
		all = append(all, a.line(s)...)
	}
	return all, nil
}

// line reads what changes how the rest is read; all else stays.
func (a *apache) line(s section) []section {
	switch s.name {
	case "include", "includeoptional":
		var all []section
		pattern := absolute(s.arg(0), a.root)
		if s.name == "includeoptional" && !strings.ContainsAny(pattern, "*?[") && !a.exists(pattern) {
			return nil
		}
		if a.dir(pattern) {
			pattern = filepath.Join(pattern, "*")
		}
		a.include(pattern, func(name, content string) { all = append(all, a.parse(name, content)...) })
		return all
	case "define":
		a.defines[s.arg(0)] = s.arg(1)
	case "undefine":
		delete(a.defines, s.arg(0))
	case "loadmodule":
		a.modules[strings.TrimSuffix(s.arg(0), "_module")] = true
	case "serverroot":
		if filepath.IsAbs(s.arg(0)) {
			a.root = s.arg(0)
		}
	}
	return []section{s}
}

// counts tells whether <IfDefine>, <IfModule> and their like hold. Modules may be
// built in, so that one that is asked for is taken to be there.
func (a *apache) counts(s section) bool {
	name, not := strings.CutPrefix(s.arg(0), "!")
	switch s.name {
	case "ifdefine":
		_, defined := a.defines[name]
		return defined != not
	case "ifmodule":
		name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(name, "_module"), "mod_"), ".c")
		return !not || !a.modules[name]
	case "ifversion", "iffile", "ifdirective", "ifsection":
		return !strings.HasPrefix(s.arg(0), "!")
	}
	return true
}

// expand puts the values of ${variables} in their places.
func (a *apache) expand(text string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	return replaceVariables(text, func(name string) (string, bool) {
		if value, ok := a.defines[name]; ok {
			return value, true
		}
		value := a.options.env(name)
		return value, value != ""
	})
}

// apacheScope is what holds at a place: of the main server, a virtual host, or a
// section for some requests.
type apacheScope struct {
	names        []string
	path         string
	preserveHost Place     // of ProxyPreserveHost On
	fields       []section // RequestHeader
	conditions   []string  // RewriteCond, for the next RewriteRule
	ifs          string
}

// server reads the main server, and then the virtual hosts, which inherit of it.
func (a *apache) server(all []section) {
	a.balancers(all)
	s := a.scope(all, apacheScope{})
	tls := slices.ContainsFunc(all, func(d section) bool { return d.name == "sslengine" && d.on() })
	var listens []Listen
	for _, d := range all {
		if d.name == "listen" {
			listens = append(listens, Listen{
				Place: d.Place, Address: listenAddress(d.arg(0), "", "*"), ServerNames: s.names,
				TLS: tls || strings.EqualFold(d.arg(1), "https"),
			})
		}
	}
	var main []section
	for _, d := range all {
		if d.open && d.name == "virtualhost" {
			a.virtualHost(d, s, listens)
		} else {
			main = append(main, d)
		}
	}
	a.walk(main, s)
	firstIsDefault(a.config.Listens)
	// The main server gets what comes to no virtual host's address.
	for _, l := range listens {
		covered := slices.ContainsFunc(a.config.Listens, func(host Listen) bool {
			return host.Address == l.Address || strings.HasPrefix(host.Address, "*:") && host.Port() == l.Port()
		})
		if !covered {
			l.Default = true
			a.config.addListen(l)
		}
	}
}

// balancers reads the members of <Proxy balancer://name>.
func (a *apache) balancers(all []section) {
	for _, d := range all {
		if d.name == "proxy" {
			for _, member := range d.inner {
				if member.name == "balancermember" {
					a.members[strings.TrimSuffix(d.arg(0), "/")] = append(a.members[strings.TrimSuffix(d.arg(0), "/")], member.arg(0))
				}
			}
		}
		if d.name == "balancermember" && strings.HasPrefix(d.arg(0), "balancer://") {
			a.members[strings.TrimSuffix(d.arg(0), "/")] = append(a.members[strings.TrimSuffix(d.arg(0), "/")], d.arg(1))
		}
		if d.open {
			a.balancers(d.inner)
		}
	}
}

// scope adds to what holds around a section what the section says for all of it.
func (a *apache) scope(all []section, s apacheScope) apacheScope {
	s.fields, s.names = slices.Clip(s.fields), slices.Clip(s.names)
	for _, d := range all {
		switch d.name {
		case "servername", "serveralias":
			for _, name := range d.args {
				_, _, rest, ok := schemeOf(name) // ServerName may be a URL
				if !ok {
					rest = name
				}
				if host, _, found := strings.Cut(rest, ":"); found {
					rest = host
				}
				s.names = append(s.names, rest)
			}
		case "proxypreservehost":
			s.preserveHost = Place{}
			if d.on() {
				s.preserveHost = d.Place
			}
		case "requestheader":
			s.fields = append(s.fields, d)
		}
	}
	return s
}

func (a *apache) virtualHost(d section, main apacheScope, listens []Listen) {
	main.names = nil
	s := a.scope(d.inner, main)
	l := Listen{Place: d.Place, ServerNames: s.names}
	for _, inner := range d.inner {
		l.TLS = l.TLS || inner.name == "sslengine" && inner.on()
		l.ProxyProtocol = l.ProxyProtocol || inner.name == "remoteipproxyprotocol" && inner.on()
	}
	for _, address := range d.args {
		address = strings.Replace(address, "_default_", "*", 1)
		if address == "*" { // on all ports
			for _, every := range listens {
				l.Address = every.Address
				a.config.addListen(l)
			}
			continue
		}
		l.Address = listenAddress(strings.TrimSuffix(address, ":*"), "", "*")
		a.config.addListen(l)
	}
	a.walk(d.inner, s)
}

// walk reads what one level does with requests.
func (a *apache) walk(all []section, s apacheScope) {
	for _, d := range all {
		if d.open {
			a.inside(d, s)
			continue
		}
		switch d.name {
		case "errorlog":
			a.config.ErrorLogs = a.log(a.config.ErrorLogs, d.arg(0))
		case "customlog", "transferlog":
			a.config.AccessLogs = a.log(a.config.AccessLogs, d.arg(0))
		case "proxypass", "proxypassmatch":
			path, url := d.arg(0), d.arg(1)
			if s.path != "" { // within <Location>
				path, url = s.path, d.arg(0)
			}
			a.pass(d, path, url, s)
		case "sethandler":
			if url, ok := strings.CutPrefix(d.arg(0), "proxy:"); ok {
				a.pass(d, s.path, url, s)
			}
		case "wsgiscriptalias", "wsgiscriptaliasmatch":
			a.config.addUpstream(Upstream{
				Place: d.Place, Protocol: WSGI, Address: absolute(d.arg(1), a.root), Path: d.arg(0), ServerNames: s.names,
				Host: Passed{As: AsSent}, ForwardedProto: a.proto(s),
			})
		case "rewritecond":
			s.conditions = append(s.conditions, "RewriteCond "+conceal(strings.Join(d.args, " ")))
		case "rewriterule":
			a.rewrite(d, s)
			s.conditions = nil
		default:
			if kind, ok := apacheRule(d); ok {
				a.rule(kind, d, s)
			}
		}
	}
}

// inside reads a section for some of the requests.
func (a *apache) inside(d section, s apacheScope) {
	switch d.name {
	case "location":
		s.path = d.arg(0)
		if s.path == "~" {
			s.path = "~ " + d.arg(1)
		}
	case "locationmatch":
		s.path = "~ " + d.arg(0)
	case "directory", "directorymatch", "files", "filesmatch", "proxy":
		if strings.HasPrefix(d.name, "files") && strings.Contains(d.arg(0), ".ht") {
			return // its own files, which nobody asks for
		}
		s.ifs = "<" + strings.Join(append([]string{d.written}, d.args...), " ") + ">"
	case "if", "elseif":
		s.ifs = "If " + conceal(strings.Join(d.args, " "))
	case "else", "limit", "limitexcept", "requireall", "requireany", "requirenone":
	default:
		return
	}
	if d.name != "limit" && d.name != "limitexcept" && !strings.HasPrefix(d.name, "require") {
		s = a.scope(d.inner, s)
	}
	a.walk(d.inner, s)
}

func (a *apache) log(logs []string, name string) []string {
	if name == "" || strings.HasPrefix(name, "syslog") || strings.HasPrefix(name, "|") || !logFile(absolute(name, a.root)) {
		return logs
	}
	return append(logs, absolute(name, a.root))
}

// apacheRule tells what a directive does to requests, where it does something.
func apacheRule(d section) (RuleKind, bool) {
	switch d.name {
	case "redirect", "redirectmatch", "redirectpermanent", "redirecttemp":
		return Redirect, true
	case "require":
		switch strings.ToLower(d.arg(0)) {
		case "all":
			return Refuse, strings.EqualFold(d.arg(1), "denied")
		case "ip", "host", "local", "forward-dns":
			return Allow, true
		case "not":
			return Refuse, true
		case "valid-user", "user", "group":
			return Auth, true
		}
	case "deny":
		return Refuse, true
	case "allow":
		return Allow, !strings.EqualFold(d.arg(1), "all")
	case "sslverifyclient":
		return ClientCertificate, strings.EqualFold(d.arg(0), "require")
	case "sslstrictsnivhostcheck":
		return ServerName, d.on()
	case "secruleengine":
		return Filter, d.on()
	}
	return "", false
}

func (a *apache) rule(kind RuleKind, d section, s apacheScope) {
	text := joined(append([]string{d.written}, d.args...)...)
	for _, condition := range slices.Backward(append(slices.Clip(s.conditions), s.ifs)) {
		if condition != "" {
			text = printable(condition + ": " + text)
		}
	}
	a.config.addRule(Rule{Place: d.Place, Kind: kind, Text: text, Path: s.path, ServerNames: s.names})
}

// rewrite reads a RewriteRule that redirects, refuses, or sends to an upstream.
func (a *apache) rewrite(d section, s apacheScope) {
	to := d.arg(1)
	flags := strings.Split(strings.Trim(d.arg(2), "[]"), ",")
	has := func(names ...string) bool {
		return slices.ContainsFunc(flags, func(flag string) bool {
			name, _, _ := strings.Cut(strings.TrimSpace(flag), "=")
			return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		})
	}
	switch {
	case has("P", "proxy"):
		a.pass(d, d.arg(0), to, s)
	case has("F", "forbidden", "G", "gone"):
		a.rule(Refuse, d, s)
	case has("R", "redirect") || strings.HasPrefix(to, "http://") || strings.HasPrefix(to, "https://"):
		a.rule(Redirect, d, s)
	}
}

// pass reads a line that sends requests to a URL, or to the members of a
// balancer.
func (a *apache) pass(d section, path, url string, s apacheScope) {
	if url == "" || url == "!" {
		return
	}
	if name, ok := strings.CutPrefix(url, "balancer://"); ok {
		name, _, _ = strings.Cut(name, "/")
		for _, member := range a.members["balancer://"+name] {
			if !strings.HasPrefix(member, "balancer://") {
				a.pass(d, path, member, s)
			}
		}
		return
	}
	u := Upstream{Place: d.Place, Path: path, ServerNames: s.names}
	socket, behind, isSocket := strings.Cut(url, "|")
	if !isSocket {
		behind = url
	}
	protocol, port, rest, ok := schemeOf(behind)
	if !ok {
		return
	}
	u.Protocol = protocol
	if path, unix := strings.CutPrefix(socket, unixPrefix); isSocket && unix {
		u.Address = unixPrefix + path
	} else {
		host, _, _ := strings.Cut(rest, "/")
		if server := beforeVariable.FindString(host); server != "" {
			host = strings.TrimSuffix(server, "$")
		}
		u.Address = hostPort(host, port)
	}
	u.Host = Passed{As: Own}
	if s.preserveHost != (Place{}) || protocol.carriesRequests() {
		u.Host = Passed{As: AsSent, Place: s.preserveHost}
		if s.preserveHost != (Place{}) {
			u.Host.Text = "ProxyPreserveHost On"
		}
	}
	if set, ok := a.field(s, "Host"); ok {
		u.Host = set
	}
	u.ForwardedProto = a.proto(s)
	a.config.addUpstream(u)
}

func (a *apache) proto(s apacheScope) Passed {
	if set, ok := a.field(s, "X-Forwarded-Proto"); ok {
		return set
	}
	return Passed{As: AsSent}
}

// field says what the last RequestHeader makes of a field.
func (a *apache) field(s apacheScope, name string) (Passed, bool) {
	for _, d := range slices.Backward(s.fields) {
		args := d.args
		if len(args) > 0 && strings.EqualFold(args[0], "early") {
			args = args[1:]
		}
		if len(args) < 2 || !strings.EqualFold(strings.TrimSuffix(args[1], ":"), name) {
			continue
		}
		p := Passed{Text: joined(args...), Place: d.Place}
		value := ""
		if len(args) > 2 {
			value = args[2]
		}
		switch strings.ToLower(args[0]) {
		case "unset":
			p.As = Removed
		case "setifempty":
			p.As = AsSent
		case "set":
			switch conditional := len(args) > 3 && args[3] != "early"; {
			case conditional:
				p.As = UnknownlyPassed
			case strings.Contains(value, "REQUEST_SCHEME") || strings.Contains(value, "HTTPS"):
				p.As = Own
			case strings.Contains(strings.ToLower(value), "http:x-forwarded-proto") || strings.Contains(value, "HTTP_HOST"):
				p.As = AsSent
			case strings.Contains(value, "%{") || strings.HasPrefix(value, "expr="):
				p.As = UnknownlyPassed
			default:
				p.As, p.Text = Fixed, printable(value)
			}
		default:
			p.As = UnknownlyPassed
		}
		return p, true
	}
	return Passed{}, false
}
