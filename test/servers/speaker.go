package servers

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Speaker starts a server that says the first of its texts to each client at
// once, another one after whatever it hears, and hangs up after the last. With
// no texts it hangs up on everybody. It ends with the test.
func Speaker(t testing.TB, says ...string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { listener.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { speak(conn.(*net.TCPConn), says) })
		}
	})
	return listener.Addr().String()
}

func speak(conn *net.TCPConn, says []string) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	heard := make([]byte, 64<<10)
	for i, text := range says {
		if i > 0 {
			if _, err := conn.Read(heard); err != nil {
				return
			}
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
	}
	// Closing altogether would reset a client that has said something since.
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
}
