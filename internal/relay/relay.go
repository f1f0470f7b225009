// Package relay moves TCP connections to targets, byte by byte, as a network
// load balancer's listener does. Where a connection goes is for a Policy to
// decide; the relay connects, moves the bytes, and tells the policy how it ended.
//
// On Linux two TCP connections are joined by the kernel (splice(2)): the bytes
// are never copied into this program. Each side's end (FIN) and reset (RST) is
// passed on to the other as what it is.
package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A Policy says where connections go. Its methods are called by many goroutines
// at once.
type Policy interface {
	// Pick names the target of a client's connection. If that cannot be
	// connected to, it is asked again, with Conn.Try counted up and Conn.Err
	// saying why. False means that there is none: the client is reset.
	Pick(*Conn) (Target, bool)

	// Done is told when a connection has ended, once for each.
	Done(*Conn)
}

// Target is where a connection goes.
type Target struct {
	Address string // host:port
	ProxyV2 bool   // it is told the client's address first, by the PROXY protocol's version 2
	TLS     bool   // it is spoken to over TLS; its certificate is not checked
}

// Conn is a client's connection, as a policy sees it.
type Conn struct {
	Client, Local netip.AddrPort       // its addresses; Local is the listener's
	Handshake     *tls.ConnectionState // nil without TLS
	Start         time.Time            // when it was accepted

	Target Target // that was picked last
	Try    int    // from 1

	// What came of it, for Done; Err also for another Pick.
	End     End
	Err     error         // why there is no connection to the Target, or it ended early
	Connect time.Duration // until that was there, in the last try
	In, Out int64         // bytes from the client, and to it

	// Data is the policy's own.
	Data any

	cause          atomic.Pointer[End] // why we ended it
	client, target net.Conn            // nil while there is none; guarded by the server's mu
}

// End is how a connection ended.
type End uint8

// How connections end.
const (
	Closed      End = iota // both sides have said all
	ClientReset            // the client reset it
	TargetReset            // the target did
	Idle                   // nothing had moved for Settings.IdleTimeout, so we reset it
	Cut                    // Server.Cut, or Server.Shutdown at its end, reset it
	NoTarget               // Pick named none, so we reset it
	NoTLS                  // the client did not agree to TLS
	Broken                 // the network failed otherwise
)

func (e End) String() string {
	return [...]string{"closed", "client reset", "target reset", "idle", "cut", "no target", "no TLS", "broken"}[e]
}

// Settings are a relay's time-outs. A zero field means its default.
type Settings struct {
	ConnectTimeout time.Duration // to a target, with its TLS handshake: 10 s
	TLSTimeout     time.Duration // of a client's handshake: 10 s
	IdleTimeout    time.Duration // without a byte in either direction: 350 s; up to a quarter of it late
}

// Server relays the connections of its listeners. Make one with NewServer.
type Server struct {
	policy   Policy
	settings atomic.Pointer[Settings]
	ctx      context.Context // done when all is cut
	cancel   context.CancelFunc
	stats    struct{ accepted, in, out atomic.Int64 }
	handling sync.WaitGroup

	mu        sync.Mutex // guards what follows
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
}

// NewServer returns a server that asks the policy.
func NewServer(p Policy, settings Settings) *Server {
	s := &Server{policy: p, listeners: make(map[net.Listener]struct{}), conns: make(map[*Conn]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.Configure(settings)
	return s
}

// Configure changes the settings for the connections to come.
func (s *Server) Configure(settings Settings) {
	settings.ConnectTimeout = cmp.Or(settings.ConnectTimeout, 10*time.Second)
	settings.TLSTimeout = cmp.Or(settings.TLSTimeout, 10*time.Second)
	settings.IdleTimeout = cmp.Or(settings.IdleTimeout, 350*time.Second)
	s.settings.Store(&settings)
}

// Serve accepts connections until Shutdown, or until the listener is closed, and
// returns nil then. Of a closed listener, the connections go on.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, nil) }

// ServeTLS is Serve for clients that speak TLS: it ends here.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error { return s.serve(l, config) }

func (s *Server) serve(l net.Listener, config *tls.Config) error {
	if !s.track(l) {
		_ = l.Close()
		return nil
	}
	defer s.untrack(l)
	err := AcceptEach(s.ctx, l, func(nc net.Conn) { s.accept(nc, config) })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("relay %s: %w", l.Addr(), err)
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.listeners[l] = struct{}{}
	}
	return !s.closed
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// accept begins a connection, unless all has ended.
func (s *Server) accept(nc net.Conn, config *tls.Config) {
	c := &Conn{Client: addrPort(nc.RemoteAddr()), Local: addrPort(nc.LocalAddr()), Start: time.Now(), client: nc}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = nc.Close()
		return
	}
	s.stats.accepted.Add(1)
	s.conns[c] = struct{}{}
	s.handling.Go(func() { s.handle(c, nc, config) })
}

// Stats are what a server counts. Bytes of a connection under way are counted now
// and then.
type Stats struct {
	Conns    int   // under way
	Accepted int64 // ever
	In, Out  int64 // bytes from clients, and to them
}

// Stats returns the counts of now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Conns: len(s.conns), Accepted: s.stats.accepted.Load(), In: s.stats.in.Load(), Out: s.stats.out.Load()}
}

// Cut resets the connections that match says, on both sides, and returns how many.
// Each is asked about by its Target, Client and Local alone: Target's Address is
// empty while there is none.
func (s *Server) Cut(match func(target Target, client, local netip.AddrPort) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		var target Target
		if c.target != nil {
			target = c.Target
		}
		if match(target, c.Client, c.Local) {
			c.reset(Cut)
			n++
		}
	}
	return n
}

// Shutdown closes the listeners, and waits for the connections to end. When ctx
// is done first, the rest is cut, and its cause returned. Either way no goroutine
// is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.handling.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		n := s.Cut(func(Target, netip.AddrPort, netip.AddrPort) bool { return true })
		err = fmt.Errorf("%d connections were cut: %w", n, context.Cause(ctx))
	}
	s.cancel()
	<-ended
	return err
}

// handle does all for one connection.
func (s *Server) handle(c *Conn, client net.Conn, config *tls.Config) {
	settings := s.settings.Load()
	c.End = s.run(c, client, config, settings)
	if cause := c.cause.Load(); cause != nil {
		c.End = *cause
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = client.Close()
	if c.target != nil {
		_ = c.target.Close()
	}
	s.policy.Done(c)
}

func (s *Server) run(c *Conn, client net.Conn, config *tls.Config, settings *Settings) End {
	inner := client
	if config != nil {
		secure := tls.Server(client, config)
		ctx, cancel := context.WithTimeout(s.ctx, settings.TLSTimeout)
		defer cancel()
		if c.Err = secure.HandshakeContext(ctx); c.Err != nil {
			return NoTLS
		}
		state := secure.ConnectionState()
		c.Handshake = &state
		inner = secure
	}
	target := s.connect(c, settings)
	if target == nil {
		c.reset(NoTarget)
		return NoTarget
	}
	return s.move(c, inner, target, settings)
}

// connect tries targets until one takes the connection, or none is left.
func (s *Server) connect(c *Conn, settings *Settings) net.Conn {
	for {
		c.Try++
		target, ok := s.policy.Pick(c)
		if !ok || s.ctx.Err() != nil || c.cause.Load() != nil {
			return nil
		}
		s.mu.Lock()
		c.Target = target
		s.mu.Unlock()
		start := time.Now()
		var nc net.Conn
		if nc, c.Err = s.dial(c, target, settings); c.Err == nil {
			c.Connect = time.Since(start)
			return nc
		}
	}
}

func (s *Server) dial(c *Conn, target Target, settings *Settings) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, settings.ConnectTimeout)
	defer cancel()
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", target.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to the target %s: %w", target.Address, err)
	}
	nc, err := s.greet(ctx, c, target, plain)
	if err != nil {
		_ = plain.Close()
		return nil, fmt.Errorf("connect to the target %s: %w", target.Address, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.target = plain
	if c.cause.Load() != nil {
		abort(plain) // it was cut meanwhile
	}
	return nc, nil
}

// greet says what comes before the client's bytes.
func (s *Server) greet(ctx context.Context, c *Conn, target Target, plain net.Conn) (net.Conn, error) {
	if target.ProxyV2 {
		deadline, _ := ctx.Deadline()
		_ = plain.SetWriteDeadline(deadline)
		if _, err := plain.Write(appendHeader(nil, c.Client, c.Local)); err != nil {
			return nil, fmt.Errorf("PROXY header: %w", err)
		}
		_ = plain.SetWriteDeadline(time.Time{})
	}
	if !target.TLS {
		return plain, nil
	}
	secure := tls.Client(plain, &tls.Config{
		InsecureSkipVerify: true,             //nolint:gosec // load balancers do not check it either
		MinVersion:         tls.VersionTLS10, // what the target speaks is its own affair
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secure, nil
}

// move moves bytes until both sides have ended.
func (s *Server) move(c *Conn, client, target net.Conn, settings *Settings) End {
	clock := NewClock(settings.IdleTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.reset(Idle)
	})
	defer clock.Stop()
	var there sync.WaitGroup
	var in, out error
	there.Go(func() {
		c.In, in = clock.copy(target, client, func(n int64) { s.stats.in.Add(n) })
		s.pass(c, in, target)
	})
	c.Out, out = clock.copy(client, target, func(n int64) { s.stats.out.Add(n) })
	s.pass(c, out, client)
	there.Wait()
	c.Err = cmp.Or(in, out)
	return c.End
}

// pass tells the other side that one has ended: its end as such, a failure as a
// reset of both.
func (s *Server) pass(c *Conn, err error, to net.Conn) {
	if err == nil {
		if half, ok := to.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.End == Closed { // what comes after the first failure is its doing
		c.End = c.broken()
	}
	abort(c.client)
	abort(c.target)
}

// broken says whose fault a failure is. The error cannot: a splice has two ends.
func (c *Conn) broken() End {
	switch {
	case wasReset(c.client):
		return ClientReset
	case wasReset(c.target):
		return TargetReset
	default:
		return Broken
	}
}

// reset ends the connection at once, on both sides, for a cause of ours. The
// server's mu is held, or nobody else has the connection.
func (c *Conn) reset(cause End) {
	if !c.cause.CompareAndSwap(nil, &cause) {
		return
	}
	abort(c.client)
	if c.target != nil {
		abort(c.target)
	}
}

// abort closes a connection with a reset.
func abort(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = nc.Close()
}

// addrPort returns a TCP address's parts, IPv4 as such; the zero value for others.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
