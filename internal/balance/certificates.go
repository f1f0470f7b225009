package balance

import (
	"cmp"
	"path/filepath"
	"slices"

	"hale/internal/balancer"
	"hale/internal/balancer/certificate"
	"hale/internal/balancer/configuration"
	"hale/internal/balancer/inventory"
)

// named returns the certificates that a file names, with its own names of files for
// people to read. What of them cannot be read is an error.
func named(file *configuration.File, stateDir string) []certificate.Source {
	var all []certificate.Source
	for i := range file.Certificates {
		c := &file.Certificates[i]
		all = append(all, source(&inventory.CertificateSource{
			ARN: file.ARN(c.Name), CertificateFile: c.CertificateFile, PrivateKeyFile: c.PrivateKeyFile,
			DomainNames: c.DomainNames, Email: c.Email, CacheDirectory: c.CacheDirectory, DirectoryURL: c.DirectoryURL,
		}, stateDir))
	}
	return all
}

// kept returns the certificates that an inventory has, from files before. What of
// them cannot be read keeps nothing else from working.
func kept(v *inventory.Inventory, stateDir string) []certificate.Source {
	var all []certificate.Source
	for _, c := range v.SortedCertificates() {
		s := source(c, stateDir)
		s.Unread = true
		all = append(all, s)
	}
	return all
}

func source(c *inventory.CertificateSource, stateDir string) certificate.Source {
	s := certificate.Source{ARN: c.ARN, CertificateFile: c.CertificateFile, PrivateKeyFile: c.PrivateKeyFile}
	if len(c.DomainNames) > 0 {
		s.ACME = certificate.ACME{
			DomainNames: c.DomainNames, Email: c.Email, DirectoryURL: c.DirectoryURL,
			CacheDirectory: cmp.Or(c.CacheDirectory, filepath.Join(stateDir, "acme")),
		}
	}
	return s
}

// union returns the first list, and of the second what the first does not name.
func union(first, second []certificate.Source) []certificate.Source {
	all := slices.Clone(first)
	for _, s := range second {
		if !slices.ContainsFunc(first, func(o certificate.Source) bool { return o.ARN == s.ARN }) {
			all = append(all, s)
		}
	}
	return all
}

// readCertificates reads the file's certificates, and those of the state, before a
// listener needs them.
func (s *server) readCertificates() error {
	all := named(s.file, s.stateDir)
	if s.stateDir != "" {
		state, err := balancer.Kept(s.stateDir)
		if err != nil {
			return err
		}
		all = union(all, kept(state, s.stateDir))
	}
	return s.certificates.Use(all)
}
