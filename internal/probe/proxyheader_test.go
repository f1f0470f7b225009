package probe_test

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"

	"hale/internal/probe"
)

// networkHeader is what a Network Load Balancer was seen to send before a
// health check's first byte (kubernetes/kubernetes#57250).
const networkHeader = "0d0a0d0a000d0a515549540a" + "20" + "11" + "0054" +
	"030004bce5951f" + "04004a" +
	"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

func TestProxyHeader(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as      string
		version int
		want    func(from, to *net.TCPAddr) string
	}{
		{"nlb", 2, func(_, _ *net.TCPAddr) string { b, _ := hex.DecodeString(networkHeader); return string(b) }},
		{"alb", 1, func(from, to *net.TCPAddr) string {
			return fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n", from.Port, to.Port)
		}},
		{"alb", 2, func(from, to *net.TCPAddr) string {
			return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01" +
				string([]byte{byte(from.Port >> 8), byte(from.Port), byte(to.Port >> 8), byte(to.Port)})
		}},
		{"haproxy", 1, func(from, to *net.TCPAddr) string {
			return fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n", from.Port, to.Port)
		}},
		{"haproxy", 2, func(_, _ *net.TCPAddr) string { return "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" }},
	} {
		seen := make(chan string, 1)
		address := target(t, func(conn net.Conn) {
			want := test.want(conn.RemoteAddr().(*net.TCPAddr), conn.LocalAddr().(*net.TCPAddr))
			got := readExactly(conn, len(want))
			if got != want {
				seen <- fmt.Sprintf("%q, want %q", got, want)
			} else {
				seen <- ""
			}
			says(whole)(conn)
		})
		p := filled(t, test.as, "http://"+address+"/", probe.Options{ProxyProtocol: test.version})
		a := p.Send(t.Context())
		if wrong := <-seen; wrong != "" {
			t.Errorf("%s, version %d: %s", test.as, test.version, wrong)
		}
		if !a.Healthy || !strings.HasSuffix(string(a.Sent), string(p.Bytes())) || len(a.Sent) <= len(p.Bytes()) {
			t.Errorf("%s, version %d: %v, sent %q", test.as, test.version, a.Outcome, a.Sent)
		}
	}
}

// A header without addresses as long as the documents say.
func TestNetworkHeaderLength(t *testing.T) {
	t.Parallel()
	if len(networkHeader) != 2*100 {
		t.Errorf("%d bytes, want 100", len(networkHeader)/2)
	}
}

func readExactly(conn net.Conn, n int) string {
	b := make([]byte, n)
	for read := 0; read < n; {
		m, err := conn.Read(b[read:])
		if err != nil {
			return string(b[:read])
		}
		read += m
	}
	return string(b)
}
