package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"hale/internal/proxy/guard"
)

// ServeTLS accepts TLS connections until Shutdown or Close, or until the
// listener is closed, and returns nil then. Of a closed listener, the
// connections go on.
//
// The configuration is not changed, and has the certificates; by its
// GetCertificate they can be replaced meanwhile. Its NextProtos are the server's
// to set: h2 and http/1.1, or with Settings.NoHTTP2 the latter alone. Hands are
// shaken within Settings.HeaderTimeout.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error {
	if !s.add(l) {
		_ = l.Close()
		return nil
	}
	defer s.remove(l)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	shut := func() {
		cancel()
		_ = l.Close()
	}
	h := &handshakes{server: s, config1: config.Clone(), config2: config.Clone(), http2: newQueue(l, shut)}
	h.config1.NextProtos = []string{"http/1.1"}
	h.config2.NextProtos = []string{"h2", "http/1.1"}
	var serving, shaking sync.WaitGroup
	serving.Go(func() { _ = s.http2.Serve(h.http2) })
	err := s.accept(ctx, l, func(nc net.Conn) {
		shaking.Go(func() { h.shake(ctx, nc) })
	})
	shaking.Wait()
	h.http2.end()
	serving.Wait()
	return err
}

// handshakes hands connections on by the protocol that was agreed on: HTTP/2 to
// net/http's server.
type handshakes struct {
	server           *Server
	config1, config2 *tls.Config // without and with HTTP/2
	http2            *queue
}

func (h *handshakes) shake(ctx context.Context, nc net.Conn) {
	settings := h.server.engine.settings.Load()
	ctx, cancel := context.WithTimeout(ctx, settings.HeaderTimeout)
	defer cancel()
	config := h.config2
	if settings.NoHTTP2 {
		config = h.config1
	}
	secure := tls.Server(newSocket(nc), config)
	if err := secure.HandshakeContext(ctx); err != nil {
		h.server.log.Debug("no TLS with a client", "peer", nc.RemoteAddr().String(), "error", err.Error())
		if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && record.Conn != nil && isHTTP(record.RecordHeader) {
			h.server.refusePlain(nc)
		}
		_ = nc.Close()
		return
	}
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		h.http2.give(secure)
		return
	}
	h.server.begin(secure)
}

// isHTTP reports whether what came in place of a TLS record's header begins a
// request.
func isHTTP(start [5]byte) bool {
	for _, c := range start {
		if (c < 'A' || c > 'Z') && c != ' ' && c != '/' && c != '*' {
			return false
		}
	}
	return true
}

const refusedTime = 500 * time.Millisecond

// refusePlain tells a client that speaks HTTP without TLS what is wrong.
func (s *Server) refusePlain(nc net.Conn) {
	refusal := &guard.Refusal{Status: http.StatusBadRequest, Reason: "plain HTTP, but the port speaks TLS (https)"}
	err := &Error{Kind: ErrBadRequest, Op: "read the request", Err: refusal}
	var head Head
	head.of(&peer{id: connections.Add(1), remote: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr())}, time.Now())
	action := Action{Kind: Refused}
	p := s.engine.page(&head, &action, refusal.Status, "The request is not accepted: "+refusal.Reason+".", err)
	b := append([]byte(nil), "HTTP/1.1 "+strconv.Itoa(p.Status)+" "+statusText(p.Status)+"\r\nConnection: close\r\n"...)
	if p.Header == nil {
		b = appendField(b, "Content-Type", "text/plain; charset=utf-8")
	}
	for name, values := range p.Header {
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	b = appendField(b, "Content-Length", strconv.Itoa(len(p.Body)))
	b = append(append(b, '\r', '\n'), p.Body...)
	_ = nc.SetDeadline(time.Now().Add(refusedTime))
	_, _ = nc.Write(b)
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, nc, largeBuffer) // or closing may take the answer back
	}
	s.engine.policy.Done(&head, &action, &Outcome{Status: p.Status, BytesOut: int64(len(p.Body)), Total: time.Since(head.Start), Err: err})
}

// queue is a listener whose connections were accepted elsewhere.
type queue struct {
	net.Listener
	conns chan net.Conn
	shut  func() // ends the accepting

	once sync.Once
	over chan struct{}
}

func newQueue(l net.Listener, shut func()) *queue {
	return &queue{Listener: l, conns: make(chan net.Conn), shut: shut, over: make(chan struct{})}
}

// give has a connection accepted, or closed.
func (q *queue) give(nc net.Conn) {
	select {
	case q.conns <- nc:
	case <-q.over:
		_ = nc.Close()
	}
}

// end has Accept fail.
func (q *queue) end() { q.once.Do(func() { close(q.over) }) }

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case nc := <-q.conns:
		return nc, nil
	case <-q.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The server behind calls it when it shuts down,
// or has ended.
func (q *queue) Close() error {
	q.end()
	q.shut()
	return nil
}
