package sites

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// occupy keeps a server with one worker busy for users, of whom five are there
// all the time: who comes waits for four or five of them. It ends with the
// test, or when it is told to.
func occupy(t testing.TB, address, path string) (relief func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var users sync.WaitGroup
	served := make(chan struct{}, 1)
	for range 5 {
		users.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Close = true
				req.Header.Set("X-Forwarded-Proto", "https")
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					continue
				}
				resp.Body.Close()
				select {
				case served <- struct{}{}:
				default:
				}
			}
		})
	}
	relief = func() {
		cancel()
		users.Wait()
	}
	t.Cleanup(relief)
	select {
	case <-served:
	case <-time.After(time.Minute):
		t.Fatalf("nobody is served at %s", address)
	}
	return relief
}

// crowded is a site that takes two connections at once, and one client, who
// asks nothing, has one of them.
func crowded(t testing.TB) Site {
	s := onUvicorn("", "--limit-concurrency", "2")(t)
	client, err := net.DialTimeout("tcp", s.Address, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.relief = func() { client.Close() }
	t.Cleanup(s.relief)
	return s
}

// probed is a site that has been probed by more nodes, and more often, than it
// needs, which nginx's log of requests tells.
func probed(t testing.TB) Site {
	s := nginx(`server { listen @address@; ` + nginxProxy + `}`)(t)
	for _, node := range []string{"127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14", "127.0.0.15", "127.0.0.16"} {
		transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(node)}}).DialContext}
		for range 30 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address+s.Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		transport.CloseIdleConnections()
	}
	return s
}

// loaded are sites whose fault is how often they are asked.
func loaded() []Case {
	return []Case{
		{Name: "probe-load", Row: "probe-load", Findings: []string{"probe-load"}, Inside: true, Start: probed},
	}
}
