package servers

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is what a Proxy does to connections.
type Fault int

const (
	None      Fault = iota // passes everything on
	Refuse                 // nobody listens on the port
	BlackHole              // accepts, and then neither reads nor answers
	Reset                  // accepts, and resets the connection at once (RST)
	Close                  // accepts, and closes the connection at once (FIN)
)

// A FaultProxy is a TCP proxy in front of a server, whose connections it
// breaks on demand. A new fault applies to connections that exist as well.
type FaultProxy struct {
	t        testing.TB
	upstream string
	address  string

	// mu guards everything that follows.
	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	fault    Fault
	delay    time.Duration
	changed  chan struct{} // closed when fault changes
	conns    map[*net.TCPConn]struct{}
	accepted int
	closed   bool
	wg       sync.WaitGroup
}

// Proxy starts a proxy to upstream, host:port. It ends with the test.
func Proxy(t testing.TB, upstream string) *FaultProxy {
	t.Helper()
	p := &FaultProxy{
		t:        t,
		upstream: upstream,
		address:  FreeAddress(t),
		changed:  make(chan struct{}),
		conns:    make(map[*net.TCPConn]struct{}),
	}
	t.Cleanup(p.close)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listenLocked()
	return p
}

// Address is where the proxy listens, host:port.
func (p *FaultProxy) Address() string { return p.address }

// Break changes the fault, also of the connections that exist.
func (p *FaultProxy) Break(fault Fault) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
	close(p.changed)
	p.changed = make(chan struct{})
	switch {
	case fault == Refuse && p.listener != nil:
		p.listener.Close()
		p.listener = nil
	case fault != Refuse && p.listener == nil:
		p.listenLocked()
	}
	if fault == Refuse || fault == Reset || fault == Close {
		for conn := range p.conns {
			p.hangUpLocked(conn)
		}
	}
}

// Delay holds every piece of data back for d, in both directions.
func (p *FaultProxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Accepted is the number of connections so far.
func (p *FaultProxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open is the number of connections of clients that are open now.
func (p *FaultProxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *FaultProxy) listenLocked() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.listener = listener
	p.wg.Go(func() { p.accept(listener) })
}

func (p *FaultProxy) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.closed {
			conn.Close()
			p.mu.Unlock()
			return
		}
		p.accepted++
		client := conn.(*net.TCPConn)
		p.conns[client] = struct{}{}
		p.wg.Go(func() { p.serve(client) })
		p.mu.Unlock()
	}
}

// serve joins a client with the upstream until either ends.
func (p *FaultProxy) serve(client *net.TCPConn) {
	defer func() {
		client.Close()
		p.mu.Lock()
		delete(p.conns, client)
		p.mu.Unlock()
	}()
	if p.refuses(client) {
		_, _ = io.Copy(io.Discard, client) // until the client has closed, too
		return
	}
	p.holdBack(0)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.upstream)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client) })
	both.Go(func() { p.pass(client, server) })
	both.Wait()
}

// pass copies one direction, and hangs up on the other side at its end.
func (p *FaultProxy) pass(to, from *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			delay := p.delay
			p.mu.Unlock()
			p.holdBack(delay)
			if _, err := to.Write(buf[:n]); err != nil {
				from.Close()
				return
			}
		}
		if errors.Is(err, io.EOF) {
			_ = to.CloseWrite()
			return
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// holdBack waits for a delay, and for as long as the proxy is a black hole.
func (p *FaultProxy) holdBack(delay time.Duration) {
	time.Sleep(delay)
	for {
		p.mu.Lock()
		stuck, changed := p.fault == BlackHole && !p.closed, p.changed
		p.mu.Unlock()
		if !stuck {
			return
		}
		<-changed
	}
}

// refuses hangs up on a new client if that is the fault.
func (p *FaultProxy) refuses(client *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == None || p.fault == BlackHole {
		return false
	}
	p.hangUpLocked(client)
	return true
}

func (p *FaultProxy) hangUpLocked(client *net.TCPConn) {
	if p.fault == Close {
		// Closing altogether would reset a client that has sent something.
		_ = client.CloseWrite()
		return
	}
	_ = client.SetLinger(0) // RST instead of FIN
	client.Close()
}

func (p *FaultProxy) close() {
	p.mu.Lock()
	p.closed = true
	close(p.changed)
	p.changed = make(chan struct{})
	if p.listener != nil {
		p.listener.Close()
	}
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
