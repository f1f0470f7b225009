package proxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/proxy/guard"
)

// upload sends a request's body while the answer is read. The zero value sends
// nothing.
type upload struct {
	done chan struct{} // closed when the goroutine has ended; nil if none was started
	err  *Error        // why it ended early; to be read after done
	read int64         // bytes of the body, likewise

	gone atomic.Bool // all of the body was read from the client

	mu      sync.Mutex // guards what follows
	over    bool       // the answer's head came, so no deadline for it is set
	stopped bool       // by finish, so that a failure is its doing
}

func (u *upload) start(x *exchange) {
	// While the body goes, the answer has all the time it wants: each write has
	// its time-out. The answer's own begins with the last byte.
	x.conn.setReadDeadline(time.Time{})
	u.done = make(chan struct{})
	go u.run(x)
}

// run is the goroutine that sends the body.
func (u *upload) run(x *exchange) {
	defer close(u.done)
	err := u.copy(x)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.stopped:
		return
	case err != nil && !errors.Is(err, ErrNoAnswer):
		u.err = err
		x.conn.interrupt() // nothing good can come any more
		return
	case err != nil:
		u.err = err // the upstream reads no more; it may have said why
	}
	if !u.over {
		x.conn.setReadDeadline(time.Now().Add(x.settings.ResponseTimeout))
	}
}

// stop has a failure of the goroutine counted as that of who stops it, unless
// it has failed before.
func (u *upload) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
}

// answered is called when the answer's head is there.
func (u *upload) answered() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
}

// lastWrite is how long finish waits for a body's last bytes to be sent: an
// answer often comes before their sender has noticed that they are.
const lastWrite = 50 * time.Millisecond

// finish stops the upload and waits for its goroutine. It reports whether the
// whole body was sent. If part of it is still to come from the client, that
// connection is of no use any more.
func (u *upload) finish(x *exchange) (complete bool) {
	if u.done == nil {
		u.read = int64(len(x.req.small))
		if x.req.body != nil {
			x.unblock()
		}
		return x.req.body == nil
	}
	if u.gone.Load() {
		select {
		case <-u.done:
		case <-time.After(lastWrite):
			u.stop()
			x.conn.interrupt()
		}
	} else {
		u.stop()
		x.conn.interrupt()
		x.unblock()
	}
	<-u.done
	return u.err == nil && !u.stopped
}

// unblock ends the reading of the body from the client.
func (x *exchange) unblock() {
	if x.req.body != nil {
		x.req.body.unblock()
	}
}

const chunkRoom = 18 // for a chunk's size and its CRLF

// copy sends the body, in chunks if its length is unknown.
func (u *upload) copy(x *exchange) *Error {
	large := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(large)
	buf := large[:]
	var body io.Reader = x.req.body
	if x.req.spooled != nil {
		body = x.req.spooled.reader()
	}
	chunks := x.req.length < 0
	var deadline time.Time
	for {
		room := buf[chunkRoom : len(buf)-2]
		n, err := body.Read(room)
		u.read += int64(n)
		if limit := x.settings.BodySize; limit >= 0 && u.read > limit {
			return x.fail(ErrBodyTooLarge, "read the request's body", nil)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return bodyError(err)
		}
		if errors.Is(err, io.EOF) || u.read == x.req.length {
			u.gone.Store(true)
		}
		piece := room[:n]
		if chunks && n > 0 {
			piece = frameChunk(buf, n)
		}
		if n > 0 {
			if now := time.Now(); deadline.Sub(now) < x.settings.StreamTimeout*3/4 {
				deadline = now.Add(x.settings.StreamTimeout)
				x.conn.setWriteDeadline(deadline)
			}
			if werr := x.write(piece); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return u.end(x, chunks)
		}
	}
}

// frameChunk makes a chunk of the n bytes at buf[chunkRoom:], with room to
// spare before and after.
func frameChunk(buf []byte, n int) []byte {
	i := chunkRoom - 2
	copy(buf[i:], "\r\n")
	for size := n; size > 0; size >>= 4 {
		i--
		buf[i] = "0123456789abcdef"[size&15]
	}
	end := chunkRoom + n
	copy(buf[end:], "\r\n")
	return buf[i : end+2]
}

// end sends what follows a body: the last chunk and the trailer.
func (u *upload) end(x *exchange, chunks bool) *Error {
	if !chunks {
		if u.read != x.req.length {
			return bodyError(io.ErrUnexpectedEOF)
		}
		return nil
	}
	b := append(make([]byte, 0, 64), "0\r\n"...)
	if x.req.trailer != nil {
		for name, value := range x.req.trailer() {
			if isName(name) && isValue(value) {
				b = appendField(b, name, value)
			}
		}
	}
	return x.write(append(b, '\r', '\n'))
}

func (x *exchange) write(b []byte) *Error {
	const op = "send the request's body"
	_, err := x.conn.Write(b)
	switch {
	case err == nil:
		return nil
	case isTimeout(err):
		return x.fail(ErrTimeout, op, err)
	default:
		return x.fail(ErrNoAnswer, op, err)
	}
}

// bodyError says whose fault it is that a body could not be read.
func bodyError(err error) *Error {
	const op = "read the request's body"
	var refusal *guard.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Status == 408, isTimeout(err):
		return &Error{Kind: ErrBodyTimeout, Op: op, Err: err}
	case errors.As(err, &refusal):
		return &Error{Kind: ErrBadRequest, Op: op, Err: err}
	default:
		return &Error{Kind: ErrClientGone, Op: op, Err: err}
	}
}
