// Package admin is what a person or a monitoring system looks at of a balancer: a
// page, the same as JSON, and metrics for Prometheus. It only shows; changes are
// made through the API or the configuration.
//
//	/             the page
//	/status.json  Status
//	/metrics      Prometheus' text format, or OpenMetrics for who asks for it
//
// It is meant for an address that is not public: whoever reaches it sees all.
package admin

import (
	"encoding/json"
	"net/http"
	"strings"

	"hale/internal/balancer"
	"hale/internal/ownname"
)

// Balancer is what is looked at.
type Balancer interface {
	Snapshot() *balancer.Snapshot
}

// New returns the handler of an admin address; without Auto Scaling groups, scaling
// is nil. It refuses requests that name the
// address otherwise than by an IP address or as localhost, so that web pages
// cannot reach it by DNS rebinding.
func New(b Balancer, scaling Scaling) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		text, policy := page(status(b, scaling))
		w.Header().Set("Content-Security-Policy", policy)
		send(w, "text/html; charset=utf-8", text)
	})
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.Marshal(status(b, scaling))
		if err != nil {
			http.Error(w, "500: "+err.Error(), http.StatusInternalServerError)
			return
		}
		send(w, "application/json", append(text, '\n'))
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		open := strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text")
		kind := "text/plain; version=0.0.4; charset=utf-8"
		if open {
			kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
		}
		send(w, kind, metrics(status(b, scaling), open))
	})
	return ownname.Only(guarded(mux))
}

func send(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) //nolint:gosec // escaped for its kind; and the reader may have gone
}

// guarded has browsers keep what they get to this address.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, header := range [...][2]string{
			{"Cache-Control", "no-store"},
			{"X-Content-Type-Options", "nosniff"},
			{"X-Frame-Options", "DENY"},
			{"Referrer-Policy", "no-referrer"},
			{"Cross-Origin-Resource-Policy", "same-origin"},
			{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"}, // the page sets its own
		} {
			w.Header().Set(header[0], header[1])
		}
		next.ServeHTTP(w, r)
	})
}
