package grpc_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/grpc"
	"hale/test/checktest"
	"hale/test/servers"
)

// The server is Python's gRPC, which is the C core that most languages share.
func TestAnswers(t *testing.T) {
	t.Parallel()
	address := server(t)
	bare := server(t, "bare")
	socket := filepath.Join(t.TempDir(), "grpc.sock")
	run(t, socket, "unix:"+socket)
	gone := servers.FreeAddress(t)
	token := map[string]string{"Authorization": "Bearer hunter2"}
	for _, test := range []struct {
		name    string
		check   grpc.Check // Address: the server's if empty
		timeout time.Duration
		output  string
		want    string // the error; empty: it passes
	}{
		{name: "server", output: "the server is SERVING: ADDRESS"},
		{name: "service", check: grpc.Check{Service: "up"}, output: "up is SERVING: ADDRESS"},
		{name: "socket", check: grpc.Check{Address: socket}, output: "the server is SERVING: " + socket},
		{name: "credentials", check: grpc.Check{Service: "token", Metadata: token}, output: "token is SERVING: ADDRESS"},
		{name: "later version of the protocol", check: grpc.Check{Service: "later"}, output: "later is SERVING: ADDRESS"},

		{name: "not serving", check: grpc.Check{Service: "down"}, want: "down is NOT_SERVING: ADDRESS"},
		{name: "unknown state", check: grpc.Check{Service: "unknown"}, want: "unknown is UNKNOWN: ADDRESS"},
		{name: "undefined state", check: grpc.Check{Service: "odd"}, want: "odd is in the unknown state 9: ADDRESS"},
		{name: "unknown service", check: grpc.Check{Service: "nope"}, want: `nope is unknown to the health service (5 NOT_FOUND): "unknown service": ADDRESS`},
		{name: "no health service", check: grpc.Check{Address: bare}, want: `the server has no health service grpc.health.v1.Health (12 UNIMPLEMENTED): "Method not found!": ADDRESS`},
		{name: "unavailable", check: grpc.Check{Service: "overloaded"}, want: `the server says that it is unavailable (14 UNAVAILABLE): "try again later, 100%": ADDRESS`},
		{name: "no credentials", check: grpc.Check{Service: "token"}, want: `credentials are missing or wrong (16 UNAUTHENTICATED; metadata can hold them): "no token": ADDRESS`},
		{name: "credentials repeated", check: grpc.Check{Service: "echo", Metadata: token}, want: "credentials are missing or wrong (16 UNAUTHENTICATED; metadata can hold them): ADDRESS"},
		{name: "forbidden", check: grpc.Check{Service: "forbidden"}, want: "the server does not allow to ask for its health (7 PERMISSION_DENIED): ADDRESS"},
		{name: "another status", check: grpc.Check{Service: "limited"}, want: `the call failed (8 RESOURCE_EXHAUSTED): "no more": ADDRESS`},
		{name: "exception in the handler", check: grpc.Check{Service: "bug"}, want: `the call failed (2 UNKNOWN): "Exception calling application: bug": ADDRESS`},
		{name: "too long", check: grpc.Check{Service: "long"}, want: "the answer is too long for one of a health service: ADDRESS"},
		{name: "slow", check: grpc.Check{Service: "slow"}, timeout: 2 * time.Second, want: "no answer to the call within 2s: ADDRESS"},
		{name: "nobody listens", check: grpc.Check{Address: gone}, want: "connection refused: ADDRESS"},
		{name: "no socket", check: grpc.Check{Address: "/nowhere.sock"}, want: "no such socket: ADDRESS"},
		{name: "TLS to a plain server", check: grpc.Check{TLS: true}, want: "TLS: the server does not speak TLS on this port: ADDRESS"},
		{name: "HTTP/1.1", check: grpc.Check{Address: web(t, nil)}, want: `answered as HTTP ("HTTP/1.1 404 Not Found"), not gRPC: ADDRESS`},
		{name: "HTTP/1.1 that hangs up", check: grpc.Check{Address: curt(t)}, want: `answered as HTTP ("HTTP/1.1 400 Bad Request"), not gRPC: ADDRESS`},
		{name: "HTTP/2 without gRPC", check: grpc.Check{Address: web(t, protocols())}, want: `answered as HTTP/2 with status 404 and content of type "text/plain; charset=utf-8", not as gRPC: ADDRESS`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.check.Address == "" {
				test.check.Address = address
			}
			where := test.check.Address
			checktest.Expect(t, &test.check, test.timeout, strings.ReplaceAll(test.output, "ADDRESS", where), strings.ReplaceAll(test.want, "ADDRESS", where))
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	serve := func(t *testing.T, cert servers.Certificate) string { return server(t, cert.CertFile, cert.KeyFile) }
	checktest.TLS{
		Serve: serve,
		New: func(address, ca string, insecure bool) checks.Check {
			return &grpc.Check{Address: address, TLS: true, CA: ca, Insecure: insecure}
		},
	}.Faults(t)

	cert := servers.NewCertificate(t, "api.example.com")
	dir, file := filepath.Split(cert.CertFile)
	named, mutual, http1 := serve(t, cert), secureWeb(t, cert, tls.RequireAnyClientCert, "h2"), secureWeb(t, cert, tls.NoClientCert, "http/1.1")
	for _, test := range []struct {
		name   string
		check  grpc.Check
		output string
		want   string
	}{
		{name: "authority is the certificate's name", check: grpc.Check{Address: named, TLS: true, CA: file, Dir: dir, Authority: "api.example.com:443"}, output: "the server is SERVING: " + named},
		{name: "plain to a TLS server", check: grpc.Check{Address: named}, want: "connection closed without an answer (does it want TLS? tls: true): " + named},
		{name: "a client's certificate", check: grpc.Check{Address: mutual, TLS: true, Insecure: true, Certificate: cert.CertFile, Key: cert.KeyFile}, want: `answered as HTTP/2 with status 404 and content of type "text/plain; charset=utf-8", not as gRPC: ` + mutual},
		{name: "HTTP/1.1 alone", check: grpc.Check{Address: http1, TLS: true, Insecure: true}, want: "TLS: no application protocol: " + http1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checktest.Expect(t, &test.check, 0, test.output, test.want)
		})
	}
	// The server's alert may be overtaken by its end.
	switch got := checktest.Outcome(t, &grpc.Check{Address: mutual, TLS: true, Insecure: true}, 0); got {
	case "fail: TLS: certificate required: " + mutual, "fail: connection closed after the TLS handshake; does the server ask for a client's certificate? " + mutual:
	default:
		t.Errorf("without the client's certificate: %s", got)
	}
}

func TestFaults(t *testing.T) {
	address := server(t)
	checktest.Target{
		Address:     address,
		New:         func(address string) checks.Check { return &grpc.Check{Address: address, Service: "up"} },
		Connections: func() int { return servers.Connections(t, address) },
	}.Faults(t)
}

func TestFaultsWithTLS(t *testing.T) {
	cert := servers.NewCertificate(t, "127.0.0.1")
	address := server(t, cert.CertFile, cert.KeyFile)
	checktest.Target{
		Address: address,
		New: func(address string) checks.Check {
			return &grpc.Check{
				Address: address, Service: "token", TLS: true, CA: cert.CertFile,
				Metadata: map[string]string{"authorization": "Bearer hunter2"},
			}
		},
		Secrets:     []string{"hunter2"},
		Connections: func() int { return servers.Connections(t, address) },
	}.Faults(t)
}

func TestSoak(t *testing.T) {
	address := server(t)
	checktest.Soak(t, &grpc.Check{Address: address}, func() int { return servers.Connections(t, address) })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check grpc.Check
		want  string
	}{
		{"address", grpc.Check{Address: "127.0.0.1:50051"}, ""},
		{"IPv6", grpc.Check{Address: "[::1]:50051"}, ""},
		{"socket", grpc.Check{Address: "/run/grpc.sock"}, ""},
		{"everything", grpc.Check{Address: "h:1", Service: "shop.v1.Cart", TLS: true, CA: "ca.pem", Certificate: "c.pem", Key: "k.pem", Authority: "api.example.com:443", Metadata: map[string]string{"x-key": "1"}}, ""},

		{"no address", grpc.Check{}, "address: is missing: write host:port or the path of a unix socket, such as 127.0.0.1:50051"},
		{"no port", grpc.Check{Address: "localhost"}, `address: "localhost" is not host:port or the path of a unix socket: write it as 127.0.0.1:50051`},
		{"port", grpc.Check{Address: "localhost:grpc"}, `address: "localhost:grpc" has no port from 1 to 65535`},
		{"service", grpc.Check{Address: "h:1", Service: "/shop.v1.Cart/Get"}, `service: "/shop.v1.Cart/Get" is not the name of a service: write it as in shop.v1.Cart`},
		{"authority", grpc.Check{Address: "h:1", Authority: "https://api.example.com"}, `authority: "https://api.example.com" is not a host: write api.example.com or api.example.com:443`},
		{"TLS settings without TLS", grpc.Check{Address: "h:1", CA: "ca.pem"}, "ca: has no effect without TLS: write tls: true"},
		{"no key", grpc.Check{Address: "h:1", TLS: true, Certificate: "c.pem"}, "key: is missing: the file of the private key that belongs to certificate"},
		{"gRPC's own metadata", grpc.Check{Address: "h:1", Metadata: map[string]string{"Grpc-Timeout": "hunter2"}}, `metadata: "Grpc-Timeout" is gRPC's own`},
		{"name of metadata", grpc.Check{Address: "h:1", Metadata: map[string]string{"a b": "hunter2"}}, `metadata: "a b" is not the name of a header field`},
		{"value of metadata", grpc.Check{Address: "h:1", Metadata: map[string]string{"a": "hunter2\n"}}, "metadata: the value of A holds a control character"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s: error = %v\nwant %s", test.name, err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
	}
}

// server starts Python's gRPC server: with a certificate and its key, or plain;
// "bare" has no health service.
func server(t *testing.T, args ...string) (address string) {
	t.Helper()
	address = servers.FreeAddress(t)
	run(t, address, append([]string{address}, args...)...)
	return address
}

func run(t *testing.T, listens string, args ...string) {
	t.Helper()
	python := servers.NeedPython(t, "grpc", "python3-grpcio")
	servers.Run(t, servers.Spec{Name: python, Args: append([]string{filepath.Join("testdata", "server.py")}, args...), Listens: []string{listens}})
}

func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// web starts a server that has no gRPC; without protocols it speaks HTTP/1.1.
func web(t *testing.T, p *http.Protocols) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.Protocols = p
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// curt starts a server that says no to whoever comes, and hangs up on what they
// say.
func curt(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 24)) // the preface of HTTP/2
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

// secureWeb starts a server that has no gRPC behind TLS.
func secureWeb(t *testing.T, cert servers.Certificate, auth tls.ClientAuthType, protocol string) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}, ClientAuth: auth, NextProtos: []string{protocol}}
	s.EnableHTTP2 = protocol == "h2"
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
