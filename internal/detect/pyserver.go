package detect

import (
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// pythonServer finds out how a WSGI or ASGI app is run: by uWSGI, gunicorn,
// uvicorn or whatever requirements.txt has.
func pythonServer(t *tree, a *app, base, wsgi, asgi string) {
	if uwsgi(t, a) || gunicorn(t, a, base, wsgi) {
		return
	}
	for _, name := range []string{"requirements.txt", "requirements/production.txt", "requirements/prod.txt", "requirements/base.txt", "Pipfile", "pyproject.toml"} {
		src, ok := t.read(path.Join(base, name))
		if !ok {
			continue
		}
		for _, server := range []struct {
			pkg     string
			command []string
			needs   string
		}{
			{"gunicorn", []string{"gunicorn", "--bind", "127.0.0.1:8000", wsgi}, wsgi},
			{"uvicorn", []string{"uvicorn", "--host", "127.0.0.1", "--port", "8000", asgi + ":application"}, asgi},
			{"daphne", []string{"daphne", "-b", "127.0.0.1", "-p", "8000", asgi + ":application"}, asgi},
		} {
			if line := mentions(src, server.pkg); line > 0 && server.needs != "" {
				a.command = inDirectory(server.command, base)
				a.url = "http://127.0.0.1:8000"
				a.assumed(path.Join(base, name), line, "%s runs the app on port 8000 of loopback", server.pkg)
				return
			}
		}
	}
}

// mentions returns the line on which a package is listed, 0 for none.
func mentions(src, pkg string) int {
	n := 0
	for line := range strings.Lines(src) {
		n++
		if word := strings.Trim(strings.TrimSpace(line), `"',`); strings.HasPrefix(word, pkg) && !isWord(append([]byte(word), 0)[len(pkg)]) {
			return n
		}
	}
	return 0
}

// inDirectory has a server look for the app in its directory.
func inDirectory(command []string, base string) []string {
	if base == "." {
		return command
	}
	flag := map[string]string{"gunicorn": "--chdir", "uvicorn": "--app-dir", "daphne": ""}[command[0]]
	if flag == "" {
		return command
	}
	return append([]string{command[0], flag, base}, command[1:]...)
}

// gunicorn reads gunicorn.conf.py ("Settings", bind).
func gunicorn(t *tree, a *app, base, wsgi string) bool {
	name, ok := t.first(path.Join(base, "gunicorn.conf.py"), path.Join(base, "gunicorn_conf.py"), path.Join(base, "gunicorn_config.py"))
	if !ok || wsgi == "" {
		return false
	}
	src, _ := t.read(name)
	m := &module{values: make(map[string]assigned)}
	for _, s := range pythonStatements(src) {
		m.assign(s.tokens, name)
	}
	bind, line := "127.0.0.1:8000", 0 // gunicorn's own default
	if at, ok := m.values["bind"]; ok {
		v := evaluate(at.tokens)
		line = at.line
		switch {
		case v.kind == textValue:
			bind = v.text
		case len(v.list) > 0:
			bind = v.list[0]
		}
		if v.env != "" {
			a.assumed(name, line, "the variable %s is not set: gunicorn listens on its default", v.env)
		}
	}
	a.command = inDirectory([]string{"gunicorn", wsgi}, base)
	if path.Base(name) != "gunicorn.conf.py" { // which alone is read by itself
		a.command = append(a.command[:1:1], append([]string{"--config", name}, a.command[1:]...)...)
	}
	a.url = "http://" + loopback(bind)
	if socket, ok := strings.CutPrefix(bind, "unix:"); ok {
		a.url = "unix://" + t.absolute(base, socket)
	}
	a.found(name, line, "gunicorn listens on %s", bind)
	return true
}

var (
	uwsgiOption   = regexp.MustCompile(`^\s*([a-z][a-z0-9_-]*)\s*=\s*(.*?)\s*$`)
	uwsgiVariable = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)
)

// uwsgi reads uWSGI's ini file ("Configuring uWSGI": %d is the file's
// directory, %n its name, $(X) a variable).
func uwsgi(t *tree, a *app) bool {
	names := t.find(func(name string) bool {
		base := path.Base(name)
		return path.Ext(base) == ".ini" && strings.Contains(base, "uwsgi")
	})
	if len(names) == 0 {
		return false
	}
	name := names[0]
	src, _ := t.read(name)
	type option struct {
		value string
		line  int
	}
	options := make(map[string]option)
	n, inside := 0, false
	for line := range strings.Lines(src) {
		n++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = line == "[uwsgi]"
			continue
		}
		if m := uwsgiOption.FindStringSubmatch(line); m != nil && inside {
			options[strings.ReplaceAll(m[1], "_", "-")] = option{m[2], n}
		}
	}
	for _, kind := range []struct{ option, tcp, unix string }{
		{"socket", "uwsgi://", "uwsgi+unix://"},
		{"uwsgi-socket", "uwsgi://", "uwsgi+unix://"},
		{"http-socket", "http://", "unix://"},
		{"http", "http://", "unix://"},
	} {
		o, ok := options[kind.option]
		if !ok {
			continue
		}
		address := strings.NewReplacer("%d", path.Join(filepath.ToSlash(t.dir), path.Dir(name))+"/", "%n", strings.TrimSuffix(path.Base(name), ".ini"), "%%", "%").Replace(o.value)
		for _, m := range uwsgiVariable.FindAllStringSubmatch(address, -1) {
			a.need(m[1])
		}
		isSocket := !strings.Contains(address, ":") && !isPort(address)
		address = uwsgiVariable.ReplaceAllString(address, "$${$1}")
		if isSocket {
			a.url = kind.unix + t.absolute(".", address)
		} else {
			a.url = kind.tcp + loopback(address)
		}
		a.found(name, o.line, "uWSGI listens on %s (%s)", o.value, kind.option)
		break
	}
	if a.url == "" {
		return false
	}
	a.command = []string{"uwsgi", "--ini", name}
	if v := options["die-on-term"].value; v != "true" && v != "1" {
		a.command = append(a.command, "--die-on-term")
		a.found(name, 0, "uWSGI takes SIGTERM as \"reload\" unless told otherwise: it is run with --die-on-term")
	}
	return true
}

// loopback turns an address to listen on into one to connect to.
func loopback(listen string) string {
	if isPort(listen) {
		listen = ":" + listen
	}
	for _, every := range []string{"0.0.0.0:", "[::]:", "*:", ":"} {
		if port, ok := strings.CutPrefix(listen, every); ok {
			return "127.0.0.1:" + port
		}
	}
	return listen
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536
}

// absolute is a socket's path as it has to stand in a URL; from is the
// directory that a relative one is taken from.
func (t *tree) absolute(from, socket string) string {
	if strings.HasPrefix(socket, "/") || strings.HasPrefix(socket, "$") {
		return socket
	}
	return path.Join(filepath.ToSlash(t.dir), from, socket)
}
