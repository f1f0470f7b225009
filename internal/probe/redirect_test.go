package probe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"hale/internal/probe"
	"hale/test/servers"
)

// moved is an answer that sends elsewhere.
func moved(status int, to string) string {
	return fmt.Sprintf("HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, to)
}

// log is the requests that a target saw.
type log struct {
	mu   sync.Mutex
	seen []string
}

func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = nil
	return seen
}

// router is a target that answers each path in its own way, any other with 200.
func (l *log) router(t *testing.T, answers map[string]string) string {
	return target(t, func(conn net.Conn) {
		request := readRequest(conn)
		l.mu.Lock()
		l.seen = append(l.seen, request)
		l.mu.Unlock()
		path := strings.Fields(request)[1]
		if answer := answers[path]; answer != "" {
			conn.Write([]byte(answer))
			return
		}
		conn.Write([]byte(whole))
	})
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var seen log
	cert := servers.NewCertificate(t, "127.0.0.1")
	secure := secureTarget(t, &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}, says(whole))
	address := seen.router(t, map[string]string{
		"/health":    moved(301, "/health/"),
		"/elsewhere": moved(302, "http://other.invalid/"),
		"/secure":    moved(301, "https://"+secure+"/"),
		"/nowhere":   "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"/round":     moved(302, "/round"),
		"/mail":      moved(302, "mailto:a@b"),
		"/gone":      moved(302, "/404"),
		"/404":       "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	})
	for _, test := range []struct {
		as, path         string
		healthy, warned  bool
		status, followed int
		because          string
	}{
		{as: "alb", path: "/health", status: 301, because: "status 301, and success is 200"},
		{as: "nlb", path: "/health", status: 301, healthy: true},
		{as: "kubelet", path: "/health", status: 200, followed: 1, healthy: true},
		{as: "kubelet", path: "/secure", status: 200, followed: 1, healthy: true},
		{as: "kubelet", path: "/elsewhere", status: 302, healthy: true, warned: true},
		{as: "kubelet", path: "/nowhere", status: 302, healthy: true, warned: true},
		{as: "kubelet", path: "/round", status: 302, followed: 9, because: "the redirects do not end: 10 requests were made"},
		{as: "kubelet", path: "/gone", status: 404, followed: 1, because: "status 404, and success is 200-399"},
		{as: "consul", path: "/health", status: 200, followed: 1, healthy: true},
		{as: "consul", path: "/round", status: 302, followed: 9, because: "the redirects do not end"},
		{as: "consul", path: "/nowhere", status: 302, because: "status 302, and success is 200-299"},
		{as: "consul", path: "/mail", status: 302, because: "status 302"},
		{as: "docker", path: "/health", status: 301, healthy: true},
	} {
		seen.take()
		a := send(t, test.as, "http://"+address+test.path, probe.Options{})
		if a.Healthy != test.healthy || a.Warned() != test.warned || a.Status != test.status || len(a.Followed) != test.followed {
			t.Errorf("%s %s: healthy %v, warned %v, status %d, %d followed; %v %s", test.as, test.path, a.Healthy, a.Warned(), a.Status, len(a.Followed), a.Outcome, a.Because)
		}
		if !strings.HasPrefix(a.Because, test.because) {
			t.Errorf("%s %s: because %q, want %q", test.as, test.path, a.Because, test.because)
		}
		for _, hop := range a.Followed {
			if hop.Status/100 != 3 || len(hop.Received) == 0 {
				t.Errorf("%s %s: followed %+v", test.as, test.path, hop)
			}
		}
	}
	// A name that leads nowhere is the end of it.
	if a := send(t, "consul", "http://"+address+"/elsewhere", probe.Options{}); a.Outcome != probe.Unresolved || a.Healthy || len(a.Followed) != 1 {
		t.Errorf("another host: %v, %s", a.Outcome, a.Because)
	}
}

// Kubelet and Consul are made of Go's net/http. A client of it that is set as
// theirs are writes the same bytes, also when it is redirected.
func TestAsGoClientsWrite(t *testing.T) {
	t.Parallel()
	var seen log
	address := seen.router(t, map[string]string{
		"/health": moved(301, "/health/"),
		"/round":  moved(307, "/round?again"), "/round?again": moved(302, "/round?again"),
	})
	for _, test := range []struct {
		as     string
		header http.Header
		host   string
	}{
		{as: "kubelet", header: http.Header{"User-Agent": {"kube-probe/1.33"}, "Accept": {"*/*"}}},
		{as: "kubelet", header: http.Header{"User-Agent": {"kube-probe/1.33"}, "Accept": {"*/*"}}, host: "mysite.com"},
		{as: "consul", header: http.Header{"User-Agent": {"Consul Health Check"}, "Accept": {"text/plain, text/*, */*"}}},
		{as: "consul", header: http.Header{"User-Agent": {"Consul Health Check"}, "Accept": {"text/plain, text/*, */*"}}, host: "mysite.com"},
	} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: test.as == "kubelet"}}
		for _, path := range []string{"/", "/health", "/a%20b?c=d", "/round"} {
			seen.take()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header, req.Host = test.header.Clone(), test.host
			if res, err := client.Do(req); err == nil {
				res.Body.Close()
			}
			want := seen.take()
			send(t, test.as, "http://"+address+path, probe.Options{Host: test.host})
			if got := seen.take(); !slices.Equal(got, want) {
				t.Errorf("%s %s %s: sent\n%q, net/http\n%q", test.as, path, test.host, got, want)
			}
		}
	}
}

// A redirect is followed within the one time-out.
func TestInterruptedWhileFollowing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address := target(t, func(conn net.Conn) {
		if strings.Contains(readRequest(conn), "/second") {
			cancel()
			readRequest(conn)
			return
		}
		conn.Write([]byte(moved(302, "/second")))
	})
	a := filled(t, "consul", "http://"+address, probe.Options{}).Send(ctx)
	if a.Healthy || a.Reason != "" || !errors.Is(a.Err, context.Canceled) {
		t.Errorf("healthy %v, %s, %v", a.Healthy, a.Reason, a.Err)
	}
}
