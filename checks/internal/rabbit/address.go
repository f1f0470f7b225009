package rabbit

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
	Where string // host:port
	TLS   bool

	host           string // by which its certificate goes
	vhost          string
	user, password string
}

const forms = "write amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://... for TLS"

// errUnreadable repeats nothing: the usual cause is a password that was pasted
// as it is, and any part of the URL may be part of it.
var errUnreadable = errors.New("cannot be read: " + forms + ", with special characters in user, password and vhost percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, % as %25)")

// Schemes is what a URL of this protocol begins with: those of RabbitMQ's own
// specification (https://www.rabbitmq.com/docs/uri-spec), and those by which
// kombu, and so Celery, picks a library.
var Schemes = []string{"amqp", "amqps", "pyamqp", "librabbitmq"}

// passedOver are parameters of the client libraries that only concern the app's
// own connections (https://www.rabbitmq.com/docs/uri-query-parameters, pika).
var passedOver = []string{
	"blocked_connection_timeout", "channel_max", "connection_attempts", "connection_timeout", "frame_max", "heartbeat",
	"login_method", "retry_delay", "socket_timeout",
}

// ParseAddress reads a URL. What it leaves out is as in all clients: the host
// localhost, the user guest with the password guest, the virtual host "/". No
// error repeats any of it but its scheme, or a parameter's name.
func ParseAddress(raw string) (*Address, error) {
	if raw == "" {
		return nil, errors.New("is missing: " + forms)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, errUnreadable
	}
	switch {
	case u.Scheme == "":
		return nil, errors.New("has no scheme: " + forms)
	case !slices.Contains(Schemes, u.Scheme):
		return nil, fmt.Errorf("has the scheme %q, which is none of AMQP: %s", u.Scheme, forms)
	}
	a := &Address{TLS: u.Scheme == "amqps", vhost: cmp.Or(strings.TrimPrefix(u.Path, "/"), "/"), user: "guest", password: "guest"}
	port := "5672"
	if a.TLS {
		port = "5671"
	}
	port = cmp.Or(u.Port(), port)
	n, err := strconv.ParseUint(port, 10, 16)
	several := strings.ContainsAny(u.Host, ",;") || strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[")
	if err != nil || n == 0 || several {
		return nil, errUnreadable
	}
	a.host = cmp.Or(u.Hostname(), "localhost")
	a.Where = net.JoinHostPort(a.host, port)
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
	}
	return a, refuseParameters(u.RawQuery)
}

// refuseParameters refuses what is not known: a typing error in a setting of TLS
// must not go unnoticed.
func refuseParameters(query string) error {
	values, err := url.ParseQuery(query)
	// An at sign is one that should have stood in front of the host.
	if err != nil || strings.Contains(query, "@") {
		return errUnreadable
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case slices.Contains(passedOver, name):
		case slices.Contains([]string{"cacertfile", "certfile", "keyfile", "verify", "ssl"}, name):
			return fmt.Errorf("has the parameter %s: write amqps:// and the options ca, certificate, key and insecure instead", name)
		case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "":
			return fmt.Errorf("has a parameter that is not known here: %s; remove it, or give the check a URL of its own", name)
		default:
			return errUnreadable
		}
	}
	return nil
}
