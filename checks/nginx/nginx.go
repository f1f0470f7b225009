// Package nginx checks by nginx's status page that it has connections left.
package nginx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/checks/internal/statuspage"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// Check asks for nginx's stub_status page.
//
// It proves that a worker of nginx answers, and how many connections its workers
// serve. It does not prove that what is behind nginx works. It costs one
// connection and one request a run, with User-Agent "hale/VERSION nginx check".
// It needs to be let in where the page is.
//
// Connections that nginx dropped between two runs, for lack of
// worker_connections, warn in the second.
//
//	&nginx.Check{URL: "http://127.0.0.1/nginx_status", WarnConnections: 800, MaxConnections: 1000}
type Check struct {
	URL             string `yaml:"url" jsonschema:"required" jsonschema_description:"The page of stub_status, http or https; user and password in it are sent as basic authentication."`
	Socket          string `yaml:"socket" jsonschema_description:"A unix socket on which nginx listens, to connect to instead of the URL's host."`
	WarnConnections int    `yaml:"warn_connections" jsonschema:"minimum=0" jsonschema_description:"Warn when more connections than this are being read from or written to."`
	MaxConnections  int    `yaml:"max_connections" jsonschema:"minimum=0" jsonschema_description:"Fail when more connections than this are being read from or written to."`
	CA              string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's."`
	Insecure        bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where a relative CA starts; empty means the working directory of
	// this process.
	Dir string `yaml:"-"`

	// mu guards everything that follows, and is held for a whole run.
	mu     sync.Mutex
	before *status // of the last run that had an answer
}

// Validate refuses a URL that cannot be asked for, and thresholds that cannot be
// met.
func (c *Check) Validate() error {
	errs := []error{c.page().Validate("http://127.0.0.1/nginx_status")}
	for _, option := range []struct {
		key   string
		value int
	}{{"warn_connections", c.WarnConnections}, {"max_connections", c.MaxConnections}} {
		if option.value < 0 {
			errs = append(errs, checks.Optionf(option.key, "%d is negative", option.value))
		}
	}
	if c.MaxConnections > 0 && c.WarnConnections > c.MaxConnections {
		errs = append(errs, checks.Optionf("warn_connections", "%d is more than max_connections (%d): the check would fail before it warns", c.WarnConnections, c.MaxConnections))
	}
	return errors.Join(errs...)
}

func (c *Check) page() statuspage.Page {
	return statuspage.Page{
		URL:    c.URL,
		Socket: c.Socket,
		Trust:  trust.Options{CA: c.CA, Dir: c.Dir, Insecure: c.Insecure},
		Agent:  "nginx",
		Hint:   hint,
	}
}

// hint says why there is no page.
func hint(resp *http.Response) string {
	switch resp.StatusCode {
	case http.StatusBadRequest:
		return "does the port speak TLS? Then write https://"
	case http.StatusUnauthorized:
		return "it asks for a password: write https://USER:PASSWORD@HOST/PATH"
	case http.StatusForbidden:
		return "the location does not let this machine in: see its allow and deny"
	case http.StatusNotFound:
		return "no stub_status there: add location = /nginx_status { stub_status; allow 127.0.0.1; deny all; } to the server that answers for this host"
	default:
		return ""
	}
}

// Run asks for the page once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	page := c.page()
	body, err := page.Get(ctx, "")
	if err != nil {
		return "", refused(err)
	}
	now, ok := parse(string(body))
	if !ok {
		return "", fmt.Errorf("%s: 200, but %q is not the page of stub_status", page.Name(), explain.Line(string(body)))
	}
	var r report.Report
	text := fmt.Sprintf("%d reading, %d writing, %d waiting", now.reading, now.writing, now.waiting)
	// Those that wait for a client's next request do not count: nginx closes
	// them when it needs their place.
	switch served := now.reading + now.writing; {
	case c.MaxConnections > 0 && served > c.MaxConnections:
		r.Failf("%s: more than %d being served", text, c.MaxConnections)
	case c.WarnConnections > 0 && served > c.WarnConnections:
		r.Warnf("%s: more than %d being served", text, c.WarnConnections)
	default:
		r.Passf("%s", text)
	}
	if n := now.droppedSince(c.before); n > 0 {
		r.Warnf("%s dropped since the last run: more than worker_connections allows, or too few open files", report.Count(int(n), "connection")) //nolint:gosec // of 63 bits
	}
	c.before = &now
	return r.Result()
}

// refused adds what nginx does when it has no connection left: it accepts one
// more, and closes it at once, so that net/http may not even have asked yet.
func refused(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), "connection closed without an answer") {
		return &explain.Error{Text: err.Error() + " (nginx does so when its worker_connections are taken)", Err: err}
	}
	return err
}
