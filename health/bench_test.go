package health_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"hale/health"
)

// BenchmarkHandler compares the plain answer with a bare handler that writes
// "ok", each called directly: what the answer itself costs.
func BenchmarkHandler(b *testing.B) {
	for _, h := range answerers(b) {
		b.Run(h.name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/health", nil)
			r.RemoteAddr = "10.0.1.5:41000"
			r.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
			w := discard{}
			b.ReportAllocs()
			for b.Loop() {
				h.handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkServer compares the same over net/http's server and a connection on
// loopback that is kept alive: what a load balancer gets.
func BenchmarkServer(b *testing.B) {
	for _, h := range answerers(b) {
		b.Run(h.name, func(b *testing.B) {
			server := httptest.NewServer(h.handler)
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			request := []byte("GET /health HTTP/1.1\r\nHost: 10.0.1.23:8080\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n")
			response := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				if n, err := conn.Read(response); err != nil || !bytes.HasSuffix(response[:n], []byte("ok\n")) {
					b.Fatalf("%q, %v", response[:n], err)
				}
			}
		})
	}
}

type answerer struct {
	name    string
	handler http.Handler
}

func answerers(b *testing.B) []answerer {
	ok := settled(b, health.Options{}, checks()[0])
	return []answerer{
		{"bare", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })},
		{"health", handler(b, ok, health.HandlerOptions{})},
		{"health, details private", handler(b, ok, health.HandlerOptions{Details: health.DetailsPrivate})},
	}
}

// BenchmarkFormats tells what the formats cost that are not for load balancers.
func BenchmarkFormats(b *testing.B) {
	h := handler(b, settled(b, health.Options{}, checks()...), health.HandlerOptions{Details: health.DetailsAlways})
	for _, format := range []string{"plain", "json", "html", "openmetrics"} {
		b.Run(format, func(b *testing.B) {
			q := health.Query{Method: "GET", Path: "/health", RawQuery: "format=" + format}
			b.ReportAllocs()
			for b.Loop() {
				h.Answer(q)
			}
		})
	}
	b.Run("negotiated", func(b *testing.B) {
		q := health.Query{Method: "GET", Path: "/health", Accept: "application/health+json, application/json;q=0.9, */*;q=0.1"}
		b.ReportAllocs()
		for b.Loop() {
			h.Answer(q)
		}
	})
}
