package certificate

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"hale/checks"
	"hale/health"
	"hale/internal/explain"
)

// judge judges a chain of certificates as it was sent or found: the certificate
// itself first.
type judge struct {
	now               time.Time
	roots             *x509.CertPool // nil means the system's
	anybody           bool           // may have signed it
	usage             x509.ExtKeyUsage
	names             []string
	warnLeft, minLeft checks.Span

	// problems found beforehand, with the certificate's file.
	problems []string
}

// verdict is what a judge has to say: everything that is wrong, or else until
// when the certificate is good.
type verdict struct {
	status health.Status
	lines  []string
	err    error // of the library, if one was met
}

func (j *judge) judge(chain []*x509.Certificate) verdict {
	leaf := chain[0]
	problems := slices.Clone(j.problems)
	if text := j.outsideDates(leaf); text != "" {
		problems = append(problems, fmt.Sprintf("the certificate of %s %s", title(leaf), text))
	}
	chains, err := j.verify(chain)
	if err != nil {
		problems = append(problems, j.brokenChain(chain, err))
	}
	for _, name := range j.names {
		if err := leaf.VerifyHostname(hostname(name)); err != nil {
			problems = append(problems, fmt.Sprintf("the certificate is for %s, not for %s", subjects(leaf), name))
		}
	}
	if len(problems) > 0 {
		return verdict{health.Fail, problems, err}
	}
	return j.timeLeft(chain, chains)
}

// verify looks for chains to an authority that is trusted. Whether the
// certificate itself is within its dates is not its question.
func (j *judge) verify(chain []*x509.Certificate) ([][]*x509.Certificate, error) {
	leaf := chain[0]
	if j.anybody {
		// Of what is sent along, all counts.
		return [][]*x509.Certificate{chain}, j.anyExpired(chain[1:])
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	if j.outsideDates(leaf) != "" {
		timeless := *leaf
		timeless.NotBefore, timeless.NotAfter = j.now, j.now
		leaf = &timeless
	}
	return leaf.Verify(x509.VerifyOptions{
		Roots: j.roots, Intermediates: intermediates, CurrentTime: j.now, KeyUsages: []x509.ExtKeyUsage{j.usage},
	})
}

func (j *judge) anyExpired(certs []*x509.Certificate) error {
	for _, cert := range certs {
		if j.outsideDates(cert) != "" {
			return x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired}
		}
	}
	return nil
}

// brokenChain says why no chain leads to an authority.
func (j *judge) brokenChain(chain []*x509.Certificate, err error) string {
	// Why a link is bad is lost on the library's way out.
	for _, cert := range chain[1:] {
		if text := j.outsideDates(cert); text != "" {
			return fmt.Sprintf("the intermediate certificate of %s %s", title(cert), text)
		}
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if text := j.outsideDates(invalid.Cert); invalid.Reason == x509.Expired && text != "" {
			return fmt.Sprintf("the authority's certificate of %s %s", title(invalid.Cert), text)
		}
		if invalid.Reason == x509.IncompatibleUsage {
			return "the certificate is not meant for a server (extended key usage)"
		}
		return strings.TrimPrefix(explain.Line(invalid.Error()), "x509: ")
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		return strings.TrimPrefix(explain.Line(err.Error()), "x509: ")
	}
	top := top(chain)
	switch {
	case top == chain[0] && selfSigned(top):
		return "the certificate signed itself: no authority vouches for it"
	case selfSigned(top):
		return fmt.Sprintf("signed by an unknown authority, %s", title(top))
	case top == chain[0]:
		return fmt.Sprintf("no way to a known authority: the issuer, %s, is neither sent along nor trusted (an intermediate certificate is missing, or an authority of your own)", issuer(top))
	default:
		return fmt.Sprintf("signed by an unknown authority, %s", issuer(top))
	}
}

// top follows a chain as it was sent to its last link.
func top(chain []*x509.Certificate) *x509.Certificate {
	cert := chain[0]
	for range chain {
		next := slices.IndexFunc(chain, func(c *x509.Certificate) bool {
			return c != cert && c.IsCA && cert.CheckSignatureFrom(c) == nil
		})
		if next < 0 || selfSigned(cert) {
			break
		}
		cert = chain[next]
	}
	return cert
}

// selfSigned tells whether a certificate is its own issuer. CheckSignatureFrom
// would refuse one that is no authority.
func selfSigned(cert *x509.Certificate) bool {
	return string(cert.RawIssuer) == string(cert.RawSubject) &&
		cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// timeLeft judges when the best of the chains ends.
func (j *judge) timeLeft(sent []*x509.Certificate, chains [][]*x509.Certificate) verdict {
	var first *x509.Certificate
	for _, chain := range chains {
		earliest := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first == nil || earliest.NotAfter.After(first.NotAfter) {
			first = earliest
		}
	}
	leaf := sent[0]
	what := "the certificate of " + title(leaf)
	if !first.Equal(leaf) {
		what = fmt.Sprintf("%s in the chain of %s", title(first), title(leaf))
	}
	left := checks.Span(first.NotAfter.Sub(j.now))
	text := fmt.Sprintf("%s ends in %s, on %s", what, left.Coarse(), date(first.NotAfter))
	quarter := checks.Span(first.NotAfter.Sub(first.NotBefore)) / 4
	warnLeft := cmp.Or(j.warnLeft, max(j.minLeft, min(DefaultWarnLeft, quarter)))
	switch {
	case left < j.minLeft:
		return verdict{health.Fail, []string{text + ", sooner than " + j.minLeft.String()}, nil}
	case left < warnLeft:
		return verdict{health.Warn, []string{text + ", sooner than " + warnLeft.String()}, nil}
	}
	for _, cert := range sent[1:] {
		if text := j.outsideDates(cert); text != "" {
			return verdict{health.Warn, []string{fmt.Sprintf("%s is sent along and %s: clients that do not look for another way stop there", title(cert), text)}, nil}
		}
	}
	return verdict{health.Pass, []string{text}, nil}
}

// outsideDates says how a certificate is outside its dates; empty if it is not.
func (j *judge) outsideDates(cert *x509.Certificate) string {
	switch {
	case j.now.After(cert.NotAfter):
		return fmt.Sprintf("expired %s ago, on %s", checks.Span(j.now.Sub(cert.NotAfter)).Coarse(), date(cert.NotAfter))
	case j.now.Before(cert.NotBefore):
		return fmt.Sprintf("is not valid before %s, in %s", date(cert.NotBefore), checks.Span(cert.NotBefore.Sub(j.now)).Coarse())
	default:
		return ""
	}
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// title is how people call a certificate.
func title(cert *x509.Certificate) string {
	name := cert.Subject.CommonName
	switch {
	case !cert.IsCA && len(cert.DNSNames) > 0:
		name = cert.DNSNames[0]
	case name == "" && len(cert.IPAddresses) > 0:
		name = cert.IPAddresses[0].String()
	case name == "":
		name = cert.Subject.String()
	}
	return quoted(name)
}

func issuer(cert *x509.Certificate) string {
	return quoted(cmp.Or(cert.Issuer.CommonName, cert.Issuer.String()))
}

// quoted puts what a stranger wrote into quotes unless it looks like a name of
// a host.
func quoted(name string) string {
	name = explain.Line(name)
	if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-:*_") != "" {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// subjects are the names that a certificate is good for, a few of them.
func subjects(cert *x509.Certificate) string {
	var all []string
	for _, name := range cert.DNSNames {
		all = append(all, quoted(name))
	}
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0:
		return "no name at all"
	case len(all) > 4:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:3], ", "), len(all)-3)
	default:
		return strings.Join(all, ", ")
	}
}

// hostname writes an IPv6 address as the library wants it.
func hostname(name string) string {
	if ip := net.ParseIP(name); ip != nil {
		return ip.String()
	}
	return strings.TrimSuffix(name, ".")
}
