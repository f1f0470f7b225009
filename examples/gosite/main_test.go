package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The whole program, asked as load balancers, users and strangers would.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	addresses, ended := make(chan net.Addr, 1), make(chan error, 1)
	o := options{listen: "127.0.0.1:0", dir: t.TempDir(), hosts: []string{"mysite.com"}}
	go func() {
		ended <- run(ctx, o, slog.New(slog.DiscardHandler), func(a net.Addr) { addresses <- a })
	}()
	var base string
	select {
	case a := <-addresses:
		base = "http://" + a.String()
	case err := <-ended:
		t.Fatal(err)
	}

	const probe = "10.0.1.23:8080"
	healthy := func() bool { status, _, _ := ask(t, base+"/health", probe, ""); return status == 200 }
	for deadline := time.Now().Add(20 * time.Second); !healthy(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not healthy within 20 s")
		}
	}
	for _, tt := range []struct {
		name, path, host, proto string
		status                  int
		location, body          string
	}{
		{"the load balancer", "/health", probe, "", 200, "", "ok"},
		{"the load balancer, with a slash", "/health/", probe, "", 200, "", "ok"},
		{"a user", "/", "mysite.com", "https", 200, "", "Sign the book"},
		{"a user by plain http", "/archive?a=b", "mysite.com", "http", 301, "https://mysite.com/archive?a=b", ""},
		{"a stranger's host", "/", "evil.example", "https", 400, "", "-hosts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, location, body := ask(t, base+tt.path, tt.host, tt.proto)
			if status != tt.status || location != tt.location || !strings.Contains(body, tt.body) {
				t.Errorf("%d, Location %q, want %d, %q and %q in\n%s", status, location, tt.status, tt.location, tt.body, body)
			}
		})
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func ask(t *testing.T, url, host, proto string) (status int, location, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if proto != "" {
		r.Header.Set("X-Forwarded-Proto", proto)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Location"), string(b)
}
