package probe_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"hale/internal/probe"
)

func TestFrames(t *testing.T) {
	t.Parallel()
	const settings = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00"
	for wire, want := range map[string]string{
		"": "",
		http2.ClientPreface + settings + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x10\x00\x00" + "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82": `the client's preface
SETTINGS
  [ENABLE_PUSH = 0]
WINDOW_UPDATE, 1048576
HEADERS, stream 1, the last
  :method: GET`,
		"\x00\x00\x00\x04\x01\x00\x00\x00\x00" + "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88" + "\x00\x00\x03\x00\x01\x00\x00\x00\x01ok\n": `SETTINGS, acknowledged
HEADERS, stream 1
  :status: 200
DATA, stream 1, 3 bytes, the last
  ok`,
		"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01":                                               "GOAWAY, PROTOCOL_ERROR",
		"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07" + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678" + "\x00\x00": "RST_STREAM, stream 1, REFUSED_STREAM\nPING",
		"HTTP/1.1 400 Bad Request\r\n\r\n": "",
	} {
		if got := strings.Join(probe.Frames([]byte(wire)), "\n"); got != want {
			t.Errorf("%q is told as\n%s\nwant\n%s", wire, got, want)
		}
	}
}
