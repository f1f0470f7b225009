package certificate_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// signed is a certificate with its key, and what it was signed by.
type signed struct {
	cert   *x509.Certificate
	key    crypto.Signer
	issuer *signed // nil: itself
}

// order is what a certificate is to be; its zero value is a good one of an hour
// ago that lasts for 90 days.
type order struct {
	name     string
	hosts    []string
	from, to time.Duration // since now; 0: see above
	ca       bool
	usage    x509.ExtKeyUsage
}

func sign(t testing.TB, issuer *signed, o order) *signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if o.from == 0 {
		o.from = -time.Hour
	}
	if o.to == 0 {
		o.to = 90 * 24 * time.Hour
	}
	if o.usage == 0 {
		o.usage = x509.ExtKeyUsageServerAuth
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: o.name},
		NotBefore:             time.Now().Add(o.from),
		NotAfter:              time.Now().Add(o.to),
		BasicConstraintsValid: true,
		IsCA:                  o.ca,
		KeyUsage:              x509.KeyUsageDigitalSignature,
	}
	if o.ca {
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		template.ExtKeyUsage = []x509.ExtKeyUsage{o.usage}
	}
	for _, host := range o.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	s := &signed{key: key, issuer: issuer}
	parent, parentKey := template, crypto.Signer(key)
	if issuer != nil {
		parent, parentKey = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	if s.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *signed) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw})
}

func (s *signed) keyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// file writes parts into a file.
func file(t testing.TB, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var content []byte
	for _, part := range parts {
		content = append(content, part...)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve is a TLS server that sends a certificate and others along.
func serve(t testing.TB, config *tls.Config, leaf *signed, along ...*signed) (address string) {
	t.Helper()
	pair := tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}
	for _, s := range along {
		pair.Certificate = append(pair.Certificate, s.cert.Raw)
	}
	if config == nil {
		config = &tls.Config{}
	}
	config.Certificates = []tls.Certificate{pair}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
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
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1)) // shakes hands
			}()
		}
	}()
	return listener.Addr().String()
}
