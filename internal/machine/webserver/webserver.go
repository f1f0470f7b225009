// Package webserver reads from the configuration of nginx, Apache, HAProxy and
// Caddy where they send requests, for whom, and which of their own rules answer
// in the application's place.
//
// It reads as much as that takes, and tolerates the rest: no configuration is an
// error for what it says, only for not being readable. What is decided while the
// server runs, by Lua or a regular expression, is not known, and left out or
// said to be Unknown.
package webserver

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Program is a web server whose configuration can be read.
type Program string

// The web servers.
const (
	Nginx   Program = "nginx"
	Apache  Program = "apache"
	HAProxy Program = "haproxy"
	Caddy   Program = "caddy"
)

// Config is what matters of a web server's configuration to who asks why a
// health request fails.
type Config struct {
	Program Program
	// Files are those that were read, the main one first. Unread says which could
	// not be, and why, a line each: what they say is not known.
	Files  []string
	Unread []error

	Listens   []Listen
	Upstreams []Upstream
	Rules     []Rule
	// ErrorLogs and AccessLogs are the files that it logs to.
	ErrorLogs, AccessLogs []string
}

// Place is a line of a file.
type Place struct {
	File string
	Line int // from 1; 0: not known
}

// String is "file:line".
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Listen is an address on which a virtual host is served; several virtual hosts
// may share one.
type Listen struct {
	Place
	// Address is as in "0.0.0.0:80", "[::]:80", "*:80" for both of these,
	// "localhost:80", or "unix:/path".
	Address string
	TLS     bool
	HTTP2   bool // without TLS, older nginx speaks HTTP/2 alone there
	// ProxyProtocol tells that each connection has to begin with its header.
	ProxyProtocol bool
	// Default tells that requests whose Host is no virtual host's come here.
	Default     bool
	ServerNames []string // as written: also wildcards and regular expressions
}

// Port is the port of its address; 0 for a unix socket.
func (l Listen) Port() uint16 {
	if strings.HasPrefix(l.Address, unixPrefix) {
		return 0
	}
	_, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(port, 10, 16) // 0 for what is none
	return uint16(n)
}

const unixPrefix = "unix:"

// Upstream is one server to which requests are sent.
type Upstream struct {
	Place
	Protocol Protocol
	// Address is as in "127.0.0.1:8000", "app:8000" or "unix:/run/app.sock"; the
	// file of the application for WSGI.
	Address     string
	Path        string   // which requests: as written, such as "/", "= /api" or "~ \.php$"; "" for all
	ServerNames []string // for which hosts, as written; none for all
	// Host is what it gets as Host, ForwardedProto what as X-Forwarded-Proto.
	Host, ForwardedProto Passed
}

// Protocol is what is spoken with an upstream.
type Protocol string

// The protocols. WSGI calls an application within the server itself.
const (
	HTTP    Protocol = "http"
	HTTPS   Protocol = "https"
	H2C     Protocol = "h2c"
	GRPC    Protocol = "grpc"
	UWSGI   Protocol = "uwsgi"
	FastCGI Protocol = "fastcgi"
	SCGI    Protocol = "scgi"
	AJP     Protocol = "ajp"
	TCP     Protocol = "tcp"
	WSGI    Protocol = "wsgi"
)

// Dial returns what to connect to, as package net wants it; ok is false where
// that is within the server, or made of variables.
func (u Upstream) Dial() (network, address string, ok bool) {
	if path, unix := strings.CutPrefix(u.Address, unixPrefix); unix {
		return "unix", path, path != "" && !strings.ContainsAny(path, "${}%")
	}
	host, port, err := net.SplitHostPort(u.Address)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || u.Protocol == WSGI || strings.ContainsAny(host, "${}%") {
		return "", "", false
	}
	return "tcp", u.Address, host != ""
}

// Passed is what an upstream gets in a field of the request's header.
type Passed struct {
	As   PassedAs
	Text string // as it is written; "" where nothing is, so that it is the default
	// Place is where that is written; the zero value for the default.
	Place Place
}

// PassedAs says where a field's value comes from.
type PassedAs string

// What an upstream may get.
const (
	AsSent          PassedAs = "as sent"          // the request's own, or none if that has none
	WithoutPort     PassedAs = "without the port" // the request's Host without its port
	Own             PassedAs = "own"              // Host: the upstream's own name; scheme: that of the connection to this server
	Fixed           PassedAs = "fixed"            // always Text
	Removed         PassedAs = "removed"
	UnknownlyPassed PassedAs = "unknown" // depends on more than was read
)

// Rule is a line that answers in the application's place, or lets only some
// requests through.
type Rule struct {
	Place
	Kind RuleKind
	// Text is the line, with the condition before it; values that a condition
	// compares with may be secrets, and are left out unless they are known to be
	// none.
	Text        string
	Path        string   // as in Upstream
	ServerNames []string // as in Upstream
}

// RuleKind is what a Rule does.
type RuleKind string

// The kinds of rules.
const (
	Redirect          RuleKind = "redirect"
	Answer            RuleKind = "answer" // with a fixed status
	Close             RuleKind = "close"  // without an answer
	Refuse            RuleKind = "refuse"
	Allow             RuleKind = "allow" // some, and refuse all others
	Auth              RuleKind = "authentication"
	Limit             RuleKind = "limit" // of rate or of connections
	Filter            RuleKind = "filter"
	ClientCertificate RuleKind = "client certificate"
	ServerName        RuleKind = "server name" // TLS without a known one is refused
)

// ServerNames returns the names of the sites that a browser could use: no
// wildcards, expressions, addresses or names of this machine alone. Those that
// are the default come first.
func (c Config) ServerNames() []string {
	var names []string
	for _, first := range []bool{true, false} {
		for _, l := range c.Listens {
			for _, name := range l.ServerNames {
				name = strings.ToLower(strings.TrimSuffix(name, "."))
				if l.Default == first && public(name) {
					names = append(names, name)
				}
			}
		}
	}
	return compact(names)
}

// public tells whether a name may be one of the Internet's.
func public(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return !strings.HasSuffix(name, ".localhost") && !strings.HasSuffix(name, ".local") && !strings.HasSuffix(name, ".localdomain")
}

// Options say how a running server reads its configuration.
type Options struct {
	// Root is where the server's file system is, such as /proc/PID/root; ""
	// means that it is this process's.
	Root string
	// Dir is what relative names are relative to, where the configuration does
	// not say: Apache's first ServerRoot, nginx's prefix, which is that of its
	// logs alone; "" means the main file's directory.
	Dir string
	// Env is asked for the values of variables that the configuration uses: all
	// of Apache's, those in addresses of HAProxy and Caddy. Nil knows none.
	Env func(name string) string
	// Defines are the parameters of Apache's <IfDefine>, of its option -D.
	Defines []string
}

func (o Options) env(name string) string {
	if o.Env == nil {
		return ""
	}
	return o.Env(name)
}

// Read reads the configuration of a web server from its main file, or files. The
// error is that of the first.
func Read(program Program, o Options, files ...string) (Config, error) {
	if len(files) == 0 {
		return Config{}, fmt.Errorf("read the configuration of %s: it is not known which file that is", program)
	}
	r := &reader{root: o.Root}
	c := Config{Program: program}
	switch program {
	case Nginx:
		readNginx(&c, r, o, files[0])
	case Apache:
		readApache(&c, r, o, files[0])
	case HAProxy:
		readHAProxy(&c, r, o, files)
	case Caddy:
		readCaddy(&c, r, o, files[0])
	default:
		return Config{}, fmt.Errorf("read the configuration of %s: it is none of nginx, apache, haproxy and caddy", program)
	}
	c.Files, c.Unread = r.files, r.unread
	if len(c.Files) == 0 && len(c.Unread) > 0 {
		return c, c.Unread[0]
	}
	c.ErrorLogs, c.AccessLogs = compact(c.ErrorLogs), compact(c.AccessLogs)
	return c, nil
}

// compact removes what comes twice.
func compact(all []string) []string {
	seen := make(map[string]bool, len(all))
	var once []string
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			once = append(once, s)
		}
	}
	return once
}

// firstIsDefault marks the first virtual host of each address that has no
// default one, which is who gets the requests of unknown hosts.
func firstIsDefault(listens []Listen) {
	has := make(map[string]bool)
	for _, l := range listens {
		has[l.Address] = has[l.Address] || l.Default
	}
	for i, l := range listens {
		if !has[l.Address] {
			has[l.Address], listens[i].Default = true, true
		}
	}
}

// most bounds how many of each are told: lines that stand for many, together,
// could be made to stand for any number.
const most = 20_000

func (c *Config) addListen(l Listen) {
	if len(c.Listens) < most {
		c.Listens = append(c.Listens, l)
	}
}

func (c *Config) addUpstream(u Upstream) {
	if len(c.Upstreams) < most {
		c.Upstreams = append(c.Upstreams, u)
	}
}

func (c *Config) addRule(r Rule) {
	if len(c.Rules) < most {
		c.Rules = append(c.Rules, r)
	}
}

// hostPort puts an address together; port is what one without has.
func hostPort(address, port string) string {
	if strings.HasPrefix(address, unixPrefix) {
		return address
	}
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	host := strings.Trim(address, "[]")
	if port == "" || host == "" {
		return address
	}
	return net.JoinHostPort(host, port)
}

// listenAddress is where a server listens that was told "80", "*:80",
// "10.0.0.1", "[::]:80" or "localhost:80"; any is what stands for all addresses.
func listenAddress(text, port, anyHost string) string {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return anyHost + ":" + text
	}
	text = hostPort(text, port)
	if host, port, err := net.SplitHostPort(text); err == nil && (host == "" || host == "*") {
		return anyHost + ":" + port
	}
	return text
}

// schemes are the protocols of URLs, with the ports of those that name none.
var schemes = map[string]struct {
	protocol Protocol
	port     string
}{
	"http": {HTTP, "80"}, "https": {HTTPS, "443"}, "ws": {HTTP, "80"}, "wss": {HTTPS, "443"},
	"h2": {HTTPS, "443"}, "h2c": {H2C, "80"}, "grpc": {GRPC, "80"}, "grpcs": {GRPC, "443"},
	"uwsgi": {UWSGI, "3031"}, "suwsgi": {UWSGI, "3031"}, "fcgi": {FastCGI, "8000"}, "scgi": {SCGI, "4000"}, "ajp": {AJP, "8009"},
}

// schemeOf cuts the scheme off a URL.
func schemeOf(url string) (protocol Protocol, port, rest string, ok bool) {
	scheme, rest, found := strings.Cut(url, "://")
	known, ok := schemes[strings.ToLower(scheme)]
	return known.protocol, known.port, rest, ok && found
}

// carriesRequests tells whether a protocol carries the request's own fields, so
// that Host is the client's unless it is set.
func (p Protocol) carriesRequests() bool {
	return slices.Contains([]Protocol{UWSGI, FastCGI, SCGI, AJP, WSGI}, p)
}

// first returns the first that is set.
func first(all ...string) string { return cmp.Or(all...) }
