package doctor

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestFixesAreWhereTheyBelong(t *testing.T) {
	for _, name := range fixNames(t) {
		id, file := path.Split(strings.TrimPrefix(name, "fixes/"))
		id = strings.TrimSuffix(id, "/")
		if _, ok := findMode(id); !ok && id != "shared" {
			t.Errorf("%s: there is no failure mode %q", name, id)
		}
		if strings.ToLower(path.Ext(file)) != ".md" {
			t.Errorf("%s: fixes are files named WHERE.md", name)
		}
		if where := strings.TrimSuffix(file, ".md"); id != "shared" && named(where) < 0 {
			t.Errorf("%s: %q is not one of the wheres", name, where)
		}
	}
}

func TestEachModeHasAFix(t *testing.T) {
	for _, m := range Modes() {
		if len(fixable(m.ID)) == 0 {
			t.Errorf("no fix: fixes/%s is empty or absent", m.ID)
		}
	}
}

var (
	leftover = regexp.MustCompile(`<no value>|<nil>|%!`)
	wordy    = regexp.MustCompile(`(?i)\b(simply|just|obviously|please note)\b`)
)

// A fix begins with one sentence that says what to do, and every block of code
// tells its language.
func TestFixesHaveTheForm(t *testing.T) {
	for name, data := range map[string]fixData{"nothing known": {}, "all known": example} {
		t.Run(name, func(t *testing.T) {
			for fix := range everyFix(t, data) {
				s := fix.Summary()
				switch {
				case s == "" || s[:1] != strings.ToUpper(s[:1]) || strings.HasPrefix(s, "`"):
					t.Errorf("%s does not begin with a sentence: %.60q", fix, s)
				case !strings.HasSuffix(s, ".") || sentences(s) != 1:
					t.Errorf("%s: its first paragraph is not one sentence: %s", fix, s)
				}
				if found := leftover.FindString(fix.Text); found != "" {
					t.Errorf("%s: %q is in the text", fix, found)
				}
				if found := wordy.FindString(fix.Text); found != "" {
					t.Errorf("%s: leave out %q", fix, found)
				}
				for _, b := range fix.blocks {
					if !slices.Contains(languages, b.language) {
						t.Errorf("%s: a block of code in %q, which is not one of %q", fix, b.language, languages)
					}
					for line := range strings.SplitSeq(b.text, "\n") {
						if len(line) > 110 && !strings.ContainsAny(line, "<") && !strings.Contains(line, "://") && !strings.Contains(line, "arn:aws:") {
							t.Errorf("%s: a line of %d characters: %s", fix, len(line), line)
						}
					}
				}
			}
		})
	}
}

// sentences counts them, roughly: what ends one, before a capital letter.
func sentences(s string) int {
	return 1 + len(regexp.MustCompile(`[a-z0-9)\x60][.!?] +[A-Z]`).FindAllString(s, -1))
}

// What opens a door for everybody, or shuts off a protection, is no fix.
func TestFixesAreSafe(t *testing.T) {
	for fix := range everyFix(t, example) {
		for _, b := range fix.blocks {
			if found := dangerous.FindString(b.text); found != "" {
				t.Errorf("%s tells to paste %q", fix, found)
			}
		}
	}
}

var dangerous = regexp.MustCompile(strings.Join([]string{
	`ALLOWED_HOSTS\s*=\s*\[\s*['"]\*`,
	`(?i)setenforce 0|SELINUX=(disabled|permissive)`,
	`iptables -F|nft flush|ufw disable|systemctl (stop|disable)[^\n]*(firewalld|ufw)`,
	`chmod (-R )?777`,
	`--cidr 0\.0\.0\.0/0`,
	`http-tokens optional`,
	`config\.hosts\.clear|config\.hosts = nil`,
	`SecRuleEngine Off`,
	`"AllowedHosts": "\*"`,
	`(?i)verify(_peer)?\s*[:=]\s*false|NODE_TLS_REJECT_UNAUTHORIZED`,
	`curl [^\n]*\| *(ba)?sh`,
}, "|"))

func TestWhatIsPastedIsQuotedRight(t *testing.T) {
	for text, want := range map[string]string{
		`{{.Path}} {{regex .Domain}}`: `/health example\.com`,
		`{{.BackendURL}}`:             `http://127.0.0.1:8000`,
		`{{.TargetGroup}}`:            example.TargetGroup,
	} {
		if got := render(text, text, example); got != want {
			t.Errorf("%s = %s, want %s", text, got, want)
		}
	}
	for path, want := range map[string]string{
		"/health": "/health/", "/health/": "/health", "/a/b": "/a/b/", "": "</your/health/path>/", "/x;y/": "</your/health/path>",
	} {
		if got := render("path", "{{.SlashPath}}", fixData{Path: path}); got != want {
			t.Errorf("%s with another slash is %s, want %s", path, got, want)
		}
	}
	for data, want := range map[fixData]string{
		{}:                                     "http://<address of the app>",
		{Backend: "unix:/run/app.sock"}:        "unix:///run/app.sock",
		{Backend: "127.0.0.1:80'; rm -rf / #"}: "http://<address of the app>",
	} {
		if got := render("url", "{{.BackendURL}}", data); got != want {
			t.Errorf("%+v: %s, want %s", data, got, want)
		}
	}
	hostile := fixData{
		Path: "/x\"; import os #", Domain: "a b", Location: "https://x/`id`", Program: "sh;reboot",
		Subnet: "0.0.0.0/0; drop", TargetGroup: "arn:$(id)", Address: "1 & 2", Port: "80 81", Status: 1000, Timeout: "5 s",
	}
	for name, value := range hostile.filled() {
		if strings.ContainsAny(value, "\";`&") || strings.Contains(value, "$(") {
			t.Errorf("%s = %s", name, value)
		}
	}
}

func TestAMistakeInATextIsAnError(t *testing.T) {
	for _, text := range []string{`{{.Pth}}`, `{{template "no-such-part" .}}`, `{{.Path`} {
		if got, err := execute("a fix", text, example); err == nil || !strings.Contains(err.Error(), "a fix") {
			t.Errorf("%s became %q, error %v", text, got, err)
		}
	}
}

// Which fixes are told, and in which order, for what was recognised.
func TestFixesFitWhatWasRecognised(t *testing.T) {
	available := func(names string) (all []Where) {
		for _, w := range wheres {
			if slices.Contains(strings.Fields(names), w.Name) {
				all = append(all, w)
			}
		}
		return all
	}
	const all = "django rails express gunicorn node nginx apache linux docker kubernetes aws hale"
	for _, c := range []struct {
		name, id, available string
		recognised          []string
		want                string
	}{
		{"nothing recognised: all, from the app outwards", "slow-handler", all, nil, all},
		{"unknown software", "slow-handler", all, []string{"zope"}, all},
		{"what was recognised, and the platforms", "slow-handler", all, []string{"nginx", "django"}, "django nginx linux docker kubernetes aws hale"},
		{"a recognised platform", "slow-handler", all, []string{"django", "docker"}, "django linux docker aws hale"},
		{"recognised, but it has no fix", "slow-handler", "django nginx aws", []string{"rails"}, "django nginx aws"},
		{"kin", "slow-handler", all, []string{"openresty"}, "nginx linux docker kubernetes aws hale"},
		{"the closest of kin", "slow-handler", all, []string{"next"}, "node linux docker kubernetes aws hale"},
		{"a fix of its own comes before kin's", "slow-handler", all, []string{"express"}, "express linux docker kubernetes aws hale"},
		{"a load balancer is no software", "slow-handler", "django aws hale", []string{"awselb"}, "django aws hale"},
		{"the id's own software stays", "rails-force-ssl", "rails nginx aws", []string{"nginx"}, "rails nginx aws"},
		{"the id's own software alone", "rails-force-ssl", "rails nginx apache aws", nil, "rails aws"},
		{"other software of the same role takes its place", "apache-empty-docroot-403", "nginx apache hale", []string{"nginx"}, "nginx hale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, w := range fitting(c.id, available(c.available), c.recognised) {
				got = append(got, w.Name)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s, recognised %q: %q, want %q", c.id, c.recognised, got, c.want)
			}
		})
	}
}

func TestFixesOfAMode(t *testing.T) {
	fixes := fixesFor("django-allowed-hosts", []string{"django", "nginx"}, example)
	var names []string
	for _, f := range fixes {
		names = append(names, f.Where)
	}
	if got := strings.Join(names, " "); got != "django nginx kubernetes ecs beanstalk hale" {
		t.Errorf("fixes for %s", got)
	}
	if s := fixes[1].Summary(); s != "Let nginx send the health path to Django with a Host that Django allows." {
		t.Errorf("the summary is %q", s)
	}
	if !strings.Contains(fixes[1].Text, "proxy_set_header Host example.com;") {
		t.Errorf("the domain is not filled in:\n%s", fixes[1].Text)
	}
	byProgram := fixesFor("django-allowed-hosts", nil, fixData{Program: "nginx: worker process"})
	if !slices.ContainsFunc(byProgram, func(f Fix) bool { return f.Where == "nginx" }) ||
		slices.ContainsFunc(byProgram, func(f Fix) bool { return f.Where == "apache" }) {
		t.Errorf("the listening program is not taken into account: %v", byProgram)
	}
	if fixes := fixesFor("no-such-mode", nil, example); fixes != nil {
		t.Errorf("a mode that does not exist has fixes: %v", fixes)
	}
}

func TestProcessNames(t *testing.T) {
	for given, want := range map[string]string{
		"gunicorn": "gunicorn", "nginx: master process": "nginx", "php-fpm8.2": "php-fpm", "php-fpm: pool www": "php-fpm",
		"/usr/sbin/apache2": "apache", "python3.11": "python", "puma 5.6.5 (tcp://0.0.0.0:3000)": "puma",
		"next-server (v1": "next-server", "": "",
	} {
		if got := process(given); got != want {
			t.Errorf("%q is %q, want %q", given, got, want)
		}
	}
}

func TestWheresAreNamedOnceAndInOrder(t *testing.T) {
	if !slices.IsSortedFunc(wheres, func(a, b Where) int { return int(a.Role - b.Role) }) {
		t.Error("the wheres are not in the order of their roles")
	}
	for i, w := range wheres {
		if named(w.Name) != i || w.Title == "" {
			t.Errorf("%s is there twice, or has no title", w.Name)
		}
	}
	for name, others := range kin {
		for _, other := range others {
			if named(other) < 0 {
				t.Errorf("kin of %s: no where is called %q", name, other)
			}
		}
	}
}

// aFix is a fix of the files, taken apart.
type aFix struct {
	Fix
	id     string
	blocks []block
}

func (f aFix) String() string { return "fixes/" + f.id + "/" + f.Where + ".md" }

// block is a fenced block of code.
type block struct {
	language, file, text string
	line                 int    // of the rendered text
	of                   string // the fix, for messages
}

// everyFix goes through all fixes, rendered.
func everyFix(t *testing.T, data fixData) func(yield func(aFix) bool) {
	t.Helper()
	return func(yield func(aFix) bool) {
		for _, m := range Modes() {
			for _, w := range fixable(m.ID) {
				name := path.Join("fixes", m.ID, w.Name+".md")
				text, err := fixFiles.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				rendered, err := execute(name, string(text), data)
				if err != nil {
					t.Error(err)
					continue
				}
				blocks, err := codeOf(rendered)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !yield(aFix{Fix{Where: w.Name, Text: strings.TrimSpace(rendered)}, m.ID, blocks}) {
					return
				}
			}
		}
	}
}

// codeOf takes the blocks of code out of a Markdown text.
func codeOf(text string) ([]block, error) {
	var blocks []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		switch fence, ok := strings.CutPrefix(line, "```"); {
		case !ok && open != nil:
			open.text += line + "\n"
		case !ok:
		case open == nil:
			language, file, _ := strings.Cut(fence, " ")
			open = &block{language: language, file: file, line: i + 1}
		case fence != "":
			return blocks, fmt.Errorf("line %d: a block of code begins within another", i+1)
		default:
			blocks = append(blocks, *open)
			open = nil
		}
	}
	if open != nil {
		return blocks, fmt.Errorf("line %d: the block of code has no end", open.line)
	}
	return blocks, nil
}

func fixNames(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(fixFiles, "fixes", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What is wrong with the port itself is of who has it: the web server, or the app
// behind it.
func TestFixesAreOfWhoHasThePort(t *testing.T) {
	for _, c := range []struct {
		name, id, behind string
		software         []string
		program          string
		want             string // where the first fix is for
	}{
		{name: "an app alone", id: "keepalive-shorter-than-lb-idle", software: []string{"go"}, want: "go"},
		{name: "an app behind a web server", id: "keepalive-shorter-than-lb-idle", software: []string{"go", "nginx"}, want: "nginx"},
		{name: "the web server does not listen", id: "bound-to-loopback", software: []string{"django", "nginx"}, program: "nginx", want: "nginx"},
		{name: "the app behind it does not", id: "nothing-listening", software: []string{"nginx"}, program: "nginx", behind: "the answer 502", want: "systemd"},
		{name: "who redirects is the app", id: "django-ssl-redirect", software: []string{"nginx", "django"}, want: "django"},
		{name: "a servlet container without a name", id: "servlet-requires-secure", want: "tomcat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mode, ok := findMode(c.id)
			if !ok {
				t.Fatalf("no mode %s", c.id)
			}
			x := &examination{behind: c.behind}
			x.site.software = c.software
			data := example
			data.Program = c.program
			var own []string
			for _, f := range x.fixes(mode, data) {
				if w := wheres[named(f.Where)]; f.Own || w.Role == RoleMachine {
					own = append(own, f.Where)
				}
			}
			if len(own) == 0 || own[0] != c.want {
				t.Errorf("the fixes of its own are for %v, want %s first", own, c.want)
			}
		})
	}
}
