package answer_test

import (
	"strconv"
	"strings"
	"testing"

	"hale/internal/elb"
	"hale/internal/elb/answer"
)

// The causes as the guides list them, with what each load balancer answers; 0 is
// nothing.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cause                answer.Cause
		name                 string
		application, classic int
		closes               bool
	}{
		{answer.Malformed, "Malformed", 400, 400, true},
		{answer.HeaderTooLarge, "HeaderTooLarge", 400, 400, true},
		{answer.BodyCutOff, "BodyCutOff", 400, 400, true},
		{answer.Refused, "Refused", 400, 400, true},
		{answer.BodyTooLarge, "BodyTooLarge", 413, 0, true},
		{answer.URITooLong, "URITooLong", 414, 400, true},
		{answer.MethodNotAllowed, "MethodNotAllowed", 405, 405, true},
		{answer.ClientIdle, "ClientIdle", 408, 408, true},
		{answer.ClientClosed, "ClientClosed", 460, 0, true},
		{answer.TooManyAddresses, "TooManyAddresses", 463, 0, false},
		{answer.ProtocolMismatch, "ProtocolMismatch", 464, 0, false},
		{answer.BadEncoding, "BadEncoding", 501, 400, true},
		{answer.BadVersion, "BadVersion", 505, 400, true},
		{answer.NoTarget, "NoTarget", 503, 503, false},
		{answer.NoHealthy, "NoHealthy", 0, 503, false},
		{answer.QueueFull, "QueueFull", 0, 503, false},
		{answer.ConnectRefused, "ConnectRefused", 502, 504, false},
		{answer.ConnectTimeout, "ConnectTimeout", 504, 504, false},
		{answer.HandshakeFailed, "HandshakeFailed", 502, 504, false},
		{answer.TargetClosed, "TargetClosed", 502, 504, false},
		{answer.BadAnswer, "BadAnswer", 502, 502, false},
		{answer.TargetTimeout, "TargetTimeout", 504, 504, false},
		{answer.DrainingOver, "DrainingOver", 502, 504, false},
		{answer.TransformFailed, "TransformFailed", 500, 0, false},
		{answer.InternalError, "InternalError", 500, 500, false},
		{0, "no cause", 0, 0, false},
	} {
		a, c := answer.Application(test.cause), answer.Classic(test.cause)
		if a.Status != test.application || c.Status != test.classic {
			t.Errorf("%s: %d and %d, want %d and %d", test.name, a.Status, c.Status, test.application, test.classic)
		}
		if a.Status != 0 && a.Close != test.closes || c.Status != 0 && c.Close != test.closes {
			t.Errorf("%s: closes %v and %v, want %v", test.name, a.Close, c.Close, test.closes)
		}
	}
}

// An Application Load Balancer's page, byte by byte; the lengths are those that
// people have pasted.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer answer.Answer
		title  string
		length int
	}{
		{answer.Redirect(301, "https://example.com:443/"), "301 Moved Permanently", 134},
		{answer.Application(answer.BadAnswer), "502 Bad Gateway", 122},
		{answer.Application(answer.Malformed), "400 Bad Request", 122},
		{answer.Application(answer.NoTarget), "503 Service Temporarily Unavailable", 162},
		{answer.Application(answer.TargetTimeout), "504 Gateway Time-out", 132},
		{answer.Application(answer.ProtocolMismatch), "464", 98},
	} {
		want := "<html>\r\n<head><title>" + test.title + "</title></head>\r\n<body>\r\n<center><h1>" + test.title + "</h1></center>\r\n</body>\r\n</html>\r\n"
		if got := string(test.answer.Body); got != want || len(got) != test.length {
			t.Errorf("%s: %d bytes, want %d: %q", test.title, len(got), test.length, got)
		}
		if h := test.answer.Header; h.Get("Server") != "awselb/2.0" || h.Get("Content-Type") != "text/html" {
			t.Errorf("%s: %v", test.title, h)
		}
	}
}

// Every status has a title, but for those that only ELB has.
func TestEveryPageHasATitle(t *testing.T) {
	t.Parallel()
	for cause := range answer.Cause(255) {
		a := answer.Application(cause)
		if bare := strings.Contains(string(a.Body), strconv.Itoa(a.Status)+"</title>"); bare != (a.Status == 460 || a.Status == 463 || a.Status == 464) {
			t.Errorf("%d: %s", a.Status, a.Body)
		}
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	a := answer.Redirect(302, "https://example.com:443/a")
	if a.Status != 302 || a.Header.Get("Location") != "https://example.com:443/a" || !strings.Contains(string(a.Body), "302 Found") {
		t.Errorf("%+v", a)
	}
	if answer.Redirect(302, "/b"); a.Header.Get("Location") != "https://example.com:443/a" {
		t.Error("two redirects share their header")
	}
}

func TestClassic(t *testing.T) {
	t.Parallel()
	a := answer.Classic(answer.NoHealthy)
	if a.Reason != "Service Unavailable: Back-end server is at capacity" || len(a.Body) != 0 || a.Header.Get("Content-Length") != "0" || a.Header.Get("Server") != "" {
		t.Errorf("%+v", a)
	}
	for cause := range answer.Cause(255) {
		if a := answer.Classic(cause); a.Status != 0 && a.Reason == "" {
			t.Errorf("%d has no reason", a.Status)
		}
	}
}

func TestFixed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ contentType, want string }{
		{"", "text/plain; charset=utf-8"},
		{"application/json", "application/json; charset=utf-8"},
	} {
		a := answer.Fixed(404, test.contentType, "{}")
		if a.Status != 404 || string(a.Body) != "{}" || a.Header.Get("Content-Type") != test.want || a.Header.Get("Server") != answer.Server {
			t.Errorf("%q: %+v", test.contentType, a)
		}
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version                    elb.Version
		proto, method, contentType string
		want                       bool
	}{
		{"", "HTTP/1.1", "GET", "", true},
		{elb.HTTP1, "HTTP/1.1", "POST", "application/grpc", true}, // no gRPC without HTTP/2
		{elb.HTTP1, "HTTP/2.0", "GET", "", true},
		{elb.HTTP1, "HTTP/2.0", "POST", "application/grpc+proto", false},
		{elb.HTTP1, "HTTP/2.0", "POST", "application/grpc-web", true},
		{elb.HTTP2, "HTTP/1.1", "GET", "", false},
		{elb.HTTP2, "HTTP/1.0", "GET", "", false},
		{elb.HTTP2, "HTTP/2.0", "GET", "", true},
		{elb.HTTP2, "HTTP/2.0", "POST", "application/grpc", true},
		{elb.GRPC, "HTTP/1.1", "POST", "application/grpc", false},
		{elb.GRPC, "HTTP/2.0", "GET", "application/grpc", false},
		{elb.GRPC, "HTTP/2.0", "POST", "application/grpc;a=b", true},
	} {
		if got := answer.Fits(test.version, test.proto, test.method, test.contentType); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
