package detect

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// app is what is known of an app, as far as hale.yaml has words for it.
type app struct {
	framework string
	findings  []Finding

	url        string // where it answers, as in app.url
	command    []string
	migrate    []string // the command that migrates its database
	envFile    string
	envSample  string // a file that shows which variables there are
	require    []string
	hosts      []string
	redirect   bool
	hsts       time.Duration
	nosniff    bool
	frames     string
	database   database
	page       page
	management string   // base URL of a health page on a port of its own
	writable   []string // directories that must not be full
}

// database is the app's main database.
type database struct {
	url   string // as in the sql check; "" = none found
	local bool   // a file on this machine, not shared with other instances
}

// page is what a user asks for first, or a health page of the app.
type page struct {
	path string
	why  string // a comment
}

// found records a fact, assumed a guess.
func (a *app) found(file string, line int, format string, args ...any) {
	a.findings = append(a.findings, Finding{Text: fmt.Sprintf(format, args...), File: file, Line: line})
}

func (a *app) assumed(file string, line int, format string, args ...any) {
	a.findings = append(a.findings, Finding{Text: fmt.Sprintf(format, args...), File: file, Line: line, Assumed: true})
}

// need adds variables that must be set.
func (a *app) need(names ...string) {
	for _, n := range names {
		if !slices.Contains(a.require, n) {
			a.require = append(a.require, n)
		}
	}
}

// assume fills in what nothing told.
func (a *app) assume() {
	if a.framework == "" {
		a.assumed("", 0, "no framework is recognised: hale.yaml holds what fits any app")
	}
	if a.url == "" {
		a.url = "http://127.0.0.1:8000"
		a.assumed("", 0, "the app answers HTTP at %s: no file tells its port", strings.TrimPrefix(a.url, "http://"))
	}
	if a.page.path == "" {
		a.page = page{"/", ""}
	}
	if len(a.command) == 0 {
		a.assumed("", 0, "something else starts the app: no file tells a command for it")
	}
}
