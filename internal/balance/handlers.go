package balance

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// apiHandler is the API's handler, which a reload replaces. Until there is one,
// requests wait.
type apiHandler struct {
	now    atomic.Pointer[http.Handler]
	opened chan struct{}
	open   func()
}

func newAPIHandler() *apiHandler {
	opened := make(chan struct{})
	return &apiHandler{opened: opened, open: sync.OnceFunc(func() { close(opened) })}
}

func (h *apiHandler) use(next http.Handler) {
	h.now.Store(&next)
	h.open()
}

func (h *apiHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-h.opened:
		(*h.now.Load()).ServeHTTP(w, r)
	case <-r.Context().Done():
	}
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
