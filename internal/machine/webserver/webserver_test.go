package webserver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes files, by their names relative to a new directory, and returns
// that.
func write(t testing.TB, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// text writes a configuration as lines, without the directory dir.
func text(c Config, dir string) string {
	var b strings.Builder
	add := func(parts ...string) {
		parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
		fmt.Fprintln(&b, strings.ReplaceAll(strings.Join(parts, " "), dir+"/", ""))
	}
	list := func(name string, all []string) string {
		if len(all) == 0 {
			return ""
		}
		return name + "=" + strings.Join(all, ",")
	}
	flag := func(name string, set bool) string {
		if set {
			return name
		}
		return ""
	}
	value := func(name, v string) string {
		if v == "" {
			return ""
		}
		return name + "=" + v
	}
	for _, l := range c.Listens {
		add("listen", l.Address, flag("tls", l.TLS), flag("http2", l.HTTP2), flag("proxy", l.ProxyProtocol), flag("default", l.Default), list("names", l.ServerNames), "@"+l.String())
	}
	for _, u := range c.Upstreams {
		passed := func(name string, p Passed, usual PassedAs) string {
			if p == (Passed{As: usual}) {
				return ""
			}
			if p.Text == "" {
				return fmt.Sprintf("%s=%s", name, p.As)
			}
			return fmt.Sprintf("%s=%s(%s)@%d", name, p.As, p.Text, p.Place.Line)
		}
		add(string(u.Protocol), u.Address, value("path", u.Path), list("names", u.ServerNames), passed("host", u.Host, AsSent), passed("proto", u.ForwardedProto, AsSent), "@"+u.String())
	}
	for _, r := range c.Rules {
		add(string(r.Kind)+":", r.Text, value("path", r.Path), list("names", r.ServerNames), "@"+r.String())
	}
	for _, name := range c.ErrorLogs {
		add("errors to", name)
	}
	for _, name := range c.AccessLogs {
		add("log to", name)
	}
	for _, err := range c.Unread {
		add("unread:", err.Error())
	}
	return b.String()
}

type reading struct {
	name    string
	files   map[string]string
	main    []string // default: "main"
	options Options
	want    string
}

// check reads the configuration of each, and compares.
func check(t *testing.T, program Program, all []reading) {
	t.Helper()
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, test.files)
			if len(test.main) == 0 {
				test.main = []string{"main"}
			}
			main := make([]string, len(test.main))
			for i, name := range test.main {
				main[i] = filepath.Join(dir, name)
			}
			c, err := Read(program, test.options, main...)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := text(c, dir), strings.TrimLeft(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"large": strings.Repeat("# nothing\n", maxFile/10+1)})
	for _, test := range []struct {
		program Program
		file    string
		want    string
	}{
		{Nginx, dir + "/absent", "no such file: " + dir + "/absent"},
		{Apache, dir, "not a regular file: " + dir},
		{HAProxy, dir + "/large", "larger than 1024 KiB: " + dir + "/large"},
		{"lighttpd", dir, "read the configuration of lighttpd: it is none of nginx, apache, haproxy and caddy"},
	} {
		if _, err := Read(test.program, Options{}, test.file); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.program, err, test.want)
		}
	}
	if _, err := Read(Nginx, Options{}); err == nil || err.Error() != "read the configuration of nginx: it is not known which file that is" {
		t.Errorf("no file: %v", err)
	}
}

// The file system of the server may be below a directory of ours.
func TestRoot(t *testing.T) {
	t.Parallel()
	root := write(t, map[string]string{
		"etc/nginx/nginx.conf":           "http { include sites-enabled/*; }",
		"etc/nginx/sites-enabled/a.conf": "server { server_name a.example.com; }",
	})
	c, err := Read(Nginx, Options{Root: root}, "/etc/nginx/nginx.conf")
	if want := []string{"/etc/nginx/nginx.conf", "/etc/nginx/sites-enabled/a.conf"}; err != nil || !slices.Equal(c.Files, want) {
		t.Errorf("read %q, %v", c.Files, err)
	}
	if want := "listen 0.0.0.0:80 default names=a.example.com @/etc/nginx/sites-enabled/a.conf:1\n"; text(c, root) != want {
		t.Error(text(c, root))
	}
}

// Files that include themselves come to an end.
func TestEndlessIncludes(t *testing.T) {
	t.Parallel()
	for program, content := range map[Program]string{
		Nginx:  "http { server { server_name a.example.com; } } include main; include main;",
		Apache: "Include main\nInclude main\n<VirtualHost *:80>\nServerName a.example.com\n</VirtualHost>\n",
		Caddy:  "(a) {\n\timport a\n\timport a\n}\nimport main\nimport main\na.example.com {\n\timport a\n}\n",
	} {
		dir := write(t, map[string]string{"main": content})
		c, err := Read(program, Options{}, dir+"/main")
		if err != nil || len(c.Unread) == 0 || len(c.Unread) > 50 || len(c.Files) > maxFiles || !slices.Equal(c.ServerNames(), []string{"a.example.com"}) {
			t.Errorf("%s: %v, %d files, %d not, names %q", program, err, len(c.Files), len(c.Unread), c.ServerNames())
		}
	}
}

func TestServerNames(t *testing.T) {
	t.Parallel()
	c := Config{Listens: []Listen{
		{ServerNames: []string{"*.example.com", "_", "localhost", "10.0.0.10", "~^www\\d+", ".example.net", "api.example.com", "db.localdomain"}},
		{Default: true, ServerNames: []string{"www.Example.com.", "api.example.com", "2001:db8::5", "a b.example.com", strings.Repeat("a", 64) + ".example.com"}},
	}}
	if got, want := c.ServerNames(), []string{"www.example.com", "api.example.com"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		upstream Upstream
		want     string
	}{
		{Upstream{Protocol: HTTP, Address: "127.0.0.1:8000"}, "tcp 127.0.0.1:8000"},
		{Upstream{Protocol: HTTP, Address: "[::1]:8000"}, "tcp [::1]:8000"},
		{Upstream{Protocol: UWSGI, Address: "unix:/run/app.sock"}, "unix /run/app.sock"},
		{Upstream{Protocol: HTTP, Address: "app:8000"}, "tcp app:8000"},
		{Upstream{Protocol: HTTP, Address: "$backend:8000"}, ""},
		{Upstream{Protocol: HTTP, Address: "127.0.0.1:$port"}, ""},
		{Upstream{Protocol: HTTP, Address: "127.0.0.1"}, ""},
		{Upstream{Protocol: HTTP, Address: "unix:/run/$name.sock"}, ""},
		{Upstream{Protocol: WSGI, Address: "/srv/app/wsgi.py"}, ""},
		{Upstream{}, ""},
	} {
		network, address, ok := test.upstream.Dial()
		if got := strings.TrimSpace(network + " " + address); ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%s: %s, %v", test.upstream.Address, got, ok)
		}
	}
}

func TestPort(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]uint16{"0.0.0.0:80": 80, "[::]:443": 443, "*:8080": 8080, "unix:/run/a:80": 0, "localhost": 0, "a:http": 0} {
		if got := (Listen{Address: address}).Port(); got != want {
			t.Errorf("%s: %d", address, got)
		}
	}
}

// What a condition compares with may be a secret that only a CDN knows.
func TestConceal(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]string{
		`($http_x_origin_secret != "s3cret")`:                          "a condition on x-origin-secret",
		`($http_x_forwarded_proto != "https")`:                         `($http_x_forwarded_proto != "https")`,
		`($http_user_agent ~* "curl|bot")`:                             `($http_user_agent ~* "curl|bot")`,
		`($cookie_session = x)`:                                        "a condition on session",
		`($arg_token = x)`:                                             "a condition on token",
		`{ req.hdr(X-Secret) -m str s3cret } !{ hdr(host) a.example }`: "a condition on x-secret",
		`!{ ssl_fc } { hdr(X-Forwarded-Proto) https }`:                 `!{ ssl_fc } { hdr(X-Forwarded-Proto) https }`,
		`%{HTTP:X-Token} !=s3cret`:                                     "a condition on x-token",
		`%{HTTP:X-Forwarded-Proto} !https`:                             `%{HTTP:X-Forwarded-Proto} !https`,
		`%{QUERY_STRING} key=s3cret`:                                   "a condition on query-string",
		`"req('X-Token') == 's3cret'"`:                                 "a condition on x-token",
		`header X-Secret s3cret`:                                       "a condition on x-secret",
	} {
		if got := conceal(condition); got != want {
			t.Errorf("%s is told as %s", condition, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, content := range []string{
		"http { upstream a { server b:80; } server { listen 80 default_server; location ~ \\.php$ { proxy_pass http://a$uri; } } }",
		"content_by_lua_block { if x then y = \"}\" end -- }\n [[ } ]] }",
		"<VirtualHost *:80>\nServerName a\nProxyPass / http://b:80/\nRewriteRule ^ https://%{HTTP_HOST}/ [R=301]\n</VirtualHost>\n<IfModule !x>\n</IfModule>",
		"frontend f\n bind :80,:::443 ssl v4v6\n acl a hdr(host) -i b\n use_backend c if a { hdr(host) d }\nbackend c\n server s \"${A-b}\":80 ssl\n http-request set-header Host 'x' if { ssl_fc }",
		"{\n\thttp_port 80\n}\na.example, b {\n\t@x path /y\n\thandle @x {\n\t\treverse_proxy http://{$A:b}:1 {\n\t\t\theader_up Host {host}\n\t\t}\n\t}\n\trespond <<E\n\tx\n\tE 200\n}",
	} {
		for _, program := range []string{"nginx", "apache", "haproxy", "caddy"} {
			f.Add(program, content)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, program, content string) {
		if !slices.Contains([]Program{Nginx, Apache, HAProxy, Caddy}, Program(program)) {
			t.Skip()
		}
		// Whatever it includes is not there.
		main := filepath.Join(dir, "main")
		if err := os.WriteFile(main, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Read(Program(program), Options{Root: dir}, "/main")
		if err != nil {
			t.Skip(err)
		}
		lines := strings.Count(content, "\n") + 1
		held := func(p Place) {
			if p.File != "" && (p.Line < 1 || p.Line > lines) {
				t.Errorf("line %d of %d", p.Line, lines)
			}
		}
		for _, l := range c.Listens {
			held(l.Place)
		}
		for _, u := range c.Upstreams {
			held(u.Place)
			held(u.Host.Place)
			held(u.ForwardedProto.Place)
			u.Dial()
		}
		for _, r := range c.Rules {
			held(r.Place)
			if strings.ContainsAny(r.Text, "\n\x1b") {
				t.Errorf("not printable: %q", r.Text)
			}
		}
		c.ServerNames()
	})
}
