package certificate_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/internal/balancer/certificate"
)

const arn = "arn:aws:acm:us-east-1:000000000000:certificate/site"

// pair writes a certificate and its key, of that time, and returns the files.
func pair(t *testing.T, dir, domain string, at time.Time) certificate.Source {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := certificate.Source{ARN: arn, CertificateFile: filepath.Join(dir, "site.crt"), PrivateKeyFile: filepath.Join(dir, "site.key")}
	for file, block := range map[string]*pem.Block{
		s.CertificateFile: {Type: "CERTIFICATE", Bytes: der}, s.PrivateKeyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		write(t, file, pem.EncodeToMemory(block), at)
	}
	return s
}

// write sets the time too: two writes may come within a clock's tick.
func write(t *testing.T, file string, data []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

// domain returns whom the store's certificate is for.
func domain(t *testing.T, s *certificate.Store) string {
	t.Helper()
	c, err := s.Certificate(arn, &tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Subject.CommonName
}

func TestFiles(t *testing.T) {
	dir, at := t.TempDir(), time.Now().Add(-time.Hour)
	var log bytes.Buffer
	s := &certificate.Store{Log: slog.New(slog.NewTextHandler(&log, nil))}
	if s.Has(arn) {
		t.Error("an empty store has it")
	}
	source := pair(t, dir, "one.example", at)
	if err := s.Use([]certificate.Source{source}); err != nil {
		t.Fatal(err)
	}
	if got := domain(t, s); got != "one.example" || !s.Has(arn) {
		t.Errorf("got %s", got)
	}

	pair(t, dir, "two.example", at.Add(time.Minute))
	if got := domain(t, s); got != "one.example" {
		t.Errorf("before it is looked at: %s", got)
	}
	s.Look()
	if got := domain(t, s); got != "two.example" {
		t.Errorf("after it changed: %s", got)
	}

	write(t, source.CertificateFile, []byte("nonsense"), at.Add(2*time.Minute))
	log.Reset()
	s.Look()
	s.Look()
	if got := domain(t, s); got != "two.example" {
		t.Errorf("after it became nonsense: %s", got)
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("told %d times:\n%s", n, &log)
	}

	if err := s.Use([]certificate.Source{source}); err != nil {
		t.Errorf("a reload with a file that became nonsense: %v", err)
	}
	if got := domain(t, s); got != "two.example" {
		t.Errorf("after a reload: %s", got)
	}

	pair(t, dir, "three.example", at.Add(3*time.Minute))
	if err := s.Use([]certificate.Source{source}); err != nil {
		t.Fatal(err)
	}
	if got := domain(t, s); got != "three.example" {
		t.Errorf("after a reload with new files: %s", got)
	}
	if err := s.Use(nil); err != nil || s.Has(arn) {
		t.Errorf("it is still there, or %v", err)
	}
	if _, err := s.Certificate(arn, &tls.ClientHelloInfo{}); err == nil {
		t.Error("it can still be had")
	}
}

func TestNewFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	s := new(certificate.Store)
	good := pair(t, dir, "one.example", time.Now())
	if err := s.Use([]certificate.Source{good}); err != nil {
		t.Fatal(err)
	}
	err := s.Use([]certificate.Source{{ARN: arn, CertificateFile: "/nowhere/a.crt", PrivateKeyFile: "/nowhere/a.key"}})
	if err == nil || !strings.Contains(err.Error(), "read the certificate /nowhere/a.crt with the key /nowhere/a.key: ") {
		t.Errorf("got %v", err)
	}
	if got := domain(t, s); got != "one.example" {
		t.Errorf("the one before is gone: %s", got)
	}
}

// A certificate that was in use before is waited for.
func TestUnreadFiles(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	s := &certificate.Store{Log: slog.New(slog.NewTextHandler(&log, nil))}
	source := certificate.Source{ARN: arn, CertificateFile: filepath.Join(dir, "site.crt"), PrivateKeyFile: filepath.Join(dir, "site.key"), Unread: true}
	if err := s.Use([]certificate.Source{source}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "site.crt") || !s.Has(arn) {
		t.Errorf("told:\n%s", &log)
	}
	if c, err := s.Certificate(arn, &tls.ClientHelloInfo{}); c != nil || err == nil {
		t.Errorf("got %v, %v", c, err)
	}
	pair(t, dir, "one.example", time.Now())
	s.Look()
	if got := domain(t, s); got != "one.example" {
		t.Errorf("got %s", got)
	}
}
