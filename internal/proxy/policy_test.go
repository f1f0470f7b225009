package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hale/internal/proxy"
	"hale/internal/proxy/guard"
	"hale/internal/upstream"
)

// wording is a policy with pages of its own.
type wording struct {
	*policy
	last atomic.Value // of what Page was told
}

func (w *wording) Page(h *proxy.Head, a *proxy.Action, status int, err error) proxy.Page {
	w.last.Store(fmt.Sprintf("%s %s %d %v", h.Method, a.Kind, status, err))
	if status == 431 {
		status = 400
	}
	return proxy.Page{
		Status: status,
		Header: http.Header{"Server": {"awselb/2.0"}, "Content-Type": {"text/html"}},
		Body:   []byte(fmt.Sprintf("<html>%d</html>", status)),
	}
}

// Each of the engine's own answers is the policy's to word.
func TestPages(t *testing.T) {
	closes := rawApp(t, func(_ int, _ net.Conn, br *bufio.Reader) { readHead(br) })
	nonsense := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "nonsense\r\n\r\n")
	})
	slow := rawApp(t, func(_ int, _ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	ask := "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		name, request string
		upstream      upstream.Upstream
		status        int
		kind          error
		told          string
	}{
		{"malformed", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", closes, 400, proxy.ErrBadRequest, " refused 400 read the request: bad request: refused with 400: more than one Host field"},
		{"long target", "GET /" + strings.Repeat("a", 5000) + " HTTP/1.1\r\nHost: a\r\n\r\n", closes, 414, proxy.ErrHeadTooLarge, " refused 414 "},
		{"large field", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 5000) + "\r\n\r\n", closes, 400, proxy.ErrHeadTooLarge, " refused 431 "},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", closes, 405, nil, "TRACE answer 405 <nil>"},
		{"large body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n", closes, 413, proxy.ErrBodyTooLarge, "POST forward 413 "},
		{"nobody listens", ask, refusing(t), 502, proxy.ErrConnect, "GET forward 502 connect "},
		{"closed", ask, closes, 502, proxy.ErrNoAnswer, "GET forward 502 read the answer's header "},
		{"nonsense", ask, nonsense, 502, proxy.ErrBadAnswer, "GET forward 502 read the answer's header "},
		{"late", ask, slow, 504, proxy.ErrTimeout, "GET forward 504 read the answer's header "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &wording{policy: forwardTo(tt.upstream)}
			settings := proxy.Settings{TargetSize: 4000, FieldSize: 4000, BodySize: 10000}
			if tt.status == 504 {
				settings.ResponseTimeout = 50 * time.Millisecond
			}
			s := serve(t, p, settings)
			got := s.say(t, tt.request)
			body := fmt.Sprintf("<html>%d</html>", tt.status)
			for _, want := range []string{fmt.Sprintf("HTTP/1.1 %d ", tt.status), "\r\nServer: awselb/2.0\r\n", "\r\nContent-Type: text/html\r\n", "\r\n\r\n" + body} {
				if !strings.Contains(got, want) {
					t.Errorf("answer lacks %q:\n%s", want, got)
				}
			}
			if told := p.last.Load().(string); !strings.HasPrefix(told, tt.told) {
				t.Errorf("the policy was told %q", told)
			}
			o := p.outcome(t, 0)
			if o.Status != tt.status || o.BytesOut != int64(len(body)) || !errors.Is(o.Err, tt.kind) {
				t.Errorf("outcome %+v", o)
			}
			var refusal *guard.Refusal
			if refused := p.actions[0].Kind == proxy.Refused; refused != errors.As(o.Err, &refusal) {
				t.Errorf("refused %v, and yet error %v", refused, o.Err)
			}
		})
	}
}

// refusing is an upstream where nobody listens.
func refusing(t testing.TB) upstream.Upstream {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return upstream.MustParse("http://" + l.Addr().String())
}

// A policy may have a request tried at another upstream.
func TestAnotherUpstream(t *testing.T) {
	good := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s with %d bytes", r.Method, r.URL, len(body))
	})
	closes := rawApp(t, func(_ int, _ net.Conn, br *bufio.Reader) { readHead(br) })
	half := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
	})
	slow := rawApp(t, func(_ int, _ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	nobody := refusing(t)
	get := "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	post := func(size int, framing string) string {
		return "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + framing + "\r\n\r\n" + strings.Repeat("x", size)
	}
	chunks := post(0, "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n"
	large := 100 << 10
	for _, tt := range []struct {
		name, request string
		first         upstream.Upstream
		sent          bool   // something of the first try
		want          string // "" is that there can be no other try
	}{
		{"GET, nobody listens", get, nobody, false, "GET /a with 0 bytes"},
		{"GET, closed", get, closes, true, "GET /a with 0 bytes"},
		{"GET, late", get, slow, true, "GET /a with 0 bytes"},
		{"GET, half an answer", get, half, true, ""},
		{"POST, nobody listens", post(5, "Content-Length: 5"), nobody, false, "POST /a with 5 bytes"},
		{"POST, closed", post(64<<10, "Content-Length: 65536"), closes, true, "POST /a with 65536 bytes"},
		{"large POST, nobody listens", post(large, fmt.Sprint("Content-Length: ", large)), nobody, false, "POST /a with 102400 bytes"},
		{"large POST, closed", post(large, fmt.Sprint("Content-Length: ", large)), closes, true, ""},
		{"chunks, nobody listens", chunks, nobody, false, "POST /a with 3 bytes"},
		{"chunks, closed", chunks, closes, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(tt.first)
			p.again = func(_ *proxy.Head, a *proxy.Action, o *proxy.Outcome) bool {
				a.Upstream = good
				return o.Err != nil
			}
			settings := proxy.Settings{RepeatBody: 64 << 10}
			if tt.first == slow {
				settings.ResponseTimeout = time.Second // for the good one, too
			}
			s := serve(t, p, settings)
			got := s.say(t, tt.request)
			o := p.outcome(t, 0)
			if o.CanRetry != (tt.want != "") || o.Sent != tt.sent || o.Upstream != tt.first || o.Try != 1 {
				t.Errorf("first outcome %+v", o)
			}
			if o.Sent != (o.RequestTime > 0) || o.RequestTime > o.Total {
				t.Errorf("times %v of %v", o.RequestTime, o.Total)
			}
			if tt.want == "" {
				if strings.Contains(got, "with") {
					t.Errorf("answer %s", got)
				}
				return
			}
			if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, tt.want) {
				t.Errorf("answer %s", got)
			}
			o = p.outcome(t, 1)
			if o.Err != nil || o.Upstream != good || o.Try != 2 || o.TargetTime <= 0 || o.ResponseTime <= 0 ||
				o.RequestTime+o.TargetTime+o.ResponseTime > o.Total {
				t.Errorf("second outcome %+v", o)
			}
		})
	}
}

// tellAnswer is a policy that looks at answers.
type tellAnswer struct{ *policy }

func (tellAnswer) Answered(_ *proxy.Head, a *proxy.Action, status int, header proxy.Header) {
	var names int
	header.Each(func(string, []string) { names++ })
	a.Append = append(a.Append, proxy.Field{Name: "X-Seen", Value: fmt.Sprintf("%d %s %s %v", status, header.Get("content-type"), header.Values("set-cookie"), names > 2)})
}

// An upstream's answer can be adapted before the client sees it.
func TestAnsweredAdapted(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "secret/1.0")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Add("Set-Cookie", "app=1")
		w.WriteHeader(201)
	})
	p := tellAnswer{&policy{action: func(*proxy.Head) proxy.Action {
		return proxy.Action{
			Kind: proxy.Forward, Upstream: u, Close: true, Drop: []string{"server"},
			Append:   []proxy.Field{{Name: "set-cookie", Value: "AWSALB=2"}},
			Response: []proxy.Field{{Name: "Server", Value: "public"}},
		}
	}}}
	s := serve(t, p, proxy.Settings{})
	got := s.say(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") // returns, so the connection is closed
	for _, want := range []string{
		"Set-Cookie: app=1\r\n", "set-cookie: AWSALB=2\r\n", "Server: public\r\n", "X-Seen: 201 text/plain [app=1] true\r\n", "Connection: close\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("answer lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "secret") {
		t.Errorf("answer: %s", got)
	}
}

// A connection that has grown old ends with its next answer.
func TestConnAge(t *testing.T) {
	u := appServer(t, func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{{time.Nanosecond, true}, {time.Hour, false}} {
		s := serve(t, forwardTo(u), proxy.Settings{ConnAge: tt.age})
		c := s.dial(t)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Close != tt.want {
			t.Errorf("after %v: closes %v", tt.age, resp.Close)
		}
	}
}

// An upgraded connection may have a time-out.
func TestTunnelTimeout(t *testing.T) {
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		_, _ = io.Copy(io.Discard, br)
	})
	p := forwardTo(u)
	forward := p.action
	p.action = func(h *proxy.Head) proxy.Action {
		a := forward(h)
		a.Upgrade = "websocket"
		return a
	}
	s := serve(t, p, proxy.Settings{TunnelTimeout: 200 * time.Millisecond})
	got := s.say(t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if !strings.HasSuffix(got, "\r\n\r\nhello") {
		t.Errorf("got %q", got)
	}
	if o := p.outcome(t, 0); o.Status != 101 || o.BytesOut != 5 {
		t.Errorf("outcome %+v", o)
	}
}

// An upgraded connection ends with the upstream that is given up, with and
// without a time-out of its own.
func TestCutTunnel(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Hour} {
		u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
			_, _ = io.Copy(io.Discard, br)
		})
		p := upgradeTo(u, "websocket")
		s := serve(t, p, proxy.Settings{TunnelTimeout: timeout})
		c := s.dial(t)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		br := bufio.NewReader(c)
		readHead(br)
		if _, err := io.ReadFull(br, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		s.engine.Cut(u)
		if _, err := br.ReadByte(); err == nil {
			t.Error("something came after the cut")
		}
		if o := p.outcome(t, 0); o.Status != 101 || !errors.Is(o.Err, proxy.ErrCut) {
			t.Errorf("outcome %+v", o)
		}
	}
}
