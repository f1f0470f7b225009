// Package trust makes the TLS settings of checks whose server has a certificate.
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Options are what checks let their users say of TLS; their keys in hale.yaml
// are ca and insecure.
type Options struct {
	CA       string // file of PEM certificates to trust instead of the system's; relative to Dir
	Dir      string // empty: the working directory
	Insecure bool   // accept any certificate
}

// Config returns the settings for a connection to a server that goes by name. The CA file is
// read each time, so that one that was replaced counts.
func (o Options) Config(name string) (*tls.Config, error) {
	config := &tls.Config{ServerName: name, InsecureSkipVerify: o.Insecure} //nolint:gosec // the option's meaning
	if o.CA == "" {
		return config, nil
	}
	file := o.CA
	if !filepath.IsAbs(file) {
		file = filepath.Join(o.Dir, file)
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return nil, fmt.Errorf("ca %s: %w", file, err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca %s: has no certificate in PEM form (-----BEGIN CERTIFICATE-----)", file)
	}
	return config, nil
}
