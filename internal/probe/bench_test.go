package probe_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"hale/internal/probe"
)

// What a probe costs, beside a request of net/http's client on a connection of
// its own.
func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	defer server.Close()
	b.Run("probe", func(b *testing.B) {
		prober, _ := probe.Find("alb")
		p, err := probe.New(b.Context(), prober, server.URL, probe.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if a := p.Send(b.Context()); !a.Healthy {
				b.Fatal(a.Because)
			}
		}
	})
	b.Run("net/http", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		b.ReportAllocs()
		for b.Loop() {
			res, err := client.Get(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
}
