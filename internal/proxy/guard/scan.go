package guard

import (
	"bytes"
	"net/http"
)

// net/http reads no more of a trailer than 4 KiB and no more overhead of chunks
// than 16 KiB; with these limits the guard refuses first, and says why.
const (
	maxTrailer    = 3 << 10 // bytes of a trailer
	maxChunkLine  = 1 << 10 // bytes of the line before a chunk
	maxExtensions = 8 << 10 // bytes of a body's chunk extensions
)

// place is where in the stream of requests the next byte belongs.
type place uint8

const (
	atStart     place = iota // in a request line
	inHeader                 // in the lines after it
	inBody                   // in a body whose length is known
	atChunkSize              // in the line before a chunk
	inChunk                  // in a chunk's data
	atChunkEnd               // in the CRLF after it
	inTrailer                // in the lines after the last chunk
	atRefusal                // nothing more is looked at
)

// scanner follows a client's stream of requests, line by line.
type scanner struct {
	headSize, lineSize int
	fieldSize          int // 0 is no limit

	at       place
	refusal  *Refusal
	inHead   bool // the refusal is of a head, not within a body
	searched int  // bytes of the unfinished line that are known to hold no LF
	ignored  bool // an empty line was, and the request line is to come

	left       int64 // bytes of the body, the chunk, or the chunk's CRLF to come
	size       int   // bytes of the head's, or trailer's, whole lines so far
	fields     int   // number of their fields
	extensions int   // bytes of the body's chunk extensions so far

	head head
}

// head is what the current head has shown so far of what matters for framing.
type head struct {
	http10    bool
	hosts     int    // number of Host fields
	absolute  bool   // the target is in absolute form,
	authority []byte // with this authority
	hasLength bool
	length    int64
	chunked   bool
}

// scan looks at buf. Its first looked bytes are lines of an unfinished head,
// and were looked at before. The first deliver bytes of buf may be handed on:
// they belong to whole heads and to bodies. The lookedNext bytes after them
// are whole lines of an unfinished head, and what remains is an unfinished
// line: all of these are to be given again, with what follows them.
//
// One empty line before a request line is taken out of buf, of which length
// bytes remain.
//
// After a refusal nothing is to be handed on beyond deliver.
func (s *scanner) scan(buf []byte, looked int) (length, deliver, lookedNext int) {
	i := looked
	for i < len(buf) {
		switch s.at {
		case inBody, inChunk:
			n := min(s.left, int64(len(buf)-i))
			i += int(n)
			deliver = i
			if s.left -= n; s.left == 0 {
				s.bodyDone()
			}
		case atChunkEnd:
			if buf[i] != "\r\n"[2-s.left] {
				s.refuse(refuse("a chunk is longer than its size says, or not followed by CRLF"))
				return len(buf), deliver, 0
			}
			i++
			deliver = i
			if s.left--; s.left == 0 {
				s.at = atChunkSize
			}
		case atRefusal:
			return len(buf), deliver, 0
		default:
			n := bytes.IndexByte(buf[i+s.searched:], '\n')
			if n < 0 {
				s.searched = len(buf) - i
				s.unfinished(buf[i:])
				return len(buf), deliver, i - deliver
			}
			end := i + s.searched + n + 1
			s.searched = 0
			if s.at == atStart && !s.ignored && string(buf[i:end]) == "\r\n" {
				// RFC 9112, 2.2. net/http must not see it: it would refuse it.
				s.ignored = true
				buf = append(buf[:i], buf[end:]...)
				continue
			}
			s.line(buf[i:end])
			if s.at == atRefusal {
				return len(buf), deliver, 0
			}
			i = end
			if s.at != inHeader {
				deliver = i // a whole head, or a line within a body
			}
		}
	}
	return len(buf), deliver, i - deliver
}

func (s *scanner) refuse(r *Refusal) {
	s.inHead = s.at == atStart || s.at == inHeader
	s.at = atRefusal
	s.refusal = r
}

// bodyDone is called at the last byte of a body or of a chunk's data.
func (s *scanner) bodyDone() {
	if s.at == inChunk {
		s.at, s.left = atChunkEnd, 2
		return
	}
	s.at = atStart
}

// unfinished looks at the start of a line whose end has not come yet.
func (s *scanner) unfinished(part []byte) {
	if s.at == atStart && (s.ignored || string(part) != "\r") { // which may become an empty line
		if r := checkFirst(part[0]); r != nil {
			s.refuse(r)
			return
		}
	}
	if r := s.checkSize(len(part)); r != nil {
		s.refuse(r)
	}
}

// checkFirst refuses what cannot be a request line's first byte, without
// waiting for the line's end.
func checkFirst(c byte) *Refusal {
	switch {
	case class[c]&isToken != 0:
		return nil
	case c == 0x16:
		return refuse("this is a TLS handshake, but the port speaks plain HTTP")
	case c == ' ', c == '\t', c == '\r', c == '\n':
		return refuse("white space before the request line")
	default:
		return refuse("the first byte is not that of an HTTP request")
	}
}

// checkSize refuses a line of n bytes that, itself or with those before it,
// exceeds a limit.
func (s *scanner) checkSize(n int) *Refusal {
	switch s.at {
	case atStart:
		if n > s.lineSize || n > s.headSize {
			return &Refusal{http.StatusRequestURITooLong, "the request line is too long"}
		}
	case inHeader:
		if s.size+n > s.headSize {
			return &Refusal{http.StatusRequestHeaderFieldsTooLarge, "the header is too large"}
		}
		if s.fieldSize > 0 && n > s.fieldSize {
			return &Refusal{http.StatusRequestHeaderFieldsTooLarge, "a header field is too large"}
		}
	case inTrailer:
		if s.size+n > maxTrailer {
			return &Refusal{http.StatusRequestHeaderFieldsTooLarge, "the trailer is too large"}
		}
	case atChunkSize:
		if n > maxChunkLine {
			return refuse("the line before a chunk is too long")
		}
	default: // not in a line
	}
	return nil
}

// line takes a whole line, with its LF.
func (s *scanner) line(line []byte) {
	if s.at == atStart {
		if r := checkFirst(line[0]); r != nil {
			s.refuse(r)
			return
		}
	}
	if r := s.checkSize(len(line)); r != nil {
		s.refuse(r)
		return
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		s.refuse(refuse("a line ends with a bare LF"))
		return
	}
	size := len(line)
	line = line[:size-2]
	var r *Refusal
	switch s.at {
	case atStart:
		s.size, s.fields, s.ignored = 0, 0, false
		s.at = inHeader
		r = s.requestLine(line)
	case inHeader:
		if len(line) > 0 {
			r = s.headerLine(line)
		} else {
			r = s.headDone()
		}
	case atChunkSize:
		r = s.chunkLine(line)
	case inTrailer:
		if len(line) > 0 {
			r = s.trailerLine(line)
		} else {
			s.at = atStart
		}
	default: // not in a line
	}
	s.size += size
	if r != nil {
		s.refuse(r)
	}
}

// headDone is called at the empty line: the head is complete.
func (s *scanner) headDone() *Refusal {
	h := &s.head
	switch {
	case h.hosts == 0 && !h.http10:
		return refuse("no Host field")
	case h.chunked && h.hasLength:
		return refuse("both Content-Length and Transfer-Encoding")
	case h.chunked && h.http10:
		return refuse("Transfer-Encoding in HTTP/1.0")
	case h.chunked:
		s.at, s.extensions = atChunkSize, 0
	case h.length > 0:
		s.at, s.left = inBody, h.length
	default:
		s.at = atStart
	}
	return nil
}

// chunkLine takes the line before a chunk: its size in hexadecimal, perhaps
// extensions.
func (s *scanner) chunkLine(line []byte) *Refusal {
	digits := 0
	var n uint64
	for digits < len(line) && class[line[digits]]&isHex != 0 {
		n = n<<4 | uint64(unhex(line[digits]))
		if digits++; digits > 16 {
			return refuse("a chunk's size has too many digits")
		}
	}
	rest := line[digits:]
	switch {
	case digits == 0:
		return refuse("a chunk has no size, or is shorter than its size says")
	case n > 1<<62:
		return refuse("a chunk's size is too large")
	case len(rest) > 0 && rest[0] != ';':
		return refuse("garbage after a chunk's size")
	case !all(rest, isValue) || hasHigh(rest):
		return refuse("a control character in a chunk extension")
	}
	if s.extensions += len(rest); s.extensions > maxExtensions {
		return refuse("too many chunk extensions")
	}
	if n == 0 {
		s.at, s.size, s.fields = inTrailer, 0, 0
		return nil
	}
	s.at, s.left = inChunk, int64(n)
	return nil
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	default:
		return c&^0x20 - 'A' + 10
	}
}

func hasHigh(s []byte) bool {
	for _, c := range s {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
