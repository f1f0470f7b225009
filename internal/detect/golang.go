package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	goModule   = regexp.MustCompile(`^module\s+(\S+)`)
	goMain     = regexp.MustCompile(`(?m)^package main\b`)
	goListen   = regexp.MustCompile(`(?:ListenAndServe(?:TLS)?|\.Run|\.Start|\.Listen|net\.Listen)\(\s*(?:"tcp",\s*)?"([^"\s]*:\d{2,5})"|\bAddr:\s*"([^"\s]*:\d{2,5})"`)
	goPort     = regexp.MustCompile(`os\.(?:Getenv|LookupEnv)\("PORT"\)`)
	goDatabase = regexp.MustCompile(`os\.(?:Getenv|LookupEnv)\("([A-Z0-9_]*DATABASE_URL)"\)`)
)

// golang recognises a Go module with a main package.
func golang(t *tree, a *app) bool {
	mod := t.source("go.mod")
	m, line := mod.match(goModule, "//")
	if m == nil {
		return false
	}
	all := t.sources(t.find(func(name string) bool {
		return path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go")
	}))
	i := slices.IndexFunc(all, func(s source) bool { return goMain.MatchString(s.text) })
	if i < 0 {
		return false
	}
	a.found(mod.name, line, "a Go module, %s", m[1])
	binary := path.Base(m[1])
	if dir := path.Dir(all[i].name); dir != "." {
		binary = path.Base(dir)
	}
	a.command = []string{"./" + binary}
	a.assumed(all[i].name, 0, "the app is run by ./%s: build it with go build -o %s ./%s", binary, binary, path.Dir(all[i].name))
	s, listens, at := inAny(all, goListen, "//")
	by, variable, byAt := inAny(all, goPort, "//")
	switch {
	case variable != nil && listens != nil:
		port := listens[1] + listens[2]
		a.url = "http://127.0.0.1:${PORT:-" + port[strings.LastIndexByte(port, ':')+1:] + "}"
		a.found(by.name, byAt, "the app listens on port $PORT, else on %s", port)
	case variable != nil:
		a.url = "http://127.0.0.1:${PORT}"
		a.need("PORT")
		a.found(by.name, byAt, "the app listens on port $PORT")
	case listens != nil:
		a.url = "http://" + loopback(listens[1]+listens[2])
		a.found(s.name, at, "the app listens on %s", listens[1]+listens[2])
	}
	if s, m, at := inAny(all, goDatabase, "//"); m != nil {
		a.connectsByURL(m[1], s.name, at)
	}
	return true
}
