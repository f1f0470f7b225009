package phpfpm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
)

// What the check needs of FastCGI (https://fastcgi-archives.github.io/FastCGI_Specification.html).
const (
	version = 1

	beginRequest = 1
	endRequest   = 3
	params       = 4
	stdin        = 5
	stdout       = 6
	stderr       = 7

	roleResponder = 1
	requestID     = 1
)

// answer is what a FastCGI application says, as a CGI script does.
type answer struct {
	status int
	body   []byte
}

// errProtocol means that what answers does not speak FastCGI.
var errProtocol = errors.New("not FastCGI")

// ask asks for a path, once on a connection.
func ask(conn io.ReadWriter, path, query string) (answer, error) {
	uri := path
	if query != "" {
		uri += "?" + query
	}
	var pairs []byte
	for _, pair := range [][2]string{
		{"REQUEST_METHOD", http.MethodGet},
		{"SCRIPT_NAME", path},
		{"SCRIPT_FILENAME", path},
		{"QUERY_STRING", query},
		{"REQUEST_URI", uri},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"REMOTE_ADDR", "127.0.0.1"},
	} {
		pairs = appendPair(pairs, pair[0], pair[1])
	}
	request := appendRecord(nil, beginRequest, []byte{0, roleResponder, 0, 0, 0, 0, 0, 0})
	request = appendRecord(request, params, pairs)
	request = appendRecord(request, params, nil)
	request = appendRecord(request, stdin, nil)
	if _, err := conn.Write(request); err != nil {
		return answer{}, err
	}
	output, err := read(conn)
	if err != nil {
		return answer{}, err
	}
	return parseCGI(output)
}

// appendRecord appends a record with at most 65,535 bytes of content.
func appendRecord(b []byte, kind byte, content []byte) []byte {
	b = append(b, version, kind, 0, requestID)
	b = binary.BigEndian.AppendUint16(b, uint16(len(content))) //nolint:gosec // Validate leaves paths short
	b = append(b, 0, 0)                                        // no padding
	return append(b, content...)
}

func appendPair(b []byte, name, value string) []byte {
	b = appendLength(b, len(name))
	b = appendLength(b, len(value))
	b = append(b, name...)
	return append(b, value...)
}

func appendLength(b []byte, n int) []byte {
	if n < 128 {
		return append(b, byte(n)) //nolint:gosec // not negative
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31) //nolint:gosec // not negative
}

// read reads the records of an answer up to its end, and returns what the
// application wrote to its standard output.
func read(r io.Reader) ([]byte, error) {
	reader := bufio.NewReader(r)
	var output []byte
	for {
		var header [8]byte
		if _, err := io.ReadFull(reader, header[:]); err != nil {
			if header[0] != 0 && header[0] != version {
				return nil, errProtocol // shorter than a header
			}
			return nil, err
		}
		if header[0] != version {
			return nil, errProtocol
		}
		content := make([]byte, int(binary.BigEndian.Uint16(header[4:]))+int(header[6]))
		if _, err := io.ReadFull(reader, content); err != nil {
			return nil, noEOF(err)
		}
		content = content[:len(content)-int(header[6])]
		switch header[1] {
		case stdout:
			output = append(output, content...)
		case stderr:
			// What goes to the error log, too.
		case endRequest:
			if len(content) < 5 {
				return nil, errProtocol
			}
			if why := refusals[content[4]]; why != "" {
				return nil, fmt.Errorf("the request was refused: %s", why)
			}
			return output, nil
		default:
			return nil, errProtocol
		}
	}
}

// refusals are the values of protocolStatus but FCGI_REQUEST_COMPLETE.
var refusals = [256]string{1: "one connection, one request", 2: "overloaded", 3: "unknown role"}

// noEOF is err, where the end in the middle of something is not a plain end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseCGI reads the output of a CGI script (RFC 3875, 6).
func parseCGI(output []byte) (answer, error) {
	reader := bufio.NewReader(bytes.NewReader(output))
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	if err != nil {
		return answer{}, errProtocol
	}
	a := answer{status: http.StatusOK}
	if text := header.Get("Status"); text != "" {
		if a.status, err = strconv.Atoi(text[:min(3, len(text))]); err != nil {
			return answer{}, errProtocol
		}
	}
	a.body, err = io.ReadAll(reader)
	return a, err
}
