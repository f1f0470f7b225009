package proxy_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hale/internal/proxy"
	"hale/internal/upstream"
	"hale/test/servers"
)

// rawApp is an app that handles each connection, numbered from 0, as it likes.
func rawApp(t testing.TB, handle func(n int, c net.Conn, br *bufio.Reader)) upstream.Upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				handle(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return upstream.MustParse("http://" + l.Addr().String())
}

// readHead reads up to the empty line.
func readHead(br *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// answering is an app that answers any request with these bytes and closes.
func answering(t testing.TB, answer string) upstream.Upstream {
	return rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, answer)
	})
}

const (
	closing = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	date    = "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n"
)

// What an upstream sends, and what the client gets.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		from         string // the upstream, after "HTTP/1.1 "
		to           string // the client, likewise; head lines in any order
	}{
		{"length", "GET", "200 OK\r\n" + date + "Content-Length: 5\r\n\r\nhello", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 5\r\n\r\nhello"},
		{"names in small letters", "GET", "200 OK\r\n" + date + "content-length: 2\r\nx-a: b\r\n\r\nok", "200 OK\r\n" + date + "Connection: close\r\ncontent-length: 2\r\nx-a: b\r\n\r\nok"},
		{"no reason", "GET", "200\r\n" + date + "Content-Length: 0\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 0\r\n\r\n"},
		{"another reason", "GET", "404 Nope\r\n" + date + "Content-Length: 0\r\n\r\n", "404 Nope\r\n" + date + "Connection: close\r\nContent-Length: 0\r\n\r\n"},
		{"several of one name", "GET", "200 OK\r\n" + date + "Set-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 0\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n"},
		{"LF only", "GET", "200 OK\nDate: Mon, 02 Jan 2006 15:04:05 GMT\nContent-Length: 2\n\nok", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 2\r\n\r\nok"},
		{"folded", "GET", "200 OK\r\n" + date + "X: a\r\n  b\r\nContent-Length: 0\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 0\r\nX: a b\r\n\r\n"},
		{"chunks", "GET", "200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"},
		{"until close", "GET", "200 OK\r\n" + date + "\r\nhello", "200 OK\r\n" + date + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"hop by hop", "GET", "200 OK\r\n" + date + "Connection: X-Hop, close\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nContent-Length: 0\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 0\r\n\r\n"},
		{"no content", "GET", "204 No Content\r\n" + date + "\r\n", "204 No Content\r\n" + date + "Connection: close\r\n\r\n"},
		{"not modified", "GET", "304 Not Modified\r\n" + date + "ETag: \"x\"\r\n\r\n", "304 Not Modified\r\n" + date + "Connection: close\r\nETag: \"x\"\r\n\r\n"},
		{"HEAD with a length", "HEAD", "200 OK\r\n" + date + "Content-Length: 5\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 5\r\n\r\n"},
		{"HEAD without a length", "HEAD", "200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\n\r\n"},
		{"early hints", "GET", "103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n", "103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Connection: close\r\nContent-Length: 0\r\n\r\n"},
		{"100 nobody waits for", "GET", "100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nContent-Length: 0\r\n\r\n"},
		{"trailer", "GET", "200 OK\r\n" + date + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"trailer unannounced", "GET", "200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", "200 OK\r\n" + date + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(answering(t, "HTTP/1.1 "+tt.from))
			s := serve(t, p, proxy.Settings{})
			got := s.say(t, strings.Replace(closing, "GET", tt.method, 1))
			if sortHead(got) != sortHead("HTTP/1.1 "+tt.to) {
				t.Errorf("got\n%s\nwant\n%s", got, "HTTP/1.1 "+tt.to)
			}
			if o := p.outcome(t, 0); o.Err != nil || !o.Answered {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A client that speaks HTTP/1.0 gets neither interim answers nor chunks.
func TestOldClient(t *testing.T) {
	for _, from := range []string{"103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"} {
		s := serve(t, forwardTo(answering(t, "HTTP/1.1 "+from)), proxy.Settings{})
		got := s.say(t, "GET / HTTP/1.0\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nok") {
			t.Errorf("got %q", got)
		}
	}
}

// sortHead makes heads comparable: the order of fields is not kept.
func sortHead(answer string) string {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	for i := 1; i < len(lines); i++ {
		for j := i; j > 1 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	if strings.HasPrefix(body, "HTTP/1.1 ") {
		body = sortHead(body)
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// What is no valid answer becomes a 502, and never reaches the client.
func TestBadAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, from string
		kind       error
		message    string
	}{
		{"nothing", "", proxy.ErrNoAnswer, "no answer: the connection was closed"},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", proxy.ErrNoAnswer, "no answer: the connection was closed"},
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", proxy.ErrBadAnswer, "it is not HTTP/1.1"},
		{"HTTP/2", "HTTP/2 200\r\n\r\n", proxy.ErrBadAnswer, "it is not HTTP/1.1"},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", proxy.ErrBadAnswer, "status"},
		{"status of letters", "HTTP/1.1 2x0 OK\r\n\r\n", proxy.ErrBadAnswer, "its status is not a number"},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", proxy.ErrBadAnswer, "its status line is not valid"},
		{"status 999", "HTTP/1.1 999 OK\r\n\r\n", proxy.ErrBadAnswer, "its status 999 is not between 100 and 599"},
		{"no field", "HTTP/1.1 200 OK\r\nfoo\r\n\r\n", proxy.ErrBadAnswer, "a line of its header is not a field"},
		{"space before the colon", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", proxy.ErrBadAnswer, "a line of its header is not a field"},
		{"NUL", "HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n", proxy.ErrBadAnswer, "a field of its header has a control character"},
		{"bare CR", "HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n", proxy.ErrBadAnswer, "a field of its header has a control character"},
		{"both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", proxy.ErrBadAnswer, "both Content-Length and Transfer-Encoding"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", proxy.ErrBadAnswer, "more than one Content-Length"},
		{"odd length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", proxy.ErrBadAnswer, "its Content-Length is not a number of bytes"},
		{"another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", proxy.ErrBadAnswer, "its Transfer-Encoding is not exactly chunked"},
		{"chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", proxy.ErrBadAnswer, "Transfer-Encoding in HTTP/1.0"},
		{"101 unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", proxy.ErrBadAnswer, "101 without being asked"},
		{"large head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n", proxy.ErrBadAnswer, "its header is larger than the limit"},
		{"endless interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20), proxy.ErrBadAnswer, "too many interim answers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(answering(t, tt.from))
			p.action = withRequestID(p.action)
			s := serve(t, p, proxy.Settings{})
			got := s.say(t, closing)
			if i := strings.LastIndex(got, "HTTP/1.1 "); i < 0 || !strings.HasPrefix(got[i:], "HTTP/1.1 502 Bad Gateway\r\n") {
				t.Errorf("got %s", got)
			}
			if !strings.Contains(got, "Request id: id-7") || !strings.Contains(got, "text/plain") {
				t.Errorf("page lacks the request id: %s", got)
			}
			o := p.outcome(t, 0)
			if !errors.Is(o.Err, tt.kind) || !strings.Contains(o.Err.Error(), tt.message) || o.Status != 502 || !o.Sent {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func withRequestID(decide func(*proxy.Head) proxy.Action) func(*proxy.Head) proxy.Action {
	return func(h *proxy.Head) proxy.Action {
		a := decide(h)
		a.RequestID = "id-7"
		return a
	}
}

// An answer that ends early must not look complete to the client.
func TestAnswerCutOff(t *testing.T) {
	for _, tt := range []struct{ name, from string }{
		{"short of its length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"},
		{"within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhello"},
		{"between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"before the trailer's end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"},
		{"bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n"},
		{"chunk longer than its size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n"},
		{"large and short of its length", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(answering(t, tt.from))
			s := serve(t, p, proxy.Settings{})
			resp, err := http.Get("http://" + s.addr)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Error("the client took the answer for complete")
			}
			if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrCutOff) || o.Status != 200 || o.CanRetry {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// What has come of an answer that ends early reaches the client, by way of
// which it sees that the rest is missing.
func TestAnswerCutOffIsShown(t *testing.T) {
	for _, tt := range []struct{ name, proto, from, to string }{
		{"short of its length", "1.1", "Content-Length: 100\r\n\r\nabc", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nabc"},
		{"nothing of its length", "1.1", "Content-Length: 100\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"},
		{"within a chunk", "1.1", "Transfer-Encoding: chunked\r\n\r\n64\r\nhello", "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"after a chunk", "1.1", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		{"HTTP/1.0, short of its length", "1.0", "Content-Length: 100\r\n\r\nabc", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nabc"},
		{"HTTP/1.0 would take chunks for complete", "1.0", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(answering(t, "HTTP/1.1 200 OK\r\n"+date+tt.from))
			s := serve(t, p, proxy.Settings{})
			got := s.say(t, strings.Replace(closing, "HTTP/1.1", "HTTP/"+tt.proto, 1))
			if got = strings.Replace(got, date, "", 1); got != "" {
				got = sortHead(got)
			}
			if got != tt.to {
				t.Errorf("got %q, want %q", got, tt.to)
			}
			if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrCutOff) || o.Status != 200 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	stuck := func(say string) upstream.Upstream {
		return rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
			readHead(br)
			_, _ = io.WriteString(c, say)
			_, _ = io.Copy(io.Discard, br)
		})
	}
	for _, tt := range []struct {
		name, say string
		settings  proxy.Settings
		status    string
		kind      error
	}{
		{"no answer", "", proxy.Settings{ResponseTimeout: 300 * time.Millisecond}, "504 Gateway Timeout", proxy.ErrTimeout},
		{"half a head", "HTTP/1.1 200 OK\r\n", proxy.Settings{ResponseTimeout: 300 * time.Millisecond}, "504 Gateway Timeout", proxy.ErrTimeout},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", proxy.Settings{StreamTimeout: 300 * time.Millisecond}, "200 OK", proxy.ErrCutOff},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(stuck(tt.say))
			s := serve(t, p, tt.settings)
			got := s.say(t, closing)
			if !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("got %s", got)
			}
			if o := p.outcome(t, 0); !errors.Is(o.Err, tt.kind) {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	address := servers.FreeAddress(t)
	for _, tt := range []struct{ name, url, message string }{
		{"tcp", "http://" + address, "connection refused: is the app running, and listening there?"},
		{"unix", "unix://" + t.TempDir() + "/app.sock", "no such file or directory: the app has not made its socket"},
		{"uwsgi", "uwsgi://" + address, "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(upstream.MustParse(tt.url))
			s := serve(t, p, proxy.Settings{})
			got := s.say(t, closing)
			if !strings.HasPrefix(got, "HTTP/1.1 502 Bad Gateway\r\n") || strings.Contains(got, address) {
				t.Errorf("got %s", got)
			}
			o := p.outcome(t, 0)
			if !errors.Is(o.Err, proxy.ErrConnect) || !strings.Contains(o.Err.Error(), tt.message) || o.Sent || !o.CanRetry {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// The engine's own pages count as what they are to the client: bodies.
func TestOwnPagesAreCounted(t *testing.T) {
	bad := answering(t, "SSH-2.0-x\r\n")
	silent := rawApp(t, func(_ int, _ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	for _, tt := range []struct {
		name     string
		upstream upstream.Upstream
		timeout  time.Duration // of the response; 0: the default
		raw      string
		status   int
	}{
		{"bad gateway", bad, 0, closing, 502},
		{"bad gateway for HEAD", bad, 0, strings.Replace(closing, "GET", "HEAD", 1), 502},
		{"time-out", silent, 300 * time.Millisecond, closing, 504},
		{"body too large, announced", bad, 0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413},
		{"body too large, found out", silent, 0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + strings.Repeat("x", 101) + "\r\n", 413},
		{"refused", bad, 0, "GET / HTTP/1.1\r\n\r\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := forwardTo(tt.upstream)
			p.action = withRequestID(p.action)
			s := serve(t, p, proxy.Settings{BodySize: 100, ResponseTimeout: tt.timeout})
			_, body, _ := strings.Cut(s.say(t, tt.raw), "\r\n\r\n")
			if o := p.outcome(t, 0); o.Status != tt.status || o.BytesOut != int64(len(body)) || (len(body) == 0) != strings.HasPrefix(tt.raw, "HEAD") {
				t.Errorf("status %d, %d bytes counted of the body %q", o.Status, o.BytesOut, body)
			}
		})
	}
}

// Requests that are refused are answered by the engine, and the policy hears
// of them.
func TestRefused(t *testing.T) {
	p := forwardTo(answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	s := serve(t, p, proxy.Settings{HeaderSize: 4096, TargetSize: 1024})
	for _, tt := range []struct{ name, raw, status string }{
		{"both lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 Bad Request"},
		{"large header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n", "431 Request Header Fields Too Large"},
		{"long target", "GET /" + strings.Repeat("x", 2000) + " HTTP/1.1\r\nHost: a\r\n\r\n", "414 Request URI Too Long"},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "405 Method Not Allowed"},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.say(t, tt.raw)
			if !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") || !strings.Contains(got, "Connection: close\r\n") {
				t.Errorf("got %s", got)
			}
			if strings.Count(got, "Content-Length: ") != 1 {
				t.Errorf("more than one answer: %s", got)
			}
		})
	}
	for i := range 5 {
		if o := p.outcome(t, i); o.Status < 400 || o.Err == nil {
			t.Errorf("outcome %+v", o)
		}
		if k := p.actions[i].Kind; k != proxy.Refused {
			t.Errorf("action %v", k)
		}
	}
	t.Run("TRACE", func(t *testing.T) {
		if got := s.say(t, "TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 405 ") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("the request before is answered", func(t *testing.T) {
		got := s.say(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost : a\r\n\r\n")
		if strings.Count(got, "HTTP/1.1 200 OK\r\n") != 1 || strings.Count(got, "HTTP/1.1 400 Bad Request\r\n") != 1 {
			t.Errorf("got %s", got)
		}
	})
}

// A head that does not arrive in time is said to be one, and to have taken the
// time it took.
func TestHeadTimeout(t *testing.T) {
	const timeout = time.Second
	p := forwardTo(answering(t, okAnswer))
	s := serve(t, p, proxy.Settings{HeaderTimeout: timeout})
	if got := s.say(t, closing[:20]); !strings.HasPrefix(got, "HTTP/1.1 408 Request Timeout\r\n") {
		t.Errorf("got %s", got)
	}
	o := p.outcome(t, 0)
	if !errors.Is(o.Err, proxy.ErrHeadTimeout) || strings.Contains(o.Err.Error(), "body") || o.Status != 408 || o.Total < timeout {
		t.Errorf("outcome %+v", o)
	}
}

// A client of HTTP/1.0, for which the connection's end is the answer's, sees that
// an answer was cut off: its connection is reset.
func TestCutOffAnswerOfUnknownLengthToHTTP10(t *testing.T) {
	for name, start := range map[string]func(testing.TB, proxy.Policy, proxy.Settings) *site{"plain": serve, "TLS": serveTLS} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan bool)
			u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
				readHead(br)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
				<-seen
			})
			p := forwardTo(u)
			s := start(t, p, proxy.Settings{})
			c := s.dial(t)
			if name == "TLS" {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			br := bufio.NewReader(c)
			readHead(br)
			if _, err := io.ReadFull(br, make([]byte, len("begun"))); err != nil {
				t.Error(err)
			}
			close(seen)
			if _, err := br.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after the app's end: %v", err)
			}
			if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrCutOff) || o.BytesOut != 5 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}
