package redisserver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hale/checks/internal/serverurl"
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

// Schemes by which the libraries of apps know a server: redis-py and redis-rb,
// Spring and Lettuce, kombu (Celery), valkey-py.
var (
	plainSchemes  = []string{"redis", "valkey"}
	tlsSchemes    = []string{"rediss", "valkeys"}
	socketSchemes = []string{"unix", "redis+socket", "redis-socket", "redis+unix", "valkey+socket"}
)

// Form is how a URL is written.
var Form = serverurl.Form{
	Kind:    "Redis",
	Write:   "write redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss://... for TLS, or unix:///PATH?db=DATABASE",
	Escaped: "user and password",
	Schemes: slices.Concat(plainSchemes, tlsSchemes, socketSchemes),
	// Of redis-py, kombu and redis-rb.
	AppOnly: []string{
		"client_name", "connection_pool", "decode_responses", "encoding", "encoding_errors", "health_check_interval",
		"max_connections", "protocol", "retry_on_timeout", "socket_connect_timeout", "socket_keepalive", "socket_timeout", "timeout",
	},
}

// ParseAddress reads a URL. No error repeats any of it but its scheme, or a
// parameter's name.
func ParseAddress(raw string) (*Address, error) {
	u, err := Form.Parse(raw)
	if err != nil {
		return nil, err
	}
	a := &Address{TLS: slices.Contains(tlsSchemes, u.Scheme)}
	if slices.Contains(socketSchemes, u.Scheme) {
		if u.Host != "" || u.Path == "" || u.Path == "/" {
			return nil, errors.New("names no socket: write unix:///PATH, with three slashes")
		}
		a.Where = u.Path
	} else {
		if a.host, a.Where, err = Form.Server(u, "6379"); err != nil {
			return nil, err
		}
		if err := a.setDatabase(strings.TrimPrefix(u.Path, "/")); err != nil {
			return nil, err
		}
	}
	a.user = u.User.Username()
	a.password, _ = u.User.Password()
	if err := Form.Parameters(u, a.setParameter); err != nil {
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
		return Form.Unreadable()
	}
	a.Database = int(n)
	return nil
}

// setParameter takes a parameter as redis-py and kombu do.
func (a *Address) setParameter(name, value string) (known bool, err error) {
	switch name {
	case "db", "virtual_host":
		return true, a.setDatabase(strings.TrimPrefix(value, "/"))
	case "username":
		a.user = value
	case "password":
		a.password = value
	case "ssl_cert_reqs":
		switch strings.TrimPrefix(strings.ToLower(value), "cert_") {
		case "none":
			a.insecure = true
		case "optional", "required":
		default:
			return true, errors.New("has an unknown ssl_cert_reqs: write required or none")
		}
	default:
		return false, nil
	}
	return true, nil
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
