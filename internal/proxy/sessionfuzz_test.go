package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/upstream"
)

// stranger is a client's connection: it has sent a stream, in pieces, and says no
// more.
type stranger struct {
	net.Conn
	rest  []byte
	piece int
}

func (c *stranger) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(len(c.rest), c.piece)])
	c.rest = c.rest[n:]
	return n, nil
}

func (*stranger) Write(p []byte) (int, error)      { return len(p), nil }
func (*stranger) Close() error                     { return nil }
func (*stranger) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (*stranger) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (*stranger) SetReadDeadline(time.Time) error  { return nil }
func (*stranger) SetWriteDeadline(time.Time) error { return nil }

// FuzzSession sends streams of a stranger through a session to an app on
// net/http's parser: it must see those requests, and no others, that net/http reads
// in the stream itself.
func FuzzSession(f *testing.F) {
	const post, chunks = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "POST /b?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
	long := strings.Repeat(ask, 10_000/len(ask))
	for _, s := range []string{
		ask + post + chunks + ask, "\r\n" + post + "\r\n" + ask, "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n" + ask,
		"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + post, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx" + ask,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: X, Content-Length\r\nX: 1\r\nContent-Length: 3\r\n\r\nabc" + ask,
		"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" + long, "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n" + long,
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + ask, long,
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		seen := forwarded(stream, int(piece))
		want := requests(bytes.TrimPrefix(stream, []byte("\r\n")))
		for i, got := range seen {
			if i >= len(want) || !strings.HasPrefix(want[i], got) {
				t.Fatalf("of %q the app was sent %q, net/http reads %q", stream, seen, want)
			}
		}
	})
}

// forwarded returns the requests that an app is sent of a stream. One that
// it was sent in part counts as far as it came.
func forwarded(stream []byte, piece int) (seen []string) {
	var mu sync.Mutex
	m := newMemory(func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			head := fmt.Sprintf("%s %s", r.Method, r.RequestURI)
			if r.URL.Path == "/early" {
				_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			}
			body, err := io.ReadAll(r.Body)
			mu.Lock()
			seen = append(seen, fmt.Sprintf("%s %q", head, body))
			if err != nil {
				seen[len(seen)-1] = fmt.Sprintf("%s %q", head, body[:0])[:len(head)+2]
			}
			mu.Unlock()
			if err != nil {
				return
			}
			if r.URL.Path != "/early" {
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}
	})
	e := New(toMemory{}, Settings{RepeatBody: 2, ContinueTimeout: time.Millisecond}, nil)
	e.dial = func(ctx context.Context, u upstream.Upstream) (net.Conn, error) { return m.dial(ctx, u) }
	s := NewServer(e, nil)
	s.begin(&stranger{rest: stream, piece: 1 + piece})
	s.wait(context.Background())
	e.Close()
	m.apps.Wait()
	return seen
}

// requests returns those that net/http reads in a stream.
func requests(stream []byte) (read []string) {
	br := bufio.NewReader(bytes.NewReader(stream))
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return read
		}
		head := fmt.Sprintf("%s %s", r.Method, originForm(r.RequestURI))
		body, err := io.ReadAll(r.Body)
		if read = append(read, fmt.Sprintf("%s %q", head, body)); err != nil {
			return read
		}
		if b, _ := br.Peek(2); string(b) == "\r\n" { // RFC 9112, 2.2
			_, _ = br.Discard(2)
		}
	}
}
