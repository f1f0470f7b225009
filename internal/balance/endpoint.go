package balance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"hale/internal/balancer/configuration"
	"hale/internal/yamlfile"
)

// endpoint is an address that this process serves itself: the API's, or the admin
// address. A nil one is off.
type endpoint struct {
	listeners []net.Listener // the last one is at the address; others, at a part of it, were there before
	server    *http.Server
}

func (e *endpoint) addr() net.Addr {
	if e == nil {
		return nil
	}
	return e.listeners[len(e.listeners)-1].Addr()
}

// listen opens sockets at an address, for the key of the file that says so; none for
// off. Before is the endpoint that is to end, nil for none.
func (s *server) listen(ctx context.Context, key string, address yamlfile.Address, before *endpoint) ([]net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	var left []net.Listener
	if before != nil {
		left = before.listeners
	}
	opened, wider, err := s.sockets.Succeed(ctx, string(address), left...)
	closeAll(wider) // the one before has it, too
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: another program has %s: stop it, or give %s another port: %w", key, address, key, syscall.EADDRINUSE)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return opened, nil
}

func closeAll(of []net.Listener) {
	for _, l := range of {
		_ = l.Close()
	}
}

// begin serves a handler; without listeners, not at all.
func (s *server) begin(key string, of []net.Listener, h http.Handler) *endpoint {
	if len(of) == 0 {
		return nil
	}
	e := &endpoint{of, &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}}
	for _, l := range of {
		s.serving.Go(func() {
			if err := e.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				select {
				case s.failed <- fmt.Errorf("serve %s at %s: %w", key, l.Addr(), err):
				default: // another one has failed, too
				}
			}
		})
	}
	return e
}

// shutdown ends an endpoint: requests in flight have until ctx ends.
func (e *endpoint) shutdown(ctx context.Context) {
	if e != nil && e.server.Shutdown(ctx) != nil {
		_ = e.server.Close()
	}
}

// move is the part of a reload that gives endpoints and the access log other places.
// What it opens is ready before the change, and what was there ends after it.
type move struct {
	server     *server
	file       *configuration.File
	api, admin []net.Listener
	log        *accessLog
}

// prepare opens what a file has at another place than the file in force.
func (s *server) prepare(ctx context.Context, file *configuration.File) (_ *move, err error) {
	m := &move{server: s, file: file}
	defer func() {
		if err != nil {
			m.abandon()
		}
	}()
	if file.API != s.file.API {
		if m.api, err = s.listen(ctx, "API", file.API, s.apiEnd); err != nil {
			return nil, err
		}
	}
	if file.Admin != s.file.Admin {
		if m.admin, err = s.listen(ctx, "Admin", file.Admin, s.adminEnd); err != nil {
			return nil, err
		}
	}
	if file.AccessLog != s.file.AccessLog {
		if m.log, err = openAccessLog(file.AccessLog, s.options); err != nil {
			return nil, fmt.Errorf("AccessLog: %w", err)
		}
	}
	return m, nil
}

// abandon leaves all where it was.
func (m *move) abandon() {
	closeAll(m.api)
	closeAll(m.admin)
	_ = m.log.close()
}

// finish takes the new places. The API's old one goes on with the old file's
// credentials until it has ended, and the new one begins with the new file's.
func (m *move) finish() {
	s, was := m.server, m.server.file
	if m.file.API != was.API {
		handler := newAPIHandler()
		handler.use(s.newAPI(m.file))
		s.api = handler
		s.replace(&s.apiEnd, s.begin("API", m.api, handler), "API")
	} else {
		s.api.use(s.newAPI(m.file))
	}
	if m.file.Admin != was.Admin {
		s.replace(&s.adminEnd, s.begin("Admin", m.admin, s.page), "Admin")
	}
	if m.file.AccessLog != was.AccessLog {
		old := s.accessLog
		s.accessLog = m.log
		s.useAccessLog()
		_ = old.close()
	}
}

// lastOnes is how long an endpoint that has moved takes who comes to the old place:
// who is under way is not lost.
const lastOnes = time.Second

// replace has one endpoint serve in the place of another, which ends beside.
func (s *server) replace(at **endpoint, next *endpoint, key string) {
	old := *at
	*at = next
	s.logger.Info("serving at another address", "key", key, "address", addressText(next.addr()))
	if old == nil {
		return
	}
	s.background.Go(func() {
		select {
		case <-time.After(lastOnes):
		case <-s.beside.Done():
		}
		ctx, cancel := context.WithTimeout(s.beside, inFlight)
		defer cancel()
		old.shutdown(ctx)
	})
}
