// Package grpc checks a gRPC server by asking its health service.
package grpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/trust"
	"hale/checks/internal/web"
	"hale/internal/explain"
)

// Check asks grpc.health.v1.Health/Check, the health service that most gRPC
// servers have (https://grpc.io/docs/guides/health-checking/).
//
// It proves that the server can be reached, speaks gRPC, and calls the service
// SERVING; what a server proves before it says so is its own affair, and many
// say it always. It costs the server one connection and one call a run, without
// a body but for the service's name. It needs no rights unless the server asks
// for credentials also for its health, which Metadata can hold.
//
//	&grpc.Check{Address: "127.0.0.1:50051", Service: "shop.v1.Cart"}
type Check struct {
	Address     string            `yaml:"address" jsonschema:"required" jsonschema_description:"Where the server listens: host:port, or the path of a unix socket."`
	Service     string            `yaml:"service" jsonschema_description:"The service to ask for, as in shop.v1.Cart; without it, the server as a whole."`
	TLS         bool              `yaml:"tls" jsonschema:"default=false" jsonschema_description:"Speak TLS."`
	CA          string            `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string            `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string            `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool              `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`
	Authority   string            `yaml:"authority" jsonschema_description:"The :authority to ask for, which is also the name that the certificate must have; by default that of the address."`
	Metadata    map[string]string `yaml:"metadata" jsonschema_description:"Metadata to send, such as an authorization."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses options that cannot work. Values of metadata are not
// repeated: they may be secret.
func (c *Check) Validate() error {
	errs := []error{link.ValidateAddress("address", c.Address, "127.0.0.1:50051", true), c.trust().Validate()}
	if strings.ContainsAny(c.Service, "/ ") {
		errs = append(errs, checks.Optionf("service", "%q is not the name of a service: write it as in shop.v1.Cart", c.Service))
	}
	if strings.ContainsAny(c.Authority, "/@ ?#") {
		errs = append(errs, checks.Optionf("authority", "%q is not a host: write api.example.com or api.example.com:443", c.Authority))
	}
	if !c.TLS {
		errs = append(errs, c.trust().WithoutTLS("write tls: true"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Metadata)) {
		if reserved(name) {
			errs = append(errs, checks.Optionf("metadata", "%q is gRPC's own", name))
		}
	}
	return errors.Join(append(errs, web.ValidateHeaders("metadata", c.Metadata))...)
}

// reserved reports whether a field is not for applications to set
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
func reserved(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "te", "content-type", "host", "connection", "transfer-encoding", "content-length":
		return true
	}
	return strings.HasPrefix(name, "grpc-") || strings.HasPrefix(name, ":")
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	answer, err := c.call(ctx, conn)
	if err != nil {
		return "", c.explain(conn, err)
	}
	if answer.code != ok || answer.health != serving {
		return "", c.judge(conn, answer)
	}
	return c.name() + " is SERVING: " + c.Address, nil
}

func (c *Check) connect(ctx context.Context) (*link.Conn, error) {
	conn, err := link.Dial(ctx, c.Address)
	if err != nil {
		return nil, err
	}
	if !c.TLS {
		conn.Hint = "(does it want TLS? tls: true)"
		return conn, nil
	}
	if err := c.secure(conn); err != nil {
		_ = conn.Close() // the news is the error
		return nil, err
	}
	return conn, nil
}

func (c *Check) secure(conn *link.Conn) error {
	config, err := c.trust().Config(c.serverName())
	if err != nil {
		return err
	}
	config.NextProtos = []string{"h2"}
	if err := conn.Secure(config); err != nil {
		return err
	}
	if state, _ := conn.TLS(); state.NegotiatedProtocol != "h2" {
		return fmt.Errorf("TLS: the server does not offer HTTP/2, which gRPC needs (ALPN h2): %s", c.Address)
	}
	return nil
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// serverName is whom the certificate has to be for.
func (c *Check) serverName() string {
	if host, _, err := net.SplitHostPort(c.authority()); err == nil {
		return host
	}
	return c.authority()
}

// authority is whom to ask for; localhost on a unix socket, as in gRPC's own
// clients.
func (c *Check) authority() string {
	if c.Authority == "" && link.Network(c.Address) == "unix" {
		return "localhost"
	}
	return cmp.Or(c.Authority, c.Address)
}

// name is what is asked for, in messages.
func (c *Check) name() string {
	if c.Service == "" {
		return "the server"
	}
	return c.Service
}

// explain says what an error of the call means: there was no answer in gRPC.
func (c *Check) explain(conn *link.Conn, err error) error {
	if foreign, ok := errors.AsType[*foreignError](err); ok {
		return &explain.Error{Text: foreign.Error() + ": " + c.Address, Err: err}
	}
	// A server of HTTP/2 begins with its settings, whose length is less than
	// 64KiB (RFC 9113, 3.4 and 6.5).
	if !c.TLS && conn.Began("") && !conn.Began("\x00\x00") {
		return conn.Stranger("gRPC", err)
	}
	told := conn.Explain("the call", err)
	if isAlert(err) || explain.IsTimeout(err) || errors.Is(told, context.Canceled) {
		return told
	}
	// What is left are the many words in which net/http says that the connection
	// has ended.
	switch {
	case !c.TLS && !conn.Began(""):
		return conn.Explain("the call", io.EOF)
	case c.TLS && c.Certificate == "":
		// In TLS 1.3 the handshake is over for the client before the server has judged
		// the client's certificate, and its alert may not get through.
		return &explain.Error{Text: "connection closed after the TLS handshake; does the server ask for a client's certificate? " + c.Address, Err: err}
	}
	return told
}

// isAlert reports whether the server said in TLS what it is missing.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// judge says what an answer other than SERVING means.
func (c *Check) judge(conn *link.Conn, a answer) error {
	var text string
	switch a.code {
	case ok:
		text = fmt.Sprintf("%s is %v", c.name(), a.health)
	case deadlineExceeded:
		// The server looked at the same deadline as we do, and was first.
		return conn.Explain("the call", context.DeadlineExceeded)
	case notFound:
		text = fmt.Sprintf("%s is unknown to the health service (%v)", c.name(), a.code)
	case unimplemented:
		text = fmt.Sprintf("the server has no health service grpc.health.v1.Health (%v)", a.code)
	case unavailable:
		text = fmt.Sprintf("the server says that it is unavailable (%v)", a.code)
	case unauthenticated:
		text = fmt.Sprintf("credentials are missing or wrong (%v; metadata can hold them)", a.code)
	case permissionDenied:
		text = fmt.Sprintf("the server does not allow to ask for its health (%v)", a.code)
	default:
		text = fmt.Sprintf("the call failed (%v)", a.code)
	}
	said := link.Quote(a.message, slices.Collect(maps.Values(c.Metadata))...)
	return errors.New(text + said + ": " + c.Address)
}

// transport is net/http's HTTP/2 on a connection that is there already.
func transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: protocols, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10}
}
