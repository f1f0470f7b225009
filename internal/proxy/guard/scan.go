package guard

import "net/http"

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
	searched int  // bytes of the unfinished line that are known to hold no LF
	ignored  bool // an empty line was, and the request line is to come

	left       int64 // bytes of the body, the chunk, or the chunk's CRLF to come
	size       int   // bytes of the head's, or trailer's, whole lines so far
	fields     int   // number of their fields
	extensions int   // bytes of the body's chunk extensions so far

	head   head
	lineAt int    // where the line that is looked at begins, in the head
	spans  []span // where the head's fields are; of a trailer, that of the line
}

// span is where a field's name and value are.
type span struct{ name, nameEnd, value, valueEnd int }

// head is what the current head has shown so far of what matters for framing.
type head struct {
	method    int // its end in the request line, which it begins
	target    int // likewise, a space after the method
	http10    bool
	hosts     int    // number of Host fields
	absolute  bool   // the target is in absolute form,
	authority []byte // with this authority
	hasLength bool
	length    int64
	chunked   bool
}

func (s *scanner) refuse(r *Refusal) {
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
		s.size, s.fields, s.ignored, s.spans = 0, 0, false, s.spans[:0]
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
