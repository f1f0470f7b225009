package probe

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// healthMethod is the call that gRPC's own health checking protocol has
// (github.com/grpc/grpc/blob/master/doc/health-checking.md).
const healthMethod = "/grpc.health.v1.Health/Check"

// grpcCodes are the names of the statuses.
var grpcCodes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// grpcText names an answer's gRPC status, and the message with it: "gRPC status
// 14 (UNAVAILABLE, "no upstream")".
func grpcText(a *Answer) string {
	var remarks []string
	if a.GRPC < len(grpcCodes) {
		remarks = append(remarks, grpcCodes[a.GRPC])
	}
	message, ok := first(a.Trailer, "grpc-message")
	if !ok {
		message = a.Get("grpc-message")
	}
	if decoded, err := url.PathUnescape(message); err == nil {
		message = decoded
	}
	if message != "" {
		remarks = append(remarks, quoted(message))
	}
	text := fmt.Sprintf("gRPC status %d", a.GRPC)
	if len(remarks) > 0 {
		text += " (" + strings.Join(remarks, ", ") + ")"
	}
	return text
}

// grpcStatus finds the status: in the trailer, or in the head of an answer that
// has nothing else. It returns -1 for none.
func grpcStatus(a *Answer) int {
	text, ok := first(a.Trailer, "grpc-status")
	if !ok {
		text = a.Get("grpc-status")
	}
	code, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return -1
	}
	return int(code)
}

// grpcRequest returns the message of a call: for the health checking protocol
// the service that is asked about, else nothing.
func (p *Probe) grpcRequest() []byte {
	var message []byte
	if p.Path == healthMethod && p.Service != "" {
		message = append(message, 1<<3|2) // field 1, with a length
		message = binary.AppendUvarint(message, uint64(len(p.Service)))
		message = append(message, p.Service...)
	}
	framed := make([]byte, 1, 5+len(message))                            // not compressed
	framed = binary.BigEndian.AppendUint32(framed, uint32(len(message))) //nolint:gosec // a service's name is not that long
	return append(framed, message...)
}

// serving is the one status of a service that counts as healthy.
const serving = "SERVING"

// servingStatus reads a HealthCheckResponse: what it says of the service.
func servingStatus(body []byte) string {
	if len(body) < 5 {
		return "without a message"
	}
	message := body[5:]
	if body[0] != 0 || int64(binary.BigEndian.Uint32(body[1:5])) != int64(len(message)) {
		return "with a message that cannot be read"
	}
	status, ok := firstEnum(message)
	if !ok {
		return "with a message that cannot be read"
	}
	names := map[uint64]string{0: "UNKNOWN", 1: serving, 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
	if name, ok := names[status]; ok {
		return name
	}
	return "status " + strconv.FormatUint(status, 10)
}

// firstEnum reads field 1 of a message of protobuf, an enum, and passes over
// others, which a later version of the protocol may have.
func firstEnum(message []byte) (value uint64, ok bool) {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return 0, false
		}
		message = message[n:]
		length := uint64(0)
		switch tag & 7 {
		case 0: // a varint
			number, n := binary.Uvarint(message)
			if n <= 0 {
				return 0, false
			}
			if tag>>3 == 1 {
				value = number
			}
			length = uint64(n)
		case 1: // 64 bits
			length = 8
		case 2: // a length, and as many bytes
			size, n := binary.Uvarint(message)
			if n <= 0 {
				return 0, false
			}
			message, length = message[n:], size
		case 5: // 32 bits
			length = 4
		default:
			return 0, false
		}
		if length > uint64(len(message)) {
			return 0, false
		}
		message = message[length:]
	}
	return value, true
}
