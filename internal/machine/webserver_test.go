package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hale/internal/machine/webserver"
	"hale/test/servers"
)

// ownerOf is the process that listens at an address; at its start, a server may
// just be handing the socket on to another.
func ownerOf(t *testing.T, address string) (pid int) {
	t.Helper()
	await(t, func() string {
		found, err := ListenerAt(netip.MustParseAddrPort(address))
		if err != nil || len(found) != 1 || found[0].Owner().PID == 0 {
			return fmt.Sprintf("who listens at %s: %+v, %v", address, found, err)
		}
		pid = found[0].Owner().PID
		return ""
	})
	return pid
}

// What each of the web servers says of itself while it runs.
func TestWebServerOf(t *testing.T) {
	t.Parallel()
	const upstream = "127.0.0.1:8000"
	for _, test := range []struct {
		program webserver.Program
		spec    func(t *testing.T, dir, address string) servers.Spec
		want    webserver.Upstream
		log     string // of errors, in dir
	}{
		{
			webserver.Nginx,
			func(t *testing.T, dir, address string) servers.Spec {
				user := ""
				if os.Geteuid() == 0 {
					user = "user root;"
				}
				writeFile(t, dir+"/nginx.conf", user+`daemon off; pid `+dir+`/pid; worker_processes 2; events { }
error_log `+dir+`/error.log;
http { access_log off; client_body_temp_path `+dir+`; proxy_temp_path `+dir+`; fastcgi_temp_path `+dir+`; uwsgi_temp_path `+dir+`; scgi_temp_path `+dir+`;
server { listen `+address+`; server_name www.example.com; location / { proxy_pass http://`+upstream+`; } } }
`)
				return servers.Spec{Name: "nginx", Args: []string{"-c", dir + "/nginx.conf", "-e", "stderr"}}
			},
			webserver.Upstream{Protocol: webserver.HTTP, Address: upstream, Path: "/", ServerNames: []string{"www.example.com"}, Host: webserver.Passed{As: webserver.Own}, ForwardedProto: webserver.Passed{As: webserver.AsSent}},
			"error.log",
		},
		{
			webserver.Apache,
			func(t *testing.T, dir, address string) servers.Spec {
				modules, _ := filepath.Glob("/usr/lib/apache2/modules")
				if len(modules) == 0 {
					servers.Need(t, "apache2")
					t.Skip("Apache's modules are not where Debian has them")
				}
				writeFile(t, dir+"/apache.conf", `ServerRoot `+dir+`
PidFile ${APACHE_RUN_DIR}/pid
ErrorLog ${APACHE_LOG_DIR}/errors.log
Mutex file:`+dir+`
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
Listen `+address+`
<IfDefine SITE>
Include site*.conf
</IfDefine>
`)
				writeFile(t, dir+"/site.conf", "<VirtualHost *>\nServerName www.example.com\nProxyPreserveHost On\nProxyPass / http://"+upstream+"/\n</VirtualHost>\n")
				return servers.Spec{
					Name: "apache2", Args: []string{"-f", dir + "/apache.conf", "-D", "SITE", "-DFOREGROUND"},
					Env: []string{"APACHE_RUN_DIR=" + dir, "APACHE_LOG_DIR=" + dir},
				}
			},
			webserver.Upstream{Protocol: webserver.HTTP, Address: upstream, Path: "/", ServerNames: []string{"www.example.com"}, Host: webserver.Passed{As: webserver.AsSent, Text: "ProxyPreserveHost On"}, ForwardedProto: webserver.Passed{As: webserver.AsSent}},
			"errors.log",
		},
		{
			webserver.HAProxy,
			func(t *testing.T, dir, address string) servers.Spec {
				writeFile(t, dir+"/haproxy.cfg", `defaults
	mode http
	timeout connect 5s
	timeout client 5s
	timeout server 5s
frontend web
	bind "`+address+`"
	use_backend app if { hdr(host) www.example.com }
backend app
	server app "${APP}"
`)
				return servers.Spec{Name: "haproxy", Args: []string{"-W", "-db", "-f", dir + "/haproxy.cfg"}, Env: []string{"APP=" + upstream}}
			},
			webserver.Upstream{Protocol: webserver.HTTP, Address: upstream, Path: "if { hdr(host) www.example.com }", ServerNames: []string{"www.example.com"}, Host: webserver.Passed{As: webserver.AsSent}, ForwardedProto: webserver.Passed{As: webserver.AsSent}},
			"",
		},
		{
			webserver.Caddy,
			func(t *testing.T, dir, address string) servers.Spec {
				writeFile(t, dir+"/Caddyfile", "{\n\tadmin off\n\tlog {\n\t\toutput file "+dir+"/caddy.log\n\t}\n}\nhttp://www.example.com:"+port(address)+" {\n\tbind 127.0.0.1\n\treverse_proxy "+upstream+"\n}\n")
				return servers.Spec{Name: "caddy", Args: []string{"run"}, Dir: dir, Env: []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "HOME=" + dir}}
			},
			webserver.Upstream{Protocol: webserver.HTTP, Address: upstream, ServerNames: []string{"www.example.com"}, Host: webserver.Passed{As: webserver.AsSent}, ForwardedProto: webserver.Passed{As: webserver.Own}},
			"caddy.log",
		},
	} {
		t.Run(string(test.program), func(t *testing.T) {
			t.Parallel()
			dir, address := realDir(t), servers.FreeAddress(t)
			spec := test.spec(t, dir, address)
			spec.Listens = []string{address}
			servers.Run(t, spec)
			pid := ownerOf(t, address)
			var s WebServer
			await(t, func() string { // HAProxy's worker may be asked before its master has left it the socket
				var err error
				if s, err = WebServerOf(pid); err != nil || s.Program != test.program || len(s.Unread) > 0 {
					return fmt.Sprintf("%+v, %v", s, err)
				}
				return ""
			})
			if len(s.Upstreams) != 1 {
				t.Fatalf("upstreams %+v", s.Upstreams)
			}
			got := s.Upstreams[0]
			if got.Line == 0 || filepath.Dir(got.File) != dir {
				t.Errorf("at %s", got.Place)
			}
			got.Place, got.Host.Place = webserver.Place{}, webserver.Place{}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("upstream %+v\nwant %+v", got, test.want)
			}
			if names := s.ServerNames(); !slices.Equal(names, []string{"www.example.com"}) {
				t.Errorf("names %q", names)
			}
			if !slices.ContainsFunc(s.Listens, func(l webserver.Listen) bool { return l.Address == address && l.Default }) {
				t.Errorf("listens %+v, want %s", s.Listens, address)
			}
			logs := Logs(pid)
			if test.log != "" && !slices.ContainsFunc(logs, func(l Log) bool {
				return l.Path == filepath.Join(dir, test.log) && l.From == FromConfiguration
			}) {
				t.Errorf("%s is not among the logs %+v", test.log, logs)
			}
			all, err := WebServers()
			if err != nil {
				t.Fatal(err)
			}
			if n := len(slices.DeleteFunc(all, func(other WebServer) bool { return other.PID != s.PID })); n != 1 {
				t.Errorf("it is %d times among all", n)
			}
		})
	}
}

func port(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}

func TestWebServerOfOthers(t *testing.T) {
	t.Parallel()
	if _, err := WebServerOf(os.Getpid()); !errors.Is(err, ErrNoWebServer) {
		t.Errorf("of the test: %v", err)
	}
	if _, err := WebServerOf(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestInvocation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		program webserver.Program
		command string
		exist   []string
		files   string
		dir     string
		defines string
	}{
		{webserver.Nginx, "/usr/sbin/nginx -g", []string{"/etc/nginx/nginx.conf"}, "/etc/nginx/nginx.conf", "/usr/share/nginx", ""},
		{webserver.Nginx, "nginx -c /srv/a.conf -g daemon off;", nil, "/srv/a.conf", "", ""},
		{webserver.Nginx, "nginx -p /srv/x -c conf/a.conf", nil, "/srv/x/conf/a.conf", "/srv/x", ""},
		{webserver.Nginx, "nginx -p/srv/x", []string{"/etc/nginx/nginx.conf", "/srv/x/conf/nginx.conf"}, "/srv/x/conf/nginx.conf", "/srv/x", ""},
		{webserver.Nginx, "nginx -c", nil, "/etc/nginx/nginx.conf", "", ""},
		{webserver.Apache, "/usr/sbin/apache2 -k start", []string{"/etc/apache2/apache2.conf"}, "/etc/apache2/apache2.conf", "/etc/apache2", ""},
		{webserver.Apache, "httpd -DFOREGROUND -D SITE", []string{"/usr/local/apache2/conf/httpd.conf"}, "/usr/local/apache2/conf/httpd.conf", "/usr/local/apache2", "FOREGROUND SITE"},
		{webserver.Apache, "httpd -d /srv -f a.conf", nil, "/srv/a.conf", "/srv", ""},
		{webserver.Apache, "httpd -f /srv/conf/a.conf", nil, "/srv/conf/a.conf", "/srv/conf", ""},
		{webserver.HAProxy, "haproxy -Ws -f /etc/haproxy/haproxy.cfg -f conf.d -p /run/haproxy.pid", nil, "/etc/haproxy/haproxy.cfg /cwd/conf.d", "", ""},
		{webserver.HAProxy, "haproxy -- a.cfg b.cfg", nil, "/cwd/a.cfg /cwd/b.cfg", "", ""},
		{webserver.HAProxy, "haproxy -C /srv -f a.cfg", nil, "/srv/a.cfg", "/srv", ""},
		{webserver.Caddy, "caddy run --environ --config /etc/caddy/Caddyfile", nil, "/etc/caddy/Caddyfile", "", ""},
		{webserver.Caddy, "caddy run -config=site.caddy", nil, "/cwd/site.caddy", "", ""},
		{webserver.Caddy, "caddy run", []string{"/cwd/Caddyfile", "/etc/caddy/Caddyfile"}, "/cwd/Caddyfile", "", ""},
	} {
		in := invocationBy(test.program, strings.Fields(test.command), "/cwd", func(name string) bool { return slices.Contains(test.exist, name) })
		if got := strings.Join(in.files, " "); got != test.files || in.options.Dir != test.dir || strings.Join(in.options.Defines, " ") != test.defines {
			t.Errorf("%s: %s in %q, defines %q", test.command, got, in.options.Dir, in.options.Defines)
		}
	}
}
