package sites

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"hale/test/servers"
)

// node starts a program in Node.js, whose words are replaced. It returns the
// file that holds what the program says.
func node(s *setting, program string, spec servers.Spec) (log string) {
	s.t.Helper()
	p := startNode(s, program, spec)
	return p.OutputFile()
}

func startNode(s *setting, program string, spec servers.Spec) *servers.Process {
	s.t.Helper()
	spec.Name, spec.Args = "node", []string{s.file("app.js", nodeApp+program)}
	return servers.Run(s.t, spec)
}

// nodeDies starts a program in Node.js that ends by itself.
func nodeDies(s *setting, program string, spec servers.Spec) (log string) {
	s.t.Helper()
	p := startNode(s, program, spec)
	if code := p.Wait(); code == 0 {
		s.t.Fatalf("the program ended well: %s", p.Output())
	}
	return p.OutputFile()
}

// nodeApp is a server that answers as app does. It closes idle connections
// later than a load balancer.
const nodeApp = `
const http = require('http');
const pages = {'/health': 'healthy\n', '/': 'welcome\n'};
const server = http.createServer((req, res) => {
	const page = pages[req.url];
	res.writeHead(page ? 200 : 404, {'Content-Type': 'text/plain'});
	res.end(page || 'Cannot ' + req.method + ' ' + req.url + '\n');
});
server.keepAliveTimeout = 75000;
server.headersTimeout = 80000;
`

// settingAt returns a setting of a site at an address that need not be free: for a
// machine without neighbours.
func settingAt(t testing.TB, host, port string) *setting {
	address := net.JoinHostPort(host, port)
	return &setting{t: t, address: address, words: map[string]string{"@address@": address, "@port@": port}}
}

// notListening are sites where nobody listens at the address that is probed.
func notListening() []Case {
	return []Case{
		{
			Name: "nothing-listening", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: func(t testing.TB) Site { return site(private(t)) },
		},
		{
			Name: "node-crashed", Row: "nothing-listening", Findings: []string{"nothing-listening"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(nodeDies(s, `require('./routes/index.js');`, servers.Spec{}))
			},
		},
		{
			Name: "gunicorn-missing-variable", Row: "missing-env-var", Findings: []string{"missing-env-var"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.file("app.py", "import os\n\nSECRET_KEY = os.environ['SECRET_KEY']\n\ndef application(environ, start_response):\n    pass\n")
				log := filepath.Join(s.dir(), "gunicorn.log")
				p := servers.Run(t, servers.Spec{
					Name: "gunicorn",
					Args: []string{"--chdir", s.dir(), "--bind", s.address, "--error-logfile", log, "app:application"},
				})
				if code := p.Wait(); code == 0 {
					t.Fatal("gunicorn started without SECRET_KEY")
				}
				return s.site(log)
			},
		},
		{
			Name: "node-missing-variable", Row: "missing-env-var", Findings: []string{"missing-env-var"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(nodeDies(s, `
if (!process.env.DATABASE_URL) throw new Error('DATABASE_URL is not set in the environment');
server.listen(@port@, '127.0.0.5');`, servers.Spec{}))
			},
		},
		{
			Name: "node-port-in-use", Row: "port-already-in-use", Findings: []string{"port-already-in-use"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				occupied(s)
				return s.site(nodeDies(s, `server.listen(@port@, '127.0.0.5');`, servers.Spec{}))
			},
		},
		{
			Name: "nginx-port-in-use", Row: "port-already-in-use", Findings: []string{"port-already-in-use"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				occupied(s)
				spec, log := nginxSpec(s, "", `server { listen @address@; `+nginxWell+`}`)
				if code := servers.Run(t, spec).Wait(); code == 0 {
					t.Fatal("nginx started on a port that is in use")
				}
				return s.site(log)
			},
		},
		{
			Name: "node-port-80", Row: "privileged-port-denied", Findings: []string{"privileged-port-denied"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				s := settingAt(t, Private, "80")
				return s.site(nodeDies(s, `server.listen(@port@, '127.0.0.5');`, servers.Spec{User: "nobody"}))
			},
		},
		{
			Name: "go-on-loopback", Row: "bound-to-loopback", Findings: []string{"bound-to-loopback"}, Inside: true,
			Start: func(t testing.TB) Site {
				return site(net.JoinHostPort(Private, portOf(serve(t, "127.0.0.1", app()))))
			},
		},
		{
			Name: "node-on-localhost", Row: "bound-to-loopback", Findings: []string{"bound-to-loopback"}, Inside: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(node(s, `server.listen(@port@, 'localhost');`, servers.Spec{
					Env: []string{"NODE_OPTIONS=--dns-result-order=ipv4first"}, Listens: []string{s.on("127.0.0.1")},
				}))
			},
		},
		{
			Name: "nginx-on-loopback", Row: "bound-to-loopback", Findings: []string{"bound-to-loopback"}, Inside: true,
			Start: nginx(`server { listen 127.0.0.1:@port@; ` + nginxWell + `}`),
		},
		{
			Name: "go-on-other-address", Row: "bound-to-other-address", Findings: []string{"bound-to-other-address"}, Inside: true,
			Start: func(t testing.TB) Site {
				return site(net.JoinHostPort(Private, portOf(serve(t, "127.0.0.7", app()))))
			},
		},
		{
			Name: "nginx-ipv6-only", Row: "ipv6-only-bind", Findings: []string{"ipv6-only-bind"}, Inside: true,
			Start: onIPv6(nginx(`server { listen [::]:@port@ ipv6only=on; ` + nginxWell + `}`)),
		},
		{
			Name: "haproxy-ipv6-only", Row: "ipv6-only-bind", Findings: []string{"ipv6-only-bind"}, Inside: true,
			Start: onIPv6(haproxy(`
frontend web
	bind :::@port@ v6only
	default_backend app
` + toApp)),
		},
		{
			Name: "node-wrong-port", Row: "wrong-port", Findings: []string{"wrong-port"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				s := settingAt(t, Private, "8080")
				return s.site(node(s, `server.listen(process.env.PORT || 3000, '0.0.0.0');`, servers.Spec{Listens: []string{"127.0.0.1:3000"}}))
			},
		},
		{
			// It answers alike whatever it is asked, and is the only one that answers.
			Name: "node-wrong-port-any-path", Row: "wrong-port", Findings: []string{"wrong-port", "false-positive-200"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				s := settingAt(t, Private, "8080")
				site := s.site(node(s, `http.createServer((req, res) => res.end('welcome')).listen(3000, '0.0.0.0').keepAliveTimeout = 75000;`, servers.Spec{Listens: []string{"127.0.0.1:3000"}}))
				site.Path = "/"
				return site
			},
		},
		{
			Name: "node-port-undefined", Row: "port-undefined-random", Findings: []string{"port-undefined-random"}, Inside: true, Alone: true,
			Start: func(t testing.TB) Site {
				s := settingAt(t, Private, "8080")
				started := filepath.Join(s.dir(), "started")
				log := node(s, `server.listen(process.env.PORT, () => require('fs').writeFileSync('`+started+`', ''));`,
					servers.Spec{Ready: thereIs(started)})
				return s.site(log)
			},
		},
	}
}

// occupied starts another program on the site's address.
func occupied(s *setting) {
	s.t.Helper()
	servers.Run(s.t, servers.Spec{
		Name: "python3", Args: []string{"-m", "http.server", "--bind", Private, portOf(s.address)},
		Dir: s.dir(), Listens: []string{s.address}, StopSignal: syscall.SIGKILL,
	})
}
