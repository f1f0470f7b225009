package webserver

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readHAProxy reads what docs.haproxy.org (Configuration Manual, sections 2, 4
// and 5) describes.
func readHAProxy(c *Config, r *reader, o Options, files []string) {
	h := &haproxy{reader: r, config: c, options: o}
	for _, file := range files {
		if r.dir(file) { // whose files are read in the order of their names
			file = filepath.Join(file, "*.cfg")
		}
		r.include(file, h.parse)
	}
	h.finish()
}

// haproxy is one reading of its configuration.
type haproxy struct {
	*reader
	config   *Config
	options  Options
	sections []*haproxySection
	defaults *haproxySection // the last one
}

// haproxySection is one of defaults, frontend, backend and listen.
type haproxySection struct {
	Place
	kind, name string
	tcp        bool
	aclNames   map[string][]string // names of hosts that an ACL asks for
	binds      []Listen
	uses       []haproxyUse
	servers    []haproxyServer
	fields     []haproxyLine // http-request set-header, and its like
	tls        bool          // of default-server
}

// haproxyUse is a backend that gets some of the requests.
type haproxyUse struct {
	backend string
	names   []string
	path    string
}

type haproxyServer struct {
	Place
	address  string
	tls, h2c bool
}

type haproxyLine struct {
	Place
	words []string
}

func (l haproxyLine) word(i int) string {
	if i < len(l.words) {
		return l.words[i]
	}
	return ""
}

// haproxySections are the names of sections that hold nothing of what is looked
// for.
var haproxySections = []string{
	"global", "peers", "resolvers", "userlist", "mailers", "program", "http-errors", "ring", "cache", "log-forward",
	"fcgi-app", "crt-store", "traces", "acme", "log-profile",
}

func (h *haproxy) parse(file, content string) {
	var current *haproxySection
	number := 0
	for text := range strings.Lines(content) {
		number++
		if number > maxDirectives {
			return
		}
		l := haproxyLine{Place{file, number}, haproxyWords(text, h.options.env)}
		if len(l.words) == 0 {
			continue
		}
		switch name := l.words[0]; {
		case name == "defaults" || name == "frontend" || name == "backend" || name == "listen":
			current = &haproxySection{Place: l.Place, kind: name, name: l.word(1), aclNames: make(map[string][]string)}
			if h.defaults != nil && name != "defaults" {
				current.tcp, current.tls = h.defaults.tcp, h.defaults.tls
			}
			if name == "defaults" {
				h.defaults = current
			} else {
				h.sections = append(h.sections, current)
			}
			if name == "listen" && len(l.words) > 2 { // old: listen name address
				h.bind(current, haproxyLine{l.Place, l.words[1:]})
			}
		case slices.Contains(haproxySections, name):
			current = nil
		case current != nil:
			h.line(current, l)
		}
	}
}

// line reads one line of a section.
func (h *haproxy) line(s *haproxySection, l haproxyLine) {
	switch l.words[0] {
	case "mode":
		s.tcp = l.word(1) == "tcp"
	case "bind":
		h.bind(s, l)
	case "acl":
		if names := hostsOf(l.words[min(2, len(l.words)):]); len(names) > 0 {
			s.aclNames[l.word(1)] = append(s.aclNames[l.word(1)], names...)
		}
	case "default_backend":
		s.uses = append(s.uses, haproxyUse{backend: l.word(1)})
	case "use_backend":
		if condition := l.words[min(len(l.words), 2):]; l.word(1) != "" {
			s.uses = append(s.uses, haproxyUse{l.word(1), s.namesIn(condition), strings.Join(condition, " ")})
		}
	case "default-server":
		s.tls = slices.Contains(l.words, "ssl")
	case "server":
		if len(l.words) > 2 && !slices.Contains(l.words[3:], "disabled") {
			h.server(s, l)
		}
	case "monitor-uri":
		h.rule(s, Answer, l)
	case "redirect":
		h.rule(s, Redirect, l)
	case "http-request", "tcp-request", "reqadd", "reqidel", "reqirep":
		h.request(s, l)
	}
}

// hostsOf returns the hosts that an ACL's words ask for: "hdr(host) -i a b".
func hostsOf(words []string) []string {
	if len(words) == 0 || !hostFetch.MatchString(words[0]) {
		return nil
	}
	var names []string
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") && w != "str" && w != "beg" && w != "end" && w != "dom" && w != "reg" {
			names = append(names, w)
		}
	}
	return names
}

var hostFetch = regexp.MustCompile(`(?i)^(?:req\.)?(?:f?hdr(?:_\w+)?\(host(?:,[^)]*)?\)|ssl_fc_sni|req\.ssl_sni|req_ssl_sni|base_dom)`)

// namesIn returns the hosts that a condition asks for, by the names of ACLs or
// within braces.
func (s *haproxySection) namesIn(condition []string) []string {
	var names []string
	for i := 0; i < len(condition) && len(names) < most; i++ {
		w := condition[i]
		if w != "{" {
			names = append(names, s.aclNames[w]...)
			continue
		}
		end := slices.Index(condition[i:], "}")
		if end < 0 {
			end = len(condition) - i
		}
		names = append(names, hostsOf(condition[i+1:i+end])...)
		i += end
	}
	return names
}

// bind reads the addresses that a section listens on.
func (h *haproxy) bind(s *haproxySection, l haproxyLine) {
	parameters := l.words[min(len(l.words), 2):]
	for address := range strings.SplitSeq(l.word(1), ",") {
		address = haproxyAddress(address)
		if address == "" {
			continue
		}
		listen := Listen{
			Place: l.Place, TLS: slices.Contains(parameters, "ssl"), ProxyProtocol: slices.Contains(parameters, "accept-proxy"),
			HTTP2: slices.Contains(parameters, "proto") && slices.Contains(parameters, "h2"),
		}
		switch host, port, ok := cutPort(address); {
		case strings.HasPrefix(address, unixPrefix) || !ok:
			listen.Address = address
		case host == "::" && slices.Contains(parameters, "v4v6"):
			listen.Address = "*:" + port
		case host == "" || host == "*":
			listen.Address = "0.0.0.0:" + port
		default:
			listen.Address = hostPort(host, port)
		}
		s.binds = append(s.binds, listen)
	}
	if slices.Contains(parameters, "strict-sni") {
		h.rule(s, ServerName, l)
	}
	if i := slices.Index(parameters, "verify"); i >= 0 && i+1 < len(parameters) && parameters[i+1] == "required" {
		h.rule(s, ClientCertificate, l)
	}
}

// cutPort cuts the port off "host:port" as HAProxy does, at the last colon.
func cutPort(address string) (host, port string, ok bool) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return "", "", false
	}
	return strings.Trim(address[:i], "[]"), address[i+1:], true
}

// haproxyAddress takes the family off an address, and writes a unix socket as
// unix:/path.
func haproxyAddress(address string) string {
	for _, family := range []string{"ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@", "uxst@"} {
		address = strings.TrimPrefix(address, family)
	}
	switch {
	case strings.HasPrefix(address, "unix@"):
		return unixPrefix + strings.TrimPrefix(address, "unix@")
	case strings.HasPrefix(address, "/"):
		return unixPrefix + address
	case strings.HasPrefix(address, "fd@"), strings.HasPrefix(address, "abns@"), strings.HasPrefix(address, "sockpair@"):
		return ""
	}
	return address
}

func (h *haproxy) server(s *haproxySection, l haproxyLine) {
	parameters := l.words[3:]
	server := haproxyServer{Place: l.Place, address: haproxyAddress(l.words[2])}
	server.tls = (s.tls || slices.Contains(parameters, "ssl")) && !slices.Contains(parameters, "no-ssl")
	if i := slices.Index(parameters, "proto"); i >= 0 && i+1 < len(parameters) {
		server.h2c = parameters[i+1] == "h2"
	}
	if host, port, ok := cutPort(server.address); ok && !strings.HasPrefix(server.address, unixPrefix) {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			server.address = hostPort(host, port)
		}
	}
	if server.address != "" {
		s.servers = append(s.servers, server)
	}
}

// request reads what is done to requests.
func (h *haproxy) request(s *haproxySection, l haproxyLine) {
	if l.words[0] != "http-request" && l.words[0] != "tcp-request" {
		s.fields = append(s.fields, l)
		return
	}
	action := l.word(1)
	if l.words[0] == "tcp-request" {
		action = l.word(2) // behind connection, session or content
	}
	switch action {
	case "set-header", "add-header", "del-header", "replace-header":
		s.fields = append(s.fields, l)
	case "redirect":
		h.rule(s, Redirect, l)
	case "deny", "tarpit", "reject", "silent-drop":
		if slices.ContainsFunc(l.words, func(w string) bool { return strings.HasPrefix(w, "sc_") || strings.Contains(w, "_rate(") || w == "429" }) {
			h.rule(s, Limit, l)
		} else {
			h.rule(s, Refuse, l)
		}
	case "auth":
		h.rule(s, Auth, l)
	case "return":
		h.rule(s, Answer, l)
	}
}

func (h *haproxy) rule(s *haproxySection, kind RuleKind, l haproxyLine) {
	words, condition := l.words, []string(nil)
	if i := slices.IndexFunc(words, func(w string) bool { return w == "if" || w == "unless" }); i >= 0 {
		words, condition = words[:i], words[i:]
	}
	text := joined(words...)
	if len(condition) > 0 {
		text += " " + condition[0] + " " + conceal(strings.Join(condition[1:], " "))
	}
	h.config.addRule(Rule{Place: l.Place, Kind: kind, Text: printable(text), ServerNames: s.namesIn(condition)})
}

// finish puts frontends and their backends together.
func (h *haproxy) finish() {
	used := make(map[string]bool)
	backends := make(map[string]*haproxySection)
	for _, s := range h.sections {
		if s.kind == "backend" {
			backends[s.name] = s
		}
	}
	for _, front := range h.sections {
		if front.kind == "backend" {
			continue
		}
		var names []string
		for _, acl := range slices.Sorted(maps.Keys(front.aclNames)) {
			names = append(names, front.aclNames[acl]...)
		}
		for _, use := range front.uses {
			names = append(names, use.names...)
		}
		for _, l := range front.binds {
			l.ServerNames, l.Default = compact(names), true
			h.config.addListen(l)
		}
		if front.kind == "listen" {
			h.upstreams(front, front, haproxyUse{})
		}
		for _, use := range front.uses {
			if back, ok := backends[use.backend]; ok {
				used[back.name] = true
				h.upstreams(front, back, use)
			}
		}
	}
	for _, back := range h.sections { // whose name is made while it runs
		if back.kind == "backend" && !used[back.name] {
			h.upstreams(back, back, haproxyUse{})
		}
	}
}

// upstreams lists the servers of a backend that a frontend uses.
func (h *haproxy) upstreams(front, back *haproxySection, use haproxyUse) {
	fields := slices.Clone(front.fields)
	if back != front {
		fields = append(fields, back.fields...)
	}
	for _, server := range back.servers {
		u := Upstream{Place: server.Place, Address: server.address, Protocol: HTTP, Path: conceal(use.path), ServerNames: use.names}
		switch {
		case back.tcp:
			u.Protocol = TCP
		case server.tls:
			u.Protocol = HTTPS
		case server.h2c:
			u.Protocol = H2C
		}
		u.Host, u.ForwardedProto = haproxyField(fields, "Host"), haproxyField(fields, "X-Forwarded-Proto")
		h.config.addUpstream(u)
	}
}

// haproxyField says what becomes of a field, which is passed as it was sent
// unless a line changes it.
func haproxyField(fields []haproxyLine, name string) Passed {
	p := Passed{As: AsSent}
	var onTLS, onPlain bool // which conditions were met
	for _, l := range fields {
		words := l.words[1:]
		if strings.HasPrefix(l.words[0], "req") { // reqadd X-Forwarded-Proto:\ https
			field, value, _ := strings.Cut(l.word(1), ":")
			words = append([]string{"set-header", field, strings.TrimSpace(value)}, l.words[min(2, len(l.words)):]...)
		}
		if len(words) < 2 || !strings.EqualFold(words[1], name) {
			continue
		}
		condition := ""
		if i := slices.IndexFunc(words, func(w string) bool { return w == "if" || w == "unless" }); i >= 0 {
			condition = strings.Join(words[i:], " ")
			words = words[:i]
		}
		value := strings.Join(words[min(2, len(words)):], " ")
		next := Passed{As: Fixed, Text: printable(value), Place: l.Place}
		switch {
		case words[0] == "del-header":
			next.As, next.Text = Removed, "del-header"
		case words[0] == "replace-header":
			next.As = UnknownlyPassed
		case strings.Contains(value, "ssl_fc"):
			next.As = Own
		case strings.Contains(value, "hdr(host)") || strings.Contains(strings.ToLower(value), "hdr(x-forwarded-proto)"):
			next.As = AsSent
		case strings.Contains(value, "%[") || strings.Contains(value, "$"):
			next.As = UnknownlyPassed
		}
		if condition != "" {
			plain := strings.Contains(condition, "!{ ssl_fc }") || strings.Contains(condition, "! { ssl_fc }") || strings.Contains(condition, "unless { ssl_fc }")
			onPlain = onPlain || plain
			onTLS = onTLS || !plain && strings.Contains(condition, "ssl_fc")
			next.As, next.Text = UnknownlyPassed, printable(value)+" "+conceal(condition)
			if onTLS && onPlain {
				next.As = Own
			}
		}
		p = next
	}
	return p
}
