package endtoend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// app starts a small app in this process and returns its address.
func app(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }

// TestDrainUnderLoad sends SIGTERM while wrk keeps 64 connections busy: no
// request fails before the listener closes, the health answer is 503 from the
// first moment, and hale exits 0.
func TestDrainUnderLoad(t *testing.T) {
	wrk := servers.Need(t, "wrk")
	h := serve(t, fmt.Sprintf("app: {url: %q}\ndrain: {notice: 9s, finish: 5s}\n", app(t, hello)))
	h.becomes(200, patience)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	load := exec.CommandContext(ctx, wrk, "-t", "2", "-c", "64", "-d", "4s", "--timeout", "60s", "http://"+h.listen+"/")
	out := make(chan string, 1)
	go func() {
		text, err := load.CombinedOutput()
		if err != nil {
			text = append(text, err.Error()...)
		}
		out <- string(text)
	}()
	time.Sleep(time.Second)
	h.Signal(syscall.SIGTERM)
	first := h.becomes(503, patience)
	t.Logf("503 on /health %v after SIGTERM", first)

	text := <-out // wrk ends before the notice does
	t.Log(text)
	if strings.Contains(text, "Socket errors") || strings.Contains(text, "Non-2xx") {
		t.Error("requests failed while draining")
	}
	if m := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(text); m == nil {
		t.Error("wrk tells no requests")
	} else if n, _ := strconv.Atoi(m[1]); n < 100 {
		t.Errorf("wrk made only %d requests", n)
	}
	if code := h.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestDrainThroughTheClose keeps sending on kept-alive connections until nobody
// listens any more: each request that got a connection gets its answer.
func TestDrainThroughTheClose(t *testing.T) {
	h := serve(t, fmt.Sprintf("app: {url: %q}\ndrain: {notice: 2s, finish: 5s}\n", app(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		fmt.Fprintln(w, "hello")
	})))
	h.becomes(200, patience)

	var good, lost, reset atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { keepAsking(t, h.listen, &good, &lost, &reset) })
	}
	time.Sleep(500 * time.Millisecond)
	h.Signal(syscall.SIGTERM)
	code := h.Wait()
	wg.Wait()
	t.Logf("%d answered, %d lost, %d connections reset", good.Load(), lost.Load(), reset.Load())
	if lost.Load() > 0 || good.Load() < 64 {
		t.Errorf("%d requests answered, %d lost", good.Load(), lost.Load())
	}
	// The kernel keeps room for one connection that nobody has accepted.
	if reset.Load() > 3 {
		t.Errorf("%d new connections were reset at the close; without care for the queue it is dozens", reset.Load())
	}
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// keepAsking sends one request after the other as a load balancer does: over
// one connection while it may, over a new one when told to close, until
// connecting is refused.
func keepAsking(t *testing.T, address string, good, lost, reset *atomic.Int64) {
	for {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if errors.Is(err, syscall.ECONNRESET) {
			reset.Add(1)
			continue
		}
		if err != nil {
			t.Errorf("connect: %v", err)
			return
		}
		r := bufio.NewReader(conn)
		for n := 0; ; n++ {
			_, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: mysite.com\r\n\r\n")
			var resp *http.Response
			if err == nil {
				resp, err = http.ReadResponse(r, nil)
			}
			if err != nil && n == 0 && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) {
				reset.Add(1) // it was in the kernel's queue when the listener closed
				break
			}
			if err != nil {
				lost.Add(1)
				t.Logf("lost after %d answers on this connection: %v", n, err)
				break
			}
			_ = resp.Body.Close()
			if resp.StatusCode != 200 {
				lost.Add(1)
				t.Logf("lost: %s", resp.Status)
			}
			good.Add(1)
			if resp.Close {
				break
			}
		}
		_ = conn.Close()
	}
}

// TestInFlightRequestsEnd lets a request of three seconds finish after the
// listener has closed.
func TestInFlightRequestsEnd(t *testing.T) {
	started := make(chan struct{})
	h := serve(t, fmt.Sprintf("app: {url: %q}\ndrain: {notice: 100ms, finish: 20s}\nhealth: {log: \"off\"}\n", app(t, func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		time.Sleep(3 * time.Second)
		fmt.Fprintln(w, "late")
	})))
	got := make(chan answer, 1)
	go func() {
		a, err := ask(t.Context(), h.listen, "GET /slow HTTP/1.1", "Host: mysite.com")
		if err != nil {
			t.Errorf("the request in flight: %v", err)
		}
		got <- a
	}()
	<-started
	h.Signal(syscall.SIGTERM)
	if a := <-got; a.status != 200 || a.body != "late\n" {
		t.Errorf("got %v, want 200 late", a)
	}
	if code := h.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestDrainByCommand(t *testing.T) {
	h := serve(t, fmt.Sprintf("app: {url: %q}\ndrain: {notice: 20s, finish: 1s}\n", app(t, hello)))
	h.becomes(200, patience)
	stdout, stderr, code := run(t, t.TempDir(), nil, "drain", "--admin", h.admin)
	if code != 0 || !strings.Contains(stdout, "draining") {
		t.Errorf("hale drain: exit %d, %q %q", code, stdout, stderr)
	}
	h.becomes(503, patience)
	h.Signal(syscall.SIGTERM) // which is the second wish for an end: the notice is not waited for
	if code := h.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if _, stderr, code := run(t, t.TempDir(), nil, "drain", "--admin", h.admin); code != 2 || !strings.Contains(stderr, "is hale serve running") {
		t.Errorf("hale drain with nobody there: exit %d, %q", code, stderr)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	h := serve(t, fmt.Sprintf("app: {url: %q}\ndrain: {notice: 25s, finish: 30s}\n", app(t, hello)))
	h.becomes(200, patience)
	h.Signal(syscall.SIGTERM)
	h.becomes(503, patience)
	start := time.Now()
	h.Signal(syscall.SIGTERM)
	if code := h.Wait(); code != 0 || time.Since(start) > 20*time.Second {
		t.Errorf("exit code %d after %v; want 0 at once, not after the notice of 25 s", code, time.Since(start))
	}
}

// TestReload changes hosts and checks under load without losing a request, and
// keeps the old configuration when the new one is broken.
func TestReload(t *testing.T) {
	url := app(t, hello)
	yaml := func(host, extra string) string {
		return fmt.Sprintf("app: {url: %q}\nhosts: {allow: [%s], instance_address: \"off\"}\ndrain: {notice: 0s, finish: 5s}\n%s", url, host, extra)
	}
	h := serve(t, yaml("one.example", ""))
	h.becomes(200, patience)
	asks := func(host string) int { return h.ask("GET / HTTP/1.1", "Host: "+host, "Connection: close").status }
	if one, two := asks("one.example"), asks("two.example"); one != 200 || two != 400 {
		t.Fatalf("before: one %d, two %d", one, two)
	}

	// A connection opened before the reload goes on after it, and the health
	// answer never says "starting".
	conn, err := net.Dial("tcp", h.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	over := func() string {
		fmt.Fprintf(conn, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Status
	}
	over()
	h.write(yaml("two.example", "health:\n  checks:\n    - {name: app, type: tcp, address: \""+strings.TrimPrefix(url, "http://")+"\"}\n"))
	h.Signal(syscall.SIGHUP)
	deadline := time.Now().Add(patience)
	for asks("two.example") != 200 {
		if s := over(); !strings.HasPrefix(s, "200") {
			t.Fatalf("the health answer turned to %s during a reload", s)
		}
		if time.Now().After(deadline) {
			t.Fatal("the new configuration is not taken over")
		}
	}
	if one := asks("one.example"); one != 400 {
		t.Errorf("the old host still gets %d", one)
	}
	if s := over(); !strings.HasPrefix(s, "200") {
		t.Errorf("the old connection gets %s", s)
	}
	if d := h.details(); len(d.Checks) != 1 {
		t.Errorf("the new check does not show: %+v", d)
	}

	h.write(yaml("[", ""))
	h.Signal(syscall.SIGHUP)
	for !strings.Contains(h.Output(), "not taken over") {
		if time.Now().After(deadline.Add(patience)) {
			t.Fatal("the broken file is not told of")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if two := asks("two.example"); two != 200 {
		t.Errorf("after a broken reload: %d, want the old configuration to stay", two)
	}
	h.Signal(syscall.SIGTERM)
	if code := h.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
