package tlsname_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"hale/internal/elb"
	"hale/internal/elb/tlsname"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	for v, want := range map[uint16]string{
		tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3", 0: "", 1: "",
	} {
		if got := tlsname.Version(v); got != want {
			t.Errorf("%#x: %q, want %q", v, got, want)
		}
	}
}

func TestCipherSuite(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256:                "TLS_AES_128_GCM_SHA256",
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
		0xffff: "0xFFFF",
	} {
		if got := tlsname.CipherSuite(id); got != want {
			t.Errorf("%#x: %q, want %q", id, got, want)
		}
	}
}

// Every suite that crypto/tls would choose by itself has ELB's name.
func TestUsualSuitesAreNamed(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, policy := range elb.SSLPolicies() {
		for _, c := range policy.Ciphers {
			known[c] = true
		}
	}
	for _, suite := range tls.CipherSuites() {
		name := tlsname.CipherSuite(suite.ID)
		if suite.SupportedVersions[0] == tls.VersionTLS13 {
			if name != suite.Name {
				t.Errorf("%s is called %s", suite.Name, name)
			}
			continue
		}
		if strings.HasPrefix(name, "TLS_") {
			t.Errorf("%s has no other name", suite.Name)
		}
		if !known[name] && !strings.Contains(name, "CHACHA20") {
			t.Errorf("%s: no security policy has %s", suite.Name, name)
		}
	}
}
