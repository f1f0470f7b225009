// Package upstream names the programs that requests are moved to: where they
// listen and which protocol they speak there.
package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// An Upstream is the address of a program and the protocol it speaks. It is a
// small comparable value, so that it can be a map's key; the zero Upstream is
// none. Make one with Parse, ParseTarget or New.
type Upstream struct {
	scheme  string // one of the constants below
	address string // host:port, or the path of a unix socket
}

const (
	schemeHTTP      = "http"
	schemeHTTPS     = "https"
	schemeH2C       = "h2c"
	schemeH2        = "h2"
	schemeUnix      = "unix"
	schemeUWSGI     = "uwsgi"
	schemeUWSGIUnix = "uwsgi+unix"
)

// The longest path that fits sockaddr_un on Linux, without its final zero
// (unix(7)).
const maxSocketPath = 107

const forms = "write http://HOST:PORT, unix:///PATH.sock (HTTP over a unix socket), uwsgi://HOST:PORT or uwsgi+unix:///PATH.sock"

// Parse reads an upstream's URL: http://host:port (port 80 when absent),
// unix:///path.sock for HTTP over a unix socket, uwsgi://host:port, or
// uwsgi+unix:///path.sock. The errors say what to write instead, and never
// repeat the text given, which may hold a password.
func Parse(s string) (Upstream, error) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return Upstream{}, notURL(s)
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case schemeHTTP, schemeUWSGI:
		address, err := parseAddress(scheme, rest)
		return Upstream{scheme, address}.orZero(err)
	case schemeUnix, schemeUWSGIUnix:
		address, err := parseSocket(scheme, rest)
		return Upstream{scheme, address}.orZero(err)
	case "https":
		return Upstream{}, fmt.Errorf("the scheme https is not supported for an upstream: the hop to the app is plain, write http://HOST:PORT")
	case "http+unix", "unix+http":
		return Upstream{}, fmt.Errorf("for HTTP over a unix socket write unix:///PATH.sock")
	default:
		return Upstream{}, fmt.Errorf("unknown scheme: %s", forms)
	}
}

// ParseTarget reads a load balancer's target: what Parse reads, and
// https://host:port for HTTP/1.1 over TLS (port 443 when absent),
// h2c://host:port for HTTP/2 without TLS, or h2://host:port with it.
func ParseTarget(s string) (Upstream, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	switch scheme = strings.ToLower(scheme); scheme {
	case schemeHTTPS, schemeH2C, schemeH2:
		address, err := parseAddress(scheme, rest)
		return Upstream{scheme, address}.orZero(err)
	}
	return Parse(s)
}

// Protocol is what is spoken to a load balancer's target.
type Protocol uint8

const (
	HTTP  Protocol = iota // HTTP/1.1
	HTTPS                 // HTTP/1.1 over TLS
	H2C                   // HTTP/2 without TLS, known to be spoken
	H2                    // HTTP/2 over TLS
)

var schemes = [...]string{HTTP: schemeHTTP, HTTPS: schemeHTTPS, H2C: schemeH2C, H2: schemeH2}

// String returns the scheme that ParseTarget knows the protocol by.
func (p Protocol) String() string { return schemes[p] }

// New returns the upstream at an address that is known to be right: host:port.
func New(p Protocol, address string) Upstream { return Upstream{p.String(), address} }

func (u Upstream) orZero(err error) (Upstream, error) {
	if err != nil {
		return Upstream{}, err
	}
	return u, nil
}

func notURL(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("empty: %s", forms)
	case strings.HasPrefix(s, "/"):
		return fmt.Errorf("a path alone does not say the protocol: write unix:///PATH.sock or uwsgi+unix:///PATH.sock")
	case strings.HasPrefix(s, "unix:"), strings.HasPrefix(s, "uwsgi+unix:"):
		return fmt.Errorf("two slashes and the absolute path belong after the colon: write unix:///PATH.sock or uwsgi+unix:///PATH.sock")
	default:
		return fmt.Errorf("no scheme: %s", forms)
	}
}

// parseAddress reads host:port with nothing behind it but an optional slash.
func parseAddress(scheme, rest string) (string, error) {
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil:
		// The parser's error quotes its input.
		return "", fmt.Errorf("not a valid URL: write %s://HOST:PORT, with an IPv6 address in brackets", scheme)
	case u.User != nil:
		return "", fmt.Errorf("a user and password have no place in an upstream's URL: write %s://HOST:PORT", scheme)
	case strings.HasPrefix(u.Host, "unix:"), u.Host == "unix":
		return "", fmt.Errorf("for a unix socket write unix:///PATH.sock or uwsgi+unix:///PATH.sock")
	case u.Hostname() == "":
		return "", fmt.Errorf("no host: write %s://HOST:PORT", scheme)
	case !validHost(u.Hostname(), strings.HasPrefix(u.Host, "[")):
		return "", fmt.Errorf("the host is neither a name nor an address: write %s://HOST:PORT, with an IPv6 address in brackets", scheme)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return "", fmt.Errorf("requests keep their own path, so the URL ends after the port: write %s://%s", scheme, u.Host)
	}
	port := u.Port()
	if port == "" {
		switch scheme {
		case schemeHTTP:
			port = "80"
		case schemeHTTPS:
			port = "443"
		default:
			return "", fmt.Errorf("no port: write %s://%s:PORT", scheme, u.Host)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %s is not between 1 and 65535", port)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// validHost reports whether a host is a name, an IPv4 address or, where there
// are brackets, an IPv6 address.
func validHost(host string, brackets bool) bool {
	if brackets {
		a, err := netip.ParseAddr(host)
		return err == nil && a.Is6() && a.Zone() == ""
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return !strings.ContainsRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_", r)
	})
}

func parseSocket(scheme, file string) (string, error) {
	switch {
	case !strings.HasPrefix(file, "/"):
		return "", fmt.Errorf("a socket's path is absolute: write %s:///PATH.sock, with three slashes", scheme)
	case strings.ContainsAny(file, "\x00\n\r?#"):
		return "", fmt.Errorf("a socket's path holds no line break, ? or #: write %s:///PATH.sock", scheme)
	case strings.HasSuffix(file, "/"), path.Clean(file) == "/":
		return "", fmt.Errorf("the path names a directory, not a socket: write %s:///PATH.sock", scheme)
	}
	file = path.Clean(file)
	if len(file) > maxSocketPath {
		return "", fmt.Errorf("the socket's path has %d bytes, more than the %d that the system allows: use a shorter one", len(file), maxSocketPath)
	}
	return file, nil
}

// MustParse is Parse for addresses known to be right, in tests for one; it
// panics on an error.
func MustParse(s string) Upstream {
	u, err := Parse(s)
	if err != nil {
		panic("upstream: " + err.Error())
	}
	return u
}

// UnmarshalText implements encoding.TextUnmarshaler with Parse.
func (u *Upstream) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	*u = v
	return err
}

// MarshalText implements encoding.TextMarshaler with String.
func (u Upstream) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// String returns the URL that ParseTarget would read as u, or "" for the zero value.
func (u Upstream) String() string {
	if u.IsZero() {
		return ""
	}
	return u.scheme + "://" + u.address
}

// IsZero reports whether u is no upstream at all.
func (u Upstream) IsZero() bool { return u.scheme == "" }

// UWSGI reports whether the upstream speaks the uwsgi protocol rather than
// HTTP/1.1.
func (u Upstream) UWSGI() bool { return u.scheme == schemeUWSGI || u.scheme == schemeUWSGIUnix }

// TLS reports whether the upstream is spoken to over TLS.
func (u Upstream) TLS() bool { return u.scheme == schemeHTTPS || u.scheme == schemeH2 }

// HTTP2 reports whether the upstream speaks HTTP/2.
func (u Upstream) HTTP2() bool { return u.scheme == schemeH2C || u.scheme == schemeH2 }

// Network returns "tcp" or "unix", as package net names them.
func (u Upstream) Network() string {
	if u.scheme == schemeUnix || u.scheme == schemeUWSGIUnix {
		return "unix"
	}
	return "tcp"
}

// Address returns host:port, or the path of the socket.
func (u Upstream) Address() string { return u.address }

// Host returns what belongs into the Host field of a request that has no host
// of its own: host:port without its scheme's own port, 80 or 443, or
// "localhost" for a socket.
func (u Upstream) Host() string {
	if u.Network() == "unix" {
		return "localhost"
	}
	if u.TLS() {
		return strings.TrimSuffix(u.address, ":443")
	}
	return strings.TrimSuffix(u.address, ":80")
}

// Dial connects, and leaves TLS to the caller. Nothing but ctx bounds the time
// that takes.
func (u Upstream) Dial(ctx context.Context) (net.Conn, error) {
	if u.IsZero() {
		return nil, fmt.Errorf("dial: no upstream given")
	}
	// Keep-alive probes find a peer that vanished without a word, which a
	// quiet WebSocket or event stream would otherwise never stop waiting for.
	d := net.Dialer{KeepAlive: 15 * time.Second}
	return d.DialContext(ctx, u.Network(), u.address)
}
