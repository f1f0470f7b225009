package rabbit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hale/checks/internal/serverurl"
)

// Address is a URL taken apart.
type Address struct {
	Where string // host:port
	TLS   bool

	host           string // by which its certificate goes
	vhost          string
	user, password string
}

// Form is how a URL is written.
var Form = serverurl.Form{
	Kind:    "AMQP",
	Write:   "write amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://... for TLS",
	Escaped: "user, password and vhost",
	// Those of RabbitMQ's own specification
	// (https://www.rabbitmq.com/docs/uri-spec), and those by which kombu, and so
	// Celery, picks a library.
	Schemes: []string{"amqp", "amqps", "pyamqp", "librabbitmq"},
	// https://www.rabbitmq.com/docs/uri-query-parameters, and pika's.
	AppOnly: []string{
		"blocked_connection_timeout", "channel_max", "connection_attempts", "connection_timeout", "frame_max", "heartbeat",
		"login_method", "retry_delay", "socket_timeout",
	},
}

// ParseAddress reads a URL. What it leaves out is as in all clients: the host
// localhost, the user guest with the password guest, the virtual host "/". No
// error repeats any of it but its scheme, or a parameter's name.
func ParseAddress(raw string) (*Address, error) {
	u, err := Form.Parse(raw)
	if err != nil {
		return nil, err
	}
	a := &Address{TLS: u.Scheme == "amqps", vhost: cmp.Or(strings.TrimPrefix(u.Path, "/"), "/"), user: "guest", password: "guest"}
	port := "5672"
	if a.TLS {
		port = "5671"
	}
	if a.host, a.Where, err = Form.Server(u, port); err != nil {
		return nil, err
	}
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
	}
	if err := Form.Parameters(u, refuse); err != nil {
		return nil, err
	}
	return a, nil
}

// refuse says what to write in place of the parameters of TLS.
func refuse(name, _ string) (known bool, err error) {
	if slices.Contains([]string{"cacertfile", "certfile", "keyfile", "verify", "ssl"}, name) {
		return true, fmt.Errorf("has the parameter %s: write amqps:// and the options ca, certificate, key and insecure instead", name)
	}
	return false, nil
}
