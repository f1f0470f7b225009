package endtoend

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/test/servers"
)

// startBalance starts a hale balance with a file, and waits for its API.
func startBalance(t *testing.T, file string) (*balance, *elbv2.Client) {
	t.Helper()
	b := &balance{api: servers.FreeAddress(t), dir: filepath.Join(t.TempDir(), "state"), file: file}
	b.start(t)
	t.Cleanup(b.kill)
	client := b.client()
	groupNames(t, b, client)
	return b, client
}

// backend is a target that counts what it answers.
type backend struct {
	types.TargetDescription
	answered atomic.Int64
	failing  atomic.Bool // answers 500, but to health checks
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := new(backend)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.UserAgent(), "ELB-HealthChecker/") {
			return
		}
		b.answered.Add(1)
		if b.failing.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	b.Id, b.Port = aws.String("127.0.0.1"), aws.Int32(int32(server.Listener.Addr().(*net.TCPAddr).Port))
	return b
}

// join registers a backend, and waits until it is healthy.
func (s *site) join(b *backend) {
	s.t.Helper()
	s.target = b.TargetDescription
	s.register()
	s.await(healthy)
}

func (s *site) url() string { return "http://127.0.0.1:" + strconv.Itoa(s.port) }

// ask sends a request, and returns the answer's status.
func (s *site) ask(path string) int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url()+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer got.Body.Close()
	_, _ = io.Copy(io.Discard, got.Body)
	return got.StatusCode
}

// TestClassicLoadBalancer: one that a file names takes 200 alone for healthy,
// whatever the matcher, and sends nothing to targets that are all sick.
func TestClassicLoadBalancer(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	status.Store(http.StatusAccepted)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(app.Close)
	port, file := servers.FreePort(t), filepath.Join(t.TempDir(), "balance.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
TargetGroups:
- Name: old
  Protocol: HTTP
  Port: 80
  TargetType: ip
  HealthCheckIntervalSeconds: 5
  HealthyThresholdCount: 2
  HealthCheckTimeoutSeconds: 2
  Matcher: {HttpCode: 200-299}
  Targets: [{Id: 127.0.0.1, Port: %d}]
LoadBalancers:
- Name: old
  Type: classic
  Scheme: internal
  Listeners: [{Protocol: HTTP, Port: %d, DefaultActions: [{Type: forward, TargetGroup: old}]}]
`, app.Listener.Addr().(*net.TCPAddr).Port, port), 0o600); err != nil {
		t.Fatal(err)
	}
	_, client := startBalance(t, file)
	groups, err := client.DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, client: client, port: port, group: *groups.TargetGroups[0].TargetGroupArn}
	s.target = types.TargetDescription{Id: aws.String("127.0.0.1"), Port: aws.Int32(int32(app.Listener.Addr().(*net.TCPAddr).Port))}
	s.await(held{types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumResponseCodeMismatch, "Health checks failed with these codes: [202]"})
	if got := s.ask("/"); got != http.StatusServiceUnavailable {
		t.Errorf("none healthy: %d", got)
	}
	status.Store(http.StatusOK)
	s.await(healthy)
	if got := s.ask("/"); got != http.StatusOK {
		t.Errorf("healthy: %d", got)
	}
}

// TestSlowStart: a target that is new beside others gets few requests at first, and
// its share once its time is over.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	const lasts = 30 * time.Second // the least that ELB takes
	_, client := startBalance(t, "")
	s := newSite(t, client, createBalancer(t, client, "alb", types.LoadBalancerTypeEnumApplication), nil)
	s.set("slow_start.duration_seconds", "30")
	old, young := newBackend(t), newBackend(t)
	s.join(old) // the first one has all from the beginning
	s.join(young)
	begun := time.Now()
	// share asks for a while, and returns what the new target got of it.
	share := func(until time.Duration) float64 {
		was, wasOld := young.answered.Load(), old.answered.Load()
		for time.Since(begun) < until {
			if got := s.ask("/"); got != 200 {
				t.Fatalf("answered %d", got)
			}
			time.Sleep(time.Millisecond) // others need the machine, too
		}
		got, gotOld := young.answered.Load()-was, old.answered.Load()-wasOld
		t.Logf("until %v: %d of %d", until, got, got+gotOld)
		return float64(got) / float64(got+gotOld)
	}
	if early := share(lasts / 5); early > 0.3 {
		t.Errorf("at first, the new target got %.2f", early)
	}
	for time.Since(begun) < lasts {
		time.Sleep(100 * time.Millisecond)
	}
	if late := share(lasts + 3*time.Second); late < 0.4 || late > 0.6 {
		t.Errorf("after its time, it got %.2f", late)
	}
}

// TestAnomalyMitigation: of four targets, one fails. It is told to be anomalous, and
// gets less, until it is well again.
func TestAnomalyMitigation(t *testing.T) {
	t.Parallel()
	_, client := startBalance(t, "")
	s := newSite(t, client, createBalancer(t, client, "alb", types.LoadBalancerTypeEnumApplication), nil)
	s.set("load_balancing.algorithm.type", "weighted_random")
	s.set("load_balancing.algorithm.anomaly_mitigation", "on")
	sick := newBackend(t)
	s.join(sick)
	for range 3 {
		s.join(newBackend(t))
	}
	s.target = sick.TargetDescription
	told := func() types.AnomalyDetection {
		t.Helper()
		health, err := client.DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{
			TargetGroupArn: &s.group, Targets: []types.TargetDescription{s.target}, Include: []types.DescribeTargetHealthInputIncludeEnum{types.DescribeTargetHealthInputIncludeEnumAnomaly},
		})
		if err != nil {
			t.Fatal(err)
		}
		if state := health.TargetHealthDescriptions[0].TargetHealth.State; state != types.TargetHealthStateEnumHealthy {
			t.Fatalf("the target is %s", state)
		}
		return *health.TargetHealthDescriptions[0].AnomalyDetection
	}
	// until asks on until the target is told to be as wanted.
	until := func(want types.AnomalyDetection) {
		t.Helper()
		for deadline := time.Now().Add(3 * patience); told() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("told %+v, want %+v", told(), want)
			}
			for range 100 {
				s.ask("/")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	normal := types.AnomalyDetection{Result: types.AnomalyResultEnumNormal, MitigationInEffect: types.MitigationInEffectEnumNo}
	if got := told(); got != normal {
		t.Errorf("at first: %+v", got)
	}
	sick.failing.Store(true)
	until(types.AnomalyDetection{Result: types.AnomalyResultEnumAnomalous, MitigationInEffect: types.MitigationInEffectEnumYes})
	const requests = 2000
	before := sick.answered.Load()
	for range requests {
		s.ask("/")
	}
	got := sick.answered.Load() - before
	t.Logf("%d of %d requests", got, requests)
	if got > requests/5 { // a seventh or less; a quarter would be its share
		t.Errorf("it got %d of %d requests", got, requests)
	}
	sick.failing.Store(false)
	until(normal)
}

// TestTargetsThatDoNotConnect: a target that takes no connection is answered for
// with 504, after ELB's 10 seconds.
func TestTargetsThatDoNotConnect(t *testing.T) {
	t.Parallel()
	_, client := startBalance(t, "")
	s := newSite(t, client, createBalancer(t, client, "alb", types.LoadBalancerTypeEnumApplication), nil)
	s.target = types.TargetDescription{Id: aws.String("127.0.0.1"), Port: aws.Int32(int32(fullPort(t)))}
	s.register()
	s.await(timedOut) // and gets what there is, as the only one
	begun := time.Now()
	if got := s.ask("/"); got != http.StatusGatewayTimeout {
		t.Errorf("answered %d", got)
	}
	if took := time.Since(begun); took < 9*time.Second {
		t.Errorf("it took %v", took)
	}
}

// fullPort returns a port where nobody accepts, and no more connections can wait.
func fullPort(t *testing.T) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := at.(*syscall.SockaddrInet4).Port
	for range 16 {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
		if err != nil {
			return port
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the port takes more than 16 connections")
	return 0
}

// TestIdleTimeoutOfAnApplicationLoadBalancer: its idle time-out is for targets that do
// not answer, clients that send nothing, and those that send a part.
func TestIdleTimeoutOfAnApplicationLoadBalancer(t *testing.T) {
	t.Parallel()
	_, client := startBalance(t, "")
	lb := createBalancer(t, client, "alb", types.LoadBalancerTypeEnumApplication)
	const idle = 2 * time.Second
	_, err := client.ModifyLoadBalancerAttributes(t.Context(), &elbv2.ModifyLoadBalancerAttributesInput{
		LoadBalancerArn: lb.LoadBalancerArn,
		Attributes:      []types.LoadBalancerAttribute{{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String("2")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, client, lb, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
		}
	})
	s.register()
	s.await(healthy)
	for _, tt := range []struct {
		name, sends string
		answers     []string // beginnings, in order; then the connection ends
	}{
		{"no answer", "GET /hang HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", []string{"HTTP/1.1 504 "}},
		{"a kept connection", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", []string{"HTTP/1.1 200 "}},
		{"half a request", "GET / HTTP/1.1\r\nHost: a\r\n", []string{"HTTP/1.1 408 "}},
		{"nothing", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			begun := time.Now()
			_ = conn.SetDeadline(begun.Add(patience))
			if _, err := io.WriteString(conn, tt.sends); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			for _, want := range tt.answers {
				got, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, got.Body)
				_ = got.Body.Close()
				if line := fmt.Sprintf("%s %s", got.Proto, got.Status); !strings.HasPrefix(line, want) {
					t.Errorf("answered %s, want %s", line, want)
				}
			}
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("then %q, %v", rest, err)
			}
			if took := time.Since(begun); took < idle*9/10 {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestLimitsOfAnApplicationLoadBalancer: what a request can be.
func TestLimitsOfAnApplicationLoadBalancer(t *testing.T) {
	t.Parallel()
	_, client := startBalance(t, "")
	s := newSite(t, client, createBalancer(t, client, "alb", types.LoadBalancerTypeEnumApplication), func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	s.register()
	s.await(healthy)
	long := func(n int) string { return strings.Repeat("a", n) }
	const kib = 1 << 10
	var fields strings.Builder
	for i := range 9 {
		fmt.Fprintf(&fields, "X-%d: %s\r\n", i, long(8*kib))
	}
	for _, tt := range []struct {
		name, line, fields string
		body               int
		status             int
	}{
		{"a line of 15 KiB", "GET /" + long(15*kib), "", 0, 200},
		{"a line of 17 KiB", "GET /" + long(17*kib), "", 0, 414},
		{"a field of 15 KiB", "GET /", "X-A: " + long(15*kib) + "\r\n", 0, 200},
		{"a field of 17 KiB", "GET /", "X-A: " + long(17*kib) + "\r\n", 0, 400},
		{"a head of 72 KiB", "GET /", fields.String(), 0, 400},
		{"a body of 8 MiB", "POST /", "", 8 << 20, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			// What is refused may be answered before all is sent.
			_, _ = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", tt.line, tt.fields, tt.body, long(tt.body))
			got, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Body.Close()
			body, err := io.ReadAll(got.Body)
			if err != nil || got.StatusCode != tt.status {
				t.Fatalf("answered %d, %v; want %d", got.StatusCode, err, tt.status)
			}
			if tt.status == 200 && string(body) != strconv.Itoa(tt.body) {
				t.Errorf("the target got %s of %d bytes", body, tt.body)
			}
		})
	}
}

// TestNetworkLoadBalancerWithTLS: clients speak TLS to it, it speaks TCP or TLS to
// targets, and tells them by the PROXY protocol who the client is.
func TestNetworkLoadBalancerWithTLS(t *testing.T) {
	t.Parallel()
	certificate := servers.NewCertificate(t, "net.example")
	ports := map[string]int{}
	var groups, listeners strings.Builder
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		ports[name] = servers.FreePort(t)
		var of *tls.Config
		if secure {
			of = &tls.Config{Certificates: []tls.Certificate{servers.NewCertificate(t, "target.example").TLS(t)}}
		}
		fmt.Fprintf(&groups, "- {Name: %s, Protocol: %s, Port: 80, TargetType: ip, HealthCheckIntervalSeconds: 5, HealthCheckTimeoutSeconds: 5, Attributes: {proxy_protocol_v2.enabled: true}, Targets: [{Id: 127.0.0.1, Port: %d}]}\n",
			name, name, proxiedEcho(t, of))
		fmt.Fprintf(&listeners, "  - {Protocol: TLS, Port: %d, Certificates: [net], AlpnPolicy: [HTTP2Optional], DefaultActions: [{Type: forward, TargetGroup: %s}]}\n", ports[name], name)
	}
	file := filepath.Join(t.TempDir(), "balance.yaml")
	write(t, file, fmt.Sprintf("Certificates: [{Name: net, CertificateFile: %s, PrivateKeyFile: %s}]\nTargetGroups:\n%sLoadBalancers:\n- Name: net\n  Type: network\n  Scheme: internal\n  Listeners:\n%s",
		certificate.CertFile, certificate.KeyFile, &groups, &listeners))
	_, client := startBalance(t, file)
	for name, port := range ports {
		group, err := client.DescribeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{Names: []string{name}})
		if err != nil {
			t.Fatal(err)
		}
		waiter := elbv2.NewTargetInServiceWaiter(client, func(o *elbv2.TargetInServiceWaiterOptions) { o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second })
		if err := waiter.Wait(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: group.TargetGroups[0].TargetGroupArn}, patience); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		dialer := tls.Dialer{Config: &tls.Config{ServerName: "net.example", InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}} // whose it is, is looked at
		nc, err := dialer.DialContext(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		conn := nc.(*tls.Conn)
		if state := conn.ConnectionState(); state.PeerCertificates[0].DNSNames[0] != "net.example" || state.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%s: certificate of %v, protocol %s", name, state.PeerCertificates[0].DNSNames, state.NegotiatedProtocol)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if want := fmt.Sprintf("%s -> %s: hello", conn.LocalAddr(), conn.RemoteAddr()); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
}

// proxiedEcho is a target that reads a header of the PROXY protocol, version 2, and
// then, in TLS with a configuration, answers with both addresses and what it is sent.
// It returns its port.
func proxiedEcho(t *testing.T, config *tls.Config) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	serve := func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		head := make([]byte, 16)
		if _, err := io.ReadFull(conn, head); err != nil {
			return // a health check
		}
		rest := make([]byte, bigEndian(head[14:]))
		if _, err := io.ReadFull(conn, rest); err != nil || string(head[:12]) != "\r\n\r\n\x00\r\nQUIT\n" || head[12] != 0x21 || head[13] != 0x11 {
			return
		}
		address := func(ip, port []byte) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), bigEndian(port))
		}
		from, to := address(rest[:4], rest[8:10]), address(rest[4:8], rest[10:12])
		if config != nil {
			conn = tls.Server(conn, config)
		}
		said, err := io.ReadAll(conn)
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(conn, "%v -> %v: %s", from, to, said)
		if secure, ok := conn.(*tls.Conn); ok {
			_ = secure.CloseWrite()
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func bigEndian(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

// TestIdleTimeoutOfANetworkLoadBalancer: a connection on which nothing moves is reset,
// one on which something does is not.
func TestIdleTimeoutOfANetworkLoadBalancer(t *testing.T) {
	t.Parallel()
	_, client := startBalance(t, "")
	const idle = time.Minute // the least that ELB takes
	s := newSite(t, client, createBalancer(t, client, "nlb", types.LoadBalancerTypeEnumNetwork), nil)
	listeners, err := client.DescribeListeners(t.Context(), &elbv2.DescribeListenersInput{LoadBalancerArn: s.lb.LoadBalancerArn})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.ModifyListenerAttributes(t.Context(), &elbv2.ModifyListenerAttributesInput{
		ListenerArn: listeners.Listeners[0].ListenerArn,
		Attributes:  []types.ListenerAttribute{{Key: aws.String("tcp.idle_timeout.seconds"), Value: aws.String("60")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.join(newBackend(t))
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	idler, worker := dial(), dial()
	begun := time.Now()
	ended := make(chan error, 1)
	go func() {
		_ = idler.SetReadDeadline(begun.Add(idle + 2*patience))
		_, err := idler.Read(make([]byte, 1))
		ended <- err
	}()
	r := bufio.NewReader(worker)
	for tick := time.NewTicker(5 * time.Second); ; {
		_ = worker.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(worker, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		got, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("the one that works, after %v: %v", time.Since(begun), err)
		}
		_ = got.Body.Close()
		select {
		case err := <-ended:
			if took := time.Since(begun); took < idle*9/10 || err == nil || !strings.Contains(err.Error(), "reset") {
				t.Errorf("the idle one ended after %v: %v", took, err)
			}
			return
		case <-tick.C:
		}
	}
}
