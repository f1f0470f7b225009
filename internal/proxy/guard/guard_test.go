package guard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var testLimits = Limits{HeadSize: 2048, LineSize: 512}

// stream is a source whose time is never over.
type stream struct{ io.Reader }

func (s stream) Read(p []byte, _ Phase) (int, error) { return s.Reader.Read(p) }

func newStream(r io.Reader) *Reader { return NewReader(stream{r}, testLimits) }

// readAll reads requests until there are no more, or one is refused.
func readAll(r *Reader) (all []message, err error) {
	for {
		h, err := r.Next(nil)
		if err != nil {
			return all, err
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return all, err
		}
		all = append(all, messageOf(h, body))
	}
}

func messageOf(h Head, body []byte) message {
	m := message{method: h.Method, target: h.Target, body: string(body)}
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, "Host") {
			m.host = f.Value
		}
	}
	return m
}

func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n\r\n" }
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
		{"a header larger than the first buffer", get("X: "+strings.Repeat("x", 1900)) + get("X: "+strings.Repeat("y", 1900)) + get("X: "+strings.Repeat("z", 1900))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, _, clean := reference(tt.stream)
			if !clean {
				t.Fatal("not clean by the reference")
			}
			for name, r := range readers(tt.stream) {
				if got, err := readAll(newStream(r)); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
					t.Errorf("read %s: %q, error %v", name, got, err)
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
			want, _, _ := reference(tt.want)
			for name, r := range readers(tt.stream) {
				if got, err := readAll(newStream(r)); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
					t.Errorf("read %s: %q, error %v", name, got, err)
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
		{"Transfer-Encoding list", post("Transfer-Encoding: chunked, identity"), 400, "Transfer-Encoding is not exactly chunked"},
		{"Transfer-Encoding gzip", post("Transfer-Encoding: gzip"), 501, "Transfer-Encoding is not supported but for chunked"},
		{"Transfer-Encoding gzip before chunks", post("Transfer-Encoding: gzip, chunked"), 501, "Transfer-Encoding is not supported but for chunked"},
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
				first, err := c.Next(nil)
				if err != nil || first.Method != "GET" {
					t.Fatalf("read %s: first %v, %v", name, first, err)
				}
				_, err = readAll(c)
				refusal, _ := errors.AsType[*Refusal](err)
				if refusal == nil || refusal.Status != tt.status || refusal.Reason != tt.reason {
					t.Fatalf("read %s: refusal %v", name, refusal)
				}
				if _, again := c.Next(nil); again != err { //nolint:errorlint // itself
					t.Errorf("read %s: after the refusal %v", name, again)
				}
			}
		})
	}
}

// What is read is as it came, but for the white space around values.
func TestFields(t *testing.T) {
	raw := lines("GET /a?b HTTP/1.0", "hOST:a", "X-Twice: 1", "x-twice:\t2 \t", "Empty:", "Content-Length: 3") + "abc"
	for name, r := range readers(raw) {
		room := []Field{{"before", "them"}}
		c := newStream(r)
		h, err := c.Next(room)
		want := []Field{{"before", "them"}, {"hOST", "a"}, {"X-Twice", "1"}, {"x-twice", "2"}, {"Empty", ""}, {"Content-Length", "3"}}
		if err != nil || !slices.Equal(h.Fields, want) || !h.HTTP10 || h.Length != 3 || !h.HasLength || h.Method != "GET" || h.Target != "/a?b" {
			t.Errorf("read %s: %+v, %v", name, h, err)
		}
	}
}

func TestTrailer(t *testing.T) {
	for name, r := range readers(chunks("1\r\nx\r\n0\r\nX-Sum: 1\r\nY:2\r\n\r\n") + chunks("0\r\n\r\n")) {
		c := newStream(r)
		for _, want := range [][]Field{{{"X-Sum", "1"}, {"Y", "2"}}, nil} {
			h, err := c.Next(nil)
			if err != nil || h.Length != -1 || c.AtEnd() {
				t.Fatalf("read %s: %+v, %v", name, h, err)
			}
			if _, err := io.ReadAll(c); err != nil || !c.AtEnd() || !slices.Equal(c.Trailer(), want) {
				t.Errorf("read %s: trailer %v, %v", name, c.Trailer(), err)
			}
		}
	}
}

// A client that leaves within a request has not ended its connection as it should.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		name, stream string
		want         error
	}{
		{"before a request", "", io.EOF},
		{"after a request", get(), io.EOF},
		{"within a head", get()[:20], io.ErrUnexpectedEOF},
		{"within a body", post("Content-Length: 5") + "abc", io.ErrUnexpectedEOF},
		{"between chunks", chunks("1\r\nx\r\n"), io.ErrUnexpectedEOF},
		{"within a chunk's size", chunks("1"), io.ErrUnexpectedEOF},
		{"before the trailer's end", chunks("0\r\n"), io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range readers(tt.stream) {
				if _, err := readAll(newStream(r)); !errors.Is(err, tt.want) {
					t.Errorf("read %s: %v", name, err)
				}
			}
		})
	}
}

// phases is a source that notes what it is read for; each piece takes until is
// asked for again, and the last is that the time is over.
type phases struct {
	pieces []string
	asked  []Phase
}

func (p *phases) Read(b []byte, at Phase) (int, error) {
	p.asked = append(p.asked, at)
	if len(p.pieces) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, p.pieces[0])
	p.pieces = p.pieces[1:]
	return n, nil
}

// What time a read may take is its phase's, and what that being over means.
func TestPhases(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pieces []string
		asked  []Phase
		reason string // of the refusal
	}{
		{"silent", nil, []Phase{Idle}, ""},
		{"an empty line", []string{"\r\n"}, []Phase{Idle, Idle}, ""},
		{"half an empty line", []string{"\r"}, []Phase{Idle, InHead}, "the request's header did not arrive in time"},
		{"an empty line in pieces", []string{"\r", "\n", "G"}, []Phase{Idle, InHead, Idle, InHead}, "the request's header did not arrive in time"},
		{"a head in pieces", []string{get()[:9], get()[9:]}, []Phase{Idle, InHead, Idle}, ""},
		{"half a head", []string{get()[:9]}, []Phase{Idle, InHead}, "the request's header did not arrive in time"},
		{"with half of another", []string{get() + get()[:9]}, []Phase{Idle, InHead}, "the request's header did not arrive in time"},
		{"half a body", []string{post("Content-Length: 5") + "ab", "c"}, []Phase{Idle, InBody, InBody}, "the request's body did not arrive in time"},
		{"half a chunk's size", []string{chunks("5")}, []Phase{Idle, InBody}, "the request's body did not arrive in time"},
		{"half a trailer", []string{chunks("0\r\nX"), ":"}, []Phase{Idle, InBody, InBody}, "the request's body did not arrive in time"},
		{"an empty line after a body", []string{post("Content-Length: 1") + "x\r\n"}, []Phase{Idle, Idle}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &phases{pieces: tt.pieces}
			_, err := readAll(NewReader(p, testLimits))
			reason := ""
			if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Status == 408 {
				reason = refusal.Reason
			} else if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			if reason != tt.reason || !slices.Equal(p.asked, tt.asked) {
				t.Errorf("refused for %q, asked for %v", reason, p.asked)
			}
		})
	}
}

// What comes while a request is answered is kept for the next, as far as there is
// room; that reading was made to end is forgiven.
func TestReadAhead(t *testing.T) {
	p := &phases{pieces: []string{get(), get()[:9], get()[9:] + get()}}
	c := NewReader(p, testLimits)
	if _, err := c.Next(nil); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		err = c.ReadAhead()
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || p.asked[1] != Ahead {
		t.Fatalf("read ahead for %v: %v", p.asked, err)
	}
	c.Forgive(err)
	for range 2 {
		if h, err := c.Next(nil); err != nil || h.Method != "GET" {
			t.Fatalf("next %+v, %v", h, err)
		}
	}
	if _, err := c.Next(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}

	p = &phases{pieces: append([]string{get()}, repeat(get("X: "+strings.Repeat("x", 1000)), 5)...)}
	c = NewReader(p, testLimits)
	if _, err := c.Next(nil); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		err = c.ReadAhead()
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("read ahead %v", err)
	}
	if all, _ := readAll(c); len(all) == 0 {
		t.Error("what was read ahead is lost")
	}
}

// What follows a request that asks for another protocol is that protocol's.
func TestRelease(t *testing.T) {
	upgrade := get("Upgrade: x", "Connection: upgrade")
	c := newStream(strings.NewReader(upgrade + "\r\n\x81\x00"))
	if _, err := c.Next(nil); err != nil {
		t.Fatal(err)
	}
	if rest := c.Release(); string(rest) != "\r\n\x81\x00" || c.Buffered() {
		t.Errorf("released %q", rest)
	}
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
			limits := Limits{HeadSize: 64 << 10, LineSize: 16 << 10}
			var fields []Field
			drain := make([]byte, 32<<10)
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			c := NewReader(&again{stream: stream}, limits)
			for b.Loop() {
				h, err := c.Next(fields[:0])
				for err == nil {
					_, err = c.Read(drain)
				}
				if !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
				fields = h.Fields
			}
		})
	}
}

// again brings the same over and over.
type again struct {
	stream string
	at     int
}

func (a *again) Read(p []byte, _ Phase) (int, error) {
	n := copy(p, a.stream[a.at:])
	a.at = (a.at + n) % len(a.stream)
	return n, nil
}
