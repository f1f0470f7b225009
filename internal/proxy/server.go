package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/relay"
)

// Server serves an engine's policy to clients: HTTP/1.x, and over TLS HTTP/2 too.
// Make one with NewServer; it serves as many listeners as Serve and ServeTLS are
// called with. An engine may have several servers, each with an end of its own.
//
// Of what net/http refuses of HTTP/2 by itself no policy is told: broken framing,
// fields of one connection, a header beyond Settings.HeaderSize, more streams than
// Settings.Streams.
type Server struct {
	engine  *Engine
	log     *slog.Logger
	http2   *http.Server
	closing atomic.Bool // answers close their connections
	cut     atomic.Bool // guarded by the engine's tunnels: upgraded connections are

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	conns     int           // open connections: sessions, and those that speak HTTP/2
	streams   int           // requests over HTTP/2, which may outlive their connection
	serving   int           // calls of Serve and ServeTLS, which may have accepted one more
	none      chan struct{} // closed when there are none of all three; nil if nobody waits
}

// NewServer returns a server for the engine, with its settings as they are when
// a connection or a request begins. Of HTTP/2, the Streams, the HeaderSize and
// the IdleTimeout of now count for good. A nil logger discards.
func NewServer(e *Engine, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{engine: e, log: log, listeners: make(map[net.Listener]struct{}), sessions: make(map[*session]struct{})}
	settings := e.settings.Load()
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	s.http2 = &http.Server{ //nolint:gosec // HTTP/2 has no use for a time-out for heads
		Handler:                      http.HandlerFunc(s.serveHTTP2),
		IdleTimeout:                  settings.IdleTimeout,
		MaxHeaderBytes:               settings.HeaderSize,
		DisableGeneralOptionsHandler: true,
		Protocols:                    protocols,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: settings.Streams},
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			p := s.newPeer(nc)
			return context.WithValue(ctx, peerKey{}, &p)
		},
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.count(1, 0)
			case http.StateClosed:
				s.count(-1, 0)
			default:
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s
}

// Serve accepts connections without TLS until Shutdown or Close, or until the
// listener is closed, and returns nil then. Of a closed listener, the
// connections go on.
func (s *Server) Serve(l net.Listener) error {
	if !s.add(l) {
		_ = l.Close()
		return nil
	}
	defer s.remove(l)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return s.accept(ctx, l, s.begin)
}

// accept hands on what the listener accepts, until that ends.
func (s *Server) accept(ctx context.Context, l net.Listener, take func(net.Conn)) error {
	if err := relay.AcceptEach(ctx, l, take); !errors.Is(err, net.ErrClosed) && !s.closing.Load() {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// add reports false when the server is shut down already.
func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	s.serving++
	return true
}

// remove is called when all that the listener accepted has been handed on.
func (s *Server) remove(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	s.serving--
	s.look()
}

// enter counts a session, until leave.
func (s *Server) enter(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[c] = struct{}{}
	s.conns++
	if s.cut.Load() {
		c.cut()
	}
}

func (s *Server) leave(c *session) {
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
	s.count(-1, 0)
}

func (s *Server) count(conns, streams int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns += conns
	s.streams += streams
	s.look()
}

// look tells who waits when nothing is left. The caller holds mu.
func (s *Server) look() {
	if s.none != nil && s.ended() {
		close(s.none)
		s.none = nil
	}
}

// ended reports whether nothing is left. The caller holds mu.
func (s *Server) ended() bool { return s.conns == 0 && s.streams == 0 && s.serving == 0 }

// Conns returns the number of open connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Shutdown stops accepting, closes idle connections, and lets what is in flight
// finish. When ctx is done first, the rest is cut, upgraded connections too,
// and its cause returned. Either way no goroutine is left.
//
// Upgraded connections have no end of their own, so they last until then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.mu.Lock()
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.sessions {
		c.wake()
	}
	s.mu.Unlock()
	if s.http2.Shutdown(ctx) == nil && s.wait(ctx) {
		return nil
	}
	left := s.Conns()
	s.engine.tunnels.cut(s)
	_ = s.http2.Close()
	s.mu.Lock()
	for c := range s.sessions {
		c.cut()
	}
	s.mu.Unlock()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastMoment)
	defer cancel()
	if !s.wait(last) {
		return fmt.Errorf("%d connections did not end when they were cut: %w", s.Conns(), context.Cause(ctx))
	}
	return fmt.Errorf("%d connections were cut: %w", left, context.Cause(ctx))
}

// lastMoment is how long what was cut may take to notice.
const lastMoment = 5 * time.Second

// Close cuts everything at once.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// wait waits until no connection, no request, and no listener is left.
func (s *Server) wait(ctx context.Context) bool {
	s.mu.Lock()
	if s.ended() {
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
