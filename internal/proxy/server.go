package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"hale/internal/proxy/guard"
)

// Server serves an engine's policy to clients over plain HTTP/1.1, behind the
// guard. Make one with NewServer; it serves as many listeners as Serve is
// called with.
type Server struct {
	engine *Engine
	http   *http.Server

	mu    sync.Mutex    // guards what follows
	conns int           // open connections, upgraded ones too
	none  chan struct{} // closed when there are none; nil if nobody waits
}

// NewServer returns a server for the engine, with its settings as they are when
// a connection or a request begins. Only between two requests the IdleTimeout
// of now counts for good: net/http reads its own without a lock, so that it
// cannot be changed while it serves. A nil logger discards.
func NewServer(e *Engine, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{engine: e}
	settings := e.settings.Load()
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
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s
}

// Serve accepts connections until Shutdown or Close, and returns nil then.
func (s *Server) Serve(l net.Listener) error {
	l = &guard.Listener{Listener: l, Limits: func() guard.Limits { return s.engine.settings.Load().guard() }}
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

func (s *Server) connContext(ctx context.Context, nc net.Conn) context.Context {
	p := &peer{remote: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr()), ended: s.connEnded}
	p.conn, _ = nc.(*guard.Conn)
	if policy, ok := s.engine.policy.(ProbePolicy); ok && p.conn != nil {
		p.conn.ProbeWith(&prober{s.engine, policy, p})
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
	case http.StateClosed:
		s.connEnded()
	default: // one that is upgraded ends with its tunnel
	}
}

func (s *Server) connEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns--; s.conns == 0 && s.none != nil {
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
	s.engine.CloseAfterAnswer(true)
	err := s.http.Shutdown(ctx)
	if err == nil && !s.wait(ctx) {
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	left := s.Conns()
	s.engine.tunnels.cut()
	_ = s.http.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastMoment)
	defer cancel()
	if !s.wait(last) {
		return fmt.Errorf("%d connections did not end when they were cut: %w", s.Conns(), context.Cause(ctx))
	}
	return fmt.Errorf("%d connections were cut: %w", left, context.Cause(ctx))
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

// wait waits until no connection is left.
func (s *Server) wait(ctx context.Context) bool {
	s.mu.Lock()
	if s.conns == 0 {
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
