package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/explain"
)

// Bounds of an answer. Real ones are far smaller.
const (
	mostHead    = 256 << 10 // bytes of one head
	usualFields = 8         // of one head: what room is made for
	mostInterim = 100       // answers 1xx before the one that counts
	mostKept    = 64 << 10  // bytes of the body that are kept
	mostBody    = 64 << 20  // bytes of the body that are read at full speed, and of one that says its length at all
)

// Bytes returns the request as HTTP/1 writes it, without a PROXY header.
func (p Probe) Bytes() []byte {
	b := make([]byte, 0, 256)
	b = append(append(b, p.Method...), ' ')
	b = append(append(b, p.Path...), ' ')
	b = append(append(b, p.Version...), "\r\n"...)
	for f := range p.header() {
		b = append(append(b, f.Name...), ": "...)
		b = append(append(b, f.Value...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// header yields the fields with Host in its place: first, if it has none.
func (p *Probe) header() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		host := p.SentHost()
		placed := host == ""
		if !placed && !slices.ContainsFunc(p.Fields, func(f Field) bool { return f.Value == HostField }) {
			placed = true
			if !yield(Field{"Host", host}) {
				return
			}
		}
		for _, f := range p.Fields {
			if f.Value == HostField {
				if placed {
					continue
				}
				placed, f.Value = true, host
			}
			if !yield(f) {
				return
			}
		}
	}
}

// speakHTTP1 sends the request, and reads the answer to it.
func (c *conversation) speakHTTP1() {
	start := time.Now()
	// Who answers and closes before it has read all makes this fail: what it
	// said is read all the same.
	_, unsent := c.conn.send(c.Bytes())
	c.in = newReader(c.conn)
	_, err := c.in.Peek(1)
	if err != nil {
		c.nothing(err, unsent)
		return
	}
	c.a.Times.FirstByte = c.conn.first.Sub(start)
	defer func() { c.a.Times.Body = time.Since(c.conn.first) }()
	if c.readHead() && c.readBody() {
		c.a.Outcome = Answered
	}
}

// nothing tells why not a byte came.
func (c *conversation) nothing(err, unsent error) {
	switch {
	case explain.IsTimeout(err):
		c.late(Silent, "no byte of an answer")
	case c.refusedByTLS(err):
		c.fail(TLSFailed, err)
	default:
		c.fail(Empty, errors.Join(err, unsent))
	}
}

// readHead reads answers up to the head of the one that counts.
func (c *conversation) readHead() bool {
	for range mostInterim {
		h := headReader{in: &c.in.Reader, room: mostHead}
		if !h.read() {
			switch {
			case h.malformed != nil:
				return c.fail(NotHTTP, h.malformed)
			case explain.IsTimeout(h.err):
				return c.late(HeadCut, "no end of the answer's head")
			}
			return c.fail(HeadCut, h.err)
		}
		if h.status/100 == 1 && h.status != 101 {
			continue // an interim answer: 100 Continue, 103 Early Hints
		}
		c.a.Proto, c.a.Status, c.a.Text, c.a.Header = h.proto, h.status, h.text, h.fields
		return true
	}
	return c.fail(NotHTTP, fmt.Errorf("%d interim answers, and none that counts", mostInterim))
}

// headReader reads a status line and a header. It takes what servers really
// send: bare line feeds, no reason phrase, folded lines.
type headReader struct {
	in   *bufio.Reader
	room int // bytes that the head may still have

	proto, text string
	status      int
	fields      []Field
	// err is why the head did not come to its end, malformed why it is none.
	err, malformed error
}

func (h *headReader) read() bool {
	if !h.startsAsHTTP() {
		return false
	}
	line, ok := h.line()
	if !ok {
		return false
	}
	if h.proto, h.status, h.text, ok = statusLine(line); !ok {
		return h.not(fmt.Errorf("the status line is none: %s", quoted(line)))
	}
	h.fields, ok = h.header()
	return ok
}

// header reads fields up to the empty line.
func (h *headReader) header() (fields []Field, ok bool) {
	for {
		line, ok := h.line()
		if !ok {
			return nil, false
		}
		if line == "" {
			return fields, true
		}
		if (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 {
			last := &fields[len(fields)-1]
			last.Value = strings.TrimSpace(last.Value + " " + strings.TrimSpace(line))
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, h.not(fmt.Errorf("a line of the header is none: %s", quoted(line)))
		}
		if fields == nil {
			fields = make([]Field, 0, usualFields)
		}
		fields = append(fields, Field{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
}

// startsAsHTTP looks at the first bytes, as far as they came at once: who
// speaks something else may never send a line's end.
func (h *headReader) startsAsHTTP() bool {
	const start = "HTTP/"
	if _, err := h.in.Peek(1); err != nil {
		h.err = unexpected(err)
		return false
	}
	seen, _ := h.in.Peek(min(h.in.Buffered(), len(start)))
	if !strings.EqualFold(string(seen), start[:len(seen)]) {
		more, _ := h.in.Peek(min(h.in.Buffered(), 40))
		return h.not(fmt.Errorf("the answer is not HTTP: it begins with %s", quoted(string(more))))
	}
	return true
}

// line reads one line, without its end.
func (h *headReader) line() (string, bool) {
	var before []byte // of a line that is longer than the reader's buffer
	for {
		part, err := h.in.ReadSlice('\n')
		if h.room -= len(part); h.room < 0 {
			return "", h.not(fmt.Errorf("the head has more than %d KiB", mostHead>>10))
		}
		if err == nil {
			if before != nil {
				part = append(before, part...)
			}
			return string(bytes.TrimSuffix(bytes.TrimSuffix(part, []byte("\n")), []byte("\r"))), true
		}
		before = append(before, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			h.err = unexpected(err)
			return "", false
		}
	}
}

func (h *headReader) not(err error) bool {
	h.malformed = err
	return false
}

// statusLine reads "HTTP/1.1 404 Not Found".
func statusLine(line string) (proto string, status int, text string, ok bool) {
	proto, rest, _ := strings.Cut(line, " ")
	version, isHTTP := strings.CutPrefix(strings.ToUpper(proto), "HTTP/")
	if !isHTTP || version == "" || strings.Trim(version, "0123456789.") != "" {
		return "", 0, "", false
	}
	digits, text, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	status, err := strconv.Atoi(digits)
	if err != nil || len(digits) != 3 || status < 100 {
		return "", 0, "", false
	}
	return proto, status, text, true
}

// unexpected turns an end within something into the error that says so.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// quoted shows a stranger's bytes, cut to a length fit for a message.
func quoted(text string) string {
	const most = 60
	if len(text) > most {
		return fmt.Sprintf("%+q...", text[:most])
	}
	return fmt.Sprintf("%+q", text)
}
