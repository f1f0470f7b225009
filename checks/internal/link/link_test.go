package link_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"hale/checks/internal/link"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestStranger(t *testing.T) {
	t.Parallel()
	for first, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\nServer: x\r\n": `answered as HTTP ("HTTP/1.1 400 Bad Request"), not LDAP: `,
		"SSH-2.0-OpenSSH_9.2\r\n":                   `answered as SSH ("SSH-2.0-OpenSSH_9.2"), not LDAP: `,
		"220 mx.example.com ESMTP\r\n":              `answered "220 mx.example.com ESMTP", which is not LDAP: `,
		"\x15\x03\x01\x00\x02\x02\x46":              "the server speaks TLS on this port, and was asked without: ",
		"\x00\x01binary":                            "answered something that is not LDAP: ",
		"caf\xe9\r\n":                               "answered something that is not LDAP: ",
	} {
		address := servers.Speaker(t, first)
		conn, err := link.Dial(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if conn.Began("") {
			t.Error("began before it was read")
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		if err := conn.Stranger("LDAP", io.EOF); err.Error() != want+address || !errors.Is(err, io.EOF) {
			t.Errorf("%q is %v\nwant %s", first, err, want)
		}
		if !conn.Began(first[:3]) || conn.Began("x") {
			t.Errorf("%q begins otherwise", first)
		}
		conn.Close()
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	const silence, patience = time.Second, time.Minute
	silent, chatty, endless := servers.Speaker(t, ""), servers.Speaker(t, "hello"), servers.Speaker(t, strings.Repeat("x", 3<<20))
	for _, test := range []struct {
		name, address, step, hint string
		timeout                   time.Duration
		want                      string
	}{
		{"no greeting", hanging(t), "", "", silence, "connected, but no answer within 1s: ADDRESS"},
		{"no answer", hanging(t), "EHLO", "(odd)", silence, "connected, but no answer to EHLO within 1s: ADDRESS"},
		{"hangs up", silent, "", "", patience, "connection closed without an answer: ADDRESS"},
		{"hangs up, and why", silent, "", "(full moon)", patience, "connection closed without an answer (full moon): ADDRESS"},
		{"hangs up later", chatty, "", "(full moon)", patience, "connection closed without an answer: ADDRESS"},
		{"never ends", endless, "", "", patience, "answers without end, more than 1MiB by now: ADDRESS"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
		conn, err := link.Dial(ctx, test.address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Hint = test.hint
		if _, err = io.Copy(io.Discard, conn); err == nil {
			err = io.EOF
		}
		if got := checktest.OnTime(conn.Explain(test.step, err).Error(), test.timeout); got != strings.ReplaceAll(test.want, "ADDRESS", test.address) {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
		conn.Close()
		cancel()
	}
}

// What waits on a connection ends when the run is cancelled, and when it is to
// hurry.
func TestEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*link.Conn, context.CancelFunc){
		"cancelled": func(_ *link.Conn, cancel context.CancelFunc) { cancel() },
		"hurried":   func(conn *link.Conn, _ context.CancelFunc) { conn.Hurry(time.Millisecond) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		conn, err := link.Dial(ctx, hanging(t))
		if err != nil {
			t.Fatal(err)
		}
		end(conn, cancel)
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: read something", name)
		} else if got := conn.Explain("", err).Error(); name == "cancelled" && got != "interrupted: "+conn.RemoteAddr().String() {
			t.Errorf("%s: %s", name, got)
		}
		conn.Close()
		cancel()
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ said, secret, want string }{
		{"", "", ""},
		{"no such user\r\n", "", `: "no such user"`},
		{"no such user", "hunter2", `: "no such user"`},
		{"wrong: hunter2", "hunter2", ""},
		{"wrong: hun\x00ter2", "hunter2", ""},
		{strings.Repeat("x", 195) + "hunter2", "hunter2", ""},
		{"Bearer wanted", "Bearer eyJhbGciOi", `: "Bearer wanted"`},
		{"bad token eyJhbGciOi", "Bearer eyJhbGciOi", ""},
	} {
		if got := link.Quote(test.said, test.secret); got != test.want {
			t.Errorf("%q is quoted as %q, want %q", test.said, got, test.want)
		}
	}
}

func hanging(t *testing.T) (address string) {
	t.Helper()
	proxy := servers.Proxy(t, servers.FreeAddress(t))
	proxy.Break(servers.BlackHole)
	return proxy.Address()
}
