package sites

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"testing"
	"time"

	"hale/test/servers"
)

// upTo caps the version of TLS.
func upTo(version uint16) change {
	return func(r *request) {
		r.tls = r.tls.Clone()
		r.tls.MaxVersion = version
	}
}

// verifying checks the certificate, as some load balancers do. Where it comes
// from does not matter.
func verifying(r *request) {
	r.tls = r.tls.Clone()
	r.tls.ServerName = Private
	r.tls.VerifyConnection = func(c tls.ConnectionState) error {
		trusted := x509.NewCertPool()
		trusted.AddCert(c.PeerCertificates[0])
		_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: trusted, DNSName: Private})
		return err
	}
}

// withCertificate shows a certificate to the site.
func withCertificate(c tls.Certificate) change {
	return func(r *request) {
		r.tls = r.tls.Clone()
		r.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
	}
}

func tlsProofs() map[string]proof {
	toTLS := func(plain want) proof {
		return proof{asked(plain), asked(plain, host(Domain)), asked(says(200, "healthy"), overTLS(""))}
	}
	fromTLS := func(over want) proof {
		return proof{asked(over), asked(over, overTLS(Domain)), asked(says(200, "healthy"), plain)}
	}
	named := func(nameless want) proof {
		return proof{asked(nameless), asked(nameless, host(Domain)), asked(says(200, "healthy"), overTLS(Domain))}
	}
	notTLS := failsSaying(tlsFailed, "first record does not look like a TLS handshake")
	clientCertificate := func(without want) proof {
		return proof{
			asked(without),
			asked(without, overTLS(Domain)),
			does(func(t *testing.T, s Site) {
				r := health(s, 0)
				withCertificate(servers.NewCertificate(t, "client").TLS(t))(r)
				if a := r.send(); without.of(a) == "" {
					t.Errorf("a certificate changes nothing: %v", a)
				}
			}),
		}
	}
	return map[string]proof{
		"nginx-tls":   toTLS(says(400, "The plain HTTP request was sent to HTTPS port")),
		"apache-tls":  toTLS(says(400, "You're speaking plain HTTP to an SSL-enabled server port")),
		"haproxy-tls": toTLS(fails(closed)),
		"caddy-tls":   toTLS(says(400, "Client sent an HTTP request to an HTTPS server.")),
		"go-tls":      toTLS(says(400, "Client sent an HTTP request to an HTTPS server.")),
		"node-tls":    toTLS(fails(closed)),

		"nginx-plain":    fromTLS(notTLS),
		"go-plain":       fromTLS(notTLS),
		"node-plain":     fromTLS(notTLS),
		"gunicorn-plain": fromTLS(fails(noTLS)),

		"nginx-reject-handshake": named(failsSaying(tlsFailed, "unrecognized name")),
		"haproxy-strict-sni":     named(failsSaying(tlsFailed, "unrecognized name")),
		"caddy-one-site": {
			asked(failsSaying(tlsFailed, "internal error")),
			asked(want{status: 200, header: "Content-Length: 0"}, overTLS(Domain)),
			asked(want{status: 200, header: "Content-Length: 0"}, overTLS(Domain), path(nowhere)),
			asked(says(200, "healthy"), overTLS(Domain), host(Domain)),
		},
		"apache-strict-sni": named(says(403, "Server Name Indication (SNI)")),

		"nginx-tls13-only": {
			asked(failsSaying(tlsFailed, "protocol version"), upTo(tls.VersionTLS12)),
			asked(says(200, "healthy")),
		},
		"nginx-client-certificate":   clientCertificate(says(400, "No required SSL certificate was sent")),
		"go-client-certificate":      clientCertificate(failsSaying(tlsFailed, "certificate required")),
		"haproxy-client-certificate": clientCertificate(failsSaying(tlsFailed, "certificate required")),
		"nginx-expired-certificate": {
			asked(status(200)),
			asked(failsSaying(tlsFailed, "certificate has expired"), verifying),
			does(haproxyDistrusts),
		},
		"nginx-certificate-of-other-name": {
			asked(status(200)),
			asked(failsSaying(tlsFailed, "127.0.0.5"), verifying),
		},

		"nginx-http2": {
			asked(failsSaying(notHTTP, "\\x00\\x00\\x12\\x04")),
			does(healthyOverHTTP2),
		},
		"go-http2": {
			asked(fails(closed)),
			does(healthyOverHTTP2),
		},
		"node-http2": {
			asked(failsSaying(notHTTP, "\\x00\\x00")),
			does(healthyOverHTTP2),
		},
		"node-http2-tls": {
			asked(says(403, "Missing ALPN Protocol, expected `h2`")),
			does(healthyOverHTTP2),
		},
		"grpc-without-services": {grpcSays("12")},
		"grpc-with-health":      {grpcSays("0")},
	}
}

// haproxyDistrusts shows that HAProxy finds the site down, whose certificate
// it checks.
func haproxyDistrusts(t *testing.T, s Site) {
	lb := newSetting(t)
	lb.words["@site@"] = s.Address
	lb.words["@ca@"] = lb.file("ca.pem", peerCertificate(t, s))
	log := serveHAProxy(lb, `
frontend lb
	bind @address@
	default_backend sites
backend sites
	option httpchk
	server site @site@ check inter 100ms fall 1 ssl verify required ca-file @ca@
`).Log
	inLog("Layer6 invalid response").do(t, Site{Log: log})
}

// peerCertificate returns the certificate that a site shows, as PEM.
func peerCertificate(t *testing.T, s Site) string {
	conn, err := tls.Dial("tcp", s.Address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// http2 asks a site over HTTP/2 alone, and returns the answer, whose body has
// been read and closed.
func http2(t *testing.T, s Site, method string, fields http.Header, body []byte) *http.Response {
	t.Helper()
	var only http.Protocols
	url := "http://" + s.Address + s.Path
	if s.Scheme == "https" {
		only.SetHTTP2(true)
		url = "https://" + s.Address + s.Path
	} else {
		only.SetUnencryptedHTTP2(true)
	}
	transport := &http.Transport{Protocols: &only, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: time.Minute}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = fields
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

func healthyOverHTTP2(t *testing.T, s Site) {
	resp := http2(t, s, http.MethodGet, http.Header{}, nil) //nolint:bodyclose // http2 does
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("over HTTP/2: %s %s", resp.Proto, resp.Status)
	}
}

// grpcSays is a step: a call of the health check's method ends with a code.
func grpcSays(code string) step {
	return does(func(t *testing.T, s Site) {
		t.Helper()
		fields := http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
		resp := http2(t, s, http.MethodPost, fields, make([]byte, 5))           //nolint:bodyclose // http2 does
		got := resp.Trailer.Get("Grpc-Status") + resp.Header.Get("Grpc-Status") // which of them has it, the server chooses
		if got != code {
			t.Errorf("grpc-status %q, want %q; %s", got, code, resp.Trailer.Get("Grpc-Message"))
		}
	})
}
