package sites

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// goSites are faulty sites in Go, whose faults are in their handlers.
func goSites() []Case {
	// with adds a handler to app's.
	with := func(pattern string, handler http.HandlerFunc) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc(pattern, handler)
		mux.Handle("GET /health", app())
		mux.Handle("GET /{$}", app())
		return mux
	}
	onGo := func(handler http.Handler) func(testing.TB) Site {
		return func(t testing.TB) Site { return site(serve(t, Private, handler)) }
	}
	return []Case{
		{
			Name: "trailing-slash-redirect-go", Row: "trailing-slash-redirect", Findings: []string{"trailing-slash-redirect"},
			Start: askedFor("/healthz", onGo(with("/healthz/", reply("healthy\n")))),
		},
		{Name: "wrong-path-404-go", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/health"}, Start: askedFor("/status", onGo(app()))},
		{
			Name: "app-level-host-guard-go", Row: "app-level-host-guard", Findings: []string{"app-level-host-guard"}, Path: []string{"/health"},
			Start: askedFor("/status", onGo(with("GET example.com/status", reply("healthy\n")))),
		},
		{
			Name: "https-redirect-go", Row: "express-https-redirect", Findings: []string{"express-https-redirect"},
			Start: onGo(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Forwarded-Proto") != "https" {
					http.Redirect(w, r, "https://"+r.Host+r.URL.RequestURI(), http.StatusMovedPermanently)
					return
				}
				app().ServeHTTP(w, r)
			})),
		},
		{Name: "method-not-allowed-go", Row: "method-not-allowed", Findings: []string{"method-not-allowed"}, Start: askedFor("/report", onGo(with("POST /report", reply("taken\n"))))},
		{
			Name: "handler-exception-go", Row: "handler-exception", Findings: []string{"handler-exception"},
			Start: askedFor("/broken", onGo(with("/broken", func(http.ResponseWriter, *http.Request) { panic("no such discount") }))),
		},
		{
			Name: "worker-killed-go", Row: "worker-killed", Findings: []string{"worker-killed"}, Timeout: killed, Slow: true,
			Start: func(t testing.TB) Site {
				address := private(t)
				serveOn(t, address, &http.Server{
					Handler:      with("/slow", func(w http.ResponseWriter, r *http.Request) { wait(r, 3*time.Second); reply("done\n")(w, r) }),
					WriteTimeout: 2 * time.Second, IdleTimeout: 75 * time.Second,
				})
				s := site(address)
				s.Path = "/slow"
				return s
			},
		},
		{
			Name: "handler-timeout-go", Row: "worker-killed", Findings: []string{"worker-killed"}, Timeout: killed, Slow: true,
			Start: askedFor("/slow", onGo(with("/slow", func(w http.ResponseWriter, r *http.Request) {
				http.TimeoutHandler(http.HandlerFunc(silence), 2*time.Second, "").ServeHTTP(w, r)
			}))),
		},
		{
			// The work has been taken on: that is what 202 says.
			Name: "success-matcher-mismatch-202", Row: "success-matcher-mismatch", Findings: []string{"success-matcher-mismatch"},
			Start: askedFor("/warm", onGo(with("/warm", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))),
		},
		{
			Name: "bad-request-by-app-go", Row: "bad-request-by-app", Findings: []string{"bad-request-by-app"}, Path: []string{"/health"},
			Start: askedFor("/tenant", onGo(with("/tenant", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Tenant-Id") == "" {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusBadRequest)
					fmt.Fprintln(w, `{"error":"missing required header X-Tenant-Id"}`)
				}
			}))),
		},
	}
}

// wait waits until the time is over or the client has gone.
func wait(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}
