package balancer_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
	"hale/internal/handover"
	"hale/test/servers"
)

// house is a balancer with one load balancer, on loopback.
type house struct {
	*balancer.Balancer
	t            *testing.T
	loadBalancer string
	url          string // of its listener
	listener     string
	group        string
}

var place = inventory.Place{Region: "us-east-1", Account: "000000000000"}

func open(t *testing.T, o balancer.Options) *balancer.Balancer {
	t.Helper()
	o.Place = place
	b, err := balancer.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, b) })
	return b
}

func shutdown(t *testing.T, b *balancer.Balancer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// newHouse returns a balancer with a listener that forwards to a group, which
// checks /health each 5 seconds.
func newHouse(t *testing.T, o balancer.Options, attributes elb.Attributes) *house {
	t.Helper()
	return houseOf(t, open(t, o), attributes)
}

func houseOf(t *testing.T, b *balancer.Balancer, attributes elb.Attributes) *house {
	t.Helper()
	h := &house{Balancer: b, t: t}
	port := servers.FreePort(t)
	h.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	h.change(func(e *inventory.Edit) error {
		lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "site", Scheme: inventory.Internal})
		if err != nil {
			return err
		}
		g, err := e.CreateGroup(inventory.NewGroup{
			Name: "blue", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 80, Attributes: attributes,
			HealthCheck: elb.HealthCheck{Path: "/health", Interval: 5 * time.Second, Timeout: 2 * time.Second, Healthy: 2, Unhealthy: 2},
		})
		if err != nil {
			return err
		}
		l, err := e.CreateListener(lb.ARN, inventory.ListenerSettings{Protocol: elb.HTTP, Port: port, Default: []rule.Action{rule.ForwardTo(g.ARN)}})
		if err != nil {
			return err
		}
		h.loadBalancer, h.group, h.listener = lb.ARN, g.ARN, l.ARN
		return nil
	})
	return h
}

func (h *house) change(f func(*inventory.Edit) error) {
	h.t.Helper()
	if err := h.Change(context.Background(), f); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) register(targets ...netip.AddrPort) {
	h.t.Helper()
	h.change(func(e *inventory.Edit) error {
		var list []inventory.Target
		for _, of := range targets {
			list = append(list, inventory.Target{TargetID: idOf(of)})
		}
		_, err := e.Register(h.group, list)
		return err
	})
}

func idOf(a netip.AddrPort) inventory.TargetID {
	return inventory.TargetID{ID: a.Addr().String(), Port: int(a.Port())}
}

// await waits until a target is held for what is wanted.
func (h *house) await(target netip.AddrPort, want elb.State) inventory.TargetStatus {
	h.t.Helper()
	got, err := h.awaits(target, want)
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

// awaits is await for goroutines beside the test's own.
func (h *house) awaits(target netip.AddrPort, want elb.State) (last inventory.TargetStatus, err error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, of := range h.TargetHealth(h.group) {
			if of.TargetID == idOf(target) {
				if last = of; of.State == want {
					return of, nil
				}
			}
		}
	}
	return last, fmt.Errorf("target %v is %s (%s: %s), want %s", target, last.State, last.Reason, last.Description, want)
}

// app is a target that says who it is.
type app struct {
	netip.AddrPort
	server *httptest.Server
	health atomic.Int32 // the status of /health
	served atomic.Int32
}

func newApp(t *testing.T, name string) *app {
	t.Helper()
	a := new(app)
	a.health.Store(200)
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(int(a.health.Load()))
			return
		}
		a.served.Add(1)
		w.Header().Set("X-Saw-For", r.Header.Get("X-Forwarded-For"))
		w.Header().Set("X-Saw-Proto", r.Header.Get("X-Forwarded-Proto"))
		w.Header().Set("X-Saw-Port", r.Header.Get("X-Forwarded-Port"))
		w.Header().Set("X-Saw-Host", r.Host)
		w.Header().Set("X-Saw-Trace", r.Header.Get("X-Amzn-Trace-Id"))
		_, _ = io.WriteString(w, name)
	}))
	a.server.Start()
	t.Cleanup(a.server.Close)
	a.AddrPort = netip.MustParseAddrPort(a.server.Listener.Addr().(*net.TCPAddr).String())
	return a
}

// reply is an answer, read.
type reply struct {
	status int
	line   string // the status with its phrase
	header http.Header
	body   string
}

func get(t *testing.T, url string) reply {
	t.Helper()
	got, err := fetch(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func fetch(ctx context.Context, url string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return reply{}, err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Status, answer.Header, string(body)}, err
}

func TestRequestsAreSharedOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	if got := get(t, h.url); got.status != 503 || got.header.Get("Server") != "awselb/2.0" {
		t.Errorf("no target: %+v", got)
	}
	one, two := newApp(t, "one"), newApp(t, "two")
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.await(two.AddrPort, elb.Healthy)
	for range 10 {
		got := get(t, h.url+"/page?a=b")
		if got.status != 200 || got.header.Get("X-Saw-For") != "127.0.0.1" || got.header.Get("X-Saw-Proto") != "http" {
			t.Fatalf("got %+v", got)
		}
	}
	if one.served.Load() != 5 || two.served.Load() != 5 {
		t.Errorf("served: %d and %d, want 5 each", one.served.Load(), two.served.Load())
	}
}

// Sick targets get nothing, unless all are sick.
func TestSickTargets(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	one, two := newApp(t, "one"), newApp(t, "two")
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.await(two.AddrPort, elb.Healthy)
	two.health.Store(301)
	status := h.await(two.AddrPort, elb.Unhealthy)
	if status.Reason != elb.ResponseCodeMismatch || status.Description != "Health checks failed with these codes: [301]" {
		t.Errorf("got %s: %s", status.Reason, status.Description)
	}
	before := two.served.Load()
	for range 6 {
		if got := get(t, h.url); got.body != "one" {
			t.Errorf("answered by %s", got.body)
		}
	}
	if got := two.served.Load(); got != before {
		t.Error("the sick one was asked")
	}
	one.health.Store(500)
	h.await(one.AddrPort, elb.Unhealthy)
	seen := map[string]bool{}
	for range 10 {
		seen[get(t, h.url).body] = true
	}
	if !seen["one"] || !seen["two"] {
		t.Errorf("fail-open asks all of them, got %v", seen)
	}
	two.health.Store(200)
	h.await(two.AddrPort, elb.Healthy)
}

// A target that is gone, before its health check says so, is not noticed by
// clients.
func TestAnotherTargetIsTried(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	one, two := newApp(t, "one"), newApp(t, "two")
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.await(two.AddrPort, elb.Healthy)
	two.server.CloseClientConnections()
	two.server.Close()
	for range 10 {
		if got := get(t, h.url); got.status != 200 || got.body != "one" {
			t.Errorf("got %+v", got)
		}
	}
}

func TestDraining(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, elb.Attributes{"deregistration_delay.timeout_seconds": "2"})
	one, two := newApp(t, "one"), newApp(t, "two")
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.await(two.AddrPort, elb.Healthy)
	h.change(func(e *inventory.Edit) error {
		_, err := e.Deregister(h.group, []inventory.TargetID{idOf(two.AddrPort)})
		return err
	})
	if status := h.await(two.AddrPort, elb.Draining); status.Reason != elb.DeregistrationInProgress {
		t.Errorf("reason %s", status.Reason)
	}
	for range 6 {
		if got := get(t, h.url); got.body != "one" {
			t.Errorf("answered by %s", got.body)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if len(h.TargetHealth(h.group)) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it drains for ever")
		}
	}
	if len(h.Inventory().Groups[h.group].Targets) != 1 {
		t.Error("it is still there")
	}
}

// A Classic Load Balancer takes 200 alone for success, and sends nothing to sick
// targets, even if all are sick.
func TestClassicLoadBalancer(t *testing.T) {
	t.Parallel()
	h := &house{Balancer: open(t, balancer.Options{}), t: t}
	one := newApp(t, "one")
	one.health.Store(201)
	port := servers.FreePort(t)
	h.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	h.change(func(e *inventory.Edit) error {
		lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "old", Type: elb.Classic, Scheme: inventory.Internal})
		if err != nil {
			return err
		}
		g, err := e.CreateGroup(inventory.NewGroup{
			Name: "old", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 80,
			HealthCheck: elb.HealthCheck{Path: "/health", Matcher: "200-299", Interval: 5 * time.Second, Timeout: 2 * time.Second, Unhealthy: 2},
		})
		if err != nil {
			return err
		}
		h.group = g.ARN
		_, err = e.CreateListener(lb.ARN, inventory.ListenerSettings{Protocol: elb.HTTP, Port: port, Default: []rule.Action{rule.ForwardTo(g.ARN)}})
		return err
	})
	h.register(one.AddrPort)
	h.await(one.AddrPort, elb.Unhealthy)
	if got := get(t, h.url); got.status != 503 || got.header.Get("Server") != "" || one.served.Load() != 0 {
		t.Errorf("none healthy: %+v", got)
	}
	one.health.Store(200)
	h.await(one.AddrPort, elb.Healthy)
	if got := get(t, h.url); got.status != 200 || got.header.Get("X-Saw-For") != "127.0.0.1" || got.header.Get("X-Saw-Trace") != "" {
		t.Errorf("got %+v", got)
	}
	h.change(func(e *inventory.Edit) error {
		_, err := e.SetGroupAttributes(h.group, elb.Attributes{"stickiness.enabled": "true", "stickiness.lb_cookie.duration_seconds": "60"})
		return err
	})
	first := get(t, h.url).header.Values("Set-Cookie")
	if len(first) != 2 || !strings.HasPrefix(first[0], "AWSELB=") || !strings.HasSuffix(first[0], ";PATH=/;MAX-AGE=60") {
		t.Fatalf("cookies %q", first)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Cookie", strings.TrimSuffix(first[0], ";PATH=/;MAX-AGE=60"))
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close()
	if again := got.Header.Values("Set-Cookie"); len(again) != 0 {
		t.Errorf("to a client that has it: %q", again)
	}
}

// A Network Load Balancer moves connections, and resets those of a target that is
// sick.
func TestNetworkLoadBalancer(t *testing.T) {
	t.Parallel()
	h := &house{Balancer: open(t, balancer.Options{}), t: t}
	one, two := newApp(t, "one"), newApp(t, "two")
	port := servers.FreePort(t)
	h.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	h.change(func(e *inventory.Edit) error {
		lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "net", Type: elb.Network, Scheme: inventory.Internal})
		if err != nil {
			return err
		}
		g, err := e.CreateGroup(inventory.NewGroup{
			Name: "tcp", Kind: elb.Kind{Protocol: elb.TCP, Targets: elb.Addresses}, Port: 80,
			HealthCheck: elb.HealthCheck{Protocol: elb.HTTP, Path: "/health", Interval: 5 * time.Second, Timeout: 2 * time.Second, Unhealthy: 2},
		})
		if err != nil {
			return err
		}
		h.group = g.ARN
		_, err = e.CreateListener(lb.ARN, inventory.ListenerSettings{Protocol: elb.TCP, Port: port, Default: []rule.Action{rule.ForwardTo(g.ARN)}})
		return err
	})
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.await(two.AddrPort, elb.Healthy)
	if got := get(t, h.url); got.header.Get("X-Saw-For") != "" {
		t.Errorf("a Network Load Balancer changes nothing: %v", got.header)
	}
	clients := make(map[string]net.Conn) // open connections, by who answers
	for range 50 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		clients[say(t, conn)] = conn
	}
	if len(clients) != 2 {
		t.Fatalf("all connections went to %v", clients)
	}
	two.health.Store(404)
	if status := h.await(two.AddrPort, elb.Unhealthy); status.Reason != elb.FailedHealthChecks {
		t.Errorf("reason %s", status.Reason)
	}
	_ = clients["two"].SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := clients["two"].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection to the sick one: %v", err)
	}
	if who := say(t, clients["one"]); who != "one" {
		t.Errorf("the other one is answered by %q", who)
	}
}

// say sends a request on a connection, and returns who answered.
func say(t *testing.T, conn net.Conn) string {
	t.Helper()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return string(body)
}

// What is still unanswered when the draining ends, is answered with 502.
func TestDrainingEndsRequests(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, elb.Attributes{"deregistration_delay.timeout_seconds": "1"})
	asked := make(chan bool, 1)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- true
			<-r.Context().Done()
		}
	}))
	t.Cleanup(slow.Close)
	target := netip.MustParseAddrPort(slow.Listener.Addr().String())
	h.register(target)
	h.await(target, elb.Healthy)
	answered := make(chan reply, 1)
	go func() {
		got, err := fetch(context.Background(), h.url+"/slow")
		if err != nil {
			t.Error(err)
		}
		answered <- got
	}()
	<-asked
	h.change(func(e *inventory.Edit) error {
		_, err := e.Deregister(h.group, []inventory.TargetID{idOf(target)})
		return err
	})
	if got := <-answered; got.status != 502 || got.header.Get("Server") != "awselb/2.0" {
		t.Errorf("got %+v", got)
	}
}

// What a balancer knows, it knows again after a restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHouse(t, balancer.Options{StateDir: dir}, nil)
	one, two := newApp(t, "one"), newApp(t, "two")
	h.register(one.AddrPort, two.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	h.change(func(e *inventory.Edit) error {
		_, err := e.Deregister(h.group, []inventory.TargetID{idOf(two.AddrPort)})
		return err
	})
	if _, err := balancer.Open(balancer.Options{StateDir: dir, Place: place}); err == nil {
		t.Fatal("two balancers have the same state directory")
	}
	before := h.Inventory()
	shutdown(t, h.Balancer)
	h.Balancer = open(t, balancer.Options{StateDir: dir})
	after := h.Inventory()
	draining := after.Groups[h.group].Target(idOf(two.AddrPort))
	if draining == nil || draining.Draining == nil || !draining.Draining.Until.Equal(before.Groups[h.group].Target(idOf(two.AddrPort)).Draining.Until) {
		t.Errorf("the draining is %+v", draining)
	}
	h.await(two.AddrPort, elb.Draining)
	h.await(one.AddrPort, elb.Healthy)
	if got := get(t, h.url); got.status != 200 || got.body != "one" {
		t.Errorf("got %+v", got)
	}
}

// A port that another program has is refused, and nothing is changed.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = h.Change(t.Context(), func(e *inventory.Edit) error {
		_, err := e.CreateListener(h.loadBalancer, inventory.ListenerSettings{
			Protocol: elb.HTTP, Port: l.Addr().(*net.TCPAddr).Port, Default: []rule.Action{rule.ForwardTo(h.group)},
		})
		return err
	})
	if err == nil || len(h.Inventory().Listeners) != 1 {
		t.Errorf("got %v, and %d listeners", err, len(h.Inventory().Listeners))
	}
}

func TestListenersComeAndGo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{}, nil)
	one := newApp(t, "one")
	h.register(one.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	port := servers.FreePort(t)
	h.change(func(e *inventory.Edit) error {
		_, err := e.ModifyListener(h.listener, inventory.ListenerSettings{Port: port})
		return err
	})
	if got := get(t, fmt.Sprintf("http://127.0.0.1:%d", port)); got.status != 200 {
		t.Errorf("at the new port: %+v", got)
	}
	h.change(func(e *inventory.Edit) error { return e.DeleteLoadBalancer(h.loadBalancer) })
	if _, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
		t.Error("the port still listens")
	}
	if status := h.await(one.AddrPort, elb.Unused); status.Reason != elb.NotInUse {
		t.Errorf("reason %s", status.Reason)
	}
}

// Another process takes over without a refused connection: sockets, state, and
// what was known of the targets, in the end.
func TestSuccession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var sockets, next handover.Sockets
	h := newHouse(t, balancer.Options{StateDir: dir, Sockets: &sockets}, nil)
	one := newApp(t, "one")
	h.register(one.AddrPort)
	h.await(one.AddrPort, elb.Healthy)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	offered := make(chan bool, 1)
	go func() {
		succeeded, err := sockets.Offer(ctx, dir, h.Pause, func() { t.Error("resumed") })
		if err != nil {
			t.Error(err)
		}
		offered <- succeeded
	}()
	stop, asked := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				asked <- n
				return
			default:
				if got, err := fetch(ctx, h.url); err != nil || got.status != 200 {
					t.Errorf("got %+v, %v", got, err)
				}
				n++
			}
		}
	}()
	var predecessor *handover.Predecessor
	for deadline := time.Now().Add(time.Minute); predecessor == nil && time.Now().Before(deadline); {
		var err error
		if predecessor, err = next.Take(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	err := h.Change(ctx, func(*inventory.Edit) error { return nil })
	if refusal, ok := errors.AsType[*elb.Error](err); !ok || refusal.Code != "Throttling" {
		t.Errorf("a change while it is handed over: %v", err)
	}
	successor := open(t, balancer.Options{StateDir: dir, Sockets: &next})
	if err := predecessor.Ready(); err != nil {
		t.Fatal(err)
	}
	if !<-offered {
		t.Error("it was not taken")
	}
	shutdown(t, h.Balancer)
	if got := get(t, h.url); got.status != 200 {
		t.Errorf("got %+v", got)
	}
	close(stop)
	if <-asked == 0 {
		t.Error("nothing was asked meanwhile")
	}
	h.Balancer = successor
	h.await(one.AddrPort, elb.Healthy)
}

func TestPause(t *testing.T) {
	t.Parallel()
	h := newHouse(t, balancer.Options{StateDir: t.TempDir()}, nil)
	nothing := func(*inventory.Edit) error { return nil }
	if err := h.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := h.Change(t.Context(), nothing); err == nil {
		t.Error("a change while paused")
	}
	if err := h.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := h.Change(t.Context(), nothing); err != nil {
		t.Error(err)
	}
}
