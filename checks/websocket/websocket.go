// Package websocket checks that a server opens a WebSocket, and talks over it.
package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/trust"
	"hale/checks/internal/web"
	"hale/internal/explain"
)

// Check opens a WebSocket (RFC 6455), may send a message and wait for one, and
// closes it in order.
//
// Without URL it asks the app itself, in the way in which the app is asked when
// a user comes through the load balancer: with the public host, with the Origin
// that a browser sends, and with the X-Forwarded-* fields that say that the user
// came by https. With URL it asks that server, and says no more than the options
// do.
//
// It proves that the server takes WebSockets at the path, and lets in who comes
// from the origin; with Send and Expect that it answers. It costs one connection
// a run, with User-Agent "hale/VERSION websocket check", and whatever the app
// does for a new client. It needs no rights but those that the app asks for,
// which Headers can hold.
//
//	&websocket.Check{URL: "wss://chat.example.com/ws/", Send: `{"type": "ping"}`, Expect: "pong"}
type Check struct {
	URL            string            `yaml:"url" jsonschema_description:"The WebSocket, ws://HOST:PORT/PATH or wss://HOST:PORT/PATH; by default the app, at app.url."`
	Path           string            `yaml:"path" jsonschema:"default=/" jsonschema_description:"The path to ask for, with its query if it has one, unless it is part of url."`
	Host           string            `yaml:"host" jsonschema_description:"The Host to ask for; by default that of the url, or for the app the first exact one of hosts.allow."`
	ForwardedProto string            `yaml:"forwarded_proto" jsonschema:"enum=https,enum=http" jsonschema_description:"How the user is said to have come to the load balancer; by default https for the app, and nothing for a url."`
	Origin         string            `yaml:"origin" jsonschema_description:"The Origin to send, https://HOST; by default that of host where forwarded_proto applies."`
	Headers        map[string]string `yaml:"headers" jsonschema_description:"Header fields to add or replace."`
	Subprotocol    string            `yaml:"subprotocol" jsonschema_description:"The subprotocol to ask for, which the server must accept."`
	Send           string            `yaml:"send" jsonschema_description:"Text to send as a message."`
	Expect         string            `yaml:"expect" jsonschema_description:"Text that a message from the server must contain; others before it are passed over."`
	CA             string            `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Insecure       bool              `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	App     string `yaml:"-"` // where the app answers, as app.url
	AppHost string `yaml:"-"` // the app's public name
	Dir     string `yaml:"-"` // where a relative CA file name starts; empty: the working directory
}

// Validate refuses what cannot be asked. A URL is not repeated: it may hold a
// password.
func (c *Check) Validate() error {
	errs := []error{web.ValidateHeaders("headers", c.Headers)}
	t, err := c.target()
	if err != nil {
		errs = append(errs, err)
	}
	if strings.ContainsAny(c.Host, "/@ ?#") {
		errs = append(errs, checks.Optionf("host", "%q is not a host name: write mysite.com, without https:// and without a path", c.Host))
	}
	if c.ForwardedProto != "" && c.ForwardedProto != "https" && c.ForwardedProto != "http" {
		errs = append(errs, checks.Optionf("forwarded_proto", "%q is neither https nor http", c.ForwardedProto))
	}
	if c.Origin != "" && c.Origin != "null" && !isOrigin(c.Origin) {
		errs = append(errs, checks.Optionf("origin", "%q is not an origin: write https://mysite.com, without a path", c.Origin))
	}
	if strings.ContainsFunc(c.Subprotocol, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
		errs = append(errs, checks.Optionf("subprotocol", "%q is not the name of a subprotocol", c.Subprotocol))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if field := http.CanonicalHeaderKey(name); field == "Connection" || field == "Upgrade" || strings.HasPrefix(field, "Sec-Websocket-") {
			errs = append(errs, checks.Optionf("headers", "%q belongs to the handshake: for a subprotocol there is subprotocol", name))
		}
	}
	if err == nil && !t.secure {
		errs = append(errs, c.trust().WithoutTLS("write wss:// in url"))
	}
	return errors.Join(errs...)
}

// Run opens the WebSocket once.
func (c *Check) Run(ctx context.Context) (string, error) {
	t, err := c.target()
	if err != nil {
		return "", err
	}
	line, err := link.Dial(ctx, t.address)
	if err != nil {
		return "", t.named(err)
	}
	defer line.Close()
	if err := c.secure(line, t); err != nil {
		return "", t.named(err)
	}
	socket, err := c.open(ctx, line, t)
	if err != nil {
		return "", err
	}
	defer socket.CloseNow() //nolint:errcheck // it was closed in order, or there is an error already
	said, err := c.talk(ctx, line, socket)
	if err != nil {
		return "", t.named(err)
	}
	line.Hurry(500 * time.Millisecond)
	_ = socket.Close(websocket.StatusNormalClosure, "") // how the server takes leave changes nothing
	return t.name + ": 101" + said, nil
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Dir: c.Dir, Insecure: c.Insecure}
}

func (c *Check) secure(line *link.Conn, t target) error {
	if !t.secure {
		return nil
	}
	config, err := c.trust().Config(t.url.Hostname())
	if err != nil {
		return err
	}
	config.NextProtos = []string{"http/1.1"}
	return line.Secure(config)
}

// talk sends what is to be sent and waits for what is expected; it returns what
// there is to say about it.
func (c *Check) talk(ctx context.Context, line *link.Conn, socket *websocket.Conn) (string, error) {
	text := ""
	if c.Subprotocol != "" {
		text = ", speaks " + c.Subprotocol
	}
	if c.Send != "" {
		if err := socket.Write(ctx, websocket.MessageText, []byte(c.Send)); err != nil {
			return "", c.lost(line, "the message", err)
		}
	}
	if c.Expect == "" {
		return text, nil
	}
	last, step := "", ""
	if c.Send != "" {
		step = "the message"
	}
	for {
		_, message, err := socket.Read(ctx)
		switch {
		case err == nil && strings.Contains(string(message), c.Expect):
			return text + fmt.Sprintf(", answers %q", explain.Line(c.Expect)), nil
		case err == nil:
			last = string(message)
		case last != "":
			was := link.Quote(last, c.secrets()...)
			if was != "" {
				was = ", the last was" + strings.TrimPrefix(was, ":")
			}
			return "", fmt.Errorf("no message with %q came%s: %w", c.Expect, was, c.lost(line, step, err))
		default:
			return "", c.lost(line, step, err)
		}
	}
}

// lost says why there is no message.
func (c *Check) lost(line *link.Conn, step string, err error) error {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		text := fmt.Sprintf("the server closed the WebSocket with %d", closed.Code)
		if meaning := meanings[closed.Code]; meaning != "" {
			text += " (" + meaning + ")"
		}
		return errors.New(text + link.Quote(closed.Reason, c.secrets()...) + ": " + line.Address())
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &explain.Error{Text: "the server hung up without closing the WebSocket: " + line.Address(), Err: err}
	}
	return line.Explain(step, err)
}

// secrets are what a server may repeat and a message may not.
func (c *Check) secrets() []string {
	secrets := slices.Collect(maps.Values(c.Headers))
	if u, err := url.Parse(c.URL); err == nil {
		password, _ := u.User.Password()
		secrets = append(secrets, password)
		for _, values := range u.Query() {
			secrets = append(secrets, slices.DeleteFunc(values, func(v string) bool { return len(v) < 8 })...) // too short for a token
		}
	}
	return secrets
}

// meanings of the codes of RFC 6455, 7.4.1 and the registry that it founded.
var meanings = map[websocket.StatusCode]string{
	websocket.StatusNormalClosure:   "normal",
	websocket.StatusGoingAway:       "going away",
	websocket.StatusPolicyViolation: "policy violation",
	websocket.StatusMessageTooBig:   "message too big",
	websocket.StatusInternalError:   "internal error",
	websocket.StatusServiceRestart:  "restart",
	websocket.StatusTryAgainLater:   "try again later",
}
