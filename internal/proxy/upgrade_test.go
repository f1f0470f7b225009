package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

// upgradeTo forwards everything, and lets connections change to the protocol.
func upgradeTo(u upstream.Upstream, protocol string) *policy {
	return &policy{action: func(*proxy.Head) proxy.Action {
		return proxy.Action{Kind: proxy.Forward, Upstream: u, Upgrade: protocol}
	}}
}

func TestWebSocket(t *testing.T) {
	u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if c.Write(r.Context(), kind, msg) != nil {
				return
			}
		}
	})
	p := upgradeTo(u, "websocket")
	s := serve(t, p, proxy.Settings{StreamTimeout: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, "ws://"+s.addr+"/chat", &websocket.DialOptions{Subprotocols: []string{"echo"}}) //nolint:bodyclose // c has it
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if resp.StatusCode != 101 || c.Subprotocol() != "echo" {
		t.Errorf("status %d, subprotocol %q", resp.StatusCode, c.Subprotocol())
	}
	c.SetReadLimit(1 << 20)
	for _, msg := range []string{"hello", "", strings.Repeat("x", 100_000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // longer than StreamTimeout: silence is a WebSocket's right
		if _, got, err := c.Read(ctx); string(got) != msg || err != nil {
			t.Fatalf("got %d bytes, error %v", len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
	if o := p.outcome(t, 0); o.Status != 101 || o.Err != nil || o.BytesIn < 100_000 || o.BytesOut < 100_000 {
		t.Errorf("outcome %+v", o)
	}
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"

// Bytes that come along with the heads belong to the new protocol, and each
// direction ends by itself.
func TestUpgrade(t *testing.T) {
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, switching+"welcome\n")
		all, _ := io.ReadAll(br) // to the client's half-close
		_, _ = io.WriteString(c, "you said "+string(all))
	})
	s := serve(t, upgradeTo(u, "lines"), proxy.Settings{})
	c := s.dial(t)
	br := bufio.NewReader(c)
	_, _ = io.WriteString(c, upgradeRequest)
	if h := readHead(br); sortHead(h) != sortHead(switching) {
		t.Errorf("got %q", h)
	}
	if line, _ := br.ReadString('\n'); line != "welcome\n" {
		t.Errorf("got %q", line)
	}
	_, _ = io.WriteString(c, "GET is no request here\r\n\x00\x01")
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(br); string(rest) != "you said GET is no request here\r\n\x00\x01" || err != nil {
		t.Errorf("got %q, error %v", rest, err)
	}
}

func TestUpgradeRefused(t *testing.T) {
	for _, tt := range []struct{ name, allowed, from, status string }{
		{"by the app", "lines", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403 Forbidden"},
		{"to another protocol", "lines", strings.Replace(switching, "lines", "h2c", 1), "502 Bad Gateway"},
		{"to none", "lines", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "502 Bad Gateway"},
		{"by the policy", "websocket", okAnswer, "200 OK"},
		{"by the policy, but the app obeys the client", "", switching, "502 Bad Gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, upgradeTo(answering(t, tt.from), tt.allowed), proxy.Settings{})
			c := s.dial(t)
			_, _ = io.WriteString(c, upgradeRequest)
			if h := readHead(bufio.NewReader(c)); !strings.HasPrefix(h, "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("got %s", h)
			}
		})
	}
}

// Upgraded connections end with the server, at its deadline.
func TestUpgradeAtShutdown(t *testing.T) {
	gone := make(chan error, 1)
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, switching)
		_, err := br.ReadByte()
		gone <- err
	})
	p := upgradeTo(u, "lines")
	s := serve(t, p, proxy.Settings{})
	c := s.dial(t)
	_, _ = io.WriteString(c, upgradeRequest)
	readHead(bufio.NewReader(c))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-gone; err == nil {
		t.Error("the upstream's connection is still open")
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the client's connection is still open")
	}
	if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrClosing) || o.Status != 101 {
		t.Errorf("outcome %+v", o)
	}
	if n := s.server.Conns(); n != 0 {
		t.Errorf("%d connections left", n)
	}
}
