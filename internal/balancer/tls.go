package balancer

import (
	"crypto/tls"
	"fmt"
	"slices"

	"hale/internal/elb"
	"hale/internal/elb/tlsname"
)

// Certificates are those that listeners can have, by ARN.
type Certificates interface {
	Has(arn string) bool
	// Certificate returns the certificate of that ARN, for a client that says
	// hello.
	Certificate(arn string, hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// tlsConfig returns what a listener agrees on with its clients, as its settings
// are when they come.
func (b *Balancer) tlsConfig(l *listener) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			settings := l.settings.Load()
			policy, ok := elb.SSLPolicyOf(settings.SSLPolicy)
			if !ok {
				return nil, fmt.Errorf("no SSL policy %s", settings.SSLPolicy)
			}
			return &tls.Config{
				MinVersion: versionOf(policy.Protocols[0]), MaxVersion: versionOf(policy.Protocols[len(policy.Protocols)-1]),
				CipherSuites: ciphersOf(policy.Ciphers), NextProtos: protocolsFor(hello, l.protocols()),
				GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return b.certificate(l, hello) },
			}, nil
		},
	}
}

// protocols are those that a listener offers by ALPN.
func (l *listener) protocols() []string {
	settings := l.settings.Load()
	switch {
	case settings.Protocol == elb.TLS && len(settings.ALPN) > 0:
		return alpnPolicies[settings.ALPN[0]]
	case settings.Protocol == elb.TLS:
		return nil
	case l.http2.Load():
		return []string{"h2", "http/1.1"}
	default:
		return []string{"http/1.1"}
	}
}

// alpnPolicies are what listeners of protocol TLS offer (guide of Network Load
// Balancers, "ALPN policies").
var alpnPolicies = map[string][]string{
	"HTTP1Only":      {"http/1.1", "http/1.0"},
	"HTTP2Only":      {"h2"},
	"HTTP2Optional":  {"http/1.1", "http/1.0", "h2"},
	"HTTP2Preferred": {"h2", "http/1.1", "http/1.0"},
	"None":           nil,
}

// protocolsFor adds the protocol by which an authority looks for the proof of a
// domain (RFC 8737, challenge tls-alpn-01), if it is asked for.
func protocolsFor(hello *tls.ClientHelloInfo, protocols []string) []string {
	const proof = "acme-tls/1"
	if slices.Contains(hello.SupportedProtos, proof) {
		return []string{proof}
	}
	return protocols
}

// certificate chooses by the server's name among a listener's certificates: the
// first that is good for it, else the default one (guide of Application Load
// Balancers, "SNI certificates").
func (b *Balancer) certificate(l *listener, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if b.options.Certificates == nil {
		return nil, fmt.Errorf("no certificates")
	}
	settings := l.settings.Load()
	if hello.ServerName != "" {
		for _, c := range settings.Certificates {
			found, err := b.options.Certificates.Certificate(c.ARN, hello)
			if err == nil && hello.SupportsCertificate(found) == nil {
				return found, nil
			}
		}
	}
	return b.options.Certificates.Certificate(settings.Certificates[0].ARN, hello)
}

// versionOf returns the version of TLS of that name.
func versionOf(name string) uint16 {
	for v := uint16(tls.VersionTLS10); v < tls.VersionTLS13; v++ {
		if tlsname.Version(v) == name {
			return v
		}
	}
	return tls.VersionTLS13
}

// ciphersOf returns the suites of those names that Go has. Those of TLS 1.3
// cannot be chosen, and are always on.
func ciphersOf(names []string) []uint16 {
	var ids []uint16
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if slices.Contains(names, tlsname.CipherSuite(suite.ID)) {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}
