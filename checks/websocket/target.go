package websocket

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strings"

	"hale/checks"
	"hale/checks/internal/web"
	"hale/internal/upstream"
)

// target is what to ask, and whom.
type target struct {
	url     *url.URL // with http or https
	address string   // to connect to: host:port or the path of a socket
	secure  bool
	host    string // to ask for
	proto   string // how the user came, or empty
	name    string // in messages
}

// named puts the name before an error.
func (t target) named(err error) error { return fmt.Errorf("%s: %w", t.name, err) }

// target finds out what the options mean. Errors are OptionErrors.
func (c *Check) target() (target, error) {
	if c.URL == "" {
		return c.app()
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		// The parser's error quotes its input.
		return target{}, checks.Optionf("url", "is not a URL: write ws://HOST:PORT/PATH, and percent-encode special characters in user and password")
	case u.Scheme != "ws" && u.Scheme != "wss":
		return target{}, checks.Optionf("url", "is neither a ws nor a wss URL: write wss://HOST:PORT/PATH")
	case u.Hostname() == "":
		return target{}, checks.Optionf("url", "has no host: write wss://HOST:PORT/PATH")
	case u.Fragment != "":
		return target{}, checks.Optionf("url", "has a fragment (#...), which a WebSocket cannot have")
	case c.Path != "" && (u.Path != "" || u.RawQuery != ""):
		return target{}, checks.Optionf("path", "is said twice: url has a path, too")
	}
	u.Path = cmp.Or(u.Path, "/")
	if c.Path != "" {
		path, err := c.path()
		if err != nil {
			return target{}, err
		}
		u.Path, u.RawPath, u.RawQuery = path.Path, path.RawPath, path.RawQuery
	}
	t := target{secure: u.Scheme == "wss", host: cmp.Or(c.Host, u.Host), proto: c.ForwardedProto, name: web.Public(u)}
	t.address = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[bool]string{false: "80", true: "443"}[t.secure]))
	if c.Host != "" {
		t.name += " as " + c.Host
	}
	t.url = u
	t.url.Scheme = map[bool]string{false: "http", true: "https"}[t.secure]
	return t, nil
}

// app is the path at the app, as a user asks for it.
func (c *Check) app() (target, error) {
	if c.App == "" {
		return target{}, checks.Optionf("url", "is missing: set app.url, or write here ws://HOST:PORT/PATH")
	}
	app, err := upstream.Parse(c.App)
	if err != nil {
		return target{}, &checks.OptionError{Key: "url", Err: fmt.Errorf("is missing, and app.url %w", err)}
	}
	if app.UWSGI() {
		return target{}, checks.Optionf("url", "is missing: app.url speaks the uwsgi protocol, which knows no WebSockets; write here ws://HOST:PORT/PATH")
	}
	u, err := c.path()
	if err != nil {
		return target{}, err
	}
	host := cmp.Or(c.Host, c.AppHost, app.Host())
	t := target{url: u, address: app.Address(), host: host, proto: cmp.Or(c.ForwardedProto, "https")}
	t.name = fmt.Sprintf("%s as %s", u.Path, host)
	u.Scheme, u.Host = "http", host
	return t, nil
}

// path is what to ask for there, as a URL without a host.
func (c *Check) path() (*url.URL, error) {
	path := cmp.Or(c.Path, "/")
	u, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, "#") {
		return nil, checks.Optionf("path", "%q is not a path: write it as /ws/chat/", c.Path)
	}
	return u, nil
}

// isOrigin reports whether s is a scheme and a host (RFC 6454, 6.2).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == s
}
