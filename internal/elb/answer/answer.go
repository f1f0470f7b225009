// Package answer has what load balancers answer by themselves: with which status
// to which cause, in the form that ELB gives it.
//
// Sources: guide of Application Load Balancers, "Troubleshoot"; guide of Classic
// Load Balancers, "Troubleshoot: HTTP errors"; the pages and headers as people
// have pasted them (named below). What nobody says is called unconfirmed.
package answer

import (
	"net/http"
	"strconv"
	"strings"

	"hale/internal/elb"
)

// Answer is a whole answer. Its Header and Body may be shared: nobody changes them.
type Answer struct {
	// Status is 0 where the load balancer does not answer that cause at all.
	Status int
	// Reason is the phrase in the status line, where it is not the usual one.
	Reason string
	Header http.Header
	Body   []byte
	Close  bool // whether the client's connection is closed after it
}

// Cause is why a load balancer answers by itself.
type Cause uint8

// Causes. The client's:
const (
	Malformed        Cause = iota + 1 // no valid HTTP
	HeaderTooLarge                    // a request line or field over 16 KB, a header over 64 KB
	BodyCutOff                        // the client closed before the whole body came
	Refused                           // by the mode of desync mitigation
	BodyTooLarge                      // over 1 MB, for a Lambda function
	URITooLong                        // the URL or the query
	MethodNotAllowed                  // TRACE; classic: a method over 127 characters
	ClientIdle                        // nothing sent within the idle timeout
	ClientClosed                      // the client closed before the answer; nobody gets it
	TooManyAddresses                  // over 30 in X-Forwarded-For
	ProtocolMismatch                  // the request's protocol is not one the group takes
	BadEncoding                       // Transfer-Encoding other than chunked and identity
	BadVersion                        // of HTTP
)

// The target's, and our own:
const (
	NoTarget        Cause = iota + 64 // none is registered in the group
	NoHealthy                         // none is healthy; application load balancers fail open in place of this
	QueueFull                         // classic: the surge queue
	ConnectRefused                    // RST or ICMP in answer to connecting
	ConnectTimeout                    // 10 seconds
	HandshakeFailed                   // TLS with the target, or not within 10 seconds
	TargetClosed                      // with the request outstanding
	BadAnswer                         // no valid HTTP, or a header over 32 KB
	TargetTimeout                     // no answer within the idle timeout
	DrainingOver                      // still unanswered when the deregistration delay ended
	TransformFailed                   // a rule's transform made something that is not valid
	InternalError
)

// row is a cause's statuses.
type row struct {
	application, classic int
	closes               bool
}

// rows: 0 is no answer of that cause. Of classic load balancers, the guide has
// 400, 405, 408, 502, 503 and 504 alone; causes that it does not name are given
// the nearest (unconfirmed): all faults of a request are 400, a target that cannot
// be reached is 504. 405 and 408 close the connection, as do answers to a request
// whose end is not known; unconfirmed, but for 400.
var rows = map[Cause]row{
	Malformed:        {400, 400, true},
	HeaderTooLarge:   {400, 400, true},
	BodyCutOff:       {400, 400, true},
	Refused:          {400, 400, true},
	BodyTooLarge:     {413, 0, true},
	URITooLong:       {414, 400, true},
	MethodNotAllowed: {405, 405, true},
	ClientIdle:       {408, 408, true},
	ClientClosed:     {460, 0, true},
	TooManyAddresses: {463, 0, false},
	ProtocolMismatch: {464, 0, false},
	BadEncoding:      {501, 400, true},
	BadVersion:       {505, 400, true},

	NoTarget:        {503, 503, false},
	NoHealthy:       {0, 503, false},
	QueueFull:       {0, 503, false},
	ConnectRefused:  {502, 504, false},
	ConnectTimeout:  {504, 504, false},
	HandshakeFailed: {502, 504, false},
	TargetClosed:    {502, 504, false},
	BadAnswer:       {502, 502, false},
	TargetTimeout:   {504, 504, false},
	DrainingOver:    {502, 504, false},
	TransformFailed: {500, 0, false},
	InternalError:   {500, 500, false},
}

// Application returns an Application Load Balancer's answer.
func Application(c Cause) Answer { return application[c] }

// Classic returns a Classic Load Balancer's answer.
func Classic(c Cause) Answer { return classic[c] }

var application, classic = answers()

func answers() (application, classic map[Cause]Answer) {
	application, classic = map[Cause]Answer{}, map[Cause]Answer{}
	for cause, row := range rows {
		if row.application != 0 {
			a := page(row.application)
			a.Close = row.closes
			application[cause] = a
		}
		if row.classic != 0 {
			classic[cause] = Answer{
				Status: row.classic, Reason: classicReasons[row.classic], Close: row.closes,
				Header: http.Header{"Content-Length": {"0"}},
			}
		}
	}
	return application, classic
}

// page is an Application Load Balancer's answer with its page: for 301, byte by
// byte as in internetstandards/Internet.nl#1291 (2024); before 2020 the body had a
// colour (esi/esi-issues#902, hayashier.com). That pages of other statuses are made
// alike is concluded from 400 and 502 there; of 463 and 464 it is unconfirmed.
func page(status int) Answer {
	title := strconv.Itoa(status)
	if text := titles[status]; text != "" {
		title += " " + text
	}
	return Answer{
		Status: status,
		Reason: titles[status],
		Header: http.Header{"Server": serverValue, "Content-Type": htmlType},
		Body: []byte("<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
			"</h1></center>\r\n</body>\r\n</html>\r\n"),
	}
}

// Server is what answers of an Application Load Balancer name as their server.
const Server = "awselb/2.0"

var (
	serverValue = []string{Server}
	htmlType    = []string{"text/html"}
)

// titles are those of nginx, whose pages these look like: seen for 301, 400 and
// 502, unconfirmed for the rest. The status line has the same.
var titles = map[int]string{
	301: "Moved Permanently",
	302: "Found",
	400: "Bad Request",
	405: "Not Allowed",
	408: "Request Time-out",
	413: "Request Entity Too Large",
	414: "Request-URI Too Large",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Temporarily Unavailable",
	504: "Gateway Time-out",
	505: "HTTP Version Not Supported",
}

// classicReasons are a Classic Load Balancer's: 503 as pasted in
// intercom/intercom-php#94, 504 in mitchellkrogza/nginx-ultimate-bad-bot-blocker#268,
// the rest as the guide's headings have them.
var classicReasons = map[int]string{
	400: "BAD_REQUEST",
	405: "METHOD_NOT_ALLOWED",
	408: "REQUEST_TIMEOUT",
	500: "INTERNAL_SERVER_ERROR",
	502: "BAD_GATEWAY",
	503: "Service Unavailable: Back-end server is at capacity",
	504: "GATEWAY_TIMEOUT",
}

// Redirect returns the answer of a redirect, whose location is a URL already.
func Redirect(status int, location string) Answer {
	a := page(status)
	a.Header["Location"] = []string{location}
	return a
}

// Fixed returns a fixed response. A content type that is not given is text/plain,
// and all have their charset behind them (both unconfirmed).
func Fixed(status int, contentType, body string) Answer {
	if contentType == "" {
		contentType = "text/plain"
	}
	return Answer{
		Status: status,
		Header: http.Header{"Server": serverValue, "Content-Type": {contentType + "; charset=utf-8"}},
		Body:   []byte(body),
	}
}

// Fits tells whether a request can be sent to a target group of that version; if
// not, the answer is ProtocolMismatch (guide, "Troubleshoot": HTTP 464). The
// protocol is as in "HTTP/1.1", "HTTP/2.0". A request is gRPC by its content type.
func Fits(version elb.Version, proto, method, contentType string) bool {
	http2 := strings.HasPrefix(proto, "HTTP/2")
	switch version {
	case elb.HTTP2:
		return http2
	case elb.GRPC:
		return http2 && method == http.MethodPost
	default:
		return !http2 || !IsGRPC(contentType)
	}
}

// IsGRPC tells a request of gRPC by its content type: application/grpc, also with
// a + or a ; behind it (the gRPC protocol over HTTP/2).
func IsGRPC(contentType string) bool {
	rest, found := strings.CutPrefix(contentType, "application/grpc")
	return found && (rest == "" || rest[0] == '+' || rest[0] == ';')
}
