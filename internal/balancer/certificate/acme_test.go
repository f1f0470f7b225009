package certificate_test

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"

	"hale/internal/balancer/certificate"
	"hale/internal/balancer/certificate/acmetest"
)

// serve makes handshakes with the certificates of a store.
func serve(t *testing.T, l net.Listener, s *certificate.Store) {
	t.Helper()
	config := &tls.Config{
		NextProtos:     []string{"h2", "http/1.1", "acme-tls/1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate(arn, hello) },
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer conn.Close()
				_ = tls.Server(conn, config).HandshakeContext(t.Context())
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		connections.Wait()
	})
}

func TestACME(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := acmetest.New(t, l.Addr().String(), "site.example")
	source := certificate.Source{ARN: arn, ACME: certificate.ACME{
		DomainNames: []string{"site.example"}, Email: "hostmaster@site.example", CacheDirectory: t.TempDir(), DirectoryURL: a.DirectoryURL(),
	}}
	for _, run := range []string{"obtained", "kept"} {
		s := new(certificate.Store)
		if err := s.Use([]certificate.Source{source}); err != nil {
			t.Fatal(err)
		}
		if run == "obtained" {
			serve(t, l, s)
		}
		// As a client that speaks to it would say: the newest of all.
		hello := &tls.ClientHelloInfo{
			ServerName: "site.example", SupportedVersions: []uint16{tls.VersionTLS13},
			CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
			SupportedCurves: []tls.CurveID{tls.CurveP256},
		}
		for _, name := range []string{"site.example", ""} {
			hello.ServerName = name
			c, err := s.Certificate(arn, hello)
			if err != nil {
				t.Fatalf("%s, for %q: %v", run, name, err)
			}
			if got := c.Leaf.Subject.CommonName; got != "site.example" || c.Leaf.SerialNumber.Int64() != 7 {
				t.Errorf("%s, for %q: got %s, %v", run, name, got, c.Leaf.SerialNumber)
			}
		}
		hello.ServerName = "other.example"
		if _, err := s.Certificate(arn, hello); err == nil {
			t.Errorf("%s: a certificate for a name that nobody configured", run)
		}
	}
	if n := a.Orders(); n != 1 {
		t.Errorf("%d orders, want one", n)
	}
}
