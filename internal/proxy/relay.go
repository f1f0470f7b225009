package proxy

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// How long an answer's beginning is held back for the rest to come along, so
// that most answers go out in one write. What is a stream for sure never waits.
const (
	graceWithLength = 20 * time.Millisecond
	graceStream     = 2 * time.Millisecond
)

// relayer moves an answer's body from the upstream to the client.
type relayer struct {
	x       *exchange
	timeout time.Duration // between two reads; 0 is none
	grace   time.Duration
	pending bool // something was written and not flushed
}

// relay sends the answer to the client.
func (x *exchange) relay(h *answerHead) *Error {
	x.started = true
	x.out.Status = h.status
	x.answer.begin(h, x.req.body != nil && !x.up.gone.Load())
	x.shown = time.Now()
	r := relayer{x: x, timeout: x.settings.StreamTimeout, pending: true}
	if h.eventStream {
		r.timeout = 0
	}
	switch h.framing {
	case noBody:
		return nil
	case withLength:
		r.grace = graceWithLength
		if h.length > smallBuffer {
			x.conn.borrow()
		}
		return r.copy(h.length)
	case chunked:
		if !h.eventStream {
			r.grace = graceStream
		}
		x.conn.borrow()
		return r.copyChunked()
	default:
		if !h.eventStream {
			r.grace = graceStream
		}
		x.conn.borrow()
		return r.copyAll()
	}
}

// copy relays n bytes.
func (r *relayer) copy(n int64) *Error {
	c := r.x.conn
	for n > 0 {
		if len(c.buffered()) == 0 {
			if err := r.fill(); err != nil {
				return r.cutOff(err)
			}
		}
		b := c.buffered()
		b = b[:min(int64(len(b)), n)]
		if err := r.write(b); err != nil {
			return err
		}
		c.skip(len(b))
		n -= int64(len(b))
	}
	return nil
}

// copyAll relays all that comes until the connection ends.
func (r *relayer) copyAll() *Error {
	c := r.x.conn
	for {
		if b := c.buffered(); len(b) > 0 {
			if err := r.write(b); err != nil {
				return err
			}
			c.skip(len(b))
		}
		switch err := r.fill(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.cutOff(err)
		}
	}
}

// copyChunked relays a chunked body and its trailer (RFC 9112, 7.1).
func (r *relayer) copyChunked() *Error {
	for {
		size, err := r.chunkSize()
		if err != nil {
			return r.cutOff(err)
		}
		if size == 0 {
			return r.trailer()
		}
		if err := r.copy(size); err != nil {
			return err
		}
		line, err := r.line()
		switch {
		case err != nil:
			return r.cutOff(err)
		case len(line) != 0:
			return r.cutOff(errors.New("a chunk is longer than its size says"))
		}
	}
}

var errChunkSize = errors.New("a chunk has no valid size")

func (r *relayer) chunkSize() (int64, error) {
	line, err := r.line()
	if err != nil {
		return 0, err
	}
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, errChunkSize
	}
	var n int64
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, errChunkSize
		}
	}
	return n, nil
}

// trailer relays the fields after the last chunk.
func (r *relayer) trailer() *Error {
	var fields []Field
	for size := 0; ; {
		line, err := r.line()
		if err != nil {
			return r.cutOff(err)
		}
		if len(line) == 0 {
			break
		}
		if size += len(line); size > r.x.settings.ResponseHeaderSize {
			return r.cutOff(errors.New("its trailer is larger than the limit"))
		}
		name, value, err := cutField(string(line))
		if err != nil {
			return r.cutOff(err)
		}
		if !framesMessage(name) {
			fields = append(fields, Field{name, value})
		}
	}
	if len(fields) > 0 {
		r.x.answer.trailer(fields)
	}
	return nil
}

var errBareLF = errors.New("a line between chunks does not end with CRLF")

// line returns the next line without its end. It is valid until the next call.
func (r *relayer) line() ([]byte, error) {
	c := r.x.conn
	for searched := 0; ; {
		b := c.buffered()
		if i := bytes.IndexByte(b[searched:], '\n'); i >= 0 {
			line, ended := bytes.CutSuffix(b[:searched+i], []byte("\r"))
			if !ended || bytes.IndexByte(line, '\r') >= 0 {
				return nil, errBareLF
			}
			c.skip(searched + i + 1)
			return line, nil
		}
		if searched = len(b); searched >= smallBuffer {
			return nil, errors.New("a line between chunks is too long")
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more, but first lets the client have what was written so far,
// unless more comes at once.
func (r *relayer) fill() error {
	c := r.x.conn
	if r.pending {
		if r.grace > 0 {
			c.setReadDeadline(time.Now().Add(r.grace))
			if err := c.fill(); err == nil || !isTimeout(err) || r.x.spoilt() {
				return err
			}
		}
		if err := r.x.answer.Flush(); err != nil {
			return &clientError{err}
		}
		r.pending = false
	}
	var deadline time.Time
	if r.timeout > 0 {
		// One that is set anew only now and then is cheaper.
		now := time.Now()
		if left := c.readBy.Sub(now); left >= r.timeout*3/4 && left <= r.timeout {
			return c.fill()
		}
		deadline = now.Add(r.timeout)
	}
	c.setReadDeadline(deadline)
	return c.fill()
}

func (r *relayer) write(b []byte) *Error {
	n, err := r.x.answer.Write(b)
	r.x.out.BytesOut += int64(n)
	r.pending = true
	if err != nil {
		return r.cutOff(&clientError{err})
	}
	return nil
}

// clientError is a failure to write to the client.
type clientError struct{ err error }

func (e *clientError) Error() string { return e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// cutOff says why the answer ended early, and has the client get what there is
// of it.
func (r *relayer) cutOff(err error) *Error {
	var ce *clientError
	switch {
	case errors.As(err, &ce):
		return r.x.fail(ErrClientGone, "write the answer", ce.err)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	r.x.answer.cut()
	return r.x.fail(ErrCutOff, "read the answer's body", err)
}
