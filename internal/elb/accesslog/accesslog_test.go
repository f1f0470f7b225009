package accesslog_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"hale/internal/elb/accesslog"
)

const arn = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067"

// full is an entry with nothing left out.
func full() accesslog.Entry {
	return accesslog.Entry{
		Type:               accesslog.HTTPS,
		Time:               time.Date(2018, 7, 2, 22, 23, 0, 186641000, time.UTC),
		LoadBalancer:       "app/my-loadbalancer/50dc6c495c0c9188",
		Client:             netip.MustParseAddrPort("192.168.131.39:2817"),
		Target:             netip.MustParseAddrPort("10.0.0.1:80"),
		RequestProcessing:  86 * time.Millisecond,
		TargetProcessing:   48 * time.Millisecond,
		ResponseProcessing: 37 * time.Millisecond,
		Status:             200, TargetStatus: 200, SentBytes: 57,
		Request:   accesslog.Request{Method: "GET", TLS: true, Host: "www.example.com", Port: 443, URI: "/", Proto: "HTTP/1.1"},
		UserAgent: "curl/7.46.0",
		TLSCipher: "ECDHE-RSA-AES128-GCM-SHA256", TLSProtocol: "TLSv1.2",
		TargetGroupARN:      arn,
		TraceID:             "Root=1-58337281-1d84f3d73c47ec4e58577259",
		DomainName:          "www.example.com",
		ChosenCertARN:       "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012",
		MatchedRulePriority: 1,
		Created:             time.Date(2018, 7, 2, 22, 22, 48, 364000000, time.UTC),
		Actions:             accesslog.Authenticate | accesslog.Forward,
		ConnTraceID:         "TID_1234abcd5678ef90",
		TransformedHost:     "internal.example.com", TransformedURI: "/v2/", TransformStatus: "TransformSuccess",
		Node: netip.MustParseAddr("10.0.1.4"),
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	// The guide's examples, with the fields that came later behind them.
	const later = ` "10.0.0.1:80" "200" "-" "-"`
	for name, test := range map[string]struct {
		change func(*accesslog.Entry)
		want   string
	}{
		"https": {
			func(*accesslog.Entry) {},
			`https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ` + arn + ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-"` + later + ` TID_1234abcd5678ef90 "internal.example.com" "/v2/" "TransformSuccess" 10.0.1.4`,
		},
		"http, default rule": {
			func(e *accesslog.Entry) {
				*e = accesslog.Entry{
					Type: accesslog.HTTP, Time: e.Time, LoadBalancer: e.LoadBalancer, Client: e.Client, Target: e.Target,
					TargetProcessing: time.Millisecond, Status: 200, TargetStatus: 200, ReceivedBytes: 34, SentBytes: 366,
					Request:        accesslog.Request{Method: "GET", Host: "www.example.com", Port: 80, URI: "/", Proto: "HTTP/1.1"},
					UserAgent:      "curl/7.46.0",
					TargetGroupARN: arn, TraceID: "Root=1-58337262-36d228ad5d99923122bbe354", Created: e.Created, Actions: accesslog.Forward,
				}
			},
			`http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - ` + arn + ` "Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-"` + later + ` - "-" "-" "-" -`,
		},
		"malformed": {
			func(e *accesslog.Entry) {
				*e = accesslog.Entry{
					Type: accesslog.HTTP, Time: e.Time, LoadBalancer: e.LoadBalancer, Client: e.Client,
					RequestProcessing: accesslog.Unknown, TargetProcessing: accesslog.Unknown, ResponseProcessing: accesslog.Unknown,
					Status: 400, SentBytes: 272, Request: accesslog.Request{Host: "my-loadbalancer-1.example.com", Port: 80},
					MatchedRulePriority: accesslog.NoRule, Created: e.Created, Classification: "Severe", ClassificationReason: "BadMethod",
				}
			},
			`http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - -1 -1 -1 400 - 0 272 "- http://my-loadbalancer-1.example.com:80- -" "-" - - - "-" "-" "-" - 2018-07-02T22:22:48.364000Z "-" "-" "-" "-" "-" "Severe" "BadMethod" - "-" "-" "-" -`,
		},
		"h2, redirect": {
			func(e *accesslog.Entry) {
				*e = accesslog.Entry{
					Type: accesslog.H2, Time: e.Time, LoadBalancer: e.LoadBalancer, Client: netip.MustParseAddrPort("[2001:db8::1]:48160"),
					RequestProcessing: -1, TargetProcessing: -1, ResponseProcessing: -1, Status: 301,
					Request:             accesslog.Request{Method: "GET", TLS: true, Host: "10.0.2.105", Port: 773, URI: "/a?b=c", Proto: "HTTP/2.0"},
					MatchedRulePriority: accesslog.RuleError, Created: e.Created, Actions: accesslog.Redirect, RedirectURL: "https://example.com:80/",
				}
			},
			`h2 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 [2001:db8::1]:48160 - -1 -1 -1 301 - 0 0 "GET https://10.0.2.105:773/a?b=c HTTP/2.0" "-" - - - "-" "-" "-" -1 2018-07-02T22:22:48.364000Z "redirect" "https://example.com:80/" "-" "-" "-" "-" "-" - "-" "-" "-" -`,
		},
		"tried twice": {
			func(e *accesslog.Entry) {
				*e = accesslog.Entry{
					Type: accesslog.WS, Time: e.Time, LoadBalancer: e.LoadBalancer, Client: e.Client, Target: e.Target,
					Status: 101, TargetStatus: 101, Request: accesslog.Request{Method: "GET", Host: "10.0.0.30", Port: 80, URI: "/", Proto: "HTTP/1.1"},
					Created: e.Created, Actions: accesslog.Forward,
					Targets: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.9:80"), e.Target}, TargetStatuses: []int{0, 101},
				}
			},
			`ws 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.000 0.000 101 101 0 0 "GET http://10.0.0.30:80/ HTTP/1.1" "-" - - - "-" "-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.9:80 10.0.0.1:80" "- 101" "-" "-" - "-" "-" "-" -`,
		},
	} {
		e := full()
		test.change(&e)
		if got := string(e.Append([]byte("> "))); got != "> "+test.want+"\n" {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestEscaping(t *testing.T) {
	t.Parallel()
	e := full()
	e.Request.URI = "/QUOTE_EXPERIMENT?bar=\"\\\r\n\x00ä"
	e.UserAgent = "\"a b\"\t" + strings.Repeat("x", 9<<10)
	e.LoadBalancer = "a b"
	line := string(e.Append(nil))
	for _, want := range []string{
		` a\x20b 192.168.131.39:2817 `,
		`/QUOTE_EXPERIMENT?bar=\x22\x5C\x0D\x0A\x00\xC3\xA4 HTTP/1.1" "\x22a b\x22\x09xxx`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is not in %.400s", want, line)
		}
	}
	if n := strings.Count(line, "x"); n > 8<<10+50 {
		t.Errorf("the User-Agent is not cut: %d bytes", n)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                   "0.000 0.000000",
		accesslog.Unknown:                   "-1 -1",
		-time.Hour:                          "-1 -1",
		499 * time.Microsecond:              "0.000 0.000499",
		500 * time.Microsecond:              "0.001 0.000500",
		1500 * time.Nanosecond:              "0.000 0.000002",
		time.Second:                         "1.000 1.000000",
		999*time.Millisecond + 999999:       "1.000 1.000000",
		61*time.Second + 5*time.Nanosecond:  "61.000 61.000000",
		time.Hour + 123456*time.Microsecond: "3600.123 3600.123456",
	} {
		e := full()
		e.RequestProcessing = d
		got := strings.Fields(string(e.Append(nil)))[5] + " " + strings.Fields(string(e.AppendClassic(nil)))[4]
		if got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestAppendClassic(t *testing.T) {
	t.Parallel()
	http := accesslog.Entry{
		Time: time.Date(2015, 5, 13, 23, 39, 43, 945958000, time.UTC), LoadBalancer: "my-loadbalancer",
		Client: netip.MustParseAddrPort("192.168.131.39:2817"), Target: netip.MustParseAddrPort("10.0.0.1:80"),
		RequestProcessing: 73 * time.Microsecond, TargetProcessing: 1048 * time.Microsecond, ResponseProcessing: 57 * time.Microsecond,
		Status: 200, TargetStatus: 200, SentBytes: 29,
		Request: accesslog.Request{Method: "GET", Host: "www.example.com", Port: 80, URI: "/", Proto: "HTTP/1.1"}, UserAgent: "curl/7.38.0",
	}
	tcp := http
	tcp.Status, tcp.TargetStatus, tcp.Request, tcp.UserAgent = 0, 0, accesslog.Request{}, ""
	for want, e := range map[string]accesslog.Entry{
		`2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.38.0" - -`: http,
		`2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 - - 0 29 "- - - " "-" - -`:                                                tcp,
	} {
		if got := string(e.AppendClassic(nil)); got != want+"\n" {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// The line as those who read logs take it apart: AWS's own example for Athena
// has a pattern of this kind.
var fields = regexp.MustCompile(`^[^ "]+( [^ "]+){11} "[^"]*" "[^"]*" [^ "]+ [^ "]+ [^ "]+( "[^"]*"){3} [^ "]+ [^ "]+( "[^"]*"){7} [^ "]+( "[^"]*"){3} [^ "]+\n$`)

func FuzzAppend(f *testing.F) {
	f.Add("GET", "example.com", "/a b", "curl", "Root=1", "x")
	f.Add("\" \"", "\r\n", "\\\"", "\x00", "\n", "\" ")
	f.Add("", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, method, host, uri, agent, trace, other string) {
		e := full()
		e.Request.Method, e.Request.Host, e.Request.URI, e.Request.Proto = method, host, uri, other
		e.UserAgent, e.TraceID, e.DomainName, e.RedirectURL = agent, trace, host, uri
		e.ErrorReason, e.TransformedHost, e.TransformedURI, e.TLSCipher, e.LoadBalancer = other, host, uri, other, other
		e.Client = netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(other), 1)
		if line := e.Append(nil); !fields.Match(line) {
			t.Errorf("it cannot be taken apart: %q", line)
		}
		if line := e.AppendClassic(nil); strings.Count(string(line), "\n") != 1 || strings.Count(string(line), `"`) != 4 {
			t.Errorf("it cannot be taken apart: %q", line)
		}
	})
}

func TestAppendAllocatesNothing(t *testing.T) {
	e := full()
	b := make([]byte, 0, 4<<10)
	if n := testing.AllocsPerRun(100, func() { b = e.Append(b[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	e := full()
	line := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		line = e.Append(line[:0])
	}
}
