package balancer

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"

	"hale/internal/balancer/inventory"
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
			config := &tls.Config{
				MinVersion: versionOf(policy.Protocols[0]), MaxVersion: versionOf(policy.Protocols[len(policy.Protocols)-1]),
				CipherSuites: ciphersOf(policy.Ciphers), NextProtos: protocolsFor(hello, l.protocols()),
			}
			config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				all := l.settings.Load().Certificates
				arn, certificate, err := b.certificate(all, hello)
				if err == nil && len(all) > 1 {
					b.shown.remember(hello.Conn, config, arn)
				}
				return certificate, err
			}
			return config, nil
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
func (b *Balancer) certificate(all []inventory.Certificate, hello *tls.ClientHelloInfo) (arn string, _ *tls.Certificate, err error) {
	if b.options.Certificates == nil {
		return "", nil, fmt.Errorf("no certificates")
	}
	if hello.ServerName != "" {
		for _, c := range all {
			found, err := b.options.Certificates.Certificate(c.ARN, hello)
			if err == nil && hello.SupportsCertificate(found) == nil {
				return c.ARN, found, nil
			}
		}
	}
	found, err := b.options.Certificates.Certificate(all[0].ARN, hello)
	return all[0].ARN, found, err
}

// shown is which certificate clients were shown, by their connection: what crypto/tls
// tells of one afterwards does not have it.
type shown struct{ arns sync.Map } // of *string, by ends

// ends are the addresses of a connection, of which there is one at a time.
type ends struct{ peer, local netip.AddrPort }

func endsOf(peer, local netip.AddrPort) ends {
	unmapped := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
	return ends{unmapped(peer), unmapped(local)}
}

// remember keeps it as long as somebody has the connection, and with it the
// configuration that was made for it alone.
func (s *shown) remember(nc net.Conn, config *tls.Config, arn string) {
	peer, ok1 := nc.RemoteAddr().(*net.TCPAddr)
	local, ok2 := nc.LocalAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return
	}
	at := endsOf(peer.AddrPort(), local.AddrPort())
	s.arns.Store(at, &arn)
	// By then a later connection may have the same addresses.
	runtime.AddCleanup(config, func(arn *string) { s.arns.CompareAndDelete(at, arn) }, &arn)
}

// to returns the ARN of the certificate that was shown; empty: that is not known.
func (s *shown) to(peer, local netip.AddrPort) string {
	if arn, ok := s.arns.Load(endsOf(peer, local)); ok {
		return *arn.(*string)
	}
	return ""
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
