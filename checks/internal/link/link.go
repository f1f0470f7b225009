// Package link holds the one connection that a run of a check has to a server:
// opened, secured if need be, ended with the run, and bounded in what is read.
// It remembers how the server began, so that it can say who answered.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"hale/checks"
	"hale/internal/explain"
)

// maxRead bounds what a run reads from its server, in bytes, unless Allow says
// otherwise.
const maxRead = 1 << 20

// Conn is a connection for one run. It is plain until Secure has been called.
type Conn struct {
	net.Conn

	// Hint may say, in brackets, why a server hangs up without a word.
	Hint string

	address string
	raw     *memory
	ctx     context.Context // the run's; the connection does not outlive it
	start   time.Time
	stop    []func() bool
}

// Dial connects to host:port, or to the absolute path of a unix socket. When
// ctx is over, whatever waits on the connection ends. The error is explained.
func Dial(ctx context.Context, address string) (*Conn, error) {
	c := &Conn{address: address, ctx: ctx, start: time.Now()}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, Network(address), address)
	if err != nil {
		return nil, c.explain("no connection", err)
	}
	c.raw = &memory{Conn: conn, limit: maxRead}
	c.Conn = c.raw
	c.stop = append(c.stop, context.AfterFunc(ctx, c.cut))
	return c, nil
}

// Network returns the network that an address is of: unix for an absolute path,
// otherwise tcp.
func Network(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix"
	}
	return "tcp"
}

// Secure speaks TLS from now on. The error is explained.
func (c *Conn) Secure(config *tls.Config) error {
	secured := tls.Client(c.Conn, config)
	err := secured.HandshakeContext(c.ctx)
	switch {
	case err == nil:
		c.Conn = secured
		return nil
	case errors.Is(err, io.EOF):
		return &explain.Error{Text: "connection closed in the TLS handshake (does the server speak TLS on this port?): " + c.address, Err: err}
	default:
		return c.Explain("the TLS handshake", err)
	}
}

// TLS returns the state of TLS; ok is false on a plain connection.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return state, false
	}
	return secured.ConnectionState(), true
}

// CloseWrite tells the server that nothing more will come. It can still answer.
func (c *Conn) CloseWrite() error {
	if secured, ok := c.Conn.(*tls.Conn); ok {
		if err := secured.CloseWrite(); err != nil {
			return err
		}
	}
	if half, ok := c.raw.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Address is what was connected to.
func (c *Conn) Address() string { return c.address }

// Allow lets the run read up to n bytes from its server.
func (c *Conn) Allow(n int64) {
	c.raw.mu.Lock()
	defer c.raw.mu.Unlock()
	c.raw.limit = n
}

// Hurry leaves the server at most d from now, for the steps after the one that
// mattered.
func (c *Conn) Hurry(d time.Duration) {
	c.stop = append(c.stop, time.AfterFunc(d, c.cut).Stop)
}

// cut ends what waits on the connection, and all that would wait from now on.
func (c *Conn) cut() { _ = c.raw.SetDeadline(time.Unix(1, 0)) }

// Close takes leave, if the run has time for it, and closes the connection.
func (c *Conn) Close() error {
	for _, stop := range c.stop {
		stop()
	}
	if c.ctx.Err() != nil {
		// TLS would wait for a server that takes nothing any more.
		return c.raw.Close()
	}
	return c.Conn.Close()
}

// Explain says what an error of reading or writing means. The step is what the
// server was to answer to; empty for its first word.
func (c *Conn) Explain(step string, err error) error {
	waiting := "no answer"
	if step != "" {
		waiting += " to " + step
	}
	if !c.Began("") {
		waiting = "connected, but " + waiting
		if c.Hint != "" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
			return &explain.Error{Text: fmt.Sprintf("connection closed without an answer %s: %s", c.Hint, c.address), Err: err}
		}
	}
	return c.explain(waiting, err)
}

func (c *Conn) explain(waiting string, err error) error {
	return explain.Waiting(c.ctx, c.start, waiting, c.address, err)
}

// Began reports whether the server's first bytes, before any TLS, were these.
// With an empty prefix it reports whether anything came at all.
func (c *Conn) Began(prefix string) bool {
	first := c.raw.beginning()
	return first != "" && strings.HasPrefix(first, prefix)
}

// Stranger says who answered, if it was nobody who speaks the protocol. Err is
// what the protocol's own code makes of the answer.
func (c *Conn) Stranger(protocol string, err error) error {
	return &explain.Error{Text: stranger(c.raw.beginning(), protocol) + ": " + c.address, Err: err}
}

// Quote returns a server's own words for a message, in quotes and after a
// colon; nothing if there are none, or if they repeat a secret.
func Quote(said string, secrets ...string) string {
	line := explain.Line(said)
	// The whole is looked at, too: what is cut off may have the end of a secret.
	if line == "" || slices.ContainsFunc(secrets, func(secret string) bool { return repeats(said, secret) || repeats(line, secret) }) {
		return ""
	}
	return fmt.Sprintf(": %q", line)
}

// repeats reports whether a text holds a secret, or one of its words that are
// long enough to be the secret itself: the token behind "Bearer".
func repeats(text, secret string) bool {
	const long = 8
	return secret != "" && strings.Contains(text, secret) ||
		slices.ContainsFunc(strings.Fields(secret), func(word string) bool { return len(word) >= long && strings.Contains(text, word) })
}

func stranger(first, protocol string) string {
	switch {
	// An alert, the only record that a TLS server sends to a client that says
	// no hello (RFC 8446, 5.1 and 6).
	case strings.HasPrefix(first, "\x15\x03"):
		return "the server speaks TLS on this port, and was asked without"
	case strings.HasPrefix(first, "HTTP/"):
		return fmt.Sprintf("answered as HTTP (%q), not %s", explain.Line(first), protocol)
	case strings.HasPrefix(first, "SSH-"):
		return fmt.Sprintf("answered as SSH (%q), not %s", explain.Line(first), protocol)
	case text(first):
		return fmt.Sprintf("answered %q, which is not %s", explain.Line(first), protocol)
	default:
		return "answered something that is not " + protocol
	}
}

// text reports whether a server's first bytes were meant to be read.
func text(first string) bool {
	line, _, _ := strings.Cut(first, "\n")
	return explain.Line(line) != "" && !strings.ContainsFunc(strings.TrimRight(line, "\r"), func(r rune) bool {
		return r < ' ' && r != '\t' || r >= 0x7f
	})
}

// memory is the connection below TLS. It remembers how the server began, and
// counts.
type memory struct {
	net.Conn

	// reading is held until what was read is remembered.
	reading sync.Mutex

	// mu guards everything that follows: HTTP/2 reads in a goroutine of its own.
	mu    sync.Mutex
	first []byte
	read  int64
	limit int64
}

// maxFirst is how much of a server's beginning is remembered, in bytes: more
// than fits a message.
const maxFirst = 256

func (m *memory) Read(b []byte) (int, error) {
	m.reading.Lock()
	defer m.reading.Unlock()
	n, err := m.Conn.Read(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read += int64(n)
	m.first = append(m.first, b[:min(n, maxFirst-len(m.first))]...)
	if m.read > m.limit { // a server that does not stop talking
		return 0, fmt.Errorf("answers without end, more than %v by now", checks.Size(m.limit))
	}
	return n, err
}

func (m *memory) beginning() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.first)
}
