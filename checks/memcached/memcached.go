// Package memcached checks a memcached server by asking it.
package memcached

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/report"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// DefaultKeyPrefix is what an empty KeyPrefix means.
const DefaultKeyPrefix = "hale:check:"

// maxKey is memcached's limit of a key, in bytes.
const maxKey = 250

// Check asks a memcached server in its text protocol
// (https://github.com/memcached/memcached/blob/master/doc/protocol.txt).
//
// With Mode "ping" it proves that the server can be reached, accepts the user
// and the password if there are any, and answers (version). Mode "write" proves
// that an item can be stored, read back and deleted. With WarnConnections and
// MaxConnections it looks at the server's statistics: one that has all its
// connections in use turns the app away. It costs one connection and one round
// trip a run, one more with a password.
//
// A run that is cut off leaves nothing behind: the item's deletion is sent along
// with the item, and should that not arrive, the item goes by itself after ten
// seconds.
//
//	&memcached.Check{Address: "127.0.0.1:11211", Mode: "write"}
type Check struct {
	Address   string `yaml:"address" jsonschema:"required" jsonschema_description:"Where the server listens: host:port, or the path of a unix socket."`
	Mode      string `yaml:"mode" jsonschema:"enum=ping,enum=write,default=ping" jsonschema_description:"What to do: ping, or write, read back and delete a random item."`
	KeyPrefix string `yaml:"key_prefix" jsonschema:"default=hale:check:" jsonschema_description:"What the random key of mode write begins with."`

	WarnConnections checks.Percent `yaml:"warn_connections" jsonschema_description:"Warn when more of the connections that the server allows are in use than this."`
	MaxConnections  checks.Percent `yaml:"max_connections" jsonschema_description:"Fail when more of the connections that the server allows are in use than this."`

	User     string `yaml:"user" jsonschema_description:"The user to log in as, for a server with an auth-file."`
	Password string `yaml:"password" jsonschema_description:"The user's password."`

	TLS         bool   `yaml:"tls" jsonschema:"default=false" jsonschema_description:"Speak TLS."`
	CA          string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses an address that is none, and options that contradict one
// another.
func (c *Check) Validate() error {
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	socket := link.Network(c.Address) == "unix"
	refuse(!slices.Contains([]string{"", "ping", "write"}, c.Mode), "mode", "%q is neither ping nor write", c.Mode)
	refuse(c.KeyPrefix != "" && c.Mode != "write", "key_prefix", "has no effect without mode: write")
	refuse(strings.ContainsFunc(c.KeyPrefix, func(r rune) bool { return r <= ' ' || r == 0x7f }), "key_prefix", "%q holds a space or a control character", c.KeyPrefix)
	refuse(len(c.KeyPrefix) > maxKey-keyTail, "key_prefix", "has %d bytes, more than the %d that are left of a key", len(c.KeyPrefix), maxKey-keyTail)
	refuse(c.MaxConnections > 0 && c.WarnConnections > c.MaxConnections, "warn_connections", "%v is more than max_connections (%v): the check would fail before it warns", c.WarnConnections, c.MaxConnections)
	refuse(c.User == "" && c.Password != "", "user", "is missing: the password is somebody's")
	refuse(c.User != "" && c.Password == "", "password", "is missing")
	refuse(strings.ContainsAny(c.User, " \r\n"), "user", "holds a space or a line break")
	refuse(strings.ContainsAny(c.Password, " \r\n"), "password", "holds a space or a line break, which memcached takes in none")
	refuse(c.TLS && socket, "tls", "a unix socket has no TLS")
	if !c.TLS {
		errs = append(errs, c.trust().WithoutTLS("write tls: true"))
	}
	return errors.Join(append(errs, link.ValidateAddress("address", c.Address, "127.0.0.1:11211", true), c.trust().Validate())...)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()

	s := &session{conn: conn, r: bufio.NewReader(conn)}
	var found report.Report
	if err := c.converse(s, &found); err != nil {
		refusal, refused := errors.AsType[refusal](err)
		switch {
		case refused:
			return "", fmt.Errorf("%s: %s", c.complaint(refusal), c.Address)
		case errors.Is(err, errStranger):
			return "", conn.Stranger("memcached", err)
		default:
			return "", conn.Explain(s.step, err)
		}
	}
	output, err := found.Result()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, c.Address)
	}
	return output + ": " + c.Address, nil
}

func (c *Check) connect(ctx context.Context) (*link.Conn, error) {
	conn, err := link.Dial(ctx, c.Address)
	if err != nil || !c.TLS {
		return conn, err
	}
	config, err := c.trust().Config(link.Host(c.Address))
	if err == nil {
		err = conn.Secure(config)
	}
	if err != nil {
		_ = conn.Close() // why it is of no use is the news
		return nil, err
	}
	return conn, nil
}

// converse asks what there is to ask.
func (c *Check) converse(s *session, found *report.Report) error {
	if c.User != "" {
		if err := s.login(c.User, c.Password); err != nil {
			return err
		}
	}
	stats := c.WarnConnections > 0 || c.MaxConnections > 0
	if c.Mode == "write" {
		lost, err := s.write(cmp.Or(c.KeyPrefix, DefaultKeyPrefix), stats)
		if err != nil {
			return err
		}
		if lost != "" {
			found.Failf("%s", lost)
		} else {
			found.Passf("stored, read and deleted an item")
		}
	} else {
		version, err := s.version(stats)
		if err != nil {
			return err
		}
		found.Passf("answers, version %s", explain.Line(version))
	}
	if !stats {
		return nil
	}
	values, err := s.stats()
	if err != nil {
		return err
	}
	c.judge(values, found)
	return nil
}

// judge looks at how many connections are in use.
func (c *Check) judge(stats map[string]int64, found *report.Report) {
	used, most := stats["curr_connections"], stats["max_connections"]
	if most <= 0 {
		found.Failf("does not tell how many connections it allows")
		return
	}
	percent := checks.Percent(math.Round(float64(used)/float64(most)*1000) / 10)
	text := fmt.Sprintf("%d of %d connections in use (%v)", used, most, percent)
	switch {
	case c.MaxConnections > 0 && percent > c.MaxConnections:
		found.Failf("%s, more than %v", text, c.MaxConnections)
	case c.WarnConnections > 0 && percent > c.WarnConnections:
		found.Warnf("%s, more than %v", text, c.WarnConnections)
	default:
		found.Passf("%s", text)
	}
}

// complaint says in words what an error of the server means.
func (c *Check) complaint(said refusal) string {
	text := string(said)
	switch {
	case strings.Contains(text, "unauthenticated"):
		return "the server wants a user and a password"
	case strings.Contains(text, "authentication failure"):
		return fmt.Sprintf("wrong user or password: user %q", c.User)
	case strings.Contains(text, "Too many open connections"):
		return "the server has no connection left: as many are open as it allows"
	case strings.Contains(text, "out of memory"):
		return "the server is full, and evicts nothing: " + explain.Line(text)
	default:
		return "the server says: " + explain.Line(text)
	}
}
