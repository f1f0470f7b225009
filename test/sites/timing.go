package sites

import (
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// atHealth is app with another handler at /health.
func atHealth(handler http.HandlerFunc) http.Handler {
	well := app()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			handler(w, r)
			return
		}
		well.ServeHTTP(w, r)
	})
}

// after answers when some time has passed, unless the client goes before.
func after(d time.Duration, w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(d):
		reply("healthy\n")(w, r)
	case <-r.Context().Done():
	}
}

// drip sends the head at once and the body a byte a second.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "600")
	flush := http.NewResponseController(w)
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for range 600 {
		if _, err := w.Write([]byte(".")); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-every.C:
		case <-r.Context().Done():
			return
		}
	}
}

// lateSites are sites whose answer comes too late for the load balancer, at
// times or always, or never ends.
func lateSites() []Case {
	inGo := func(handler http.HandlerFunc) func(testing.TB) Site {
		return func(t testing.TB) Site { return site(serve(t, Private, atHealth(handler))) }
	}
	const body = "body-never-ends"
	return []Case{
		{
			Name: "go-slow-handler", Row: "slow-handler", Findings: []string{"slow-handler"}, Slow: true,
			Start: inGo(func(w http.ResponseWriter, r *http.Request) { after(Patience*3/2, w, r) }),
		},
		{
			// The proxy is more patient than the load balancer.
			Name: "nginx-slow-upstream", Row: "slow-handler", Findings: []string{"slow-handler"}, Slow: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				s.words["@slow@"] = serve(t, "127.0.0.1", atHealth(func(w http.ResponseWriter, r *http.Request) { after(Patience*3/2, w, r) }))
				return serveNginx(s, `server { listen @address@; location / { proxy_pass http://@slow@; } }`)
			},
		},
		{
			Name: "go-flapping", Row: "tight-timeout-flapping", Findings: []string{"tight-timeout-flapping"}, Slow: true, Timeout: time.Second,
			Start: func(t testing.TB) Site {
				var n atomic.Int64
				takes := []time.Duration{10 * time.Millisecond, 600 * time.Millisecond, 200 * time.Millisecond, 1500 * time.Millisecond}
				return inGo(func(w http.ResponseWriter, r *http.Request) { after(takes[n.Add(1)%int64(len(takes))], w, r) })(t)
			},
		},
		{
			Name: "go-drip", Row: body, Findings: []string{body}, Slow: true,
			Start: inGo(drip),
		},
		{
			Name: "go-short-body", Row: body, Findings: []string{body},
			Start: inGo(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = w.Write([]byte("ok")) // a client that has gone needs no answer
			}),
		},
		{
			// HTTP/1.0 ends a body by closing the connection.
			Name: "python-no-length", Row: "no-length-no-chunked", Findings: []string{"no-length-no-chunked"},
			Start: by("classic", noLength),
		},
		{
			Name: "node-keepalive", Row: "keepalive-shorter-than-lb-idle", Findings: []string{"keepalive-shorter-than-lb-idle"}, Slow: true,
			Start: func(t testing.TB) Site {
				s := newSetting(t)
				return s.site(node(s, `
server.keepAliveTimeout = 5000; // as by default
server.listen(@port@, '127.0.0.5');
`, servers.Spec{Listens: []string{s.address}}))
			},
		},
		{
			Name: "go-keepalive", Row: "keepalive-shorter-than-lb-idle", Findings: []string{"keepalive-shorter-than-lb-idle"}, Slow: true, IdleWait: 10 * time.Second,
			Start: func(t testing.TB) Site {
				address := private(t)
				serveOn(t, address, &http.Server{Handler: app(), IdleTimeout: 2 * time.Second})
				return site(address)
			},
		},
	}
}

// noLength is a site with the server of Python's standard library.
func noLength(t testing.TB) Site {
	s := newSetting(t)
	program := s.file("server.py", `
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = {"/health": b"healthy\n", "/": b"welcome\n"}.get(self.path)
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(page or b"not found\n")

http.server.ThreadingHTTPServer(("127.0.0.5", @port@), Handler).serve_forever()
`)
	p := servers.Run(t, servers.Spec{Name: "python3", Args: []string{program}, Listens: []string{s.address}, StopSignal: syscall.SIGKILL})
	return s.site(p.OutputFile())
}
