package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/proxy/guard"
)

// Server serves an engine's policy to clients: HTTP/1.1, behind the guard, and
// over TLS HTTP/2 too. Make one with NewServer; it serves as many listeners as
// Serve and ServeTLS are called with. An engine may have several servers, each
// with an end of its own.
//
// Of what net/http refuses of HTTP/2 by itself no policy is told: broken framing,
// fields of one connection, a header beyond Settings.HeaderSize, more streams than
// Settings.Streams.
type Server struct {
	engine    *Engine
	log       *slog.Logger
	http      *http.Server // for HTTP/1.x
	http2     *http.Server // for HTTP/2, over TLS
	idleShift func() time.Duration
	closing   atomic.Bool // answers close their connections
	cut       atomic.Bool // guarded by the engine's tunnels: upgraded connections are

	mu      sync.Mutex    // guards what follows
	conns   int           // open connections, upgraded ones too
	streams int           // requests over HTTP/2, which may outlive their connection
	none    chan struct{} // closed when there are none of either; nil if nobody waits
}

// NewServer returns a server for the engine, with its settings as they are when
// a connection or a request begins. Of HTTP/2, the Streams, the HeaderSize and
// the IdleTimeout of now count for good. A nil logger discards.
func NewServer(e *Engine, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{engine: e, log: log}
	settings := e.settings.Load()
	// net/http reads its time-out without a lock, so that it cannot be changed
	// while it serves. It sets no deadlines but for that, and for long ago.
	s.idleShift = func() time.Duration { return e.settings.Load().IdleTimeout - settings.IdleTimeout }
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{ //nolint:gosec // the guard has a time-out for heads
		Handler:     e,
		IdleTimeout: settings.IdleTimeout,
		// The guard bounds heads and bodies in size and in time; net/http must
		// only not be in its way.
		MaxHeaderBytes:               math.MaxInt32,
		DisableGeneralOptionsHandler: true,
		Protocols:                    protocols,
		ConnContext:                  s.connContext,
		ConnState:                    s.connState,
		ErrorLog:                     errorLog,
	}
	protocols2 := new(http.Protocols)
	protocols2.SetHTTP2(true)
	s.http2 = &http.Server{ //nolint:gosec // HTTP/2 has no use for that time-out
		Handler:                      e,
		IdleTimeout:                  settings.IdleTimeout,
		MaxHeaderBytes:               settings.HeaderSize,
		DisableGeneralOptionsHandler: true,
		Protocols:                    protocols2,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: settings.Streams},
		ConnContext:                  s.connContext,
		ConnState:                    s.connState,
		ErrorLog:                     errorLog,
	}
	return s
}

// Serve accepts connections without TLS until Shutdown or Close, or until the
// listener is closed, and returns nil then. Of a closed listener, the
// connections go on.
func (s *Server) Serve(l net.Listener) error {
	l = &guard.Listener{Listener: l, Limits: func() guard.Limits { return s.engine.settings.Load().guard() }}
	return serveError(l, s.http.Serve(l))
}

func serveError(l net.Listener, err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// connections numbers them.
var connections atomic.Uint64

func (s *Server) connContext(ctx context.Context, nc net.Conn) context.Context {
	p := &peer{
		id: connections.Add(1), remote: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr()),
		since: time.Now(), server: s,
	}
	p.conn, _ = nc.(*guard.Conn)
	if p.conn != nil {
		nc = p.conn.Conn
		p.conn.ShiftDeadlines(s.idleShift)
	}
	if secure, ok := nc.(*tls.Conn); ok { // hands are shaken
		state := secure.ConnectionState()
		p.handshake = &state
	}
	if policy, ok := s.engine.policy.(ProbePolicy); ok && p.conn != nil {
		p.conn.ProbeWith(&prober{s.engine, policy, p})
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.count(1, 0)
	case http.StateClosed:
		s.connEnded()
	default: // one that is upgraded ends with its tunnel
	}
}

func (s *Server) connEnded() { s.count(-1, 0) }

func (s *Server) count(conns, streams int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns += conns
	s.streams += streams
	if s.conns == 0 && s.streams == 0 && s.none != nil {
		close(s.none)
		s.none = nil
	}
}

// Conns returns the number of open connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// lastMoment is how long what was cut may take to notice.
const lastMoment = 5 * time.Second

// Shutdown stops accepting, closes idle connections, and lets what is in flight
// finish. When ctx is done first, the rest is cut, upgraded connections too,
// and its cause returned. Either way no goroutine is left.
//
// Upgraded connections have no end of their own, so they last until then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	var err error
	if errs := s.each(func(server *http.Server) error { return server.Shutdown(ctx) }); errs[0] != nil || errs[1] != nil {
		err = ctx.Err()
	}
	if err == nil && !s.wait(ctx) {
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	left := s.Conns()
	s.engine.tunnels.cut(s)
	s.each((*http.Server).Close)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastMoment)
	defer cancel()
	if !s.wait(last) {
		return fmt.Errorf("%d connections did not end when they were cut: %w", s.Conns(), context.Cause(ctx))
	}
	return fmt.Errorf("%d connections were cut: %w", left, context.Cause(ctx))
}

// each calls f for both servers at once.
func (s *Server) each(f func(*http.Server) error) (errs [2]error) {
	var wg sync.WaitGroup
	wg.Go(func() { errs[1] = f(s.http2) })
	errs[0] = f(s.http)
	wg.Wait()
	return errs
}

// Close cuts everything at once.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// wait waits until no connection, and no request, is left.
func (s *Server) wait(ctx context.Context) bool {
	s.mu.Lock()
	if s.conns == 0 && s.streams == 0 {
		s.mu.Unlock()
		return true
	}
	if s.none == nil {
		s.none = make(chan struct{})
	}
	none := s.none
	s.mu.Unlock()
	select {
	case <-none:
		return true
	case <-ctx.Done():
		return false
	}
}
