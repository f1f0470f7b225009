package balance

import (
	"cmp"
	"path/filepath"
	"slices"

	"hale/internal/balancer/certificate"
	"hale/internal/balancer/configuration"
)

// sources returns where a file's certificates come from.
func sources(file *configuration.File, stateDir string) []certificate.Source {
	var all []certificate.Source
	for i := range file.Certificates {
		c := &file.Certificates[i]
		source := certificate.Source{ARN: file.ARN(c.Name), CertificateFile: c.CertificateFile, PrivateKeyFile: c.PrivateKeyFile}
		if c.ACME() {
			source.ACME = certificate.ACME{
				DomainNames: c.DomainNames, Email: c.Email, DirectoryURL: c.DirectoryURL,
				CacheDirectory: cmp.Or(c.CacheDirectory, filepath.Join(stateDir, "acme")),
			}
		}
		all = append(all, source)
	}
	return all
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
