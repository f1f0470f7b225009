package uwsgi_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hale/internal/uwsgi"
)

// fields makes a header of names and values by turns.
func fields(namesAndValues ...string) (header []uwsgi.Field) {
	for pair := range slices.Chunk(namesAndValues, 2) {
		header = append(header, uwsgi.Field{Name: pair[0], Value: pair[1]})
	}
	return header
}

// decode reads a packet as uWSGI does.
func decode(b []byte) (map[string]string, error) {
	if len(b) < 4 || b[0] != 0 || b[3] != 0 || int(binary.LittleEndian.Uint16(b[1:])) != len(b)-4 {
		return nil, fmt.Errorf("header % x of %d bytes", b[:min(4, len(b))], len(b))
	}
	b = b[4:]
	next := func() (string, error) {
		if len(b) < 2 || len(b)-2 < int(binary.LittleEndian.Uint16(b)) {
			return "", io.ErrUnexpectedEOF
		}
		n := int(binary.LittleEndian.Uint16(b))
		s := string(b[2 : 2+n])
		b = b[2+n:]
		return s, nil
	}
	vars := map[string]string{}
	for len(b) > 0 {
		name, err := next()
		if err != nil {
			return nil, err
		}
		value, err := next()
		if err != nil {
			return nil, err
		}
		if _, twice := vars[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		vars[name] = value
	}
	return vars, nil
}

func TestAppend(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    uwsgi.Request
		want map[string]string
	}{
		{
			"least",
			uwsgi.Request{Method: "GET", Target: "/", ContentLength: -1},
			map[string]string{
				"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "",
				"SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http", "UWSGI_SCHEME": "http",
				"SERVER_NAME": "localhost", "SERVER_PORT": "80", "REMOTE_ADDR": "",
			},
		},
		{
			"most",
			uwsgi.Request{
				Method: "POST", Target: "/caf%C3%A9%2fx//y?a=%20&b", Proto: "HTTP/1.0", Host: "mysite.example:8080", Scheme: "https",
				Client: netip.MustParseAddrPort("[::ffff:203.0.113.9]:4711"), Local: netip.MustParseAddrPort("10.0.0.5:8080"), ContentLength: 12,
				Header: fields("content-type", "text/plain", "X-Forwarded-For", "1", "Content-Length", "999", "Accept", "a", "Host", "forged"),
			},
			map[string]string{
				"REQUEST_METHOD": "POST", "REQUEST_URI": "/caf%C3%A9%2fx//y?a=%20&b", "SCRIPT_NAME": "", "PATH_INFO": "/café/x//y", "QUERY_STRING": "a=%20&b",
				"SERVER_PROTOCOL": "HTTP/1.0", "REQUEST_SCHEME": "https", "UWSGI_SCHEME": "https", "HTTPS": "on",
				"SERVER_NAME": "mysite.example", "SERVER_PORT": "8080", "REMOTE_ADDR": "203.0.113.9", "REMOTE_PORT": "4711",
				"CONTENT_LENGTH": "12", "CONTENT_TYPE": "text/plain", "HTTP_HOST": "mysite.example:8080", "HTTP_X_FORWARDED_FOR": "1", "HTTP_ACCEPT": "a",
			},
		},
		{
			"fields of one name, and those left out",
			uwsgi.Request{
				Method: "GET", Target: "/", Host: "[2001:db8::1]:80", ContentLength: -1, Client: netip.MustParseAddrPort("[2001:db8::2]:0"), Scheme: "https",
				Header: fields("Accept", "a", "Cookie", "x=1", "accept", "b", "cookie", "y=2", "Proxy", "evil", "X_Forwarded_Proto", "http", "X-Empty", ""),
			},
			map[string]string{
				"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "",
				"SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "https", "UWSGI_SCHEME": "https", "HTTPS": "on",
				"SERVER_NAME": "2001:db8::1", "SERVER_PORT": "443", "REMOTE_ADDR": "2001:db8::2", "HTTP_HOST": "[2001:db8::1]:80",
				"HTTP_ACCEPT": "a, b", "HTTP_COOKIE": "x=1; y=2", "HTTP_X_EMPTY": "",
			},
		},
		{
			"empty body, asterisk",
			uwsgi.Request{Method: "OPTIONS", Target: "*", ContentLength: 0, Local: netip.MustParseAddrPort("127.0.0.1:81")},
			map[string]string{
				"REQUEST_METHOD": "OPTIONS", "REQUEST_URI": "*", "SCRIPT_NAME": "", "PATH_INFO": "*", "QUERY_STRING": "",
				"SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http", "UWSGI_SCHEME": "http",
				"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "81", "REMOTE_ADDR": "", "CONTENT_LENGTH": "0",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := tt.r.Append([]byte("before"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(b[len("before"):])
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, tt.want) {
				for _, name := range slices.Sorted(maps.Keys(got)) {
					if w, ok := tt.want[name]; !ok || w != got[name] {
						t.Errorf("%s is %q, want %q (there: %v)", name, got[name], w, ok)
					}
				}
				for name := range tt.want {
					if _, ok := got[name]; !ok {
						t.Errorf("%s is missing", name)
					}
				}
			}
		})
	}
}

func TestAppendErrors(t *testing.T) {
	for _, target := range []string{"/%", "/%4", "/%zz", "/%00"} {
		if b, err := (&uwsgi.Request{Target: target}).Append([]byte("x")); !errors.Is(err, uwsgi.ErrBadPath) || string(b) != "x" {
			t.Errorf("%s: %q, %v", target, b, err)
		}
	}
	for _, n := range []int{65_000, 70_000, 200_000} {
		r := uwsgi.Request{Target: "/", Header: fields("X", strings.Repeat("x", n))}
		b, err := r.Append(nil)
		if n == 65_000 {
			if err != nil || len(b) < n {
				t.Errorf("%d bytes: %v", n, err)
			}
			continue
		}
		if se, ok := errors.AsType[*uwsgi.SizeError](err); !ok || se.Size < n {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("GET", "/a%20b?c", "a.example:80", "X-Y", "z")
	f.Add("POST", "*", "[::1]", "Content-Type", "")
	f.Fuzz(func(t *testing.T, method, target, host, name, value string) {
		r := uwsgi.Request{Method: method, Target: target, Host: host, Header: fields(name, value, "Cookie", value, name, method)}
		b, err := r.Append(nil)
		if err != nil {
			return
		}
		vars, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if vars["REQUEST_METHOD"] != method || vars["REQUEST_URI"] != target || vars["HTTP_COOKIE"] == "" && value != "" {
			t.Fatalf("%q", vars)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := uwsgi.Request{
		Method: "GET", Target: "/page?q=1", Host: "mysite.example", Client: netip.MustParseAddrPort("203.0.113.9:1"), ContentLength: -1,
		Header: fields("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)", "Accept", "*/*", "Accept-Language", "en", "Accept-Encoding", "gzip",
			"Cookie", "sessionid=0123456789abcdef", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https"),
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Append(buf); err != nil {
			b.Fatal(err)
		}
	}
}
