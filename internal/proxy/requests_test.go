package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

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
		{"h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", action{Upgrade: "h2c"}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"upgrade of which the policy says nothing", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", action{}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"upgrade to another protocol than the policy's", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n", action{Upgrade: "websocket"}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"upgrade to one of several", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n", action{Upgrade: "websocket"}, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"upgrade nobody asks for", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", action{Upgrade: "websocket"}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"upgrade with a body", "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx", action{Upgrade: "websocket"}, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"},
		{"upgrade without Connection", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", action{Upgrade: "websocket"}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", action{Upgrade: "websocket"}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"websocket", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n\r\n", action{Upgrade: "websocket"}, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
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

// Some clients end a body with a line of its own (RFC 9112, 2.2).
func TestEmptyLineBeforeRequest(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	s := serve(t, forwardTo(u), proxy.Settings{})
	got := s.say(t, "\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\r\n"+closing)
	if strings.Count(got, "HTTP/1.1 200 OK\r\n") != 2 || !strings.Contains(got, "\r\n\r\nab") {
		t.Errorf("got %s", got)
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
		return proxy.Action{Kind: proxy.Answer, Status: 302, Response: []proxy.Field{{"Location", "/x"}, {"Set-Cookie", "a"}, {"Set-Cookie", "b"}}, Body: []byte("see /x\n")}
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
