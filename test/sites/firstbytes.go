package sites

import (
	"path/filepath"
	"syscall"
	"testing"

	"hale/test/servers"
)

// firstBytes are sites that want something else first on a connection, or do
// not speak HTTP at all.
func firstBytes() []Case {
	const header, protocol = "proxy-protocol-expected", "wrong-application-protocol"
	return []Case{
		{
			Name: "nginx-proxy-protocol", Row: header, Findings: []string{header},
			Start: nginx(`server { listen @address@ proxy_protocol; ` + nginxWell + `}`),
		},
		{
			Name: "apache-proxy-protocol", Row: header, Findings: []string{header},
			Start: apache(apacheLoad("remoteip") + `
<VirtualHost @address@>
	ServerName example.com
	RemoteIPProxyProtocol On
	` + apacheWell + `
</VirtualHost>
`),
		},
		{
			Name: "uwsgi-socket", Row: protocol, Findings: []string{protocol}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(uwsgiSocket(s, s.address))
			},
		},
		{
			Name: "php-fpm-port", Row: protocol, Findings: []string{protocol}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(servePHP(s, s.address))
			},
		},
		{
			Name: "redis-port", Row: protocol, Findings: []string{protocol}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				p := servers.Run(t, servers.Spec{
					Name: "redis-server", Args: []string{"--bind", Private, "--port", portOf(s.address), "--protected-mode", "no", "--save", "", "--dir", s.dir()},
					Listens: []string{s.address},
				})
				return s.site(p.OutputFile())
			},
		},
		{
			Name: "nats-port", Row: protocol, Findings: []string{protocol},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				p := servers.Run(t, servers.Spec{
					Name: "nats-server", Args: []string{"--addr", Private, "--port", portOf(s.address)}, Listens: []string{s.address},
				})
				return s.site(p.OutputFile())
			},
		},
	}
}

// uwsgiSocket runs uWSGI with a socket that speaks its own protocol, and
// returns its log.
func uwsgiSocket(s *setting, address string) (log string) {
	s.t.Helper()
	s.file("gated.py", gated)
	log = filepath.Join(s.dir(), "uwsgi.log")
	servers.Run(s.t, servers.Spec{
		Name: "uwsgi",
		Args: []string{
			"--plugin", "python3", "--chdir", s.dir(), "--module", "gated:application", "--master", "--processes", "1",
			"--socket", address, "--logto2", log,
		},
		Env:     []string{"GATE=" + filepath.Join(s.dir(), "open"), "PYTHONDONTWRITEBYTECODE=1"},
		Listens: []string{address}, StopSignal: syscall.SIGKILL,
	})
	return log
}
