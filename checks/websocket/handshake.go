package websocket

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"hale/checks/internal/link"
	"hale/checks/internal/web"
	"hale/internal/explain"
	"hale/internal/inturn"
)

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 64 << 10

// open asks for the WebSocket on a connection. The error is explained.
func (c *Check) open(ctx context.Context, line *link.Conn, t target) (*websocket.Conn, error) {
	dial := inturn.Dial(func(context.Context, string, string) (net.Conn, error) { return line, nil })
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: dial, DialTLSContext: dial,
			DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	options := &websocket.DialOptions{
		HTTPClient:      client,
		HTTPHeader:      c.header(t),
		Host:            t.host,
		CompressionMode: websocket.CompressionDisabled,
	}
	if host := options.HTTPHeader.Get("Host"); host != "" { // which would not be sent from there
		options.Host = host
		options.HTTPHeader.Del("Host")
	}
	if c.Subprotocol != "" {
		options.Subprotocols = []string{c.Subprotocol}
	}
	socket, resp, err := websocket.Dial(ctx, t.url.String(), options) //nolint:bodyclose // the library closes it
	switch {
	case err == nil && socket.Subprotocol() != c.Subprotocol:
		_ = socket.CloseNow()
		return nil, t.named(fmt.Errorf("101, but the server does not speak %s: %s", c.Subprotocol, line.Address()))
	case err == nil:
		socket.SetReadLimit(1 << 20)
		return socket, nil
	case resp != nil && resp.StatusCode == http.StatusSwitchingProtocols:
		return nil, t.named(fmt.Errorf("101, but %s: %s", violation(err), line.Address()))
	case resp != nil:
		return nil, t.named(refused(resp, c.origin(t), t))
	case !t.secure && line.Began("") && !line.Began("HTTP/"):
		return nil, t.named(line.Stranger("HTTP", err))
	}
	if outer, ok := errors.AsType[*url.Error](err); ok { // which prints the URL with its query
		err = outer.Err
	}
	// net/http has no name for this error: the server hung up before the request
	// was on its way.
	if err.Error() == "http: server closed idle connection" {
		err = io.EOF
	}
	return nil, t.named(line.Explain("", err))
}

// header is what to send besides the handshake.
func (c *Check) header(t target) http.Header {
	header := http.Header{"User-Agent": {"hale/" + web.Version() + " websocket check"}}
	if t.proto != "" {
		_, port, err := net.SplitHostPort(t.host)
		if err != nil {
			port = map[string]string{"https": "443", "http": "80"}[t.proto]
		}
		header.Set("X-Forwarded-For", "127.0.0.1")
		header.Set("X-Forwarded-Host", t.host)
		header.Set("X-Forwarded-Port", port)
		header.Set("X-Forwarded-Proto", t.proto)
	}
	if origin := c.origin(t); origin != "" {
		header.Set("Origin", origin)
	}
	for name, value := range c.Headers {
		header.Set(name, value)
	}
	return header
}

// origin is the one to send: that of the page that a user has open.
func (c *Check) origin(t target) string {
	if t.proto == "" {
		return c.Origin
	}
	return cmp.Or(c.Origin, t.proto+"://"+t.host)
}

// violation is what a handshake has wrong that looks right at first.
func violation(err error) string {
	return "the handshake is not that of a WebSocket (" + explain.Line(explain.Innermost(err)) + ")"
}

// refused explains an answer that is not 101.
func refused(resp *http.Response, origin string, t target) error {
	text := fmt.Sprintf("%d", resp.StatusCode)
	if to, err := resp.Location(); err == nil && resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		text += " to " + explain.Line(web.Public(to))
	}
	text += ", expected 101"
	if hint := hint(resp, origin, t); hint != "" {
		text += " (" + hint + ")"
	}
	return errors.New(text)
}

// hint is the usual reason for a status.
func hint(resp *http.Response, origin string, t target) string {
	switch resp.StatusCode {
	case http.StatusOK:
		return "a page, and no WebSocket: is the path right, and does every proxy on the way pass Upgrade on?"
	case http.StatusBadRequest:
		body, _ := io.ReadAll(resp.Body) // the library keeps the first 1024 bytes
		if !t.secure && bytes.Contains(bytes.ToUpper(body), []byte("HTTPS")) {
			return "the server wants TLS: wss://"
		}
		return fmt.Sprintf("is %s among the hosts that the app allows, and does every proxy on the way pass Upgrade on?", t.host)
	case http.StatusUnauthorized:
		return "the server wants a login: headers can hold one"
	case http.StatusForbidden:
		if origin == "" {
			return "does the server want an origin?"
		}
		return fmt.Sprintf("does the server allow the origin %s, and a client without a login?", origin)
	case http.StatusNotFound:
		return "there is no WebSocket at this path, or a proxy on the way does not pass Upgrade on"
	case http.StatusUpgradeRequired:
		return "the server did not see the request to upgrade: does every proxy on the way pass it on?"
	default:
		return ""
	}
}
