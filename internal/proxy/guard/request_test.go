package guard

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckRequest(t *testing.T) {
	good := Request{Method: "GET", Target: "/a%20b?c=%", Host: "example.org:8443"}
	for _, tt := range []struct {
		name   string
		change func(*Request)
		want   string // of the reason; "" is good
		status int
	}{
		{"good", func(*Request) {}, "", 0},
		{"the same host twice", func(r *Request) { r.Hosts = []string{"EXAMPLE.org:8443"} }, "", 0},
		{"OPTIONS *", func(r *Request) { r.Method, r.Target = "OPTIONS", "*" }, "", 0},
		{"GET *", func(r *Request) { r.Target = "*" }, "for OPTIONS alone", 400},
		{"a space in the method", func(r *Request) { r.Method = "GET /admin" }, "does not end with HTTP/1.1", 400},
		{"a request line in the method", func(r *Request) { r.Method = "GET / HTTP/1.1\r\nX: y\r\n\r\nGET" }, "does not end with HTTP/1.1", 400},
		{"a method that is no token", func(r *Request) { r.Method = "G(T" }, "invalid character", 400},
		{"CONNECT", func(r *Request) { r.Method, r.Target = "CONNECT", "/" }, "forward proxy", 405},
		{"a space in the path", func(r *Request) { r.Target = "/a HTTP/1.1" }, "does not end with HTTP/1.1", 400},
		{"a line break in the path", func(r *Request) { r.Target = "/a\r\nX:y" }, "control character", 400},
		{"a fragment", func(r *Request) { r.Target = "/a#b" }, "control character or a #", 400},
		{"half an escape", func(r *Request) { r.Target = "/a%2" }, "starts no escape", 400},
		{"an absolute target", func(r *Request) { r.Target = "http://example.org:8443/" }, "not a path", 400},
		{"no host", func(r *Request) { r.Host = "" }, "no host", 400},
		{"a host that is none", func(r *Request) { r.Host = "a b" }, "not valid", 400},
		{"a user in the host", func(r *Request) { r.Host = "u@example.org" }, "not valid", 400},
		{"two hosts", func(r *Request) { r.Hosts = []string{"example.com"} }, "differs", 400},
		{"a long target", func(r *Request) { r.Target = "/" + strings.Repeat("a", 1000) }, "too long", 414},
		{"a long field", func(r *Request) { r.Header = map[string][]string{"X": {strings.Repeat("a", 500)}} }, "field is too large", 431},
		{"many fields", func(r *Request) { r.Header = map[string][]string{"X": make([]string, MaxFields+1)} }, "too many", 431},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.change(&r)
			refusal := CheckRequest(&r, Limits{HeadSize: 4000, LineSize: 1000, FieldSize: 500})
			switch {
			case tt.want == "" && refusal != nil:
				t.Errorf("refused: %v", refusal)
			case tt.want != "" && (refusal == nil || refusal.Status != tt.status || !strings.Contains(refusal.Reason, tt.want)):
				t.Errorf("got %v, want %d %q", refusal, tt.status, tt.want)
			}
		})
	}
}

// FuzzCheckRequest holds the judgement of a request's parts against that of the
// text they become on the way to an upstream: what is good as parts is one good
// head as text.
func FuzzCheckRequest(f *testing.F) {
	f.Add("GET", "/a%20b?c", "example.org:443")
	f.Add("GET /x HTTP/1.1\r\nA:", "/", "a")
	f.Add("OPTIONS", "*", "[::1]")
	f.Add("GET", "http://a/", "a")
	f.Fuzz(func(t *testing.T, method, target, host string) {
		limits := Limits{HeadSize: 4000, LineSize: 1000}
		if CheckRequest(&Request{Method: method, Target: target, Host: host}, limits) != nil {
			return
		}
		text := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		r := NewReader(stream{strings.NewReader(text)}, limits)
		if h, err := r.Next(nil); err != nil || h.Method != method || h.Target != target || h.Length != 0 || r.Buffered() {
			t.Fatalf("%q: %+v, %v", text, h, err)
		}
	})
}

// A single field may have a limit of its own.
func TestFieldSize(t *testing.T) {
	for _, tt := range []struct {
		size int
		want int // the refusal's status
	}{{100 - len("X: \r\n"), 0}, {101 - len("X: \r\n"), 431}} {
		head := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", tt.size) + "\r\n\r\n"
		r := NewReader(stream{strings.NewReader(head)}, Limits{HeadSize: 4000, LineSize: 1000, FieldSize: 100})
		_, err := r.Next(nil)
		if got, _ := errors.AsType[*Refusal](err); (got == nil) != (tt.want == 0) || got != nil && got.Status != tt.want {
			t.Errorf("%d bytes: %v, want %d", tt.size, got, tt.want)
		}
	}
}
