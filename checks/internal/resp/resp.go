// Package resp speaks the protocol of Redis and Valkey, version 2
// (https://redis.io/docs/latest/develop/reference/protocol-spec/). What it reads
// is bounded, so that a server of another kind cannot make it allocate more
// than it was told to.
package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Append appends a command and its arguments, as they are sent.
func Append(b []byte, command ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(command))
	for _, arg := range command {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}

// Error is a reply that says what went wrong. Its first word is by convention a
// code in capital letters, such as NOAUTH.
type Error string

func (e Error) Error() string { return string(e) }

// Code returns the first word of the error.
func (e Error) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// Text returns what follows the code.
func (e Error) Text() string {
	_, text, _ := strings.Cut(string(e), " ")
	return text
}

// A StrangerError holds the beginning of an answer that is none of this
// protocol.
type StrangerError struct{ Line string }

func (e *StrangerError) Error() string { return fmt.Sprintf("not Redis' protocol: %q", e.Line) }

// ErrTooLong is returned for replies that are longer than the reader's limit.
var ErrTooLong = errors.New("the reply is too long")

// maxDepth bounds arrays within arrays.
const maxDepth = 8

// Reader reads replies.
type Reader struct {
	limited *io.LimitedReader
	r       *bufio.Reader
}

// NewReader returns a reader of at most limit bytes in all.
func NewReader(r io.Reader, limit int64) *Reader {
	limited := &io.LimitedReader{R: r, N: limit}
	return &Reader{limited, bufio.NewReader(limited)}
}

// Reply reads one reply: a string, an int64, nil, a slice of those, or an Error,
// which is a reply as well and not this method's error.
func (r *Reader) Reply() (any, error) { return r.reply(0) }

func (r *Reader) reply(depth int) (any, error) {
	kind, err := r.r.ReadByte()
	if err != nil {
		return nil, r.ended(err)
	}
	if !strings.ContainsRune("+-:$*", rune(kind)) {
		// Whatever came along with it is enough to tell who speaks.
		rest, _ := r.r.Peek(min(r.r.Buffered(), 200))
		return nil, &StrangerError{string(kind) + string(rest)}
	}
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	switch kind {
	case '+':
		return line, nil
	case '-':
		return Error(line), nil
	}
	n, err := strconv.ParseInt(line, 10, 64)
	switch {
	case err != nil:
		return nil, &StrangerError{string(kind) + line}
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		return r.bulk(n)
	default:
		return r.array(n, depth)
	}
}

func (r *Reader) line() (string, error) {
	var line []byte
	for {
		part, err := r.r.ReadSlice('\n')
		line = append(line, part...) // the limit bounds it
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", r.cut(err)
		}
		text, ok := strings.CutSuffix(string(line), "\r\n")
		if !ok {
			return "", &StrangerError{string(line[:min(len(line), 200)])}
		}
		return text, nil
	}
}

func (r *Reader) bulk(n int64) (any, error) {
	if n > r.left() {
		return nil, ErrTooLong
	}
	buf := make([]byte, n+2)
	if _, err := io.ReadFull(r.r, buf); err != nil {
		return nil, r.cut(err)
	}
	text, ok := strings.CutSuffix(string(buf), "\r\n")
	if !ok {
		return nil, &StrangerError{string(buf[:min(len(buf), 200)])}
	}
	return text, nil
}

func (r *Reader) array(n int64, depth int) (any, error) {
	if n > r.left() || depth == maxDepth { // an element takes more than a byte
		return nil, ErrTooLong
	}
	var elements []any // grows with what comes, not with what was announced
	for range n {
		element, err := r.reply(depth + 1)
		if err != nil {
			return nil, r.cut(err)
		}
		elements = append(elements, element)
	}
	return elements, nil
}

// left is how many bytes may still be read.
func (r *Reader) left() int64 { return r.limited.N + int64(r.r.Buffered()) }

// ended tells an end that the other side made from the one that the limit made.
func (r *Reader) ended(err error) error {
	if errors.Is(err, io.EOF) && r.limited.N <= 0 {
		return ErrTooLong
	}
	return err
}

// cut is ended, in the middle of a reply.
func (r *Reader) cut(err error) error {
	if err = r.ended(err); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
