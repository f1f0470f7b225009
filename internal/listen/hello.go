package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"hale/internal/explain"
)

// tlsRecord is what a TLS handshake begins with: its record's type, and the
// first byte of the version.
const tlsRecord = "\x16\x03"

// Hello is what a TLS client says first, and what came of it.
type Hello struct {
	// ServerName is its SNI; empty: none. ALPN are the protocols that it wants
	// to speak.
	ServerName string
	ALPN       []string
	// Oldest and Newest are the versions that it can speak, as tls.VersionTLS12.
	Oldest, Newest uint16
	Ciphers        int // how many it offers
	// Version and Protocol are what was agreed on; zero without a handshake.
	Version  uint16
	Protocol string
	// Raw is the hello's first record.
	Raw []byte
}

// helloOnPlain tells of a TLS client on a port that has no TLS, and answers as
// web servers do: in plain HTTP, which it will not understand.
func (c *connection) helloOnPlain(until time.Time) {
	v := c.begin()
	raw := c.wire.peekRecord(until)
	hello, err := readHello(c.wire, until)
	if hello == nil {
		v.Kind, v.Why = noHello(err, time.Since(v.Time))
	} else {
		v.Kind, v.Why = Foreign, "a TLS hello"
		hello.Raw = raw
		v.TLS = hello
	}
	v.Reply.Status = 400
	if c.tell(v) {
		c.refuse(v)
	}
}

// handshake makes a TLS connection. It reports whether that came about: if not,
// it has told why.
func (c *connection) handshake(until time.Time) bool {
	raw := c.wire.peekRecord(until)
	config := c.run.TLS.Clone()
	config.GetConfigForClient = func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		c.hello = helloOf(info)
		return nil, nil // goes on with this configuration
	}
	plain := &plainConn{Conn: c.conn, wire: c.wire}
	secure := tls.Server(plain, config)
	_ = c.conn.SetDeadline(until)
	err := secure.HandshakeContext(context.Background()) // the deadline ends it
	_ = c.conn.SetDeadline(time.Time{})
	if err != nil {
		v := c.begin()
		v.PlainOnTLS = false
		if v.TLS != nil {
			v.TLS.Raw = raw
			v.Kind, v.Why = Handshake, handshakeError(err, plain.last, time.Since(c.since))
		} else {
			c.wire.kept, c.wire.size = raw, int64(len(raw))
			v.Kind, v.Why = noHello(err, time.Since(c.since))
		}
		c.tell(v)
		return false
	}
	state := secure.ConnectionState()
	c.hello.Raw = raw
	c.hello.Version, c.hello.Protocol = state.Version, state.NegotiatedProtocol
	c.wire = newWire(secure)
	return true
}

// clientEnded begins what is told of a handshake that the client ended.
const clientEnded = "the client ended the handshake: "

// handshakeError tells how a handshake ended, whose last bytes from the client
// were these.
func handshakeError(err error, last []byte, after time.Duration) string {
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return clientEnded + strings.TrimPrefix(alert.Err.Error(), "tls: ")
	}
	// OpenSSL's clients doubt a certificate of TLS 1.3 before they encrypt, when
	// the server takes encrypted records alone.
	if plain := []byte{21, 3, 3, 0, 2}; len(last) == len(plain)+2 && bytes.HasPrefix(last, plain) {
		return clientEnded + strings.TrimPrefix(tls.AlertError(last[6]).Error(), "tls: ")
	}
	if stopped(err) {
		return ended(err, after)
	}
	return explain.Innermost(err)
}

// noHello tells of what begins as TLS does, and has no hello in it.
func noHello(err error, after time.Duration) (kind Kind, why string) {
	if stopped(err) {
		return Cut, "a TLS hello, " + ended(err, after)
	}
	return Broken, "begins as TLS does, but is not: " + explain.Innermost(err)
}

// stopped tells whether an error is that nothing more came.
func stopped(err error) bool {
	return isTimeout(err) || isReset(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// peekRecord returns the record that comes, as far as it is there in time.
func (w *wire) peekRecord(until time.Time) []byte {
	const head = 5
	b, err := w.peek(head, until)
	if err == nil {
		size := head + int(binary.BigEndian.Uint16(b[3:head]))
		b, _ = w.peek(min(size, bufferSize), until)
		b = b[:min(size, len(b))]
	}
	return slices.Clone(b)
}

// readHello takes a hello, and answers nothing.
func readHello(w *wire, until time.Time) (*Hello, error) {
	var hello *Hello
	_ = w.conn.SetReadDeadline(until)
	err := tls.Server(deafConn{w.conn, w}, &tls.Config{
		MinVersion: tls.VersionTLS10, // #nosec G402 -- nothing is ever agreed on
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = helloOf(info)
			return nil, errors.New("has been seen")
		},
	}).HandshakeContext(context.Background()) // the deadline ends it
	return hello, err
}

func helloOf(info *tls.ClientHelloInfo) *Hello {
	h := &Hello{ServerName: info.ServerName, ALPN: slices.Clone(info.SupportedProtos), Ciphers: len(info.CipherSuites)}
	for _, v := range info.SupportedVersions {
		if v>>8 != 3 { // a value that is no version (RFC 8701)
			continue
		}
		if h.Oldest == 0 || v < h.Oldest {
			h.Oldest = v
		}
		h.Newest = max(h.Newest, v)
	}
	return h
}

// String is a line that tells what the hello says.
func (h *Hello) String() string {
	var b strings.Builder
	if h.Version != 0 {
		fmt.Fprintf(&b, "%s", tls.VersionName(h.Version))
		if h.Protocol != "" {
			b.WriteString(", speaks " + h.Protocol)
		}
		b.WriteString("; the client offered ")
	}
	if h.Oldest == h.Newest {
		b.WriteString(versionName(h.Newest))
	} else {
		b.WriteString(versionName(h.Oldest) + " to " + strings.TrimPrefix(versionName(h.Newest), "TLS "))
	}
	if h.ServerName != "" {
		b.WriteString(", SNI " + h.ServerName)
	} else {
		b.WriteString(", no SNI")
	}
	if len(h.ALPN) > 0 {
		b.WriteString(", ALPN " + strings.Join(h.ALPN, " "))
	} else {
		b.WriteString(", no ALPN")
	}
	return b.String()
}

func versionName(v uint16) string {
	if v == 0 {
		return "SSL 3.0 at most"
	}
	return tls.VersionName(v)
}

// plainConn reads what a wire has already got of a connection, too, and keeps as
// many of the last bytes as an alert has.
type plainConn struct {
	net.Conn
	wire *wire
	last []byte
}

func (c *plainConn) Read(p []byte) (int, error) {
	const alert = 7
	n, err := c.wire.buf.Read(p)
	c.last = append(c.last, p[max(0, n-alert):n]...)
	c.last = slices.Clone(c.last[max(0, len(c.last)-alert):])
	return n, err
}

// CloseWrite lets the last bytes out before the connection is closed.
func (c *plainConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// deafConn takes what comes, and answers nothing.
type deafConn struct {
	net.Conn
	wire *wire
}

func (c deafConn) Read(p []byte) (int, error)  { return c.wire.Read(p) }
func (c deafConn) Write(p []byte) (int, error) { return len(p), nil }
