package probe_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hale/internal/probe"
	"hale/test/servers"
)

func TestIdleClose(t *testing.T) {
	t.Parallel()
	const kept = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	const wait = 200 * time.Millisecond
	cert := servers.NewCertificate(t, "127.0.0.1")
	config := &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
	after := func(answer, farewell string) func(net.Conn) {
		return func(conn net.Conn) {
			request := readRequest(conn)
			if !strings.Contains(request, "\r\nConnection: keep-alive\r\n") || !strings.Contains(request, " HTTP/1.1\r\n") {
				io.WriteString(conn, "HTTP/1.1 400 the connection is not to be kept\r\n\r\n")
				return
			}
			io.WriteString(conn, answer)
			time.Sleep(wait)
			io.WriteString(conn, farewell)
		}
	}
	for name, test := range map[string]struct {
		as      string
		handle  func(net.Conn)
		least   time.Duration
		closed  bool
		problem bool
	}{
		"closed after a while":          {as: "alb", handle: after(kept, ""), least: 1, closed: true},
		"a farewell":                    {as: "alb", handle: after(kept, "HTTP/1.1 408 Request Timeout\r\n\r\n"), least: 1, closed: true},
		"a prober of HTTP/1.0":          {as: "haproxy", handle: after(kept, ""), least: 1, closed: true},
		"said that it closes":           {as: "alb", handle: after("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", ""), closed: true},
		"an answer of HTTP/1.0":         {as: "alb", handle: after("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", ""), closed: true},
		"HTTP/1.0 that keeps":           {as: "alb", handle: after("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", ""), least: 1, closed: true},
		"a body up to the end":          {as: "alb", handle: after("HTTP/1.1 200 OK\r\n\r\nok", ""), closed: true},
		"still open":                    {as: "alb", handle: holds(kept)},
		"no answer":                     {as: "alb", handle: func(net.Conn) {}, problem: true},
		"an answer that is no success":  {as: "alb", handle: after("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", ""), least: 1, closed: true},
		"over TLS, closed with a word":  {as: "classic", handle: after(kept, ""), least: 1, closed: true},
		"over TLS, closed without word": {as: "alb", handle: nil, least: 1, closed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := patience
			if name == "still open" {
				limit = wait
			}
			url := "http://"
			switch {
			case test.handle == nil:
				url = "https://" + target(t, func(conn net.Conn) {
					after(kept, "")(tls.Server(conn, config))
					conn.Close()
				})
			case strings.HasPrefix(name, "over TLS"):
				url = "https://" + secureTarget(t, config, test.handle)
			default:
				url += target(t, test.handle)
			}
			took, closed, err := filled(t, test.as, url, probe.Options{}).IdleClose(t.Context(), limit)
			if closed != test.closed || took < test.least || (err != nil) != test.problem {
				t.Errorf("closed %v after %v, %v", closed, took, err)
			}
			if closed && test.least == 0 && took != 0 {
				t.Errorf("closed with the answer, but after %v", took)
			}
		})
	}
}

// The server's time-out counts, not the probe's: that is for the answer alone.
func TestIdleCloseOutlastsTheTimeout(t *testing.T) {
	t.Parallel()
	p := filled(t, "alb", "http://"+target(t, func(conn net.Conn) {
		readRequest(conn)
		io.WriteString(conn, whole)
		bufio.NewReader(conn).Peek(1) // until the client goes
	}), probe.Options{Timeout: 3 * time.Second})
	took, closed, err := p.IdleClose(t.Context(), 3500*time.Millisecond)
	if closed || err != nil || took < 3500*time.Millisecond {
		t.Errorf("closed %v after %v, %v", closed, took, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p.Timeout = patience
	if _, closed, err := p.IdleClose(ctx, patience); closed || err == nil {
		t.Errorf("interrupted: closed %v, %v", closed, err)
	}
}
