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
	"strings"

	"hale/checks"
)

// Options are what checks let their users say of TLS; their keys in hale.yaml
// are ca, certificate, key and insecure. Files are relative to Dir.
type Options struct {
	CA          string // file of PEM certificates to trust instead of the system's
	Certificate string // file of the client's own certificate, PEM, for a server that asks for one
	Key         string // file of its private key, PEM
	Dir         string // empty: the working directory
	Insecure    bool   // accept any certificate
}

// Validate refuses half a client's certificate.
func (o Options) Validate() error {
	switch {
	case o.Certificate != "" && o.Key == "":
		return checks.Optionf("key", "is missing: the file of the private key that belongs to certificate")
	case o.Key != "" && o.Certificate == "":
		return checks.Optionf("certificate", "is missing: the file of the certificate that belongs to key")
	default:
		return nil
	}
}

// WithoutTLS refuses options that a connection without TLS has no use for. The
// remedy says how to get one with it, as in "write rediss:// in url".
func (o Options) WithoutTLS(remedy string) error {
	var errs []error
	for _, option := range []struct {
		key string
		set bool
	}{{"ca", o.CA != ""}, {"certificate", o.Certificate != ""}, {"insecure", o.Insecure}} {
		if option.set {
			errs = append(errs, checks.Optionf(option.key, "has no effect without TLS: %s", remedy))
		}
	}
	return errors.Join(errs...)
}

// Config returns the settings for a connection to a server that goes by name.
// The files are read each time, so that ones that were replaced count.
func (o Options) Config(name string) (*tls.Config, error) {
	config := &tls.Config{ServerName: name, InsecureSkipVerify: o.Insecure} //nolint:gosec // the option's meaning
	if o.Certificate != "" {
		pair, err := o.pair()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if o.CA == "" {
		return config, nil
	}
	pem, err := o.read("ca", o.CA)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca %s: has no certificate in PEM form (-----BEGIN CERTIFICATE-----)", o.path(o.CA))
	}
	return config, nil
}

// pair reads the client's own certificate.
func (o Options) pair() (tls.Certificate, error) {
	cert, err := o.read("certificate", o.Certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := o.read("key", o.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s, key %s: %s", o.path(o.Certificate), o.path(o.Key), strings.TrimPrefix(err.Error(), "tls: "))
	}
	return pair, nil
}

func (o Options) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(o.Dir, file)
}

// read reads the file of an option.
func (o Options) read(option, file string) ([]byte, error) {
	content, err := os.ReadFile(o.path(file))
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", option, o.path(file), err)
	}
	return content, nil
}
