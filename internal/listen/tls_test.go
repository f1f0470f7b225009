package listen_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/listen"
	"hale/internal/probe"
)

// On a port for HTTPS.
func TestTLS(t *testing.T) {
	cert, err := listen.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	get := func(c net.Conn) {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\nAccept: */*\r\nConnection: close\r\n\r\n")
		_, _ = io.ReadAll(c)
	}
	for name, test := range map[string]struct {
		config *tls.Config // nil: plain
		do     func(net.Conn)
		want   string
	}{
		"a request": {
			&tls.Config{InsecureSkipVerify: true, ServerName: "a.example"}, get,
			`    GET / HTTP/1.1
    Host: a.example
    User-Agent: x
    Accept: */*
    Connection: close
  TLS          TLS 1.3; the client offered TLS 1.2 to 1.3, SNI a.example, no ALPN
  looks like   no prober that hale knows
  answer       200; closes the connection
`,
		},
		"no SNI, TLS 1.2 at most": {
			&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, get,
			`    GET / HTTP/1.1
    Host: a.example
    User-Agent: x
    Accept: */*
    Connection: close
  TLS          TLS 1.2, speaks http/1.1; the client offered TLS 1.2, no SNI, ALPN http/1.1
  looks like   no prober that hale knows
  may stumble  no SNI: servers without a default certificate end the handshake (nginx ssl_reject_handshake, HAProxy strict-sni, Caddy)
               TLS 1.2 at most: a server with TLS 1.3 alone ends the handshake
  answer       200; closes the connection
`,
		},
		"old TLS": {
			&tls.Config{InsecureSkipVerify: true, ServerName: "a.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, get,
			`    GET / HTTP/1.1
    Host: a.example
    User-Agent: x
    Accept: */*
    Connection: close
  TLS          TLS 1.1; the client offered TLS 1.0 to 1.1, SNI a.example, no ALPN
  looks like   no prober that hale knows
  may stumble  less than TLS 1.2: servers of today end the handshake
  answer       200; closes the connection
`,
		},
		"a handshake alone": {
			&tls.Config{InsecureSkipVerify: true, ServerName: "a.example"}, func(net.Conn) {},
			`  TLS          TLS 1.3; the client offered TLS 1.2 to 1.3, SNI a.example, no ALPN
  this is      a TLS handshake without a request, closed after 0.000ms
  looks like   classic, AWS Classic Load Balancer
  or           gcp, Google Cloud load balancer
`,
		},
		"no protocol in common": {
			&tls.Config{InsecureSkipVerify: true, ServerName: "a.example", NextProtos: []string{"smtp\x1b[2J"}}, func(net.Conn) {},
			`  TLS          TLS 1.2 to 1.3, SNI a.example, ALPN smtp\x1b[2J
  this is      a TLS handshake that failed: tls: client requested unsupported application protocols (["smtp\x1b[2J"])
`,
		},
		"plain HTTP": {
			nil, get,
			`    GET / HTTP/1.1
    Host: a.example
    User-Agent: x
    Accept: */*
    Connection: close
  looks like   no prober that hale knows
  may stumble  no TLS on a port for it: servers answer 400 or hang up; set the check to HTTPS
  answer       400; closes the connection
`,
		},
		"nothing": {
			nil, func(net.Conn) {},
			`  this is      a bare TCP connection, closed after 0.000ms
  looks like   a check that opens a connection and no more: classic, nlb, route53, kubelet, gcp, azure, consul, haproxy, nginx-plus
  may stumble  not a byte: it proves that the port is open, not that the app answers; logs fill with empty requests (nginx 400, Apache 408)
`,
		},
		"a hello that is none": {
			nil, func(c net.Conn) { _, _ = c.Write([]byte("\x16\x03\x01\x00\x05hello")) },
			`    00000000  16 03 01 00 05 68 65 6c  6c 6f                    |.....hello|
  this is      begins as TLS does, but is not: tls: handshake message of length 6646892 bytes exceeds maximum of 65536 bytes
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				log := &listen.Text{Out: &out}
				s := start(t, listen.Server{TLS: listen.TLSConfig(cert), Probers: probe.Probers()}, target, log)
				near, far := net.Pipe()
				s.ln.conns <- &memoryConn{Conn: far, local: s.ln.address, remote: tcpAddress(node)}
				if test.config == nil {
					go func() { _, _ = io.Copy(io.Discard, near) }()
					test.do(near)
				} else {
					secure := tls.Client(near, test.config)
					if secure.Handshake() == nil {
						test.do(secure)
					}
				}
				synctest.Wait()
				near.Close()
				time.Sleep(time.Second)
				s.end()
				_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), "\n")
				checkPrintable(t, got)
				if got != test.want {
					t.Errorf("told:\n%s\nwant:\n%s", got, test.want)
				}
			})
		})
	}
}

// A TLS client on a plain port is told by its hello.
func TestTLSOnThePlainPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := start(t, listen.Server{}, target, &listen.Text{Out: &out, Raw: true})
		near, far := net.Pipe()
		s.ln.conns <- &memoryConn{Conn: far, local: s.ln.address, remote: tcpAddress(node)}
		err := tls.Client(near, &tls.Config{ServerName: "a.example", NextProtos: []string{"h2", "http/1.1"}}).Handshake()
		if _, ok := err.(tls.RecordHeaderError); !ok { //nolint:errorlint // as crypto/tls returns it
			t.Errorf("the client saw %v, want an answer that is not TLS", err)
		}
		near.Close()
		time.Sleep(time.Second)
		s.end()
		checkPrintable(t, out.String())
		for _, want := range []string{
			"00000000  16 03 01 ",
			"TLS          TLS 1.2 to 1.3, SNI a.example, ALPN h2 http/1.1\n",
			"this is      a TLS hello, on a port without TLS\n",
			"may stumble  TLS on a port without it: ",
			"answer       400; closes the connection\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("told\n%s\nwant %q", out.String(), want)
			}
		}
	})
}
