// Package http checks a URL: another service that the app needs, or the app
// from outside.
package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"hale/checks"
	"hale/checks/internal/trust"
	"hale/checks/internal/web"
)

// Check asks for a URL.
//
// It proves that the host's name resolves, that the server can be reached, that
// its certificate is good, and that it answers as it should. Redirects are not
// followed unless Follow says so: a redirect to a login page is no proof of
// anything. It costs one connection and one request a run, with User-Agent
// "hale/VERSION http check"; at most 1 MiB of the body is read. It speaks
// HTTP/1.1, asks directly rather than through a proxy of the environment, and
// needs no rights.
//
//	&http.Check{URL: "https://api.example.com/status", Matches: checks.MustPattern(`"ok":\s*true`)}
type Check struct {
	URL         string            `yaml:"url" jsonschema:"required" jsonschema_description:"The http or https URL to ask for; user and password in it are sent as basic authentication."`
	Method      string            `yaml:"method" jsonschema:"default=GET" jsonschema_description:"The request's method."`
	Host        string            `yaml:"host" jsonschema_description:"The Host to send instead of the URL's; the certificate is still checked against the URL."`
	Headers     map[string]string `yaml:"headers" jsonschema_description:"Header fields to add or replace."`
	Status      checks.StatusSet  `yaml:"status" jsonschema:"default=200-299" jsonschema_description:"The status codes that pass, such as 200 or 200-299,301."`
	Contains    string            `yaml:"contains" jsonschema_description:"Text that the first 1 MiB of the body must contain."`
	Matches     checks.Pattern    `yaml:"matches" jsonschema_description:"A regular expression that must match somewhere in the first 1 MiB of the body."`
	Follow      int               `yaml:"follow" jsonschema:"default=0" jsonschema_description:"How many redirects to follow."`
	CA          string            `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string            `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string            `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool              `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate: a load balancer does the same, a browser does not."`

	// Dir is where relative file names start; empty means the working directory
	// of this process.
	Dir string `yaml:"-"`
}

// Validate refuses a URL that cannot be asked for, without repeating it: it may
// hold a password.
func (c *Check) Validate() error {
	errs := []error{web.ValidateMethod(c.Method, c.Contains, c.Matches), web.ValidateHeaders("headers", c.Headers), web.ValidateFollow(c.Follow)}
	if u, err := c.url(); err != nil {
		errs = append(errs, &checks.OptionError{Key: "url", Err: err})
	} else if u.Scheme == "http" && c.Follow == 0 {
		const noTLS = "has no effect without TLS: write https:// in url"
		if c.CA != "" {
			errs = append(errs, checks.Optionf("ca", noTLS))
		}
		if c.Certificate != "" {
			errs = append(errs, checks.Optionf("certificate", noTLS))
		}
	}
	return errors.Join(append(errs, c.trust().Validate())...)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

func (c *Check) url() (*url.URL, error) {
	if c.URL == "" {
		return nil, errors.New("is missing: write https://HOST/PATH")
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		// The parser's error quotes its input.
		return nil, errors.New("is not a URL: write https://HOST:PORT/PATH, and percent-encode special characters in user and password")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is neither an http nor an https URL: write https://HOST:PORT/PATH")
	case u.Hostname() == "":
		return nil, errors.New("has no host: write https://HOST:PORT/PATH")
	}
	return u, nil
}

// Run asks for the URL once.
func (c *Check) Run(ctx context.Context) (string, error) {
	u, err := c.url()
	if err != nil {
		return "", fmt.Errorf("url %w", err)
	}
	method := cmp.Or(c.Method, http.MethodGet)
	name := method + " " + web.Public(u)
	if c.Host != "" {
		name += " as " + c.Host
	}
	transport, err := c.transport()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	request := web.Request{
		Transport: transport,
		Method:    method,
		URL:       u,
		Host:      c.Host,
		Headers:   c.Headers,
		UserAgent: "hale/" + web.Version() + " http check",
		Status:    c.Status.Or(checks.Statuses(200, 299)),
		Contains:  c.Contains,
		Matches:   c.Matches,
		Follow:    c.Follow,
		Name:      name,
		Where:     web.Address(u),
	}
	return request.Ask(ctx)
}

// transport opens a connection for each request, so that the check finds out
// whether that works, and closes it after the answer.
func (c *Check) transport() (http.RoundTripper, error) {
	config, err := c.trust().Config("") // each redirect's server has its own name
	if err != nil {
		return nil, err
	}
	transport := web.Transport(config)
	transport.DisableKeepAlives = true
	return transport, nil
}
