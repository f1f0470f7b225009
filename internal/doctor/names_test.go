package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hale/internal/machine"
)

// What a name that somebody tells is worth.
func TestGuess(t *testing.T) {
	t.Parallel()
	for told, want := range map[string][]string{
		"example.com":              {"example.com"},
		"WWW.Example.com.":         {"www.example.com"},
		" example.com":             {"example.com"},
		".example.com":             {"example.com"},
		"*.example.com":            {"example.com", "www.example.com"},
		"example.com:8000":         {"example.com:8000"},
		"shop_1.example.com":       {"shop_1.example.com"},
		"xn--mnchen-3ya.de":        {"xn--mnchen-3ya.de"},
		"*":                        nil,
		"":                         nil,
		"localhost":                nil,
		"testserver":               nil,
		"10.0.0.10":                nil,
		"[::1]":                    nil,
		"10.0.0.0/24":              nil,
		"*.*.example.com":          nil,
		"münchen.de":               nil,
		"example.com\r\nX-Evil: 1": nil,
		"example.com/health":       nil,
		randomHost:                 nil,
	} {
		var s site
		s.guess(told, "")
		if got := known(&s); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", told, got, want)
		}
	}
}

func known(s *site) []string {
	var all []string
	for _, g := range s.guesses {
		all = append(all, g.Name)
	}
	return all
}

// Where code says which names a site has.
func TestNamesInCode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, code string
		want       []string
		from       string
	}{
		"Django":                   {"mysite/settings.py", "import os\nALLOWED_HOSTS = ['.example.com', '10.0.0.10', 'localhost']\n", []string{"example.com"}, "ALLOWED_HOSTS, %s:2"},
		"Django, one a line":       {"settings.py", "ALLOWED_HOSTS = [\n    # 'old.example.com',\n    'a.example.com',\n    'b.example.com',\n]\nSTATIC_HOST = 'static.example.com'\n", []string{"a.example.com", "b.example.com"}, "ALLOWED_HOSTS, %s:3"},
		"Django, any":              {"settings.py", "ALLOWED_HOSTS = ['*']\nCSRF_TRUSTED_ORIGINS = ['https://example.com']\n", []string{"example.com"}, "CSRF_TRUSTED_ORIGINS, %s:2"},
		"Django, as an addition":   {"settings.py", "ALLOWED_HOSTS += ('example.com',)\n", []string{"example.com"}, ""},
		"Django, with a default":   {"settings.py", "ALLOWED_HOSTS = env.list('NOT_SET_ANYWHERE', default=['example.com'])\n", []string{"example.com"}, ""},
		"Flask":                    {"app.py", "app.config['SERVER_NAME'] = 'example.com:8000'\n", []string{"example.com:8000"}, "SERVER_NAME, %s:1"},
		"Flask, with others":       {"app.py", "app.config.update(SERVER_NAME=\"example.com\", DEBUG=False)\n", []string{"example.com"}, ""},
		"Flask, that only reads":   {"app.py", "name = environ['SERVER_NAME']\nother = 'example.com'\n", nil, ""},
		"Rails":                    {"config/environments/production.rb", "Rails.application.configure do\n  config.hosts << \"example.com\"\nend\n", []string{"example.com"}, "config.hosts, %s:2"},
		"Rails, several":           {"config/application.rb", "config.hosts = [\n  \"example.com\",\n  /.*\\.example\\.org/,\n]\n", []string{"example.com"}, ""},
		"Starlette":                {"main.py", "app.add_middleware(\n    TrustedHostMiddleware, allowed_hosts=[\"*.example.com\"],\n)\n", []string{"example.com", "www.example.com"}, "allowed_hosts, %s:2"},
		"Symfony":                  {"config/packages/framework.yaml", "framework:\n    trusted_hosts: ['^(.+\\.)?example\\.com$']\n", []string{"example.com"}, ""},
		"ASP.NET":                  {"appsettings.json", "{\n  \"AllowedHosts\": \"example.com;10.0.0.1\"\n}\n", []string{"example.com"}, ""},
		"Play":                     {"conf/application.conf", "play.filters.hosts {\n  allowed = [\".example.com\"]\n}\n", []string{"example.com"}, ""},
		"Phoenix":                  {"config/runtime.exs", "config :shop, ShopWeb.Endpoint,\n  url: [host: \"example.com\", port: 443]\n", []string{"example.com"}, ""},
		"WordPress":                {"wp-config.php", "<?php\ndefine('WP_HOME', 'https://example.com');\n", []string{"example.com"}, ""},
		"Tomcat":                   {"conf/server.xml", "<Engine name=\"Catalina\" defaultHost=\"localhost\">\n<Host name=\"example.com\" appBase=\"webapps\"/>\n", []string{"example.com"}, "Host of Tomcat's, %s:2"},
		"Laravel":                  {".env", "APP_KEY=base64:secret.example.net\nexport APP_URL=\"https://example.com\"\n", []string{"example.com"}, "APP_URL, %s:2"},
		"a comment":                {"settings.py", "# ALLOWED_HOSTS = ['example.com']\n", nil, ""},
		"tests":                    {"tests/settings.py", "ALLOWED_HOSTS = ['example.com']\n", nil, ""},
		"a list that is left open": {"settings.py", "ALLOWED_HOSTS = [\n" + strings.Repeat("\n", 60) + "'example.com'\n", nil, ""},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, test.file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(test.code), 0o600); err != nil {
			t.Fatal(err)
		}
		var s site
		looked := surroundings{process: machine.Process{PID: 1 << 30, Dir: dir}}
		looked.names(&s)
		if got := known(&s); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if want := strings.ReplaceAll(test.from, "%s", path); want != "" && s.guesses[0].From != want {
			t.Errorf("%s: from %q, want %q", name, s.guesses[0].From, want)
		}
	}
}

// Where an app's code is: where it works, and what its command line names.
func TestAppDirs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dir  string
		args []string
		want []string
	}{
		{"/srv/shop", []string{"gunicorn", "shop:app"}, []string{"/srv/shop"}},
		{"/", []string{"node", "/srv/shop/server.js"}, []string{"/srv/shop"}},
		{"/home/shop", []string{"uvicorn", "--app-dir", "/srv/shop", "shop:app"}, []string{"/home/shop", "/srv/shop"}},
		{"/home/shop", []string{"uvicorn", "--app-dir=src", "shop:app"}, []string{"/home/shop", "/home/shop/src"}},
		{"/", []string{"java", "-Dcatalina.base=/srv/tomcat", "org.apache.catalina.startup.Bootstrap"}, []string{"/srv/tomcat"}},
		{"/", []string{"nginx"}, nil},
	} {
		if got := appDirs(machine.Process{Dir: test.dir, Args: test.args}); !slices.Equal(got, test.want) {
			t.Errorf("%q in %s: %q, want %q", test.args, test.dir, got, test.want)
		}
	}
}
