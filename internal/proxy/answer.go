package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// framing is how the length of a body is known.
type framing uint8

const (
	noBody     framing = iota
	withLength         // Content-Length
	chunked            // Transfer-Encoding: chunked
	untilClose         // it ends with the connection
)

// answerHead is the head of an upstream's answer.
type answerHead struct {
	status int
	reason string  // the phrase in its status line; may be empty
	fields []Field // for the client: without the fields of this hop

	framing     framing
	length      int64  // of the body, or what a HEAD's would be; -1 if unknown
	keepAlive   bool   // the connection can carry another request after this
	upgrade     string // the protocol of a 101
	trailer     string // names of the fields that the trailer will have
	eventStream bool
}

var (
	errNotHTTP    = errors.New("it is not HTTP/1.1")
	errHeadTooBig = errors.New("its header is larger than the limit")
	errEmpty      = errors.New("the connection was closed")
)

// readHead reads the head of an answer into h, as long as its lines are there;
// otherwise it returns the connection's error, and may be called again. The
// strings of h share one copy of the head; h.fields are c.fields.
func (c *conn) readHead(h *answerHead, method string, limit int) error {
	searched := 0
	for {
		if n := len(c.buffered()); n > 0 {
			if !bytes.HasPrefix([]byte("HTTP/1."), c.in[c.r:c.r+min(n, 7)]) {
				return &headError{errNotHTTP}
			}
			end := headEnd(c.buffered(), searched)
			if end > limit {
				return &headError{errHeadTooBig}
			}
			if end > 0 {
				text := string(c.in[c.r : c.r+end])
				c.skip(end)
				if err := h.parse(text, c, method); err != nil {
					return &headError{err}
				}
				return nil
			}
			searched = max(0, n-3)
		}
		switch err := c.fill(); {
		case errors.Is(err, errBufferFull):
			if !c.grow(limit) {
				return &headError{errHeadTooBig}
			}
		case err != nil:
			return err
		}
	}
}

// headError says that what came is not a head.
type headError struct{ err error }

func (e *headError) Error() string { return e.err.Error() }
func (e *headError) Unwrap() error { return e.err }

// headEnd returns the length of the head with its final empty line, or 0 if
// that is not there yet. Lines end with CRLF, or with the LF that some
// programs write.
func headEnd(b []byte, searched int) int {
	for i := searched; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
}

// parse reads a head. What is ambiguous is an error: the client must not get
// an answer that it could read in another way than we do.
func (h *answerHead) parse(text string, c *conn, method string) error {
	line, rest := cutLine(text)
	*h = answerHead{length: -1}
	http10, err := h.statusLine(line)
	if err != nil {
		return err
	}
	c.fields = c.fields[:0]
	var hop hopFields
	for rest != "" {
		if line, rest = cutLine(rest); line == "" {
			break
		}
		for rest != "" && (rest[0] == ' ' || rest[0] == '\t') { // RFC 9112, 5.2: a fold is a space
			var more string
			more, rest = cutLine(rest)
			line += " " + strings.Trim(more, " \t")
		}
		name, value, err := cutField(line)
		if err != nil {
			return err
		}
		if !hop.take(name, value, h) {
			c.fields = append(c.fields, Field{name, value})
		}
	}
	if hop.err != nil {
		return hop.err
	}
	h.fields = removeListed(c.fields, hop.connection)
	return h.frame(&hop, http10, method)
}

// statusLine takes "HTTP/1.1 200 OK".
func (h *answerHead) statusLine(line string) (http10 bool, err error) {
	if len(line) < 12 || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return false, errors.New("its status line is not valid")
	}
	switch line[:8] {
	case "HTTP/1.1":
	case "HTTP/1.0":
		http10 = true
	default:
		return false, errNotHTTP
	}
	if len(line) > 13 && isValue(line[13:]) {
		h.reason = line[13:]
	}
	for _, d := range []byte(line[9:12]) {
		if d < '0' || d > '9' {
			return false, errors.New("its status is not a number")
		}
		h.status = h.status*10 + int(d-'0')
	}
	if h.status < 100 || h.status > 599 {
		return false, fmt.Errorf("its status %d is not between 100 and 599", h.status)
	}
	return http10, nil
}

// frame finds out how long the body is (RFC 9112, 6.3).
func (h *answerHead) frame(hop *hopFields, http10 bool, method string) error {
	switch {
	case hop.hasEncoding && hop.hasLength:
		return errors.New("it has both Content-Length and Transfer-Encoding")
	case hop.hasEncoding && http10:
		return errors.New("it has Transfer-Encoding in HTTP/1.0")
	}
	h.keepAlive = !hop.close && (!http10 || hop.keepAlive)
	if hop.hasLength {
		h.length = hop.length
	}
	switch {
	case h.status == 101:
		h.upgrade = hop.upgrade
	case method == "HEAD", h.status < 200, h.status == 204, h.status == 304:
	case hop.hasEncoding:
		h.framing = chunked
		h.trailer = hop.trailer
	case !hop.hasLength:
		h.framing = untilClose
		h.keepAlive = false
	case hop.length > 0:
		h.framing = withLength
	}
	return nil
}

// hopFields are the fields of an answer that concern this hop alone.
type hopFields struct {
	hasLength, hasEncoding bool
	length                 int64
	close, keepAlive       bool
	connection             string // the names that Connection lists
	upgrade, trailer       string
	err                    error
}

// take notes a field that concerns this hop. It returns false for one that is
// for the client.
func (f *hopFields) take(name, value string, h *answerHead) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "TE")
	case 7:
		switch {
		case strings.EqualFold(name, "Trailer"):
			f.trailer = joined(f.trailer, value)
		case strings.EqualFold(name, "Upgrade"):
			f.upgrade = joined(f.upgrade, value)
		default:
			return false
		}
	case 10:
		switch {
		case strings.EqualFold(name, "Connection"):
			f.connection = joined(f.connection, value)
			f.close = f.close || hasToken(value, "close")
			f.keepAlive = f.keepAlive || hasToken(value, "keep-alive")
		case strings.EqualFold(name, "Keep-Alive"):
		default:
			return false
		}
	case 12:
		if strings.EqualFold(name, "Content-Type") {
			h.eventStream = isEventStream(value)
		}
		return false
	case 14:
		if !strings.EqualFold(name, "Content-Length") {
			return false
		}
		n, err := strconv.ParseUint(value, 10, 63)
		switch {
		case f.hasLength:
			f.err = errors.New("it has more than one Content-Length")
		case err != nil || value[0] == '+':
			f.err = errors.New("its Content-Length is not a number of bytes")
		}
		f.hasLength, f.length = true, int64(n)
		return false
	case 16:
		return strings.EqualFold(name, "Proxy-Connection")
	case 17:
		if !strings.EqualFold(name, "Transfer-Encoding") {
			return false
		}
		if f.hasEncoding || !strings.EqualFold(value, "chunked") {
			f.err = errors.New("its Transfer-Encoding is not exactly chunked")
		}
		f.hasEncoding = true
	default:
		return false
	}
	return true
}

func isEventStream(contentType string) bool {
	const es = "text/event-stream"
	if len(contentType) < len(es) || !strings.EqualFold(contentType[:len(es)], es) {
		return false
	}
	rest := contentType[len(es):]
	return rest == "" || rest[0] == ';' || rest[0] == ' '
}

func joined(list, value string) string {
	if list == "" {
		return value
	}
	return list + ", " + value
}

// cutLine cuts the first line off, and its line end away.
func cutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// cutField splits "name: value".
func cutField(line string) (name, value string, err error) {
	i := strings.IndexByte(line, ':')
	if i <= 0 || !isName(line[:i]) {
		return "", "", errors.New("a line of its header is not a field")
	}
	value = line[i+1:]
	for value != "" && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for value != "" && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	if !isValue(value) {
		return "", "", errors.New("a field of its header has a control character")
	}
	return line[:i], value, nil
}
