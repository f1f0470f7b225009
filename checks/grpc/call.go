package grpc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hale/checks/internal/link"
	"hale/checks/internal/web"
	"hale/internal/explain"
)

// maxMessage bounds the server's answer, which has a few bytes.
const maxMessage = 4 << 10

// answer is how a call ended.
type answer struct {
	code    code
	message string // the server's, if the code is not ok
	health  health // if it is
}

// call calls grpc.health.v1.Health/Check, as in
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
func (c *Check) call(ctx context.Context, conn *link.Conn) (answer, error) {
	t, scheme := transport(), "http"
	t.DialContext = func(context.Context, string, string) (net.Conn, error) { return heard{conn.Conn}, nil }
	// The HTTP/2 of net/http knows TLS by the type of the connection.
	t.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return conn.Conn, nil }
	if c.TLS {
		scheme = "https"
	}
	client, err := t.NewClientConn(ctx, scheme, "unused:443")
	if err != nil {
		return answer{}, err
	}
	defer client.Close()
	resp, err := client.RoundTrip(c.request(ctx, scheme))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	return read(resp)
}

// heard is a connection whose other side is heard before it is found to have
// hung up: a server of another protocol says something first.
type heard struct{ net.Conn }

func (h heard) Write(b []byte) (int, error) {
	n, err := h.Conn.Write(b)
	if err != nil {
		// Ends at once, as the connection has; what is read, it remembers.
		_, _ = h.Read(make([]byte, maxMessage))
	}
	return n, err
}

func (c *Check) request(ctx context.Context, scheme string) *http.Request {
	body := request(c.Service)
	r := &http.Request{
		Method:        http.MethodPost,
		URL:           &url.URL{Scheme: scheme, Host: c.authority(), Path: "/grpc.health.v1.Health/Check"},
		Header:        make(http.Header),
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
	r.Header.Set("User-Agent", "hale/"+web.Version()+" grpc check")
	for name, value := range c.Metadata {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	if deadline, ok := ctx.Deadline(); ok {
		r.Header.Set("Grpc-Timeout", timeout(time.Until(deadline)))
	}
	return r.WithContext(ctx)
}

// timeout writes what is left of a run for the server: at most eight digits and
// a unit.
func timeout(left time.Duration) string {
	if ms := left.Milliseconds(); ms < 1e8 {
		return strconv.FormatInt(max(ms, 1), 10) + "m"
	}
	return strconv.FormatInt(min(int64(left/time.Second), 99_999_999), 10) + "S"
}

// foreignError is an answer over HTTP/2 that is not gRPC's.
type foreignError struct{ text string }

func (e *foreignError) Error() string { return e.text }

// read reads an answer to its end, where gRPC has its status.
func read(resp *http.Response) (answer, error) {
	kind := resp.Header.Get("Content-Type")
	if !strings.HasPrefix(kind, "application/grpc") {
		return answer{}, &foreignError{fmt.Sprintf("answered as HTTP/2 with status %d and content of type %q, not as gRPC", resp.StatusCode, explain.Line(kind))}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
	if err != nil {
		return answer{}, err
	}
	if len(body) > maxMessage {
		return answer{}, &foreignError{"the answer is too long for one of a health service"}
	}
	// An answer without a body has its status in the only header there is.
	status := cmp.Or(resp.Trailer.Get("Grpc-Status"), resp.Header.Get("Grpc-Status"))
	n, err := strconv.ParseUint(status, 10, 32)
	if err != nil {
		return answer{}, &foreignError{"the answer ends without gRPC's status"}
	}
	a := answer{code: code(n)}
	if a.code != ok {
		a.message = unescape(cmp.Or(resp.Trailer.Get("Grpc-Message"), resp.Header.Get("Grpc-Message")))
		return a, nil
	}
	a.health, err = parse(body)
	return a, err
}

// unescape undoes gRPC's percent-encoding, which never fails.
func unescape(message string) string {
	if plain, err := url.PathUnescape(message); err == nil {
		return plain
	}
	return message
}

// request writes a HealthCheckRequest as one gRPC message: a byte that says
// that it is not compressed, its length, and the field service = 1.
func request(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|2)
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))) //nolint:gosec // a name in a configuration
	return append(frame, message...)
}

// parse reads a HealthCheckResponse, one gRPC message with the field status =
// 1. Fields that the protocol may get later are passed over.
func parse(frame []byte) (health, error) {
	const head = 5
	if len(frame) < head || int64(len(frame)-head) != int64(binary.BigEndian.Uint32(frame[1:])) {
		return 0, errGarbled
	}
	if frame[0] != 0 {
		return 0, &foreignError{"the answer is compressed, which it was not asked to be"}
	}
	var status health
	for message := frame[head:]; len(message) > 0; {
		key, n := binary.Uvarint(message)
		if n <= 0 {
			return 0, errGarbled
		}
		message = message[n:]
		value, n := field(key&7, message)
		if n < 0 {
			return 0, errGarbled
		}
		message = message[n:]
		if key == 1<<3 {
			status = health(value)
		}
	}
	return status, nil
}

// field reads the value of a field of a wire type
// (https://protobuf.dev/programming-guides/encoding/); n is how many bytes it
// takes, -1 if it is malformed. Only a varint has a value.
func field(wire uint64, b []byte) (value uint64, n int) {
	switch wire {
	case 0: // varint
		if value, n = binary.Uvarint(b); n <= 0 {
			return 0, -1
		}
		return value, n
	case 1: // 64 bits
		n = 8
	case 2: // length and bytes
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)) {
			return 0, -1
		}
		n = size + int(length) //nolint:gosec // at most len(b)
	case 5: // 32 bits
		n = 4
	default:
		return 0, -1
	}
	if n > len(b) {
		return 0, -1
	}
	return 0, n
}

var errGarbled = error(&foreignError{"the answer is not one of a health service"})

// health is the status in a HealthCheckResponse
// (https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto).
type health uint64

const serving health = 1

func (h health) String() string {
	names := []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	if h < health(len(names)) {
		return names[h]
	}
	return fmt.Sprintf("in the unknown state %d", uint64(h))
}

// code is gRPC's status of a call (https://grpc.io/docs/guides/status-codes/).
type code uint32

const (
	ok               code = 0
	deadlineExceeded code = 4
	notFound         code = 5
	permissionDenied code = 7
	unimplemented    code = 12
	unavailable      code = 14
	unauthenticated  code = 16
)

var codes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

func (c code) String() string {
	if int(c) < len(codes) {
		return fmt.Sprintf("%d %s", uint32(c), codes[c])
	}
	return fmt.Sprintf("status %d", uint32(c))
}
