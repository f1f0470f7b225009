// Package ssh checks an SSH server by its greeting, and by its host key. It does
// not log in.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/internal/explain"
)

// Check exchanges versions with an SSH server (RFC 4253, 4.2); with Fingerprint
// also keys (RFC 4253, 7), so that the server proves that it has its host key.
//
// It proves that the server can be reached and serves new clients; with
// Fingerprint that it is the server that is meant. It does not prove that
// anybody can log in. It costs one connection a run, with Fingerprint also one
// key exchange; sshd writes a line about each to its log. It needs no rights.
//
//	&ssh.Check{Address: "10.0.3.7:22", Fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrUSSXO5sFkI2mVdjgl6mnQc"}
type Check struct {
	Address     string `yaml:"address" jsonschema:"required" jsonschema_description:"Where the server listens, host:port."`
	Fingerprint string `yaml:"fingerprint" jsonschema_description:"The fingerprint of one of the server's host keys, as ssh-keygen -l prints it: SHA256:..."`
}

// Validate refuses an address that cannot be connected to, and what is no
// fingerprint.
func (c *Check) Validate() error {
	errs := []error{link.ValidateAddress("address", c.Address, "10.0.3.7:22", false)}
	if c.Fingerprint != "" && !isFingerprint(c.Fingerprint) {
		errs = append(errs, checks.Optionf("fingerprint", "%q is not a fingerprint: write SHA256:... with 43 characters, as ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub prints it", c.Fingerprint))
	}
	return errors.Join(errs...)
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	if c.Fingerprint != "" {
		return c.compare(ctx)
	}
	s, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer s.conn.Close()
	s.leave()
	return fmt.Sprintf("answers as %s: %s", s.software(), c.Address), nil
}

// connect connects and exchanges versions.
func (c *Check) connect(ctx context.Context) (*session, error) {
	conn, err := link.Dial(ctx, c.Address)
	if err != nil {
		return nil, err
	}
	s := newSession(conn)
	if err := s.versions(); err != nil {
		_ = conn.Close() // the news is the error
		return nil, err
	}
	return s, nil
}

// compare asks for one host key after the other, until one has the fingerprint:
// a server shows only one to a connection. The kind that servers like best comes
// first.
func (c *Check) compare(ctx context.Context) (string, error) {
	var seen []string
	for left := kinds; ; {
		s, err := c.connect(ctx)
		if err != nil {
			return "", err
		}
		key, err := s.hostKey(left)
		_ = s.conn.Close()
		switch {
		case errors.Is(err, errNoneLeft) && len(seen) == 0:
			return "", fmt.Errorf("the server has no host key of a kind that is known here: %s", c.Address)
		case errors.Is(err, errNoneLeft):
			return "", fmt.Errorf("host key is %s, expected %s: %s", strings.Join(seen, ", "), c.Fingerprint, c.Address)
		case err != nil:
			return "", err
		case key.fingerprint == c.Fingerprint:
			return fmt.Sprintf("answers as %s, host key %s: %s", s.software(), key.fingerprint, c.Address), nil
		}
		seen = append(seen, fmt.Sprintf("%s (%s)", key.fingerprint, key.kind))
		left = without(left, key.kind)
	}
}

// leave lets the server end the connection, so that it does not note an error.
func (s *session) leave() {
	s.conn.Hurry(250 * time.Millisecond)
	if s.conn.CloseWrite() == nil {
		s.drain()
	}
}

// software is how the server names itself, for people.
func (s *session) software() string {
	_, software, _ := strings.Cut(strings.TrimPrefix(s.version, "SSH-"), "-")
	return explain.Line(software)
}
