package probe_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as, url  string
		protocol probe.Protocol
		address  string
		path     string
		timeout  time.Duration
		sni      string
		o        probe.Options
	}{
		{as: "route53", url: "https://10.0.1.5", o: probe.Options{Host: "mysite.com:443"}, protocol: probe.HTTPS, address: "10.0.1.5:443", path: "/", timeout: 8 * time.Second, sni: "mysite.com"},
		{as: "consul", url: "https://10.0.1.5", o: probe.Options{Host: "mysite.com"}, protocol: probe.HTTPS, address: "10.0.1.5:443", path: "/", timeout: 10 * time.Second},
		{as: "alb", url: "10.0.1.5", protocol: probe.HTTP, address: "10.0.1.5:80", path: "/", timeout: 5 * time.Second},
		{as: "alb", url: "10.0.1.5:8080/health?x=y", protocol: probe.HTTP, address: "10.0.1.5:8080", path: "/health?x=y", timeout: 5 * time.Second},
		{as: "alb", url: "HTTPS://10.0.1.5/#top", protocol: probe.HTTPS, address: "10.0.1.5:443", path: "/", timeout: 5 * time.Second},
		{as: "alb", url: "http://10.0.1.5?x", protocol: probe.HTTP, address: "10.0.1.5:80", path: "/?x", timeout: 5 * time.Second},
		{as: "alb", url: "http://[::1]:8080", protocol: probe.HTTP, address: "[::1]:8080", path: "/", timeout: 5 * time.Second},
		{as: "nlb", url: "https://10.0.1.5", protocol: probe.HTTPS, address: "10.0.1.5:443", path: "/", timeout: 10 * time.Second},
		{as: "nlb", url: "http://10.0.1.5", protocol: probe.HTTP, address: "10.0.1.5:80", path: "/", timeout: 6 * time.Second},
		{as: "nlb", url: "tcp://10.0.1.5:5432", protocol: probe.TCP, address: "10.0.1.5:5432", timeout: 10 * time.Second},
		{as: "classic", url: "ssl://10.0.1.5:443/", protocol: probe.TLS, address: "10.0.1.5:443", path: "/", timeout: 5 * time.Second},
		{as: "alb-grpc", url: "http://10.0.1.5:50051", protocol: probe.GRPC, address: "10.0.1.5:50051", path: "/AWS.ALB/healthcheck", timeout: 5 * time.Second},
		{as: "alb-grpc", url: "https://10.0.1.5/my.Service/Method", protocol: probe.GRPCS, address: "10.0.1.5:443", path: "/my.Service/Method", timeout: 5 * time.Second},
		{as: "kubelet", url: "grpc://10.0.1.5:9", protocol: probe.GRPC, address: "10.0.1.5:9", path: "/grpc.health.v1.Health/Check", timeout: time.Second},
		{as: "docker", url: "https://localhost:8443/", protocol: probe.HTTPS, address: "127.0.0.1:8443", path: "/", timeout: 30 * time.Second, sni: "localhost"},
		{as: "alb", url: "https://localhost:8443/", protocol: probe.HTTPS, address: "127.0.0.1:8443", path: "/", timeout: 5 * time.Second},
	} {
		p, err := probe.New(t.Context(), find(t, test.as), test.url, test.o)
		if err != nil {
			t.Errorf("%s %s: %v", test.as, test.url, err)
			continue
		}
		if p.Protocol != test.protocol || p.Address.String() != test.address || p.Path != test.path || p.Timeout != test.timeout || p.ServerName != test.sni {
			t.Errorf("%s %s: %s to %v, path %s, time-out %v, SNI %q", test.as, test.url, p.Protocol, p.Address, p.Path, p.Timeout, p.ServerName)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as, url string
		o       probe.Options
		want    string
	}{
		{as: "alb", url: "ftp://10.0.1.5", want: `"ftp" is no scheme for a probe; write http, https, tcp, tls, h2c, h2, grpc or grpcs`},
		{as: "alb", url: "http://", want: "the URL has no host; write it as http://10.0.1.5:8080/health"},
		{as: "alb", url: "", want: "the URL has no host"},
		{as: "alb", url: "/health", want: "the URL has no host"},
		{as: "alb", url: "http://10.0.1.5:99999", want: "99999 is no port; write one from 1 to 65535"},
		{as: "alb", url: "http://10.0.1.5:0", want: "0 is no port"},
		{as: "alb", url: "http://10.0.1.5:http", want: "the URL is none: "},
		{as: "alb", url: "http://me:secret@10.0.1.5/", want: "leave user and password out of the URL"},
		{as: "alb", url: "http://me:sec%ret@10.0.1.5/", want: "the URL is none: "},
		{as: "alb", url: "tcp://10.0.1.5:80", want: "alb does not probe over tcp, but over http, https, h2c, h2"},
		{as: "nlb", url: "tcp://10.0.1.5", want: "the URL has no port; write it as tcp://10.0.1.5:5432"},
		{as: "docker", url: "grpc://10.0.1.5", want: "docker does not probe over grpc, but over http, https"},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Path: "health"}, want: `the path "health" does not begin with a slash; write "/health"`},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Path: "/a b"}, want: `the path "/a b" has a space or a control character`},
		{as: "alb", url: "10.0.1.5/?a b", want: `the path "/?a b" has a space`},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Path: "/\r\nX: y"}, want: "the path "},
		{as: "nlb", url: "tcp://10.0.1.5:80", o: probe.Options{Path: "/health"}, want: "a probe over tcp has no path; leave it out"},
		{as: "nlb", url: "tcp://10.0.1.5:80/health", want: "a probe over tcp has no path; leave it out"},
		{as: "nlb", url: "tcp://10.0.1.5:80", o: probe.Options{Matcher: "200"}, want: "a probe over tcp sees no status"},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Matcher: "2xx"}, want: `success codes: "2xx" is no code`},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Host: "https://example.com/"}, want: `the host "https://example.com/" is more than a name; write it alone, such as example.com`},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Host: "a\r\nX: y"}, want: `the host "a\r\nX: y" has a space or a control character`},
		{as: "alb", url: "10.0.1.5", o: probe.Options{ProxyProtocol: 3}, want: "the PROXY protocol has no version 3; write 1 or 2"},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Timeout: -1}, want: "a time-out of -1ns is none"},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Search: "ok"}, want: "alb does not look for a text in the body over http"},
		{as: "route53", url: "10.0.1.5", o: probe.Options{Search: strings.Repeat("x", 256)}, want: "the text to look for has 256 bytes; route53 takes 255 at most"},
		{as: "alb", url: "10.0.1.5", o: probe.Options{Source: netip.MustParseAddr("::1")}, want: "the source ::1 cannot reach 10.0.1.5: one is IPv4, the other IPv6"},
	} {
		_, err := probe.New(t.Context(), find(t, test.as), test.url, test.o)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s %s %+v: %v, want %s", test.as, test.url, test.o, err, test.want)
		} else if strings.Contains(err.Error(), "sec") && strings.Contains(test.url, "sec") {
			t.Errorf("a password is told: %v", err)
		}
	}
}

// A name without an address is for Send to tell.
func TestUnresolved(t *testing.T) {
	t.Parallel()
	a := send(t, "alb", "http://no-such-host.invalid/", probe.Options{})
	if a.Outcome != probe.Unresolved || a.Healthy || a.Reason != elb.FailedHealthChecks || !strings.Contains(a.Because, "no-such-host.invalid") {
		t.Errorf("%v, %s, %q", a.Outcome, a.Reason, a.Because)
	}
}

// The address that a probe comes from is the one asked for, and an NLB's Host
// has it.
func TestSource(t *testing.T) {
	t.Parallel()
	from := make(chan string, 1)
	address := target(t, func(conn net.Conn) {
		from <- conn.RemoteAddr().(*net.TCPAddr).IP.String()
		says(whole)(conn)
	})
	p := filled(t, "nlb", "http://"+address, probe.Options{Source: netip.MustParseAddr("127.0.0.6")})
	if a := p.Send(t.Context()); !a.Healthy {
		t.Fatal(a.Because)
	}
	if got := <-from; got != "127.0.0.6" || p.SentHost() != "127.0.0.6:80" {
		t.Errorf("from %s, Host %s", got, p.SentHost())
	}
	p = filled(t, "nlb", "https://"+address, probe.Options{})
	if p.SentHost() != "127.0.0.1:443" {
		t.Errorf("Host %s", p.SentHost())
	}
	alb, _ := probe.Find("alb")
	_, err := probe.New(t.Context(), alb, "http://"+address, probe.Options{Source: netip.MustParseAddr("198.51.100.1")})
	if want := "the source 198.51.100.1 is no address of this machine; ip address tells which are"; err == nil || err.Error() != want {
		t.Errorf("a source of another machine: %v", err)
	}
}

// An experiment is a copy with one thing changed.
func TestProbeIsAValue(t *testing.T) {
	t.Parallel()
	p := filled(t, "alb", "http://10.0.1.5:8080/health", probe.Options{})
	before := string(p.Bytes())
	for _, test := range []struct {
		change probe.Probe
		want   string
	}{
		{p.With("X-Forwarded-Proto", "https"), lines("GET /health HTTP/1.1", "Host: 10.0.1.5:8080", "Connection: close", "User-Agent: ELB-HealthChecker/2.0", "X-Forwarded-Proto: https")},
		{p.With("user-agent", "curl"), lines("GET /health HTTP/1.1", "Host: 10.0.1.5:8080", "Connection: close", "User-Agent: curl")},
		{p.With("Host", "mysite.com"), lines("GET /health HTTP/1.1", "Host: mysite.com", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{p.Without("host"), lines("GET /health HTTP/1.1", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{p.Without("host").With("Host", "a"), lines("GET /health HTTP/1.1", "Host: a", "Connection: close", "User-Agent: ELB-HealthChecker/2.0")},
		{p.Without("Connection"), lines("GET /health HTTP/1.1", "Host: 10.0.1.5:8080", "User-Agent: ELB-HealthChecker/2.0")},
	} {
		if got := string(test.change.Bytes()); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if string(p.Bytes()) != before {
		t.Errorf("the probe has become %q", p.Bytes())
	}
	if p.Get("user-agent") != "ELB-HealthChecker/2.0" || p.Get("HOST") != "10.0.1.5:8080" || p.Get("Cookie") != "" {
		t.Error("fields are not found")
	}
}

// A prober with a limit for each phase does not wait for the whole time-out.
func TestPhases(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	for _, test := range []struct {
		answer  string
		outcome probe.Outcome
		because string
	}{
		{"", probe.Silent, "no byte of an answer within 4s"},
		{head, probe.BodyTimeout, "no end of the body within 4s"},
	} {
		// Of 8 s, 2 are for the head, and 2 for a body in which a text is looked for:
		// twice that with 16 s.
		a := send(t, "route53", "http://"+target(t, holds(test.answer)), probe.Options{Search: "ok", Timeout: 16 * time.Second})
		if a.Outcome != test.outcome || a.Because != test.because || a.Reason != elb.Timeout {
			t.Errorf("%v, %s, %q; want %v, %q", a.Outcome, a.Reason, a.Because, test.outcome, test.because)
		}
	}
}

// A connection attempt that nobody answers ends with the time-out. The queue of
// a listener that nobody accepts from is full after a few.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	address := fullListener(t)
	a := send(t, "alb", "http://"+address, probe.Options{Timeout: 2 * time.Second})
	if a.Outcome != probe.ConnectTimeout || a.Reason != elb.Timeout || a.Because != "no answer to the connection attempt within 2s" {
		t.Errorf("%v, %s, %q", a.Outcome, a.Reason, a.Because)
	}
}

func TestOutcomeNames(t *testing.T) {
	t.Parallel()
	for o, want := range map[probe.Outcome]string{probe.Unresolved: "unresolved", probe.Connected: "connected", probe.BodyTimeout: "body-timeout", -1: "unknown", 99: "unknown"} {
		if got, err := o.MarshalText(); string(got) != want || err != nil {
			t.Errorf("%d is %q, %v; want %s", o, got, err, want)
		}
	}
}
