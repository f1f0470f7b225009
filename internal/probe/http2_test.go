package probe_test

import (
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"hale/internal/elb"
	"hale/internal/probe"
	"hale/test/servers"
)

// http2Target is a server of net/http that speaks HTTP/2 with prior knowledge,
// and with a certificate over TLS alone.
func http2Target(t *testing.T, handler http.HandlerFunc, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols), TLSConfig: config}
	if config == nil {
		server.Protocols.SetUnencryptedHTTP2(true)
	} else {
		server.Protocols.SetHTTP2(true)
		server.Protocols.SetHTTP1(true)
	}
	done := make(chan error)
	go func() {
		if config == nil {
			done <- server.Serve(l)
		} else {
			done <- server.ServeTLS(l, "", "")
		}
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return l.Addr().String()
}

// ask asks a handler that writes what it was asked.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	secure := func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}} }
	echo := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			io.WriteString(w, strings.Repeat("x", 3<<20))
			return
		}
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Host+" "+r.UserAgent()+" "+r.Header.Get("Accept")+r.Header.Get("Connection"))
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "hello")
		w.Header().Set(http.TrailerPrefix+"X-End", "yes")
	}
	plain, tlsd := http2Target(t, echo, nil), http2Target(t, echo, secure())
	for _, test := range []struct{ as, url, seen string }{
		{"alb", "h2c://" + plain + "/health?a=b", "GET /health?a=b " + plain + " ELB-HealthChecker/2.0 "},
		{"alb", "h2://" + tlsd + "/", "GET / " + tlsd + " ELB-HealthChecker/2.0 "},
		{"gcp", "h2://" + tlsd + "/", "GET / 127.0.0.1 GoogleHC/1.0 "},
		{"kubelet", "https://" + tlsd + "/", "GET / " + tlsd + " kube-probe/1.33 */*"},
	} {
		a := send(t, test.as, test.url, probe.Options{})
		if a.Outcome != probe.Answered || !a.Healthy || a.Proto != "HTTP/2" || a.Status != 200 || string(a.Body) != "hello" || a.BodySize != 5 {
			t.Errorf("%s %s: %v, %s %d %q, %s", test.as, test.url, a.Outcome, a.Proto, a.Status, a.Body, a.Because)
		}
		if a.Get("x-seen") != test.seen {
			t.Errorf("%s %s: the server saw %q, want %q", test.as, test.url, a.Get("x-seen"), test.seen)
		}
		if len(a.Trailer) != 1 || a.Trailer[0] != (probe.Field{Name: "x-end", Value: "yes"}) {
			t.Errorf("%s %s: trailer %v", test.as, test.url, a.Trailer)
		}
		if !strings.HasPrefix(string(a.Sent), http2.ClientPreface) || a.Received[3] != byte(http2.FrameSettings) {
			t.Errorf("%s %s: sent %q, received %q", test.as, test.url, a.Sent, a.Received)
		}
	}
	// A body that is longer than the window comes to its end.
	if a := send(t, "alb", "h2c://"+plain+"/long", probe.Options{}); !a.Healthy || a.BodySize != 3<<20 || len(a.Body) != 64<<10 || len(a.Received) != 64<<10 {
		t.Errorf("a long body: %v, %d bytes, %d kept, %d received", a.Outcome, a.BodySize, len(a.Body), len(a.Received))
	}
	// An Application Load Balancer does not ask for HTTP/2 over https.
	if a := send(t, "alb", "https://"+tlsd+"/", probe.Options{}); a.Proto != "HTTP/1.1" || !a.Healthy {
		t.Errorf("https: %s, %s", a.Proto, a.Because)
	}
}

// What else can come back on a connection of HTTP/2. Frames are written out:
// length, type, flags, stream.
func TestHTTP2Outcomes(t *testing.T) {
	t.Parallel()
	const (
		settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		ok       = "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88" // HEADERS, :status 200
		okEnds   = "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"
		data     = "\x00\x00\x02\x00\x01\x00\x00\x00\x01ok"
		ping     = "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
	)
	// http2Says reads what a client opens with, and answers.
	opened := func(answer string, stay bool) func(net.Conn) {
		return func(conn net.Conn) {
			buffer := make([]byte, 4096)
			conn.Read(buffer)
			io.WriteString(conn, answer)
			if stay {
				io.Copy(io.Discard, conn)
			}
		}
	}
	for name, test := range map[string]struct {
		handle  func(net.Conn)
		short   bool
		outcome probe.Outcome
		status  int
		body    string
		because string
	}{
		"frames in order":    {handle: opened(settings+ping+ok+data, true), outcome: probe.Answered, status: 200, body: "ok"},
		"no body":            {handle: opened(settings+okEnds, true), outcome: probe.Answered, status: 200},
		"a graceful goodbye": {handle: opened(settings+"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00"+ok+data, false), outcome: probe.Answered, status: 200, body: "ok"},
		"HTTP/1":             {handle: opened("HTTP/1.1 400 Bad Request\r\n\r\n", false), outcome: probe.NotHTTP, because: "the server answers in HTTP/1, not in HTTP/2"},
		"an alert":           {handle: opened("\x15\x03\x01\x00\x02\x02\x46xx", false), outcome: probe.NotHTTP, because: "the answer is not HTTP/2"},
		"no settings first":  {handle: opened(ok+data, false), outcome: probe.NotHTTP, because: "the answer is not HTTP/2"},
		"closed at once":     {handle: func(net.Conn) {}, outcome: probe.Empty},
		"silent":             {handle: opened("", true), short: true, outcome: probe.Silent, because: "no byte of an answer within 2s"},
		"settings, no more":  {handle: opened(settings, true), short: true, outcome: probe.HeadCut, because: "no end of the answer's head within 2s"},
		"closed then":        {handle: opened(settings, false), outcome: probe.HeadCut},
		"refused stream":     {handle: opened(settings+"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07", true), outcome: probe.HeadCut, because: "the server ended the stream: REFUSED_STREAM"},
		"goodbye, protocol":  {handle: opened(settings+"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", false), outcome: probe.HeadCut, because: "the server ended the connection: PROTOCOL_ERROR"},
		"reset in the body":  {handle: opened(settings+ok+"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02", true), outcome: probe.BodyCut, status: 200},
		"closed in the body": {handle: opened(settings+ok+"\x00\x00\x02\x00\x00\x00\x00\x00\x01ok", false), outcome: probe.BodyCut, status: 200, body: "ok"},
		"late in the body":   {handle: opened(settings+ok, true), short: true, outcome: probe.BodyTimeout, status: 200, because: "no end of the body within 2s"},
		"fields in the body": {handle: opened(settings+ok+ok, true), outcome: probe.BodyCut, status: 200, because: "fields in the midst of the body"},
		"a body first":       {handle: opened(settings+"\x00\x00\x02\x00\x00\x00\x00\x00\x01ok", true), outcome: probe.NotHTTP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := probe.Options{}
			if test.short {
				o.Timeout = 2 * time.Second
			}
			a := send(t, "alb", "h2c://"+target(t, test.handle)+"/", o)
			if a.Outcome != test.outcome || a.Status != test.status || string(a.Body) != test.body || !strings.Contains(a.Because, test.because) {
				t.Errorf("%v, %d %q, %q, %v; want %v, %d %q, %q", a.Outcome, a.Status, a.Body, a.Because, a.Err, test.outcome, test.status, test.body, test.because)
			}
			if a.Healthy != (test.outcome == probe.Answered) {
				t.Errorf("healthy: %v", a.Healthy)
			}
		})
	}
}

// Who demands answers without end is answered, but what is kept of that is bounded.
func TestSentIsBounded(t *testing.T) {
	t.Parallel()
	const (
		settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		ping     = "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
		okEnds   = "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"
	)
	a := send(t, "alb", "h2c://"+target(t, holds(settings+strings.Repeat(ping, 5000)+okEnds)), probe.Options{})
	if !a.Healthy || len(a.Sent) != 64<<10 || !strings.HasPrefix(string(a.Sent), http2.ClientPreface) {
		t.Errorf("%v, %s; %d bytes sent are kept", a.Outcome, a.Because, len(a.Sent))
	}
}

func TestHTTP2IsNotAgreedTo(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	for _, protocols := range [][]string{nil, {"http/1.1"}} {
		address := secureTarget(t, &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}, NextProtos: protocols}, holds(whole))
		if a := send(t, "gcp", "h2://"+address, probe.Options{}); a.Outcome != probe.TLSFailed {
			t.Errorf("ALPN %q: %v, %s", protocols, a.Outcome, a.Because)
		}
	}
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	trailer := func(w http.ResponseWriter, status string) { w.Header().Set(http.TrailerPrefix+"Grpc-Status", status) }
	health := func(status byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Seen", r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("Te")+" "+r.UserAgent()+" "+hex.EncodeToString(body))
			w.Write([]byte{0, 0, 0, 0, 2, 8, status})
			trailer(w, "0")
		}
	}
	only := func(status string) http.HandlerFunc { // an answer that is a head alone
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", status)
		}
	}
	for name, test := range map[string]struct {
		as, path string
		handler  http.HandlerFunc
		matcher  string
		healthy  bool
		grpc     int
		reason   elb.Reason
		said     string
		because  string
		seen     string
	}{
		"any gRPC server passes with 12":  {as: "alb-grpc", handler: only("12"), healthy: true, grpc: 12},
		"one that has the method fails":   {as: "alb-grpc", handler: health(1), grpc: 0, reason: elb.ResponseCodeMismatch, said: "Health checks failed with these codes: [0]", because: "gRPC status 0 (OK), and success is 12", seen: "POST /AWS.ALB/healthcheck application/grpc trailers ELB-HealthChecker/2.0 0000000000"},
		"a path and a matcher of its own": {as: "alb-grpc", path: "/grpc.health.v1.Health/Check", handler: health(1), matcher: "0", healthy: true, grpc: 0, seen: "POST /grpc.health.v1.Health/Check application/grpc trailers ELB-HealthChecker/2.0 0000000000"},
		"no gRPC":                         {as: "alb-grpc", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, grpc: -1, reason: elb.ResponseCodeMismatch, said: "Health checks failed with these codes: [404]", because: "the answer has no grpc-status, its status 404"},
		"serving":                         {as: "kubelet", handler: health(1), healthy: true, grpc: 0, seen: "POST /grpc.health.v1.Health/Check application/grpc trailers kube-probe/1.33 0000000000"},
		"a service":                       {as: "kubelet", path: "/my.Service", handler: health(1), healthy: true, grpc: 0, seen: "POST /grpc.health.v1.Health/Check application/grpc trailers kube-probe/1.33 000000000c0a0a" + hex.EncodeToString([]byte("my.Service"))},
		"not serving":                     {as: "kubelet", handler: health(2), grpc: 0, reason: elb.FailedHealthChecks, said: "Health checks failed", because: "the service does not answer SERVING, but NOT_SERVING"},
		"no health service":               {as: "kubelet", handler: only("12"), grpc: 12, reason: elb.ResponseCodeMismatch, said: "Health checks failed with these codes: [12]", because: "gRPC status 12 (UNIMPLEMENTED), and success is 0"},
		"no message":                      {as: "gcp", handler: only("0"), grpc: 0, reason: elb.FailedHealthChecks, said: "Health checks failed", because: "the service does not answer SERVING, but without a message"},
		"a status of its own":             {as: "alb-grpc", handler: only("99"), grpc: 99, reason: elb.ResponseCodeMismatch, said: "Health checks failed with these codes: [99]", because: "gRPC status 99, and success is 12"},
		"a message": {as: "alb-grpc", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Grpc-Status", "14")
			w.Header().Set("Grpc-Message", "no%20upstream%1b")
		}, grpc: 14, reason: elb.ResponseCodeMismatch, said: "Health checks failed with these codes: [14]", because: `gRPC status 14 (UNAVAILABLE, "no upstream\x1b"), and success is 12`},
		"a status that is none": {as: "alb-grpc", handler: only("ok"), grpc: -1, reason: elb.ResponseCodeMismatch, said: "Health checks failed with these codes: [200]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := send(t, test.as, "grpc://"+http2Target(t, test.handler, nil)+test.path, probe.Options{Matcher: test.matcher})
			if a.Healthy != test.healthy || a.GRPC != test.grpc || a.Reason != test.reason || a.Description != test.said || !strings.HasPrefix(a.Because, test.because) {
				t.Errorf("healthy %v, gRPC %d, %s, %q, %q; %v %v", a.Healthy, a.GRPC, a.Reason, a.Description, a.Because, a.Outcome, a.Err)
			}
			if test.seen != "" && a.Get("x-seen") != test.seen {
				t.Errorf("the server saw %q, want %q", a.Get("x-seen"), test.seen)
			}
		})
	}
}

func TestGRPCOverTLS(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	address := http2Target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Grpc-Status", "12")
	}, &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}})
	if a := send(t, "alb-grpc", "https://"+address, probe.Options{}); !a.Healthy || a.GRPC != 12 {
		t.Errorf("%v, gRPC %d, %s", a.Outcome, a.GRPC, a.Because)
	}
}
