package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

// What is under way with an upstream that is given up ends at once.
func TestCut(t *testing.T) {
	asked := make(chan bool, 1)
	u := rawApp(t, func(_ int, c net.Conn, br *bufio.Reader) {
		head := readHead(br)
		if strings.HasPrefix(head, "GET /begun ") {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"+strings.Repeat("x", 1<<18))
		}
		asked <- true
		_, _ = br.ReadByte() // until it is closed
	})
	for _, tt := range []struct {
		path  string
		begun int    // bytes of the answer that come before the cut
		want  string // that the client's answer begins with
	}{
		{"/", 0, "HTTP/1.1 502 Bad Gateway\r\n"},
		{"/begun", 1 << 16, "HTTP/1.1 200 OK\r\n"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			p := forwardTo(u)
			s := serve(t, p, proxy.Settings{})
			client, err := net.DialTimeout("tcp", s.addr, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := io.WriteString(client, "GET "+tt.path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			begun := make([]byte, tt.begun)
			if _, err := io.ReadFull(client, begun); err != nil {
				t.Fatal(err)
			}
			<-asked
			s.engine.Cut(u)
			rest, _ := io.ReadAll(client) // a cut may show as a reset
			if got := string(begun) + string(rest); !strings.HasPrefix(got, tt.want) || len(got) >= 1<<20 {
				t.Errorf("got %d bytes: %.80q", len(got), got)
			}
			if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrCut) {
				t.Errorf("the outcome is %v", o.Err)
			}
		})
	}
}

func TestCutHTTP2(t *testing.T) {
	asked := make(chan bool, 1)
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
	}))
	app.Config.Protocols = new(http.Protocols)
	app.Config.Protocols.SetUnencryptedHTTP2(true)
	app.Start()
	t.Cleanup(app.Close)
	u := upstream.New(upstream.H2C, app.Listener.Addr().String())
	p := forwardTo(u)
	s := serve(t, p, proxy.Settings{})
	go func() {
		<-asked
		s.engine.Cut(u)
	}()
	if got := s.say(t, closing); !strings.HasPrefix(got, "HTTP/1.1 502 Bad Gateway\r\n") {
		t.Errorf("got %q", got)
	}
	if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrCut) {
		t.Errorf("the outcome is %v", o.Err)
	}
}
