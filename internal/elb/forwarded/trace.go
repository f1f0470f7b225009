package forwarded

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// maxTraced is above what size of the header, in bytes, a trace identifier is
// replaced whatever it holds (guide, "Request tracing": 7 KB). How the size is
// counted is unconfirmed: here as the fields are in HTTP/1.1.
const maxTraced = 7 << 10

// TraceID returns the X-Amzn-Trace-Id of a request for its target (guide, "Request
// tracing"): a new Root where there is none; else a new Self before what came,
// in place of the Self that was there. Fields of others stay as they are.
//
// What has no Root gets one before the rest (unconfirmed). What holds anything but
// visible ASCII is replaced, as is what comes in a header that is too large.
func TraceID(h Header, t Trace) string {
	var buf [256]byte
	incoming := ""
	if lines := h.Values(fieldTrace); len(lines) > 0 {
		incoming = strings.Trim(lines[0], " \t")
	}
	if incoming == "" || !visible(incoming) || size(h) > maxTraced {
		return string(t.appendTo(append(buf[:0], "Root="...)))
	}
	label := "Root="
	for field := range strings.SplitSeq(incoming, ";") {
		if hasName(field, "Root") {
			label = "Self="
		}
	}
	b := t.appendTo(append(buf[:0], label...))
	for field := range strings.SplitSeq(incoming, ";") {
		if field = strings.Trim(field, " "); field != "" && !hasName(field, "Self") {
			b = append(b, ';')
			b = append(b, field...)
		}
	}
	return string(b)
}

// appendTo appends version, time and identifier: 1-67891233-abcdef012345678912345678.
func (t Trace) appendTo(b []byte) []byte {
	var seconds [8]byte
	binary.BigEndian.PutUint64(seconds[:], uint64(max(t.Now.Unix(), 0)))
	b = append(b, "1-"...)
	b = hex.AppendEncode(b, seconds[4:]) // eight digits, as the format has them
	b = append(b, '-')
	return hex.AppendEncode(b, t.Random[:])
}

func hasName(field, name string) bool {
	before, _, found := strings.Cut(field, "=")
	return found && strings.Trim(before, " ") == name
}

func visible(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// size is that of the fields as they are written in HTTP/1.1.
func size(h Header) int {
	n := 0
	for i := range h.Len() {
		name, value := h.At(i)
		n += len(name) + len(": ") + len(value) + len("\r\n")
	}
	return n
}
