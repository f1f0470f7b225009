package checktest

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"hale/checks"
	"hale/test/servers"
)

// TLS is a server that speaks TLS, and the check of it.
type TLS struct {
	// Serve starts a server with a certificate. It ends with the test.
	Serve func(t *testing.T, cert servers.Certificate) (address string)

	// New makes a check of a server at an address, 127.0.0.1:port, that trusts
	// the certificates in a file, if it is not empty, or any.
	New func(address, ca string, insecure bool) checks.Check

	// Before returns what the check's messages have before the cause; nil is for
	// a check whose messages have nothing there.
	Before func(address string) string
}

// Faults runs the rows that every check has in common that speaks TLS: the
// certificate is from an unknown authority, or for another name, or has ended.
func (s TLS) Faults(t *testing.T) {
	t.Helper()
	good := servers.NewCertificate(t, "127.0.0.1")
	other := servers.NewCertificate(t, "elsewhere.example")
	ended := servers.ExpiredCertificate(t, "127.0.0.1")
	goodAt, otherAt, endedAt := s.Serve(t, good), s.Serve(t, other), s.Serve(t, ended)
	for _, row := range []struct {
		name, address, ca string
		insecure          bool
		want              string // the error; empty: it passes
	}{
		{"a known authority", goodAt, good.CertFile, false, ""},
		{"any certificate is accepted: unknown authority", goodAt, "", true, ""},
		{"any certificate is accepted: another name", otherAt, "", true, ""},
		{"any certificate is accepted: expired", endedAt, "", true, ""},
		{"an unknown authority", goodAt, "", false, "TLS: certificate signed by an unknown authority: " + goodAt},
		{"another authority", goodAt, other.CertFile, false, "TLS: certificate signed by an unknown authority: " + goodAt},
		{"another name", otherAt, other.CertFile, false, "TLS: certificate is not for 127.0.0.1 but for elsewhere.example: " + otherAt},
		{"expired", endedAt, ended.CertFile, false, "TLS: certificate expired on " + expiry(t, ended) + ": " + endedAt},
		{"no file of authorities", goodAt, "/nowhere.pem", false, "ca /nowhere.pem: no such file or directory"},
	} {
		check := s.New(row.address, row.ca, row.insecure)
		if row.want == "" {
			Target{}.passes(t, check)
		} else {
			if s.Before != nil {
				row.want = s.Before(row.address) + row.want
			}
			Expect(t, check, 0, "", row.want)
		}
		closeCheck(t, check)
	}
}

// expiry is when a certificate ends, as messages put it.
func expiry(t *testing.T, c servers.Certificate) string {
	t.Helper()
	block, _ := pem.Decode(c.CertPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert.NotAfter.UTC().Format(time.DateTime)
}
