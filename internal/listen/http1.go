package listen

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody is how much of a request's body is read. Who sends more is answered
// without the rest being read.
const maxBody = 1 << 20

var (
	errNotHTTP  = errors.New("not HTTP")
	errTooLarge = errors.New("more than is taken")
)

// http1 speaks HTTP/1.1, 1.0 and 0.9, a request after another.
func (c *connection) http1() {
	for {
		if _, err := c.wire.peek(1, c.patience()); err != nil {
			c.done(err)
			return
		}
		if !c.exchange() {
			return
		}
	}
}

// exchange reads a request, tells it, and answers. It reports whether another
// one may follow.
func (c *connection) exchange() bool {
	v, until := c.begin(), c.patience()
	head, err := c.wire.head(until)
	switch {
	case errors.Is(err, errNotHTTP):
		c.foreign(v)
		return false
	case err != nil:
		c.cut(v, err)
		return false
	}
	v.Kind, v.Request = Whole, parseRequest(head)
	v.head = len(head)
	whole := c.readBody(v.Request, until)
	v.Reply = c.replyTo(v.Request)
	switch {
	case v.PlainOnTLS:
		v.Reply = Reply{Status: http.StatusBadRequest, GRPC: -1}
	case !whole:
		v.Reply.Keep = false
	}
	if !c.tell(v) {
		return false
	}
	if v.PlainOnTLS {
		c.refuse(v)
		return false
	}
	gone := c.hold(v.Reply.Delay)
	if gone != nil {
		c.done(gone)
		c.last = nil // has been told
	}
	// Who has only closed its own side may still read.
	if err := c.write(v, c.run.Answer.Body); err != nil {
		c.done(err)
		return false
	}
	c.answered, c.since = true, time.Now()
	if c.run.answered(c) && v.Reply.Keep && gone == nil {
		return true
	}
	c.wire.farewell()
	c.done(nil)
	return false
}

// cut tells of a request whose head did not come to its end.
func (c *connection) cut(v *Visit, err error) {
	v.Kind = Cut
	c.wire.take(len(c.wire.here()))
	switch {
	case errors.Is(err, errTooLarge):
		v.Why, v.Reply.Status = "its head is larger than 32 KiB", http.StatusRequestHeaderFieldsTooLarge
	case isTimeout(err):
		v.Why, v.Reply.Status = ended(err, time.Since(v.Time)), http.StatusRequestTimeout
	default:
		v.Why = ended(err, time.Since(v.Time))
	}
	if c.tell(v) && v.Reply.Status != 0 {
		c.refuse(v)
	}
}

// refuse answers what is no request that an app would be given.
func (c *connection) refuse(v *Visit) {
	text := http.StatusText(v.Reply.Status) + "\n"
	if v.PlainOnTLS {
		text = "Client sent an HTTP request to an HTTPS server.\n"
	}
	if c.write(v, text) == nil {
		c.answered, c.since = true, time.Now()
		c.wire.farewell()
	}
	c.run.answered(c)
}

// replyTo is what a request is to be answered.
func (c *connection) replyTo(r *Request) Reply {
	a := c.run.Answer
	reply := Reply{Status: a.Status, GRPC: -1, Delay: a.Delay}
	switch {
	case r.has("Connection", "close"):
	case r.Version == "HTTP/1.0":
		reply.Keep = r.has("Connection", "keep-alive")
	default:
		reply.Keep = r.Version != http09Version
	}
	for _, f := range a.Header {
		if strings.EqualFold(f.Name, "Connection") && strings.EqualFold(f.Value, "close") {
			reply.Keep = false
		}
	}
	return reply
}

// hold waits until the answer is due. The error is that of a client that does
// not wait for it.
func (c *connection) hold(delay time.Duration) error {
	for until := time.Now().Add(delay); delay > 0; {
		here := len(c.wire.here())
		if here == bufferSize {
			return errTooLarge
		}
		switch _, err := c.wire.peek(here+1, until); {
		case isTimeout(err):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// write sends an answer of HTTP/1.
func (c *connection) write(v *Visit, body string) error {
	var b bytes.Buffer
	if v.Request == nil || v.Request.Version != http09Version {
		c.writeHead(&b, v, len(body))
	}
	if v.Request == nil || v.Request.Method != http.MethodHead && hasBody(v.Reply.Status) {
		b.WriteString(body)
	}
	_ = c.wire.conn.SetWriteDeadline(c.patience())
	_, err := c.wire.conn.Write(b.Bytes())
	return err
}

func (c *connection) writeHead(b *bytes.Buffer, v *Visit, length int) {
	fmt.Fprintf(b, "HTTP/1.1 %d %s\r\n", v.Reply.Status, http.StatusText(v.Reply.Status))
	own := map[string]bool{}
	for _, f := range c.run.Answer.Header {
		own[strings.ToLower(f.Name)] = true
	}
	field := func(name, value string) {
		if !own[strings.ToLower(name)] {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	field("Date", time.Now().UTC().Format(http.TimeFormat))
	if hasBody(v.Reply.Status) {
		field("Content-Type", "text/plain; charset=utf-8")
		field("Content-Length", strconv.Itoa(length))
	}
	switch {
	case !v.Reply.Keep:
		field("Connection", "close")
	case v.Request.Version == "HTTP/1.0":
		field("Connection", "keep-alive")
	}
	for _, f := range c.run.Answer.Header {
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	b.WriteString("\r\n")
}

// hasBody tells whether answers of a status may have a body (RFC 9110, 6.4.1).
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// head takes a request's head, to the end of its empty line.
func (w *wire) head(until time.Time) ([]byte, error) {
	var s headScan
	for n := 1; ; {
		b, err := w.peek(n, until)
		switch end, ok := s.scan(b); {
		case !ok:
			return nil, errNotHTTP
		case end > 0:
			return w.take(end), nil
		case err != nil:
			return nil, err
		case len(b) >= bufferSize:
			return nil, errTooLarge
		}
		n = len(b) + 1
	}
}

// readBody takes the request's body. It reports whether the next request is to
// begin after what was taken.
func (c *connection) readBody(r *Request, until time.Time) bool {
	_ = c.wire.conn.SetReadDeadline(until)
	before := c.wire.size
	defer func() { r.Body = c.wire.size - before }()
	coding, coded := r.Get("Transfer-Encoding")
	length, sized := r.Get("Content-Length")
	if !coded && !sized {
		return true
	}
	if r.has("Expect", "100-continue") && r.Version != "HTTP/1.0" {
		_ = c.wire.conn.SetWriteDeadline(until)
		if _, err := c.wire.conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return false
		}
	}
	if coded {
		if !strings.EqualFold(strings.TrimSpace(coding), "chunked") {
			return false
		}
		return c.wire.chunks()
	}
	n, err := strconv.ParseUint(length, 10, 63)
	if err != nil {
		return false
	}
	_, err = io.CopyN(io.Discard, c.wire, int64(min(n, maxBody))) // #nosec G115 -- at most maxBody
	return err == nil && n <= maxBody
}

// chunks takes a body in chunks, and reports whether it came to its end.
func (w *wire) chunks() bool {
	for left := int64(maxBody); left > 0; {
		line, err := w.line()
		if err != nil {
			return false
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 31)
		if err != nil {
			return false
		}
		if size == 0 {
			for line != "" { // the trailers, and the empty line
				if line, err = w.line(); err != nil {
					return false
				}
				left -= int64(len(line))
				if left < 0 {
					return false
				}
			}
			return true
		}
		n := int64(size) // #nosec G115 -- of 31 bits
		left -= n + int64(len(line))
		if left < 0 {
			return false
		}
		if _, err := io.CopyN(io.Discard, w, n); err != nil {
			return false
		}
		if line, err := w.line(); err != nil || line != "" {
			return false
		}
	}
	return false
}

// line takes a line, without its end.
func (w *wire) line() (string, error) {
	var line []byte
	for len(line) < bufferSize {
		b := make([]byte, 1)
		if _, err := io.ReadFull(w, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		}
		line = append(line, b[0])
	}
	return "", errTooLarge
}

// ValidField tells whether a field can be sent as a part of an answer.
func ValidField(name, value string) bool {
	return isToken(name) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
