package probe_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hale/internal/probe"
	"hale/test/servers"
)

// HAProxy writes what the row of its name does, with a PROXY header or without.
func TestAsHAProxyWrites(t *testing.T) {
	t.Parallel()
	servers.Need(t, "haproxy")
	seen := make(chan string)
	done := t.Context().Done()
	address := target(t, func(conn net.Conn) {
		request := ""
		for !strings.HasSuffix(request, " HTTP/1.0\r\n\r\n") { // a PROXY header may have an empty line of its own
			more := readExactly(conn, 1)
			if more == "" {
				return
			}
			request += more
		}
		conn.Write([]byte(whole))
		// The ports of a PROXY header differ from one connection to the next.
		request = strings.NewReplacer(portOf(conn.RemoteAddr().String()), "FROM", portOf(conn.LocalAddr().String()), "TO").Replace(request)
		select {
		case seen <- request:
		case <-done:
		}
	})
	for _, test := range []struct {
		server  string // options of HAProxy's server line
		version int
	}{{"check", 0}, {"check send-proxy", 1}, {"check send-proxy-v2", 2}} {
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		config := fmt.Sprintf(`
global
    stats socket %[1]s/stats.sock
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
backend b
    option httpchk
    server s %[2]s %[3]s inter 500ms
`, filepath.Dir(file), address, test.server)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		haproxy := servers.Run(t, servers.Spec{Name: "haproxy", Args: []string{"-db", "-f", file}})
		want := next(t, seen)
		haproxy.Stop()
		for drained := false; !drained; {
			select {
			case <-seen: // of a check that was under way
			case <-time.After(200 * time.Millisecond):
				drained = true
			}
		}
		go filled(t, "haproxy", "http://"+address, probe.Options{ProxyProtocol: test.version}).Send(t.Context())
		if got := next(t, seen); got != want {
			t.Errorf("server s %s: HAProxy writes %q, the probe %q", test.server, want, got)
		}
	}
}

func next(t *testing.T, seen <-chan string) string {
	t.Helper()
	select {
	case request := <-seen:
		return request
	case <-time.After(patience):
		t.Fatal("no request came")
		return ""
	}
}

// curl writes what the row of Docker does, and takes the same answers for
// success.
func TestAsCurlWrites(t *testing.T) {
	t.Parallel()
	curl := servers.Need(t, "curl")
	version := regexp.MustCompile(`curl/[0-9.]+`)
	for answer, passes := range map[string]bool{
		whole: true,
		"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n":  true,
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n":             false,
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n": false,
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut":               false,
	} {
		seen := make(chan string, 2)
		address := target(t, func(conn net.Conn) {
			seen <- readRequest(conn)
			conn.Write([]byte(answer))
		})
		cmd := exec.Command(curl, "-f", "-q", "-s", "-o", os.DevNull, "http://"+address+"/health")
		cmd.Env = []string{"NO_PROXY=*"}
		failed := cmd.Run()
		a := send(t, "docker", "http://"+address+"/health", probe.Options{})
		want, got := <-seen, <-seen
		if want = version.ReplaceAllString(want, "curl/7.88.1"); got != want {
			t.Errorf("curl writes %q, the probe %q", want, got)
		}
		if (failed == nil) != passes || a.Healthy != passes {
			t.Errorf("%q: curl %v, the probe healthy %v: %s", answer, failed, a.Healthy, a.Because)
		}
	}
}

// nginx answers each form of probe.
func TestNginx(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	plain, secure, proxied := servers.FreeAddress(t), servers.FreeAddress(t), servers.FreeAddress(t)
	servers.Nginx(t, "", fmt.Sprintf(`
server {
    listen %s; listen %s ssl http2; ssl_certificate %s; ssl_certificate_key %s;
    location / { return 200 "$request_method $server_protocol $http_host\n"; }
    location /moved { return 301 https://example.com/; }
}
server { listen %s proxy_protocol; location / { return 200 "$proxy_protocol_addr"; } }
`, plain, secure, cert.CertFile, cert.KeyFile, proxied), plain, secure)
	for _, test := range []struct {
		as, url string
		o       probe.Options
		body    string
		status  int
	}{
		{as: "alb", url: "http://" + plain, status: 200, body: "GET HTTP/1.1 " + plain + "\n"},
		{as: "alb", url: "http://" + plain + "/moved", status: 301},
		{as: "classic", url: "https://" + secure, status: 200, body: "GET HTTP/1.1 127.0.0.1\n"},
		{as: "haproxy", url: "http://" + plain, status: 200},
		{as: "nginx-plus", url: "http://" + plain, status: 200, body: "GET HTTP/1.0 " + plain + "\n"},
		{as: "gcp", url: "h2://" + secure, status: 200, body: "GET HTTP/2.0 127.0.0.1\n"},
		{as: "kubelet", url: "https://" + secure, status: 200, body: "GET HTTP/2.0 " + secure + "\n"},
		{as: "nlb", url: "http://" + proxied, o: probe.Options{ProxyProtocol: 2}, status: 200}, // LOCAL has no address
		{as: "alb", url: "http://" + proxied, o: probe.Options{ProxyProtocol: 1}, status: 200, body: "127.0.0.1"},
		{as: "alb", url: "http://" + proxied, o: probe.Options{ProxyProtocol: 2}, status: 200, body: "127.0.0.1"},
		{as: "alb", url: "http://" + secure, status: 400},
	} {
		a := send(t, test.as, test.url, test.o)
		if a.Outcome != probe.Answered || a.Status != test.status || test.body != "" && string(a.Body) != test.body {
			t.Errorf("%s %s %+v: %v, %d %q, %s", test.as, test.url, test.o, a.Outcome, a.Status, a.Body, a.Because)
		}
	}
	// What waits for a PROXY header gets none, and closes.
	if a := send(t, "alb", "http://"+proxied, probe.Options{}); a.Outcome != probe.Empty && a.Status != 400 {
		t.Errorf("no PROXY header: %v, %d", a.Outcome, a.Status)
	}
}

// The official gRPC answers each prober's call.
func TestGRPCServer(t *testing.T) {
	t.Parallel()
	python := servers.NeedPython(t, "grpc", "python3-grpcio")
	plain, secure := servers.FreeAddress(t), servers.FreeAddress(t)
	cert := servers.NewCertificate(t, "127.0.0.1")
	script := filepath.Join("..", "..", "checks", "grpc", "testdata", "server.py")
	servers.Run(t, servers.Spec{Name: python, Args: []string{script, plain}, Listens: []string{plain}})
	servers.Run(t, servers.Spec{Name: python, Args: []string{script, secure, cert.CertFile, cert.KeyFile}, Listens: []string{secure}})
	for _, test := range []struct {
		as, url string
		healthy bool
		grpc    int
		because string
	}{
		{as: "alb-grpc", url: "grpc://" + plain, healthy: true, grpc: 12},
		{as: "alb-grpc", url: "grpcs://" + secure, healthy: true, grpc: 12},
		{as: "alb-grpc", url: "grpc://" + plain + "/grpc.health.v1.Health/Check", because: "gRPC status 0 (OK), and success is 12"},
		{as: "kubelet", url: "grpc://" + plain, healthy: true},
		{as: "kubelet", url: "grpc://" + plain + "/down", because: "the service does not answer SERVING, but NOT_SERVING"},
		{as: "kubelet", url: "grpc://" + plain + "/odd", because: "the service does not answer SERVING, but status 9"},
		{as: "kubelet", url: "grpc://" + plain + "/later", healthy: true},
		{as: "kubelet", url: "grpc://" + plain + "/empty", because: "the service does not answer SERVING, but UNKNOWN"},
		{as: "gcp", url: "grpcs://" + secure + "/up", healthy: true},
		{as: "consul", url: "grpc://" + plain + "/overloaded", grpc: 14, because: `gRPC status 14 (UNAVAILABLE, "try again later, 100%\n\u00e9"), and success is 0`},
	} {
		a := send(t, test.as, test.url, probe.Options{})
		if a.Healthy != test.healthy || a.GRPC != test.grpc || a.Because != test.because {
			t.Errorf("%s %s: healthy %v, gRPC %d, %s; %v %v", test.as, test.url, a.Healthy, a.GRPC, a.Because, a.Outcome, a.Err)
		}
	}
	// A probe of HTTP/1 meets frames, or the connection's end.
	if a := send(t, "alb", "http://"+plain, probe.Options{}); a.Outcome != probe.NotHTTP && a.Outcome != probe.Empty {
		t.Errorf("HTTP/1: %v, %s", a.Outcome, a.Because)
	}
}
