package sites

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func lateProofs() map[string]proof {
	slow := proof{
		asked(fails(silent)),
		asked(fails(silent), host(Domain)),
		asked(says(200, "healthy"), within(time.Minute)),
		asked(status(200), path("/")),
	}
	return map[string]proof{
		"go-slow-handler":     slow,
		"nginx-slow-upstream": slow,
		"go-flapping": {does(func(t *testing.T, s Site) {
			var passed, failed int
			for range 40 {
				switch a := health(s, time.Second).send(); {
				case a.outcome == silent:
					failed++
				case a.body == "healthy\n":
					passed++
				default:
					t.Errorf("%v", a)
				}
				if passed > 1 && failed > 1 {
					return
				}
			}
			t.Errorf("%d probes passed and %d timed out, want some of each", passed, failed)
		})},
		"go-drip": {
			asked(fails(bodySilent)),
			asked(fails(bodySilent), host(Domain)),
			asked(status(200), path("/")),
		},
		"go-short-body": {
			asked(fails(bodyCut)),
			asked(status(200), path("/")),
		},
		"python-no-length": {
			asked(says(200, "healthy")),
			does(func(t *testing.T, s Site) {
				if a := health(s, time.Minute).send(); a.response == nil || a.response.ContentLength != -1 || a.response.TransferEncoding != nil {
					t.Errorf("want an answer that ends with the connection, got %v", a)
				}
			}),
		},
		"node-keepalive": {asked(says(200, "healthy")), does(closesIdle)},
		"go-keepalive":   {asked(says(200, "healthy")), does(closesIdle)},
	}
}

// idleConnection is a connection that has had its answer.
type idleConnection struct {
	net.Conn
	in *bufio.Reader
}

// leaveIdle asks the site on a connection that it is to keep.
func leaveIdle(t *testing.T, s Site) idleConnection {
	t.Helper()
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r := health(s, 0)
	if r.tls != nil {
		conn = tls.Client(conn, r.tls)
	}
	field("Connection", "keep-alive")(r)
	if _, err := conn.Write(r.bytes()); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Close {
		t.Fatalf("no whole answer on a connection that is kept: %v, %v", resp.Header, err)
	}
	return idleConnection{conn, in}
}

// ended waits for the connection's end, and returns what ended it.
func (c idleConnection) ended(t *testing.T, deadline time.Time) error {
	t.Helper()
	if err := c.SetReadDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	_, err := c.in.ReadByte()
	return err
}

// closesIdle shows that the site closes an idle connection before a load
// balancer does, which keeps it for 60 seconds.
func closesIdle(t *testing.T, s Site) {
	if err := leaveIdle(t, s).ended(t, time.Now().Add(50*time.Second)); !errors.Is(err, io.EOF) {
		t.Errorf("want the idle connection closed within 50 s, got %v", err)
	}
}
