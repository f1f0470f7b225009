// Package page checks a page of the app behind the load balancer, as a user
// sees it.
package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"hale/checks"
	"hale/checks/internal/web"
	"hale/internal/upstream"
)

// Check asks the app itself for a page, in the way in which the app is asked
// when a user comes through the load balancer: with the public host, and with
// the X-Forwarded-* fields that say that the user came by https.
//
// It proves that the whole of the app works for that page: its server, its
// settings, its templates, and what the page needs of databases and caches. A
// redirect is an answer, and not the one that is expected. It costs one
// connection and one request a run, with User-Agent "hale/VERSION page check";
// at most 1 MiB of the page is read, and no cookie is kept. It needs no rights
// but to connect.
//
//	&page.Check{URL: "http://127.0.0.1:8000", Host: "mysite.com", Contains: "Sign in"}
type Check struct {
	URL            string            `yaml:"url" jsonschema_description:"Where the app listens: http://HOST:PORT, unix:///PATH.sock, uwsgi://HOST:PORT or uwsgi+unix:///PATH.sock; by default app.url."`
	Path           string            `yaml:"path" jsonschema:"default=/" jsonschema_description:"The page's path, with its query if it has one."`
	Host           string            `yaml:"host" jsonschema_description:"The public name by which to ask; by default the first exact one of hosts.allow."`
	ForwardedProto string            `yaml:"forwarded_proto" jsonschema:"enum=https,enum=http,default=https" jsonschema_description:"How the user is said to have come to the load balancer."`
	Method         string            `yaml:"method" jsonschema:"default=GET" jsonschema_description:"The request's method."`
	Headers        map[string]string `yaml:"headers" jsonschema_description:"Header fields to add or replace."`
	Status         checks.StatusSet  `yaml:"status" jsonschema:"default=200" jsonschema_description:"The status codes that pass, such as 200 or 200-299,301."`
	Contains       string            `yaml:"contains" jsonschema_description:"Text that the first 1 MiB of the page must contain."`
	Matches        checks.Pattern    `yaml:"matches" jsonschema_description:"A regular expression that must match somewhere in the first 1 MiB of the page."`
	Follow         int               `yaml:"follow" jsonschema:"default=0" jsonschema_description:"How many redirects to follow, within the same host."`
}

// Validate refuses an app that cannot be asked, and a request that cannot be
// made.
func (c *Check) Validate() error {
	errs := []error{web.ValidateMethod(c.Method, c.Contains, c.Matches), web.ValidateHeaders("headers", c.Headers), web.ValidateFollow(c.Follow)}
	if c.URL == "" {
		errs = append(errs, checks.Optionf("url", "is missing: set app.url, or write here where the app listens, such as http://127.0.0.1:8000"))
	} else if _, err := upstream.Parse(c.URL); err != nil {
		errs = append(errs, &checks.OptionError{Key: "url", Err: err})
	}
	if _, err := c.path(); err != nil {
		errs = append(errs, checks.Optionf("path", "%q is not a path: write it as /login/ or /search?q=x", c.Path))
	}
	if strings.ContainsAny(c.Host, "/@ ?#") {
		errs = append(errs, checks.Optionf("host", "%q is not a host name: write mysite.com, without https:// and without a path", c.Host))
	}
	if c.ForwardedProto != "" && c.ForwardedProto != "https" && c.ForwardedProto != "http" {
		errs = append(errs, checks.Optionf("forwarded_proto", "%q is neither https nor http", c.ForwardedProto))
	}
	return errors.Join(errs...)
}

// path returns the path and query to ask for.
func (c *Check) path() (*url.URL, error) {
	path := cmp.Or(c.Path, "/")
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, "#") {
		return nil, errNotPath
	}
	return url.ParseRequestURI(path)
}

var errNotPath = errors.New("not a path")

// Run asks for the page once.
func (c *Check) Run(ctx context.Context) (string, error) {
	app, err := upstream.Parse(c.URL)
	if err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	target, err := c.path()
	if err != nil {
		return "", fmt.Errorf("path: %w", err)
	}
	// The URL is the one in the user's browser; the transport brings every
	// request to the app, whatever its URL says.
	host := cmp.Or(c.Host, app.Host())
	target.Scheme, target.Host = cmp.Or(c.ForwardedProto, "https"), host
	method := cmp.Or(c.Method, http.MethodGet)
	request := web.Request{
		Transport: &forwarded{app.RoundTripper()},
		Method:    method,
		URL:       target,
		Headers:   c.Headers,
		UserAgent: "hale/" + web.Version() + " page check",
		Status:    c.Status.Or(checks.Statuses(http.StatusOK, http.StatusOK)),
		Contains:  c.Contains,
		Matches:   c.Matches,
		Follow:    c.Follow,
		MayFollow: func(next *url.URL) bool { return strings.EqualFold(next.Host, host) },
		Name:      fmt.Sprintf("%s %s as %s", method, target.Path, host),
		Where:     app.Address(),
		Hint:      func(resp *http.Response) string { return c.hint(resp, host) },
	}
	return request.Ask(ctx)
}

// forwarded adds what a load balancer that ends TLS tells the app, unless the
// configuration has set it; for each request anew, since a redirect may lead
// from http to https.
type forwarded struct{ next http.RoundTripper }

func (f *forwarded) RoundTrip(asked *http.Request) (*http.Response, error) {
	r := asked.Clone(asked.Context()) // a RoundTripper must not change its request
	_, port, err := net.SplitHostPort(r.URL.Host)
	if err != nil {
		port = map[string]string{"https": "443", "http": "80"}[r.URL.Scheme]
	}
	for name, value := range map[string]string{
		"X-Forwarded-For":   "127.0.0.1",
		"X-Forwarded-Host":  cmp.Or(r.Host, r.URL.Host),
		"X-Forwarded-Port":  port,
		"X-Forwarded-Proto": r.URL.Scheme,
	} {
		if r.Header.Get(name) == "" {
			r.Header.Set(name, value)
		}
	}
	r.Header.Del("Referer") // the client's addition when it follows a redirect
	resp, err := f.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Request = asked // by whose URL a relative Location is read
	return resp, nil
}
