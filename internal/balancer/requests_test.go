package balancer_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
	"hale/test/servers"
)

// Each answer of the load balancer's own, by a real cause, and what the log has of
// it.
func TestOwnAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, elb.Attributes{"idle_timeout.timeout_seconds": "3"})
	s.newGroup("gone", elb.Kind{}, nil)
	s.rule(1, rule.ForwardTo(s.groups["gone"]), path("/refused"))
	s.newGroup("empty", elb.Kind{}, nil)
	s.rule(4, rule.ForwardTo(s.groups["empty"]), path("/empty"))
	s.group = s.groups["gone"]
	s.register(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(servers.FreePort(t))))
	target := newEcho(t)
	s.fill("app", target)
	to := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	for _, tt := range []struct {
		name    string
		request string
		status  int
		closes  bool // the client's connection
		sent    bool // to a target
	}{
		{"no HTTP", "hello\r\n\r\n", 400, true, false},
		{"TLS", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 400, true, false},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, true, false},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, true, false},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true, false},
		{"name with a space", "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400, true, false},
		{"large field", "GET / HTTP/1.1\r\nHost: a\r\nX-Large: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", 400, true, false},
		{"large header", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-Large: "+strings.Repeat("a", 15<<10)+"\r\n", 5) + "\r\n", 400, true, false},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, true, false},
		{"half a header", "GET / HTTP/1.1\r\nHos", 408, true, false},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", 408, true, false},
		{"long URL", to("/" + strings.Repeat("a", 17<<10)), 414, true, false},
		{"31 addresses", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4" + strings.Repeat(", 1.2.3.4", 30) + "\r\n\r\n", 463, false, false},
		{"another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, true, false},
		{"version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, true, false},
		{"refused", to("/refused"), 502, false, true},
		{"closes", to("/closes"), 502, false, true},
		{"resets", to("/resets"), 502, false, true},
		{"not HTTP", to("/no-http"), 502, false, true},
		{"too large", to("/large"), 502, false, true},
		{"ambiguous", to("/ambiguous"), 502, false, true},
		{"no target", to("/empty"), 503, false, false},
		{"silent", to("/silent"), 504, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			got := s.send(tt.request)
			if got.status != tt.status || got.header.Get("Server") != "awselb/2.0" || got.header.Get("Content-Type") != "text/html" ||
				!strings.Contains(got.body, fmt.Sprintf("<center><h1>%d", tt.status)) {
				t.Errorf("got %+v, want %d", got, tt.status)
			}
			if title := "<title>" + strings.TrimSpace(got.line) + "</title>"; !strings.Contains(got.body, title) {
				t.Errorf("the page has another title than the status line: %q, %s", got.line, got.body)
			}
			if closes := got.header.Get("Connection") == "close"; closes != tt.closes {
				t.Errorf("the connection is closed: %v", closes)
			}
			e := s.log.next(t)
			if e.Status != tt.status || e.TargetStatus != 0 || e.SentBytes <= int64(len(got.body)) {
				t.Errorf("logged %+v", e)
			}
			if tt.sent && !e.Target.IsValid() {
				t.Errorf("logged without a target: %+v", e)
			}
		})
	}
	s.t = t
}

// Requests that may be read in more than one way: what becomes of them by the mode
// of desync mitigation, and what the log has of them.
func TestDesyncMitigation(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.fill("app", newEcho(t))
	for _, tt := range []struct {
		name, request string
		class, reason string
		defensive     int // the status in that mode
		closes        bool
		strictest     int
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "", 200, false, 200},
		{"POST in chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", "", 200, false, 200},
		{"GET of length 0", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "Acceptable", "GetHeadZeroContentLength", 200, false, 400},
		{"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "Ambiguous", "UndefinedContentLengthSemantics", 200, true, 400},
		{"GET in chunks", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Ambiguous", "UndefinedTransferEncodingSemantics", 200, true, 400},
	} {
		for mode, want := range map[string]int{"monitor": 200, "defensive": tt.defensive, "strictest": tt.strictest} {
			s.change(func(e *inventory.Edit) error {
				_, err := e.SetBalancerAttributes(s.loadBalancer, elb.Attributes{"routing.http.desync_mitigation_mode": mode})
				return err
			})
			got := s.send(tt.request)
			closes := got.header.Get("Connection") == "close"
			if wantClose := want == 400 || mode == "defensive" && tt.closes; got.status != want || closes != wantClose {
				t.Errorf("%s, %s: status %d, want %d; closes: %v", tt.name, mode, got.status, want, closes)
			}
			if e := s.log.next(t); e.Classification != tt.class || e.ClassificationReason != tt.reason {
				t.Errorf("%s, %s: logged %q, %q", tt.name, mode, e.Classification, e.ClassificationReason)
			}
		}
	}
}

// A client that leaves is answered nothing, and logged as 460; as 400 if it left
// before the whole of its body was there.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.fill("app", newEcho(t))
	for _, tt := range []struct {
		request string
		status  int
	}{
		{"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n", 460},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", 400},
	} {
		conn := s.dial()
		_, _ = io.WriteString(conn, tt.request)
		_ = conn.Close()
		if e := s.log.next(t); e.Status != tt.status || e.TargetStatus != 0 || e.SentBytes != 0 {
			t.Errorf("%.4s: logged %+v", tt.request, e)
		}
	}
}

// What a target sees of a request, by the load balancer's attributes.
func TestRequestsAsTargetsSeeThem(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.fill("app", newEcho(t))
	const xff = "routing.http.xff_header_processing.mode"
	for _, tt := range []struct {
		name       string
		attributes elb.Attributes
		fields     string
		want       []string // expressions that the request matches
		not        []string // and does not
	}{
		{
			name: "by default", fields: "Host: a",
			want: []string{`^GET / HTTP/1\.1\r\nHost: a:\d+\r\n`, `X-Forwarded-For: 127\.0\.0\.1\r\n`, `X-Forwarded-Proto: http\r\n`, `X-Forwarded-Port: \d+\r\n`, `X-Amzn-Trace-Id: Root=1-[0-9a-f]{8}-[0-9a-f]{24}\r\n`},
			not:  []string{`(?i)connection`},
		},
		{name: "append", fields: "Host: a|X-Forwarded-For: 192.0.2.7", want: []string{`X-Forwarded-For: 192\.0\.2\.7, 127\.0\.0\.1\r\n`}},
		{name: "append, two fields", fields: "Host: a|X-Forwarded-For: 192.0.2.7|X-Forwarded-For: 192.0.2.8", want: []string{`X-Forwarded-For: 192\.0\.2\.7, 192\.0\.2\.8, 127\.0\.0\.1\r\n`}},
		{name: "preserve", attributes: elb.Attributes{xff: "preserve"}, fields: "Host: a|X-Forwarded-For: 192.0.2.7", want: []string{`X-Forwarded-For: 192\.0\.2\.7\r\n`}},
		{name: "remove", attributes: elb.Attributes{xff: "remove"}, fields: "Host: a|X-Forwarded-For: 192.0.2.7", not: []string{`X-Forwarded-For`}},
		{name: "with the port", attributes: elb.Attributes{"routing.http.xff_client_port.enabled": "true"}, fields: "Host: a", want: []string{`X-Forwarded-For: 127\.0\.0\.1:\d+\r\n`}},
		{name: "the host as it is", attributes: elb.Attributes{"routing.http.preserve_host_header.enabled": "true"}, fields: "Host: a", want: []string{`Host: a\r\n`}},
		{name: "a trace from before", fields: "Host: a|X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678", want: []string{`X-Amzn-Trace-Id: Self=1-[0-9a-f-]{33};Root=1-67891233-abcdef012345678912345678\r\n`}},
		{name: "forged", fields: "Host: a|X-Forwarded-Proto: https|X-Forwarded-Port: 1", want: []string{`X-Forwarded-Proto: http\r\n`}, not: []string{`https`, `Port: 1\r`}},
		{name: "names with an underscore", fields: "Host: a|api_key: secret", want: []string{`(?i)api_key: secret\r\n`}},
		{name: "an underscore for a forgery", fields: "Host: a|X_Forwarded_Proto: https|x_amzn-trace_id: 1|Content_Length: 9", not: []string{`(?i)_proto|_id|_length`}},
		{name: "invalid names dropped", attributes: elb.Attributes{"routing.http.drop_invalid_header_fields.enabled": "true"}, fields: "Host: a|api_key: secret|api-key: other", want: []string{`(?i)api-key: other\r\n`}, not: []string{`(?i)api_key`}},
		{name: "of one connection", fields: "Host: a|Connection: keep-alive, X-Mine|X-Mine: 1|Keep-Alive: 5|Proxy-Connection: x", not: []string{`X-Mine`, `Keep-Alive`, `Proxy-Connection`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			changed := elb.Attributes{xff: "append", "routing.http.xff_client_port.enabled": "false", "routing.http.preserve_host_header.enabled": "false", "routing.http.drop_invalid_header_fields.enabled": "false"}
			maps.Copy(changed, tt.attributes)
			s.change(func(e *inventory.Edit) error {
				_, err := e.SetBalancerAttributes(s.loadBalancer, changed)
				return err
			})
			got := s.send("GET / HTTP/1.1\r\n" + strings.ReplaceAll(tt.fields, "|", "\r\n") + "\r\n\r\n")
			for _, want := range tt.want {
				if !regexp.MustCompile(want).MatchString(got.body) {
					t.Errorf("no %s in %q", want, got.body)
				}
			}
			for _, not := range tt.not {
				if regexp.MustCompile(not).MatchString(got.body) {
					t.Errorf("%s in %q", not, got.body)
				}
			}
		})
	}
	s.t = t
}

// A line of the log, field by field, of a request over HTTP/1.1.
func TestLogLine(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	target := newEcho(t)
	s.fill("app", target)
	const request = "POST /form?a=b HTTP/1.1\r\nHost: shop.example.com:8080\r\nUser-Agent: test \"one\"\r\nContent-Length: 4\r\n\r\nbody"
	got := s.send(request)
	e := s.log.next(t)
	answered := len("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 200\r\n\r\n") + len(got.body)
	if n := len(got.body); n < 100 || n > 999 {
		t.Fatalf("the test counts on a length of three digits, not %d", n)
	}
	const stamp, duration = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z`, `\d+\.\d{3}`
	port := s.url[strings.LastIndexByte(s.url, ':')+1:]
	want := []string{
		"http", stamp, `app/site/[0-9a-f]{16}`, `127\.0\.0\.1:\d+`, target.String(), duration, duration, duration, "200", "200",
		fmt.Sprint(len(request)), fmt.Sprint(answered), `"POST http://shop\.example\.com:` + port + `/form\?a=b HTTP/1\.1"`, `"test \\x22one\\x22"`, "-", "-",
		s.groups["app"], `"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"`, `"-"`, `"-"`, "0", stamp, `"forward"`, `"-"`, `"-"`, `"` + target.String() + `"`, `"200"`, `"-"`, `"-"`,
		"-", `"-"`, `"-"`, `"-"`, `127\.0\.0\.1`,
	}
	if line := string(e.Append(nil)); !regexp.MustCompile("^" + strings.Join(want, " ") + "\n$").MatchString(line) {
		t.Errorf("line\n%swant\n%s", line, strings.Join(want, " "))
	}
}

// A Classic Load Balancer's line is another one: without its rules, and with sizes
// of bodies.
func TestClassicLogLine(t *testing.T) {
	t.Parallel()
	log := new(entries)
	h := &house{Balancer: open(t, balancer.Options{AccessLog: log}), t: t}
	port := servers.FreePort(t)
	h.change(func(e *inventory.Edit) error {
		lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "old", Type: elb.Classic, Scheme: inventory.Internal})
		if err != nil {
			return err
		}
		g, err := e.CreateGroup(inventory.NewGroup{
			Name: "old", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 80,
			HealthCheck: elb.HealthCheck{Path: "/health", Interval: 5 * time.Second, Timeout: 2 * time.Second},
		})
		if err != nil {
			return err
		}
		h.group = g.ARN
		_, err = e.CreateListener(lb.ARN, inventory.ListenerSettings{Protocol: elb.HTTP, Port: port, Default: []rule.Action{rule.ForwardTo(g.ARN)}})
		return err
	})
	one := newApp(t, "one")
	h.register(one.AddrPort)
	h.await(one.AddrPort, elb.Healthy)
	get(t, fmt.Sprintf("http://127.0.0.1:%d/a?b=c", port))
	e := log.next(t)
	want := `^\d{4}-\d\d-\d\dT[0-9:]{8}\.\d{6}Z old 127\.0\.0\.1:\d+ ` + one.String() + ` \d+\.\d{6} \d+\.\d{6} \d+\.\d{6} 200 200 0 3 ` +
		fmt.Sprintf(`"GET http://127\.0\.0\.1:%d/a\?b=c HTTP/1\.1" "Go-http-client/1\.1" - -`, port) + "\n$"
	if line := string(e.Append(nil)); !regexp.MustCompile(want).MatchString(line) {
		t.Errorf("line %swant %s", line, want)
	}
}

// certificates are some by ARN.
type certificates map[string]*tls.Certificate

const certificateARN = "arn:aws:acm:us-east-1:000000000000:certificate/one"

func (c certificates) Has(arn string) bool { return c[arn] != nil }

func (c certificates) Certificate(arn string, _ *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c[arn], nil
}

// Of several certificates, the log names the one that the client was shown, whatever
// the protocol, and once it has changed, too.
func TestTheCertificateInTheLog(t *testing.T) {
	t.Parallel()
	const one, two = certificateARN, certificateARN + "-and-two"
	pairs := make(certificates)
	for arn, domain := range map[string]string{one: "one.example", two: "two.example"} {
		made := servers.NewCertificate(t, domain)
		pair, err := tls.X509KeyPair(made.CertPEM, made.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		pairs[arn] = &pair
	}
	s := siteOf(t, balancer.Options{Certificates: pairs}, inventory.ListenerSettings{Protocol: elb.HTTPS, Certificates: []string{one}}, nil)
	s.change(func(e *inventory.Edit) error {
		_, err := e.AddCertificates(s.listener, []string{two})
		return err
	})
	s.fill("app", newEcho(t))
	ask := func(client *http.Client) string {
		t.Helper()
		got, err := client.Get(strings.Replace(s.url, "http:", "https:", 1))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, got.Body) // so that the connection is kept
		_ = got.Body.Close()
		return s.log.next(t).ChosenCertARN
	}
	var clients []*http.Client
	for _, tt := range []struct {
		name, want string
		http2      bool
	}{
		{"two.example", two, false},
		{"two.example", two, true},
		{"one.example", one, false},
		{"other.example", one, true},
		{"", one, false},
	} {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{ServerName: tt.name, InsecureSkipVerify: true}, // whose it is, is looked at
			ForceAttemptHTTP2: tt.http2,
		}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		clients = append(clients, client)
		if got := ask(client); got != tt.want {
			t.Errorf("%q, HTTP/2 %v: logged %q, want %q", tt.name, tt.http2, got, tt.want)
		}
	}
	s.change(func(e *inventory.Edit) error { return e.RemoveCertificates(s.listener, []string{two}) })
	for _, client := range clients[:2] { // on connections that were there
		if got := ask(client); got != two {
			t.Errorf("of a connection from before: %q", got)
		}
	}
}

// secureSite returns a site whose listener speaks TLS, with a gRPC group at /grpc, and
// the server whose certificate and client it has.
func secureSite(t *testing.T) (*site, *httptest.Server) {
	t.Helper()
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	t.Cleanup(pair.Close)
	s := siteOf(t, balancer.Options{Certificates: certificates{certificateARN: &pair.TLS.Certificates[0]}},
		inventory.ListenerSettings{Protocol: elb.HTTPS, Certificates: []string{certificateARN}}, nil)
	s.newGroup("grpc", elb.Kind{Version: elb.GRPC}, nil)
	s.rule(1, rule.ForwardTo(s.groups["grpc"]), path("/grpc"))
	return s, pair
}

// The probes of a gRPC group are shown with the status of the call, which is what
// the matcher reads.
func TestProbesOfGRPCAreShown(t *testing.T) {
	t.Parallel()
	s, _ := secureSite(t)
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "12")
	}))
	app.Config.Protocols = new(http.Protocols)
	app.Config.Protocols.SetUnencryptedHTTP2(true)
	app.Start()
	t.Cleanup(app.Close)
	s.fill("grpc", app.Listener.Addr().(*net.TCPAddr).AddrPort())
	for _, g := range s.Snapshot().Groups {
		if g.Name != "grpc" {
			continue
		}
		if p := g.Targets[0].Probes[0]; p.Status != 200 || p.GRPC == nil || *p.GRPC != 12 {
			t.Errorf("shown: %+v", p)
		}
	}
}

// Over TLS: HTTP/2, which requests fit which groups, and what the log has then.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	s, pair := secureSite(t)
	s.newGroup("http2", elb.Kind{Version: elb.HTTP2}, nil)
	s.rule(2, rule.ForwardTo(s.groups["http2"]), path("/http2"))
	s.fill("app", newEcho(t))
	transport := pair.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	t.Cleanup(transport.CloseIdleConnections)
	older := pair.Client().Transport.(*http.Transport).Clone()
	older.ForceAttemptHTTP2 = false
	t.Cleanup(older.CloseIdleConnections)
	clients := map[string]*http.Client{"h2": {Transport: transport}, "grpcs": {Transport: transport}, "https": {Transport: older}}
	for _, tt := range []struct {
		name, method, path, contentType string
		status                          int
		logged                          string // the type
	}{
		{"HTTP/1.1 to a group of gRPC", "GET", "/grpc", "", 464, "https"},
		{"HTTP/1.1 to a group of HTTP/2", "GET", "/http2", "", 464, "https"},
		{"HTTP/2", "GET", "/", "", 200, "h2"},
		{"gRPC to a group of HTTP/1.1", "POST", "/", "application/grpc+proto", 464, "grpcs"},
		{"gRPC-Web to a group of HTTP/1.1", "POST", "/", "application/grpc-web", 200, "h2"},
		{"GET to a group of gRPC", "GET", "/grpc", "", 464, "h2"},
		{"gRPC to a group without targets", "POST", "/grpc", "application/grpc", 503, "grpcs"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tt.method, strings.Replace(s.url, "http:", "https:", 1)+tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tt.contentType != "" {
			request.Header.Set("Content-Type", tt.contentType)
		}
		got, err := clients[tt.logged].Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if got.StatusCode != tt.status || got.ProtoMajor == 2 == (tt.logged == "https") {
			t.Errorf("%s: %s over %s", tt.name, got.Status, got.Proto)
		}
		if tt.status == 200 && !strings.Contains(string(body), "X-Forwarded-Proto: https\r\n") {
			t.Errorf("%s: the target sees %q", tt.name, body)
		}
		e := s.log.next(t)
		if string(e.Type) != tt.logged || e.Status != tt.status || e.TLSProtocol != "TLSv1.2" || e.TLSCipher != "ECDHE-RSA-AES128-GCM-SHA256" || e.ChosenCertARN != certificateARN || e.Request.Proto == "HTTP/2.0" == (tt.logged == "https") {
			t.Errorf("%s: logged %+v", tt.name, e)
		}
	}
}
