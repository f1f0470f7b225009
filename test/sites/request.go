package sites

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// request is a health request, written by hand: the corpus is proved without
// the code that it is to prove.
type request struct {
	address, source       string
	method, path, version string
	host                  string
	noHost                bool
	fields                [][2]string
	prefix                string // before everything else on the connection
	tls                   *tls.Config
	timeout               time.Duration
	body                  []byte // instead of the whole request
	behind                string // address of the program behind the site's proxy
}

// health is the request of an Application Load Balancer to a site.
func health(s Site, timeout time.Duration) *request {
	if timeout == 0 {
		timeout = Patience
	}
	r := &request{
		address: s.Address, source: Prober,
		method: "GET", path: s.Path, version: "HTTP/1.1", host: s.Address,
		fields:  [][2]string{{"User-Agent", "ELB-HealthChecker/2.0"}, {"Connection", "close"}},
		timeout: timeout,
		behind:  s.behind,
	}
	if s.Scheme == "https" {
		overTLS("")(r)
	}
	return r
}

// A change makes an experiment of the request.
type change func(*request)

func host(h string) change   { return func(r *request) { r.host = h } }
func noHost(r *request)      { r.noHost, r.version = true, "HTTP/1.0" }
func noPort(r *request)      { r.host, _, _ = net.SplitHostPort(r.host) }
func path(p string) change   { return func(r *request) { r.path = p } }
func method(m string) change { return func(r *request) { r.method = m } }
func from(ip string) change  { return func(r *request) { r.source = ip } }
func port(number string) change {
	return func(r *request) { r.address = net.JoinHostPort(Private, number) }
}

func within(d time.Duration) change {
	return func(r *request) { r.timeout = d }
}

// hop asks the program behind the proxy.
func hop(r *request) { r.address, r.source = r.behind, "" }

// on connects to the same port of another IP, and leaves Host as it is.
func on(ip string) change {
	return func(r *request) { r.address, r.source = net.JoinHostPort(ip, portOf(r.address)), "" }
}

func field(name, value string) change {
	return func(r *request) {
		for i := range r.fields {
			if strings.EqualFold(r.fields[i][0], name) {
				r.fields[i][1] = value
				return
			}
		}
		r.fields = append(r.fields, [2]string{name, value})
	}
}

func forwardedHTTPS(r *request) { field("X-Forwarded-Proto", "https")(r) }
func browser(r *request) {
	field("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")(r)
}
func plain(r *request)     { r.tls = nil }
func proxyLine(r *request) { r.prefix = "PROXY TCP4 127.0.0.6 127.0.0.5 40000 80\r\n" }

// overTLS asks over TLS, with a server name if there is one.
func overTLS(name string) change {
	return func(r *request) { r.tls = &tls.Config{ServerName: name, InsecureSkipVerify: true} }
}

// bytes returns what goes over the wire.
func (r *request) bytes() []byte {
	if r.body != nil {
		return r.body
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", r.method, r.path, r.version)
	if !r.noHost {
		fmt.Fprintf(&b, "Host: %s\r\n", r.host)
	}
	for _, f := range r.fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// answer is what came back.
type answer struct {
	outcome  string // one of those below, or "answered"
	err      error
	received []byte
	response *http.Response // the head
	body     string
	total    time.Duration
}

// Outcomes of a request that got no answer.
const (
	refused      = "refused"
	unreachable  = "unreachable"
	noConnection = "no connection in time"
	tlsFailed    = "TLS failed"
	tlsSilent    = "no TLS in time"
	noTLS        = "no TLS" // only wanted: either of these two, of a server that waits for the end of a line, which a ClientHello has by chance
	closed       = "closed without a byte"
	silent       = "not a byte in time"
	notHTTP      = "not HTTP"
	bodyCut      = "closed within the body"
	bodySilent   = "no end of the body in time"
	answered     = "answered"
)

// send sends the request once, on a connection of its own.
func (r *request) send() (a answer) {
	start := time.Now()
	defer func() { a.total = time.Since(start) }()
	deadline := start.Add(r.timeout)
	dialer := net.Dialer{Deadline: deadline}
	if r.source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(r.source)}
	}
	conn, err := dialer.Dial("tcp", r.address)
	if err != nil {
		return answer{outcome: dialOutcome(err), err: err}
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return answer{outcome: closed, err: err}
	}
	if _, err := io.WriteString(conn, r.prefix); err != nil {
		return answer{outcome: closed, err: err}
	}
	if r.tls != nil {
		c := tls.Client(conn, r.tls)
		if err := c.Handshake(); err != nil {
			return answer{outcome: late(err, tlsSilent, tlsFailed), err: err}
		}
		conn = c
	}
	// A server that closes at once may do so before the request is written.
	_, writeErr := conn.Write(r.bytes())
	var received bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &received))
	_, err = in.Peek(1)
	a.received = received.Bytes()
	if err != nil {
		a.outcome, a.err = late(err, silent, closed), errors.Join(err, writeErr)
		if alert := new(tls.AlertError); errors.As(err, alert) || strings.Contains(err.Error(), "remote error: tls") {
			a.outcome = tlsFailed // what a TLS 1.3 server says after the handshake
		}
		return a
	}
	response, err := http.ReadResponse(in, &http.Request{Method: r.method})
	if err != nil {
		a.received = received.Bytes()
		a.outcome, a.err = late(err, silent, notHTTP), err
		return a
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	a.response, a.received, a.body, a.outcome = response, received.Bytes(), string(body), answered
	if err != nil {
		a.outcome, a.err = late(err, bodySilent, bodyCut), err
	}
	return a
}

func dialOutcome(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, os.ErrDeadlineExceeded):
		return noConnection
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return unreachable
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return noConnection
	}
	return err.Error()
}

// late returns timedOut for a deadline that passed, else otherwise.
func late(err error, timedOut, otherwise string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return timedOut
	}
	return otherwise
}

func (a answer) String() string {
	if a.response == nil {
		return fmt.Sprintf("%s after %v: %v, received %.80q", a.outcome, a.total.Round(time.Millisecond), a.err, a.received)
	}
	s := fmt.Sprintf("%s, %s", a.outcome, a.response.Status)
	if to := a.response.Header.Get("Location"); to != "" {
		s += " to " + to
	}
	if by := a.response.Header.Get("Server"); by != "" {
		s += " by " + by
	}
	return s + fmt.Sprintf(" after %v, %d bytes: %.200q", a.total.Round(time.Millisecond), len(a.body), a.body)
}

// want is what an answer must be like. What is zero does not matter.
type want struct {
	outcome  string // "": answered
	status   int
	location string // that Location contains
	body     string // that the body contains, or the bytes that are not HTTP, or the error
	header   string // "Name: value", of which the field's value contains value
}

func status(code int) want                     { return want{status: code} }
func says(code int, body string) want          { return want{status: code, body: body} }
func redirects(code int, location string) want { return want{status: code, location: location} }
func fails(outcome string) want                { return want{outcome: outcome} }
func failsSaying(outcome, text string) want    { return want{outcome: outcome, body: text} }

// late tells whether it is the end of the time that is wanted.
func (w want) late() bool {
	switch w.outcome {
	case noConnection, tlsSilent, noTLS, silent, bodySilent:
		return true
	default:
		return false
	}
}

// of returns what is wrong with the answer, "" if nothing is.
func (w want) of(a answer) string {
	if w.outcome == "" {
		w.outcome = answered
	}
	if w.outcome == noTLS && (a.outcome == tlsSilent || a.outcome == tlsFailed) {
		return ""
	}
	if a.outcome != w.outcome {
		return "want " + w.outcome
	}
	text := a.body
	if a.response == nil {
		text = fmt.Sprintf("%s %v", a.received, a.err)
	}
	if !strings.Contains(text, w.body) {
		return fmt.Sprintf("want %q in it", w.body)
	}
	if a.response == nil {
		return ""
	}
	if w.status != 0 && a.response.StatusCode != w.status {
		return fmt.Sprintf("want status %d", w.status)
	}
	if !strings.Contains(a.response.Header.Get("Location"), w.location) {
		return fmt.Sprintf("want %q in Location", w.location)
	}
	if name, value, ok := strings.Cut(w.header, ": "); ok && !strings.Contains(a.response.Header.Get(name), value) {
		return fmt.Sprintf("want %q", w.header)
	}
	return ""
}

// step is one experiment on a site: the health request with some changes, and
// what comes back. A step with a function instead does what no request can.
type step struct {
	with []change
	want want
	do   func(t *testing.T, s Site)
}

// proof is the experiments that show that a case has its fault, and that what
// its failure mode documents turns the answer. They run in their order.
type proof []step

// asked is a step: the health request with changes gets an answer.
func asked(w want, with ...change) step { return step{with: with, want: w} }

// does is a step that a function takes.
func does(f func(t *testing.T, s Site)) step { return step{do: f} }

func (p proof) hold(t *testing.T, c Case, s Site) (wrong []string) {
	t.Helper()
	for i, step := range p {
		if step.do != nil {
			step.do(t, s)
			continue
		}
		r := health(s, c.Timeout)
		if !step.want.late() {
			r.timeout = time.Minute // a busy machine may take its time
		}
		for _, change := range step.with {
			change(r)
		}
		a := r.send()
		if not := step.want.of(a); not != "" {
			wrong = append(wrong, fmt.Sprintf("step %d: %s, got %v\nsent to %s from %s: %q", i+1, not, a, r.address, r.source, r.bytes()))
		}
	}
	return wrong
}
