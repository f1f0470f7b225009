// Package uwsgi speaks the client's side of the uwsgi protocol, which uWSGI
// names its own (https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html).
//
// A request is one packet of variables, the same ones as CGI's (RFC 3875),
// followed by the body as it is. The answer is a plain HTTP/1.x answer, whose
// end is mostly that of the connection: one connection carries one request.
package uwsgi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// MaxSize is the largest size of a packet's variables, in bytes: its header
// has 16 bits for it.
const MaxSize = 1<<16 - 1

// DefaultBufferSize is the size of uWSGI's buffer for the variables, unless
// its option buffer-size says otherwise.
const DefaultBufferSize = 4096

// A Request is a request's head, from which the variables are made.
type Request struct {
	Method string
	Target string // path and query as sent, "/a%20b?c=d"
	Proto  string // "HTTP/1.1"; empty means that
	Host   string // the Host field, with its port if it has one
	Scheme string // "https" sets HTTPS=on; empty means "http"

	Client netip.AddrPort // whom the app is to take for the client
	Local  netip.AddrPort // where the request came in; its port is SERVER_PORT

	// ContentLength is the length of the body. An app that follows PEP 3333
	// reads no more than that, so a body of unknown length has to be measured
	// first. Negative means that there is no body.
	ContentLength int64

	// Header has the other header fields. Of the names, letters' case does not
	// matter. Fields of one name are joined by ", " (cookies by "; "),
	// since an environment holds a name once. Left out are Content-Length (see
	// above), Proxy (it would be taken for the HTTP_PROXY that programs obey,
	// CVE-2016-1000110), and names with an underscore, which an app could not
	// tell from the name with a hyphen.
	Header []Field
}

// Field is a header field.
type Field = struct{ Name, Value string }

// ErrBadPath is the error for a path whose escapes cannot be decoded.
var ErrBadPath = errors.New("uwsgi: the path has an invalid or forbidden escape")

// A SizeError says that a request has more variables than fit one packet.
type SizeError struct {
	Size int // of the variables, in bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("uwsgi: the request's variables take %d bytes, more than the protocol's %d: the client must send less header", e.Size, MaxSize)
}

// NoAnswerError explains a connection that ended before any byte of the
// answer: uWSGI does so, without a word, when the variables exceed its buffer.
type NoAnswerError struct {
	Size int   // of the variables that were sent, in bytes
	Err  error // how the connection ended
}

func (e *NoAnswerError) Error() string {
	if e.Size > DefaultBufferSize-4 {
		return fmt.Sprintf("uwsgi: no answer (%v): the request's variables take %d bytes; if uWSGI's buffer-size (default %d) is less, raise it", e.Err, e.Size, DefaultBufferSize)
	}
	return fmt.Sprintf("uwsgi: no answer (%v): the worker died, or the port does not speak uwsgi", e.Err)
}

func (e *NoAnswerError) Unwrap() error { return e.Err }

// Append appends the packet for r to dst: the header of four bytes and the
// variables. The body, if any, is to be sent after it.
func (r *Request) Append(dst []byte) ([]byte, error) {
	p := packet{b: dst, start: len(dst)}
	p.b = append(p.b, 0, 0, 0, 0) // modifier1 0: WSGI; size; modifier2 0

	path, query, _ := strings.Cut(r.Target, "?")
	p.add("REQUEST_METHOD", r.Method)
	p.add("REQUEST_URI", r.Target)
	p.add("SCRIPT_NAME", "")
	if err := p.addPath(path); err != nil {
		return dst, err
	}
	p.add("QUERY_STRING", query)
	proto := r.Proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	p.add("SERVER_PROTOCOL", proto)
	if r.Scheme == "https" {
		// Set or absent, never "off": programs ask whether it is there.
		p.add("HTTPS", "on")
		p.add("REQUEST_SCHEME", "https")
		p.add("UWSGI_SCHEME", "https")
	} else {
		p.add("REQUEST_SCHEME", "http")
		p.add("UWSGI_SCHEME", "http")
	}
	p.addServer(r)
	if r.Client.Addr().IsValid() {
		p.addAddr("REMOTE_ADDR", r.Client.Addr())
		if port := r.Client.Port(); port != 0 {
			p.addInt("REMOTE_PORT", int64(port))
		}
	} else {
		p.add("REMOTE_ADDR", "") // RFC 3875, 4.1.8: always there
	}
	if r.ContentLength >= 0 {
		p.addInt("CONTENT_LENGTH", r.ContentLength)
	}
	if r.Host != "" {
		p.add("HTTP_HOST", r.Host)
	}
	p.addHeader(r.Header)

	size := len(p.b) - p.start - 4
	if size > MaxSize || p.tooLong {
		return dst, &SizeError{Size: size}
	}
	binary.LittleEndian.PutUint16(p.b[p.start+1:], uint16(size)) //nolint:gosec // it fits, see above
	return p.b, nil
}

// packet is a packet in the making.
type packet struct {
	b       []byte
	start   int  // of the packet in b
	tooLong bool // a single name or value was longer than MaxSize
}

func (p *packet) add(name, value string) {
	p.string(name)
	p.string(value)
}

func (p *packet) string(s string) {
	p.tooLong = p.tooLong || len(s) > MaxSize
	p.b = binary.LittleEndian.AppendUint16(p.b, uint16(len(s))) //nolint:gosec // or Append fails
	p.b = append(p.b, s...)
}

// open starts a value whose length is not known yet, and close ends it.
func (p *packet) open(name string) (mark int) {
	p.string(name)
	p.b = append(p.b, 0, 0)
	return len(p.b)
}

func (p *packet) close(mark int) {
	n := len(p.b) - mark
	p.tooLong = p.tooLong || n > MaxSize
	binary.LittleEndian.PutUint16(p.b[mark-2:], uint16(n)) //nolint:gosec // or Append fails
}

func (p *packet) addInt(name string, n int64) {
	mark := p.open(name)
	p.b = strconv.AppendInt(p.b, n, 10)
	p.close(mark)
}

func (p *packet) addAddr(name string, a netip.Addr) {
	mark := p.open(name)
	p.b = a.Unmap().AppendTo(p.b)
	p.close(mark)
}

// addPath adds the path with its escapes decoded (RFC 3875, 4.1.5). A decoded
// NUL is refused, for it ends a string for programs written in C.
func (p *packet) addPath(path string) error {
	mark := p.open("PATH_INFO")
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return ErrBadPath
			}
			hi, lo := unhex(path[i+1]), unhex(path[i+2])
			if hi < 0 || lo < 0 || hi+lo == 0 {
				return ErrBadPath
			}
			c = byte(hi<<4 | lo) //nolint:gosec // two digits of four bits
			i += 2
		}
		p.b = append(p.b, c)
	}
	p.close(mark)
	return nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// addServer adds SERVER_NAME and SERVER_PORT, which RFC 3875 wants always: the
// name the client used, and the port the request came in at.
func (p *packet) addServer(r *Request) {
	name := r.Host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	switch {
	case name != "":
		p.add("SERVER_NAME", name)
	case r.Local.IsValid():
		p.addAddr("SERVER_NAME", r.Local.Addr())
	default:
		p.add("SERVER_NAME", "localhost")
	}
	switch {
	case r.Local.Port() != 0:
		p.addInt("SERVER_PORT", int64(r.Local.Port()))
	case r.Scheme == "https":
		p.add("SERVER_PORT", "443")
	default:
		p.add("SERVER_PORT", "80")
	}
}
