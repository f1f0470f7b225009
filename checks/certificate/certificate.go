// Package certificate checks that a TLS certificate is good, and stays so for a
// while: a server's, as it sends it, or one in a file.
package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/trust"
	"hale/health"
	"hale/internal/explain"
)

// DefaultWarnLeft is how long before its end a certificate warns, unless a
// quarter of its lifetime is less: what renews it by itself does so earlier.
const DefaultWarnLeft = 21 * checks.Day

// Check looks at a server's certificate, or at one in a file.
//
// It proves that the certificate is within its dates and leaves that time, that
// a chain leads from it to a trusted authority with what the server sends along,
// and that it is good for the names. Of the whole chain the earliest end counts.
// It does not ask whether it was revoked. It costs one connection with a TLS
// handshake a run, in which nothing is asked of the server and nothing is
// logged by most; a file is read. It needs no rights, or those to read the file.
//
//	&certificate.Check{Address: "mysite.com:443"}
//	&certificate.Check{File: "/etc/ssl/mysite.pem", Key: "/etc/ssl/mysite.key", Names: []string{"mysite.com"}}
type Check struct {
	Address    string      `yaml:"address" jsonschema_description:"The server: host:port."`
	File       string      `yaml:"file" jsonschema_description:"A PEM file in place of a server: the certificate first, then the rest of its chain."`
	Key        string      `yaml:"key" jsonschema_description:"PEM file of the private key that must belong to the certificate of file."`
	ServerName string      `yaml:"server_name" jsonschema_description:"The name to ask the server for (SNI), for which its certificate must be good; the default is the host of address."`
	Names      []string    `yaml:"names" jsonschema_description:"Further names and addresses for all of which the certificate must be good."`
	StartTLS   string      `yaml:"starttls" jsonschema:"enum=smtp,enum=imap,enum=pop3,enum=ldap,enum=postgres" jsonschema_description:"The protocol in which to ask for TLS, where the port does not begin with it."`
	WarnLeft   checks.Span `yaml:"warn_left" jsonschema:"default=21d" jsonschema_description:"Warn when the certificate, or one of its chain, ends sooner than this; unless set, no more than a quarter of its lifetime."`
	MinLeft    checks.Span `yaml:"min_left" jsonschema_description:"Fail when it ends sooner than this; without it, when it has ended."`
	CA         string      `yaml:"ca" jsonschema_description:"PEM file of the authorities to trust instead of the system's."`
	Insecure   bool        `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Do not ask who signed the certificate: its dates and names alone count."`

	// Dir is where relative files start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses a check of neither or both, and what one of them has not.
func (c *Check) Validate() error {
	var errs []error
	switch {
	case c.Address == "" && c.File == "":
		errs = append(errs, checks.Optionf("address", "is missing: write the host:port of a server, or the path of a PEM file as file"))
	case c.Address != "" && c.File != "":
		errs = append(errs, checks.Optionf("file", "and address are two certificates: make two checks of them"))
	case c.Address != "":
		errs = append(errs, link.ValidateAddress("address", c.Address, "mysite.com:443", false))
		if c.Key != "" {
			errs = append(errs, checks.Optionf("key", "goes with file alone: a server does not show its key"))
		}
	case c.StartTLS != "":
		errs = append(errs, checks.Optionf("starttls", "goes with address alone"))
	}
	if _, ok := upgrades[c.StartTLS]; !ok && c.StartTLS != "" {
		errs = append(errs, checks.Optionf("starttls", "%q is not a protocol known here: write smtp, imap, pop3, ldap or postgres", c.StartTLS))
	}
	if c.WarnLeft != 0 && c.WarnLeft < c.MinLeft {
		errs = append(errs, checks.Optionf("warn_left", "%v is less than min_left (%v): the check would fail before it warns", c.WarnLeft, c.MinLeft))
	}
	for _, name := range c.Names {
		if name == "" {
			errs = append(errs, checks.Optionf("names", "holds an empty name"))
		}
	}
	return errors.Join(errs...)
}

// Run gets the certificate and judges it.
func (c *Check) Run(ctx context.Context) (string, error) {
	j, err := c.judge()
	if err != nil {
		return "", err
	}
	var chain []*x509.Certificate
	where := c.Address
	if c.File != "" {
		where = c.path(c.File)
		chain, err = c.read(j)
	} else {
		chain, err = c.ask(ctx)
	}
	if err != nil {
		return "", err
	}
	verdict := j.judge(chain)
	text := strings.Join(verdict.lines, "; ") + ": " + where
	switch verdict.status {
	case health.Pass:
		return text, nil
	case health.Warn:
		return "", health.Warnf("%s", text)
	default:
		return "", &explain.Error{Text: text, Err: verdict.err}
	}
}

// judge makes the judge of this check's options.
func (c *Check) judge() (*judge, error) {
	trusted, err := trust.Options{CA: c.CA, Dir: c.Dir}.Config("")
	if err != nil {
		return nil, err
	}
	j := &judge{
		now: time.Now(), roots: trusted.RootCAs, anybody: c.Insecure,
		warnLeft: c.WarnLeft, minLeft: c.MinLeft,
		usage: x509.ExtKeyUsageServerAuth, names: c.Names,
	}
	if c.File != "" {
		j.usage = x509.ExtKeyUsageAny // clients have files of certificates, too
	}
	if name := c.serverName(); name != "" {
		j.names = append([]string{name}, c.Names...)
	}
	return j, nil
}

func (c *Check) serverName() string {
	if c.ServerName != "" || c.Address == "" {
		return c.ServerName
	}
	return link.Host(c.Address)
}

func (c *Check) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.Dir, name)
}

// ask gets the chain that the server sends.
func (c *Check) ask(ctx context.Context) ([]*x509.Certificate, error) {
	conn, err := link.Dial(ctx, c.Address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if upgrade := upgrades[c.StartTLS]; upgrade != nil {
		if err := upgrade(conn); err != nil {
			if refusal, ok := errors.AsType[*refusal](err); ok {
				return nil, fmt.Errorf("%w: %s", refusal, c.Address)
			}
			return nil, conn.Explain("", err)
		}
	}
	var chain []*x509.Certificate
	client := tls.Client(conn, &tls.Config{
		ServerName:         c.serverName(),
		InsecureSkipVerify: true, //nolint:gosec // the judge verifies, and tells all that is wrong
		VerifyConnection: func(state tls.ConnectionState) error {
			chain = state.PeerCertificates
			return nil
		},
	})
	// A server that asks for a certificate of ours may break off; its own it has
	// shown by then.
	if err := client.HandshakeContext(ctx); err != nil && len(chain) == 0 {
		return nil, conn.Explain("", err)
	}
	_ = client.Close() // says goodbye
	return chain, nil
}
