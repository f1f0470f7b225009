package gateway

import (
	"slices"
	"strings"
)

// healthPaths is the paths of the health answer.
type healthPaths struct {
	base      string   // without a slash at its end
	endpoints []string // names of further paths below it
}

func newHealthPaths(s *Settings, m *mistakes) healthPaths {
	path := s.HealthPath
	if path == "" {
		path = DefaultHealthPath
	}
	switch {
	case path[0] != '/':
		m.add("HealthPath", -1, path, "is not a path; begin it with a slash")
	case strings.HasPrefix(path, "//") || !plainTarget(path) || strings.Contains(path, "?"):
		m.add("HealthPath", -1, path, "is not a plain path; write one like "+DefaultHealthPath+", without a query, spaces or doubled slashes")
	}
	for i, name := range s.HealthEndpoints {
		if !isEndpoint(name) {
			m.add("HealthEndpoints", i, name, "is no name of an endpoint; write a lower-case word such as deep, for "+strings.TrimSuffix(path, "/")+"/deep")
		}
	}
	return healthPaths{strings.TrimSuffix(path, "/"), slices.Clone(s.HealthEndpoints)}
}

func isEndpoint(name string) bool {
	return name != "" && name != "checks" && name[0] >= 'a' && name[0] <= 'z' &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
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
	if name, ok := strings.CutPrefix(rest, "/checks/"); ok {
		return name != "" && strings.IndexByte(name, '/') < 0
	}
	return rest[0] == '/' && slices.Contains(h.endpoints, strings.TrimSuffix(rest[1:], "/"))
}
