package certificate

import (
	"crypto/tls"
	"fmt"
	"slices"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME is how a certificate is obtained: by the challenge tls-alpn-01 (RFC 8737),
// in a handshake with a listener that names the certificate.
type ACME struct {
	// DomainNames are what to obtain it for. Each has a certificate of its own.
	DomainNames []string
	// Email is told to the authority; empty: none.
	Email string
	// CacheDirectory keeps account and certificates; it is made if it is not
	// there.
	CacheDirectory string
	// DirectoryURL is the authority's; empty: that of Let's Encrypt.
	DirectoryURL string
}

func (a ACME) same(b ACME) bool {
	return slices.Equal(a.DomainNames, b.DomainNames) && a.Email == b.Email && sameFile(a.CacheDirectory, b.CacheDirectory) && a.DirectoryURL == b.DirectoryURL
}

// fromAuthority is a certificate that is obtained when the first client asks for
// it, and again before it expires.
type fromAuthority struct {
	domains []string
	manager *autocert.Manager
}

func obtained(a ACME) *fromAuthority {
	return &fromAuthority{a.DomainNames, &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Email:      a.Email,
		Cache:      autocert.DirCache(a.CacheDirectory),
		HostPolicy: autocert.HostWhitelist(a.DomainNames...),
		Client:     &acme.Client{DirectoryURL: a.DirectoryURL, UserAgent: "hale"},
	}}
}

// get returns the certificate of the name that a client asks for; one that names
// none gets the first domain's.
func (f *fromAuthority) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		named := *hello
		named.ServerName = f.domains[0]
		hello = &named
	}
	c, err := f.manager.GetCertificate(hello)
	if err != nil {
		return nil, fmt.Errorf("obtain the certificate of %q: %w", hello.ServerName, err)
	}
	return c, nil
}

// changed has nothing to do: the manager renews by itself.
func (f *fromAuthority) changed() (bool, error) { return false, nil }
