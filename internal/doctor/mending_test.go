package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// mended is a fix that is pasted into a web server before an app, and what
// requests meet then.
type mended struct {
	id, where string
	blocks    []int  // those of the fix that are pasted; the first if nil
	with      string // what else stands in the server's configuration
	port      string // the one that the fix opens for the check, if it is another
	tls       bool
	// users are requests that are no probes, and how they must be answered: a
	// fix opens the health path and nothing else.
	users []userRequest
}

type userRequest struct {
	path, host, agent, proto string
	forwarded                string // X-Forwarded-For
	status                   int    // 0: the connection is closed without an answer
}

// The rest of a site in each server's words. The app behind allows one host
// and redirects what did not come over https.
const (
	nginxSite = "location / { proxy_pass http://{{.Backend}}; proxy_set_header Host {{.Domain}}; proxy_set_header X-Forwarded-Proto https; }\n"
	apacheApp = `ProxyPreserveHost On
ProxyPass "/" "http://{{.Backend}}/"
`
	apacheSite = `RequestHeader set Host "{{.Domain}}"
RequestHeader set X-Forwarded-Proto https
` + apacheApp
	haproxySite = `http-request set-header Host {{.Domain}}
http-request set-header X-Forwarded-Proto https
default_backend app
`
)

var mendedSites = []mended{
	{id: "nginx-default-server-444", where: "nginx", users: []userRequest{{path: "/", host: "other.example"}}},
	{id: "nlb-host-is-node-ip", where: "nginx", users: []userRequest{{path: "/", host: "other.example"}}},
	{id: "nginx-wrong-vhost", where: "nginx", blocks: []int{1}, with: "location / { return 404; }", users: []userRequest{{path: "/", status: 404}}},
	{id: "nginx-return-301", where: "nginx", users: []userRequest{{path: "/", status: 301}}},
	{id: "canonical-host-redirect", where: "nginx", users: []userRequest{{path: "/", status: 301}}},
	{id: "kubelet-follows-redirect", where: "nginx", users: []userRequest{{path: "/", status: 301}}},
	{id: "django-allowed-hosts", where: "nginx"},
	{
		id: "web-server-xfp-rewrite", where: "nginx", with: nginxSite,
		users: []userRequest{{path: "/", proto: "http", status: 301}, {path: "/", proto: "https", status: 200}},
	},
	{
		id: "proxy-overwrites-proto", where: "nginx",
		with: "location = {{.Path}} { proxy_set_header Host {{.Domain}}; proxy_set_header X-Forwarded-Proto https; proxy_pass http://{{.Backend}}; }\n" +
			"location / { proxy_set_header X-Forwarded-Proto $proto; proxy_set_header Host {{.Domain}}; proxy_pass http://{{.Backend}}; }",
		users: []userRequest{{path: "/", proto: "https", status: 200}, {path: "/", status: 301}},
	},
	{
		id: "basic-auth", where: "nginx", with: "auth_basic staff; auth_basic_user_file /dev/null; " + nginxSite,
		users: []userRequest{{path: "/", status: 401}},
	},
	{id: "ip-allowlist", where: "nginx", with: "deny all; " + nginxSite, users: []userRequest{{path: "/", status: 403}}},
	{
		id: "ua-blocked", where: "nginx", with: nginxSite,
		users: []userRequest{{path: "/", agent: "curl/8.0", status: 403}, {path: "/", agent: "Mozilla/5.0", status: 200}},
	},
	{id: "host-port-mismatch", where: "nginx", with: nginxSite, users: []userRequest{{path: "/", host: "other.example", status: 404}}},
	{id: "maintenance-mode", where: "nginx"},
	{id: "proxy-protocol-expected", where: "nginx", port: "8081"},
	{id: "http-to-https-port", where: "nginx", port: "8081", users: []userRequest{{path: "/", status: 404}}},
	{id: "tls-sni-required", where: "nginx", tls: true, users: []userRequest{{path: "/", host: "other.example"}}},
	{
		id: "tls-client-cert-required", where: "nginx", tls: true, users: []userRequest{{path: "/", status: 403}},
		with: "ssl_certificate x; ssl_certificate_key x; proxy_set_header Host {{.Domain}}; proxy_set_header X-Forwarded-Proto https;",
	},

	{id: "nginx-return-301", where: "apache", blocks: []int{0, 1}, users: []userRequest{{path: "/", status: 301}}},
	{
		id: "web-server-xfp-rewrite", where: "apache", with: apacheSite,
		users: []userRequest{{path: "/", proto: "http", status: 301}},
	},
	{id: "django-allowed-hosts", where: "apache", with: apacheApp, users: []userRequest{{path: "/", status: 400}}},
	{
		id: "django-ssl-redirect", where: "apache", with: apacheApp + `RequestHeader set Host "{{.Domain}}"`,
		users: []userRequest{{path: "/", status: 301}},
	},
	{
		id: "basic-auth", where: "apache", users: []userRequest{{path: "/", status: 401}},
		with: apacheSite + "<Location />\nAuthType Basic\nAuthName staff\nAuthUserFile /dev/null\nRequire valid-user\n</Location>\n",
	},
	{
		id: "ip-allowlist", where: "apache", users: []userRequest{{path: "/", status: 403}},
		with: apacheSite + "<Location />\nRequire all denied\n</Location>\n",
	},
	{
		id: "ua-blocked", where: "apache", with: apacheSite,
		users: []userRequest{{path: "/", agent: "curl/8.0", status: 403}, {path: "/", agent: "Mozilla/5.0", status: 200}},
	},
	{
		id: "canonical-host-redirect", where: "apache", with: apacheSite,
		users: []userRequest{{path: "/", status: 301}, {path: "/", host: "example.com", status: 200}},
	},
	{
		id: "host-port-mismatch", where: "apache", with: apacheSite,
		users: []userRequest{{path: "/", host: "other.example", status: 403}},
	},
	{id: "http-to-https-port", where: "apache", port: "8081"},
	{
		id: "tls-client-cert-required", where: "apache", tls: true, with: apacheSite,
		users: []userRequest{{path: "/", status: 403}, {path: "/health/x", status: 403}},
	},
	{id: "nlb-host-is-node-ip", where: "apache"},
	{id: "false-positive-200", where: "apache", with: "RequestHeader set Host {{.Domain}}\nRequestHeader set X-Forwarded-Proto https"},
	{
		id: "proxy-overwrites-proto", where: "apache", with: apacheApp + "RequestHeader set Host {{.Domain}}\n<Location {{.Path}}>\nRequestHeader set X-Forwarded-Proto https\n</Location>",
		users: []userRequest{{path: "/", proto: "https", status: 200}, {path: "/", status: 301}},
	},

	{
		id: "host-port-mismatch", where: "haproxy",
		with: "http-request set-header X-Forwarded-Proto https\nhttp-request set-header Host {{.Domain}} if { path {{.Path}} }\n",
	},
	{id: "no-backend-for-host-503", where: "haproxy"},
	{id: "haproxy-redirect-scheme", where: "haproxy", with: haproxySite, users: []userRequest{{path: "/", status: 301}}},
	{id: "canonical-host-redirect", where: "haproxy", with: haproxySite, users: []userRequest{{path: "/", status: 301}}},
	{
		id: "ip-allowlist", where: "haproxy", with: haproxySite, users: []userRequest{{path: "/", status: 403}},
	},
	{
		id: "ua-blocked", where: "haproxy", with: haproxySite,
		users: []userRequest{{path: "/", agent: "curl/8.0", status: 403}, {path: "/", agent: "Mozilla/5.0", status: 200}},
	},
	{
		id: "basic-auth", where: "haproxy", with: "http-request set-header Host {{.Domain}}\nhttp-request set-header X-Forwarded-Proto https\n",
		users: []userRequest{{path: "/", status: 401}},
	},
	{
		id: "proxy-overwrites-proto", where: "haproxy",
		with:  "http-request set-header Host {{.Domain}}\nhttp-request set-header X-Forwarded-Proto https if { path {{.Path}} }\ndefault_backend app\n",
		users: []userRequest{{path: "/", proto: "https", status: 200}, {path: "/", status: 301}},
	},

	{id: "proxy-protocol-expected", where: "haproxy", port: "8081", users: []userRequest{{path: "/", status: 403}}},
	{id: "http-to-https-port", where: "haproxy", port: "8081", users: []userRequest{{path: "/", status: 403}}},

	{id: "basic-auth", where: "caddy", users: []userRequest{{path: "/", status: 401}}},
	{id: "ip-allowlist", where: "caddy", users: []userRequest{{path: "/", status: 403}}},
	{id: "ua-blocked", where: "caddy", users: []userRequest{{path: "/", agent: "curl/8.0", status: 403}}},
	{id: "caddy-auto-https", where: "caddy", users: []userRequest{{path: "/", host: "other.example", status: 404}}},
	{id: "caddy-empty-200", where: "caddy", users: []userRequest{{path: "/", host: "other.example", status: 404}}},
	{id: "canonical-host-redirect", where: "caddy", users: []userRequest{{path: "/", host: "other.example", status: 302}}},
}

// The fixes for web servers do what they say: pasted into the real server, they
// let the probe through, and leave what was closed to others closed.
func TestFixesMendWebServers(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch host, _, _ := strings.Cut(r.Host, ":"); {
		case host != "example.com":
			http.Error(w, "host not allowed: "+r.Host, http.StatusBadRequest)
		case r.Header.Get("X-Forwarded-Proto") != "https":
			http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
		default:
			fmt.Fprintln(w, "ok")
		}
	}))
	t.Cleanup(app.Close)
	for _, m := range mendedSites {
		t.Run(m.id+"/"+m.where, func(t *testing.T) {
			port := strconv.Itoa(servers.FreePort(t))
			data := fixData{
				Path: "/health", PathNoSlash: "health", Domain: "example.com", Address: "127.0.0.1", Port: port,
				Backend: app.Listener.Addr().String(), Subnet: "127.0.0.0/8",
			}
			paste := m.paste(t, data)
			if m.port != "" {
				paste = strings.ReplaceAll(paste, m.port, port)
			}
			with := render("the rest of the site", m.with, data)
			s := site4{t: t, address: net.JoinHostPort("127.0.0.1", port), tls: m.tls}
			switch m.where {
			case "nginx":
				s.nginx(paste, with)
			case "apache":
				s.apache(paste, with)
			case "haproxy":
				s.haproxy(paste, with, data.Backend)
			case "caddy":
				s.caddy(paste)
			}
			if status, body := s.ask(userRequest{path: "/health", agent: "ELB-HealthChecker/2.0"}); status != 200 {
				t.Errorf("the probe gets %d: %.300s\nof:\n%s", status, body, paste)
			}
			for _, u := range m.users {
				if status, body := s.ask(u); status != u.status {
					t.Errorf("%+v gets %d: %.300s\nof:\n%s", u, status, body, paste)
				}
			}
		})
	}
}

// paste returns the text of the blocks that are pasted.
func (m mended) paste(t *testing.T, data fixData) (text string) {
	t.Helper()
	for _, b := range m.fix(t, data) {
		text += b.text
	}
	return text
}

// fix returns the blocks that are pasted.
func (m mended) fix(t *testing.T, data fixData) []block {
	t.Helper()
	name := "fixes/" + m.id + "/" + m.where + ".md"
	text, err := fixFiles.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all, err := codeOf(render(name, string(text), data))
	if err != nil {
		t.Fatal(err)
	}
	if m.blocks == nil {
		return all[:1]
	}
	var blocks []block
	for _, i := range m.blocks {
		blocks = append(blocks, all[i])
	}
	return blocks
}

// site4 is a web server on IPv4's loopback.
type site4 struct {
	t       *testing.T
	address string
	tls     bool
}

func (s site4) nginx(paste, with string) {
	server, listens := nginxParts(paste+with, func(string) string { return "listen " + s.address }, func() string { return certificate(s.t) })
	if listens == 0 {
		server.server = "listen " + s.address + map[bool]string{true: " ssl"}[s.tls] + ";\n" + server.server
	}
	servers.Nginx(s.t, "", server.http+server.block(), s.address)
}

func (s site4) apache(paste, with string) {
	whole := apacheBegin(s.t, paste)
	if os.Geteuid() == 0 {
		whole += "User nobody\nGroup nogroup\n"
	}
	_, port, _ := net.SplitHostPort(s.address)
	if s.tls {
		pem := certificate(s.t)
		with += "\nSSLEngine On\nSSLCertificateFile " + pem + "\nSSLCertificateKeyFile " + pem + "\nSSLCACertificateFile " + pem + "\n"
	}
	paste = strings.ReplaceAll(paste, "Listen "+port+"\n", "")
	whole += "Listen " + s.address + "\n"
	if inside := strings.Index(paste, "</VirtualHost>"); inside >= 0 {
		whole += paste[:inside] + with + "\n" + paste[inside:]
	} else {
		whole += "<VirtualHost *:*>\nServerName site\n" + with + "\n" + paste + "</VirtualHost>\n"
	}
	servers.Run(s.t, servers.Spec{
		Name: "apache2", Args: []string{"-D", "FOREGROUND", "-f", write(s.t, "apache.conf", whole)}, Listens: []string{s.address},
	})
}

func (s site4) haproxy(paste, with, backend string) {
	_, port, _ := net.SplitHostPort(s.address)
	paste = strings.ReplaceAll(paste, "bind :"+port, "bind "+s.address)
	whole := "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
	if i := strings.Index(paste, "bind "+s.address+"\n"); i >= 0 {
		i += len("bind " + s.address + "\n")
		whole += paste[:i] + with + "\n" + paste[i:]
	} else {
		whole += "frontend web\n  bind " + s.address + "\n" + paste + "\n" + with + "\n"
	}
	whole += "\nbackend app\n  server app " + backend + "\n"
	servers.Run(s.t, servers.Spec{
		Name: "haproxy", Args: []string{"-db", "-f", write(s.t, "haproxy.cfg", whole)}, Listens: []string{s.address},
	})
}

func (s site4) caddy(paste string) {
	dir := s.t.TempDir()
	global := fmt.Sprintf("{\n\tadmin off\n\thttp_port %s\n\tdefault_bind 127.0.0.1\n\tauto_https off\n\tstorage file_system %s\n}\n", s.address[strings.LastIndexByte(s.address, ':')+1:], dir)
	servers.Run(s.t, servers.Spec{
		Name: "caddy", Args: []string{"run", "--adapter", "caddyfile", "--config", write(s.t, "Caddyfile", global+paste)},
		Env: []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, Listens: []string{s.address},
	})
}

// ask sends a request on a connection of its own, by the address unless it has
// a host.
func (s site4) ask(u userRequest) (status int, body string) {
	s.t.Helper()
	scheme := "http"
	if s.tls {
		scheme = "https"
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), http.MethodGet, scheme+"://"+s.address+u.path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = u.host
	r.Header.Set("User-Agent", cmp.Or(u.agent, "Mozilla/5.0"))
	if u.proto != "" {
		r.Header.Set("X-Forwarded-Proto", u.proto)
	}
	if u.forwarded != "" {
		r.Header.Set("X-Forwarded-For", u.forwarded)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as load balancers do
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// A fix of a rate limit counts users, and not probes.
func TestFixesMendRateLimits(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	t.Cleanup(app.Close)
	for _, where := range []string{"nginx", "haproxy"} {
		t.Run(where, func(t *testing.T) {
			port := strconv.Itoa(servers.FreePort(t))
			data := fixData{
				Path: "/health", Domain: "example.com", Port: port, Backend: app.Listener.Addr().String(), Subnet: "127.0.0.0/8",
			}
			s := site4{t: t, address: net.JoinHostPort("127.0.0.1", port)}
			paste := mended{id: "rate-limited", where: where}.paste(t, data)
			if where == "nginx" {
				s.nginx(paste, render("site", nginxSite, data))
			} else {
				s.haproxy(paste, "", data.Backend)
			}
			for i := range 150 {
				if status, body := s.ask(userRequest{path: "/health", agent: "ELB-HealthChecker/2.0"}); status != 200 {
					t.Fatalf("probe %d gets %d: %s\nof:\n%s", i, status, body, paste)
				}
			}
			limited := 0
			for range 150 {
				if status, _ := s.ask(userRequest{path: "/", forwarded: "192.0.2.7"}); status == 429 {
					limited++
				}
			}
			if limited == 0 {
				t.Errorf("150 requests of one user meet no limit of:\n%s", paste)
			}
		})
	}
}

// Health checks that a web server makes itself are made as the app wants them.
func TestFixesMendHAProxysCheck(t *testing.T) {
	asked := make(chan *http.Request, 100)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r:
		default:
		}
		fmt.Fprintln(w, "ok")
	}))
	t.Cleanup(app.Close)
	host, port, _ := net.SplitHostPort(app.Listener.Addr().String())
	data := fixData{Path: "/health", Domain: "example.com", Address: host, Port: port, Status: 204}
	for _, id := range []string{"host-missing", "method-not-allowed", "success-matcher-mismatch"} {
		t.Run(id, func(t *testing.T) {
			paste := mended{id: id, where: "haproxy"}.paste(t, data)
			if !strings.HasPrefix(paste, "backend ") {
				paste = "backend app\n" + paste + "\nserver app1 " + host + ":" + port + " check\n"
			}
			config := "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n" + paste +
				"\nfrontend web\n  bind " + filepath.Join(t.TempDir(), "socket") + "\n  default_backend app\n"
			servers.Run(t, servers.Spec{Name: "haproxy", Args: []string{"-db", "-f", write(t, "haproxy.cfg", config)}})
			var r *http.Request
			select {
			case r = <-asked:
			case <-time.After(time.Minute):
				t.Fatal("HAProxy asked nothing")
			}
			if r.Method != http.MethodGet || r.URL.Path != "/health" || r.Host != "example.com" || r.Proto != "HTTP/1.1" {
				t.Errorf("the check is %s %s %s, Host: %s", r.Method, r.URL, r.Proto, r.Host)
			}
		})
		for len(asked) > 0 {
			<-asked
		}
	}
}
