// Package nats checks a NATS server by connecting to it as an app does, and the
// streams and consumers of its JetStream.
package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/report"
	"hale/checks/internal/trust"
)

// Check connects to a NATS server, logs in, and asks for a PONG. Where streams
// and consumers are named, it asks JetStream about them.
//
// It proves that a server can be reached, takes the credentials, and answers;
// of a stream, that it is there, has a leader and all its replicas; of a
// consumer, that it is there and how far it lags. It costs one connection a run
// and, for each stream and consumer named, one request of JetStream's API.
// Nothing is published to the app's subjects, and nothing is kept.
//
// With several servers in URL, separated by commas, it passes when any of them
// does, as for an app: they are asked one after the other.
//
//	&nats.Check{URL: "nats://app:secret@nats.internal:4222", Consumers: []string{"ORDERS/mailer"}, MaxLag: 1000}
type Check struct {
	URL         string   `yaml:"url" jsonschema:"required" jsonschema_description:"The server: nats://USER:PASSWORD@HOST:PORT, nats://TOKEN@HOST or tls://HOST; several are separated by commas."`
	Credentials string   `yaml:"credentials" jsonschema_description:"File with a user's JWT and its seed, as nsc writes it (.creds); relative to the directory of hale.yaml."`
	NKey        string   `yaml:"nkey" jsonschema_description:"File with the seed of a user's NKey (SU...); relative to the directory of hale.yaml."`
	CA          string   `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml. TLS is demanded then."`
	Certificate string   `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one. TLS is demanded then."`
	Key         string   `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool     `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`
	TLSFirst    bool     `yaml:"tls_first" jsonschema:"default=false" jsonschema_description:"Begin with TLS, for a server with handshake_first."`
	JetStream   bool     `yaml:"jetstream" jsonschema:"default=false" jsonschema_description:"JetStream must be there for this user; streams and consumers demand it anyway."`
	Domain      string   `yaml:"domain" jsonschema_description:"JetStream's domain, where it is not that of the server."`
	Streams     []string `yaml:"streams" jsonschema_description:"Streams that must be there."`
	Consumers   []string `yaml:"consumers" jsonschema_description:"Durable consumers that must be there, as STREAM/CONSUMER."`
	WarnLag     int64    `yaml:"warn_lag" jsonschema_description:"Warn when more messages than this wait to be delivered to a consumer."`
	MaxLag      int64    `yaml:"max_lag" jsonschema_description:"Fail when more messages than this wait to be delivered to a consumer."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses what cannot work. No error repeats the URL: it may hold a
// password.
func (c *Check) Validate() error {
	var errs []error
	if _, err := parseServers(c.URL); err != nil {
		errs = append(errs, &checks.OptionError{Key: "url", Err: err})
	}
	if c.Credentials != "" && c.NKey != "" {
		errs = append(errs, checks.Optionf("nkey", "is one way to log in, credentials another: write one of them"))
	}
	for _, stream := range c.Streams {
		if !isName(stream) {
			errs = append(errs, checks.Optionf("streams", "%q is not the name of a stream: it has no spaces, dots, slashes, * and >", stream))
		}
	}
	for _, both := range c.Consumers {
		if stream, consumer, ok := strings.Cut(both, "/"); !ok || !isName(stream) || !isName(consumer) {
			errs = append(errs, checks.Optionf("consumers", "%q is not STREAM/CONSUMER", both))
		}
	}
	if c.Domain != "" && !isName(c.Domain) {
		errs = append(errs, checks.Optionf("domain", "%q is not the name of a JetStream domain", c.Domain))
	}
	errs = append(errs, c.trust().Validate())
	switch {
	case c.WarnLag < 0:
		errs = append(errs, checks.Optionf("warn_lag", "%d is negative", c.WarnLag))
	case c.MaxLag < 0:
		errs = append(errs, checks.Optionf("max_lag", "%d is negative", c.MaxLag))
	case c.MaxLag > 0 && c.WarnLag > c.MaxLag:
		errs = append(errs, checks.Optionf("warn_lag", "%d is more than max_lag (%d): the check would fail before it warns", c.WarnLag, c.MaxLag))
	case (c.WarnLag > 0 || c.MaxLag > 0) && len(c.Consumers) == 0:
		errs = append(errs, checks.Optionf("consumers", "is missing: whose lag to look at, as STREAM/CONSUMER"))
	}
	return errors.Join(errs...)
}

// isName reports whether s can be the name of a stream, a consumer or a domain:
// one token of a subject, and of a file's path.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r)
	})
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// Run asks the first server that answers.
func (c *Check) Run(ctx context.Context) (string, error) {
	servers, err := parseServers(c.URL)
	if err != nil {
		return "", fmt.Errorf("url %w", err)
	}
	var report report.Report
	var unreachable []error
	for i, server := range servers {
		ctx, cancel := link.NewAttempt(ctx, len(servers)-i)
		session, err := c.open(ctx, server)
		if err != nil {
			cancel()
			unreachable = append(unreachable, err)
			continue
		}
		defer cancel()
		defer session.close()
		ctx.Settle()
		report.Passf("answers: %s", server.address)
		for _, err := range unreachable {
			report.Passf("%v", err)
		}
		if session.info.LameDuck {
			report.Warnf("the server is about to stop (lame duck mode): %s", server.address)
		}
		if err := c.jetStream(session, &report); err != nil {
			return "", err
		}
		return report.Result()
	}
	for _, err := range unreachable {
		report.Failf("%v", err)
	}
	return report.Result()
}
