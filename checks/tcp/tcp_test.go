package tcp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/tcp"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	echo := echoServer(t)
	redis := servers.FreeAddress(t)
	_, port, _ := net.SplitHostPort(redis)
	servers.Run(t, servers.Spec{
		Name:    "redis-server",
		Args:    []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()},
		Listens: []string{redis},
	})
	// It repeats the words that it does not know.
	mute := servers.FreeAddress(t)
	_, port, _ = net.SplitHostPort(mute)
	servers.Run(t, servers.Spec{
		Name:    "redis-server",
		Args:    []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--rename-command", "AUTH", ""},
		Listens: []string{mute},
	})
	socket := filepath.Join(t.TempDir(), "redis.sock")
	servers.Run(t, servers.Spec{
		Name:    "redis-server",
		Args:    []string{"--port", "0", "--unixsocket", socket, "--save", "", "--dir", t.TempDir()},
		Listens: []string{socket},
	})
	for _, test := range []struct {
		name    string
		check   tcp.Check
		timeout time.Duration // 0: a minute, for what should take none
		output  string
		want    string // the error; empty: it passes
	}{
		{name: "listens", check: tcp.Check{Address: redis}, output: "accepts connections: " + redis},
		{name: "listens on a socket", check: tcp.Check{Address: socket}, output: "accepts connections: " + socket},
		{name: "answers", check: tcp.Check{Address: redis, Send: "PING\r\n", Expect: "+PONG"}, output: `answers "+PONG": ` + redis},
		{name: "answers on a socket", check: tcp.Check{Address: socket, Send: "PING\r\n", Expect: "+PONG"}, output: `answers "+PONG": ` + socket},
		{name: "answers in pieces", check: tcp.Check{Address: echo, Send: strings.Repeat("x", 50_000) + "end", Expect: "xend"}, output: `answers "xend": ` + echo},

		{name: "answers otherwise", check: tcp.Check{Address: redis, Send: "GARBAGE\r\nQUIT\r\n", Expect: "+PONG"}, want: `expected "+PONG", got "-ERR unknown command 'GARBAGE', with args beginning with:": ` + redis},
		{name: "repeats a password", check: tcp.Check{Address: mute, Send: "AUTH hunter2\r\nQUIT\r\n", Expect: "+PONG"}, want: `expected "+PONG", got "-ERR unknown command 'AUTH', with args beginning with: '...'": ` + mute},
		{name: "repeats a quoted password", check: tcp.Check{Address: mute, Send: "AUTH \"s3cret hunter2\"\r\nQUIT\r\n", Expect: "+PONG"}, want: `expected "+PONG", got "-ERR unknown command 'AUTH', with args beginning with: '... ...'": ` + mute},
		{name: "answers too much", check: tcp.Check{Address: echo, Send: strings.Repeat("x", 70_000), Expect: "y"}, want: fmt.Sprintf(`expected "y", got "%s...": %s`, strings.Repeat("x", 200), echo)},
		{name: "says nothing", check: tcp.Check{Address: redis, Expect: "220"}, timeout: time.Second, want: "connected, but no answer within 1s: " + redis},
		{name: "nobody listens", check: tcp.Check{Address: "127.0.0.1:1"}, want: "connection refused: 127.0.0.1:1"},
		{name: "no socket", check: tcp.Check{Address: "/nowhere.sock"}, want: "no such socket: /nowhere.sock"},
		{name: "unknown name", check: tcp.Check{Address: "cache.invalid:6379"}, want: "name does not resolve: cache.invalid"},
		{name: "hangs", check: broken(t, redis, servers.BlackHole), timeout: time.Second, want: "connected, but no answer within 1s: PROXY"},
		{name: "closes", check: broken(t, redis, servers.Close), want: "connection closed without an answer: PROXY"},
		{name: "resets", check: broken(t, redis, servers.Reset), want: "connection reset: PROXY"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := test.check.Validate(); err != nil {
				t.Fatal(err)
			}
			if test.timeout == 0 {
				test.timeout = time.Minute
			}
			ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
			defer cancel()
			output, err := test.check.Run(ctx)
			want := strings.ReplaceAll(test.want, "PROXY", test.check.Address)
			if want == "" && (err != nil || output != test.output) {
				t.Errorf("got %q, %v; want %q", output, err, test.output)
			}
			if want != "" && (err == nil || err.Error() != want) {
				t.Errorf("error = %v\nwant    %s", err, want)
			}
		})
	}
}

func TestLeavesNothingOpen(t *testing.T) {
	proxy := servers.Proxy(t, echoServer(t))
	check := tcp.Check{Address: proxy.Address(), Send: "ping", Expect: "ping"}
	before := runtime.NumGoroutine()
	for i := range 1000 {
		timeout := time.Minute
		switch i % 100 {
		case 50:
			proxy.Break(servers.BlackHole)
			timeout = 20 * time.Millisecond
		case 51:
			proxy.Break(servers.None)
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		if _, err := check.Run(ctx); (err != nil) != (i%100 == 50) {
			t.Fatalf("run %d: %v", i, err)
		}
		cancel()
	}
	checktest.Eventually(t, "no connection and no goroutine is left", func() bool { return proxy.Open() == 0 && runtime.NumGoroutine() <= before })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:80":  "",
		"[::1]:80":      "",
		"/run/app.sock": "",
		"":              "address: is missing: write host:port or the path of a unix socket",
		"127.0.0.1":     `address: "127.0.0.1" is not host:port, such as 127.0.0.1:6379 or [::1]:6379`,
		"::1:80":        `address: "::1:80" is not host:port, such as 127.0.0.1:6379 or [::1]:6379`,
		":80":           `address: ":80" is not host:port, such as 127.0.0.1:6379 or [::1]:6379`,
		"h:65536":       `address: "h:65536" has no port from 1 to 65535`,
		"h:0":           `address: "h:0" has no port from 1 to 65535`,
		"h:http":        `address: "h:http" has no port from 1 to 65535`,
	} {
		err := (&tcp.Check{Address: address}).Validate()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: error = %v, want %s", address, err, want)
		}
		if option, ok := errors.AsType[*checks.OptionError](err); err != nil && (!ok || option.Key != "address") {
			t.Errorf("%q: not an OptionError for address: %#v", address, err)
		}
	}
}

func broken(t *testing.T, upstream string, fault servers.Fault) tcp.Check {
	t.Helper()
	proxy := servers.Proxy(t, upstream)
	proxy.Break(fault)
	return tcp.Check{Address: proxy.Address(), Send: "PING\r\n", Expect: "+PONG"}
}

// echoServer says what it hears.
func echoServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}
