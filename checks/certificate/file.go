package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"hale/internal/explain"
)

// maxFile bounds what is read of a file, in bytes.
const maxFile = 1 << 20

// read gets the chain out of File, and sees whether Key belongs to it.
func (c *Check) read(j *judge) ([]*x509.Certificate, error) {
	path := c.path(c.File)
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	chain, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	if c.Key == "" {
		return chain, nil
	}
	keyPath := c.path(c.Key)
	key, err := readFile(keyPath)
	if err != nil {
		return nil, err
	}
	if text := wrongKey(content, key); text != "" {
		j.problems = append(j.problems, fmt.Sprintf("the private key in %s %s", keyPath, text))
	}
	return chain, nil
}

// parse returns the certificates of a PEM file, of which there is at least one.
func parse(content []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in the file cannot be read (%s)", len(chain)+1, strings.TrimPrefix(explain.Line(err.Error()), "x509: "))
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
	}
	return chain, nil
}

// wrongKey says what is wrong with a key; empty if it belongs to the first
// certificate.
func wrongKey(cert, key []byte) string {
	_, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		return ""
	case strings.Contains(err.Error(), "does not match"):
		return "does not belong to the certificate"
	case strings.Contains(string(key), "ENCRYPTED"):
		return "is encrypted"
	default:
		return "cannot be read" // the cause might quote the key
	}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err, path)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, reason(err, path)
	}
	return content, nil
}

func reason(err error, path string) error {
	text := explain.Innermost(err)
	if errors.Is(err, fs.ErrNotExist) {
		text = "no such file"
	}
	return &explain.Error{Text: text + ": " + path, Err: err}
}
