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
func (p Probe) grpcRequest() []byte {
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
	status := uint64(0)
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return "with a message that cannot be read"
		}
		value, m := binary.Uvarint(message[n:])
		if m <= 0 || tag&7 != 0 {
			return "with a message that cannot be read"
		}
		if tag == 1<<3 {
			status = value
		}
		message = message[n+m:]
	}
	names := [...]string{"UNKNOWN", serving, "NOT_SERVING", "SERVICE_UNKNOWN"}
	if status >= uint64(len(names)) {
		return "status " + strconv.FormatUint(status, 10)
	}
	return names[status]
}
