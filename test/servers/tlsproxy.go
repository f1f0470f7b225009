package servers

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// TLSProxy takes TLS connections with a certificate and passes what is in them
// on to a server, host:port, that has no TLS or another certificate. It returns
// its own address, and ends with the test.
func TLSProxy(t testing.TB, upstream string, cert Certificate) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				serving.Go(func() { join(conn, upstream) })
			}
		}
	})
	return listener.Addr().String()
}

// join passes everything on in both directions until either side ends.
func join(client net.Conn, upstream string) {
	defer client.Close()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	var answering sync.WaitGroup
	answering.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	_, _ = io.Copy(server, client)
	server.Close()
	answering.Wait()
}
