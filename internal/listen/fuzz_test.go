package listen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/probe"
)

// FuzzConnection plays what a client may send to a whole server: it must neither
// panic nor go on for ever, keep no more than it may, and show nothing that a
// terminal obeys.
func FuzzConnection(f *testing.F) {
	files, err := filepath.Glob("testdata/visits/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal(len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		script, _, _ := strings.Cut(string(content), "----------\n")
		var sent strings.Builder
		for line := range strings.SplitSeq(script, "\n") {
			if !strings.HasPrefix(line, "-- ") {
				text, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
				if err != nil {
					f.Fatal(err)
				}
				sent.WriteString(text)
			}
		}
		f.Add([]byte(sent.String()), false)
	}
	cert, err := SelfSigned()
	if err != nil {
		f.Fatal(err)
	}
	config, probers := TLSConfig(cert), probe.Probers()
	f.Fuzz(func(t *testing.T, sent []byte, secure bool) {
		s := Server{Probers: probers}
		if secure {
			s.TLS = config
		}
		var text, raw, documents bytes.Buffer
		log := logs{&Text{Out: &text}, &Text{Out: &raw, Raw: true, Width: 80}, &JSON{Out: &documents}}
		conn := &recording{Reader: bytes.NewReader(sent), closed: make(chan struct{})}
		summary, err := s.Serve(context.Background(), &oneConn{conn: conn}, log)
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := summary.Write(&text); err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{text.String(), raw.String(), documents.String()} {
			for i := range len(out) {
				if b := out[i]; b != '\n' && (b < ' ' || b > '~') {
					t.Fatalf("byte %#x reaches the terminal: %q", b, out[max(0, i-40):i+1])
				}
			}
		}
		if summary.Visits == 0 {
			t.Error("nothing was told")
		}
	})
}

type logs []Log

func (all logs) Visit(v *Visit) error {
	for _, log := range all {
		if err := log.Visit(v); err != nil {
			return err
		}
	}
	return nil
}

func (all logs) Left(l *Left) error {
	for _, log := range all {
		if err := log.Left(l); err != nil {
			return err
		}
	}
	return nil
}

// oneConn is a listener to which one client comes, and which fails when that has
// gone.
type oneConn struct {
	conn *recording
	came bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.came {
		<-l.conn.closed
		return nil, io.EOF
	}
	l.came = true
	return l.conn, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// recording is a connection that has been recorded: its client has sent all, and
// closed it.
type recording struct {
	io.Reader
	once   sync.Once
	closed chan struct{} // when the server has closed it, too
}

func (r *recording) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

func (*recording) Write(p []byte) (int, error) { return len(p), nil }
func (*recording) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(10, 0, 1, 23), Port: 8080} }

func (*recording) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(10, 0, 2, 17), Port: 41234} }
func (*recording) SetDeadline(time.Time) error      { return nil }
func (*recording) SetReadDeadline(time.Time) error  { return nil }
func (*recording) SetWriteDeadline(time.Time) error { return nil }

// FuzzRequest holds the parser to what it was given: a head that it takes ends
// with an empty line, and nothing of it is lost.
func FuzzRequest(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f.Add("GET /\r\n")
	f.Add("\r\n\nget  x y HTTP/9 \n a\n: b\nc\r\r\n\n")
	f.Fuzz(func(t *testing.T, sent string) {
		var whole, parts headScan
		end, ok := whole.scan([]byte(sent))
		for n := range len(sent) { // as if it came byte by byte
			parted, partedOK := parts.scan([]byte(sent[:n+1]))
			if parted > 0 || !partedOK {
				if parted != end || partedOK != ok {
					t.Fatalf("%q ends at %d (%v), byte by byte at %d (%v)", sent, end, ok, parted, partedOK)
				}
				break
			}
		}
		if !ok || end == 0 {
			return
		}
		r := parseRequest([]byte(sent[:end]))
		if r.Method == "" || r.Target == "" || r.Version == "" {
			t.Errorf("%q has the method %q, the target %q, the version %q", sent, r.Method, r.Target, r.Version)
		}
		if len(r.Flaws) > 0 || r.Version == http09Version {
			return
		}
		again := r.Method + " " + r.Target + " " + r.Version + "\r\n"
		rest := sent[len(again):end]
		for _, field := range r.Fields {
			line, after, _ := strings.Cut(rest, "\r\n")
			name, value, _ := strings.Cut(line, ":")
			if name != field.Name || strings.Trim(value, " \t") != field.Value {
				t.Fatalf("%q was read as %q: %q", line, field.Name, field.Value)
			}
			rest = after
		}
		if rest != "\r\n" || !strings.HasPrefix(sent, again) {
			t.Errorf("%q was read as %+v, with %q left", sent, r, rest)
		}
	})
}

// FuzzProxyHeader holds version 2 to its length.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("\x21\x11\x00\x0c\x0a\x00\x02\x11\x0a\x00\x01\x17\xa1\x12\x1f\x90"))
	f.Add([]byte("\x20\x11\x00\x07\x03\x00\x04\xa9\xb8\x7e\x8f"))
	f.Add([]byte("\x21\x31\x00\x00"))
	f.Fuzz(func(t *testing.T, rest []byte) {
		w := newWire(&recording{Reader: io.MultiReader(strings.NewReader(proxyV2), bytes.NewReader(rest))})
		if _, err := w.peek(1, time.Time{}); err != nil {
			t.Fatal(err)
		}
		h, err := w.proxyHeader(time.Time{})
		if err != nil {
			return
		}
		if taken := int64(16) + int64(rest[2])<<8 + int64(rest[3]); w.size != taken {
			t.Errorf("took %d bytes, want %d", w.size, taken)
		}
		_ = h.String()
	})
}
