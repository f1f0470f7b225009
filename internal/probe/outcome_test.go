package probe_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
)

const whole = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"

// What an Application Load Balancer makes of what servers do.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handle  func(net.Conn)
		short   bool // the time-out is to be met
		outcome probe.Outcome
		status  int
		body    string
		reason  elb.Reason // "": healthy
		because string
	}{
		"a length": {handle: holds(whole), outcome: probe.Answered, status: 200, body: "ok\n"},
		"chunks": {
			handle:  holds("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nok\n\r\n02\r\nxy\r\n0\r\nDigest: x\r\n\r\n"),
			outcome: probe.Answered, status: 200, body: "ok\nxy",
		},
		"no length, to the connection's end": {
			handle: says("HTTP/1.1 200 OK\r\n\r\nok\n"), outcome: probe.Answered, status: 200, body: "ok\n",
		},
		"an interim answer first": {
			handle:  holds("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + whole),
			outcome: probe.Answered, status: 200, body: "ok\n",
		},
		"204 has no body":       {handle: holds("HTTP/1.1 204 No Content\r\n\r\n"), outcome: probe.Answered, status: 204, reason: elb.ResponseCodeMismatch, because: "status 204, and success is 200"},
		"304 has none either":   {handle: holds("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"), outcome: probe.Answered, status: 304, reason: elb.ResponseCodeMismatch},
		"HTTP/1.0":              {handle: says("HTTP/1.0 200 OK\r\n\r\nok\n"), outcome: probe.Answered, status: 200, body: "ok\n"},
		"bare line feeds":       {handle: holds("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), outcome: probe.Answered, status: 200, body: "ok"},
		"no reason phrase":      {handle: holds("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), outcome: probe.Answered, status: 200},
		"lower case":            {handle: holds("http/1.1 200 ok\r\ncontent-length: 2\r\n\r\nok"), outcome: probe.Answered, status: 200, body: "ok"},
		"a folded line":         {handle: holds("HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"), outcome: probe.Answered, status: 200},
		"the same length twice": {handle: holds("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), outcome: probe.Answered, status: 200, body: "x"},
		"RST after the whole answer": {
			handle: func(conn net.Conn) {
				readRequest(conn)
				io.WriteString(conn, whole)
				reset(conn)
			},
			outcome: probe.Answered, status: 200, body: "ok\n",
		},
		"answered before the request was read": {
			handle:  func(conn net.Conn) { io.WriteString(conn, whole); io.Copy(io.Discard, conn) },
			outcome: probe.Answered, status: 200, body: "ok\n",
		},
		"a redirect": {
			handle:  holds("HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.com/health\r\nContent-Length: 0\r\n\r\n"),
			outcome: probe.Answered, status: 301, reason: elb.ResponseCodeMismatch, because: "status 301, and success is 200",
		},
		"closed at once": {handle: func(net.Conn) {}, outcome: probe.Empty, reason: elb.FailedHealthChecks, because: "connection "},
		"reset": {
			handle:  func(conn net.Conn) { readRequest(conn); reset(conn) },
			outcome: probe.Empty, reason: elb.FailedHealthChecks, because: "connection reset",
		},
		"silent":         {handle: holds(""), short: true, outcome: probe.Silent, reason: elb.Timeout, because: "no byte of an answer within 2s"},
		"a banner":       {handle: holds("SSH-2.0-OpenSSH_9.6\r\n"), outcome: probe.NotHTTP, reason: elb.FailedHealthChecks, because: `the answer is not HTTP: it begins with "SSH-2.0-OpenSSH_9.6`},
		"an alert":       {handle: says("\x15\x03\x01\x00\x02\x02\x46"), outcome: probe.NotHTTP, reason: elb.FailedHealthChecks},
		"HTTP/0.9":       {handle: says("<html>ok</html>"), outcome: probe.NotHTTP, reason: elb.FailedHealthChecks},
		"HTTP/2 frames":  {handle: holds("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), outcome: probe.NotHTTP, reason: elb.FailedHealthChecks},
		"no status line": {handle: says("HTTP/1.1 OK\r\n\r\n"), outcome: probe.NotHTTP, reason: elb.FailedHealthChecks, because: "the status line is none"},
		"a line without a colon": {
			handle: holds("HTTP/1.1 200 OK\r\nWarning\x1b[31m\r\n\r\n"), outcome: probe.NotHTTP, reason: elb.FailedHealthChecks, because: `a line of the header is none: "Warning\x1b[31m"`,
		},
		"two lengths":            {handle: holds("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), outcome: probe.NotHTTP, status: 200, reason: elb.FailedHealthChecks},
		"a length below zero":    {handle: holds("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nxx"), outcome: probe.NotHTTP, status: 200, reason: elb.FailedHealthChecks},
		"a head without an end":  {handle: says("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Filler: 0123456789\r\n", 20000)), outcome: probe.NotHTTP, reason: elb.FailedHealthChecks, because: "the head has more than 256 KiB"},
		"closed within the head": {handle: says("HTTP/1.1 200 OK\r\nContent-"), outcome: probe.HeadCut, reason: elb.FailedHealthChecks, because: "connection closed in the middle of the answer"},
		"late within the head":   {handle: holds("HTTP/1.1 200 OK\r\n"), short: true, outcome: probe.HeadCut, reason: elb.Timeout, because: "no end of the answer's head within 2s"},
		"half a first word":      {handle: holds("HTT"), short: true, outcome: probe.HeadCut, reason: elb.Timeout},
		"closed within the body": {handle: says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"), outcome: probe.BodyCut, status: 200, body: "ok", reason: elb.FailedHealthChecks},
		"closed within a chunk":  {handle: says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok"), outcome: probe.BodyCut, status: 200, body: "ok", reason: elb.FailedHealthChecks},
		"no chunk at all":        {handle: says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n"), outcome: probe.BodyCut, status: 200, reason: elb.FailedHealthChecks, because: "not in chunks as announced"},
		"a chunk too long":       {handle: says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n"), outcome: probe.BodyCut, status: 200, body: "ok", reason: elb.FailedHealthChecks},
		"a body without an end":  {handle: holds("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"), short: true, outcome: probe.BodyTimeout, status: 200, body: "ok", reason: elb.Timeout, because: "no end of the body within 2s"},
		"a stream":               {handle: holds("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"), short: true, outcome: probe.BodyTimeout, status: 200, body: "data: 1\n\n", reason: elb.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := probe.Options{}
			if test.short {
				o.Timeout = 2 * time.Second
			}
			a := send(t, "alb", "http://"+target(t, test.handle)+"/health", o)
			if a.Outcome != test.outcome || a.Status != test.status || string(a.Body) != test.body {
				t.Errorf("%v, status %d, body %q, %v; want %v, %d, %q", a.Outcome, a.Status, a.Body, a.Err, test.outcome, test.status, test.body)
			}
			if a.Reason != test.reason || a.Healthy != (test.reason == "") || !strings.Contains(a.Because, test.because) {
				t.Errorf("healthy %v, %s, because %q; want %q, %q", a.Healthy, a.Reason, a.Because, test.reason, test.because)
			}
			if a.GRPC != -1 {
				t.Errorf("gRPC status %d of an answer without one", a.GRPC)
			}
			if (a.Err == nil) != (a.Outcome == probe.Answered) {
				t.Errorf("error %v of an answer that is %v", a.Err, a.Outcome)
			}
			if len(a.Sent) == 0 {
				t.Error("nothing sent")
			}
		})
	}
}
