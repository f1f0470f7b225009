package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hale/internal/proxy"
)

// An answer of our own does not wait for a body that nobody needs.
func TestAnswerBeforeBody(t *testing.T) {
	p := &policy{action: func(*proxy.Head) proxy.Action { return proxy.Action{Kind: proxy.Answer, Body: []byte("no\n")} }}
	s := serve(t, p, proxy.Settings{})
	c := s.dial(t)
	br := bufio.NewReader(c)
	for range 20 { // the connection is kept
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
		if h := readHead(br); !strings.HasPrefix(h, "HTTP/1.1 200 OK\r\n") {
			t.Fatalf("got %q", h)
		}
		_, _ = br.Discard(3)
		_, _ = io.WriteString(c, "body")
	}
	for _, framing := range []string{"Content-Length: 300000", "Transfer-Encoding: chunked", "Expect: 100-continue\r\nContent-Length: 4"} {
		got := s.say(t, "POST / HTTP/1.1\r\nHost: a\r\n"+framing+"\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "Connection: close\r\n") || !strings.HasSuffix(got, "\r\n\r\nno\n") {
			t.Errorf("%s: got %q", framing, got)
		}
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

const period = 251

// periods are enough of them to be copied by the kilobyte.
var periods = func() (b [32 * period]byte) {
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
}()

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, periods[p.n%period:])
	p.n += n
	return n, nil
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

// A trailer is no way round the rules for the header.
func TestTrailersOfRequests(t *testing.T) {
	type fields = []proxy.Field
	owns := func(name string) bool { return name == "X-Forwarded-For" || name == "Forwarded" }
	for _, tt := range []struct {
		name      string
		action    proxy.Action
		announced string // by the client
		sent      string // by the client, after the last chunk
		announce  string // to the upstream, in any order
		got       string // by the upstream, likewise
	}{
		{"plain", proxy.Action{}, "X-Sum", "X-Sum: 7\r\n", "X-Sum", "X-Sum: 7\r\n"},
		{"unannounced", proxy.Action{}, "", "X-Sum: 7\r\nX-Sum: 8\r\n", "", "X-Sum: 7\r\nX-Sum: 8\r\n"},
		{"owned by the policy", proxy.Action{Owns: owns}, "x-forwarded-for, X-Sum", "x-forwarded-for: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Sum: 7\r\n", "X-Sum", "X-Sum: 7\r\n"},
		{"nothing else announced", proxy.Action{Owns: owns}, "X-Forwarded-For", "X-Forwarded-For: 127.0.0.1\r\n", "", ""},
		{"removed", proxy.Action{Remove: []string{"x-real-ip"}}, "X-Real-IP", "X-Real-IP: 127.0.0.1\r\n", "", ""},
		{"set", proxy.Action{Set: fields{{"x-real-ip", "192.0.2.1"}}}, "X-Real-IP", "X-Real-IP: 127.0.0.1\r\n", "", ""},
		{"underscore", proxy.Action{}, "X_Real_IP", "X_Real_IP: 127.0.0.1\r\n", "", ""},
		{"of one hop", proxy.Action{}, "X-Hop", "X-Hop: 1\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\nTE: trailers\r\nProxy-Authorization: x\r\nExpect: x\r\n", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head, trailer := make(chan string, 1), make(chan string, 1)
			u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
				head <- readHead(br)
				_, _ = br.Discard(len("4\r\nbody\r\n0\r\n"))
				trailer <- readHead(br)
				_, _ = io.WriteString(c, okAnswer)
			})
			a := tt.action
			a.Kind, a.Upstream = proxy.Forward, u
			s := serve(t, &policy{action: func(*proxy.Head) proxy.Action { return a }}, proxy.Settings{})
			announced := "Trailer: " + tt.announced + "\r\n"
			if tt.announced == "" {
				announced = ""
			}
			got := s.say(t, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\n"+announced+"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"+tt.sent+"\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
				t.Fatalf("got %s", got)
			}
			_, announce, _ := strings.Cut(<-head, "\r\nTrailer: ")
			if announce, _, _ = strings.Cut(announce, "\r\n"); announce != tt.announce {
				t.Errorf("announced %q, want %q", announce, tt.announce)
			}
			if g := <-trailer; g != tt.got+"\r\n" {
				t.Errorf("got %q, want %q", g, tt.got+"\r\n")
			}
		})
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
		// Nor is the connection held for a body that nobody wants.
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
	s := serve(t, p, proxy.Settings{BodyTimeout: time.Second})
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
		<-t.Context().Done()
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	c := s.dial(t)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", 100_000))
	got, err := io.ReadAll(c)
	if !strings.HasPrefix(string(got), "HTTP/1.1 403 Forbidden\r\n") || !strings.HasSuffix(string(got), "\r\n\r\nno") || !strings.Contains(string(got), "Connection: close\r\n") {
		t.Errorf("got %q, error %v", got, err)
	}
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

// A body that was sent whole costs neither side its connection, however soon
// the answer comes.
func TestUploadsKeepConnections(t *testing.T) {
	var conns atomic.Int32
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for strings.HasSuffix(readHead(br), "\r\n\r\n") {
			_, _ = br.Discard(20_000)
			_, _ = io.WriteString(c, okAnswer)
		}
	})
	s := serve(t, forwardTo(u), proxy.Settings{})
	c := s.dial(t)
	br := bufio.NewReader(c)
	for i := range 50 {
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("x", 20_000))
		if h := readHead(br); !strings.HasPrefix(h, "HTTP/1.1 200 OK\r\n") || strings.Contains(h, "Connection:") {
			t.Fatalf("request %d: got %q", i, h)
		}
		_, _ = br.Discard(2)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections to the upstream", n)
	}
}
