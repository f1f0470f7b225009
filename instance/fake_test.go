package instance_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeEC2 is an EC2 metadata service, after the EC2 guide ("How IMDSv2 works",
// "Retrieve instance metadata"): the rules of tokens, and the paths.
type fakeEC2 struct {
	items map[string]string // below /latest/meta-data/

	tokenRequired bool          // HttpTokens=required: version 1 is answered 401
	tokenStatus   int           // answer to the token request; 0 = a token
	tokenLost     bool          // the answer to the token request never arrives (hop limit)
	lost          string        // requests for this item are never answered
	delay         time.Duration // before each answer
	throttled     int           // so many requests are answered 503 first

	mu       sync.Mutex
	tokens   map[string]time.Time // and when they expire
	requests []string
}

func (f *fakeEC2) set(path, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items[path] = value
}

func (f *fakeEC2) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

func (f *fakeEC2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	throttle := f.throttled > 0
	if throttle {
		f.throttled--
	}
	f.mu.Unlock()
	select {
	case <-time.After(f.delay):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	switch {
	case throttle:
		http.Error(w, "slow down", http.StatusServiceUnavailable)
	case r.Method == http.MethodPut:
		f.token(w, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		f.item(w, r)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (f *fakeEC2) token(w http.ResponseWriter, r *http.Request) {
	const ttlHeader = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	switch {
	case f.tokenLost:
		<-r.Context().Done()
	case f.tokenStatus != 0:
		w.WriteHeader(f.tokenStatus)
	case r.Header.Get("X-Forwarded-For") != "" || r.URL.Path != "/latest/api/token":
		w.WriteHeader(http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > 21600:
		w.WriteHeader(http.StatusBadRequest)
	default:
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.tokens == nil {
			f.tokens = make(map[string]time.Time)
		}
		token := "token-" + strconv.Itoa(len(f.requests))
		f.tokens[token] = time.Now().Add(time.Duration(ttl) * time.Second)
		w.Header().Set(ttlHeader, strconv.Itoa(ttl))
		_, _ = w.Write([]byte(token))
	}
}

func (f *fakeEC2) item(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	token := r.Header.Get("X-Aws-Ec2-Metadata-Token")
	expires, known := f.tokens[token]
	value, exists := f.items[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
	lost := f.lost != "" && strings.HasSuffix(r.URL.Path, f.lost)
	f.mu.Unlock()
	switch {
	case lost:
		<-r.Context().Done()
	case token == "" && f.tokenRequired, token != "" && (!known || time.Now().After(expires)):
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("<html><title>401 - Unauthorized</title></html>"))
	case !exists:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = w.Write([]byte(value))
	}
}

// machine is the metadata of an instance with two network interfaces.
func machine() map[string]string {
	return map[string]string{
		"instance-id":                 "i-0123456789abcdef0",
		"instance-type":               "t3.small",
		"placement/availability-zone": "eu-central-1a",
		"placement/region":            "eu-central-1",
		"local-hostname":              "ip-10-0-1-23.eu-central-1.compute.internal",
		"local-ipv4":                  "10.0.1.23",
		"public-ipv4":                 "203.0.113.7",
		"network/interfaces/macs/":    "0a:ff:ff:ff:ff:02/\n0a:ff:ff:ff:ff:01/",
		"network/interfaces/macs/0a:ff:ff:ff:ff:01/device-number": "0",
		"network/interfaces/macs/0a:ff:ff:ff:ff:01/local-ipv4s":   "10.0.1.23\n10.0.1.24",
		"network/interfaces/macs/0a:ff:ff:ff:ff:01/public-ipv4s":  "203.0.113.7",
		"network/interfaces/macs/0a:ff:ff:ff:ff:02/device-number": "1",
		"network/interfaces/macs/0a:ff:ff:ff:ff:02/local-ipv4s":   "10.0.2.50",
		"network/interfaces/macs/0a:ff:ff:ff:ff:02/ipv6s":         "2001:db8::5",
	}
}

// serveTCP serves on loopback and returns the URL.
func serveTCP(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections() // a lost answer would be waited for
		s.Close()
	})
	return s.URL
}

// memory is a network within the process: unlike sockets, its connections
// block in a way that testing/synctest understands.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}
func (m *memory) Close() error   { return nil }
func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (m *memory) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
	}
}

// serveMemory serves within a bubble of synctest, and returns how to reach it
// and how to end it.
func serveMemory(h http.Handler) (dial func(context.Context, string, string) (net.Conn, error), stop func()) {
	m := &memory{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(m) })
	return m.dial, func() {
		close(m.done)
		_ = s.Close()
		wg.Wait()
	}
}

// refuse is the dial of a machine on which nothing listens.
func refuse(_ context.Context, network, _ string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connect: connection refused")}
}

// blackHole is the dial of a network that drops what is sent.
func blackHole(ctx context.Context, network, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
}
