package relay_test

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"hale/internal/relay"
)

// BenchmarkRelay moves bytes over the loopback interface through the relay, and
// through as bare a proxy as can be: io.Copy in both directions. cpu-µs/op has
// the client and the target in it.
func BenchmarkRelay(b *testing.B) {
	for _, via := range []struct {
		name  string
		start func(testing.TB, relay.Target) net.Listener
	}{{"relay", startRelay}, {"io.Copy", startCopy}} {
		b.Run("connections/"+via.name, func(b *testing.B) {
			l := via.start(b, target(b, echo))
			measured(b, func() {
				c := dial(b, l)
				_, _ = io.WriteString(c, "x")
				_, _ = io.ReadFull(c, make([]byte, 1))
				c.Close()
			})
		})
		b.Run("round trips/"+via.name, func(b *testing.B) {
			c := dial(b, via.start(b, target(b, echo)))
			piece := make([]byte, 100)
			measured(b, func() {
				_, _ = c.Write(piece)
				_, _ = io.ReadFull(c, piece)
			})
		})
		b.Run("64K pieces/"+via.name, func(b *testing.B) {
			c := dial(b, via.start(b, target(b, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })))
			piece := make([]byte, 64<<10)
			b.SetBytes(int64(len(piece)))
			measured(b, func() { _, _ = c.Write(piece) })
		})
	}
}

func measured(b *testing.B, f func()) {
	before := cpu()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type one struct{ relay.Target }

func (p one) Pick(*relay.Conn) (relay.Target, bool) { return p.Target, true }
func (one) Done(*relay.Conn)                        {}

func startRelay(b testing.TB, to relay.Target) net.Listener {
	_, l := start(b, one{to}, relay.Settings{}, nil)
	return l
}

func startCopy(b testing.TB, to relay.Target) net.Listener {
	l := listen(b)
	var all sync.WaitGroup
	b.Cleanup(all.Wait)
	b.Cleanup(func() { l.Close() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer client.Close()
				server, err := net.Dial("tcp", to.Address)
				if err != nil {
					return
				}
				defer server.Close()
				all.Go(func() {
					_, _ = io.Copy(server, client)
					_ = server.(*net.TCPConn).CloseWrite()
				})
				_, _ = io.Copy(client, server)
			})
		}
	})
	return l
}
