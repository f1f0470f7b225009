package guard

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

var testLimits = Limits{
	HeadSize: 2048, LineSize: 512,
	HeaderTimeout: 10 * time.Second, BodyTimeout: 60 * time.Second, IdleTimeout: 75 * time.Second,
}

// stream is a connection that reads from a reader and writes to nowhere.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error)    { return s.Reader.Read(p) }
func (stream) SetReadDeadline(time.Time) error { return nil }
func (stream) SetDeadline(time.Time) error     { return nil }
func (stream) Close() error                    { return nil }
func newStream(r io.Reader) *Conn              { return NewConn(stream{Reader: r}, testLimits) }
func readAll(c io.Reader) (string, error)      { b, err := io.ReadAll(c); return string(b), err }
func lines(all ...string) string               { return strings.Join(all, "\r\n") + "\r\n\r\n" }
func get(fields ...string) string {
	return lines(append([]string{"GET / HTTP/1.1", "Host: a"}, fields...)...)
}

func post(fields ...string) string {
	return lines(append([]string{"POST / HTTP/1.1", "Host: a"}, fields...)...)
}
func chunks(body string) string { return post("Transfer-Encoding: chunked") + body }
func repeat(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

func TestPasses(t *testing.T) {
	for _, tt := range []struct{ name, stream string }{
		{"plain", get()},
		{"no fields in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"},
		{"two at once", get() + get("Accept: */*")},
		{"absolute form", lines("GET http://Example.org:80/x?y HTTP/1.1", "host: example.org:80")},
		{"absolute form without path", lines("GET http://a HTTP/1.1", "Host: a")},
		{"absolute form, HTTP/1.0, no Host", "GET http://a/ HTTP/1.0\r\n\r\n"},
		{"asterisk form", lines("OPTIONS * HTTP/1.1", "Host: a")},
		{"empty Host", lines("GET / HTTP/1.1", "Host:")},
		{"IPv6 host", lines("GET / HTTP/1.1", "Host: [2001:db8::1]:8080")},
		{"no space after the colon, spaces after the value", lines("GET / HTTP/1.1", "Host:a", "X:  y \t")},
		{"bytes above ASCII in a value", get("X: caf\xc3\xa9")},
		{"bytes above ASCII in the target", lines("GET /caf\xc3\xa9 HTTP/1.1", "Host: a")},
		{"escapes", lines("GET /%41%7e?%zz HTTP/1.1", "Host: a")},
		{"body with a length", post("Content-Length: 5") + "hello" + get()},
		{"body that looks like a bad request", post("Content-Length: 6") + "\n\r\x00 \r\n" + get()},
		{"length 0", post("content-length: 0") + get()},
		{"chunks", chunks("5\r\nhello\r\n00A;x=\"y z\"\r\n0123456789\r\n0\r\n\r\n") + get()},
		{"trailer", chunks("1\r\nx\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n") + get()},
		{"Transfer-Encoding in capitals", post("Transfer-Encoding: CHUNKED") + "0\r\n\r\n"},
		{"a method of one's own", lines("PURGE /x HTTP/1.1", "Host: a")},
		{"many fields", get(repeat("a: b", MaxFields-1)...)},
		{"the stand-in's own method", lines("REFUSED / HTTP/1.1", "Host: a")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range readers(tt.stream) {
				c := newStream(r)
				got, err := readAll(c)
				if got != tt.stream || err != nil || c.Refused() != nil {
					t.Errorf("read %s: %q, error %v, refusal %v", name, got, err, c.Refused())
				}
			}
		})
	}
}

// One empty line before a request line is taken out (RFC 9112, 2.2).
func TestIgnoresEmptyLine(t *testing.T) {
	for _, tt := range []struct{ name, stream, want string }{
		{"at the start", "\r\n" + get(), get()},
		{"alone", "\r\n", ""},
		{"between requests", get() + "\r\n" + get(), get() + get()},
		{"after a body", post("Content-Length: 2") + "xx\r\n" + get(), post("Content-Length: 2") + "xx" + get()},
		{"after chunks", chunks("1\r\nx\r\n0\r\n\r\n") + "\r\n" + get(), chunks("1\r\nx\r\n0\r\n\r\n") + get()},
		{"each time", strings.Repeat("\r\n"+get(), 3) + "\r\n", strings.Repeat(get(), 3)},
		{"not in a body", post("Content-Length: 4") + "\r\n\r\n" + get(), post("Content-Length: 4") + "\r\n\r\n" + get()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range readers(tt.stream) {
				c := newStream(r)
				if got, err := readAll(c); got != tt.want || err != nil || c.Refused() != nil {
					t.Errorf("read %s: %q, error %v, refusal %v", name, got, err, c.Refused())
				}
			}
		})
	}
}

// readers are ways in which a stream may arrive.
func readers(s string) map[string]io.Reader {
	return map[string]io.Reader{
		"at once":      strings.NewReader(s),
		"byte by byte": iotest.OneByteReader(strings.NewReader(s)),
		"by halves":    iotest.HalfReader(strings.NewReader(s)),
	}
}

func TestRefuses(t *testing.T) {
	long := strings.Repeat("x", 600)
	for _, tt := range []struct {
		name, stream string
		status       int
		reason       string
	}{
		{"both lengths", post("Content-Length: 5", "Transfer-Encoding: chunked"), 400, "both Content-Length and Transfer-Encoding"},
		{"both lengths, the other way round", post("Transfer-Encoding: chunked", "Content-Length: 5"), 400, "both Content-Length and Transfer-Encoding"},
		{"two lengths", post("Content-Length: 5", "Content-Length: 6"), 400, "more than one Content-Length field"},
		{"two equal lengths", post("Content-Length: 5", "Content-Length: 5"), 400, "more than one Content-Length field"},
		{"length with a plus", post("Content-Length: +5"), 400, "Content-Length is not a number of bytes"},
		{"length with a minus", post("Content-Length: -5"), 400, "Content-Length is not a number of bytes"},
		{"length list", post("Content-Length: 5, 5"), 400, "Content-Length is not a number of bytes"},
		{"length with a parameter", post("Content-Length: 5;5"), 400, "Content-Length is not a number of bytes"},
		{"length in hexadecimal", post("Content-Length: 0x5"), 400, "Content-Length is not a number of bytes"},
		{"length with an underscore", post("Content-Length: 1_0"), 400, "Content-Length is not a number of bytes"},
		{"no length in the field", post("Content-Length:"), 400, "Content-Length is not a number of bytes"},
		{"length of 19 digits", post("Content-Length: 9223372036854775808"), 400, "Content-Length is not a number of bytes"},
		{"Transfer-Encoding identity", post("Transfer-Encoding: identity"), 400, "Transfer-Encoding is not exactly chunked"},
		{"Transfer-Encoding list", post("Transfer-Encoding: gzip, chunked"), 400, "Transfer-Encoding is not exactly chunked"},
		{"Transfer-Encoding with a tab inside", post("Transfer-Encoding: chunk\ted"), 400, "Transfer-Encoding is not exactly chunked"},
		{"Transfer-Encoding in quotes", post(`Transfer-Encoding: "chunked"`), 400, "Transfer-Encoding is not exactly chunked"},
		{"Transfer-Encoding with a vertical tab", post("Transfer-Encoding: \vchunked"), 400, "a header field's value has a control character"},
		{"Transfer-Encoding twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, "more than one Transfer-Encoding field"},
		{"Transfer-Encoding in HTTP/1.0", lines("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"), 400, "Transfer-Encoding in HTTP/1.0"},
		{"space before the colon", post("Transfer-Encoding : chunked"), 400, "white space in a header field's name, or before its colon"},
		{"folded line", get("X: a", " b"), 400, "a header line is folded, or starts with white space"},
		{"folded line with a tab", get("X: a", "\tb"), 400, "a header line is folded, or starts with white space"},
		{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "a line ends with a bare LF"},
		{"bare LF in the header", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "a line ends with a bare LF"},
		{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "a line ends with a bare LF"},
		{"bare CR in a value", get("X: a\rY: b"), 400, "a header field's value has a control character"},
		{"bare CR in the request line", lines("GET /\r HTTP/1.1", "Host: a"), 400, "the target has a control character or a #"},
		{"two CR", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, "the request line does not end with HTTP/1.1 or HTTP/1.0"},
		{"NUL in a value", get("X: a\x00b"), 400, "a header field's value has a control character"},
		{"DEL in a value", get("X: a\x7fb"), 400, "a header field's value has a control character"},
		{"NUL in a name", get("X\x00: b"), 400, "a header field's name has an invalid character"},
		{"slash in a name", get("X/Y: b"), 400, "a header field's name has an invalid character"},
		{"bytes above ASCII in a name", get("X\xc3: b"), 400, "a header field's name has an invalid character"},
		{"no name", get(": b"), 400, "a header field has no name"},
		{"no colon", get("X"), 400, "a header line has no colon"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, "no Host field"},
		{"two Hosts", lines("GET / HTTP/1.1", "Host: a", "Host: a"), 400, "more than one Host field"},
		{"two Hosts in HTTP/1.0", lines("GET / HTTP/1.0", "Host: a", "Host: b"), 400, "more than one Host field"},
		{"list of Hosts", lines("GET / HTTP/1.1", "Host: a, b"), 400, "the Host field is not a valid host"},
		{"Host with a path", lines("GET / HTTP/1.1", "Host: a/b"), 400, "the Host field is not a valid host"},
		{"Host with a user", lines("GET / HTTP/1.1", "Host: u@a"), 400, "the Host field is not a valid host"},
		{"Host with two ports", lines("GET / HTTP/1.1", "Host: a:1:2"), 400, "the Host field is not a valid host"},
		{"Host with a port of letters", lines("GET / HTTP/1.1", "Host: a:x"), 400, "the Host field is not a valid host"},
		{"Host with an open bracket", lines("GET / HTTP/1.1", "Host: [::1"), 400, "the Host field is not a valid host"},
		{"Host with IPv4 in brackets", lines("GET / HTTP/1.1", "Host: [127.0.0.1]"), 400, "the Host field is not a valid host"},
		{"another host in absolute form", lines("GET http://b/ HTTP/1.1", "Host: a"), 400, "the target's host differs from the Host field"},
		{"another port in absolute form", lines("GET http://a:81/ HTTP/1.1", "Host: a"), 400, "the target's host differs from the Host field"},
		{"user in absolute form", lines("GET http://u@a/ HTTP/1.1", "Host: a"), 400, "the target's host is not valid"},
		{"no host in absolute form", lines("GET http:///x HTTP/1.1", "Host: a"), 400, "the target's host is not valid"},
		{"another scheme", lines("GET ftp://a/ HTTP/1.1", "Host: a"), 400, "the target is neither a path nor an http URL"},
		{"relative target", lines("GET x HTTP/1.1", "Host: a"), 400, "the target is neither a path nor an http URL"},
		{"fragment", lines("GET /#x HTTP/1.1", "Host: a"), 400, "the target has a control character or a #"},
		{"asterisk for GET", lines("GET * HTTP/1.1", "Host: a"), 400, "the target * is for OPTIONS alone"},
		{"bad escape", lines("GET /%4 HTTP/1.1", "Host: a"), 400, "the path has a % that starts no escape"},
		{"bad escape in absolute form", lines("GET http://a/%zz HTTP/1.1", "Host: a"), 400, "the path has a % that starts no escape"},
		{"CONNECT", lines("CONNECT a:443 HTTP/1.1", "Host: a:443"), 405, "CONNECT is not supported: this is no forward proxy"},
		{"two empty lines first", "\r\n\r\n" + get(), 400, "white space before the request line"},
		{"bare LF first", "\n" + get(), 400, "white space before the request line"},
		{"bare LF after an empty line", "\r\n\n" + get(), 400, "white space before the request line"},
		{"bare CR first", "\r" + get(), 400, "white space before the request line"},
		{"bare CR after an empty line", "\r\n\r" + get(), 400, "white space before the request line"},
		{"two CR first", "\r\r\n" + get(), 400, "white space before the request line"},
		{"space after an empty line", "\r\n " + get(), 400, "white space before the request line"},
		{"space first", " " + get(), 400, "white space before the request line"},
		{"TLS", "\x16\x03\x01\x02\x00\x01", 400, "this is a TLS handshake, but the port speaks plain HTTP"},
		{"garbage", "\x00\x01", 400, "the first byte is not that of an HTTP request"},
		{"HTTP/0.9", "GET /\r\n", 400, "the request line has no version, as in HTTP/0.9"},
		{"no target", "GET\r\n", 400, "the request line has no target and no version"},
		{"two spaces", lines("GET  / HTTP/1.1", "Host: a"), 400, "the request line has a space too many, or no target"},
		{"tab for a space", lines("GET\t/ HTTP/1.1", "Host: a"), 400, "the method has an invalid character"},
		{"space at the end", lines("GET / HTTP/1.1 ", "Host: a"), 400, "the request line does not end with HTTP/1.1 or HTTP/1.0"},
		{"version in small letters", lines("GET / http/1.1", "Host: a"), 400, "the request line does not end with HTTP/1.1 or HTTP/1.0"},
		{"HTTP/2.0", lines("PRI * HTTP/2.0"), 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"},
		{"HTTP/1.2", lines("GET / HTTP/1.2", "Host: a"), 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"},
		{"long request line", lines("GET /"+long+" HTTP/1.1", "Host: a"), 414, "the request line is too long"},
		{"long request line without an end", "GET /" + long, 414, "the request line is too long"},
		{"large header", get("a: "+long, "b: "+long, "c: "+long, "d: "+long), 431, "the header is too large"},
		{"large header without an end", get()[:20] + "X: " + strings.Repeat("x", 3000), 431, "the header is too large"},
		{"too many fields", get(repeat("a: b", MaxFields)...), 431, "too many header fields"},

		{"chunk without a size", chunks("\r\nhello"), 400, "a chunk has no size, or is shorter than its size says"},
		{"chunk with a prefix", chunks("0x5\r\nhello\r\n"), 400, "garbage after a chunk's size"},
		{"chunk with a sign", chunks("+5\r\nhello\r\n"), 400, "a chunk has no size, or is shorter than its size says"},
		{"chunk with a space", chunks("5 \r\nhello\r\n"), 400, "garbage after a chunk's size"},
		{"chunk with garbage", chunks("5 x\r\nhello\r\n"), 400, "garbage after a chunk's size"},
		{"chunk size with a bare LF", chunks("5\nhello\r\n"), 400, "a line ends with a bare LF"},
		{"chunk size with a bare CR in an extension", chunks("5;a\rb\r\nhello\r\n"), 400, "a control character in a chunk extension"},
		{"chunk extension above ASCII", chunks("5;\xff\r\nhello\r\n"), 400, "a control character in a chunk extension"},
		{"chunk extension with LF", chunks("5;a\nhello\r\n0\r\n\r\n"), 400, "a line ends with a bare LF"},
		{"chunk size over 64 bits", chunks("10000000000000005\r\nhello\r\n"), 400, "a chunk's size has too many digits"},
		{"chunk size of 64 bits", chunks("ffffffffffffffff\r\nhello\r\n"), 400, "a chunk's size is too large"},
		{"chunk size with zeros", chunks("00000000000000005\r\nhello\r\n"), 400, "a chunk's size has too many digits"},
		{"long chunk line", chunks("5;" + strings.Repeat("x", 1100)), 400, "the line before a chunk is too long"},
		{"many extensions", chunks(strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\nx\r\n", 9)), 400, "too many chunk extensions"},
		{"long chunk", chunks("5\r\nhello!\r\n"), 400, "a chunk is longer than its size says, or not followed by CRLF"},
		{"chunk with LF behind", chunks("5\r\nhello\n0\r\n\r\n"), 400, "a chunk is longer than its size says, or not followed by CRLF"},
		{"length in the trailer", chunks("0\r\nContent-Length: 5\r\n\r\n"), 400, "a field that frames or routes the message is in the trailer"},
		{"length announced", post("Transfer-Encoding: chunked", "Trailer: X, Content-Length"), 400, "the Trailer field announces one that frames or routes the message"},
		{"Host in the trailer", chunks("0\r\nhost: b\r\n\r\n"), 400, "a field that frames or routes the message is in the trailer"},
		{"fold in the trailer", chunks("0\r\nX: a\r\n b\r\n\r\n"), 400, "a header line is folded, or starts with white space"},
		{"large trailer", chunks("0\r\nX: " + strings.Repeat("x", 4000)), 431, "the trailer is too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range readers(get() + tt.stream) {
				c := newStream(r)
				got, err := readAll(c)
				refusal := c.Refused()
				if refusal == nil || refusal.Status != tt.status || refusal.Reason != tt.reason {
					t.Fatalf("read %s: refusal %v", name, refusal)
				}
				good, isHead := strings.CutSuffix(got, standIn)
				if !strings.HasPrefix(get()+tt.stream, good) || !strings.HasPrefix(good, get()) {
					t.Errorf("read %s: handed on %q", name, good)
				}
				if isHead && (err != nil || good != get()) {
					t.Errorf("read %s: handed on %q before the stand-in, error %v", name, good, err)
				}
				if !isHead && err != error(refusal) { //nolint:errorlint // itself
					t.Errorf("read %s: error %v", name, err)
				}
			}
		})
	}
}

// A refusal must not disturb the answer to an earlier request, while which
// net/http reads one byte to see whether the client is still there.
func TestReadsOneByte(t *testing.T) {
	c := newStream(strings.NewReader(get() + get("Content-Length: x")))
	buf := make([]byte, 4096)
	n, _ := c.Read(buf)
	if string(buf[:n]) != get() {
		t.Fatalf("first read: %q", buf[:n])
	}
	if n, err := c.Read(buf[:1]); n != 1 || err != nil || buf[0] != standIn[0] {
		t.Fatalf("one byte: %q, %v", buf[:n], err)
	}
	if rest, err := readAll(c); rest != standIn[1:] || err != nil {
		t.Fatalf("rest: %q, %v", rest, err)
	}
}

func TestTimes(t *testing.T) {
	slowly := func(every time.Duration, pieces ...string) func(net.Conn) {
		return func(c net.Conn) {
			for _, p := range pieces {
				if _, err := io.WriteString(c, p); err != nil {
					return
				}
				time.Sleep(every)
			}
		}
	}
	bytewise := func(s string) []string { return strings.Split(s, "") }
	for _, tt := range []struct {
		name   string
		client func(net.Conn)
		reason string        // of the refusal
		after  time.Duration // when reading ended
	}{
		{"silent", func(net.Conn) { time.Sleep(time.Hour) }, "", 75 * time.Second},
		{"silent after an empty line", slowly(time.Hour, "\r\n"), "", 75 * time.Second},
		{"silent after an empty line in pieces", func(c net.Conn) {
			slowly(time.Second, "\r", "\n")(c)
			time.Sleep(time.Hour)
		}, "", 10 * time.Second},
		{"half an empty line", slowly(time.Hour, "\r"), "the request's header did not arrive in time", 10 * time.Second},
		{"an empty line that ends a body", slowly(20*time.Second, post("Content-Length: 1")+"x\r\n", get()), "", 40 * time.Second},
		{"head not in time after an empty line", slowly(9*time.Second, "\r\n", get()[:10], get()[10:12], get()[12:]), "the request's header did not arrive in time", 19 * time.Second},
		{"head in time", slowly(9*time.Second, get()[:20], get()[20:]), "", 18 * time.Second},
		{"head not in time", slowly(9*time.Second, get()[:10], get()[10:12], get()[12:]), "the request's header did not arrive in time", 10 * time.Second},
		{"head by drops", slowly(time.Second, bytewise(get())...), "the request's header did not arrive in time", 10 * time.Second},
		{"slow body", slowly(40*time.Second, append([]string{post("Content-Length: 4")}, bytewise("slow")...)...), "", 200 * time.Second},
		{"body stops", slowly(time.Hour, post("Content-Length: 4")), "the request's body did not arrive in time", 60 * time.Second},
		{"chunk stops", slowly(time.Hour, chunks("5")), "the request's body did not arrive in time", 60 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				c := NewConn(ours, testLimits)
				var client sync.WaitGroup
				client.Go(func() {
					tt.client(theirs)
					theirs.Close()
				})
				start := time.Now()
				_, _ = readAll(c)
				took := time.Since(start)
				c.Close()
				client.Wait()
				reason := ""
				if r := c.Refused(); r != nil {
					reason = r.Reason
					if r.Status != 408 {
						t.Errorf("status %d", r.Status)
					}
				}
				if reason != tt.reason || took != tt.after {
					t.Errorf("refused for %q after %v, want %q after %v", reason, took, tt.reason, tt.after)
				}
			})
		})
	}
}

// The head that was refused is known by when it began, whatever came before.
func TestHeadBegan(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pieces []string // a second apart
		began  time.Duration
	}{
		{"at once", []string{get(" ")}, 0},
		{"in pieces", []string{get()[:3], get()[3:9], "\n"}, 0},
		{"after another", []string{get()[:9], get()[9:], get()[:9], "\n"}, 2 * time.Second},
		{"with the end of another", []string{get()[:9], get()[9:] + get()[:9], "\n"}, time.Second},
		{"whole, with the end of another", []string{get()[:9], get()[9:] + get(" ")}, time.Second},
		{"after a body", []string{post("Content-Length: 2") + "x", "x", "\n"}, 2 * time.Second},
		{"not in time", []string{get(), "G"}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				c := NewConn(ours, testLimits)
				var client sync.WaitGroup
				client.Go(func() {
					for _, p := range tt.pieces {
						_, _ = io.WriteString(theirs, p)
						time.Sleep(time.Second)
					}
				})
				start := time.Now()
				_, _ = readAll(c)
				c.Close()
				client.Wait()
				theirs.Close()
				if began := c.HeadBegan().Sub(start); c.Refused() == nil || began != tt.began {
					t.Errorf("refusal %v of a head that began after %v, want %v", c.Refused(), began, tt.began)
				}
			})
		})
	}
}

// What the reader sets as its deadline holds whatever ours is, and its expiry
// loses nothing: net/http so ends its wait for the next request's first byte.
func TestReadersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := NewConn(ours, testLimits)
		defer c.Close()
		go func() { _, _ = io.WriteString(theirs, get()[:8]) }()
		time.AfterFunc(time.Second, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Fatalf("read %d bytes of a part of a head, error %v", n, err)
		}
		if c.Refused() != nil {
			t.Fatal(c.Refused())
		}
		_ = c.SetReadDeadline(time.Time{})
		go func() { _, _ = io.WriteString(theirs, get()[8:]) }()
		buf := make([]byte, 4096)
		if n, err := c.Read(buf); string(buf[:n]) != get() || err != nil {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
	})
}

type watcher struct{ told int }

func (w *watcher) ClientGone() { w.told++ }

func TestWatch(t *testing.T) {
	c := newStream(strings.NewReader(get()))
	var first, second watcher
	c.Watch(&first)
	if _, err := readAll(c); err != nil {
		t.Fatal(err)
	}
	c.Watch(nil)
	c.Watch(&second)
	if first.told != 1 || second.told != 1 {
		t.Errorf("told %d and %d times, want once each", first.told, second.told)
	}
}

func TestRelease(t *testing.T) {
	upgrade := get("Upgrade: x", "Connection: upgrade")
	c := newStream(strings.NewReader(upgrade + "\x81\x00\r\n"))
	buf := make([]byte, len(upgrade))
	if n, _ := io.ReadFull(c, buf); n != len(upgrade) {
		t.Fatalf("read %q", buf[:n])
	}
	// What came before it was asked for is not HTTP, so it is refused.
	if _, _, err := c.Release(); err == nil {
		t.Error("released a connection with a refused request")
	}
	// An empty line before may have been the other protocol's.
	c = newStream(iotest.OneByteReader(strings.NewReader(upgrade + "\r\nmore")))
	_, _ = io.ReadFull(c, buf)
	_ = c.readBuffered()
	_ = c.readBuffered()
	if _, _, err := c.Release(); err == nil {
		t.Error("released a connection that an empty line was taken from")
	}
	c = newStream(strings.NewReader(upgrade + "more"))
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
	conn, rest, err := c.Release()
	if _, isStream := conn.(stream); !isStream || string(rest) != "more" || err != nil {
		t.Errorf("released %T, %q, %v", conn, rest, err)
	}
}

func TestSlowClientIsWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := NewConn(ours, testLimits)
		defer c.Close()
		go func() {
			for range 5 {
				time.Sleep(50 * time.Second)
				_, _ = theirs.Read(make([]byte, 1))
			}
		}()
		start := time.Now()
		n, err := c.Write(make([]byte, 10))
		// A byte now and then is enough; twice the time without one is not.
		if took := time.Since(start); n != 5 || err == nil || took < 250*time.Second || took > 370*time.Second {
			t.Errorf("wrote %d bytes in %v, error %v", n, took, err)
		}
		theirs.Close()
	})
}

func BenchmarkRead(b *testing.B) {
	request := lines("GET /page?q=1 HTTP/1.1", "Host: mysite.example",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language: en-US,en;q=0.5",
		"Accept-Encoding: gzip, deflate", "Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=fedcba9876543210",
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443")
	body := strings.Repeat("x", 32<<10)
	for name, stream := range map[string]string{
		"head":   request,
		"length": post(fmt.Sprintf("Content-Length: %d", len(body))) + body,
		"chunks": chunks(strings.Repeat("100\r\n"+body[:256]+"\r\n", 128) + "0\r\n\r\n"),
	} {
		b.Run(name, func(b *testing.B) {
			s := scanner{headSize: 64 << 10, lineSize: 16 << 10}
			buf := []byte(stream)
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if _, n, _ := s.scan(buf, 0); n != len(buf) {
					b.Fatal(n, s.refusal)
				}
			}
		})
	}
}
