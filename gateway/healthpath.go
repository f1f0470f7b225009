package gateway

import "strings"

// healthPaths is the paths of the health answer.
type healthPaths struct{ base string } // without a slash at its end

func newHealthPaths(path string, m *mistakes) healthPaths {
	if path == "" {
		path = DefaultHealthPath
	}
	switch {
	case path[0] != '/':
		m.add("HealthPath", -1, path, "is not a path; begin it with a slash")
	case strings.HasPrefix(path, "//") || !plainTarget(path) || strings.Contains(path, "?"):
		m.add("HealthPath", -1, path, "is not a plain path; write one like "+DefaultHealthPath+", without a query, spaces or doubled slashes")
	}
	return healthPaths{strings.TrimSuffix(path, "/")}
}

// own tells whether path is one of the health answer's. Only exact paths are:
// a prefix would exempt pages of the app from the rules.
func (h healthPaths) own(path string) bool {
	rest, ok := strings.CutPrefix(path, h.base)
	if !ok {
		return false
	}
	switch rest {
	case "":
		return path != ""
	case "/", "/live", "/live/", "/ready", "/ready/", "/startup", "/startup/":
		return true
	}
	name, ok := strings.CutPrefix(rest, "/checks/")
	return ok && name != "" && strings.IndexByte(name, '/') < 0
}
