package probe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"hale/internal/explain"
)

// readBody reads the body to its end, as far as the prober cares for it.
func (c *conversation) readBody() bool {
	body, ok := c.framing()
	if !ok {
		return false
	}
	if c.prober().HeadEnough {
		c.a.Unread = body != nil
		return true
	}
	if body == nil {
		return true
	}
	c.wait(c.limits.Body)
	return c.drain(body, c.a.sized())
}

// drain reads a body, keeps its beginning, and counts all of it. One that says
// its length is read up to mostBody: it does end. Whether any other ends, the
// time-out decides; it is read on, but slowly.
func (c *conversation) drain(body io.Reader, sized bool) bool {
	most := int64(math.MaxInt64)
	if sized {
		most = mostBody
	}
	if own := c.prober().BodyLimit; own > 0 {
		most = min(most, own)
	}
	slow := int64(mostBody) // from where on it is read slowly
	buffer := c.in.buffer[:]
	for {
		n, err := body.Read(buffer)
		c.a.BodySize += int64(n)
		if room := mostKept - len(c.a.Body); room > 0 {
			c.a.Body = append(c.a.Body, buffer[:min(n, room)]...)
		}
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil && explain.IsTimeout(err):
			return c.late(BodyTimeout, "no end of the body")
		case err != nil:
			return c.fail(BodyCut, err)
		case c.a.BodySize >= most:
			c.a.Unread = true
			return true
		case c.a.BodySize >= slow:
			slow += slowStep
			select {
			case <-c.ctx.Done(): // the next read says so
			case <-time.After(slowPause):
			}
		}
	}
}

// How slowly a body is read of which there has been too much already: 64 MiB a
// second, which spares the network and reaches the time-out all the same.
const (
	slowStep  = 1 << 20 // bytes
	slowPause = time.Second / 64
)

// framing finds out how the body ends (RFC 9112, 6.3), and returns what to read
// it from; nil where there is none.
func (c *conversation) framing() (io.Reader, bool) {
	a := c.a
	if c.Method == "HEAD" || a.Status == 204 || a.Status == 304 || a.Status == 101 {
		return nil, true
	}
	if coding := strings.Join(values(a.Header, "Transfer-Encoding"), ","); coding != "" {
		last := coding[strings.LastIndexByte(coding, ',')+1:]
		if strings.EqualFold(strings.TrimSpace(last), "chunked") {
			return &chunkReader{in: &c.in.Reader, a: a}, true
		}
		a.Unsized = true
		return c.in, true
	}
	lengths := values(a.Header, "Content-Length")
	if len(lengths) == 0 {
		a.Unsized = true
		return c.in, true
	}
	length, err := strconv.ParseUint(lengths[0], 10, 63)
	if err != nil {
		return nil, c.fail(NotHTTP, fmt.Errorf("Content-Length is no number: %s", quoted(lengths[0])))
	}
	for _, other := range lengths[1:] {
		if other != lengths[0] {
			return nil, c.fail(NotHTTP, fmt.Errorf("two lengths of the body: %s and %s", quoted(lengths[0]), quoted(other)))
		}
	}
	if length == 0 {
		return nil, true
	}
	return &sizedReader{in: &c.in.Reader, left: length}, true
}

// sizedReader reads a body of a known length.
type sizedReader struct {
	in   *bufio.Reader
	left uint64
}

func (s *sizedReader) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if uint64(len(b)) > s.left {
		b = b[:s.left]
	}
	n, err := s.in.Read(b)
	s.left -= uint64(n) //nolint:gosec // a count is not negative
	if n > 0 {
		return n, nil
	}
	return 0, unexpected(err)
}

// chunkReader reads a chunked body (RFC 9112, 7.1), and its trailer into the
// answer.
type chunkReader struct {
	in   *bufio.Reader
	a    *Answer
	left uint64 // of the chunk that is being read
	any  bool   // a chunk was begun, so that a line's end follows it
	done bool
}

func (r *chunkReader) Read(b []byte) (int, error) {
	if r.done {
		return 0, io.EOF
	}
	if r.left == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
		if r.done {
			return 0, io.EOF
		}
	}
	if uint64(len(b)) > r.left {
		b = b[:r.left]
	}
	n, err := r.in.Read(b)
	r.left -= uint64(n) //nolint:gosec // a count is not negative
	if n > 0 {
		return n, nil
	}
	return 0, unexpected(err)
}

// next reads up to the next chunk's first byte, or the body's end.
func (r *chunkReader) next() error {
	h := headReader{in: r.in, room: mostHead}
	if r.any {
		if line, ok := h.line(); !ok {
			return h.failed()
		} else if line != "" {
			return fmt.Errorf("a chunk of the body is longer than it says: %s", quoted(line))
		}
	}
	line, ok := h.line()
	if !ok {
		return h.failed()
	}
	size, _, _ := strings.Cut(line, ";")
	length, err := strconv.ParseUint(strings.TrimSpace(size), 16, 63)
	if err != nil {
		return fmt.Errorf("the body is not in chunks as announced: %s", quoted(line))
	}
	r.left, r.any = length, true
	if length > 0 {
		return nil
	}
	if r.a.Trailer, ok = h.header(); !ok {
		return h.failed()
	}
	r.done = true
	return nil
}

func (h *headReader) failed() error {
	if h.malformed != nil {
		return h.malformed
	}
	return h.err
}
