package uwsgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Transport is an http.RoundTripper that speaks uwsgi, for requests that this
// program itself makes. Each has a connection of its own, bounded in time by
// the request's context alone. A body needs its length in
// Request.ContentLength.
type Transport struct {
	Dial func(context.Context) (net.Conn, error)
}

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength <= 0 {
		return nil, errors.New("uwsgi: a body needs its length in ContentLength")
	}
	conn, err := t.Dial(r.Context())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.Context(), func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	resp, err := roundTrip(conn, r)
	if err != nil {
		stop()
		_ = conn.Close()
		if r.Context().Err() != nil {
			err = context.Cause(r.Context())
		}
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, conn: conn, stop: stop}
	return resp, nil
}

func roundTrip(conn net.Conn, r *http.Request) (*http.Response, error) {
	head := newRequest(r)
	head.Client = addrPort(conn.LocalAddr())
	head.Local = addrPort(conn.RemoteAddr())
	packet, err := head.Append(nil)
	if err != nil {
		return nil, err
	}
	// What could not be written may have been answered all the same.
	_, werr := conn.Write(packet)
	if werr == nil && head.ContentLength > 0 {
		_, werr = io.CopyN(conn, r.Body, head.ContentLength)
	}
	br := bufio.NewReader(conn)
	if _, err := br.Peek(1); err != nil {
		if werr != nil {
			err = werr
		}
		return nil, &NoAnswerError{Size: len(packet) - 4, Err: err}
	}
	resp, err := http.ReadResponse(br, r)
	if err != nil {
		return nil, fmt.Errorf("uwsgi: read the answer: %w", err)
	}
	return resp, nil
}

func newRequest(r *http.Request) *Request {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	length := int64(-1)
	if r.ContentLength > 0 {
		length = r.ContentLength
	}
	return &Request{
		Method:        orGet(r.Method),
		Target:        r.URL.RequestURI(),
		Host:          host,
		Scheme:        r.URL.Scheme,
		ContentLength: length,
		Header:        listOf(r.Header),
	}
}

func listOf(header http.Header) (list []Field) {
	for name, values := range header {
		for _, v := range values {
			list = append(list, Field{Name: name, Value: v})
		}
	}
	return list
}

func orGet(method string) string {
	if method == "" {
		return http.MethodGet
	}
	return method
}

// addrPort returns a TCP address's parts; a unix socket's has none, and the
// loopback address stands for it.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
}

// body is an answer's body, with the connection it comes from.
type body struct {
	io.ReadCloser
	conn net.Conn
	stop func() bool
}

func (b *body) Close() error {
	b.stop()
	return errors.Join(b.ReadCloser.Close(), b.conn.Close())
}
