package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hale/internal/machine"
	"hale/internal/machine/webserver"
	"hale/internal/probe"
)

// TestUpstreamsFor: of several that a web server has, those are a request's that its
// Host and its path lead to.
func TestUpstreamsFor(t *testing.T) {
	t.Parallel()
	const all, shop, blog = "", "shop.example.com", "*.blog.example.com"
	for _, test := range []struct {
		name       string
		upstreams  [][3]string // name of the virtual host, path, address
		byDefault  string
		host, path string
		want       string
	}{
		{"one", [][3]string{{all, "/", "a"}}, all, "10.0.0.1", "/health", "a"},
		{"the longest path", [][3]string{{all, "/", "a"}, {all, "/api/", "b"}}, all, "10.0.0.1", "/api/health?x=1", "b"},
		{"not the longer path", [][3]string{{all, "/", "a"}, {all, "/api/", "b"}}, all, "10.0.0.1", "/health", "a"},
		{"the very path", [][3]string{{all, "/health", "a"}, {all, "= /health", "b"}}, all, "10.0.0.1", "/health", "b"},
		{"a pattern before a path", [][3]string{{all, "/health", "a"}, {all, "~ ^/h", "b"}}, all, "10.0.0.1", "/health", "b"},
		{"a firm path before a pattern", [][3]string{{all, "^~ /health", "a"}, {all, "~ ^/h", "b"}}, all, "10.0.0.1", "/health", "a"},
		{"a pattern of any case", [][3]string{{all, "/", "a"}, {all, "~* ^/HEALTH$", "b"}}, all, "10.0.0.1", "/health", "b"},
		{"a wildcard", [][3]string{{all, "", "a"}, {all, "/api/*", "b"}}, all, "10.0.0.1", "/api/health", "b"},
		{"who knows", [][3]string{{all, "/", "a"}, {all, "@app", "b"}, {all, "~ (", "c"}}, all, "10.0.0.1", "/health", "abc"},
		{"none fits", [][3]string{{all, "/api/", "a"}, {all, "/v1/", "b"}}, all, "10.0.0.1", "/health", "ab"},
		{"by name", [][3]string{{shop, "/", "a"}, {blog, "/", "b"}}, shop, "x.blog.example.com:8080", "/health", "b"},
		{"by no name", [][3]string{{shop, "/", "a"}, {blog, "/", "b"}}, shop, "10.0.0.1", "/health", "a"},
		{"by no name, without a default", [][3]string{{blog, "/", "b"}, {shop, "/", "a"}}, "", "10.0.0.1", "/health", "ab"},
		{"by a pattern of names", [][3]string{{shop, "/", "a"}, {"~^www", "/", "b"}}, shop, "10.0.0.1", "/health", "ab"},
	} {
		config := webserver.Config{Program: webserver.Nginx}
		for _, u := range test.upstreams {
			up := webserver.Upstream{Protocol: webserver.HTTP, Address: u[2], Path: u[1]}
			if u[0] != "" {
				up.ServerNames = []string{u[0]}
			}
			config.Upstreams = append(config.Upstreams, up)
		}
		if test.byDefault != "" {
			config.Listens = []webserver.Listen{{Address: "*:80", ServerNames: []string{test.byDefault}}}
		}
		s := surroundings{server: config, at: []machine.Socket{{Address: netip.MustParseAddrPort("0.0.0.0:80")}}}
		got := addresses(s.upstreamsFor(probe.Probe{Host: test.host, Path: test.path}))
		slices.Sort(got)
		if strings.Join(got, "") != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

func TestSinceUp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, log string
		want      string
	}{
		{"it never came up", "KeyError: 'A'", "KeyError: 'A'"},
		{"it came up since", "KeyError: 'A'|[INFO] Listening at: http://0.0.0.0:8000 (7)|bye", "bye"},
		{"it came up, and then its worker did not", "Listening at: x|Booting worker|KeyError: 'A'", "Booting worker|KeyError: 'A'"},
		{"Apache", "no listening sockets available|resuming normal operations", ""},
	} {
		if got := strings.Join(sinceUp(strings.Split(test.log, "|")), "|"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestNamesWhatIsDown: health pages name much that is well.
func TestNamesWhatIsDown(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{"status":"unhealthy","checks":{"redis":"up","postgres":{"status":"down"}}}`: true,
		`{"database": false, "cache": true}`:                                          true,
		`database: error: "refused"`:                                                  true,
		`fail: redis`:                                                                 true,
		`{"status":"fail","queue":{"failed":0,"depth":3}}`:                            false,
		`{"status":"fail","db":{"errors":[]},"disk":"full"}`:                          false,
		`{"status":"fail","db":{"error":null},"cache":{"error":""}}`:                  false,
		`{"status":"fail","db":{"errors":0},"redis":{"errors":4}}`:                    true,
		`{"status":"draining","cache":false}`:                                         false,
		`{"ready":false,"database":"ok"}`:                                             false,
	} {
		x := examination{}
		x.current.answer.Body = []byte(body)
		if got := namesWhatIsDown(&x); got != want {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
}
