package sites

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"
)

// app is a well-behaved application: /health and / answer 200, anything else
// 404.
func app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", reply("healthy\n"))
	mux.HandleFunc("GET /{$}", reply("welcome\n"))
	return mux
}

func reply(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(body)) // a client that has gone needs no answer
	}
}

// serve runs handler on a free address of host until the test ends, and
// returns the address.
func serve(t testing.TB, host string, handler http.Handler) string {
	t.Helper()
	address := freeAddress(t, host)
	serveOn(t, address, &http.Server{Handler: handler, IdleTimeout: 75 * time.Second})
	return address
}

// serveOn runs server on address until the test ends.
func serveOn(t testing.TB, address string, server *http.Server) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serveFrom(t, l, server)
}

// serveFrom runs server on a listener until the test ends.
func serveFrom(t testing.TB, l net.Listener, server *http.Server) {
	t.Helper()
	server.ReadHeaderTimeout = 10 * time.Second
	server.ErrorLog = log.New(io.Discard, "", 0) // what the probes do is no news
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serveListener := server.Serve
		if server.TLSConfig != nil {
			serveListener = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serveListener(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("server on %s: %v", l.Addr(), err)
		}
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
}

// serveUnix runs handler on a unix socket until the test ends.
func serveUnix(t testing.TB, socket string, handler http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	serveFrom(t, l, &http.Server{Handler: handler, IdleTimeout: 75 * time.Second})
}
