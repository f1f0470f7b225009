package redisserver

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Address is a URL taken apart.
type Address struct {
	Where    string // host:port, or the path of a unix socket
	TLS      bool
	Database int

	host     string // empty for a socket
	insecure bool
	user     string
	password string
}

// Forms says how to write a URL.
const Forms = "write redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss://... for TLS, or unix:///PATH?db=DATABASE"

// ErrUnreadable is the error of a URL that is none. It repeats nothing: the usual cause is a password that was pasted
// as it is, and any part of the URL may be part of it.
var ErrUnreadable = errors.New("cannot be read: " + Forms + ", with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, % as %25)")

// Schemes by which the libraries of apps know a server: redis-py and redis-rb,
// Spring and Lettuce, kombu (Celery), valkey-py.
var (
	plainSchemes  = []string{"redis", "valkey"}
	tlsSchemes    = []string{"rediss", "valkeys"}
	socketSchemes = []string{"unix", "redis+socket", "redis-socket", "redis+unix", "valkey+socket"}
)

// IsURL reports whether a URL has a scheme of Redis.
func IsURL(raw string) bool {
	scheme, _, ok := strings.Cut(raw, ":")
	return ok && slices.Contains(slices.Concat(plainSchemes, tlsSchemes, socketSchemes), scheme)
}

// ParseAddress reads a URL. No error repeats any of it but its scheme.
func ParseAddress(raw string) (*Address, error) {
	if raw == "" {
		return nil, errors.New("is missing: " + Forms)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, ErrUnreadable
	}
	a := new(Address)
	switch scheme := u.Scheme; {
	case slices.Contains(socketSchemes, scheme):
		if u.Host != "" || u.Path == "" || u.Path == "/" {
			return nil, errors.New("names no socket: write unix:///PATH, with three slashes")
		}
		a.Where = u.Path
	case slices.Contains(plainSchemes, scheme), slices.Contains(tlsSchemes, scheme):
		a.TLS = slices.Contains(tlsSchemes, scheme)
		port := cmp.Or(u.Port(), "6379")
		n, err := strconv.ParseUint(port, 10, 16)
		several := strings.Contains(u.Host, ",") || strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[")
		if err != nil || n == 0 || several {
			return nil, ErrUnreadable
		}
		a.host = cmp.Or(u.Hostname(), "localhost")
		a.Where = net.JoinHostPort(a.host, port)
		if err := a.setDatabase(strings.TrimPrefix(u.Path, "/")); err != nil {
			return nil, err
		}
	case scheme == "":
		return nil, errors.New("has no scheme: " + Forms)
	default:
		return nil, fmt.Errorf("has the scheme %q, which is none of Redis: %s", scheme, Forms)
	}
	a.user = u.User.Username()
	a.password, _ = u.User.Password()
	if err := a.setParameters(u.RawQuery); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Address) setDatabase(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return ErrUnreadable
	}
	a.Database = int(n)
	return nil
}

// passedOver are parameters of redis-py, kombu and redis-rb that only concern
// the app's own connections.
var passedOver = []string{
	"client_name", "connection_pool", "decode_responses", "encoding", "encoding_errors", "health_check_interval",
	"max_connections", "protocol", "retry_on_timeout", "socket_connect_timeout", "socket_keepalive", "socket_timeout", "timeout",
}

// setParameters reads what follows the question mark, as redis-py and kombu do.
// A parameter that is not known is refused: a typing error in a setting of TLS
// must not go unnoticed.
func (a *Address) setParameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil || strings.Contains(query, "@") {
		return ErrUnreadable
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values.Get(name)
		switch {
		case name == "db", name == "virtual_host":
			if err := a.setDatabase(strings.TrimPrefix(value, "/")); err != nil {
				return err
			}
		case name == "username":
			a.user = value
		case name == "password":
			a.password = value
		case name == "ssl_cert_reqs":
			switch strings.TrimPrefix(strings.ToLower(value), "cert_") {
			case "none":
				a.insecure = true
			case "optional", "required":
			default:
				return errors.New("has an unknown ssl_cert_reqs: write required or none")
			}
		case slices.Contains(passedOver, name):
		case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "":
			return fmt.Errorf("has a parameter that is not known here: %s; remove it, or give the check a URL of its own", name)
		default:
			return ErrUnreadable
		}
	}
	return nil
}

// login is the command that logs in; nil if the URL has nothing to do it with.
func (a *Address) login() []string {
	switch {
	case a.user == "" && a.password == "":
		return nil
	case a.user == "":
		return []string{"AUTH", a.password}
	default:
		return []string{"AUTH", a.user, a.password}
	}
}

// whom names the user, for messages.
func (a *Address) whom() string {
	if a.user == "" {
		return "the default user"
	}
	return fmt.Sprintf("user %q", a.user)
}
