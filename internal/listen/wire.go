package listen

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// bufferSize bounds the head of a request, and maxShown how many bytes of one
// are kept to be shown.
const (
	bufferSize = 32 << 10
	maxShown   = 32 << 10
)

// wire is a connection whose bytes can be looked at before they are taken. What
// is taken is kept, as far as it is to be shown.
type wire struct {
	conn net.Conn
	buf  *bufio.Reader
	kept []byte
	size int64 // of what was taken
}

func newWire(conn net.Conn) *wire {
	return &wire{conn: conn, buf: bufio.NewReaderSize(conn, bufferSize)}
}

// peek waits until n bytes are here, and returns all that are, without taking
// them. After an error, those that are here are fewer.
func (w *wire) peek(n int, until time.Time) ([]byte, error) {
	if w.buf.Buffered() < n {
		_ = w.conn.SetReadDeadline(until) // a connection that is closed tells so when it is read
		if _, err := w.buf.Peek(n); err != nil {
			return w.here(), err
		}
	}
	return w.here(), nil
}

// here returns the bytes that are here already.
func (w *wire) here() []byte {
	b, _ := w.buf.Peek(w.buf.Buffered()) // what is in the buffer can be read
	return b
}

// starts tells whether the next bytes are those of magic. It waits for no more
// bytes than that takes.
func (w *wire) starts(magic string, until time.Time) bool {
	for n := 1; n <= len(magic); n++ {
		b, err := w.peek(n, until)
		if err != nil || b[n-1] != magic[n-1] {
			return false
		}
	}
	return true
}

// take takes n bytes that are here.
func (w *wire) take(n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(w, b) // they are here
	return b
}

// Read takes what comes, until the deadline that was set last.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.buf.Read(p)
	w.size += int64(n)
	w.kept = append(w.kept, p[:min(n, maxShown-len(w.kept))]...)
	return n, err
}

// shown returns what was taken since it was called last, and how much that was.
func (w *wire) shown() (kept []byte, size int64) {
	kept, size = w.kept, w.size
	w.kept, w.size = nil, 0
	return kept, size
}

// gather waits until nothing more comes for a moment, and takes all there is.
func (w *wire) gather() {
	const moment = 50 * time.Millisecond
	for n := w.buf.Buffered(); n < bufferSize; n = w.buf.Buffered() {
		if _, err := w.peek(n+1, time.Now().Add(moment)); err != nil {
			break
		}
	}
	w.take(w.buf.Buffered())
}

// farewell ends a connection so that the last bytes sent are not lost to what
// the client may still have sent: it waits a moment for the client to close.
func (w *wire) farewell() {
	half, ok := w.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = w.conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, w.buf, 1<<20)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
