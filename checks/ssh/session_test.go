package ssh

import (
	"bufio"
	"strings"
	"testing"
)

func FuzzReadVersion(f *testing.F) {
	for _, seed := range []string{"SSH-2.0-x\r\n", "hi\nSSH-2.0-x\n", "SSH-2.0", "\n\n\n", "Exceeded MaxStartups\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line, err := readVersion(bufio.NewReaderSize(strings.NewReader(text), maxLine))
		if err == nil && !strings.HasPrefix(line, "SSH-") || strings.Contains(line, "\n") || len(line) > maxLine {
			t.Errorf("%q has the version %q, %v", text, line, err)
		}
	})
}
