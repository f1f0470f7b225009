package balance

import (
	"io"
	"net/http"
	"sync/atomic"
)

// apiHandler is the API's handler, which a reload replaces.
type apiHandler struct{ now atomic.Pointer[http.Handler] }

func (h *apiHandler) use(next http.Handler) { h.now.Store(&next) }

func (h *apiHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*h.now.Load()).ServeHTTP(w, r)
}

// withHealth adds the balancer's own health to a handler: it is healthy while it
// answers.
func withHealth(page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("/", page)
	return mux
}
