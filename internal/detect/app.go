package detect

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"hale/checks/sql"
	"hale/internal/config"
)

// app is what is known of an app, as far as hale.yaml has words for it.
type app struct {
	framework string
	findings  []Finding

	url        string // where it answers, as in app.url
	command    []string
	migrate    []string // the command that migrates its database
	migrations migrations
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
	management string // base URL of a health page on a port of its own
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

// found records a fact.
func (a *app) found(file string, line int, format string, args ...any) {
	a.findings = append(a.findings, Finding{Text: printable(fmt.Sprintf(format, args...)), File: file, Line: line})
}

// assumed records a guess.
func (a *app) assumed(file string, line int, format string, args ...any) {
	a.findings = append(a.findings, Finding{Text: printable(fmt.Sprintf(format, args...)), File: file, Line: line, Assumed: true})
}

// printable takes out what would break a line or move a terminal's cursor:
// parts of files stand in findings.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, s)
}

// need adds variables that must be set.
func (a *app) need(names ...string) {
	for _, n := range names {
		if !slices.Contains(a.require, n) {
			a.require = append(a.require, n)
		}
	}
}

// settle takes back what Hale would not take, so that the hale.yaml that is
// written is one that loads, and fills in what nothing told.
func (a *app) settle() {
	if a.framework == "" {
		a.assumed("", 0, "no framework is recognised: hale.yaml holds what fits any app")
	}
	if a.url != "" && !isValid(a.url, new(config.AppURL).UnmarshalText) {
		a.assumed("", 0, "what the files say of the app's address is none that Hale could ask")
		a.url = ""
	}
	if a.url == "" {
		a.url = "http://127.0.0.1:8000"
		a.assumed("", 0, "the app answers HTTP at %s: no file tells its port", strings.TrimPrefix(a.url, "http://"))
	}
	var hosts []string
	for _, host := range a.hosts {
		if !slices.Contains(hosts, host) && new(config.HostPattern).UnmarshalText([]byte(host)) == nil {
			hosts = append(hosts, host)
		}
	}
	a.hosts = hosts
	if a.database.url != "" && !isValid(a.database.url, func(url []byte) error { return (&sql.Check{URL: string(url)}).Validate() }) {
		a.assumed("", 0, "the database's URL is in the variable %s: what the files say makes none", databaseURL)
		a.database = database{url: "${" + databaseURL + "}"}
		a.need(databaseURL)
	}
	if !strings.HasPrefix(a.page.path, "/") || !isValid(a.page.path, pathOnly) {
		a.page.path = "/"
	}
	if len(a.command) == 0 {
		a.assumed("", 0, "something else starts the app: no file tells a command for it")
	}
}

// isValid says whether Hale takes a value. A variable in it may be the port, the
// path or the whole.
func isValid(text string, check func([]byte) error) bool {
	for _, value := range []string{"1", "/1", "postgres://h/d"} {
		if check([]byte(variableInText.ReplaceAllString(text, value))) == nil {
			return true
		}
	}
	return false
}

// pathOnly refuses what is more than a path of a URL.
func pathOnly(path []byte) error {
	u, err := url.Parse(string(path))
	if err == nil && (u.Host != "" || u.RawQuery != "" || u.Fragment != "") {
		return errors.New("more than a path")
	}
	return err
}
