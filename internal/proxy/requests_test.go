package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hale/internal/proxy"
)

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// What a client sends, and what the upstream gets.
func TestRequests(t *testing.T) {
	type action = proxy.Action
	for _, tt := range []struct {
		name   string
		from   string // the client, ended by an empty line
		action action
		to     string // the upstream: the request line, and fields in any order
	}{
		{"plain", "GET /x?y HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n", action{}, "GET /x?y HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n"},
		{"target as it was", "GET //a/../%2e%2E/b?%zz&&= HTTP/1.1\r\nHost: a\r\n\r\n", action{}, "GET //a/../%2e%2E/b?%zz&&= HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"absolute target", "GET http://A:80?q HTTP/1.1\r\nHost: a:80\r\n\r\n", action{}, "GET /?q HTTP/1.1\r\nHost: A:80\r\n\r\n"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", action{}, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"several of one name", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"HTTP/1.0 kept alive", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{
			"hop by hop",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: gzip\r\n\r\n",
			action{},
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		},
		{"TE: trailers", "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers, deflate\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n"},
		{"underscore", "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"h2c in a list", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"upgrade without Connection", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"websocket", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"},
		{"empty body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", action{}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{
			"edited",
			"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: forged\r\nX-Forwarded-For: twice\r\nX-Real-IP: forged\r\nKeep: 1\r\n\r\n",
			action{
				Remove: []string{"x-real-ip"},
				Set:    []proxy.Field{{"x-forwarded-for", "192.0.2.1"}, {"X-Two", "1"}, {"X-Two", "2"}, {"host", "b"}},
			},
			"GET / HTTP/1.1\r\nHost: b\r\nKeep: 1\r\nX-Two: 1\r\nX-Two: 2\r\nx-forwarded-for: 192.0.2.1\r\n\r\n",
		},
		{
			"edits do not frame, nor break lines",
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			action{Set: []proxy.Field{{"Content-Length", "7"}, {"Transfer-Encoding", "chunked"}, {"Connection", "close"}, {"X", "a\r\nY: b"}, {"Z\r\n", "c"}}},
			"GET / HTTP/1.1\r\nHost: a\r\nX: a  Y: b\r\n\r\n",
		},
		{
			"set what Connection lists",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-Proto\r\nX-Forwarded-Proto: forged\r\n\r\n",
			action{Set: []proxy.Field{{"X-Forwarded-Proto", "http"}}},
			"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\n\r\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan string, 1)
			u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
				got <- readHead(br)
				_, _ = io.WriteString(c, okAnswer)
			})
			a := tt.action
			a.Kind, a.Upstream = proxy.Forward, u
			s := serve(t, &policy{action: func(*proxy.Head) proxy.Action { return a }}, proxy.Settings{})
			c := s.dial(t)
			_, _ = io.WriteString(c, tt.from)
			if g := <-got; sortHead(g) != sortHead(tt.to) {
				t.Errorf("got\n%s\nwant\n%s", g, tt.to)
			}
		})
	}
}

func TestHostlessRequest(t *testing.T) {
	got := make(chan string, 1)
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		got <- readHead(br)
		_, _ = io.WriteString(c, okAnswer)
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	s.say(t, "GET / HTTP/1.0\r\n\r\n")
	if want := "GET / HTTP/1.1\r\nHost: " + u.Host() + "\r\n\r\n"; <-got != want {
		t.Errorf("want %q", want)
	}
}

func TestHead(t *testing.T) {
	var heads []proxy.Head
	p := &policy{action: func(h *proxy.Head) proxy.Action {
		heads = append(heads, *h)
		return proxy.Action{Kind: proxy.Answer, Status: 302, Response: []proxy.Field{{"Location", "/x"}, {"Set-Cookie", "a"}, {"Set-Cookie", "b"}}, Body: "see /x\n"}
	}}
	s := serve(t, p, proxy.Settings{})
	got := s.say(t, "GET http://a.example:81/%41?b HTTP/1.1\r\nHost: a.example:81\r\nX-Y: z\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 302 Found\r\n", "Location: /x\r\n", "Set-Cookie: a\r\n", "Set-Cookie: b\r\n", "Content-Length: 7\r\n", "\r\n\r\nsee /x\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("answer lacks %q: %s", want, got)
		}
	}
	h := heads[0]
	if h.Method != "GET" || h.Host != "a.example:81" || h.Path != "/%41" || h.RawQuery != "b" || h.Proto != "HTTP/1.1" || h.TLS || h.Start.IsZero() ||
		h.Peer.Addr() != netip.MustParseAddr("127.0.0.1") || h.Peer.Port() == 0 || h.Local.String() != s.addr {
		t.Errorf("head %+v", h)
	}
	if o := p.outcome(t, 0); o.Status != 302 || o.BytesOut != 7 || o.Err != nil || o.Total == 0 {
		t.Errorf("outcome %+v", o)
	}
}

// An answer of our own does not wait for a body that nobody needs.
func TestAnswerBeforeBody(t *testing.T) {
	p := &policy{action: func(*proxy.Head) proxy.Action { return proxy.Action{Kind: proxy.Answer, Body: "no\n"} }}
	s := serve(t, p, proxy.Settings{})
	c := s.dial(t)
	br := bufio.NewReader(c)
	for range 2 { // the connection is kept
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
		if h := readHead(br); !strings.HasPrefix(h, "HTTP/1.1 200 OK\r\n") {
			t.Fatalf("got %q", h)
		}
		_, _ = br.Discard(3)
		_, _ = io.WriteString(c, "body")
	}
}

func TestServeLocally(t *testing.T) {
	p := &policy{action: func(*proxy.Head) proxy.Action {
		return proxy.Action{Kind: proxy.Serve, Response: []proxy.Field{{"X-Frame-Options", "DENY"}}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/panic" {
				panic("at the disco")
			}
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "fail\n")
		})}
	}}
	s := serve(t, p, proxy.Settings{})
	if got := s.say(t, closing); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.HasSuffix(got, "\r\n\r\nfail\n") || !strings.Contains(got, "X-Frame-Options: DENY\r\n") {
		t.Errorf("got %s", got)
	}
	if o := p.outcome(t, 0); o.Status != 503 || o.BytesOut != 5 || o.Err != nil {
		t.Errorf("outcome %+v", o)
	}
	if got := s.say(t, strings.Replace(closing, "/", "/panic", 1)); !strings.HasPrefix(got, "HTTP/1.1 500 ") || strings.Contains(got, "disco") || strings.Contains(got, ".go:") {
		t.Errorf("got %s", got)
	}
	if o := p.outcome(t, 1); o.Status != 500 || !errors.Is(o.Err, proxy.ErrHandler) {
		t.Errorf("outcome %+v", o)
	}
}

// Bodies of all kinds get through whole, both ways at once.
func TestBodies(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.ContentLength >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		}
		_, _ = io.Copy(w, r.Body)
	})
	p := forwardTo(u)
	s := serve(t, p, proxy.Settings{})
	for _, size := range []int{1, 100, 4 << 10, 8 << 10, 8<<10 + 1, 100_000, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, chunked %v", size, chunked), func(t *testing.T) {
				body := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
				var r io.Reader = bytes.NewReader(body)
				if chunked {
					r = struct{ io.Reader }{r}
				}
				resp, err := http.Post("http://"+s.addr+"/", "text/plain", r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("got %d bytes back, error %v", len(got), err)
				}
			})
		}
	}
}

// 64 MB in each direction pass through little memory.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 64 MB twice")
	}
	const size = 64 << 20
	sum := make(chan [32]byte, 1)
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		_, _ = io.Copy(h, r.Body)
		sum <- [32]byte(h.Sum(nil))
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.CopyN(w, &pattern{}, size)
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	h := sha256.New()
	_, _ = io.CopyN(h, &pattern{}, size)
	want := [32]byte(h.Sum(nil))

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := http.Post("http://"+s.addr+"/", "", io.LimitReader(&pattern{}, size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h = sha256.New()
	n, err := io.Copy(h, resp.Body)
	runtime.ReadMemStats(&after)
	if n != size || err != nil || [32]byte(h.Sum(nil)) != want || <-sum != want {
		t.Errorf("%d bytes came back, error %v", n, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MB were allocated on the way", grown>>20)
	}
}

// pattern is an endless stream of bytes with a period that is no power of two.
type pattern struct{ n int }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.n % 251)
		p.n++
	}
	return len(b), nil
}

// Each side hears the other at once, before its own part is over.
func TestBothWaysAtOnce(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		br := bufio.NewReader(r.Body)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "echo "+line)
			_ = rc.Flush()
		}
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	c := s.dial(t)
	br := bufio.NewReader(c)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i, word := range []string{"one\n", "two\n", "three\n"} {
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(word), word)
		if i == 0 {
			readHead(br)
		}
		_, _ = br.ReadString('\n') // the chunk's size
		if line, err := br.ReadString('\n'); line != "echo "+word {
			t.Fatalf("got %q, error %v", line, err)
		}
		_, _ = br.ReadString('\n')
	}
}

func TestTrailersOfRequests(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", b, r.Trailer)
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	got := s.say(t, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n")
	if !strings.HasSuffix(got, "body map[X-Sum:[7]]") {
		t.Errorf("got %s", got)
	}
}

func TestExpectContinue(t *testing.T) {
	const ask = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
	t.Run("wanted", func(t *testing.T) {
		asked := make(chan string, 1)
		u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
			asked <- readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			body := make([]byte, 4)
			_, _ = io.ReadFull(br, body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body)
		})
		s := serve(t, forwardTo(u), proxy.Settings{ContinueTimeout: time.Hour})
		c := s.dial(t)
		br := bufio.NewReader(c)
		_, _ = io.WriteString(c, ask)
		if h := <-asked; !strings.Contains(h, "Expect: 100-continue\r\n") {
			t.Errorf("upstream got %s", h)
		}
		if h := readHead(br); h != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Errorf("client got %q", h)
		}
		_, _ = io.WriteString(c, "body")
		if rest, _ := io.ReadAll(br); !strings.HasSuffix(string(rest), "\r\n\r\nbody") || strings.Contains(string(rest), " 100 ") {
			t.Errorf("client got %q", rest)
		}
	})
	t.Run("not wanted", func(t *testing.T) {
		p := forwardTo(answering(t, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"))
		s := serve(t, p, proxy.Settings{ContinueTimeout: time.Hour})
		if got := s.say(t, ask); !strings.HasPrefix(got, "HTTP/1.1 401 Unauthorized\r\n") || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("got %s", got)
		}
		if o := p.outcome(t, 0); o.BytesIn != 0 || o.Err != nil {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("ignored by the app", func(t *testing.T) {
		u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			body := make([]byte, 4)
			_, _ = io.ReadFull(br, body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body)
		})
		s := serve(t, forwardTo(u), proxy.Settings{ContinueTimeout: 20 * time.Millisecond})
		c := s.dial(t)
		br := bufio.NewReader(c)
		_, _ = io.WriteString(c, ask)
		if h := readHead(br); h != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Errorf("client got %q", h)
		}
		_, _ = io.WriteString(c, "body")
		if rest, _ := io.ReadAll(br); !strings.HasSuffix(string(rest), "\r\n\r\nbody") {
			t.Errorf("client got %q", rest)
		}
	})
}

func TestBodyTooLarge(t *testing.T) {
	u := appServer(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p := forwardTo(u)
	s := serve(t, p, proxy.Settings{BodySize: 10_000})
	for i, tt := range []struct {
		name, raw string
		bytesIn   bool
	}{
		{"announced", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10001\r\n\r\n", false},
		{"found out", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2711\r\n" + strings.Repeat("x", 0x2711) + "\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.say(t, tt.raw); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "Connection: close\r\n") {
				t.Errorf("got %s", got)
			}
			if o := p.outcome(t, i); o.Status != 413 || !errors.Is(o.Err, proxy.ErrBodyTooLarge) || o.CanRetry || (o.BytesIn > 0) != tt.bytesIn {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A body that breaks its framing is the client's fault, and never complete for
// the upstream.
func TestBadBody(t *testing.T) {
	complete := make(chan error, 1)
	u := appServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		complete <- err
	})
	p := forwardTo(u)
	s := serve(t, p, proxy.Settings{BodyTimeout: 300 * time.Millisecond})
	const start = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	for i, tt := range []struct{ name, rest, status string }{
		{"bad chunk", "x\r\n", "400 Bad Request"},
		{"chunk too long", "1\r\nxy\r\n", "400 Bad Request"},
		{"stops", "5\r\nhe", "408 Request Timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.say(t, start+tt.rest); !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("got %s", got)
			}
			if err := <-complete; err == nil {
				t.Error("the app took the body for complete")
			}
			if o := p.outcome(t, i); o.Err == nil || fmt.Sprint(o.Status) != tt.status[:3] {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// The app may answer before it has read the request, and refuse the rest.
func TestEarlyAnswer(t *testing.T) {
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		time.Sleep(50 * time.Millisecond)
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	c := s.dial(t)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", 100_000))
	got, err := io.ReadAll(c)
	if !strings.HasPrefix(string(got), "HTTP/1.1 403 Forbidden\r\n") || !strings.HasSuffix(string(got), "\r\n\r\nno") || !strings.Contains(string(got), "Connection: close\r\n") {
		t.Errorf("got %q, error %v", got, err)
	}
}

// A client that leaves takes its request along.
func TestClientGone(t *testing.T) {
	for _, tt := range []struct{ name, request string }{
		{"waiting", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"sending", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			arrived, gone := make(chan bool, 1), make(chan bool, 1)
			u := rawApp(t, func(_ int, _ net.Conn, br *bufio.Reader) {
				readHead(br)
				arrived <- true
				_, _ = io.Copy(io.Discard, br)
				gone <- true
			})
			p := forwardTo(u)
			s := serve(t, p, proxy.Settings{})
			c := s.dial(t)
			_, _ = io.WriteString(c, tt.request)
			<-arrived
			c.Close()
			<-gone
			if o := p.outcome(t, 0); o.Status != proxy.StatusClientGone || !errors.Is(o.Err, proxy.ErrClientGone) || o.CanRetry {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestEventStream(t *testing.T) {
	next := make(chan bool)
	u := appServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	// Longer silence than StreamTimeout is an event stream's right.
	s := serve(t, forwardTo(u), proxy.Settings{StreamTimeout: 50 * time.Millisecond})
	resp, err := http.Get("http://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	br := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := br.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); line != want {
			t.Fatalf("got %q, error %v, want %q", line, err, want)
		}
		_, _ = br.ReadString('\n')
		time.Sleep(100 * time.Millisecond)
		next <- true
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
}

// The beginning of a slow answer is not held back for its end.
func TestSlowAnswerIsShown(t *testing.T) {
	for _, head := range []string{"Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "\r\nhello"} {
		end := make(chan bool)
		u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head)
			<-end
		})
		s := serve(t, forwardTo(u), proxy.Settings{})
		c := s.dial(t)
		br := bufio.NewReader(c)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		readHead(br)
		buf := make([]byte, 100)
		n, _ := br.Read(buf)
		if !strings.Contains(string(buf[:n]), "hello") {
			t.Errorf("got %q", buf[:n])
		}
		close(end)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int32
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for {
			if h := readHead(br); !strings.HasSuffix(h, "\r\n\r\n") {
				return
			}
			_, _ = io.WriteString(c, okAnswer)
		}
	})
	p := forwardTo(u)
	s := serve(t, p, proxy.Settings{})
	for range 5 {
		s.say(t, closing)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for 5 requests", n)
	}
	if p.outcome(t, 0).Reused || !p.outcome(t, 4).Reused || p.outcome(t, 4).Connect != 0 {
		t.Error("outcomes do not tell which connections were reused")
	}
}

// A connection that the upstream closed while it was idle costs nobody an
// answer, save where sending twice could do harm.
func TestStaleConnections(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
	for _, tt := range []struct {
		name    string
		request string
		// after is what the upstream does on its first connection, which it then
		// closes, after its first answer; the second request waits for done.
		after  func(c net.Conn, br *bufio.Reader, done func())
		status string
		asked  int32 // requests that the upstream has read
	}{
		{"closed, GET", closing, func(net.Conn, *bufio.Reader, func()) {}, "200 OK", 2},
		{"closed, POST", post, func(net.Conn, *bufio.Reader, func()) {}, "200 OK", 2},
		{"unasked answer, POST", post, func(c net.Conn, br *bufio.Reader, done func()) {
			_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n")
			done()
			_, _ = io.Copy(io.Discard, br)
		}, "200 OK", 2},
		{"closed upon the request, GET", closing, func(_ net.Conn, br *bufio.Reader, done func()) { done(); readHead(br) }, "200 OK", 2},
		{"closed upon the request, POST", post, func(_ net.Conn, br *bufio.Reader, done func()) { done(); readHead(br) }, "502 Bad Gateway", 1},
		{"closed within the answer, GET", closing, func(c net.Conn, br *bufio.Reader, done func()) {
			done()
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 2")
		}, "502 Bad Gateway", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			ready := make(chan bool)
			u := rawApp(t, func(n int, c net.Conn, br *bufio.Reader) {
				readHead(br)
				asked.Add(1)
				_, _ = io.WriteString(c, okAnswer)
				if n == 0 {
					done := sync.OnceFunc(func() { close(ready) })
					tt.after(c, br, done)
					c.Close()
					done()
				}
			})
			p := forwardTo(u)
			s := serve(t, p, proxy.Settings{})
			s.say(t, closing)
			<-ready
			if got := s.say(t, tt.request); !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("got %s", got)
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("upstream was asked %d times, want %d", n, tt.asked)
			}
			if o := p.outcome(t, 1); o.Try != 1 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// The policy may ask for another try, at another upstream.
func TestAgain(t *testing.T) {
	bad := answering(t, "")
	good := answering(t, okAnswer)
	p := forwardTo(bad)
	p.again = func(_ *proxy.Head, a *proxy.Action, o *proxy.Outcome) bool {
		a.Upstream = good
		return o.Err != nil
	}
	s := serve(t, p, proxy.Settings{})
	for _, tt := range []struct{ name, request, status string }{
		{"no body", closing, "200 OK"},
		{"short body", "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody", "200 OK"},
		{"body that is gone", "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "502 Bad Gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.say(t, tt.request); !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("got %s", got)
			}
		})
	}
	first, second := p.outcome(t, 0), p.outcome(t, 1)
	if first.Try != 1 || first.Upstream != bad || !first.CanRetry || first.Err == nil || second.Try != 2 || second.Upstream != good || second.Err != nil {
		t.Errorf("outcomes %+v and %+v", first, second)
	}
}

func TestShutdown(t *testing.T) {
	release := make(chan bool)
	arrived := make(chan bool, 1)
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "OPTIONS" {
			return
		}
		arrived <- true
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	})
	t.Run("finishes what is in flight", func(t *testing.T) {
		s := serve(t, forwardTo(u), proxy.Settings{})
		idle := s.dial(t)
		_, _ = io.WriteString(idle, "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n")
		readHead(bufio.NewReaderSize(idle, 1))
		busy := s.dial(t)
		_, _ = io.WriteString(busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		down := make(chan error)
		go func() { down <- s.server.Shutdown(t.Context()) }()
		for {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				break // it accepts no more
			}
			c.Close()
			time.Sleep(time.Millisecond)
		}
		release <- true
		got, _ := io.ReadAll(busy)
		if !strings.HasSuffix(string(got), "\r\n\r\ndone") || !strings.Contains(string(got), "Connection: close\r\n") {
			t.Errorf("got %s", got)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
		if b, _ := io.ReadAll(idle); len(b) > 0 {
			t.Errorf("idle connection got %q", b)
		}
	})
	t.Run("cuts the rest at the deadline", func(t *testing.T) {
		s := serve(t, forwardTo(u), proxy.Settings{})
		busy := s.dial(t)
		_, _ = io.WriteString(busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections were cut") {
			t.Errorf("shutdown: %v", err)
		}
		if n := s.server.Conns(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

func TestCloseAfterAnswer(t *testing.T) {
	s := serve(t, forwardTo(answering(t, okAnswer)), proxy.Settings{})
	c := s.dial(t)
	br := bufio.NewReader(c)
	ask := func() string {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		h := readHead(br)
		_, _ = br.Discard(2)
		return h
	}
	if h := ask(); strings.Contains(h, "Connection:") {
		t.Errorf("got %s", h)
	}
	s.engine.CloseAfterAnswer(true)
	if h := ask(); !strings.Contains(h, "Connection: close\r\n") {
		t.Errorf("got %s", h)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("connection is still open: %v", err)
	}
}

// Nothing is left of a server that was shut down, whatever it went through.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := goroutines()
	t.Run("traffic", func(t *testing.T) {
		u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
			if r.URL.Path == "/die" {
				panic(http.ErrAbortHandler)
			}
		})
		s := serve(t, forwardTo(u), proxy.Settings{})
		for range 20 {
			s.say(t, closing)
			s.say(t, strings.Replace(closing, "/", "/die", 1))
			s.say(t, "nonsense\r\n\r\n")
			s.say(t, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
			c := s.dial(t)
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf")
			c.Close()
		}
	})
	http.DefaultClient.CloseIdleConnections()
	for range 100 {
		if left := leftover(before, goroutines()); left == "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("left over:\n%s", leftover(before, goroutines()))
}

// goroutines returns the stacks of all goroutines, each without its number.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for i, s := range stacks {
		_, stacks[i], _ = strings.Cut(s, "\n")
	}
	sort.Strings(stacks)
	return stacks
}

func leftover(before, after []string) string {
	var left []string
	for _, s := range after {
		if strings.Contains(s, "hale/internal/proxy.") || strings.Contains(s, "net/http.(*conn).serve") {
			left = append(left, s)
		}
	}
	if len(after) <= len(before) {
		return ""
	}
	return strings.Join(left, "\n\n")
}

// BenchmarkUpload is a body of 64 KB to an app that takes it.
func BenchmarkUpload(b *testing.B) {
	u := appServer(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	addr := serve(b, forwarder{u}, proxy.Settings{}).addr
	body := strings.Repeat("x", 64<<10)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	br := bufio.NewReader(c)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n"+body)
		if err := skipAnswer(br); err != nil {
			b.Fatal(err)
		}
	}
}
