package explain

import (
	"strings"
	"unicode"
)

// maxLine bounds what a stranger's text may add to a message, in characters.
const maxLine = 200

// Line makes one short printable line of a text that somebody else wrote: its
// first line with something in it.
func Line(text string) string {
	for line := range strings.Lines(text) {
		if line = clean(line); line != "" {
			return line
		}
	}
	return ""
}

func clean(line string) string {
	line = strings.ToValidUTF8(line[:min(len(line), 16*maxLine)], "\uFFFD")
	line = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, line))
	n := 0
	for i := range line {
		if n == maxLine {
			return line[:i] + "..."
		}
		n++
	}
	return line
}
