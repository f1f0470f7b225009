package inturn_test

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"hale/internal/inturn"
)

// talkative is a server that speaks before it is asked.
func talkative(t *testing.T) (address string) {
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
			_, _ = io.WriteString(conn, "SSH-2.0-talkative\r\n")
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// The standard logger is everybody's, so this test does not run beside others.
func TestNothingOnStandardError(t *testing.T) {
	var said bytes.Buffer
	before := log.Writer()
	log.SetOutput(&said)
	defer log.SetOutput(before)
	address := talkative(t)
	// Leaves the greeting the time to arrive.
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { time.Sleep(20 * time.Millisecond) }})
	for range 3 {
		transport := &http.Transport{DialContext: inturn.Dial(new(net.Dialer).DialContext), DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			t.Fatal("an SSH server's greeting is taken for an answer")
		}
		if !strings.Contains(err.Error(), `malformed HTTP response "SSH-2.0-talkative"`) {
			t.Fatal(err)
		}
	}
	if said.Len() > 0 {
		t.Errorf("on standard error: %s", said.String())
	}
}

func TestConn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		turn func(conn, server net.Conn)
		want string
	}{
		{"heard once we have spoken", func(conn, _ net.Conn) { _, _ = io.WriteString(conn, "hello") }, "welcome"},
		{"heard when we are done", func(conn, _ net.Conn) { _ = conn.Close() }, "welcome"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, client := net.Pipe()
			go func() {
				_, _ = io.WriteString(server, "welcome")
				_, _ = io.Copy(io.Discard, server)
			}()
			conn := inturn.Conn(client)
			heard := make(chan string, 1)
			go func() {
				b := make([]byte, 16)
				n, _ := conn.Read(b)
				heard <- string(b[:n])
			}()
			select {
			case text := <-heard:
				t.Fatalf("heard %q before our turn", text)
			case <-time.After(20 * time.Millisecond):
			}
			test.turn(conn, server)
			if text := <-heard; text != test.want {
				t.Errorf("heard %q, want %q", text, test.want)
			}
			server.Close()
		})
	}
	t.Run("an end is heard at once", func(t *testing.T) {
		t.Parallel()
		server, client := net.Pipe()
		server.Close()
		if _, err := inturn.Conn(client).Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // Read's own
			t.Errorf("err = %v", err)
		}
	})
}
