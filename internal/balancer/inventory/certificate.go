package inventory

import "slices"

// CertificateSource is where a certificate that listeners can name comes from: files,
// or an authority for domains. It has no keys in it.
type CertificateSource struct {
	ARN string

	// CertificateFile and PrivateKeyFile are absolute.
	CertificateFile string `json:",omitempty"`
	PrivateKeyFile  string `json:",omitempty"`

	// DomainNames are those that it is obtained for by ACME, in place of files.
	DomainNames []string `json:",omitempty"`
	Email       string   `json:",omitempty"`
	// CacheDirectory is absolute; empty: in the state directory.
	CacheDirectory string `json:",omitempty"`
	DirectoryURL   string `json:",omitempty"`
}

// SetCertificates replaces the certificates that listeners can name. Of those that
// were there, the ones that a listener names stay, and their ARNs are returned.
func (e *Edit) SetCertificates(list []CertificateSource) (stay []string) {
	next := make(map[string]*CertificateSource, len(list))
	for _, c := range list {
		next[c.ARN] = &c
	}
	for _, l := range e.next.Listeners {
		for _, named := range l.Certificates {
			if old := e.next.Certificates[named.ARN]; old != nil && next[named.ARN] == nil {
				next[named.ARN] = old
				stay = append(stay, named.ARN)
			}
		}
	}
	e.next.Certificates = next
	slices.Sort(stay)
	return stay
}

// SortedCertificates returns the certificates by ARN.
func (v *Inventory) SortedCertificates() []*CertificateSource {
	return sorted(v.Certificates, func(c *CertificateSource) string { return c.ARN })
}
