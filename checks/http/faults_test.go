package http_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"hale/checks"
	check "hale/checks/http"
	"hale/test/checktest"
	"hale/test/servers"
)

// nginx is asked with all that must not be told.
func TestFaults(t *testing.T) {
	address := servers.FreeAddress(t)
	servers.Nginx(t, "", fmt.Sprintf(`server { listen %s; location = /up { return 200 "up"; } }`, address), address)
	checktest.Target{
		Address: address,
		New: func(address string) checks.Check {
			return &check.Check{URL: "http://user:hunter2@" + address + "/up?key=s3cret", Headers: map[string]string{"X-Token": "t0ken"}, Contains: "up"}
		},
		Secrets:     []string{"hunter2", "s3cret", "t0ken", base64.StdEncoding.EncodeToString([]byte("user:hunter2"))},
		Connections: func() int { return servers.Connections(t, address) },
	}.Faults(t)
}

func TestTLSFaults(t *testing.T) {
	t.Parallel()
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) (address string) {
			address = servers.FreeAddress(t)
			servers.Nginx(t, "", fmt.Sprintf("server { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; location = /up { return 200; } }",
				address, cert.CertFile, cert.KeyFile), address)
			return address
		},
		New: func(address, ca string, insecure bool) checks.Check {
			return &check.Check{URL: "https://" + address + "/up", CA: ca, Insecure: insecure}
		},
		Before: func(address string) string { return "GET https://" + address + "/up: " },
	}.Faults(t)
}

// A server that asks for a certificate gets ours, also after a redirect to it.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	secure, plain := servers.FreeAddress(t), servers.FreeAddress(t)
	servers.Nginx(t, "", fmt.Sprintf(`
		server { listen %[1]s ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_client_certificate %[3]s; ssl_verify_client on; return 200 $ssl_client_verify; }
		server { listen %[2]s; return 301 https://%[1]s/up; }`, secure, plain, cert.CertFile, cert.KeyFile), secure, plain)
	dir, file := filepath.Split(cert.CertFile)
	ours := check.Check{URL: "https://" + secure + "/up", CA: file, Certificate: file, Key: cert.KeyFile, Dir: dir, Contains: "SUCCESS"}
	redirected, nobody := ours, ours
	redirected.URL, redirected.Follow = "http://"+plain+"/", 1
	nobody.Certificate, nobody.Key = "", ""
	expect(t, &ours, 0, "")
	expect(t, &redirected, 0, "")
	expect(t, &nobody, 0, "GET https://"+secure+"/up: 400, expected 200-299")
}

func TestSoak(t *testing.T) {
	api := httptest.NewServer(answers())
	defer api.Close()
	proxy := servers.Proxy(t, api.Listener.Addr().String())
	checktest.Soak(t, &check.Check{URL: "http://" + proxy.Address() + "/host"}, proxy.Open)
}
