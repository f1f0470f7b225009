// Package ldap checks a directory server by logging in to it, and by looking for
// an entry.
package ldap

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/trust"
)

// Check binds to an LDAP server as a user, or as nobody, and may look for an
// entry (RFC 4511).
//
// It proves that the server can be reached, has a good certificate, and accepts
// the user and the password; with Base also that it has the entry, and with
// Filter that it has an entry like that below it. It costs one connection and
// one bind a run, and one search that ends at the first entry found and asks for
// none of its attributes. It needs a user who may bind and, for the search, see
// the entry; without User, that the server lets anonymous clients do so.
//
//	&ldap.Check{URL: "ldaps://ldap.example.com", User: "cn=app,dc=example,dc=com", Password: "secret"}
type Check struct {
	URL         string `yaml:"url" jsonschema:"required" jsonschema_description:"The server: ldap://HOST:PORT, ldaps://HOST:PORT, or ldapi:///PATH for a unix socket; the ports are 389 and 636 unless given."`
	StartTLS    bool   `yaml:"starttls" jsonschema:"default=false" jsonschema_description:"Turn a connection of ldap:// into one with TLS before anything else."`
	User        string `yaml:"user" jsonschema_description:"Whom to bind as: a distinguished name, or whatever the server takes for one; without it the bind is anonymous."`
	Password    string `yaml:"password" jsonschema_description:"The user's password."`
	Base        string `yaml:"base" jsonschema_description:"Distinguished name of an entry that must be there; with filter, of the entry below which to search."`
	Filter      string `yaml:"filter" jsonschema_description:"A filter that an entry at or below base must match, as in (uid=app)."`
	CA          string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses options that cannot work. The password is not repeated.
func (c *Check) Validate() error {
	var errs []error
	server, err := parse(c.URL)
	if err != nil {
		errs = append(errs, &checks.OptionError{Key: "url", Err: err})
	}
	switch {
	case err != nil:
	case c.StartTLS && server.scheme != "ldap":
		errs = append(errs, checks.Optionf("starttls", "is for ldap:// alone: %s:// needs none", server.scheme))
	case !c.StartTLS && server.scheme == "ldap":
		errs = append(errs, c.trust().WithoutTLS("write ldaps:// in url, or starttls: true"))
	case server.scheme == "ldapi":
		errs = append(errs, c.trust().WithoutTLS("remove it, a unix socket has none"))
	}
	switch {
	case c.User != "" && c.Password == "":
		// Servers take that for an anonymous bind, and answer that all is well
		// (RFC 4513, 5.1.2).
		errs = append(errs, checks.Optionf("password", "is missing: user has one"))
	case c.User == "" && c.Password != "":
		errs = append(errs, checks.Optionf("user", "is missing: whose password is it?"))
	}
	if _, err := ldap.ParseDN(c.Base); err != nil {
		errs = append(errs, checks.Optionf("base", "%q is not a distinguished name: write it as ou=people,dc=example,dc=com", c.Base))
	}
	if _, err := ldap.CompileFilter(c.filter()); err != nil {
		errs = append(errs, checks.Optionf("filter", "%q is not a filter: write it as (uid=app) or (&(objectClass=person)(uid=app))", c.Filter))
	} else if c.Filter != "" && c.Base == "" {
		errs = append(errs, checks.Optionf("base", "is missing: the entry below which filter is to look"))
	}
	errs = append(errs, c.trust().Validate())
	return errors.Join(errs...)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// filter is what an entry has to match; all have a class.
func (c *Check) filter() string { return cmp.Or(c.Filter, "(objectClass=*)") }

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	server, err := parse(c.URL)
	if err != nil {
		return "", fmt.Errorf("url %w", err)
	}
	conn, err := link.Dial(ctx, server.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	s := newSession(conn, c.Password)
	if err := c.secure(s, server); err != nil {
		return "", err
	}
	defer s.unbind()
	if err := s.bind(c.User, c.Password); err != nil {
		return "", err
	}
	if c.Base != "" {
		if err := s.find(c.Base, c.Filter != "", c.filter()); err != nil {
			return "", err
		}
	}
	return c.summary(conn), nil
}

func (c *Check) secure(s *session, server server) error {
	if server.scheme != "ldaps" && !c.StartTLS {
		s.conn.Hint = "(does it want TLS? ldaps://)"
		return nil
	}
	config, err := c.trust().Config(link.Host(server.address))
	if err != nil {
		return err
	}
	if c.StartTLS {
		if err := s.startTLS(); err != nil {
			return err
		}
	}
	return s.conn.Secure(config)
}

func (c *Check) summary(conn *link.Conn) string {
	text := "accepts anonymous clients"
	if c.User != "" {
		text = fmt.Sprintf("accepts the login of %q", c.User)
	}
	if state, ok := conn.TLS(); ok {
		text += " over " + tls.VersionName(state.Version)
	}
	switch {
	case c.Filter != "":
		text += fmt.Sprintf(", has an entry %s below %q", c.Filter, c.Base)
	case c.Base != "":
		text += fmt.Sprintf(", has %q", c.Base)
	}
	return text + ": " + conn.Address()
}
