package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"hale/internal/upstream"
)

// pool keeps the idle connections to one upstream, the last used on top: under
// little load the others grow old and are closed.
type pool struct {
	upstream upstream.Upstream
	dial     func(context.Context, upstream.Upstream) (net.Conn, error)
	tls      *tls.Config     // nil where TLS is not spoken
	http2    *http.Transport // nil where HTTP/2 is not; else it keeps the connections

	mu     sync.Mutex
	idle   []*conn // by age, the oldest first
	closed bool
	timer  *time.Timer // closes the old; nil when none is idle

	underway []underway // in no order
}

func newPool(e *Engine, u upstream.Upstream) *pool {
	p := &pool{upstream: u, dial: e.dial, closed: e.closed}
	if u.TLS() {
		p.tls = tlsConfig(u)
	}
	if u.HTTP2() {
		p.http2 = newHTTP2(e, p)
	}
	return p
}

// tlsConfig is how TLS is spoken to a load balancer's target: its certificate is
// not checked, since load balancers do not, and it is not told a server name.
func tlsConfig(u upstream.Upstream) *tls.Config {
	protocol := "http/1.1"
	if u.HTTP2() {
		protocol = "h2"
	}
	return &tls.Config{
		InsecureSkipVerify: true,             //nolint:gosec // as said above
		MinVersion:         tls.VersionTLS10, // likewise: what the target speaks is its own affair
		NextProtos:         []string{protocol},
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
}

// get returns an idle connection that was alive a moment ago, or nil.
func (p *pool) get() *conn {
	for {
		c := p.pop()
		if c == nil || c.alive() {
			return c
		}
		_ = c.Close()
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// connect makes a new connection, within the time-outs.
func (p *pool) connect(ctx context.Context, s *Settings) (*conn, error) {
	plain, err := p.open(ctx, s.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	plain = newSocket(plain)
	if p.tls == nil {
		return newConn(plain, plain, p), nil
	}
	secure, err := p.shakeHands(ctx, plain, s.TLSTimeout)
	if err != nil {
		return nil, err
	}
	return newConn(secure, plain, p), nil
}

func (p *pool) open(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return p.dial(ctx, p.upstream)
}

// handshakeError is why TLS was not agreed on.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

var errNotHTTP2 = errors.New("the upstream does not agree to HTTP/2 (ALPN h2)")

// shakeHands speaks TLS over the connection, which is closed if that fails.
func (p *pool) shakeHands(ctx context.Context, plain net.Conn, timeout time.Duration) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	secure := tls.Client(plain, p.tls)
	err := secure.HandshakeContext(ctx)
	if err == nil && p.http2 != nil && secure.ConnectionState().NegotiatedProtocol != "h2" {
		err = errNotHTTP2
	}
	if err != nil {
		_ = plain.Close()
		return nil, &handshakeError{err}
	}
	return secure, nil
}

// put keeps a connection for later. It closes it instead if there are most
// already, or the pool is closed.
func (p *pool) put(c *conn, most int, timeout time.Duration) {
	c.restore()
	c.reused = true
	c.since = time.Now()
	if !p.keep(c, most, timeout) {
		_ = c.Close()
	}
}

func (p *pool) keep(c *conn, most int, timeout time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= most {
		return false
	}
	p.idle = append(p.idle, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(timeout, func() { p.closeOld(timeout) })
	}
	return true
}

// closeOld closes what has been idle for the time-out, and comes again when
// the oldest of the others will have been.
func (p *pool) closeOld(timeout time.Duration) {
	p.mu.Lock()
	now := time.Now()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= timeout {
		n++
	}
	old := append([]*conn(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
	if len(p.idle) == 0 || p.closed {
		p.timer = nil
	} else {
		p.timer.Reset(timeout - now.Sub(p.idle[0].since))
	}
	p.mu.Unlock()
	for _, c := range old {
		_ = c.Close()
	}
}

// close closes the idle connections, and those in use when they would come
// back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
	if p.http2 != nil {
		p.http2.CloseIdleConnections()
	}
}
