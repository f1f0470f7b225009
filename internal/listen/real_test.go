package listen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hale/internal/listen"
	"hale/internal/probe"
	"hale/test/servers"
)

// serve serves on loopback. It returns the address, and what returns all that was
// told: of as many visits as the server counts or, if it does not, until then.
func serve(t *testing.T, s listen.Server) (address string, told func() string) {
	t.Helper()
	ln, err := listen.Bind(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Serve(ctx, ln, &listen.Text{Out: &out})
		ended <- err
	}()
	return ln.Addr().String(), func() string {
		t.Helper()
		limit := time.Minute
		if s.Count == 0 {
			limit = 0
		}
		select {
		case err = <-ended:
		case <-time.After(limit):
			cancel()
			err = <-ended
		}
		if err != nil {
			t.Error(err)
		}
		checkPrintable(t, out.String())
		return out.String()
	}
}

// Go's client, over all that it speaks.
func TestGoClient(t *testing.T) {
	cert, err := listen.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		scheme string
		setup  func(*http.Transport)
		want   string
	}{
		"HTTP/1.1": {"http", func(*http.Transport) {}, `    GET /health\?a=b HTTP/1\.1
    Host: (127\.0\.0\.1:\d+)
    User-Agent: Go-http-client/1\.1
    Accept-Encoding: gzip
  looks like   a program in Go
`},
		"HTTP/2 with prior knowledge": {"http", func(tr *http.Transport) {
			tr.Protocols = new(http.Protocols)
			tr.Protocols.SetUnencryptedHTTP2(true)
		}, `    :authority: (127\.0\.0\.1:\d+)
    :method: GET
    :path: /health\?a=b
    :scheme: http
    accept-encoding: gzip
    user-agent: Go-http-client/2\.0
  this is      HTTP/2 with prior knowledge \(h2c\)
  looks like   a program in Go
`},
		"HTTP/1.1 over TLS": {"https", func(tr *http.Transport) {
			tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		}, `    GET /health\?a=b HTTP/1\.1
    Host: (127\.0\.0\.1:\d+)
    User-Agent: Go-http-client/1\.1
    Accept-Encoding: gzip
  TLS          TLS 1\.3; the client offered TLS 1\.2 to 1\.3, no SNI, no ALPN
  looks like   a program in Go
`},
		"HTTP/2 over TLS": {"https", func(tr *http.Transport) {
			tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
			tr.ForceAttemptHTTP2 = true
		}, `    :authority: (127\.0\.0\.1:\d+)
    :method: GET
    :path: /health\?a=b
    :scheme: https
    accept-encoding: gzip
    user-agent: Go-http-client/2\.0
  TLS          TLS 1\.3, speaks h2; the client offered TLS 1\.2 to 1\.3, no SNI, ALPN h2 http/1\.1
  looks like   a program in Go
`},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen.Server{Answer: listen.Answer{Body: strings.Repeat("well\n", 30000)}, Probers: probe.Probers()}
			if test.scheme == "https" {
				s.TLS = listen.TLSConfig(cert)
			}
			address, told := serve(t, s)
			transport := &http.Transport{}
			test.setup(transport)
			client := &http.Client{Transport: transport}
			for range 2 {
				resp, err := client.Get(fmt.Sprintf("%s://%s/health?a=b", test.scheme, address))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || len(body) != 150000 || resp.StatusCode != 200 {
					t.Fatalf("status %d, %d bytes, %v", resp.StatusCode, len(body), err)
				}
			}
			transport.CloseIdleConnections()
			got := told()
			if !regexp.MustCompile(`(?m)^#1  .*\n`+test.want).MatchString(got) ||
				!strings.Contains(got, "request 2 on this connection") {
				t.Errorf("told\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// Most of a client's doubts come as an alert.
func TestTheCertificateIsExamined(t *testing.T) {
	cert, err := listen.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	address, told := serve(t, listen.Server{TLS: listen.TLSConfig(cert), Count: 1})
	if resp, err := http.Get("https://" + address); err == nil {
		resp.Body.Close()
		t.Fatal("Go's client takes a certificate that signed itself")
	}
	const want = `  this is      a TLS handshake that failed: the client ended the handshake: bad certificate
  may stumble  it examines the certificate: one that signed itself, has ended or has another name fails the check
`
	if got := told(); !strings.Contains(got, want) {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

// HAProxy's checks, each kind on its own connection to the same port.
func TestHAProxy(t *testing.T) {
	servers.Need(t, "haproxy")
	for name, test := range map[string]struct {
		check string // lines of the backend
		flags string // of the server line
		want  []string
	}{
		"option httpchk": {"option httpchk", "", []string{
			"\n    OPTIONS / HTTP/1.0\n  looks like   haproxy, HAProxy with option httpchk\n",
			"may stumble  HTTP/1.0: ", "no Host: ", "OPTIONS: ", "no User-Agent: ",
		}},
		"http-check send": {"option httpchk\n  http-check send meth GET uri /health ver HTTP/1.1 hdr Host www.example.com", "", []string{
			"\n    GET /health HTTP/1.1\n    host: www.example.com\n    connection: close\n" +
				"  looks like   haproxy, HAProxy with option httpchk (names in lower case, as http-check send writes them)\n",
		}},
		"http-check send, HTTP/2": {"option httpchk\n  http-check send meth GET uri /health ver HTTP/2 hdr Host www.example.com", "check-proto h2", []string{
			"    :method: GET\n", "    :path: /health\n", "    host: www.example.com\n",
			"this is      HTTP/2 with prior knowledge (h2c)\n", "looks like   haproxy, ",
		}},
		"send-proxy": {"option httpchk", "send-proxy check-send-proxy", []string{
			"came first   PROXY v1, TCP4 from 127.0.0.1:", "looks like   haproxy, ",
		}},
		"send-proxy-v2": {"option httpchk", "send-proxy-v2 check-send-proxy", []string{
			"came first   PROXY v2, LOCAL, ", "looks like   haproxy, ",
		}},
		"check-ssl": {"option httpchk", "check-ssl verify none", []string{
			"this is      a TLS hello, on a port without TLS\n",
		}},
		"redis-check":   {"mode tcp\n  option redis-check", "", []string{"this is      a command of Redis (RESP), as HAProxy's redis-check sends it\n"}},
		"pgsql-check":   {"mode tcp\n  option pgsql-check user u", "", []string{"this is      PostgreSQL: a login, "}},
		"mysql-check":   {"mode tcp\n  option mysql-check user u", "", []string{"this is      MySQL: a login, "}},
		"ssl-hello-chk": {"mode tcp\n  option ssl-hello-chk", "", []string{"TLS          SSL 3.0 at most, no SNI, no ALPN\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, told := serve(t, listen.Server{Count: 1, Probers: probe.Probers()})
			own := servers.FreeAddress(t)
			config := filepath.Join(t.TempDir(), "haproxy.cfg")
			text := "defaults\n  mode http\n  timeout connect 1m\n  timeout client 1m\n  timeout server 1m\n  timeout check 1m\n" +
				"frontend own\n  bind " + own + "\n" +
				"backend it\n  " + test.check + "\n  server it " + address + " check inter 1h " + test.flags + "\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			servers.Run(t, servers.Spec{Name: "haproxy", Args: []string{"-db", "-f", config}, Listens: []string{own}})
			got := told()
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("told\n%s\nwant %q", got, want)
				}
			}
		})
	}
}

// A plain check of HAProxy's ends before the connection has come about: it answers
// SYN-ACK with RST, so that no app ever sees it.
func TestHAProxyPlainCheckIsNotSeen(t *testing.T) {
	servers.Need(t, "haproxy")
	address, told := serve(t, listen.Server{Probers: probe.Probers()})
	own := servers.FreeAddress(t)
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := "defaults\n  mode http\n  timeout connect 1m\n  timeout client 1m\n  timeout server 1m\n" +
		"frontend own\n  bind " + own + "\n  stats enable\n  stats uri /\n" +
		"backend it\n  server it " + address + " check inter 1s\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	servers.Run(t, servers.Spec{
		Name: "haproxy", Args: []string{"-db", "-f", config}, Listens: []string{own},
		Ready: func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+own+"/;csv", nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err == nil && !strings.Contains(string(body), ",L4OK,") {
				err = errors.New("has not checked yet")
			}
			return err
		},
	})
	if got := told(); got != "" {
		t.Errorf("told\n%s", got)
	}
}

// What a container's HEALTHCHECK with curl sends.
func TestCurl(t *testing.T) {
	curl := servers.Need(t, "curl")
	address, told := serve(t, listen.Server{Count: 1, Probers: probe.Probers(), Answer: listen.Answer{Body: "ok\n"}})
	out, err := exec.CommandContext(t.Context(), curl, "-q", "-fsS", "--noproxy", "*", "http://"+address+"/health").CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("curl says %q, %v", out, err)
	}
	got := told()
	for _, want := range []string{
		"\n    GET /health HTTP/1.1\n    Host: " + address + "\n    User-Agent: curl/",
		"\n  looks like   docker, Docker HEALTHCHECK, ECS health check",
		"\n  or           curl by hand\n",
		"may stumble  Host is an IP address: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("told\n%s\nwant %q", got, want)
		}
	}
}

// curl's library for TLS says so before it encrypts.
func TestCurlExaminesTheCertificate(t *testing.T) {
	curl := servers.Need(t, "curl")
	cert, err := listen.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	address, told := serve(t, listen.Server{TLS: listen.TLSConfig(cert), Count: 1})
	if out, err := exec.CommandContext(t.Context(), curl, "-q", "-fsS", "--noproxy", "*", "https://"+address).CombinedOutput(); err == nil {
		t.Errorf("curl takes a certificate that signed itself: %s", out)
	}
	const want = "  this is      a TLS handshake that failed: the client ended the handshake: unknown certificate authority\n" +
		"  may stumble  it examines the certificate: "
	if got := told(); !strings.Contains(got, want) {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

// What hale's own probes send is recognised as the prober's whose row they are.
func TestOwnProbes(t *testing.T) {
	for _, prober := range probe.Probers() {
		for _, protocol := range prober.Protocols {
			if protocol.Secure() || protocol == probe.TCP {
				continue
			}
			t.Run(prober.Name+" "+string(protocol), func(t *testing.T) {
				address, told := serve(t, listen.Server{Count: 1, Probers: probe.Probers()})
				p, err := probe.New(t.Context(), &prober, string(protocol)+"://"+address+"/health", probe.Options{Timeout: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				if a := p.Send(t.Context()); a.Outcome != probe.Answered {
					t.Errorf("came to %v, %v", a.Outcome, a.Err)
				}
				got := told()
				line := regexp.MustCompile(`(?m)^  (looks like|or) +` + prober.Name + `, .*$`).FindString(got)
				if line == "" || strings.Contains(line, "differs") && prober.Host != probe.HostNode {
					t.Errorf("told %q of\n%s", line, got)
				}
			})
		}
	}
}
