package relay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hale/internal/relay"
	"hale/test/servers"
)

// patience bounds what should take no time, on a busy machine.
const patience = time.Minute

// inTurn is a policy that names its targets one after the other, for each
// connection anew.
type inTurn struct {
	targets []relay.Target
	done    chan *relay.Conn
}

func to(targets ...relay.Target) *inTurn { return &inTurn{targets, make(chan *relay.Conn, 100)} }

func (p *inTurn) Pick(c *relay.Conn) (relay.Target, bool) {
	if c.Try > len(p.targets) {
		return relay.Target{}, false
	}
	return p.targets[c.Try-1], true
}

func (p *inTurn) Done(c *relay.Conn) { p.done <- c }

// ended waits for the end of a connection.
func (p *inTurn) ended(t *testing.T) *relay.Conn {
	t.Helper()
	select {
	case c := <-p.done:
		return c
	case <-time.After(patience):
		t.Fatal("no connection ended")
		return nil
	}
}

// start starts a relay, which is gone with all its goroutines after the test.
func start(t testing.TB, p relay.Policy, settings relay.Settings, config *tls.Config) (*relay.Server, net.Listener) {
	t.Helper()
	l := listen(t)
	s := relay.NewServer(p, settings)
	served := make(chan error, 1)
	go func() {
		if config != nil {
			served <- s.ServeTLS(l, config)
		} else {
			served <- s.Serve(l)
		}
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, l
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// target starts a server that does the same with each connection.
func target(t testing.TB, do func(*net.TCPConn)) relay.Target {
	t.Helper()
	l := listen(t)
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				do(c.(*net.TCPConn))
			})
		}
	})
	return relay.Target{Address: l.Addr().String()}
}

func dial(t testing.TB, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func nobody(t testing.TB) relay.Target {
	l := listen(t)
	l.Close()
	return relay.Target{Address: l.Addr().String()}
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

// Each side's end is the other's: one may go on when the other has said all.
func TestHalfClose(t *testing.T) {
	sum := target(t, func(c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c) // until the client has said all
		fmt.Fprintf(c, "%d bytes", n)
		_, _ = c.Write(bytes.Repeat([]byte("x"), 1<<20))
	})
	first := target(t, func(c *net.TCPConn) { // says all first
		_, _ = io.WriteString(c, "bye")
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
	p := to(sum)
	s, l := start(t, p, relay.Settings{}, nil)
	c := dial(t, l)
	_, _ = c.Write(bytes.Repeat([]byte("x"), 3<<20))
	_ = c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || len(got) != 1<<20+len("3145728 bytes") || !strings.HasPrefix(string(got), "3145728 bytes") {
		t.Errorf("%d bytes %.20q, %v", len(got), got, err)
	}
	done := p.ended(t)
	if done.End != relay.Closed || done.Err != nil || done.In != 3<<20 || done.Out != int64(len(got)) || done.Try != 1 || done.Target != sum ||
		done.Client.String() != c.LocalAddr().String() || done.Local.String() != c.RemoteAddr().String() || done.Start.IsZero() || done.Connect <= 0 {
		t.Errorf("done %+v", done)
	}
	if st := s.Stats(); st.Accepted != 1 || st.Conns != 0 || st.In != 3<<20 || st.Out != int64(len(got)) {
		t.Errorf("stats %+v", st)
	}

	p = to(first)
	_, l = start(t, p, relay.Settings{}, nil)
	c = dial(t, l)
	if got, err := io.ReadAll(c); string(got) != "bye" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_, _ = c.Write([]byte("still here"))
	c.Close()
	if done := p.ended(t); done.End != relay.Closed || done.In != 10 || done.Out != 3 {
		t.Errorf("done %+v", done)
	}
}

// A connection that one target refuses goes to another; without any, the client
// is reset.
func TestPick(t *testing.T) {
	good := target(t, echo)
	p := to(nobody(t), nobody(t), good)
	_, l := start(t, p, relay.Settings{}, nil)
	c := dial(t, l)
	_, _ = io.WriteString(c, "hello")
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if done := p.ended(t); done.Try != 3 || done.Target != good || done.Err != nil {
		t.Errorf("done %+v", done)
	}

	p = to(nobody(t))
	_, l = start(t, p, relay.Settings{}, nil)
	refused, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		defer refused.Close()
		_ = refused.SetDeadline(time.Now().Add(patience))
		_, err = refused.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
	if done := p.ended(t); done.End != relay.NoTarget || done.Try != 2 || !errors.Is(done.Err, syscall.ECONNREFUSED) {
		t.Errorf("done %+v", done)
	}
}

// A reset is passed on as one.
func TestReset(t *testing.T) {
	resets := target(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
	})
	p := to(resets)
	_, l := start(t, p, relay.Settings{}, nil)
	c := dial(t, l)
	_, _ = io.WriteString(c, "x")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
	if done := p.ended(t); done.End != relay.TargetReset || done.Err == nil {
		t.Errorf("done %+v", done)
	}

	saw := make(chan error, 1)
	p = to(target(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "x")
		_, err := io.Copy(io.Discard, c)
		saw <- err
	}))
	_, l = start(t, p, relay.Settings{}, nil)
	c = dial(t, l)
	_, _ = c.Read(make([]byte, 1))
	_ = c.SetLinger(0)
	c.Close()
	if err := <-saw; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the target saw %v", err)
	}
	if done := p.ended(t); done.End != relay.ClientReset {
		t.Errorf("done %+v", done)
	}
}

func TestIdle(t *testing.T) {
	p := to(target(t, echo))
	_, l := start(t, p, relay.Settings{IdleTimeout: 400 * time.Millisecond}, nil)
	c := dial(t, l)
	began := time.Now()
	for time.Since(began) < time.Second { // longer than the time-out, but never idle
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Skip("the machine was too busy to keep the connection from being idle:", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	began = time.Now()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
	if idle := time.Since(began); idle < 390*time.Millisecond {
		t.Errorf("reset after %v", idle)
	}
	if done := p.ended(t); done.End != relay.Idle || done.In == 0 || done.In != done.Out {
		t.Errorf("done %+v", done)
	}
}

// The connections to one target can be cut.
func TestCut(t *testing.T) {
	bad, good := target(t, echo), target(t, echo)
	p, other := to(bad), to(good)
	s, l := start(t, p, relay.Settings{}, nil)
	_, otherListener := start(t, other, relay.Settings{}, nil)
	both := []*net.TCPConn{dial(t, l), dial(t, l)}
	kept := dial(t, otherListener)
	for _, c := range append(both, kept) {
		_, _ = io.WriteString(c, "x")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	to := func(want relay.Target) func(relay.Target, netip.AddrPort, netip.AddrPort) bool {
		return func(got relay.Target, _, _ netip.AddrPort) bool { return got == want }
	}
	if n := s.Cut(to(good)); n != 0 {
		t.Errorf("%d were cut that go elsewhere", n)
	}
	if n := s.Cut(to(bad)); n != 2 {
		t.Errorf("%d were cut", n)
	}
	for _, c := range both {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got %v", err)
		}
		if done := p.ended(t); done.End != relay.Cut {
			t.Errorf("done %+v", done)
		}
	}
	_, _ = io.WriteString(kept, "x")
	if _, err := kept.Read(make([]byte, 1)); err != nil {
		t.Errorf("the other connection: %v", err)
	}
	kept.Close()
}

// A listener that is closed leaves its connections. Shutdown waits for them, then
// cuts them.
func TestShutdown(t *testing.T) {
	p := to(target(t, echo))
	s := relay.NewServer(p, relay.Settings{})
	one, other := listen(t), listen(t)
	served := make(chan error, 2)
	for _, l := range []net.Listener{one, other} {
		go func() { served <- s.Serve(l) }()
	}
	ping := func(c net.Conn) {
		t.Helper()
		_, _ = io.WriteString(c, "x")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
	a, b := dial(t, one), dial(t, other)
	ping(a)
	ping(b)
	one.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	ping(a)
	down := make(chan error)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { down <- s.Shutdown(ctx) }()
	if err := <-served; err != nil {
		t.Error(err)
	}
	ping(b)
	a.Close()
	if done := p.ended(t); done.End != relay.Closed {
		t.Errorf("done %+v", done)
	}
	late := errors.New("too late")
	cancel(late)
	if err := <-down; !errors.Is(err, late) || !strings.HasPrefix(err.Error(), "1 connections were cut") {
		t.Errorf("shutdown: %v", err)
	}
	if done := p.ended(t); done.End != relay.Cut {
		t.Errorf("done %+v", done)
	}
	third := listen(t)
	if err := s.Serve(third); err != nil {
		t.Error(err)
	}
}

func certificate() tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Certificates[0]
}

func TestTLS(t *testing.T) {
	app := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d bytes", len(body))
	}))
	defer app.Close()
	p := to(relay.Target{Address: app.Listener.Addr().String(), TLS: true})
	_, l := start(t, p, relay.Settings{TLSTimeout: patience}, &tls.Config{Certificates: []tls.Certificate{certificate()}})
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "a.example"}}}
	resp, err := client.Post("https://"+l.Addr().String(), "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "100000 bytes" {
		t.Errorf("got %q", body)
	}
	if done := p.ended(t); done.Handshake == nil || done.Handshake.ServerName != "a.example" || done.In <= 100_000 {
		t.Errorf("done %+v", done)
	}
	c := dial(t, l)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
	if done := p.ended(t); done.End != relay.NoTLS || done.Err == nil || done.Try != 0 {
		t.Errorf("done %+v", done)
	}
}

// The header is that of a Network Load Balancer: 100 bytes over IPv4.
func TestProxyHeader(t *testing.T) {
	got := make(chan []byte, 1)
	tt := target(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		got <- b
	})
	tt.ProxyV2 = true
	_, l := start(t, to(tt), relay.Settings{}, nil)
	c := dial(t, l)
	_, _ = io.WriteString(c, "hello")
	_ = c.CloseWrite()
	b := <-got
	if len(b) != 105 || string(b[100:]) != "hello" {
		t.Fatalf("%q", b)
	}
	b = b[:100]
	client, local := c.LocalAddr().(*net.TCPAddr), c.RemoteAddr().(*net.TCPAddr)
	want := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x54\x7f\x00\x00\x01\x7f\x00\x00\x01"
	want += string(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(client.Port)), uint16(local.Port)))
	want += "\x03\x00\x04"
	if !strings.HasPrefix(string(b), want) {
		t.Errorf("got  %q\nwant %q", b, want)
	}
	sum := binary.BigEndian.Uint32(b[len(want):])
	copy(b[len(want):], "\x00\x00\x00\x00")
	if crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) != sum {
		t.Errorf("checksum %x", sum)
	}
	if rest := b[len(want)+4:]; !bytes.HasPrefix(rest, []byte("\x04\x00\x3e")) || len(rest) != 3+0x3e {
		t.Errorf("padding %q", rest)
	}
}

// nginx believes the header.
func TestProxyHeaderNginx(t *testing.T) {
	servers.Need(t, "nginx")
	address := servers.FreeAddress(t)
	servers.Nginx(t, "", fmt.Sprintf(`server { listen %s proxy_protocol; location / { return 200 "$proxy_protocol_addr:$proxy_protocol_port"; } }`, address), address)
	_, l := start(t, to(relay.Target{Address: address, ProxyV2: true}), relay.Settings{}, nil)
	c := dial(t, l)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	got, _ := io.ReadAll(c)
	if want := "\r\n\r\n" + c.LocalAddr().String(); !strings.HasSuffix(string(got), want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
