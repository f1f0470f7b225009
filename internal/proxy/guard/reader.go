package guard

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
)

// Phase is what a Source is read for, which says how much time it may take.
type Phase uint8

// Phases.
const (
	Idle   Phase = iota // for a request's first byte
	InHead              // for the rest of its head
	InBody              // for its body
	Ahead               // for what may come while the request is being answered
)

// A Source is where a client's bytes come from.
type Source interface {
	// Read reads as an io.Reader's does. When the phase's time is over, its error
	// is os.ErrDeadlineExceeded.
	Read(p []byte, at Phase) (int, error)
}

// Reader reads a client's requests, one after the other: first a head, with Next,
// then its body, with Read. One goroutine at a time may use it.
type Reader struct {
	source Source
	scan   scanner

	// What was read and not used is buf[r:w]. Of an unfinished head there, the
	// first looked bytes are whole lines.
	buf    []byte
	r, w   int
	looked int

	chunked bool // the body comes in chunks
	trailer []Field
	err     error // why no more can be read
}

// Field is a header field. It is no type of its own, so that whoever gets it need
// not know this package.
type Field = struct{ Name, Value string }

// Head is a request's head that has been found good.
type Head struct {
	Method, Target string
	HTTP10         bool    // else HTTP/1.1
	Fields         []Field // all of them, as they came, without the white space around values
	Length         int64   // of the body; -1 if it comes in chunks
	HasLength      bool    // there is a Content-Length
}

// NewReader returns a reader that holds requests to the limits.
func NewReader(source Source, limits Limits) *Reader {
	return &Reader{source: source, scan: scanner{headSize: limits.HeadSize, lineSize: limits.LineSize, fieldSize: limits.FieldSize}}
}

// Wait waits for a request's first byte. Its error is io.EOF if the client has
// closed the connection.
func (r *Reader) Wait() error {
	if r.err == nil && r.r == r.w {
		r.err = r.fill(Idle)
	}
	return r.err
}

// Next reads the next request's head, once the body of the one before has been
// read to its end. The head's Fields are appended to fields, in its place. The
// error is a *Refusal for what is no good head, or did not come in time; it is
// io.EOF if the client has closed the connection instead.
func (r *Reader) Next(fields []Field) (Head, error) {
	for r.err == nil {
		if end := r.lookOn(); end > 0 {
			return r.take(end, fields), nil
		}
		if r.scan.refusal != nil {
			r.err = r.scan.refusal
			break
		}
		phase := InHead
		if r.r == r.w { // nothing yet, or an empty line that is ignored
			phase = Idle
		}
		switch err := r.fill(phase); {
		case err == nil:
		case phase == InHead && errors.Is(err, os.ErrDeadlineExceeded):
			r.err = &Refusal{408, "the request's header did not arrive in time"}
		case phase == InHead && errors.Is(err, io.EOF):
			r.err = io.ErrUnexpectedEOF
		default:
			r.err = err
		}
	}
	return Head{}, r.err
}

// lookOn looks at the head's lines that are there, and returns its length once
// it is whole.
func (r *Reader) lookOn() int {
	s := &r.scan
	for {
		rest := r.buf[r.r+r.looked : r.w]
		if len(rest) == 0 {
			return 0
		}
		n := bytes.IndexByte(rest[s.searched:], '\n')
		if n < 0 {
			s.searched = len(rest)
			s.unfinished(rest)
			return 0
		}
		line := rest[:s.searched+n+1]
		s.searched = 0
		if s.at == atStart && !s.ignored && string(line) == "\r\n" { // RFC 9112, 2.2
			s.ignored = true
			r.r += len(line)
			continue
		}
		s.lineAt = r.looked
		r.looked += len(line)
		s.line(line)
		switch s.at {
		case inHeader:
		case atRefusal:
			return 0
		default:
			return r.looked
		}
	}
}

// take makes the head of the first end bytes in the buffer.
func (r *Reader) take(end int, fields []Field) Head {
	s := &r.scan
	text := string(r.buf[r.r : r.r+end])
	r.skip(end)
	r.looked = 0
	h := Head{
		Method: text[:s.head.method], Target: text[s.head.method+1 : s.head.target],
		HTTP10: s.head.http10, Length: s.head.length, HasLength: s.head.hasLength,
	}
	if r.chunked = s.head.chunked; r.chunked {
		h.Length = -1
	}
	for _, f := range s.spans {
		fields = append(fields, Field{text[f.name:f.nameEnd], text[f.value:f.valueEnd]})
	}
	h.Fields = fields
	r.trailer = nil
	return h
}

// Read reads the body of the request whose head was read last. The error is
// io.EOF at its end, a *Refusal for what breaks its framing or does not come in
// time, and io.ErrUnexpectedEOF if the client has closed the connection.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.err == nil {
		switch r.scan.at {
		case inBody, inChunk:
			n, err := r.readSome(p[:min(int64(len(p)), r.scan.left)])
			if r.scan.left -= int64(n); r.scan.left == 0 {
				r.scan.bodyDone()
			}
			if n > 0 {
				return n, nil
			}
			r.failed(err)
		case atChunkEnd, atChunkSize, inTrailer:
			if !r.framing() {
				r.failed(r.fill(InBody))
			}
		default:
			return 0, io.EOF
		}
	}
	return 0, r.err
}

// AtEnd reports whether the body has been read to its end.
func (r *Reader) AtEnd() bool { return r.scan.at == atStart }

// Trailer returns the fields after a body of chunks, once its end was reached.
func (r *Reader) Trailer() []Field { return r.trailer }

// readSome reads what is buffered, or else from the source.
func (r *Reader) readSome(p []byte) (int, error) {
	if r.r < r.w {
		n := copy(p, r.buf[r.r:r.w])
		r.skip(n)
		return n, nil
	}
	n, err := r.source.Read(p, InBody)
	if n > 0 {
		err = nil // shows again with the next Read
	}
	return n, err
}

// failed notes why a body could not be read.
func (r *Reader) failed(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.err = &Refusal{408, "the request's body did not arrive in time"}
	case errors.Is(err, io.EOF):
		r.err = io.ErrUnexpectedEOF
	default:
		r.err = err
	}
}

// framing takes what stands between the chunks of a body, or after them: one
// line, or as much of a chunk's end as is there. It reports whether there was
// anything that it could take, if only to refuse it.
func (r *Reader) framing() bool {
	s := &r.scan
	rest := r.buf[r.r:r.w]
	if s.at == atChunkEnd {
		if len(rest) == 0 {
			return false
		}
		if rest[0] != "\r\n"[2-s.left] {
			s.refuse(refuse("a chunk is longer than its size says, or not followed by CRLF"))
			r.err = s.refusal
			return true
		}
		r.skip(1)
		if s.left--; s.left == 0 {
			s.at = atChunkSize
		}
		return true
	}
	if len(rest) == 0 {
		return false
	}
	n := bytes.IndexByte(rest[s.searched:], '\n')
	if n < 0 {
		s.searched = len(rest)
		if s.unfinished(rest); s.at == atRefusal {
			r.err = s.refusal
			return true
		}
		return false
	}
	line := rest[:s.searched+n+1]
	s.searched = 0
	trails := s.at == inTrailer
	s.lineAt = 0
	s.spans = s.spans[:0]
	s.line(line)
	if s.at == atRefusal {
		r.err = s.refusal
		return true
	}
	if trails && len(s.spans) > 0 {
		f, text := s.spans[0], string(line)
		r.trailer = append(r.trailer, Field{text[f.name:f.nameEnd], text[f.value:f.valueEnd]})
	}
	r.skip(len(line))
	return true
}

// ReadAhead reads what comes after the request that is being answered, to see
// whether the client is still there. It must be called after the body's end. Its
// error is ErrFull when there is no room for more, and what the source says
// when that fails.
func (r *Reader) ReadAhead() error {
	if r.err == nil {
		if r.buf != nil && r.w == len(r.buf) && r.r == 0 {
			return ErrFull
		}
		r.err = r.fill(Ahead)
	}
	return r.err
}

// ErrFull says that nothing more can be read ahead.
var ErrFull = errors.New("the client has sent more than one buffer ahead")

// Forgive takes back that reading has ended with err: it was made to.
func (r *Reader) Forgive(err error) {
	if r.err == err { //nolint:errorlint // that very one
		r.err = nil
	}
}

// Buffered reports whether something was read that nobody has asked for.
func (r *Reader) Buffered() bool { return r.r < r.w }

// Release ends the reading, for a connection that is upgraded to another
// protocol: it returns what was read and belongs to that.
func (r *Reader) Release() []byte {
	rest := bytes.Clone(r.buf[r.r:r.w])
	r.skip(r.w - r.r)
	return rest
}

const bufferSize = 4 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// fill reads more into the buffer, which it makes larger if need be: the scanner
// bounds what is kept there.
func (r *Reader) fill(at Phase) error {
	if r.buf == nil {
		r.buf = buffers.Get().(*[bufferSize]byte)[:]
	}
	if r.w == len(r.buf) {
		if r.r == 0 {
			larger := make([]byte, 2*len(r.buf))
			copy(larger, r.buf)
			r.free()
			r.buf = larger
		} else {
			r.w = copy(r.buf, r.buf[r.r:r.w])
			r.r = 0
		}
	}
	n, err := r.source.Read(r.buf[r.w:], at)
	r.w += n
	if n > 0 {
		return nil // an error shows again with the next read
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// skip marks the first n of the buffered bytes as used.
func (r *Reader) skip(n int) {
	if r.r += n; r.r == r.w {
		r.r, r.w = 0, 0
		if len(r.buf) > bufferSize {
			r.free()
			r.buf = nil
		}
	}
}

// free gives the buffer back.
func (r *Reader) free() {
	if len(r.buf) == bufferSize {
		buffers.Put((*[bufferSize]byte)(r.buf))
	}
}

// Close gives the reader's buffer back. Nothing can be read any more.
func (r *Reader) Close() {
	if r.err == nil {
		r.err = io.ErrClosedPipe
	}
	r.free()
	r.buf, r.r, r.w = nil, 0, 0
}
