package detect

import (
	"path"
	"regexp"
	"strings"
)

var (
	flaskApp   = regexp.MustCompile(`^(\w+)\s*=\s*Flask\(`)
	fastAPIApp = regexp.MustCompile(`^(\w+)\s*(?::\s*\w+\s*)?=\s*(?:FastAPI|Starlette)\(`)
)

func flask(t *tree, a *app) bool {
	return pythonApp(t, a, "Flask", flaskApp, func(module, name string) []string {
		return []string{"gunicorn", "--bind", "127.0.0.1:8000", module + ":" + name}
	})
}

func fastAPI(t *tree, a *app) bool {
	return pythonApp(t, a, "FastAPI or Starlette", fastAPIApp, func(module, name string) []string {
		return []string{"uvicorn", "--host", "127.0.0.1", "--port", "8000", module + ":" + name}
	})
}

// pythonApp recognises the statement that makes an app.
func pythonApp(t *tree, a *app, title string, pattern *regexp.Regexp, command func(module, name string) []string) bool {
	all := t.sources(t.find(func(name string) bool { return path.Ext(name) == ".py" && !strings.Contains(name, "test") }))
	s, m, line := inAny(all, pattern, "#")
	if m == nil {
		return false
	}
	a.found(s.name, line, "%s", title)
	module := strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(s.name, ".py"), "/__init__"), "/", ".")
	a.url = "http://127.0.0.1:8000"
	if !gunicorn(t, a, ".", module+":"+m[1]) {
		a.command = command(module, m[1])
		a.assumed(s.name, line, "%s runs the app on port 8000 of loopback", a.command[0])
	}
	for _, s := range all {
		a.pythonVariables(s)
	}
	return true
}

// pythonVariables finds what must be set, and the database among it.
func (a *app) pythonVariables(s source) {
	var open blocks
	for _, st := range pythonStatements(s.text) {
		mode := open.enter(st)
		for _, ref := range environmentRefs(st.tokens) {
			switch {
			case ref.name == databaseURL && a.database.url == "":
				a.connectsByURL(ref.name, s.name, ref.line)
			case ref.required && mode == counts:
				a.need(ref.name)
				a.found(s.name, ref.line, "the app needs the variable %s", ref.name)
			}
		}
	}
}
