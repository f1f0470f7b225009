package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"hale/health"
	"hale/internal/ownname"
)

// admin is the admin address: metrics, the status page with all details, and
// draining.
type admin struct {
	server http.Server
}

func newAdmin(s *server) *admin {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.handleStatus)
	mux.HandleFunc("GET /health/", s.handleStatus)
	mux.HandleFunc("GET /health", s.handleStatus)
	mux.HandleFunc("GET /metrics", s.handleMetrics)
	mux.HandleFunc("GET /instance", s.handleInstance)
	mux.HandleFunc("POST /drain", s.handleDrain)
	protected := http.NewCrossOriginProtection().Handler(mux)
	return &admin{http.Server{
		Handler:           ownname.Only(protected),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}}
}

// Serve answers at l until close.
func (a *admin) Serve(l net.Listener) error {
	if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the admin address: %w", err)
	}
	return nil
}

func (a *admin) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close() // a reader that does not read is cut off
	}
}

// handleStatus answers with all details: whoever reaches this address may see them.
func (s *server) handleStatus(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		r.URL.Path = health.DefaultPath
	}
	s.policy.site.Load().status.ServeHTTP(w, r)
}

func (s *server) handleMetrics(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(s.policy.site.Load().health.Metrics(), []byte("# EOF\n")))
	s.policy.metrics.writeTo(&b, s.options.Version)
	b.WriteString("# EOF\n")
	w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // the scraper may have gone
}

func (s *server) handleInstance(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.watcher.Instance())
}

func (s *server) handleDrain(w http.ResponseWriter, _ *http.Request) {
	times := s.policy.site.Load().config.Drain
	s.askToDrain("hale drain")
	writeJSON(w, http.StatusAccepted, struct {
		Message string `json:"message"`
	}{fmt.Sprintf("draining: the health answer fails now, serving ends in %v, what is in flight then has %v", times.Notice, times.Finish)})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
