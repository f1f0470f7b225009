// Package inturn keeps clients of net/http from hearing a server before they
// have asked it. net/http writes what a server says unasked, as that of SSH or
// mail does, to this program's standard error, past every log.
package inturn

import (
	"context"
	"net"
	"sync"
)

// A DialFunc connects, as net.Dialer.DialContext does.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Dial returns dial with connections that wait for their turn.
func Dial(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return Conn(conn), nil
	}
}

// Conn returns a connection whose other side is heard from the first word of
// ours on. That it has hung up is heard at once.
func Conn(conn net.Conn) net.Conn {
	return &polite{Conn: conn, begun: make(chan struct{})}
}

// polite is a connection on which we speak first.
type polite struct {
	net.Conn
	once  sync.Once
	begun chan struct{} // closed by the first Write, or by Close
}

func (p *polite) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 {
		<-p.begun
	}
	return n, err
}

func (p *polite) Write(b []byte) (int, error) {
	p.begin()
	return p.Conn.Write(b)
}

func (p *polite) Close() error {
	p.begin()
	return p.Conn.Close()
}

func (p *polite) begin() { p.once.Do(func() { close(p.begun) }) }
