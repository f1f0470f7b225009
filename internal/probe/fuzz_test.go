package probe

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// mute is a connection that takes everything and says nothing.
type mute struct{ net.Conn }

func (mute) Write(b []byte) (int, error)   { return len(b), nil }
func (mute) Read([]byte) (int, error)      { return 0, io.EOF }
func (mute) SetDeadline(_ time.Time) error { return nil }

// hear gives a conversation bytes to read, after which the connection ends.
func hear(data []byte) (*conversation, *Answer) {
	a := &Answer{GRPC: -1}
	c := &conversation{
		Probe: Probe{Method: "GET", Timeout: time.Minute}, a: a, ctx: context.Background(),
		raw: mute{}, conn: &recorder{Conn: mute{}}, in: newReader(bytes.NewReader(data)),
	}
	return c, a
}

// What net/http takes for an answer is the same answer here, and nothing makes
// the reader fall.
func FuzzHTTP1(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nok",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200\nA: b\n c\n\n",
		"SSH-2.0-OpenSSH\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"\x15\x03\x01\x00\x02\x02\x46",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, a := hear(data)
		whole := c.readHead() && c.readBody()
		if whole != (a.Err == nil) {
			t.Fatalf("whole: %v, %v", whole, a.Err)
		}
		if a.BodySize > int64(len(data)) || int64(len(a.Body)) > a.BodySize {
			t.Fatalf("%d bytes of body, %d kept, from %d", a.BodySize, len(a.Body), len(data))
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), &http.Request{Method: "GET"})
		if err != nil || response.StatusCode < 200 || !response.ProtoAtLeast(1, 1) || !whole {
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return
		}
		if a.Status != response.StatusCode || a.BodySize != int64(len(body)) {
			t.Errorf("status %d, %d bytes; net/http: %d, %d\n%q", a.Status, a.BodySize, response.StatusCode, len(body), data)
		}
	})
}

func FuzzHTTP2(f *testing.F) {
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, seed := range []string{
		settings + "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88\x00\x00\x02\x00\x01\x00\x00\x00\x01ok",
		settings + "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88",
		settings + "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00",
		settings + "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07",
		"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, a := hear(nil)
		c.conn = &recorder{Conn: said{mute{}, bytes.NewReader(data)}}
		if whole := c.readFrames(newStream(c)); whole != (a.Err == nil) {
			t.Fatalf("whole: %v, %v", whole, a.Err)
		}
		if a.BodySize > int64(len(data)) {
			t.Fatalf("%d bytes of body from %d", a.BodySize, len(data))
		}
		_, _ = grpcStatus(a), Frames(data)
	})
}

// said is a connection on which something was said.
type said struct {
	mute
	in io.Reader
}

func (s said) Read(b []byte) (int, error) { return s.in.Read(b) }

// Whatever a service answers, there is a word for it.
func FuzzServing(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x01\x00\x00\x00\x02\x08\x01"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if servingStatus(body) == "" {
			t.Errorf("nothing is said of %q", body)
		}
	})
}

// A Location takes a probe nowhere that it cannot go.
func FuzzRedirect(f *testing.F) {
	for _, location := range []string{"/health/", "https://mysite.com/", "//other:81/x", "?a", "mailto:a@b", "http://[::1%25eth0]/", "http://a:b@c/", "\x00", "http:///x"} {
		f.Add(location)
	}
	prober, _ := Find("kubelet")
	p, err := New(context.Background(), prober, "http://127.0.0.1:8080/health", Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, location string) {
		a := Answer{Outcome: Answered, Status: 301, Header: []Field{{"Location", location}}}
		next, ok := p.redirected(t.Context(), time.Now().Add(time.Minute), &a, 0)
		if !ok {
			return
		}
		if next.Address.Addr() != p.Address.Addr() || next.Path == "" || next.Path[0] != '/' || bytes.ContainsAny(next.Bytes()[:bytes.IndexByte(next.Bytes(), '\r')], "\n\x00") {
			t.Errorf("%q leads to %v, %q", location, next.Address, next.Bytes())
		}
	})
}

// A URL makes one request, of one line and its header, or an error of one line.
func FuzzNew(f *testing.F) {
	for _, address := range []string{
		"http://10.0.1.5:8080/health?a=b", "10.0.1.5", "https://[::1]:1/", "http://10.0.1.5/a b?c d", "tcp://127.0.0.1:5432",
		"http://a:b@127.0.0.1/", "http://127.0.0.1:99999/", "://", "http://%00/", "http://[fe80::1%25eth0]/", "ftp://x",
	} {
		f.Add(address, "/health", "mysite.com")
	}
	f.Fuzz(func(t *testing.T, address, path, host string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // names are not looked up
		for i := range table {
			p, err := New(ctx, &table[i], address, Options{Path: path, Host: host, NodeAddress: netip.MustParseAddrPort("10.0.9.9:80")})
			if err != nil {
				if strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
					t.Errorf("%q: the error is %q", address, err)
				}
				continue
			}
			request, lines := string(p.Bytes()), 1+len(slices.Collect(p.header()))
			if got := strings.Count(request, "\n"); got != lines+1 || !p.Protocol.opens() && len(strings.Fields(strings.SplitN(request, "\r\n", 2)[0])) != 3 {
				t.Errorf("%s %q: the request is %q", table[i].Name, address, request)
			}
		}
	})
}
