package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hale/test/servers"
)

// mendedApp is a fix that is pasted into an app, and what requests meet before
// and after that.
type mendedApp struct {
	id, where string
	blocks    []int
	settings  string // of the app, which make it faulty
	env       string
	before    int           // the status that the probe meets, 0: there was no app before
	users     []userRequest // and how they are answered afterwards
}

var mendedApps = []mendedApp{
	{
		id: "django-allowed-hosts", where: "django", blocks: []int{0, 1}, before: 400,
		settings: "ALLOWED_HOSTS = ['example.com']\nSECURE_SSL_REDIRECT = True\n",
		users:    []userRequest{{path: "/", host: "10.0.0.10:8080", status: 400}, {path: "/", host: "example.com", status: 301}},
	},
	{
		id: "django-ssl-redirect", where: "django", before: 301,
		settings: "ALLOWED_HOSTS = ['10.0.0.10']\nSECURE_SSL_REDIRECT = True\n",
		users:    []userRequest{{path: "/", host: "10.0.0.10", status: 301}, {path: "/healthy", host: "10.0.0.10", status: 301}},
	},
	{
		id: "django-allowed-hosts-looks-fixed", where: "django", before: 400, env: "ALLOWED_HOSTS=example.com, 10.0.0.10 ,",
		settings: "import os\nALLOWED_HOSTS = os.environ['ALLOWED_HOSTS'].split(',')\n",
		users:    []userRequest{{path: "/", host: "other.example", status: 400}},
	},
	{
		id: "canonical-host-redirect", where: "django", blocks: []int{0, 1}, before: 301,
		settings: "ALLOWED_HOSTS = ['10.0.0.10']\nPREPEND_WWW = True\n",
		users:    []userRequest{{path: "/", host: "10.0.0.10", status: 301}},
	},
	{
		id: "proto-header-not-trusted", where: "django", blocks: []int{0, 1}, before: 301,
		settings: "ALLOWED_HOSTS = ['10.0.0.10', 'example.com']\nSECURE_SSL_REDIRECT = True\n",
		users:    []userRequest{{path: "/", host: "example.com", proto: "https", status: 200}, {path: "/", host: "example.com", status: 301}},
	},
	{id: "wrong-path-404", where: "django", before: 404, settings: "ALLOWED_HOSTS = ['10.0.0.10']\nWITHOUT_HEALTH = True\n"},
	{
		id: "trailing-slash-redirect", where: "django", settings: "ALLOWED_HOSTS = ['10.0.0.10']\nWITHOUT_HEALTH = True\n", before: 404,
		users: []userRequest{{path: "/health/", host: "10.0.0.10", status: 200}},
	},

	{id: "flask-server-name-404", where: "flask", settings: "app.config['SERVER_NAME'] = 'example.com'", before: 404},
	{
		id: "flask-server-name-404", where: "flask", blocks: []int{1}, settings: "app.config['SERVER_NAME'] = 'example.com'",
		before: 404, users: []userRequest{{path: "/other", host: "10.0.0.10", status: 404}},
	},
	{
		id: "starlette-trusted-host", where: "starlette", users: []userRequest{
			{path: "/", host: "10.0.0.10:8080", status: 400}, {path: "/", host: "example.com", status: 200},
		},
	},
	{id: "nlb-host-is-node-ip", where: "starlette", users: []userRequest{{path: "/", host: "10.0.0.10:8080", status: 400}}},
	{id: "starlette-https-redirect", where: "starlette", users: []userRequest{{path: "/", host: "example.com", status: 307}}},

	{
		id: "express-https-redirect", where: "express", users: []userRequest{
			{path: "/", host: "example.com", status: 301}, {path: "/", host: "example.com", proto: "https", status: 200},
		},
	},
	{id: "app-level-host-guard", where: "express", users: []userRequest{{path: "/", host: "10.0.0.10", status: 403}}},
	{
		id: "host-port-mismatch", where: "express",
		users: []userRequest{{path: "/", host: "example.com:8080", status: 200}, {path: "/", host: "other.example", status: 404}},
	},

	{
		id: "rails-host-authorization", where: "rails", before: 403, settings: `config.hosts << "example.com"`,
		users: []userRequest{{path: "/", host: "10.0.0.10:8080", status: 403}},
	},
	{
		id: "rails-host-authorization", where: "rails", blocks: []int{0, 1}, before: 403,
		settings: "config.hosts << 'example.com'\nconfig.force_ssl = true",
		users:    []userRequest{{path: "/", host: "example.com", status: 301}, {path: "/", host: "example.com", proto: "https", status: 200}},
	},
	{
		id: "rails-host-authorization", where: "rails", blocks: []int{2}, before: 403, settings: `config.hosts << "example.com"`,
		users: []userRequest{{path: "/", host: "192.0.2.1", status: 403}},
	},
	{
		id: "rails-force-ssl", where: "rails", before: 301, settings: `config.force_ssl = true`,
		users: []userRequest{{path: "/", host: "example.com", status: 301}},
	},
}

// The fixes for frameworks do what they say: pasted into an app, they let the
// probe through, and leave what was closed to others closed.
func TestFixesMendApps(t *testing.T) {
	data := fixData{
		Path: "/health", PathNoSlash: "health", Domain: "example.com", Address: "10.0.0.10", Port: "8080",
		Host: "10.0.0.10:8080", Backend: "127.0.0.1:8000", Subnet: "10.0.0.0/16",
	}
	probe := userRequest{path: "/health", host: "10.0.0.10:8080"}
	for _, m := range mendedApps {
		t.Run(m.id+"/"+m.where, func(t *testing.T) {
			if m.before != 0 {
				if got := m.ask(t, nil, probe); got[0] != m.before {
					t.Fatalf("before the fix the probe gets %d, want %d", got[0], m.before)
				}
			}
			pasted := mended{id: m.id, where: m.where, blocks: m.blocks}.fix(t, data)
			probe.status = 200
			requests := append([]userRequest{probe}, m.users...)
			for i, status := range m.ask(t, pasted, requests...) {
				if status != requests[i].status {
					t.Errorf("after the fix %+v gets %d:\n%v", requests[i], status, pasted)
				}
			}
		})
	}
}

// ask runs an app with what is pasted, and returns the status of each answer.
func (m mendedApp) ask(t *testing.T, pasted []block, requests ...userRequest) (statuses []int) {
	t.Helper()
	dir := t.TempDir()
	var program, script string
	switch m.where {
	case "django":
		program, script = servers.NeedDjango(t), m.django(t, dir, pasted)
	case "flask":
		program = servers.NeedPython(t, "flask", "python3-flask")
	case "starlette":
		program = servers.NeedPython(t, "starlette", "python3-fastapi")
	case "express":
		program = servers.Need(t, "node")
		if found, _ := filepath.Glob("/usr/*/nodejs/express"); len(found) == 0 {
			servers.Need(t, "node-express")
		}
	case "rails":
		program = servers.NeedRuby(t, "action_controller/railtie", "ruby-railties")
	}
	if script == "" {
		script = m.script(t, dir, pasted)
	}
	args := []string{script}
	for _, r := range requests {
		args = append(args, r.path, r.host, r.proto)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_PATH=/usr/share/nodejs:/usr/lib/nodejs", "RAILS_ENV=production", m.env)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", m.where, err, said.String())
	}
	for word := range strings.FieldsSeq(string(out)) {
		status, err := strconv.Atoi(word)
		if err != nil {
			t.Fatalf("%s printed %q\n%s", m.where, out, said.String())
		}
		statuses = append(statuses, status)
	}
	if len(statuses) != len(requests) {
		t.Fatalf("%s gave %d answers to %d requests\n%s", m.where, len(statuses), len(requests), said.String())
	}
	return statuses
}

// django makes a project of the faulty settings, and puts each block into the
// file that it names.
func (m mendedApp) django(t *testing.T, dir string, pasted []block) (script string) {
	t.Helper()
	files := map[string]string{
		"mysite/__init__.py": "",
		"mysite/settings.py": `SECRET_KEY = "x"
ROOT_URLCONF = "mysite.urls"
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
WITHOUT_HEALTH = False
` + m.settings,
		"mysite/urls.py": `from django.conf import settings
from django.http import HttpResponse
from django.urls import path


def health(request):
    return HttpResponse("ok\n")


urlpatterns = [path("", health)]
if not settings.WITHOUT_HEALTH:
    urlpatterns += [path("health", health), path("healthy", health)]
`,
	}
	for _, b := range pasted {
		files[b.file] += "\n" + b.text
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script, err := filepath.Abs("testdata/mending/django_project.py")
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// script puts the blocks into the place that an app of testdata has for them.
func (m mendedApp) script(t *testing.T, dir string, pasted []block) string {
	t.Helper()
	name := map[string]string{"flask": "flask_app.py", "starlette": "starlette_app.py", "express": "express_app.js", "rails": "rails_app.rb"}[m.where]
	text, err := os.ReadFile(filepath.Join("testdata/mending", name))
	if err != nil {
		t.Fatal(err)
	}
	paste := ""
	for _, b := range pasted {
		paste += b.text
	}
	if m.where == "express" {
		paste = m.settings + "\n" + paste
	}
	whole := string(text)
	head, tail, _ := strings.Cut(whole, "\n\n") // the comment tells of PASTE, too
	tail = strings.Replace(tail, "SETTINGS", m.settings, 1)
	tail = strings.Replace(tail, "PASTE", paste, 1)
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(head+"\n\n"+tail), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
