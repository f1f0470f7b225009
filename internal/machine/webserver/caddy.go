package webserver

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"hale/internal/explain"
)

// readCaddy reads what caddyserver.com/docs/caddyfile describes. The same as JSON
// is not read.
func readCaddy(c *Config, r *reader, o Options, file string) {
	d := &caddy{
		reader: r, config: c, options: o, snippets: make(map[string][]caddyLine),
		httpPort: "80", httpsPort: "443", auto: true,
	}
	r.include(file, func(name, content string) {
		if strings.HasPrefix(strings.TrimSpace(content), "{\"") || filepath.Ext(name) == ".json" {
			r.complain(fmt.Errorf("not read, since it is JSON; a Caddyfile would be: %s", explain.Line(name)))
			return
		}
		d.file(d.parse(name, content))
	})
	firstIsDefault(c.Listens)
}

// caddy is one reading of its configuration.
type caddy struct {
	*reader
	config              *Config
	options             Options
	snippets            map[string][]caddyLine
	httpPort, httpsPort string
	auto                bool // HTTPS for all names, and redirects to it
	trusts              bool // some proxies' X-Forwarded-*
	lines               int
}

// caddyLine is a directive, or the addresses of a site, with its block.
type caddyLine struct {
	Place
	words []string
	block []caddyLine
	open  bool // it has a block
}

func (l caddyLine) name() string { return l.word(0) }

func (l caddyLine) word(i int) string {
	if i < len(l.words) {
		return l.words[i]
	}
	return ""
}

// parse reads a file.
func (c *caddy) parse(file, content string) []caddyLine {
	lex := &caddyLexer{text: content, line: 1}
	var all []caddyLine
	for {
		lines, closed := c.block(lex, file, 0)
		all = append(all, lines...)
		if !closed {
			return all
		}
	}
}

func (c *caddy) block(lex *caddyLexer, file string, depth int) (all []caddyLine, closed bool) {
	var l caddyLine
	end := func() {
		if c.lines++; len(l.words) > 0 && c.lines < maxDirectives {
			all = append(all, l)
		}
		l = caddyLine{}
	}
	for {
		word, kind := lex.next()
		switch kind {
		case wordToken:
			if len(l.words) == 0 {
				l.Place = Place{file, lex.start}
			}
			l.words = append(l.words, word)
		case openToken:
			if depth >= maxNesting {
				return all, false
			}
			if len(l.words) == 0 {
				l.Place, l.words = Place{file, lex.start}, []string{""} // the global options
			}
			l.block, _ = c.block(lex, file, depth+1)
			l.open = true
			end()
		case semicolonToken: // the end of a line
			// Addresses of sites go on behind a comma.
			if depth > 0 || len(l.words) == 0 || !strings.HasSuffix(l.words[len(l.words)-1], ",") {
				end()
			}
		case closeToken:
			end()
			return all, true
		case endOfFile:
			end()
			return all, false
		}
	}
}

// imported returns lines with what their "import" lines stand for.
func (c *caddy) imported(lines []caddyLine) []caddyLine {
	var all []caddyLine
	for _, l := range lines {
		if c.lines++; c.lines > maxDirectives {
			return all
		}
		if l.name() != "import" {
			all = append(all, l)
			continue
		}
		if snippet, ok := c.snippets[l.word(1)]; ok {
			if c.depth < maxDepth {
				c.depth++
				all = append(all, c.imported(snippet)...)
				c.depth--
			}
			continue
		}
		if l.word(1) != "" {
			c.include(absolute(l.word(1), filepath.Dir(l.File)), func(name, content string) {
				all = append(all, c.imported(c.parse(name, content))...)
			})
		}
	}
	return all
}

// file reads the level of a file: global options, snippets and sites; a file may
// also be one site without braces.
func (c *caddy) file(lines []caddyLine) {
	for i, l := range lines {
		if name, ok := strings.CutPrefix(l.name(), "("); ok && l.open {
			c.snippets[strings.TrimSuffix(name, ")")] = l.block
		}
		if i == 0 && l.open && l.name() == "" {
			c.global(l.block)
		}
	}
	lines = c.imported(lines)
	if len(lines) > 0 && !lines[0].open && lines[0].name() != "import" {
		c.site(caddyLine{Place: lines[0].Place, words: lines[0].words, block: lines[1:]})
		return
	}
	for _, l := range lines {
		if l.open && l.name() != "" && !strings.HasPrefix(l.name(), "(") && !strings.HasPrefix(l.name(), "&(") {
			c.site(l)
		}
	}
}

func (c *caddy) global(lines []caddyLine) {
	for _, l := range c.imported(lines) {
		switch l.name() {
		case "http_port":
			c.httpPort = first(l.word(1), c.httpPort)
		case "https_port":
			c.httpsPort = first(l.word(1), c.httpsPort)
		case "auto_https":
			c.auto = l.word(1) != "off" && l.word(1) != "disable_redirects"
		case "servers":
			c.trusts = c.trusts || slices.ContainsFunc(l.block, func(o caddyLine) bool { return o.name() == "trusted_proxies" })
		case "log":
			c.config.ErrorLogs = append(c.config.ErrorLogs, caddyLogs(l)...)
		}
	}
}

// site reads the addresses of a site, and what it does.
func (c *caddy) site(l caddyLine) {
	block := c.imported(l.block)
	hosts := []string{""}
	for _, b := range block {
		if b.name() == "bind" && len(b.words) > 1 {
			hosts = b.words[1:]
		}
	}
	var names []string
	for _, word := range l.words {
		for address := range strings.SplitSeq(c.expand(word), ",") {
			if address == "" {
				continue
			}
			name, port, tls := c.address(address)
			if name != "" {
				names = append(names, name)
			}
			for _, host := range hosts {
				listen := Listen{Place: l.Place, Address: listenAddress(host+":"+port, "", "*"), TLS: tls}
				if strings.HasPrefix(host, unixPrefix) || strings.HasPrefix(host, "unix/") {
					listen.Address = caddyUnix(host)
				}
				if name != "" {
					listen.ServerNames = []string{name}
				}
				c.config.addListen(listen)
			}
			if tls && c.auto && name != "" && port == c.httpsPort {
				c.config.addRule(Rule{
					Place: l.Place, Kind: Redirect, Text: printable(address + ": automatic HTTPS redirects http://" + name), ServerNames: []string{name},
				})
			}
		}
	}
	c.walk(block, caddyScope{names: names})
}

// expand puts the values of {$NAME} in their places, which is done for addresses
// alone: others may be secrets.
func (c *caddy) expand(word string) string { return expandCaddy(word, c.options.env) }

// address reads the address of a site: its name without a port, the port, and
// whether it is served by TLS.
func (c *caddy) address(address string) (name, port string, tls bool) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "", address
	}
	rest, _, _ = strings.Cut(rest, "/")
	name = rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		name, port = rest[:i], rest[i+1:]
	}
	name = strings.Trim(name, "[]")
	tls = scheme == "https" || scheme == "" && port != c.httpPort && (name != "" || port == c.httpsPort)
	switch {
	case port != "":
	case tls:
		port = c.httpsPort
	default:
		port = c.httpPort
	}
	return name, port, tls
}

type caddyScope struct {
	names    []string
	path     string
	matchers map[string]string // what @names stand for
}

func (c *caddy) walk(lines []caddyLine, s caddyScope) {
	matchers := make(map[string]string)
	maps.Copy(matchers, s.matchers)
	s.matchers = matchers
	for _, l := range lines {
		if strings.HasPrefix(l.name(), "@") {
			parts := l.words[1:]
			for _, b := range l.block {
				parts = append(slices.Clip(parts), strings.Join(b.words, " "))
			}
			matchers[l.name()] = conceal(strings.Join(parts, " "))
		}
	}
	for _, l := range lines {
		c.visit(l, s)
	}
}

// caddyRules are the directives that answer in the application's place.
var caddyRules = map[string]RuleKind{
	"redir": Redirect, "respond": Answer, "abort": Close, "error": Refuse,
	"basicauth": Auth, "basic_auth": Auth, "forward_auth": Auth, "rate_limit": Limit,
}

func (c *caddy) visit(l caddyLine, s caddyScope) {
	args := l.words[1:]
	if matcher := l.word(1); matcher == "*" || strings.HasPrefix(matcher, "/") || strings.HasPrefix(matcher, "@") {
		args = args[1:]
		if text, ok := s.matchers[matcher]; ok {
			matcher = text
		}
		if matcher != "*" {
			s.path = matcher
		}
	}
	switch l.name() {
	case "handle", "handle_path", "route", "handle_errors":
		c.walk(c.imported(l.block), s)
	case "reverse_proxy":
		c.proxy(l, args, HTTP, s)
	case "php_fastcgi":
		c.proxy(l, args, FastCGI, s)
	case "log":
		c.config.AccessLogs = append(c.config.AccessLogs, caddyLogs(l)...)
	default:
		if kind, ok := caddyRules[l.name()]; ok {
			if kind == Auth {
				args = nil
			}
			c.config.addRule(Rule{Place: l.Place, Kind: kind, Text: joined(append([]string{l.name()}, args...)...), Path: s.path, ServerNames: s.names})
		}
	}
}

// caddyLogs returns the files of a "log" directive.
func caddyLogs(l caddyLine) (files []string) {
	for _, b := range l.block {
		if b.name() == "output" && b.word(1) == "file" && logFile(b.word(2)) {
			files = append(files, b.word(2))
		}
	}
	return files
}

// proxy reads a reverse_proxy, or a php_fastcgi. Caddy passes Host as it was
// sent, and sets X-Forwarded-Proto, unless the client is a proxy that it trusts
// (caddyserver.com/docs/caddyfile/directives/reverse_proxy#defaults).
func (c *caddy) proxy(l caddyLine, to []string, p Protocol, s caddyScope) {
	host, proto := Passed{As: AsSent}, Passed{As: Own}
	if c.trusts {
		proto.As = AsSent
	}
	for _, b := range c.imported(l.block) {
		switch b.name() {
		case "to":
			to = append(slices.Clip(to), b.words[1:]...)
		case "transport":
			switch {
			case b.word(1) == "fastcgi":
				p = FastCGI
			case slices.ContainsFunc(b.block, func(t caddyLine) bool { return strings.HasPrefix(t.name(), "tls") }):
				p = HTTPS
			case slices.ContainsFunc(b.block, func(t caddyLine) bool { return t.name() == "versions" && t.word(1) == "h2c" }):
				p = H2C
			}
		case "trusted_proxies":
			proto.As = AsSent
		case "header_up":
			name, removes := strings.CutPrefix(b.word(1), "-")
			passed := Passed{As: caddyPassed(b.word(2)), Text: joined(b.words[1:]...), Place: b.Place}
			if removes {
				passed.As = Removed
			} else if len(b.words) > 3 {
				passed.As = UnknownlyPassed // a replacement
			}
			switch strings.ToLower(strings.TrimPrefix(name, "+")) {
			case "host":
				host = passed
			case "x-forwarded-proto":
				proto = passed
			}
		}
	}
	for _, address := range to {
		address = c.expand(address)
		u := Upstream{Place: l.Place, Protocol: p, Path: s.path, ServerNames: s.names, Host: host, ForwardedProto: proto}
		port := "80"
		if protocol, defaultPort, rest, ok := schemeOf(address); ok {
			address, port = rest, defaultPort
			if p == HTTP {
				u.Protocol = protocol
			}
		}
		switch {
		case strings.HasPrefix(address, "unix/") || strings.HasPrefix(address, "unix+h2c/"):
			u.Address = caddyUnix(address)
		case strings.HasPrefix(address, "/"): // fastcgi's old way
			u.Address = unixPrefix + address
		case strings.HasPrefix(address, ":"):
			u.Address = "localhost" + address
		default:
			u.Address = hostPort(address, port)
		}
		c.config.addUpstream(u)
	}
}

// caddyUnix writes unix//run/app.sock as unix:/run/app.sock.
func caddyUnix(address string) string {
	_, path, _ := strings.Cut(address, "/")
	path, _, _ = strings.Cut(path, "|") // its mode
	return unixPrefix + path
}

func caddyPassed(value string) PassedAs {
	switch value {
	case "{upstream_hostport}", "{http.reverse_proxy.upstream.hostport}", "{http.reverse_proxy.upstream.host}", "{upstream_host}", "{scheme}", "{http.request.scheme}":
		return Own
	case "{host}", "{http.request.host}":
		return WithoutPort
	case "{hostport}", "{http.request.hostport}", "{header.X-Forwarded-Proto}", "{http.request.header.X-Forwarded-Proto}", "{header.Host}":
		return AsSent
	}
	if strings.Contains(value, "{") {
		return UnknownlyPassed
	}
	return Fixed
}
