package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/machine/webserver"
	"hale/internal/probe"
)

// usersPort is where users reach a site over TLS.
const usersPort = 443

// certificatePatience is how long a connection to that port may take: where a
// firewall drops what comes, nothing ever answers.
const certificatePatience = time.Second

// wantsName are the answers that the site's own name as Host may turn.
var wantsName = []class{classBadRequest, classForbidden, classNotFound, classEmpty, classUnavailable, classUnexpected, classTLS}

// findNames looks for the site's public name when there is an answer that it
// may turn, and nobody has told it: in the app's code and configuration, if the
// doctor may look at the machine, else in the certificate that users are shown
// at the same address.
func (x *examination) findNames(ctx context.Context) {
	if x.named || x.Domain != "" || !x.current.sign.class.in(wantsName...) || !isAddress(x.current.probe.SentHost()) {
		return
	}
	x.named = true
	if x.Inside {
		x.say("looking for the site's name in its code")
		served := x.site.guesses
		x.site.guesses = nil
		x.surroundings.names(&x.site)
		for _, g := range served { // after those: an app is pickier than a web server
			x.site.add(g.Name, g.From)
		}
	}
	if x.site.best() != "" || x.current.answer.TLS != nil {
		return
	}
	port := x.usersPort()
	x.say("asking port %d for its certificate", port)
	p := x.Probe
	own := *p.Prober
	own.Phases, own.MinTLS = probe.Phases{Connect: certificatePatience}, 0
	p.Prober, p.MaxTLS, p.Timeout = &own, 0, handshakePatience
	p.Protocol, p.Path, p.Address = probe.TLS, "", netip.AddrPortFrom(p.Address.Addr(), port)
	p.VerifyTLS = false
	x.send(ctx, p) // which learns from it
}

func (x *examination) usersPort() uint16 { return cmp.Or(x.UsersPort, usersPort) }

// used are the names that were guessed, and that turned an answer.
func (x *examination) used() []Name {
	var used []Name
	for _, g := range x.site.guesses {
		if slices.ContainsFunc(x.stack, func(s step) bool {
			return s.after.probe.SentHost() == g.Name && s.before.probe.SentHost() != g.Name || s.after.probe.ServerName == g.Name && s.before.probe.ServerName != g.Name
		}) {
			used = append(used, g)
		}
	}
	return used
}

// nameSource is a setting in code or configuration that says which names a site
// has.
type nameSource struct {
	title string
	says  *regexp.Regexp
}

// nameSources are settings of frameworks.
var nameSources = []nameSource{
	{"ALLOWED_HOSTS", re(`\bALLOWED_HOSTS\b`)},               // Django
	{"CSRF_TRUSTED_ORIGINS", re(`\bCSRF_TRUSTED_ORIGINS\b`)}, // the same, where hosts are "*"
	{"SERVER_NAME", re(`\bSERVER_NAME['"]?\]?\s*[=:]`)},      // Flask
	{"trusted_hosts", re(`(?i)\btrusted_hosts\b`)},           // Flask, Symfony
	{"config.hosts", re(`\bconfig\.hosts\b`)},                // Rails
	{"allowed_hosts", re(`\ballowed_hosts\s*=`)},             // Starlette
	{"AllowedHosts", re(`"AllowedHosts"`)},                   // ASP.NET
	{"play.filters.hosts", re(`\bplay\.filters\.hosts\b`)},
	{"url: [host:", re(`\burl:\s*\[\s*host:`)}, // Phoenix
	{"Host of Tomcat's", re(`<Host\s[^>]*\bname=`)},
	{"WP_HOME", re(`\b(WP_HOME|WP_SITEURL)\b`)},
}

// nameVariables are what variables of the environment that hold a site's name or
// its URL are called.
var nameVariables = []string{
	"ALLOWED_HOSTS", "DJANGO_ALLOWED_HOSTS", "SERVER_NAME", "TRUSTED_HOSTS", "APP_URL", "APP_HOST", "APP_DOMAIN", "SITE_URL", "SITE_DOMAIN",
	"DOMAIN", "DOMAIN_NAME", "PUBLIC_URL", "PUBLIC_HOST", "BASE_URL", "VIRTUAL_HOST", "LETSENCRYPT_HOST", "PHX_HOST", "NEXTAUTH_URL",
	"RAILS_HOST", "WP_HOME",
}

// configurations are files of an app that are no code, from its directory.
var configurations = []string{"appsettings.Production.json", "appsettings.json", "config/packages/framework.yaml", "conf/application.conf", "conf/server.xml"}

// names looks for the site's names in the code, configuration and environment
// of the processes that answer.
func (s *surroundings) names(to *site) {
	for _, app := range append(slices.Clone(s.apps), s.process) {
		if app.PID == 0 {
			continue
		}
		for _, dir := range append(appDirs(app), s.scriptDirs()...) {
			namesInCode(app, dir, to)
			for _, file := range configurations {
				if lines, ok := smallFile(filepath.Join(dir, file)); ok {
					namesInLines(app, filepath.Join(dir, file), lines, to)
				}
			}
			namesInDotEnv(dir, to)
		}
		for _, name := range nameVariables {
			if value, ok, err := app.Lookup(name); err == nil && ok {
				guessAll(value, name+" of the process's environment", to)
			}
		}
	}
}

// appDirs are the directories with an app's own code: where it works, and those
// that its command line names.
func appDirs(p machine.Process) []string {
	dirs := []string{p.Dir}
	add := func(dir string) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(p.Dir, dir)
		}
		if dir != "/" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for i, arg := range p.Args {
		flag, value, ok := strings.Cut(arg, "=")
		if !ok && i+1 < len(p.Args) {
			value = p.Args[i+1]
		}
		switch {
		case value != "" && slices.Contains([]string{"--app-dir", "--chdir", "--pythonpath", "-Dcatalina.base"}, flag):
			add(value)
		case filepath.IsAbs(arg) && isSource(arg):
			add(filepath.Dir(arg))
		}
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return dir == "" || dir == "/" })
}

// scriptDirs are those of apps that a web server runs within itself: the
// directory of a WSGI script, and the project's above it.
func (s *surroundings) scriptDirs() []string {
	var dirs []string
	for _, up := range s.server.Upstreams {
		if up.Protocol == webserver.WSGI && filepath.IsAbs(up.Address) {
			dirs = append(dirs, filepath.Dir(filepath.Dir(up.Address)))
		}
	}
	return dirs
}

func namesInCode(app machine.Process, dir string, to *site) {
	eachSource(dir, func(path string, lines []string) bool {
		if !isTest(path[len(dir):]) {
			namesInLines(app, path, lines, to)
		}
		return len(to.guesses) < mostNames
	})
}

// isTest tells code that is not the running app's.
func isTest(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool {
		return part == "test" || part == "tests" || part == "spec" || strings.HasPrefix(part, "test_") || strings.HasPrefix(part, "conftest")
	})
}

// namesInLines looks for names in a file of code. A list may go over several
// lines.
func namesInLines(app machine.Process, path string, lines []string, to *site) {
	const longest = 50
	open, title := 0, ""
	for i, line := range lines {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//") {
			continue
		}
		if open > 0 {
			open--
		} else {
			at := slices.IndexFunc(nameSources, func(s nameSource) bool { return s.says.MatchString(line) })
			if at < 0 {
				continue
			}
			title = nameSources[at].title
		}
		from := title + ", " + place(path, i)
		for _, m := range quoted.FindAllStringSubmatch(line, -1) {
			entry := m[1] + m[2]
			if envName.MatchString(entry) {
				if value, ok, err := app.Lookup(entry); err == nil && ok {
					guessAll(value, entry+" of the process's environment", to)
				}
				continue
			}
			guessAll(entry, from, to)
		}
		switch begins, ends := strings.LastIndexAny(line, "[({"), strings.LastIndexAny(line, "])}"); {
		case begins > ends && open == 0:
			open = longest
		case ends > begins:
			open = 0
		}
	}
}

// namesInDotEnv reads the file that frameworks take their environment from.
func namesInDotEnv(dir string, to *site) {
	path := filepath.Join(dir, ".env")
	lines, ok := smallFile(path)
	if !ok {
		return
	}
	for i, line := range lines {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok && slices.Contains(nameVariables, strings.TrimSpace(name)) {
			guessAll(strings.Trim(strings.TrimSpace(value), `'"`), strings.TrimSpace(name)+", "+place(path, i), to)
		}
	}
}

// smallFile reads a regular file of a size that people write.
func smallFile(path string) ([]string, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > sourceBytes {
		return nil, false
	}
	content, err := os.ReadFile(path)
	return strings.Split(string(content), "\n"), err == nil
}

// guessAll takes the names of a value: a name, several of them, a URL, or a
// pattern that stands for one name alone.
func guessAll(value, from string, to *site) {
	for _, text := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", ;|", r) }) {
		if strings.Contains(text, "://") {
			u, err := url.Parse(text)
			if err != nil {
				continue
			}
			text = u.Hostname()
		}
		to.guess(plainPattern(text), from)
	}
}

// plainPattern makes a name of a regular expression that stands for it: Symfony
// and Laravel have lists of such.
func plainPattern(text string) string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$")
	for _, many := range []string{`(.+\.)?`, `.+\.`, `.*\.`} {
		text = strings.TrimPrefix(text, many)
	}
	return strings.ReplaceAll(text, `\.`, ".")
}

// place names a line of a file; it is the i-th, from 0.
func place(path string, i int) string { return fmt.Sprintf("%s:%d", printable(path, 300), i+1) }
