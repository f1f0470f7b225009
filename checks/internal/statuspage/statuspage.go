// Package statuspage fetches the page on which a server tells how it is.
package statuspage

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
	"hale/checks/internal/trust"
	"hale/checks/internal/web"
)

// Page is where the page is, and how to get there.
type Page struct {
	URL    string        // http or https; user and password in it are sent as basic authentication
	Socket string        // path of a unix socket to connect to instead of the URL's host; may be empty
	Trust  trust.Options // for https
	Agent  string        // the type of check, for the User-Agent

	// Hint may say why the answer is not the page; see web.Request.
	Hint func(*http.Response) string
}

// Validate refuses a URL that cannot be asked for, without repeating it: it may
// hold a password. Example is a good one.
func (p Page) Validate(example string) error {
	_, err := p.parse(example)
	if err != nil {
		err = &checks.OptionError{Key: "url", Err: err}
	}
	if p.Socket != "" && !strings.HasPrefix(p.Socket, "/") {
		err = errors.Join(err, checks.Optionf("socket", "%q is not an absolute path: write it as /run/nginx/status.sock", p.Socket))
	}
	return err
}

func (p Page) parse(example string) (*url.URL, error) {
	if p.URL == "" {
		return nil, errors.New("is missing: write it as " + example)
	}
	u, err := url.Parse(p.URL)
	switch {
	case err != nil:
		// The parser's error quotes its input.
		return nil, errors.New("is not a URL: write it as " + example + ", and percent-encode special characters in user and password")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is neither an http nor an https URL: write it as " + example)
	case u.Hostname() == "":
		return nil, errors.New("has no host: write it as " + example)
	}
	return u, nil
}

// Name is the question in messages, "GET http://127.0.0.1/status".
func (p Page) Name() string {
	u, err := url.Parse(p.URL)
	if err != nil {
		return "GET url"
	}
	return "GET " + web.Public(u)
}

// Get fetches the page, with a query of one's own added to the URL's. It opens a
// connection and closes it again. Only status 200 is the page; its first 1 MiB is
// read. Errors are explained.
func (p Page) Get(ctx context.Context, query string) ([]byte, error) {
	u, err := p.parse("http://HOST/PATH")
	if err != nil {
		return nil, &checks.OptionError{Key: "url", Err: err}
	}
	name := p.Name()
	if query != "" {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+query, "&")
	}
	tls, err := p.Trust.Config(u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	transport := web.TransportVia(p.dial, tls)
	transport.DisableKeepAlives = true
	request := web.Request{
		Transport: transport,
		Method:    http.MethodGet,
		URL:       u,
		UserAgent: "hale/" + web.Version() + " " + p.Agent + " check",
		Status:    checks.Statuses(http.StatusOK, http.StatusOK),
		Name:      name,
		Where:     cmp.Or(p.Socket, web.Address(u)),
		Hint:      p.Hint,
	}
	_, body, err := request.Fetch(ctx)
	return body, err
}

func (p Page) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.Socket != "" {
		network, address = "unix", p.Socket
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
