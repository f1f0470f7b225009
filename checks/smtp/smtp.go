// Package smtp checks a mail server by talking to it without sending mail.
package smtp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// The values of Check.TLS.
const (
	auto     = "auto"
	startTLS = "starttls"
	implicit = "implicit"
	off      = "off"
)

// Check greets a mail server, encrypts, logs in if there is a user, and takes
// leave (RFC 5321, 3207, 4954). No mail is sent, nor begun.
//
// It proves that the server can be reached, is willing to talk, has a good
// certificate, and accepts the user and the password. It does not prove that
// the server takes a mail to anybody, nor that mail arrives. It costs one
// connection a run, which servers note in their logs; it needs no rights but to
// connect and, with User, to log in.
//
// The password is sent over TLS alone, unless TLS is "off"; CRAM-MD5 (RFC 2195)
// is used where there is no TLS, and does not show the password.
//
//	&smtp.Check{Address: "smtp.example.com:587", TLS: "starttls", User: "app", Password: "secret"}
type Check struct {
	Address  string `yaml:"address" jsonschema:"required" jsonschema_description:"The mail server, host:port."`
	TLS      string `yaml:"tls" jsonschema:"enum=auto,enum=starttls,enum=implicit,enum=off,default=auto" jsonschema_description:"implicit speaks TLS from the start, starttls insists on STARTTLS, off does without; auto is implicit on port 465, otherwise STARTTLS if the server has it."`
	User     string `yaml:"user" jsonschema_description:"The user to log in as; without one there is no login."`
	Password string `yaml:"password" jsonschema_description:"The user's password."`
	Hello    string `yaml:"hello" jsonschema_description:"The name to introduce ourselves by; by default the host's name if it has a domain, else its address."`
	CA       string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Insecure bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where a relative CA file name starts; empty means the working
	// directory.
	Dir string `yaml:"-"`
}

// Validate refuses options that cannot work. The password is not repeated.
func (c *Check) Validate() error {
	errs := []error{link.ValidateAddress("address", c.Address, "smtp.example.com:587", false)}
	switch c.mode() {
	case startTLS, implicit, auto:
	case off:
		errs = append(errs, c.trust().WithoutTLS("remove tls: off"))
	default:
		errs = append(errs, checks.Optionf("tls", "%q is none of auto, starttls, implicit and off", c.TLS))
	}
	switch {
	case c.User != "" && c.Password == "":
		errs = append(errs, checks.Optionf("password", "is missing: user has one"))
	case c.User == "" && c.Password != "":
		errs = append(errs, checks.Optionf("user", "is missing: whose password is it?"))
	case strings.Contains(c.User+c.Password, "\x00"):
		errs = append(errs, checks.Optionf("password", "user or password holds a NUL, which cannot be sent"))
	}
	if strings.ContainsFunc(c.Hello, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		errs = append(errs, checks.Optionf("hello", "%q is not the name of a host: write app1.example.com", c.Hello))
	}
	return errors.Join(errs...)
}

// mode is what TLS means for the port.
func (c *Check) mode() string {
	mode := cmp.Or(c.TLS, auto)
	if _, port, _ := net.SplitHostPort(c.Address); mode == auto && port == "465" { // RFC 8314, 7.3
		return implicit
	}
	return mode
}

// Run talks to the server once.
func (c *Check) Run(ctx context.Context) (string, error) {
	conn, err := link.Dial(ctx, c.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	s := newSession(conn, c.hello(conn.LocalAddr()), c.Password)
	if err := c.talk(s); err != nil {
		if _, refused := errors.AsType[*refusal](err); refused {
			s.quit()
		}
		return "", err
	}
	s.quit()
	return c.summary(conn), nil
}

// talk goes as far as the options say.
func (c *Check) talk(s *session) error {
	mode := c.mode()
	if mode == implicit {
		if err := c.secure(s); err != nil {
			return err
		}
	}
	if err := s.greeting(); err != nil {
		// A server of implicit TLS waits for us to begin.
		if mode != implicit && !s.conn.Began("") && explain.IsTimeout(err) {
			return fmt.Errorf("%w (does it want TLS from the start? tls: implicit)", err)
		}
		return err
	}
	if err := s.hello(); err != nil {
		return err
	}
	if mode == startTLS || mode == auto && s.offers("STARTTLS") {
		if err := c.startTLS(s); err != nil {
			return err
		}
	}
	if c.User == "" {
		return nil
	}
	return s.login(c.User, c.Password, mode == off)
}

func (c *Check) startTLS(s *session) error {
	if err := s.startTLS(); err != nil {
		return err
	}
	if err := c.secure(s); err != nil {
		return err
	}
	// What was said in plain text does not count (RFC 3207, 4.2).
	return s.hello()
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Dir: c.Dir, Insecure: c.Insecure}
}

func (c *Check) secure(s *session) error {
	config, err := c.trust().Config(link.Host(c.Address))
	if err != nil {
		return err
	}
	return s.conn.Secure(config)
}

// hello is how we introduce ourselves: by a name that can be found, or else by
// our address (RFC 5321, 4.1.4).
func (c *Check) hello(local net.Addr) string {
	if c.Hello != "" {
		return c.Hello
	}
	if name, err := os.Hostname(); err == nil && strings.Contains(strings.Trim(name, "."), ".") {
		return name
	}
	host, _, err := net.SplitHostPort(local.String())
	switch {
	case err != nil:
		return "localhost"
	case strings.Contains(host, ":"):
		host, _, _ = strings.Cut(host, "%") // the zone means nothing to others
		return "[IPv6:" + host + "]"
	default:
		return "[" + host + "]"
	}
}

func (c *Check) summary(conn *link.Conn) string {
	how := "in plain text"
	if state, ok := conn.TLS(); ok {
		how = "over " + tls.VersionName(state.Version)
	}
	if c.User != "" {
		return fmt.Sprintf("accepts the login of %q %s: %s", c.User, how, c.Address)
	}
	return fmt.Sprintf("ready %s: %s", how, c.Address)
}
