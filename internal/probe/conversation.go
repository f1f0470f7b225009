package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"hale/internal/explain"
)

// conversation is one connection of a probe, from the dialling to its end.
type conversation struct {
	Probe
	a      *Answer
	ctx    context.Context // of this one exchange
	limits Phases
	// deadline is the time-out's.
	deadline time.Time
	raw      net.Conn
	// patience is the limit that ends the wait that is on, for messages; waiting is
	// when that is.
	patience time.Duration
	waiting  time.Time
	// unwatch ends the watch that cuts the connection when ctx ends.
	unwatch func() bool
	// conn is what HTTP is spoken on, in reads from it; none before it is open.
	conn *recorder
	in   *reader
}

// ask dials, sends the request and reads one answer. It does not judge it.
func (p *Probe) ask(ctx context.Context, deadline time.Time) Answer {
	a := Answer{GRPC: -1}
	c := conversation{Probe: *p, a: &a, ctx: ctx, deadline: deadline, limits: p.phases()}
	if c.open() {
		c.speak()
	}
	c.close()
	return a
}

// open makes the connection that HTTP is spoken on. It returns false where that
// failed, and the answer says how.
func (c *conversation) open() bool { return c.connect() && c.announce() && c.secure() }

// speak sends the request, and reads the answer.
func (c *conversation) speak() {
	switch {
	case c.Protocol.opens():
		c.a.Outcome = Connected
	case c.speaksHTTP2():
		c.speakHTTP2()
	default:
		c.speakHTTP1()
	}
}

// close ends the connection, and hands over what went over it.
func (c *conversation) close() {
	if c.unwatch != nil {
		c.unwatch()
	}
	if c.conn != nil {
		c.a.Sent, c.a.Received = c.conn.sent, c.conn.received
		_ = c.conn.Close()
	} else if c.raw != nil {
		_ = c.raw.Close()
	}
	if c.in != nil {
		c.in.release()
		c.in = nil
	}
}

func (c *conversation) connect() bool {
	if !c.Address.IsValid() {
		return c.fail(Unresolved, c.ResolveErr)
	}
	start := time.Now()
	deadline := c.deadline
	c.patience = c.Timeout
	if own := c.limits.Connect; own > 0 && own < c.patience {
		deadline, c.patience = start.Add(own), own
	}
	conn, err := dial(c.ctx, c.Source, c.Address, deadline)
	c.a.Times.Connect = time.Since(start)
	if err != nil {
		switch {
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
			return c.fail(Refused, err)
		case explain.IsTimeout(err):
			return c.late(ConnectTimeout, "no answer to the connection attempt")
		}
		return c.fail(Unreachable, err)
	}
	c.raw, c.unwatch = conn.Conn, conn.unwatch
	c.wait(c.limits.Head)
	return true
}

// announce sends the PROXY protocol's header, if there is to be one.
func (c *conversation) announce() bool {
	c.conn = &recorder{Conn: c.raw}
	if c.ProxyProtocol == 0 {
		return true
	}
	header := c.proxyHeader(c.raw.LocalAddr(), c.raw.RemoteAddr())
	c.a.ProxyHeader = len(header)
	if _, err := c.conn.Write(header); err != nil {
		return c.fail(Empty, err)
	}
	return true
}

// secure shakes hands, where there is TLS.
func (c *conversation) secure() bool {
	if !c.Protocol.Secure() {
		return true
	}
	start := time.Now()
	conn := tls.Client(c.raw, c.tlsConfig())
	err := conn.HandshakeContext(c.ctx)
	c.a.Times.TLS = time.Since(start)
	switch {
	case err != nil && explain.IsTimeout(err):
		return c.late(TLSTimeout, "no end of the TLS handshake")
	case err != nil:
		return c.fail(TLSFailed, err)
	}
	state := conn.ConnectionState()
	c.a.TLS = &state
	c.conn.Conn = conn
	if (c.Protocol == H2 || c.Protocol == GRPCS) && state.NegotiatedProtocol != "h2" {
		return c.fail(TLSFailed, errors.New("the server did not agree to HTTP/2 (ALPN h2)"))
	}
	return true
}

// legacySuites are those of ELBSecurityPolicy-2016-08 that crypto/tls knows.
var legacySuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

func (c *conversation) tlsConfig() *tls.Config {
	own := c.prober()
	config := &tls.Config{
		ServerName: c.ServerName,
		MinVersion: own.MinTLS,
		MaxVersion: c.MaxTLS,
		// The prober's own rule is applied below; most have none.
		InsecureSkipVerify: true, //nolint:gosec // load balancers do not check certificates
		VerifyConnection: func(state tls.ConnectionState) error {
			c.a.TLS = &state
			if !c.VerifyTLS {
				return nil
			}
			return c.verify(state)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.a.WantsCertificate = true
			return new(tls.Certificate), nil
		},
	}
	if own.MinTLS != 0 && own.MinTLS < tls.VersionTLS12 {
		config.CipherSuites = legacySuites
	}
	switch c.Protocol { //nolint:exhaustive // the others offer nothing
	case H2, GRPCS:
		config.NextProtos = []string{"h2"}
	case HTTPS:
		config.NextProtos = own.ALPN
	}
	return config
}

// verify checks the certificate as crypto/tls does, but also without SNI.
func (c *conversation) verify(state tls.ConnectionState) error {
	options := x509.VerifyOptions{Roots: c.Roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	if !c.prober().AnyName {
		if options.DNSName = c.ServerName; options.DNSName == "" {
			options.DNSName = c.Name
		}
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

// wait begins a wait that ends after limit (0: none), or with the time-out.
func (c *conversation) wait(limit time.Duration) {
	deadline := c.deadline
	c.patience = c.Timeout
	if limit > 0 {
		if own := time.Now().Add(limit); own.Before(deadline) {
			deadline, c.patience = own, limit
		}
	}
	if deadline.Equal(c.waiting) {
		return
	}
	c.waiting = deadline
	_ = c.raw.SetDeadline(deadline)
	if c.ctx.Err() != nil { // ended meanwhile: the deadline was in the past already
		_ = c.raw.SetDeadline(longAgo)
	}
}

// fail ends the conversation with an outcome and its cause.
func (c *conversation) fail(o Outcome, err error) bool {
	c.a.Outcome, c.a.Err = o, err
	return false
}

// late is fail for a time-out: what did not come.
func (c *conversation) late(o Outcome, what string) bool {
	return c.fail(o, &explain.Error{Text: fmt.Sprintf("%s within %v", what, c.patience), Err: os.ErrDeadlineExceeded})
}

// refusedByTLS tells whether the other side sent an alert: under TLS 1.3 what
// it thinks of our certificate comes after the handshake.
func (c *conversation) refusedByTLS(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && c.a.TLS != nil && op.Op == "remote error"
}

// isConnection tells whether an error is the connection's, not that of what was
// said on it.
func isConnection(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// reader is what an answer is read from, and a buffer for its body.
type reader struct {
	bufio.Reader
	buffer [4 << 10]byte
}

// readers are kept for the next probes: a balancer sends thousands each second.
var readers = sync.Pool{New: func() any { return new(reader) }}

func newReader(conn io.Reader) *reader {
	r := readers.Get().(*reader)
	r.Reset(conn)
	return r
}

// release gives the reader to the next probe.
func (r *reader) release() {
	r.Reset(nil)
	readers.Put(r)
}

// mostRecorded is how many bytes of each side are kept as they went. It bounds
// our own too: who asks for answers without end, as with PING, makes many.
const mostRecorded = 64 << 10

// recorder keeps what goes over a connection.
type recorder struct {
	net.Conn
	sent, received []byte
	first          time.Time // when the first byte came
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if n > 0 && r.first.IsZero() {
		r.first = time.Now()
	}
	r.received = record(r.received, b[:n])
	return n, err
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent = record(r.sent, b)
	return r.Conn.Write(b)
}

// send is Write for bytes that nobody changes any more.
func (r *recorder) send(b []byte) (int, error) {
	if len(r.sent) > 0 || len(b) > mostRecorded {
		return r.Write(b)
	}
	r.sent = b
	return r.Conn.Write(b)
}

func record(kept, b []byte) []byte {
	return append(kept, b[:min(len(b), mostRecorded-len(kept))]...)
}
