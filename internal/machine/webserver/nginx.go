package webserver

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hale/internal/explain"
)

// readNginx reads what nginx.org/en/docs/dirindex.html describes.
func readNginx(c *Config, r *reader, o Options, file string) {
	n := &nginx{
		reader: r, config: c, options: o, dir: filepath.Dir(file),
		upstreams: make(map[string][]string), maps: make(map[string]string),
	}
	r.include(file, func(name, content string) {
		n.walk(n.parse(name, content), nginxScope{})
	})
	firstIsDefault(c.Listens)
}

// nginx is one reading of its configuration.
type nginx struct {
	*reader
	config     *Config
	options    Options
	dir        string
	directives int
	upstreams  map[string][]string // addresses of "upstream" blocks, by their names
	maps       map[string]string   // what "map" blocks make variables of, by their names
}

// maxDirectives bounds what files that include one another come to.
const maxDirectives = 200_000

// directive is a line of the configuration, or a block with what it holds.
type directive struct {
	Place
	name  string
	args  []string
	block []directive
}

func (d directive) arg(i int) string {
	if i < len(d.args) {
		return d.args[i]
	}
	return ""
}

// parse reads a file, and puts those that it includes in their places.
func (n *nginx) parse(name, content string) []directive {
	lex := &nginxLexer{text: content, line: 1}
	all, closed := n.block(lex, name, 0)
	if closed || lex.pos < len(content) {
		n.complain(fmt.Errorf("read up to line %d only, where a block ends that has not begun, or blocks are too deep: %s", lex.line, explain.Line(name)))
	}
	return all
}

// block reads up to the brace that closes it, or the end of the file.
func (n *nginx) block(lex *nginxLexer, file string, depth int) (all []directive, closed bool) {
	var d directive
	for {
		word, kind := lex.next()
		if kind == wordToken && d.name == "" {
			d = directive{Place: Place{file, lex.start}, name: word}
			continue
		}
		switch kind {
		case wordToken:
			d.args = append(d.args, word)
			continue
		case endOfFile:
			return all, false
		case closeToken:
			return all, true
		case openToken:
			if depth >= maxNesting {
				return all, false
			}
			if strings.HasSuffix(d.name, "_by_lua_block") {
				lex.skipLua()
			} else {
				d.block, _ = n.block(lex, file, depth+1)
			}
		case semicolonToken:
		}
		if n.directives++; n.directives > maxDirectives {
			return all, false
		}
		switch {
		case d.name == "include" && len(d.args) > 0:
			n.include(absolute(d.args[0], n.dir), func(name, content string) { all = append(all, n.parse(name, content)...) })
		case d.name != "":
			all = append(all, d)
		}
		d = directive{}
	}
}

// nginxScope is what a directive finds around it.
type nginxScope struct {
	within   string // "", "http", "stream" or "server"
	stream   bool
	names    []string // of the virtual host
	path     string
	ifs      string // the condition of the "if" that it is in
	proxy    fieldsSet
	params   fieldsSet
	grpc     fieldsSet
	set      map[string]string // variables
	noFields bool              // uwsgi_pass_request_headers off, and its like
}

// fieldsSet are the lines that set fields of the header for an upstream. A level
// that has any inherits none.
type fieldsSet []directive

func (s fieldsSet) find(name string) (directive, bool) {
	for _, d := range slices.Backward(s) {
		if strings.EqualFold(d.arg(0), name) {
			return d, true
		}
	}
	return directive{}, false
}

// walk reads one level of blocks: first what holds for all of it.
func (n *nginx) walk(level []directive, s nginxScope) {
	s = n.inherit(level, s)
	for _, d := range level {
		switch d.name {
		case "upstream":
			for _, server := range d.block {
				if server.name == "server" && !slices.Contains(server.args, "down") {
					n.upstreams[d.arg(0)] = append(n.upstreams[d.arg(0)], hostPort(server.arg(0), "80"))
				}
			}
		case "map":
			n.maps[d.arg(1)] = d.arg(0)
		}
	}
	for _, d := range level {
		n.visit(d, s)
	}
}

// inherit adds to a scope what a level says for all that it holds.
func (n *nginx) inherit(level []directive, s nginxScope) nginxScope {
	var proxy, params, grpc fieldsSet
	set := make(map[string]string)
	maps.Copy(set, s.set)
	for _, d := range level {
		switch d.name {
		case "proxy_set_header":
			proxy = append(proxy, d)
		case "uwsgi_param", "fastcgi_param", "scgi_param":
			params = append(params, d)
		case "grpc_set_header":
			grpc = append(grpc, d)
		case "set":
			set[d.arg(0)] = d.arg(1)
		case "uwsgi_pass_request_headers", "fastcgi_pass_request_headers", "scgi_pass_request_headers":
			s.noFields = d.arg(0) == "off"
		}
	}
	s.set = set
	for _, level := range []struct {
		here fieldsSet
		to   *fieldsSet
	}{{proxy, &s.proxy}, {params, &s.params}, {grpc, &s.grpc}} {
		if len(level.here) > 0 {
			*level.to = level.here
		}
	}
	return s
}

func (n *nginx) visit(d directive, s nginxScope) {
	switch d.name {
	case "http", "stream":
		s.within, s.stream = d.name, d.name == "stream"
		n.walk(d.block, s)
	case "server":
		if s.within == "http" || s.within == "stream" { // else a server of a group, or of mail
			s.within = d.name
			n.server(d, s)
		}
	case "location":
		s.path = strings.Join(d.args, " ")
		n.walk(d.block, s)
	case "if":
		s.ifs = "if " + conceal(strings.Replace(strings.Join(d.args, " "), " )", ")", 1)) // behind quotes, it is a word of its own
		n.walk(d.block, s)
	case "limit_except":
		s.ifs = "limit_except " + strings.Join(d.args, " ")
		n.walk(d.block, s)
	case "error_log", "access_log":
		n.log(d)
	case "proxy_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass", "grpc_pass":
		n.pass(d, s)
	default:
		if kind, ok := nginxRule(d); ok {
			n.rule(kind, d, s)
		}
	}
}

// server reads a virtual host.
func (n *nginx) server(d directive, s nginxScope) {
	var listens []Listen
	tls := false
	for _, inner := range d.block {
		switch inner.name {
		case "server_name":
			s.names = append(s.names, inner.args...)
		case "ssl":
			tls = inner.arg(0) == "on"
		case "listen":
			has := func(parameters ...string) bool {
				return slices.ContainsFunc(parameters, func(p string) bool { return slices.Contains(inner.args[min(1, len(inner.args)):], p) })
			}
			listens = append(listens, Listen{
				Place: inner.Place, Address: listenAddress(inner.arg(0), "80", "0.0.0.0"), TLS: has("ssl"), HTTP2: has("http2"),
				ProxyProtocol: has("proxy_protocol"), Default: has("default_server", "default"),
			})
		}
	}
	if len(listens) == 0 && !s.stream {
		listens = []Listen{{Place: d.Place, Address: "0.0.0.0:80"}}
	}
	for _, l := range listens {
		l.TLS = l.TLS || tls
		l.ServerNames = s.names
		n.config.addListen(l)
	}
	n.walk(d.block, s)
}

func (n *nginx) log(d directive) {
	name := d.arg(0)
	if !filepath.IsAbs(name) && n.options.Dir != "" && !strings.Contains(name, ":") && name != "off" && name != "stderr" {
		name = absolute(name, n.options.Dir)
	}
	switch {
	case !logFile(name):
	case d.name == "error_log":
		n.config.ErrorLogs = append(n.config.ErrorLogs, name)
	default:
		n.config.AccessLogs = append(n.config.AccessLogs, name)
	}
}

// nginxRule tells what a directive does to requests, where it does something.
func nginxRule(d directive) (RuleKind, bool) {
	switch d.name {
	case "return":
		switch code, err := strconv.Atoi(d.arg(0)); {
		case err != nil || code >= 301 && code <= 308 && code != 304:
			return Redirect, true
		case code == 444:
			return Close, true
		case code == 401 || code == 403:
			return Refuse, true
		default:
			return Answer, true
		}
	case "rewrite":
		to := d.arg(1)
		outside := strings.HasPrefix(to, "http://") || strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "$scheme")
		return Redirect, outside || d.arg(2) == "permanent" || d.arg(2) == "redirect"
	case "deny":
		return Refuse, true
	case "allow":
		return Allow, d.arg(0) != "all"
	case "auth_basic", "auth_request", "auth_jwt":
		return Auth, d.arg(0) != "off"
	case "limit_req", "limit_conn":
		return Limit, true
	case "modsecurity":
		return Filter, d.arg(0) == "on"
	case "ssl_verify_client":
		return ClientCertificate, d.arg(0) == "on"
	case "ssl_reject_handshake":
		return ServerName, d.arg(0) == "on"
	}
	return "", false
}

func (n *nginx) rule(kind RuleKind, d directive, s nginxScope) {
	text := joined(append([]string{d.name}, d.args...)...)
	if s.ifs != "" {
		text = printable(s.ifs + ": " + text)
	}
	n.config.addRule(Rule{Place: d.Place, Kind: kind, Text: text, Path: s.path, ServerNames: s.names})
}

// pass reads a line that sends requests to an upstream, or to a group of them.
func (n *nginx) pass(d directive, s nginxScope) {
	u := Upstream{Place: d.Place, Path: s.path, ServerNames: s.names}
	target := n.resolve(d.arg(0), s)
	port := ""
	switch d.name {
	case "proxy_pass":
		u.Protocol, port = HTTP, "80"
		if s.stream {
			u.Protocol = TCP
		}
	case "uwsgi_pass":
		u.Protocol = UWSGI
	case "fastcgi_pass":
		u.Protocol = FastCGI
	case "scgi_pass":
		u.Protocol = SCGI
	case "grpc_pass":
		u.Protocol, port = GRPC, "80"
	}
	if protocol, defaultPort, rest, ok := schemeOf(target); ok {
		target, port = rest, defaultPort
		if d.name == "proxy_pass" {
			u.Protocol = protocol
		}
	}
	if path, unix := strings.CutPrefix(target, unixPrefix); unix {
		path, _, _ = strings.Cut(path, ":") // behind the colon is the request's path
		target = unixPrefix + path
	} else {
		target, _, _ = strings.Cut(target, "/")
		if server := beforeVariable.FindString(target); server != "" {
			target = strings.TrimSuffix(server, "$")
		}
	}
	if target == "" {
		return
	}
	u.Host, u.ForwardedProto = n.passed(u.Protocol, s)
	addresses, group := n.upstreams[target]
	if !group {
		addresses = []string{hostPort(target, port)}
	}
	for _, u.Address = range addresses {
		n.config.addUpstream(u)
	}
}

// beforeVariable is a server that a variable follows, as in
// 127.0.0.1:8000$request_uri.
var beforeVariable = regexp.MustCompile(`^[^$]+:\d+\$`)

// resolve puts the values of variables that were "set" in their places.
func (n *nginx) resolve(text string, s nginxScope) string {
	for range 3 {
		if !strings.Contains(text, "$") || len(text) > maxFile/256 {
			break
		}
		text = replaceVariables(text, func(name string) (string, bool) {
			value, ok := s.set["$"+name]
			return value, ok && len(value) < 200
		})
	}
	return text
}

// replaceVariables replaces $name and ${name} where the value is known.
func replaceVariables(text string, value func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, rest := variableName(after)
		if v, ok := value(name); ok && name != "" {
			b.WriteString(v)
		} else {
			b.WriteString("$" + after[:len(after)-len(rest)])
		}
		text = rest
	}
}

// variableName cuts a name, or one in braces, off the text behind a dollar.
func variableName(text string) (name, rest string) {
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		if name, rest, ok := strings.Cut(inner, "}"); ok {
			return name, rest
		}
		return "", text
	}
	rest = strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
	return text[:len(text)-len(rest)], rest
}

// passed says what an upstream gets as Host and X-Forwarded-Proto. Without a
// line that sets them, proxy_pass sends the upstream's own name as Host, and
// what the client sent as all others.
func (n *nginx) passed(p Protocol, s nginxScope) (host, proto Passed) {
	host, proto = Passed{As: Own}, Passed{As: AsSent}
	fields, hostField, protoField := s.proxy, "Host", "X-Forwarded-Proto"
	switch {
	case p == GRPC:
		fields = s.grpc
	case p == TCP:
		return Passed{As: AsSent}, proto
	case p.carriesRequests():
		fields, hostField, protoField = s.params, "HTTP_HOST", "HTTP_X_FORWARDED_PROTO"
		host.As = AsSent
		if s.noFields {
			host.As, proto.As = Removed, Removed
		}
	}
	for _, field := range []struct {
		name string
		to   *Passed
	}{{hostField, &host}, {protoField, &proto}} {
		if d, ok := fields.find(field.name); ok {
			*field.to = Passed{As: n.passedAs(n.resolve(d.arg(1), s)), Text: printable(d.arg(1)), Place: d.Place}
		}
	}
	return host, proto
}

// passedAs says what a value is made of.
func (n *nginx) passedAs(value string) PassedAs {
	bare := strings.NewReplacer("{", "", "}", "").Replace(value)
	switch bare {
	case "":
		return Removed
	case "$host":
		return WithoutPort
	case "$http_host", "$host:$server_port", "$http_x_forwarded_proto", "$http_x_forwarded_host":
		return AsSent
	case "$proxy_host", "$scheme", "$proxy_host:$proxy_port":
		return Own
	case "$server_name":
		return Fixed
	}
	if source, ok := n.maps[bare]; ok && strings.Contains(strings.ToLower(source), "http_x_forwarded_proto") {
		return AsSent
	}
	if strings.Contains(value, "$") {
		return UnknownlyPassed
	}
	return Fixed
}
