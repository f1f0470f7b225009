package doctor

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"hale/internal/config"
	"hale/test/servers"
)

// language is a language in which fixes have blocks of code, and what holds
// them to it.
type language struct {
	name string
	// program is the real one that checks them all at once: script and files
	// are its arguments, and each line that it prints is a fault.
	program string
	script  []string
	suffix  string
	// check checks one block, where there is no program for all of them.
	check func(t *testing.T, b block) error
	// each checks one block with the program.
	each func(t *testing.T, program string, b block) error
}

var languageTable = []language{
	{name: "python", program: "python3", script: []string{"testdata/syntax.py"}, suffix: ".py"},
	{name: "toml", program: "python3", script: []string{"testdata/syntax.py"}, suffix: ".toml"},
	{name: "ruby", program: "ruby", script: []string{"-W0", "testdata/syntax.rb"}, suffix: ".rb"},
	{name: "php", program: "php", script: []string{"testdata/syntax.php"}, suffix: ".php"},
	{name: "js", program: "node", script: []string{"--no-warnings", "--experimental-vm-modules", "testdata/syntax.js"}, suffix: ".js"},
	{name: "elixir", program: "elixir", script: []string{"testdata/syntax.exs"}, suffix: ".exs"},
	{name: "sh", program: "bash", script: []string{"-c", `for f; do bash -n "$f" 2>&1; done`, "bash"}, suffix: ".sh"},
	{name: "nginx", program: "nginx", each: checkNginx},
	{name: "apache", program: "apache2", each: checkApache},
	{name: "haproxy", program: "haproxy", each: checkHAProxy},
	{name: "caddyfile", program: "caddy", each: checkCaddy},
	{name: "modsecurity", program: "apache2", each: checkApache},
	{name: "lighttpd", program: "lighttpd", each: checkLighttpd},
	{name: "vcl", program: "varnishd", each: checkVarnish},
	{name: "yaml", check: checkYAML},
	{name: "json", check: checkJSON},
	{name: "xml", check: checkXML},
	{name: "go", check: checkGo},
	{name: "ini", check: checkINI},
	{name: "properties", check: checkProperties},
	{name: "dockerfile", check: checkDockerfile},
	{name: "java", check: balanced},
	{name: "csharp", check: balanced},
	{name: "powershell", check: balanced},
	{name: "logrotate", check: balanced},
	{name: "scala", check: balanced},
	{name: "hocon", check: balanced},
	{name: "routes", check: checkRoutes},
}

// languages are the languages' names.
var languages = func() (names []string) {
	for _, l := range languageTable {
		names = append(names, l.name)
	}
	return names
}()

// What the fixes give to paste is read without a complaint by the program that
// it is for.
func TestCodeOfFixesIsValid(t *testing.T) {
	blocks := map[string][]block{}
	seen := map[string]bool{} // what several fixes have in common is checked once
	for fix := range everyFix(t, example) {
		for _, b := range fix.blocks {
			if seen[b.language+b.file+b.text] {
				continue
			}
			seen[b.language+b.file+b.text] = true
			b.of = fmt.Sprintf("%s, line %d", fix, b.line)
			blocks[b.language] = append(blocks[b.language], b)
		}
	}
	for _, l := range languageTable {
		t.Run(l.name, func(t *testing.T) {
			program := ""
			if l.program != "" {
				program = servers.Need(t, l.program)
			}
			if l.script != nil {
				checkTogether(t, program, l, blocks[l.name])
				return
			}
			for _, b := range blocks[l.name] {
				var err error
				if l.each != nil {
					err = l.each(t, program, b)
				} else {
					err = l.check(t, b)
				}
				if err != nil {
					t.Errorf("%s: %v\n%s", b.of, err, b.text)
				}
			}
		})
	}
}

// The calls of the AWS command line have arguments that it knows.
func TestAWSCallsAreValid(t *testing.T) {
	l := language{program: servers.NeedPython(t, "awscli", "awscli"), script: []string{"testdata/aws_calls.py"}, suffix: ".sh"}
	var blocks []block
	for fix := range everyFix(t, example) {
		for _, b := range fix.blocks {
			if b.language == "sh" && strings.Contains(b.text, "aws ") {
				b.of = fmt.Sprintf("%s, line %d", fix, b.line)
				blocks = append(blocks, b)
			}
		}
	}
	checkTogether(t, l.program, l, blocks)
}

// checkTogether runs the program once over all blocks.
func checkTogether(t *testing.T, program string, l language, blocks []block) {
	dir := t.TempDir()
	args := slices.Clone(l.script)
	of := map[string]block{}
	for i, b := range blocks {
		name := filepath.Join(dir, fmt.Sprint(i)+l.suffix)
		if err := os.WriteFile(name, []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		of[name] = b
		args = append(args, name)
	}
	if len(blocks) == 0 {
		return
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		name, fault, _ := strings.Cut(line, ":")
		if b, ok := of[name]; ok {
			t.Errorf("%s:%s%s", b.of, fault, b.text)
		} else {
			t.Errorf("%s: %s", l.program, line)
		}
	}
	if err != nil {
		t.Errorf("%s: %v", l.program, err)
	}
}

// The checks themselves find faults: one of each language.
func TestCodeChecksFindFaults(t *testing.T) {
	faulty := map[string]string{
		"python": "def f(:\n", "toml": "a = \n", "ruby": "def f\n", "php": "return [;\n", "js": "const a = ;\n",
		"elixir": "def f do\n", "sh": "if true\n", "nginx": "location = /x { retrun 200; }\n",
		"apache": "<Location /x>\nRequier all granted\n</Location>\n", "haproxy": "frontend f\n  bnid :80\n",
		"caddyfile": ":80 {\n  respnod 200\n}\n", "yaml": "a: [1\n", "json": "{\"a\": 1,}\n", "xml": "<a><b></a>\n",
		"go": "func f( {\n", "ini": "[Service\n", "properties": "no value\n", "dockerfile": "RUNN x\n",
		"java": "f(a;\n", "csharp": "f(\"a);\n", "powershell": "f (\n", "logrotate": "x {\n", "scala": "{\n", "hocon": "a = [1\n", "vcl": "sub a { retrun (pass); }\n",
		"lighttpd": "server.prot = (\n", "modsecurity": "SecRule REQUEST_URI \"@streq /x\"\n", "routes": "GTE /x a.B\n",
	}
	for _, l := range languageTable {
		t.Run(l.name, func(t *testing.T) {
			b := block{language: l.name, text: faulty[l.name]}
			switch {
			case b.text == "":
				t.Fatal("no faulty code to try the check on")
			case l.check != nil:
				if l.check(t, b) == nil {
					t.Errorf("no complaint about %q", b.text)
				}
			case l.each != nil:
				if l.each(t, servers.Need(t, l.program), b) == nil {
					t.Errorf("no complaint about %q", b.text)
				}
			default:
				name := filepath.Join(t.TempDir(), "faulty"+l.suffix)
				if err := os.WriteFile(name, []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command(servers.Need(t, l.program), append(slices.Clone(l.script), name)...).CombinedOutput()
				if !bytes.HasPrefix(out, []byte(name+":")) || l.name != "sh" && err != nil {
					t.Errorf("about %q: %v, %s", b.text, err, out)
				}
			}
		})
	}
	b := block{language: "yaml", file: "hale.yaml", text: "lisetn: \":80\"\n"}
	if err := checkYAML(t, b); err == nil {
		t.Error("no complaint about an unknown key in hale.yaml")
	}
}

func checkYAML(_ *testing.T, b block) error {
	if filepath.Base(b.file) == "hale.yaml" {
		_, err := config.Parse("hale.yaml", []byte(b.text), config.Options{
			Env: func(string) (string, bool) { return "postgres://db.internal/app", true },
		})
		return err
	}
	d := yaml.NewDecoder(strings.NewReader(b.text))
	for {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch v.(type) {
		case map[string]any, []any:
		default:
			return fmt.Errorf("neither a mapping nor a list: %v", v)
		}
	}
}

func checkJSON(_ *testing.T, b block) error {
	var v any
	return json.Unmarshal([]byte(b.text), &v)
}

func checkXML(_ *testing.T, b block) error {
	d := xml.NewDecoder(strings.NewReader("<root>" + regexp.MustCompile(`<\?xml.*\?>`).ReplaceAllString(b.text, "") + "</root>"))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// checkGo takes a file, declarations, or statements.
func checkGo(_ *testing.T, b block) error {
	var first error
	for _, form := range []string{"%s", "package p\n%s", "package p\nfunc _() {\n%s\n}"} {
		_, err := parser.ParseFile(token.NewFileSet(), b.file, fmt.Sprintf(form, b.text), parser.SkipObjectResolution)
		if err == nil {
			return nil
		}
		first = err
	}
	return first
}

var (
	section  = regexp.MustCompile(`^\[[\w .-]+\]$`)
	setting  = regexp.MustCompile(`^[\w.\[\]-]+\s*=`)
	javaProp = regexp.MustCompile(`^[\w.\[\]-]+\s*[=:]\s*\S`)
)

// checkINI is for systemd's, uWSGI's and PHP's files.
func checkINI(_ *testing.T, b block) error {
	sections := 0
	for line := range strings.Lines(b.text) {
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == ';' || line[0] == '#':
		case section.MatchString(line):
			sections++
		case !setting.MatchString(line):
			return fmt.Errorf("neither a section nor a setting: %s", line)
		case sections == 0:
			return fmt.Errorf("no section for %s", line)
		}
	}
	return nil
}

func checkProperties(_ *testing.T, b block) error {
	for line := range strings.Lines(b.text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !javaProp.MatchString(line) {
			return fmt.Errorf("not a property: %s", line)
		}
	}
	return nil
}

var instruction = regexp.MustCompile(`^(FROM|RUN|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|USER|WORKDIR|COPY|ARG|STOPSIGNAL) \S`)

func checkDockerfile(_ *testing.T, b block) error {
	text := strings.ReplaceAll(b.text, "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !instruction.MatchString(line) {
			return fmt.Errorf("not an instruction: %s", line)
		}
		if _, words, ok := strings.Cut(line, " ["); ok {
			if err := json.Unmarshal([]byte("["+words), new([]string)); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		}
	}
	return nil
}

var route = regexp.MustCompile(`^(GET|HEAD|POST|->) +/\S* +[\w.]+(\(.*\))?$`)

// checkRoutes is for Play's conf/routes.
func checkRoutes(_ *testing.T, b block) error {
	for line := range strings.Lines(b.text) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != '+' && !route.MatchString(line) {
			return fmt.Errorf("not a route: %s", line)
		}
	}
	return nil
}

// balanced is for languages whose compilers are too big to ask: brackets and
// quotes are closed.
func balanced(_ *testing.T, b block) error {
	var open []rune
	closing := map[rune]rune{')': '(', ']': '[', '}': '{'}
	for line := range strings.Lines(b.text) {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "//") || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, "--") {
			continue
		}
		quoted, escaped := false, false
		for _, c := range line {
			switch {
			case escaped:
				escaped = false
			case quoted && c == '\\':
				escaped = true
			case c == '"':
				quoted = !quoted
			case quoted:
			case strings.ContainsRune("([{", c):
				open = append(open, c)
			case closing[c] != 0:
				if len(open) == 0 || open[len(open)-1] != closing[c] {
					return fmt.Errorf("%c without %c: %s", c, closing[c], line)
				}
				open = open[:len(open)-1]
			}
		}
		if quoted {
			return fmt.Errorf("a quote is not closed: %s", line)
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%q is not closed", string(open))
	}
	return nil
}

// certificate is the file that stands for each certificate and key of a fix.
func certificate(t *testing.T) string {
	c := servers.NewCertificate(t, "example.com")
	return write(t, "both.pem", string(c.CertPEM)+string(c.KeyPEM))
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// complaint runs a program that checks a file, and returns what it says.
func complaint(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out[max(0, len(out)-1000):]))
	}
	return nil
}

var (
	nginxMain   = regexp.MustCompile(`^(worker_\w+|events|stream|user|pid|load_module)\b`)
	nginxHTTP   = regexp.MustCompile(`^(server|upstream|map|geo|limit_req_zone|limit_conn_zone|log_format|proxy_cache_path)\b`)
	nginxListen = regexp.MustCompile(`listen (\[[\w:]*\]:|[\d.]+:)?\d+`)
	nginxCert   = regexp.MustCompile(`(ssl_certificate(?:_key)?|ssl_client_certificate) [^;]+;`)
)

// checkNginx puts a block's directives where they belong. Ports become sockets
// of the file system.
func checkNginx(t *testing.T, program string, b block) error {
	dir := t.TempDir()
	parts, listens := nginxParts(b.text, func(listen string) string {
		return "listen unix:" + dir + "/" + strings.Map(fileName, listen) + ".sock"
	}, func() string { return certificate(t) })
	if listens == 0 && parts.server != "" {
		parts.server = "listen unix:" + dir + "/any.sock;\n" + parts.server
	}
	if !strings.Contains(parts.outside, "events") {
		parts.outside += "events {}\n"
	}
	parts.http = strings.ReplaceAll(parts.http, "/var/cache/", dir+"/")
	for _, params := range []string{"fastcgi_params", "fastcgi.conf", "uwsgi_params", "proxy_params", "mime.types"} {
		if err := os.WriteFile(filepath.Join(dir, params), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "nginx.conf")
	whole := fmt.Sprintf("pid %s/pid;\nerror_log stderr;\n%shttp {\naccess_log off;\n%s%s}\n", dir, parts.outside, parts.http, parts.block())
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	return complaint(program, "-t", "-q", "-p", dir, "-c", file)
}

// nginxPart is a text by where its directives belong: outside, within http, or
// within a server.
type nginxPart struct{ outside, http, server string }

// block is the server.
func (p nginxPart) block() string {
	if p.server == "" {
		return ""
	}
	return "server {\n" + p.server + "}\n"
}

// nginxParts takes a text apart, with other listens and certificates, and tells
// how many listens there are.
func nginxParts(text string, listen func(string) string, certificate func() string) (parts nginxPart, listens int) {
	text = nginxListen.ReplaceAllStringFunc(text, func(old string) string {
		listens++
		return listen(old)
	})
	text = strings.ReplaceAll(text, " ipv6only=on", "")
	if nginxCert.MatchString(text) {
		text = nginxCert.ReplaceAllString(text, "$1 "+certificate()+";")
	}
	for _, d := range directives(text) {
		switch word := strings.TrimSpace(d); {
		case nginxMain.MatchString(word):
			parts.outside += d
		case nginxHTTP.MatchString(word):
			parts.http += d
		default:
			parts.server += d
		}
	}
	return parts, listens
}

func fileName(r rune) rune {
	if strings.ContainsRune(" :[].", r) {
		return '_'
	}
	return r
}

// directives cuts a text into directives that end outside of all braces.
func directives(text string) []string {
	var all []string
	depth := 0
	one := ""
	for line := range strings.Lines(text) {
		one += line
		code := strings.TrimSpace(line)
		if strings.HasPrefix(code, "#") {
			continue
		}
		depth += strings.Count(code, "{") - strings.Count(code, "}")
		if depth == 0 && (strings.HasSuffix(code, ";") || strings.HasSuffix(code, "}")) || depth == 0 && strings.Contains(code, "; #") {
			all = append(all, uncomment(one))
			one = ""
		}
	}
	if strings.TrimSpace(one) != "" {
		all = append(all, uncomment(one))
	}
	return all
}

func uncomment(directive string) string {
	for strings.HasPrefix(strings.TrimSpace(directive), "#") {
		_, directive, _ = strings.Cut(strings.TrimSpace(directive), "\n")
	}
	if !strings.HasSuffix(directive, "\n") {
		directive += "\n"
	}
	return directive
}

var apacheModules = strings.Fields(`mpm_event authz_core authz_host authz_user authn_core authn_file auth_basic
	alias rewrite headers proxy proxy_http proxy_fcgi proxy_uwsgi setenvif ssl http2 remoteip dir mime deflate filter
	env reqtimeout autoindex`)

func checkApache(t *testing.T, program string, b block) error {
	dir := t.TempDir()
	whole := apacheBegin(t, b.text)
	if b.language == "modsecurity" {
		whole += further(t, "unique_id", "apache2-bin") + further(t, "security2", "libapache2-mod-security2")
	}
	text := regexp.MustCompile(`(?m)^(\s*)DocumentRoot .*`).ReplaceAllString(b.text, "${1}DocumentRoot "+dir)
	return complaint(program, "-t", "-f", write(t, "apache.conf", whole+text))
}

// apacheBegin is the begin of a configuration in which a text may stand.
func apacheBegin(t *testing.T, text string) string {
	modules, err := filepath.Glob("/usr/lib/apache2/modules/mod_*.so")
	if err != nil || len(modules) == 0 {
		t.Fatal("no modules of Apache in /usr/lib/apache2/modules")
	}
	dir := t.TempDir()
	begin := "ServerRoot " + dir + "\nServerName localhost\nErrorLog /dev/stderr\nPidFile " + dir + "/pid\nMutex posixsem\nTypesConfig /dev/null\n"
	for _, m := range apacheModules {
		begin += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
	}
	if strings.Contains(text, "WSGI") {
		begin += further(t, "wsgi", "libapache2-mod-wsgi-py3")
	}
	return begin
}

// further loads a module of Apache's that comes with a package of its own.
func further(t *testing.T, module, pkg string) string {
	t.Helper()
	file := "/usr/lib/apache2/modules/mod_" + module + ".so"
	if _, err := os.Stat(file); err != nil {
		servers.Need(t, pkg) // skips, or fails
	}
	return "LoadModule " + module + "_module " + file + "\n"
}

var (
	haproxySection = regexp.MustCompile(`(?m)^(global|defaults|frontend|backend|listen|userlist)\b`)
	haproxyCert    = regexp.MustCompile(` (crt|ca-file) \S+`)
	haproxyUses    = regexp.MustCompile(`(?:use_backend|default_backend) ([\w-]+)`)
)

// checkHAProxy takes whole sections, or lines of a frontend, of a backend or of
// defaults.
func checkHAProxy(t *testing.T, program string, b block) error {
	text := b.text
	if haproxyCert.MatchString(text) {
		text = haproxyCert.ReplaceAllString(text, " $1 "+certificate(t))
	}
	begin := "global\n  log stderr local0\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
	forms := []string{"frontend test\n  bind 127.0.0.1:8099\n", "backend test\n", "defaults\n"}
	if haproxySection.MatchString(text) {
		forms = []string{""}
	}
	var faults []error
	for _, form := range forms {
		whole := begin + form + text + "\n"
		for _, used := range haproxyUses.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(whole, "\nbackend "+used[1]+"\n") {
				whole += "backend " + used[1] + "\n  server app 127.0.0.1:8098\n"
			}
		}
		if !strings.Contains(whole, "frontend ") && !strings.Contains(whole, "listen ") {
			whole += "frontend other\n  bind 127.0.0.1:8097\n"
		}
		err := complaint(program, "-c", "-f", write(t, "haproxy.cfg", whole))
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func checkLighttpd(t *testing.T, program string, b block) error {
	dir := t.TempDir()
	begin := `server.document-root = "` + dir + `"
server.bind = "` + dir + `/socket"
server.modules = ("mod_redirect", "mod_auth", "mod_proxy")
`
	return complaint(program, "-tt", "-f", write(t, "lighttpd.conf", begin+b.text))
}

func checkVarnish(t *testing.T, program string, b block) error {
	return complaint(program, "-j", "none", "-n", t.TempDir(), "-C", "-f", write(t, "default.vcl", "vcl 4.1;\n"+b.text))
}

func checkCaddy(t *testing.T, program string, b block) error {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	return complaint(program, "validate", "--adapter", "caddyfile", "--config", write(t, "Caddyfile", b.text))
}
