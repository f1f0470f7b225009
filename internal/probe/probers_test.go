package probe_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
)

// lines makes a request of its lines.
func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n\r\n" }

// What each prober writes, byte for byte.
func TestRequests(t *testing.T) {
	t.Parallel()
	const route53 = "User-Agent: Amazon-Route53-Health-Check-Service (ref 01234567-89ab-cdef-0123-456789abcdef; report http://amzn.to/1vsZADi)"
	node := probe.Options{NodeAddress: netip.MustParseAddrPort("10.0.9.9:443")}
	for _, test := range []struct {
		as, url string
		o       probe.Options
		want    string
	}{
		{as: "classic", url: "http://10.0.1.23/health_check", want: lines(
			"GET /health_check HTTP/1.1", "Host: 10.0.1.23", "User-Agent: ELB-HealthChecker/1.0", "Accept: */*", "Connection: keep-alive")},
		{as: "classic", url: "http://10.0.1.23:8080/health_check", want: lines(
			"GET /health_check HTTP/1.1", "Host: 10.0.1.23", "User-Agent: ELB-HealthChecker/1.0", "Accept: */*", "Connection: keep-alive")},
		{as: "alb", url: "http://10.0.1.23:8080/health", want: lines(
			"GET /health HTTP/1.1", "Host: 10.0.1.23:8080", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{as: "alb", url: "http://10.0.1.23", want: lines(
			"GET / HTTP/1.1", "Host: 10.0.1.23", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{as: "alb", url: "https://10.0.1.23/a%20b?c=d", want: lines(
			"GET /a%20b?c=d HTTP/1.1", "Host: 10.0.1.23", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{as: "alb", url: "https://10.0.1.23:80/", want: lines(
			"GET / HTTP/1.1", "Host: 10.0.1.23:80", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{as: "alb", url: "http://[fd00::5]/", want: lines(
			"GET / HTTP/1.1", "Host: [fd00::5]", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{as: "alb", url: "http://10.0.1.23/x", o: probe.Options{Host: "mysite.com", Path: "/up", Port: 81}, want: lines(
			"GET /up HTTP/1.1", "Host: mysite.com", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{as: "nlb", url: "http://10.0.1.23:8080/health", o: node, want: lines("GET /health HTTP/1.1", "Host: 10.0.9.9:443")},
		{as: "route53", url: "http://10.0.1.23/health", want: lines("GET /health HTTP/1.1", "Host: 10.0.1.23", route53, "Accept-Encoding: *")},
		{as: "route53", url: "http://10.0.1.23:8080/", want: lines("GET / HTTP/1.1", "Host: 10.0.1.23:8080", route53, "Accept-Encoding: *")},
		{as: "route53", url: "https://10.0.1.23:443/", o: probe.Options{Host: "www.example.com"}, want: lines(
			"GET / HTTP/1.1", "Host: www.example.com", route53, "Accept-Encoding: *")},
		{as: "kubelet", url: "http://10.1.2.3:8080/healthz", want: lines(
			"GET /healthz HTTP/1.1", "Host: 10.1.2.3:8080", "User-Agent: kube-probe/1.33", "Accept: */*", "Connection: close")},
		{as: "kubelet", url: "http://10.1.2.3", want: lines(
			"GET / HTTP/1.1", "Host: 10.1.2.3:80", "User-Agent: kube-probe/1.33", "Accept: */*", "Connection: close")},
		{as: "gcp", url: "http://10.1.2.3:8080/", want: lines("GET / HTTP/1.1", "Host: 10.1.2.3", "User-Agent: GoogleHC/1.0")},
		{as: "azure", url: "http://10.1.2.3:8080/", want: lines("GET / HTTP/1.1", "Host: 10.1.2.3:8080", "User-Agent: Load Balancer Agent")},
		{as: "consul", url: "http://10.1.2.3:80/health", want: lines(
			"GET /health HTTP/1.1", "Host: 10.1.2.3:80", "User-Agent: Consul Health Check", "Accept: text/plain, text/*, */*", "Accept-Encoding: gzip", "Connection: close")},
		{as: "consul", url: "http://10.1.2.3/health", want: lines(
			"GET /health HTTP/1.1", "Host: 10.1.2.3", "User-Agent: Consul Health Check", "Accept: text/plain, text/*, */*", "Accept-Encoding: gzip", "Connection: close")},
		{as: "haproxy", url: "http://10.1.2.3:8080", want: lines("OPTIONS / HTTP/1.0")},
		{as: "haproxy", url: "http://10.1.2.3:8080", o: probe.Options{Host: "mysite.com"}, want: lines("OPTIONS / HTTP/1.0", "Host: mysite.com")},
		{as: "nginx-plus", url: "http://10.1.2.3:8080/", want: lines("GET / HTTP/1.0", "Host: 10.1.2.3:8080", "Connection: close")},
		{as: "docker", url: "http://127.0.0.1:8080/health", want: lines("GET /health HTTP/1.1", "Host: 127.0.0.1:8080", "User-Agent: curl/7.88.1", "Accept: */*")},
		{as: "docker", url: "127.0.0.1/health", want: lines("GET /health HTTP/1.1", "Host: 127.0.0.1", "User-Agent: curl/7.88.1", "Accept: */*")},
	} {
		if got := string(filled(t, test.as, test.url, test.o).Bytes()); got != test.want {
			t.Errorf("%s %s %+v sends\n%q, want\n%q", test.as, test.url, test.o, got, test.want)
		}
	}
}

// What goes over the wire is what Bytes tells.
func TestBytesAreSent(t *testing.T) {
	t.Parallel()
	for _, prober := range probe.Probers() {
		if !prober.Speaks(probe.HTTP) {
			continue
		}
		t.Run(prober.Name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan string, 1)
			address := target(t, func(conn net.Conn) {
				seen <- readRequest(conn)
				conn.Write([]byte(whole))
			})
			p := filled(t, prober.Name, "http://"+address+"/health", probe.Options{})
			a := p.Send(t.Context())
			if !a.Healthy {
				t.Fatalf("%v %d: %s", a.Outcome, a.Status, a.Because)
			}
			got := <-seen
			if got != string(p.Bytes()) || string(a.Sent) != got || string(a.Received) != whole {
				t.Errorf("the server saw %q, the probe is %q; sent %q, received %q", got, p.Bytes(), a.Sent, a.Received)
			}
			if _, value, _ := strings.Cut(got, "\r\nHost: "); (value == "") != (p.SentHost() == "") || !strings.HasPrefix(value, p.SentHost()) {
				t.Errorf("Host is not %q: %q", p.SentHost(), got)
			}
		})
	}
}

// The table itself: each row can be used, and says what it needs to.
func TestTable(t *testing.T) {
	t.Parallel()
	var names []string
	for _, prober := range probe.Probers() {
		names = append(names, prober.Name)
		if prober.Title == "" || len(prober.Protocols) == 0 || prober.Method == "" || prober.Version == "" || prober.Timing.Timeout <= 0 {
			t.Errorf("%s is not filled in: %+v", prober.Name, prober)
		}
		if _, err := elb.ParseMatcher(prober.Matcher); err != nil {
			t.Errorf("%s: %v", prober.Name, err)
		}
		if prober.Timing.Healthy < 1 || prober.Timing.Unhealthy < 1 {
			t.Errorf("%s: thresholds %+v", prober.Name, prober.Timing)
		}
		for _, sentence := range prober.Unconfirmed {
			if !strings.HasSuffix(sentence, ".") {
				t.Errorf("%s: %q is no sentence", prober.Name, sentence)
			}
		}
		found, ok := probe.Find(prober.Name)
		if !ok || found.Title != prober.Title {
			t.Errorf("%s is not found by its name", prober.Name)
		}
	}
	want := []string{"alb", "classic", "nlb", "alb-grpc", "route53", "kubelet", "gcp", "azure", "consul", "haproxy", "nginx-plus", "docker"}
	if !slices.Equal(names, want) {
		t.Errorf("the table has %q, want %q", names, want)
	}
	if _, ok := probe.Find("elb"); ok {
		t.Error("there is a prober that no row has")
	}
}

// The success rule of each prober, by what a server answers.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	status := func(line string) string { return "HTTP/1.1 " + line + "\r\nContent-Length: 0\r\n\r\n" }
	const unsized = "HTTP/1.1 200 OK\r\n\r\nok"
	const cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
	for _, test := range []struct {
		as, answer string
		healthy    bool
		reason     elb.Reason
		said       string // Description
	}{
		{"alb", status("200 OK"), true, "", ""},
		{"alb", status("201 Created"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [201]"},
		{"alb", status("503 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [503]"},
		{"alb", unsized, true, "", ""},
		{"alb", cut, false, elb.FailedHealthChecks, "Health checks failed"},
		{"classic", status("200 OK"), true, "", ""},
		{"classic", status("204 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [204]"},
		{"classic", unsized, false, elb.FailedHealthChecks, "Health checks failed"},
		{"nlb", status("301 Moved"), true, "", ""},
		{"nlb", status("400 No"), false, elb.FailedHealthChecks, "Health checks failed"},
		{"route53", status("399 Odd"), true, "", ""},
		{"route53", status("400 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [400]"},
		{"kubelet", status("204 No"), true, "", ""},
		{"kubelet", status("404 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [404]"},
		{"gcp", status("204 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [204]"},
		{"azure", status("301 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [301]"},
		{"consul", status("204 No"), true, "", ""},
		{"consul", status("429 Too Many Requests"), true, "", ""},
		{"consul", status("304 Not Modified"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [304]"},
		{"consul", cut, true, "", ""},
		{"haproxy", status("302 Found"), true, "", ""},
		{"haproxy", cut, true, "", ""},
		{"haproxy", status("404 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [404]"},
		{"nginx-plus", status("302 Found"), true, "", ""},
		{"docker", status("302 Found"), true, "", ""},
		{"docker", status("400 No"), false, elb.ResponseCodeMismatch, "Health checks failed with these codes: [400]"},
	} {
		a := send(t, test.as, "http://"+target(t, says(test.answer)), probe.Options{})
		if a.Healthy != test.healthy || a.Reason != test.reason || a.Description != test.said {
			t.Errorf("%s, answered %q: healthy %v, %s, %q (%s)", test.as, test.answer, a.Healthy, a.Reason, a.Description, a.Because)
		}
		if a.Warned() != strings.Contains(test.answer, "429") {
			t.Errorf("%s, answered %q: warned %v: %s", test.as, test.answer, a.Warned(), a.Because)
		}
	}
}

// A kubelet reads 10 KiB of a body, and is content with those; an Application
// Load Balancer waits for the end.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	address := target(t, holds("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 20<<10)))
	if a := send(t, "kubelet", "http://"+address, probe.Options{}); !a.Healthy || !a.Unread {
		t.Errorf("kubelet: %v, %s", a.Outcome, a.Because)
	}
	if a := send(t, "alb", "http://"+address, probe.Options{Timeout: 2 * time.Second}); a.Outcome != probe.BodyTimeout || a.BodySize != 20<<10 {
		t.Errorf("alb: %v, %d bytes, %s", a.Outcome, a.BodySize, a.Because)
	}
}

// A body that is too long to be read whole passes with a word: what was not
// read is not vouched for.
func TestLongBody(t *testing.T) {
	t.Parallel()
	part := strings.Repeat("x", 1<<20)
	address := target(t, func(conn net.Conn) {
		readRequest(conn)
		for _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"); err == nil; {
			_, err = io.WriteString(conn, part)
		}
	})
	a := send(t, "alb", "http://"+address, probe.Options{Timeout: time.Minute})
	if !a.Warned() || a.BodySize < 64<<20 || a.Because != "status 200, but the body has more than 64 MiB, and the rest was not read" {
		t.Errorf("%v, %d bytes, %s", a.Outcome, a.BodySize, a.Because)
	}
}

// What each prober makes of a body that never ends, and that comes quickly.
func TestBodyWithoutEnd(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\n"
	part := strings.Repeat("x", 16<<10)
	stream := func(begin, part string) string {
		return target(t, func(conn net.Conn) {
			readRequest(conn)
			for _, err := io.WriteString(conn, begin); err == nil; _, err = io.WriteString(conn, part) {
				time.Sleep(time.Millisecond) // for the neighbours
			}
		})
	}
	addresses := []string{
		stream(head+"\r\n", part),
		stream(head+"Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n", len(part), part)),
	}
	for _, test := range []struct {
		as, search string
		outcome    probe.Outcome
		reason     elb.Reason // "": it passes
	}{
		{"alb", "", probe.BodyTimeout, elb.Timeout},
		{"nlb", "", probe.BodyTimeout, elb.FailedHealthChecks},
		{"classic", "", probe.BodyTimeout, elb.Timeout},
		{"gcp", "", probe.BodyTimeout, elb.Timeout},
		{"docker", "", probe.BodyTimeout, elb.Timeout},
		{"route53", "", probe.BodyTimeout, ""}, // the status is enough
		{"route53", "x", probe.BodyTimeout, elb.Timeout},
		{"consul", "", probe.BodyTimeout, ""}, // it reads on, and then forgives
		{"kubelet", "", probe.Answered, ""},   // it has enough after 10 KiB
		{"haproxy", "", probe.Answered, ""},   // it does not look
	} {
		for i, address := range addresses {
			t.Run(fmt.Sprint(test.as, test.search, i), func(t *testing.T) {
				t.Parallel()
				a := send(t, test.as, "http://"+address, probe.Options{Search: test.search, Timeout: 4 * time.Second})
				if a.Outcome != test.outcome || a.Reason != test.reason || a.Healthy != (test.reason == "") {
					t.Errorf("%v, healthy %v, %s (%s)", a.Outcome, a.Healthy, a.Reason, a.Because)
				}
			})
		}
	}
}

// A matcher of one's own takes the prober's place, its warnings too.
func TestMatcherOption(t *testing.T) {
	t.Parallel()
	address := target(t, says("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"))
	for matcher, healthy := range map[string]bool{"200-299,429": true, "200": false} {
		a := send(t, "consul", "http://"+address, probe.Options{Matcher: matcher})
		if a.Healthy != healthy || a.Warned() {
			t.Errorf("%s: healthy %v, warned %v, %s", matcher, a.Healthy, a.Warned(), a.Because)
		}
	}
}

// Probes over TCP are content with a connection, and send nothing.
func TestConnections(t *testing.T) {
	t.Parallel()
	for _, as := range []string{"nlb", "classic", "kubelet", "haproxy"} {
		got := make(chan string, 1)
		address := target(t, func(conn net.Conn) { got <- readRequest(conn) })
		a := send(t, as, "tcp://"+address, probe.Options{})
		if a.Outcome != probe.Connected || !a.Healthy {
			t.Errorf("%s: %v, %s", as, a.Outcome, a.Because)
		}
		if sent := <-got; sent != "" || len(a.Sent) != 0 {
			t.Errorf("%s sent %q", as, sent)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	a := send(t, "nlb", "tcp://"+l.Addr().String(), probe.Options{})
	if a.Outcome != probe.Refused || a.Reason != elb.FailedHealthChecks || a.Because != "connection refused: "+l.Addr().String() {
		t.Errorf("nobody listens: %v, %s, %s", a.Outcome, a.Reason, a.Because)
	}
}

// Only what is about a probe is said of it.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as, url string
		o       probe.Options
		about   string // a part of a sentence
		said    bool
	}{
		{as: "alb", url: "http://10.0.1.5", about: "order and case", said: true},
		{as: "alb", url: "http://10.0.1.5", about: "TLS"},
		{as: "alb", url: "https://10.0.1.5", about: "Over TLS: ", said: true},
		{as: "alb", url: "https://10.0.1.5", about: "HTTP2"},
		{as: "alb", url: "h2c://10.0.1.5", about: "Over HTTP/2: ", said: true},
		{as: "kubelet", url: "grpc://10.0.1.5", about: "Over gRPC: ", said: true},
		{as: "kubelet", url: "http://10.0.1.5", about: "Over gRPC: "},
		{as: "gcp", url: "http://10.0.1.5", about: "PROXY"},
		{as: "gcp", url: "http://10.0.1.5", o: probe.Options{ProxyProtocol: 1}, about: "With a PROXY header: ", said: true},
		{as: "nlb", url: "tcp://10.0.1.5:80", about: ""},
		{as: "haproxy", url: "http://10.0.1.5", about: ""},
		{as: "alb", url: "http://[fd00::5]:8080", about: "Over IPv6: ", said: true},
		{as: "alb", url: "http://10.0.1.5:8080", about: "IPv6"},
		{as: "alb-grpc", url: "grpcs://10.0.1.5", about: "Over TLS: ", said: true},
		{as: "classic", url: "https://10.0.1.5", about: "Over TLS: ", said: true},
	} {
		all := strings.Join(filled(t, test.as, test.url, test.o).Unconfirmed(), "\n")
		if all == "" && test.about == "" {
			continue
		}
		if strings.Contains(all, test.about) != test.said {
			t.Errorf("%s %s: %q", test.as, test.url, all)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	page := "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(".", 5118) + "ok later"
	for _, test := range []struct {
		as, search string
		healthy    bool
	}{
		{"route53", "ok", true}, {"route53", "OK", false}, {"route53", "later", false}, {"gcp", "ok", false}, {"gcp", "...", true},
	} {
		a := send(t, test.as, "http://"+target(t, says(page)), probe.Options{Search: test.search})
		if a.Healthy != test.healthy {
			t.Errorf("%s looks for %q: healthy %v, %s", test.as, test.search, a.Healthy, a.Because)
		}
	}
	// gzip and deflate are undone: "hello" in each.
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcaH\xcd\xc9\xc9\x07\x04\x00\x00\xff\xff\x86\xa6\x106\x05\x00\x00\x00",
		"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n\xcaH\xcd\xc9\xc9\x07\x04\x00\x00\xff\xff",
		"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\nx\x9c\xcaH\xcd\xc9\xc9\x07\x04\x00\x00\xff\xff\x06,\x02\x15",
	} {
		a := send(t, "route53", "http://"+target(t, says(answer)), probe.Options{Search: "hello"})
		if !a.Healthy {
			t.Errorf("%q: %s", answer, a.Because)
		}
	}
}
