package smtp

import (
	"bufio"
	"strings"
	"testing"
)

func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{"220 mx\r\n", "250-a\r\n250 b\r\n", "250\n", "25", "999 x\r\n", "250-a\r\n251 b\r\n", "250+a\r\n", "\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readReply(bufio.NewReaderSize(strings.NewReader(text), maxLine))
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || len(r.lines) == 0 || len(r.lines) > maxLines {
			t.Errorf("%q is read as %+v", text, r)
		}
		for _, line := range r.lines {
			if !strings.Contains(text, line) || strings.Contains(line, "\n") {
				t.Errorf("%q has no line %q", text, line)
			}
		}
	})
}
