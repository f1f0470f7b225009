package webserver

import "strings"

// apacheLine is a line without its comment and continuations.
type apacheLine struct {
	number int // of its first line
	text   string
}

// apacheLines splits a file. A backslash at a line's end continues it; comments
// have lines of their own.
func apacheLines(content string) []apacheLine {
	var all []apacheLine
	number := 0
	for len(content) > 0 {
		var text string
		begin := number + 1
		for more := true; more && len(content) > 0; {
			var part string
			part, content, _ = strings.Cut(content, "\n")
			number++
			part = strings.TrimSuffix(part, "\r")
			part, more = strings.CutSuffix(part, `\`)
			text += part
		}
		if text = strings.TrimSpace(text); text != "" && text[0] != '#' {
			all = append(all, apacheLine{begin, text})
		}
	}
	return all
}

// apacheWords splits a line as ap_getword_conf() does: at white space, but not
// within quotes, which are taken off.
func apacheWords(text string) []string {
	var words []string
	for {
		text = strings.TrimLeft(text, " \t\r\n\v\f")
		if text == "" {
			return words
		}
		if quote := text[0]; quote == '"' || quote == '\'' {
			var b strings.Builder
			i := 1
			for ; i < len(text) && text[i] != quote; i++ {
				if text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\') {
					i++
				}
				b.WriteByte(text[i])
			}
			words = append(words, b.String())
			text = text[min(len(text), i+1):]
			continue
		}
		end := strings.IndexAny(text, " \t\r\n\v\f")
		if end < 0 {
			end = len(text)
		}
		words = append(words, text[:end])
		text = text[end:]
	}
}

// skipSection returns the lines behind the end of a section.
func skipSection(lines []apacheLine, name string) []apacheLine {
	depth := 1
	for i, l := range lines {
		text, ok := strings.CutPrefix(l.text, "<")
		if !ok {
			continue
		}
		end, closes := strings.CutPrefix(text, "/")
		if !closes {
			end, _, _ = strings.Cut(strings.Trim(text, "> \t"), " ")
		}
		if !strings.EqualFold(strings.TrimRight(end, "> \t"), name) {
			continue
		}
		if closes {
			depth--
		} else {
			depth++
		}
		if depth == 0 {
			return lines[i+1:]
		}
	}
	return nil
}
