package sites

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// certify makes @certificate@, @key@ and @pem@ stand for a certificate.
func (s *setting) certify(c servers.Certificate) {
	s.words["@certificate@"], s.words["@key@"] = c.CertFile, c.KeyFile
	s.words["@pem@"] = s.file("tls.pem", string(c.CertPEM)+string(c.KeyPEM))
}

// tlsHosts are the names and addresses in a certificate for the probe, too.
var tlsHosts = []string{Domain, "www." + Domain, Private}

// serveTLS runs app over TLS in Go, with a configuration that lacks only the
// certificate.
func serveTLS(t testing.TB, config *tls.Config) Site {
	t.Helper()
	address := private(t)
	config.Certificates = []tls.Certificate{servers.NewCertificate(t, tlsHosts...).TLS(t)}
	serveOn(t, address, &http.Server{Handler: app(), IdleTimeout: 75 * time.Second, TLSConfig: config})
	return site(address)
}

// apacheTLS is what a virtual host of Apache needs to speak TLS.
const apacheTLS = `
	SSLEngine on
	SSLCertificateFile @certificate@
	SSLCertificateKeyFile @key@
`

// nodeTLS makes nodeApp's server speak TLS.
func nodeTLS(t testing.TB) Site {
	s := newSetting(t)
	log := node(s, `
const tls = require('https').createServer(
	{cert: require('fs').readFileSync('@certificate@'), key: require('fs').readFileSync('@key@')},
	(req, res) => server.emit('request', req, res));
tls.keepAliveTimeout = 75000;
tls.headersTimeout = 80000;
tls.listen(@port@, '127.0.0.5');
`, servers.Spec{Listens: []string{s.address}})
	return s.site(log)
}

// plainToTLS are sites that speak TLS where the load balancer does not.
func plainToTLS() []Case {
	const row = "http-to-https-port"
	findings := []string{row}
	return []Case{
		{
			Name: "nginx-tls", Row: row, Findings: findings,
			Start: nginx(`server { listen @address@ ssl; ` + nginxTLS + nginxWell + `}`),
		},
		{
			Name: "apache-tls", Row: row, Findings: findings,
			Start: apache(apacheLoad("socache_shmcb", "ssl") + `
<VirtualHost @address@>
	ServerName example.com
	` + apacheTLS + apacheWell + `
</VirtualHost>
`),
		},
		{
			Name: "haproxy-tls", Row: row, Findings: findings,
			Start: haproxy(`
frontend web
	bind @address@ ssl crt @pem@
	default_backend app
` + toApp),
		},
		{
			Name: "caddy-tls", Row: row, Findings: findings,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.certify(servers.NewCertificate(t, tlsHosts...))
				return serveCaddy(s, "https://:@port@ {\n\ttls @certificate@ @key@\n\treverse_proxy @app@\n}\n")
			},
		},
		{
			Name: "go-tls", Row: row, Findings: findings,
			Start: func(t testing.TB) Site { return serveTLS(t, &tls.Config{}) },
		},
		{Name: "node-tls", Row: row, Findings: findings, Start: nodeTLS},
	}
}

// tlsToPlain are sites that do not speak TLS where the load balancer does.
func tlsToPlain() []Case {
	const row = "https-to-http-port"
	findings := []string{row}
	return []Case{
		{
			Name: "nginx-plain", Row: row, Findings: findings,
			Start: overHTTPS(nginx(`server { listen @address@; ` + nginxWell + `}`)),
		},
		{
			Name: "go-plain", Row: row, Findings: findings,
			Start: overHTTPS(func(t testing.TB) Site { return site(serve(t, Private, app())) }),
		},
		{
			Name: "node-plain", Row: row, Findings: findings,
			Start: overHTTPS(func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(node(s, `server.listen(@port@, '127.0.0.5');`, servers.Spec{Listens: []string{s.address}}))
			}),
		},
		{
			// Its sync worker waits for the end of a line.
			Name: "gunicorn-plain", Row: row, Findings: findings, Slow: true,
			Start: overHTTPS(busyGunicorn(nil, func(testing.TB, *crowd, Site) {})),
		},
	}
}

// tlsNames are sites that want a server name in the handshake.
func tlsNames() []Case {
	const row = "tls-sni-required"
	return []Case{
		{
			Name: "nginx-reject-handshake", Row: row, Findings: []string{row},
			Start: overHTTPS(nginx(`
server { listen @address@ ssl default_server; ssl_reject_handshake on; ` + nginxWell + `}
server { listen @address@ ssl; server_name example.com; ` + nginxTLS + nginxWell + `}`)),
		},
		{
			Name: "haproxy-strict-sni", Row: row, Findings: []string{row},
			Start: overHTTPS(haproxy(`
frontend web
	bind @address@ ssl crt @pem@ strict-sni
	default_backend app
` + toApp)),
		},
		{
			// Past the handshake, Caddy has no site for the address in Host.
			Name: "caddy-one-site", Row: row, Findings: []string{row, "caddy-empty-200"},
			Start: overHTTPS(caddy("https://example.com:@port@ {\n\ttls @certificate@ @key@\n\treverse_proxy @app@\n}\n")),
		},
		{
			Name: "apache-strict-sni", Row: row, Findings: []string{row},
			Start: overHTTPS(apache(apacheLoad("socache_shmcb", "ssl") + `
SSLStrictSNIVHostCheck on
<VirtualHost @address@>
	ServerName example.com
	` + apacheTLS + apacheWell + `
</VirtualHost>
<VirtualHost @address@>
	ServerName blog.example.com
	` + apacheTLS + apacheWell + `
</VirtualHost>
`)),
		},
	}
}

// tlsRules are sites whose handshake has other conditions.
func tlsRules() []Case {
	const clientCert = "tls-client-cert-required"
	return []Case{
		{
			Name: "nginx-tls13-only", Row: "tls-version-mismatch", Findings: []string{"tls-version-mismatch"},
			Start: by("nlb", overHTTPS(nginx(`server { listen @address@ ssl; ssl_protocols TLSv1.3; `+nginxTLS+nginxWell+`}`))),
		},
		{
			Name: "nginx-client-certificate", Row: clientCert, Findings: []string{clientCert},
			Start: overHTTPS(nginx(`
server { listen @address@ ssl; ssl_verify_client on; ssl_client_certificate @certificate@; ` + nginxTLS + nginxWell + `}`)),
		},
		{
			Name: "go-client-certificate", Row: clientCert, Findings: []string{clientCert},
			Start: overHTTPS(func(t testing.TB) Site {
				return serveTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert})
			}),
		},
		{
			Name: "haproxy-client-certificate", Row: clientCert, Findings: []string{clientCert},
			Start: overHTTPS(haproxy(`
frontend web
	bind @address@ ssl crt @pem@ verify required ca-file @certificate@
	default_backend app
` + toApp)),
		},
		{
			Name: "nginx-expired-certificate", Row: "lb-validates-certificate", Findings: []string{"lb-validates-certificate"},
			Start: by("haproxy", overHTTPS(askedFor("/", func(t testing.TB) Site {
				s := newSetting(t)
				s.certify(servers.ExpiredCertificate(t, tlsHosts...))
				return serveNginx(s, `server { listen @address@ ssl; `+nginxTLS+nginxWell+`}`)
			}))),
		},
		{
			Name: "nginx-certificate-of-other-name", Row: "lb-validates-certificate", Findings: []string{"lb-validates-certificate"},
			Start: by("consul", overHTTPS(nginx(`server { listen @address@ ssl; `+nginxTLS+nginxWell+`}`))),
		},
	}
}

// newerHTTP are sites that speak HTTP/2 alone, and gRPC.
func newerHTTP() []Case {
	const row = "http2-only-listener"
	return []Case{
		{
			Name: "nginx-http2", Row: row, Findings: []string{row},
			Start: nginx(`server { listen @address@ http2; ` + nginxWell + `}`),
		},
		{
			Name: "go-http2", Row: row, Findings: []string{row},
			Start: func(t testing.TB) Site {
				address := private(t)
				only := new(http.Protocols)
				only.SetUnencryptedHTTP2(true)
				serveOn(t, address, &http.Server{Handler: app(), IdleTimeout: 75 * time.Second, Protocols: only})
				return site(address)
			},
		},
		{
			Name: "node-http2", Row: row, Findings: []string{row},
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(node(s, `
require('http2').createServer((req, res) => server.emit('request', req, res)).listen(@port@, '127.0.0.5');
`, servers.Spec{Listens: []string{s.address}}))
			},
		},
		{
			Name: "node-http2-tls", Row: row, Findings: []string{row},
			Start: overHTTPS(func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(node(s, `
require('http2').createSecureServer(
	{cert: require('fs').readFileSync('@certificate@'), key: require('fs').readFileSync('@key@')},
	(req, res) => server.emit('request', req, res)).listen(@port@, '127.0.0.5');
`, servers.Spec{Listens: []string{s.address}}))
			}),
		},
		{
			Name: "grpc-without-services", Row: "grpc-health-code", Findings: []string{"grpc-health-code"},
			Start: grpc("", "/AWS.ALB/healthcheck", "0"),
		},
		{
			Name: "grpc-with-health", Row: "grpc-health-code", Findings: []string{"grpc-health-code"},
			Start: grpc("grpc.health.v1.Health", "/grpc.health.v1.Health/Check", "12"),
		},
	}
}

// grpc starts a gRPC server that has the standard health service, or no service
// at all, and that an Application Load Balancer asks for a method and wants a
// code of.
func grpc(service, method, code string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		python := servers.NeedPython(t, "grpc", "python3-grpcio")
		s := newSetting(t)
		program := s.file("server.py", `
import concurrent.futures, sys
import grpc

server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=2))
if sys.argv[2]:
    serving = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(sys.argv[2], {"Check": serving}),))
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
`)
		servers.Run(t, servers.Spec{Name: python, Args: []string{program, s.address, service}, Listens: []string{s.address}})
		site := s.site()
		site.As, site.Path = "alb-grpc", method
		site.Settings = strings.NewReplacer("PORT", portOf(s.address), "PATH", method, "CODE", code).Replace(`{"TargetGroups": [{
	"TargetGroupName": "grpc", "Protocol": "HTTP", "ProtocolVersion": "GRPC", "Port": PORT, "TargetType": "ip",
	"HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckEnabled": true,
	"HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2,
	"HealthCheckPath": "PATH", "Matcher": {"GrpcCode": "CODE"}
}]}`)
		return site
	}
}
